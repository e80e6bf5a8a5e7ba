"""Whatever is asked of load balancing: no answer is a fault of ours, and what is refused has changed nothing."""

import asyncio
import contextlib
import random
import tempfile
from pathlib import Path

import botocore.session
import msgspec
import pytest
from hostile_forms import Enemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.elb_kit import FUNCTION, NETWORK
from tests.unit.elbv2.elb_api import ACCOUNT, REGION, Cloud

from cumulo.wire.http import BytesBody, Headers, Request

MODEL = botocore.session.Session().get_service_model("elbv2")
OPERATIONS = [
    name
    for name in MODEL.operation_names
    if "TrustStore" not in name and name not in ("DeleteLoadBalancer", "DeleteListener", "DeleteTargetGroup")
]
VERSION = "2015-12-01"
MANY = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SCOPE = f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20240101/{REGION}/elasticloadbalancing/aws4_request"


class Site:
    """A cloud with something of everything, of two accounts, and what an enemy knows of it."""

    def __init__(self, path):
        self.cloud = Cloud(path)
        self.loop = asyncio.new_event_loop()
        mine = self._fill(self.cloud)
        other = self.cloud.client
        self.cloud.client = self.cloud.client_of("222222222222")
        theirs = self._fill(self.cloud)
        self.cloud.client = other
        self.known = self._known(mine, theirs)

    def _fill(self, cloud):
        balancer, flat = cloud.balancer(), cloud.balancer("net", Type="network")
        group, spare = cloud.group(), cloud.group("spare")
        tcp = cloud.group("tcp", Protocol="TCP")
        function = cloud.group("function", TargetType="lambda", Protocol=None, Port=None, VpcId=None)
        listener = cloud.listener(balancer, group)
        wire = cloud.listener(flat, tcp, Protocol="TCP", Port=90)
        rule = cloud.rule(listener, group)
        cloud.client.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": "10.0.0.1"}])
        return {
            "LoadBalancerArn": [balancer["LoadBalancerArn"], flat["LoadBalancerArn"]],
            "TargetGroupArn": [one["TargetGroupArn"] for one in (group, spare, tcp, function)],
            "ListenerArn": [listener["ListenerArn"], wire["ListenerArn"]],
            "RuleArn": [rule["RuleArn"]],
        }

    def _known(self, mine, theirs):
        def odd(name):
            good, foreign = mine[name], theirs[name]
            broken = [
                good[0][:-1] + "f",
                good[0].replace(REGION, "eu-west-1"),
                good[0] + "/x",
                good[0].upper(),
            ]
            return good * 6 + foreign + broken

        known = {name: odd(name) for name in mine}
        known |= {f"{name}s": [[one] for one in values] + [mine[name] * 2] for name, values in known.items()}
        every = [one for name in mine for one in known[name]]
        return known | {
            "ResourceArn": every,
            "ResourceArns": [[one] for one in every],
            "Name": ["web", "app", "new", "a" * 33, "-x", "internal-x"],
            "Names": [["web"], ["app", "nobody"], []],
            "VpcId": [NETWORK, "vpc-nobody"],
            "Subnets": [["subnet-a", "subnet-b"], ["subnet-a", "subnet-a"], ["subnet-x"], ["subnet-nobody"]],
            "SecurityGroups": [["sg-1"], ["sg-missing"], ["sg-1", "sg-1"]],
            "Id": ["10.0.0.1", "10.0.0.2", "8.8.8.8", "127.0.0.1", "i-here", "i-nobody", FUNCTION, *mine["LoadBalancerArn"]],
            "Port": [80, 90, 443, 0, 65535, 65536, -1],
            "Priority": [1, 10, 50000, 50001, 0, -5],
            "Field": ["path-pattern", "host-header", "http-header", "http-request-method", "query-string", "source-ip"],
            "Protocol": ["HTTP", "HTTP", "HTTPS", "TCP", "TLS", "UDP", "GENEVE"],
            "CertificateArn": ["arn:aws:acm:us-east-1:123456789012:certificate/a", "arn:missing", "lalala"],
            "SslPolicy": ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-None"],
            "StatusCode": ["200", "404", "503", "HTTP_301", "HTTP_302", "600", "-1"],
            "Key": ["idle_timeout.timeout_seconds", "deregistration_delay.timeout_seconds", "stickiness.enabled",
                    "stickiness.type", "routing.http.xff_header_processing.mode", "tcp.idle_timeout.seconds", "aws:x", "k"],
            "HttpCode": ["200", "200-299", "200,", "999", "299-200"],
            "HealthCheckPort": ["traffic-port", "80", "0", "99999", "８０"],
            "HealthCheckPath": ["/", "x", "/\r\nX: 1"],
            "Path": ["/#{path}", "/\r\nSet-Cookie: a=b", "no", "/#{nobody}"],
            "Host": ["#{host}", "a\r\nb", "é"],
            "Marker": ["", "x", mine["LoadBalancerArn"][0]],
            "PageSize": [1, 400, 401, 0],
        }  # fmt: skip

    def ask(self, body):
        headers = Headers(
            [
                (b"authorization", SCOPE.encode()),
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"host", b"127.0.0.1:4566"),
            ]
        )
        request = Request("POST", "/", "", headers, BytesBody(body))
        return self.loop.run_until_complete(self.cloud.door(request))

    def state(self):
        """Everything that is kept, of everybody."""
        records = self.cloud.house._records
        shelves = (records.balancers, records.listeners, records.rules, records.groups, records.targets)
        return [sorted(msgspec.json.encode(one) for one in shelf.all()) for shelf in shelves]

    def close(self):
        self.loop.close()
        self.cloud.close()


@contextlib.contextmanager
def a_site():
    with tempfile.TemporaryDirectory() as folder:
        made = Site(Path(folder))
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def site():
    with a_site() as made:
        yield made


def others(state):
    return [[one for one in shelf if b'"222222222222"' in one or b":222222222222:" in one] for shelf in state]


@MANY
@given(st.integers(0, 2**64))
def test_no_request_is_answered_with_a_fault_and_what_is_refused_changes_nothing(seed):
    with a_site() as site:
        assail(site, seed)


def assail(site, seed):
    enemy = Enemy(MODEL, site.known, random.Random(seed), OPERATIONS)
    before = site.state()
    strangers = others(before)
    for _ in range(60):
        operation = enemy.operation()
        body = enemy.form(operation, enemy.input(operation), VERSION)
        answer = site.ask(body)
        after = site.state()
        assert answer.status < 500 or answer.status == 501, (answer.body, body)
        if answer.status >= 400:
            assert after == before, (answer.body, body)
            assert b"<Code>" in answer.body
        assert others(after) == strangers, body
        before = after


@MANY
@given(st.binary(max_size=300), st.sampled_from(sorted(MODEL.operation_names)))
def test_bytes_that_are_no_form_change_nothing(site, junk, operation):
    before = site.state()
    for body in (junk, b"Action=" + operation.encode() + b"&" + junk):
        answer = site.ask(body)
        assert answer.status < 500 or answer.status == 501, (answer.body, body)
        if answer.status >= 400:
            assert site.state() == before
