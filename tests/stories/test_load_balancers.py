"""Load balancers carry real traffic: boto3 sets them up in a process of its own, plain clients go through them."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.elb_kit import FUNCTION, NETWORK, Backend, ElbProcess, backends, free_port, loopback
from tests.support import until

from cumulo.base.clock import SystemClock
from cumulo.companions.certificates import self_signed


class Site:
    """A cloud with load balancing, and short ways to what tests need."""

    def __init__(self, process: ElbProcess) -> None:
        self.process = process
        self.elb = process.client()
        self.port = free_port()

    def balancer(self, name: str = "web", **more: Any) -> dict[str, Any]:
        made = self.elb.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"], **more)
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        self.elb.get_waiter("load_balancer_available").wait(
            LoadBalancerArns=[arn], WaiterConfig={"Delay": 0.05, "MaxAttempts": 100}
        )
        return self.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]

    def group(self, name: str = "app", **more: Any) -> str:
        settings = {"Protocol": "HTTP", "Port": 80, "VpcId": NETWORK, "TargetType": "ip"} | more
        settings = {key: value for key, value in settings.items() if value is not None}
        return str(self.elb.create_target_group(Name=name, **settings)["TargetGroups"][0]["TargetGroupArn"])

    def listen(self, balancer: str, group: str, **more: Any) -> str:
        settings = {
            "Protocol": "HTTP",
            "Port": self.port,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
        } | more
        return str(
            self.elb.create_listener(LoadBalancerArn=balancer, **settings)["Listeners"][0]["ListenerArn"]
        )

    def join(self, group: str, *members: Backend) -> None:
        self.elb.register_targets(
            TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": one.port} for one in members]
        )

    def states(self, group: str) -> dict[int, str]:
        found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {one["Target"].get("Port", 0): one["TargetHealth"]["State"] for one in found}

    def all_are(self, group: str, state: str, count: int) -> None:
        until(lambda: list(self.states(group).values()) == [state] * count, f"{count} targets {state}")

    def ask(
        self,
        host: str,
        path: str = "/",
        *,
        port: int = 0,
        headers: dict[str, str] | None = None,
        method: str = "GET",
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """One request to the shared port, meant for a load balancer by its name."""
        asking = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=20)
        try:
            asking.request(method, path, headers={"Host": host, **(headers or {})})
            answer = asking.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            asking.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    process = ElbProcess(tmp_path / "data")
    process.start()
    yield Site(process)
    process.stop()


def test_requests_are_spread_over_healthy_targets_and_those_that_fail_are_left_out(site: Site) -> None:
    with backends("one", "two") as (one, two):
        web, group = site.balancer(), site.group(HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one, two)
        site.all_are(group, "healthy", 2)
        got = Counter(site.ask(web["DNSName"])[1] for _ in range(20))
        assert got == {"one": 10, "two": 10}
        two.status = 500
        until(lambda: site.states(group)[two.port] == "unhealthy", "the second is unhealthy")
        told = site.elb.describe_target_health(
            TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": two.port}]
        )["TargetHealthDescriptions"][0]["TargetHealth"]
        assert told == {
            "State": "unhealthy",
            "Reason": "Target.ResponseCodeMismatch",
            "Description": "Health checks failed with these codes: [500]",
        }
        assert {site.ask(web["DNSName"])[1] for _ in range(10)} == {"one"}


def test_a_target_sees_who_asked_and_the_own_address_answers_too(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        site.ask(web["DNSName"], "/a?b=c", headers={"X-Forwarded-For": "1.2.3.4"})
        path, headers = one.seen[-1]
        assert path == "/a?b=c"
        assert headers["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1"
        assert headers["X-Forwarded-Proto"] == "http"
        assert headers["X-Forwarded-Port"] == str(site.port)
        assert headers["X-Amzn-Trace-Id"].startswith("Root=1-")
        through_the_door = site.ask(web["DNSName"], port=site.process.port)
        assert through_the_door[:2] == (200, "one")


def test_rules_redirect_answer_and_choose_target_groups(site: Site) -> None:
    with backends("plain", "api") as (plain, api):
        web = site.balancer()
        groups = site.group("plain"), site.group("api")
        listener = site.listen(web["LoadBalancerArn"], groups[0])
        for group, member in zip(groups, (plain, api), strict=True):
            site.join(group, member)
        site.elb.create_rule(
            ListenerArn=listener,
            Priority=10,
            Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": groups[1]}],
        )
        site.elb.create_rule(
            ListenerArn=listener,
            Priority=20,
            Conditions=[{"Field": "path-pattern", "Values": ["/old"]}],
            Actions=[
                {"Type": "redirect", "RedirectConfig": {"Path": "/new/#{host}", "StatusCode": "HTTP_301"}}
            ],
        )
        site.elb.create_rule(
            ListenerArn=listener,
            Priority=5,
            Conditions=[
                {
                    "Field": "http-header",
                    "HttpHeaderConfig": {"HttpHeaderName": "X-Test", "Values": ["on*"]},
                }
            ],
            Actions=[
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {
                        "StatusCode": "418",
                        "MessageBody": "short",
                        "ContentType": "text/plain",
                    },
                }
            ],
        )
        for group in groups:
            site.all_are(group, "healthy", 1)
        name = web["DNSName"]
        assert site.ask(name, "/")[1] == "plain"
        assert site.ask(name, "/api/x")[1] == "api"
        status, _, headers = site.ask(name, "/old?a=1")
        assert (status, headers["Location"]) == (301, f"http://{name}:{site.port}/new/{name}?a=1")
        assert site.ask(name, "/api/x", headers={"x-test": "ON"})[:2] == (418, "short")


def test_a_target_that_is_deregistered_finishes_its_request_and_then_is_gone(site: Site) -> None:
    with backends("one", "two") as (one, two):
        web, group = site.balancer(), site.group()
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        one.gate.clear()
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(site.ask(web["DNSName"])))
        asking.start()
        assert one.waiting.acquire(timeout=20)
        site.join(group, two)
        until(lambda: site.states(group)[two.port] == "healthy", "the second is healthy")
        site.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": one.port}])
        assert site.states(group)[one.port] == "draining"
        assert {site.ask(web["DNSName"])[1] for _ in range(6)} == {"two"}
        assert site.states(group)[one.port] == "draining"
        one.gate.set()
        asking.join(20)
        assert answers[0][:2] == (200, "one")
        until(lambda: list(site.states(group)) == [two.port], "the first is gone")


def test_everything_is_there_after_a_kill(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        listener = site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        site.process.kill()
        with pytest.raises(ConnectionRefusedError):
            site.ask(web["DNSName"])
        site.process.start()
        site.elb = site.process.client()
        assert site.states(group) == {one.port: "healthy"}
        assert site.elb.describe_load_balancers()["LoadBalancers"] == [web]
        assert site.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["Port"] == site.port

        def answers() -> bool:
            try:
                return site.ask(web["DNSName"])[:2] == (200, "one")
            except ConnectionRefusedError:
                return False

        until(answers, "it listens again")


def test_a_killed_server_finishes_what_was_draining(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        one.gate.clear()

        def ask() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):  # it is cut by the kill
                site.ask(web["DNSName"])

        asking = threading.Thread(target=ask)
        asking.start()
        assert one.waiting.acquire(timeout=20)
        site.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": one.port}])
        site.process.kill()
        asking.join(20)
        site.process.start()
        site.elb = site.process.client()
        until(lambda: site.states(group) == {}, "the target is gone")


def test_clients_come_back_to_their_target(site: Site) -> None:
    with backends("one", "two") as (one, two):
        web, group = site.balancer(), site.group()
        site.elb.modify_target_group_attributes(
            TargetGroupArn=group, Attributes=[{"Key": "stickiness.enabled", "Value": "true"}]
        )
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one, two)
        site.all_are(group, "healthy", 2)
        status, first, headers = site.ask(web["DNSName"])
        assert status == 200
        cookie = next(value for value in headers.get_all("Set-Cookie") if value.startswith("AWSALB="))
        sent = {"Cookie": f"x=1; {cookie.split(';')[0]}"}
        assert {site.ask(web["DNSName"], headers=sent)[1] for _ in range(8)} == {first}
        assert {site.ask(web["DNSName"])[1] for _ in range(8)} == {"one", "two"}


def test_functions_are_targets(site: Site) -> None:
    web = site.balancer()
    group = site.group(TargetType="lambda", Protocol=None, Port=None, VpcId=None)
    site.listen(web["LoadBalancerArn"], group)
    assert site.ask(web["DNSName"])[0] == 503
    site.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": FUNCTION}])
    until(lambda: site.ask(web["DNSName"], "/x", method="DELETE")[:2] == (200, "DELETE /x "), "it answers")
    assert site.states(group) == {0: "unavailable"}


def test_https_shows_the_certificate_that_the_client_asks_for(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        arn = "arn:aws:acm:us-east-1:000000000000:certificate/{}"
        listener = site.listen(
            web["LoadBalancerArn"],
            group,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": arn.format("first.example.com")}],
        )
        site.elb.add_listener_certificates(
            ListenerArn=listener, Certificates=[{"CertificateArn": arn.format("second.example.com")}]
        )
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        address = socket.gethostbyname(_address(site))

        def subject(name: str) -> str:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with (
                socket.create_connection((address, site.port), 20) as plain,
                context.wrap_socket(plain, server_hostname=name) as secure,
            ):
                secure.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while piece := secure.recv(4096):
                    answer += piece
                assert answer.endswith(b"one"), answer
                der = secure.getpeercert(binary_form=True)
                assert der is not None
                return "second" if b"second.example.com" in der else "first"

        assert subject("second.example.com") == "second"
        assert subject("first.example.com") == "first"
        assert subject("other.example.com") == "first"
        assert one.seen[-1][1]["X-Forwarded-Proto"] == "https"


def test_a_network_load_balancer_passes_connections_on(site: Site) -> None:
    with backends("one") as (one,):
        net = site.balancer(Type="network")
        group = site.group(Protocol="TCP")
        site.listen(net["LoadBalancerArn"], group, Protocol="TCP")
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        with socket.create_connection((_address(site), site.port), 20) as plain:
            plain.sendall(b"GET /tcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := plain.recv(4096):
                answer += piece
        assert answer.endswith(b"one")
        assert "X-Forwarded-For" not in one.seen[-1][1]


def test_a_network_load_balancer_stands_before_an_application_one(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        net = site.balancer("net", Type="network")
        front = site.group("front", TargetType="alb", Protocol="TCP", Port=site.port)
        other = free_port()
        site.listen(net["LoadBalancerArn"], front, Protocol="TCP", Port=other)
        site.elb.register_targets(TargetGroupArn=front, Targets=[{"Id": web["LoadBalancerArn"]}])
        site.all_are(front, "healthy", 1)
        assert site.ask("any", port=other)[:2] == (200, "one")


def test_a_listener_changes_its_protocol_its_port_and_its_certificate(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        listener = site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        arn = "arn:aws:acm:us-east-1:000000000000:certificate/{}"

        def secure(name: str) -> None:
            site.elb.modify_listener(
                ListenerArn=listener,
                Protocol="HTTPS",
                Certificates=[{"CertificateArn": arn.format(name)}],
            )
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with (
                socket.create_connection(("127.0.0.1", site.port), 20) as plain,
                context.wrap_socket(plain, server_hostname="x") as wrapped,
            ):
                assert name.encode() in (wrapped.getpeercert(binary_form=True) or b"")

        secure("first.example.com")
        secure("second.example.com")
        moved = free_port()
        site.elb.modify_listener(ListenerArn=listener, Protocol="HTTP", Port=moved)
        assert site.ask(web["DNSName"], port=moved)[:2] == (200, "one")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.port), 20)


def test_rules_change_without_a_failed_request(site: Site) -> None:
    with backends("one", "two") as (one, two):
        web = site.balancer()
        groups = [site.group("one"), site.group("two")]
        listener = site.listen(web["LoadBalancerArn"], groups[0])
        site.join(groups[0], one)
        site.join(groups[1], two)
        site.all_are(groups[0], "healthy", 1)
        wrong: list[Any] = []
        stop = threading.Event()

        def ask() -> None:
            asking = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
            while not stop.is_set():
                asking.request("GET", "/", headers={"Host": web["DNSName"]})
                answer = asking.getresponse()
                got = answer.status, answer.read()
                if got not in ((200, b"one"), (200, b"two")):
                    wrong.append(got)
            asking.close()

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for one_client in clients:
            one_client.start()
        try:
            rule = site.elb.create_rule(
                ListenerArn=listener,
                Priority=1,
                Conditions=[{"Field": "path-pattern", "Values": ["/never"]}],
                Actions=[{"Type": "forward", "TargetGroupArn": groups[1]}],
            )["Rules"][0]["RuleArn"]
            site.all_are(groups[1], "healthy", 1)
            for group in (groups[1], groups[0], groups[1]):
                site.elb.modify_listener(
                    ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}]
                )
            site.elb.delete_rule(RuleArn=rule)
            assert site.ask(web["DNSName"])[1] == "two"
        finally:
            stop.set()
            for one_client in clients:
                one_client.join(30)
        assert wrong == []


def test_two_load_balancers_share_a_port_by_name(site: Site) -> None:
    with backends("one", "two") as (one, two):
        made = []
        for name, member in (("first", one), ("second", two)):
            web, group = site.balancer(name), site.group(name)
            site.listen(web["LoadBalancerArn"], group)
            site.join(group, member)
            site.all_are(group, "healthy", 1)
            made.append(web["DNSName"])
        assert [site.ask(name)[1] for name in made] == ["one", "two"]
        status, page, _ = site.ask("localhost")
        assert status == 404
        assert made[0].lower() in page
        site.elb.delete_load_balancer(
            LoadBalancerArn=site.elb.describe_load_balancers(Names=["first"])["LoadBalancers"][0][
                "LoadBalancerArn"
            ]
        )
        until(lambda: site.ask("localhost")[:2] == (200, "two"), "the other has the port for itself")


def test_requests_are_counted_by_load_balancer_and_target_group(site: Site) -> None:
    with backends("one") as (one,):
        web, group = site.balancer(), site.group()
        site.listen(web["LoadBalancerArn"], group)
        site.join(group, one)
        site.all_are(group, "healthy", 1)
        for _ in range(3):
            site.ask(web["DNSName"])

        def figures() -> Any:
            return json.loads(site.ask("localhost", "/_test/figures", port=site.process.port)[1])

        until(lambda: figures().get(group) == [3, {"2XX": 3}], "three requests of the target group")
        assert figures()[web["LoadBalancerArn"]] == [3, {"2XX": 3}]


def test_subnets_networks_and_certificates_come_from_ec2_acm_and_iam(tmp_path: Path) -> None:
    process = ElbProcess(tmp_path / "data", "moto")
    process.start()
    try:
        elb, ec2, acm, iam = (process.client(name) for name in ("elbv2", "ec2", "acm", "iam"))
        network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=network, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("ab")
        ]
        ec2.create_tags(Resources=subnets, Tags=[{"Key": "a", "Value": "<b>"}])
        web = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]
        assert web["VpcId"] == network
        assert [zone["ZoneName"] for zone in web["AvailabilityZones"]] == ["us-east-1a", "us-east-1b"]
        with pytest.raises(elb.exceptions.SubnetNotFoundException):
            elb.create_load_balancer(Name="no", Subnets=[subnets[0], "subnet-0123456789abcdef0"])
        group = {"Name": "app", "Protocol": "HTTP", "Port": 80, "TargetType": "ip"}
        with pytest.raises(elb.exceptions.ClientError, match="The VPC ID 'vpc-1' is not found"):
            elb.create_target_group(**group, VpcId="vpc-1")
        elb.create_target_group(**group, VpcId=network)

        text, key = self_signed(("*.iam.example.com",), SystemClock.now())
        iam.upload_server_certificate(ServerCertificateName="site", CertificateBody=text, PrivateKey=key)
        arns = {
            "iam.example.com": iam.get_server_certificate(ServerCertificateName="site")["ServerCertificate"][
                "ServerCertificateMetadata"
            ]["Arn"],
            "acm.example.com": acm.request_certificate(DomainName="acm.example.com")["CertificateArn"],
        }
        action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
        for name, arn in arns.items():
            port = free_port()
            elb.create_listener(
                LoadBalancerArn=web["LoadBalancerArn"],
                Protocol="HTTPS",
                Port=port,
                Certificates=[{"CertificateArn": arn}],
                DefaultActions=[action],
            )
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with (
                socket.create_connection(("127.0.0.1", port), 20) as plain,
                context.wrap_socket(plain, server_hostname=name) as secure,
            ):
                assert name.encode() in (secure.getpeercert(binary_form=True) or b"")
        gone = "arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
        with pytest.raises(elb.exceptions.CertificateNotFoundException):
            elb.create_listener(
                LoadBalancerArn=web["LoadBalancerArn"],
                Protocol="HTTPS",
                Port=1,
                Certificates=[{"CertificateArn": gone}],
                DefaultActions=[action],
            )
    finally:
        process.stop()


def _address(site: Site) -> str:
    """Where the only load balancer listens, as the stand-in for the machine gives it."""
    (one,) = site.elb.describe_load_balancers()["LoadBalancers"]
    return loopback(f"elb-{one['LoadBalancerArn'].rpartition('/')[2]}")
