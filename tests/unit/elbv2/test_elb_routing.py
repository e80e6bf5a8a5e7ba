"""Routes: what a listener decides about requests, header by header."""

import asyncio
import random

import pytest
from tests.elb_kit import Functions, Instances

from cumulo.base.clock import VirtualClock
from cumulo.net.messages import Answer, BodyTooLong, Forward, Link, RequestHead, Tls
from cumulo.services.elbv2.function_calls import FunctionAnswer, FunctionCalls
from cumulo.services.elbv2.health import PASSED, judged
from cumulo.services.elbv2.model import (
    Group,
    HealthCheck,
    Listener,
    LoadBalancer,
    Registration,
    Rule,
    Standing,
)
from cumulo.services.elbv2.pools import Pools
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.routing import Routing
from cumulo.state.store import Store

HEALTHY = judged(Standing(), PASSED, HealthCheck())


class World:
    """One load balancer with its records, and no network."""

    def __init__(self, path):
        self.store = Store(path / "db", synchronous="OFF")
        self.records = Records(self.store)
        self.functions = Functions()
        self.clock = VirtualClock()
        self.pools = Pools(self.records, Instances(), self.clock, random.Random(1))
        self.routing = Routing(self.pools, FunctionCalls(self.functions), self.clock, random.Random(1))
        self.balancer_attributes = {}
        self.listener_attributes = {}
        self.rules = []
        self.port = 8000

    def group(self, name, *, targets=(), function="", **attributes):
        attributes = {key.replace("__", "."): value for key, value in attributes.items()}
        kind = "lambda" if function else "ip"
        self.records.groups.put(
            Group(
                account="1",
                region="us-east-1",
                name=name,
                arn=name,
                target_type=kind,
                protocol="" if function else "HTTP",
                created_at=0,
                attributes=attributes,
            )
        )
        for target in [function] if function else targets:
            port = 0 if function else 80
            self.records.targets.put(
                Registration(group=name, id=target, port=port, registered_at=0, standing=HEALTHY)
            )
        return {"TargetGroupArn": name, "Weight": 1}

    def ask(self, action, *, method="GET", target="/", headers=(), body=b"", scheme="http", tls=None):
        balancer = LoadBalancer(
            account="1",
            region="us-east-1",
            name="web",
            arn="web",
            kind="application",
            scheme="internal",
            dns_name="web",
            created_at=0,
            attributes=self.balancer_attributes,
        )
        listener = Listener(
            arn="l",
            load_balancer="web",
            protocol="HTTPS" if tls else "HTTP",
            port=self.port,
            actions=(action,),
            created_at=0,
            attributes=self.listener_attributes,
        )
        route = self.routing.route(balancer, listener, self.rules)

        async def read(bytes_max):
            if len(body) > bytes_max:
                raise BodyTooLong
            return body

        async def decide():
            decision = route(head(method, target, headers, scheme, tls), read)
            return decision if isinstance(decision, Answer | Forward) else await decision

        return asyncio.run(decide())


def head(method, target, headers, scheme, tls):
    path, _, query = target.partition("?")
    lines = [(name.encode(), value.encode()) for name, value in headers]
    names = {name.lower(): value for name, value in reversed(lines)}
    return RequestHead(
        method=method,
        target=target,
        path=path,
        query=query,
        host=dict(headers).get("Host", "shop.example.com:8000"),
        headers=lines,
        names=names,
        link=Link("10.0.0.9", 1234, scheme, 8000, "10.0.0.1", tls),
        length=0,
        keep_alive=True,
        http10=False,
        expects=False,
        upgrade=b"",
        line=b"",
        kept=b"",
    )


def forward(*groups, sticky=0):
    config = {"Enabled": bool(sticky)} | ({"DurationSeconds": sticky} if sticky else {})
    return {
        "Type": "forward",
        "ForwardConfig": {"TargetGroups": list(groups), "TargetGroupStickinessConfig": config},
    }


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    asyncio.run(made.store.close())


def test_nobody_to_forward_to_is_a_503(world):
    answer = world.ask(forward(world.group("empty")))
    assert answer.status == 503
    assert b"503 Service Temporarily Unavailable" in answer.body
    assert (b"Server", b"awselb/2.0") in answer.headers


def test_unhealthy_targets_are_asked_when_there_are_no_others(world):
    group = world.group("app", targets=["10.0.0.1"])
    for target in world.records.targets.all():
        world.records.targets.put(
            Registration(
                group="app", id=target.id, port=80, registered_at=0, standing=Standing(health="unhealthy")
            )
        )
    decision = world.ask(forward(group))
    assert decision.pool.pick().address == "10.0.0.1"


def test_the_target_is_told_of_the_client(world):
    group = world.group("app", targets=["10.0.0.1"])
    sent = [("X-Forwarded-For", "1.1.1.1"), ("X-Amzn-Trace-Id", "Root=1-a-b;Self=x;C=1")]
    decision = world.ask(forward(group), headers=sent)
    added = dict(decision.add)
    assert added[b"X-Forwarded-For"] == b"1.1.1.1, 10.0.0.9"
    assert added[b"X-Forwarded-Proto"] == b"http"
    assert added[b"X-Forwarded-Port"] == b"8000"
    assert added[b"X-Amzn-Trace-Id"].startswith(b"Self=1-")
    assert added[b"X-Amzn-Trace-Id"].endswith(b";Root=1-a-b;C=1")
    assert {b"x-forwarded-for", b"x-amzn-trace-id"} <= decision.remove


@pytest.mark.parametrize(
    ("mode", "added", "removed"),
    [("preserve", False, False), ("remove", False, True), ("append", True, True)],
)
def test_forwarded_for_is_handled_as_the_attribute_says(world, mode, added, removed):
    world.balancer_attributes = {"routing.http.xff_header_processing.mode": mode}
    decision = world.ask(
        forward(world.group("app", targets=["10.0.0.1"])), headers=[("X-Forwarded-For", "1.1.1.1")]
    )
    assert (b"X-Forwarded-For" in dict(decision.add)) is added
    assert (b"x-forwarded-for" in decision.remove) is removed


def test_invalid_names_are_dropped_and_tls_is_told_where_that_is_asked_for(world):
    group = world.group("app", targets=["10.0.0.1"])
    world.balancer_attributes = {
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "true",
        "idle_timeout.timeout_seconds": "7",
    }
    decision = world.ask(
        forward(group), headers=[("a_b", "1"), ("a-b", "1")], scheme="https", tls=Tls("TLSv1.3", "AES")
    )
    assert b"a_b" in decision.remove
    assert b"a-b" not in decision.remove
    assert dict(decision.add)[b"x-amzn-tls-version"] == b"TLSv1.3"
    assert decision.idle_seconds == 7.0


def test_listener_attributes_set_headers_of_answers(world):
    world.listener_attributes = {
        "routing.http.response.server.enabled": "false",
        "routing.http.response.x_frame_options.header_value": "DENY",
    }
    decision = world.ask(forward(world.group("app", targets=["10.0.0.1"])))
    assert decision.answer_remove == {b"server", b"x-frame-options"}
    assert list(decision.on_backend(decision.pool.pick())) == [(b"X-Frame-Options", b"DENY")]
    own = world.ask(forward(world.group("empty")))
    assert b"Server" not in dict(own.headers)
    assert dict(own.headers)[b"X-Frame-Options"] == b"DENY"


def test_weights_are_kept_over_many_requests(world):
    one, two = world.group("one", targets=["10.0.0.1"]), world.group("two", targets=["10.0.0.2"])
    off = world.group("off", targets=["10.0.0.3"]) | {"Weight": 0}
    action = forward(one | {"Weight": 3}, off, two | {"Weight": 1})
    names = [world.ask(action).pool.name for _ in range(400)]
    assert names.count("off") == 0
    assert 260 < names.count("one") < 340


def test_clients_stay_with_a_target_group(world):
    action = forward(
        world.group("one", targets=["10.0.0.1"]), world.group("two", targets=["10.0.0.2"]), sticky=60
    )
    first = world.ask(action)
    lines = list(first.on_backend(first.pool.pick()))
    cookie, across = (value.decode() for _, value in lines)
    assert cookie.startswith("AWSALBTG=")
    assert "SameSite=None" in across
    sent = [("Cookie", cookie.split(";")[0])]
    assert {world.ask(action, headers=sent).pool.name for _ in range(30)} == {first.pool.name}
    sent = [("Cookie", across.split(";")[0])]
    assert {world.ask(action, headers=sent).pool.name for _ in range(30)} == {first.pool.name}


def test_clients_stay_with_a_target_and_with_an_application_cookie_only_with_it(world):
    group = world.group(
        "app",
        targets=["10.0.0.1", "10.0.0.2"],
        stickiness__enabled="true",
        stickiness__type="app_cookie",
        stickiness__app_cookie__cookie_name="session",
    )
    decision = world.ask(forward(group))
    backend = decision.pool.pick()
    own = next(iter(decision.on_backend(backend)))[1].decode().split(";")[0]
    assert own.startswith("AWSALBAPP-0=")
    assert world.ask(forward(group), headers=[("Cookie", own)]).preferred is None
    both = [("Cookie", f"{own}; session=1")]
    assert world.ask(forward(group), headers=both).preferred is backend
    forged = [("Cookie", "AWSALBAPP-0=x; session=1")]
    assert world.ask(forward(group), headers=forged).preferred is None


def test_redirects_fill_in_what_they_know(world):
    action = {
        "Type": "redirect",
        "RedirectConfig": {
            "Protocol": "HTTPS",
            "Port": "443",
            "Host": "new.#{host}",
            "Path": "/a/#{path}",
            "Query": "q=1&#{query}",
            "StatusCode": "HTTP_302",
        },
    }
    answer = world.ask(action, target="/x/y?z=1")
    assert answer.status == 302
    assert dict(answer.headers)[b"Location"] == b"https://new.shop.example.com:443/a/x/y?q=1&z=1"
    plain = {"Type": "redirect", "RedirectConfig": {"Path": "/", "Query": "", "StatusCode": "HTTP_301"}}
    location = dict(world.ask(plain, target="/x?z").headers)[b"Location"]
    assert location == b"http://shop.example.com:8000/"


def test_rules_come_before_the_default(world):
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "no"}}
    teapot = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
    condition = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1?"]}}
    world.rules = [
        Rule(arn="r", listener="l", priority=1, conditions=(condition,), actions=(teapot,)),
        Rule(arn="d", listener="l", priority=0),
    ]
    assert world.ask(fixed, headers=[("x-a", "12")]).status == 418
    answer = world.ask(fixed, headers=[("x-a", "1")])
    assert (answer.status, answer.body) == (404, b"no")


def test_functions_answer_with_the_headers_of_the_listener(world):
    world.listener_attributes = {"routing.http.response.x_frame_options.header_value": "DENY"}
    group = world.group("f", function="arn:function")
    answer = world.ask(forward(group), method="POST", target="/p?a=1", body=b"hi", headers=[("A", "b")])
    assert isinstance(answer, FunctionAnswer)
    assert (answer.status, answer.body, answer.group) == (200, b"POST /p aGk=", "f")
    assert (b"X-Frame-Options", b"DENY") in answer.headers
    (event,) = world.functions.events
    assert event["headers"]["a"] == "b"
    assert event["headers"]["x-forwarded-for"] == "10.0.0.9"
    assert event["queryStringParameters"] == {"a": "1"}


def test_functions_that_fail_or_are_sent_too_much_are_not_the_clients_fault_or_are(world):
    group = world.group("f", function="arn:function")
    world.functions.answer = lambda event: "nonsense"
    assert world.ask(forward(group)).status == 502
    assert world.ask(forward(group), body=b"x" * (1024 * 1024 + 1)).status == 413


@pytest.mark.parametrize(
    ("port", "sent", "seen"),
    [
        (8000, "shop.example.com", "shop.example.com:8000"),
        (8000, "shop.example.com:9000", "shop.example.com:9000"),
        (8000, "[::1]", "[::1]:8000"),
        (80, "shop.example.com:4566", "shop.example.com"),
        (80, "shop.example.com", "shop.example.com"),
    ],
)
def test_the_host_that_targets_see_has_the_port_unless_it_goes_without_saying(world, port, sent, seen):
    world.port = port
    action = forward(world.group("app", targets=["10.0.0.1"]))
    decision = world.ask(action, headers=[("Host", sent)])
    if seen == sent:
        assert b"Host" not in dict(decision.add)
        assert b"host" not in decision.remove
    else:
        assert dict(decision.add)[b"Host"] == seen.encode()
        assert b"host" in decision.remove
    world.balancer_attributes = {"routing.http.preserve_host_header.enabled": "true"}
    kept = world.ask(action, headers=[("Host", sent)])
    assert b"Host" not in dict(kept.add)


def test_too_many_forwarded_addresses_are_refused_before_a_target_is_asked(world):
    action = forward(world.group("app", targets=["10.0.0.1"]))
    sent = [("X-Forwarded-For", ", ".join(["1.1.1.1"] * 31))]
    assert world.ask(action, headers=sent).status == 463
    assert isinstance(world.ask(action, headers=[("X-Forwarded-For", "1.1.1.1")]), Forward)
