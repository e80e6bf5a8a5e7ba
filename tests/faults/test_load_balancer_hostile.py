"""Enemies of a load balancer: in front of it, and behind it.  Nobody gets past its rules, and nobody breaks it.

/admin is behind a rule that answers 403; so no target may ever be asked for it, whatever is sent.
"""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.elb_kit import FUNCTION, ElbProcess
from tests.stories.test_load_balancers import Site
from tests.support import until

EVIL = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"


class Target:
    """A strict server that remembers what it was asked, and answers as it is told."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.after = b""  # what came after a head with Upgrade
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while head := self._head(stream):
                checks = b"ELB-HealthChecker" in head
                body = self._body(head, stream)
                if checks:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    continue
                self.heads.append(head)
                self.bodies.append(body)
                connection.sendall(self.answer)
                if self.answer.startswith(b"HTTP/1.1 101"):
                    while piece := connection.recv(1000):
                        self.after += piece

    def _head(self, stream: Any) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return b""
            head += line
        return head

    def _body(self, head: bytes, stream: Any) -> bytes:
        lower = head.lower()
        lengths = re.findall(rb"\r\ncontent-length: *(\d+)\r\n", lower)
        chunked = lower.count(b"\r\ntransfer-encoding:")
        assert len(lengths) + chunked <= 1, head
        if not chunked:
            return bytes(stream.read(int(lengths[0])) if lengths else b"")
        body = b""
        while size := int(stream.readline().partition(b";")[0], 16):
            body += stream.read(size)
            assert stream.readline() == b"\r\n"
        while stream.readline() != b"\r\n":
            pass
        return body

    def close(self) -> None:
        self._server.close()

    def header(self, name: str) -> list[str]:
        """The values of a header of the last request."""
        return re.findall(rf"\r\n{name}: *([^\r]*)", self.heads[-1].decode("latin-1"), re.IGNORECASE)


class Stage:
    """A load balancer with one target, whose /admin is forbidden, /go leads away, and /say asks a function."""

    def __init__(self, process: ElbProcess) -> None:
        self.site = Site(process)
        self.target = Target()
        balancer = self.site.balancer()
        self.name, self.arn = str(balancer["DNSName"]), str(balancer["LoadBalancerArn"])
        group = self.site.group()
        self.listener = self.site.listen(self.arn, group)
        self.site.join(group, self.target)  # type: ignore[arg-type]
        function = self.site.group("function", TargetType="lambda", Protocol=None, Port=None, VpcId=None)
        self.site.elb.register_targets(TargetGroupArn=function, Targets=[{"Id": FUNCTION}])
        forbidden = {"StatusCode": "403", "MessageBody": "no", "ContentType": "text/plain"}
        self._rule(1, "/admin*", {"Type": "fixed-response", "FixedResponseConfig": forbidden})
        away = {"Host": "#{host}", "Path": "/to/#{path}", "Query": "#{query}", "StatusCode": "HTTP_302"}
        self._rule(2, "/go*", {"Type": "redirect", "RedirectConfig": away})
        self._rule(3, "/say", {"Type": "forward", "TargetGroupArn": function})
        self.site.all_are(group, "healthy", 1)

    def _rule(self, priority: int, path: str, action: dict[str, Any]) -> None:
        self.site.elb.create_rule(
            ListenerArn=self.listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=[action],
        )

    def send(self, *pieces: bytes, seconds: float = 10.0) -> bytes:
        """All that comes back, until the load balancer closes or says no more for a while."""
        with socket.create_connection(("127.0.0.1", self.site.port), seconds) as client:
            for piece in pieces:
                client.sendall(piece)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            got = b""
            with contextlib.suppress(OSError):
                while piece := client.recv(65536):
                    got += piece
            return got

    def get(self, path: str = "/", *lines: str) -> bytes:
        head = [f"GET {path} HTTP/1.1", f"Host: {self.name}", *lines, "Connection: close"]
        return self.send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))

    def attribute(self, key: str, value: str) -> None:
        self.site.elb.modify_load_balancer_attributes(
            LoadBalancerArn=self.arn, Attributes=[{"Key": key, "Value": value}]
        )

    def alive(self) -> None:
        """It serves, and no target was asked for what is forbidden."""
        self.target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        assert self.get("/after").startswith(b"HTTP/1.1 200 ")
        assert self.get("/admin").startswith(b"HTTP/1.1 403 ")
        lines = [head.partition(b"\r\n")[0] for head in self.target.heads]
        assert not [line for line in lines if b" /admin" in line]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    process = ElbProcess(folder / "data")
    process.start()
    made = Stage(process)
    yield made
    made.target.close()
    process.stop()


def post(*lines: bytes, body: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", *lines, b"", body])


LENGTH = b"Content-Length: %d" % len(EVIL)
AMBIGUOUS = {
    "length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + EVIL),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + EVIL),
    "two lengths": post(b"Content-Length: 0", LENGTH, body=EVIL),
    "two lengths in one": post(b"Content-Length: 0, %d" % len(EVIL), body=EVIL),
    "a length with a sign": post(b"Content-Length: +0", body=EVIL),
    "a length that is negative": post(b"Content-Length: -1", body=EVIL),
    "a length in hexadecimal": post(b"Content-Length: 0x0", body=EVIL),
    "a length with a gap": post(b"Content-Length: 0 0", body=EVIL),
    "a length of nothing": post(b"Content-Length:", body=EVIL),
    "a length beyond all": post(b"Content-Length: 99999999999999999999", body=EVIL),
    "a space before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + EVIL),
    "a space before the name": post(b" Transfer-Encoding: chunked", body=b"0\r\n\r\n" + EVIL),
    "another coding": post(b"Transfer-Encoding: xchunked", LENGTH, body=EVIL),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + EVIL),
    "chunked and no more": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + EVIL),
    "two codings": post(
        b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + EVIL
    ),
    "a coding in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n" + EVIL),
    "a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + EVIL),
    "a folded line": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + EVIL),
    "a bare line feed": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n" + EVIL,
    "a line feed in a value": post(b"X: a\nContent-Length: 5", body=EVIL),
    "a carriage return in a value": post(b"X: a\rTransfer-Encoding: chunked", body=EVIL),
    "a zero in a value": post(b"X: a\0b", body=EVIL),
    "chunks of old": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    "a size with a prefix": post(b"Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + EVIL),
    "a size that is negative": post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n" + EVIL),
    "a size beyond all": post(b"Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\nx" + EVIL),
    "a chunk that is longer": post(b"Transfer-Encoding: chunked", body=b"1\r\nxx\r\n0\r\n\r\n" + EVIL),
    "an extension with a line feed": post(b"Transfer-Encoding: chunked", body=b"0;a\n\r\n\r\n" + EVIL),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: x/admin\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "two hosts in one": b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "a host with spaces": b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
    "an empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "a target with a line end": b"GET /a\rb HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target that is no path": b"GET admin HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target of another scheme": b"GET ftp://x/admin HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with raw bytes": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method of small letters": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "the newer protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the oldest protocol": b"GET /\r\n\r\n",
    "a handshake of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
}


@pytest.mark.parametrize("sent", list(AMBIGUOUS.values()), ids=list(AMBIGUOUS))
def test_what_two_readers_could_read_differently_is_refused(stage: Stage, sent: bytes) -> None:
    before = len(stage.target.heads)
    got = stage.send(sent)
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", got)
    # A chunked body may break after its head has gone on: then its request has no answer, or a refusal.
    assert statuses in ([b"400"], [b"505"], []), got[:300]
    assert b"\r\nconnection: close\r\n" in got.lower() or not got
    assert not [head for head in stage.target.heads[before:] if b" /admin" in head]
    stage.alive()


def test_a_body_that_looks_like_a_request_stays_a_body(stage: Stage) -> None:
    before = len(stage.target.heads)
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL)
    got = stage.send(
        post(LENGTH, body=EVIL)
        + post(b"transfer-ENCODING:  Chunked ", body=chunked)
        + b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert re.findall(rb"HTTP/1\.1 (\d{3})", got) == [b"200"] * 3
    assert stage.target.bodies[before:] == [EVIL, EVIL, b""]
    stage.alive()


def test_requests_that_come_together_each_meet_the_rules(stage: Stage) -> None:
    plain = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    got = stage.send(plain + EVIL + plain + EVIL)
    assert re.findall(rb"HTTP/1\.1 (\d{3})", got) == [b"200", b"403", b"200", b"403"]
    stage.alive()


def test_other_ways_to_write_a_path_are_not_another_path_for_the_target(stage: Stage) -> None:
    for path in ("/%61dmin", "//admin", "/./admin", "/x/../admin", "/ADMIN", "/admin%00", "/;/admin"):
        before = len(stage.target.heads)
        got = stage.get(path)
        line = b"GET %b HTTP/1.1" % path.encode()
        if got.startswith(b"HTTP/1.1 403"):
            continue
        # The rule looks at what was sent, and the target gets the very same.
        assert stage.target.heads[before].startswith(line), path


def test_the_absolute_form_decides_for_rules_and_target_alike(stage: Stage) -> None:
    got = stage.send(b"GET http://evil.example/admin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 403")
    got = stage.send(b"GET http://evil.example/ok HTTP/1.1\r\nHost: good\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200")
    assert stage.target.heads[-1].startswith(b"GET /ok HTTP/1.1\r\n")
    assert stage.target.header("Host") == [f"evil.example:{stage.site.port}"]
    stage.alive()


@pytest.mark.parametrize(
    "path",
    ["/go%0d%0aX-Evil:%201", "/go?a=%0d%0aX-Evil:%201", "/go\tX-Evil:1", "/go%00", "/go/#{query}?#{path}"],
)
def test_a_redirect_has_one_line(stage: Stage, path: str) -> None:
    got = stage.get(path)
    head, _, _ = got.partition(b"\r\n\r\n")
    assert b"\r\nx-evil" not in head.lower()
    assert head.lower().count(b"\r\nlocation:") <= 1
    assert got[9:12] in (b"302", b"400")
    stage.alive()


def test_a_redirect_cannot_be_configured_to_write_headers_or_to_turn_in_circles(stage: Stage) -> None:
    for config in (
        {"Host": "a\r\nSet-Cookie: x=y"},
        {"Path": "/\r\n\r\n<script>"},
        {"Query": "a\r\nb"},
        {"Port": "80\r\n"},
        {"Query": "only=the&query=changes"},
        {},
    ):
        with pytest.raises(ClientError) as caught:
            stage.site.elb.create_rule(
                ListenerArn=stage.listener,
                Priority=99,
                Conditions=[{"Field": "path-pattern", "Values": ["/circle"]}],
                Actions=[{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"} | config}],
            )
        assert caught.value.response["Error"]["Code"] in ("InvalidLoadBalancerAction", "ValidationError")
    with pytest.raises(ClientError):
        stage.site.elb.modify_listener_attributes(
            ListenerArn=stage.listener,
            Attributes=[
                {
                    "Key": "routing.http.response.x_frame_options.header_value",
                    "Value": "DENY\r\nSet-Cookie: x=y",
                }
            ],
        )
    stage.alive()


def test_heads_that_are_too_large_are_told_so(stage: Stage) -> None:
    assert stage.get("/" + "a" * 20_000)[9:12] == b"414"
    assert stage.get("/", "X: " + "a" * 70_000)[9:12] == b"431"
    assert stage.get("/", *(f"X-{number}: 1" for number in range(300)))[9:12] == b"431"
    stage.alive()


def test_many_who_send_slowly_keep_nobody_waiting(stage: Stage) -> None:
    slow = [socket.create_connection(("127.0.0.1", stage.site.port), 10) for _ in range(400)]
    try:
        for number, one in enumerate(slow):
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "[: number % 36 + 1])
        for _ in range(5):
            stage.alive()
    finally:
        for one in slow:
            one.close()


def test_an_upgrade_that_is_refused_opens_no_tunnel(stage: Stage) -> None:
    stage.target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
    asks = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    got = stage.send(asks + EVIL)
    assert re.findall(rb"HTTP/1\.1 (\d{3})", got) == [b"200", b"403"]
    stage.alive()


def test_a_switch_that_nobody_asked_for_opens_no_tunnel(stage: Stage) -> None:
    stage.target.answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    for upgrade in (b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n"):
        got = stage.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n" + EVIL)
        assert got.startswith(b"HTTP/1.1 502"), got[:200]
    assert stage.target.after == b""
    stage.alive()


def test_a_tunnel_that_was_agreed_on_carries_bytes(stage: Stage) -> None:
    stage.target.answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    asks = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stage.site.port), 10) as client:
        client.sendall(asks)
        assert client.recv(1000).startswith(b"HTTP/1.1 101")
        client.sendall(b"ping")
        until(lambda: stage.target.after == b"ping", "the target hears it")
    stage.target.after = b""
    stage.alive()


BAD_TARGETS = {
    "a status without sense": b"HTTP/1.1 99 Low\r\n\r\n",
    "no status line": b"hello\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\nX-Evil: 1\n\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 4000,
}


@pytest.mark.parametrize("answer", list(BAD_TARGETS.values()), ids=list(BAD_TARGETS))
def test_an_answer_that_is_none_is_a_502(stage: Stage, answer: bytes) -> None:
    stage.target.answer = answer
    got = stage.get("/bad")
    assert got.startswith(b"HTTP/1.1 502 "), got[:200]
    assert b"x-evil" not in got.lower()
    stage.alive()


def test_what_a_target_sends_too_much_goes_to_nobody(stage: Stage) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    stage.target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + poison
    assert b"poison" not in stage.get("/one")
    stage.target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    for _ in range(5):
        assert b"poison" not in stage.get("/two")
    stage.alive()


BAD_WORDS: list[Any] = [
    None,
    [],
    "text",
    {},
    {"statusCode": "9" * 5000},
    {"statusCode": 101},
    {"statusCode": 99},
    {"statusCode": 1000},
    {"statusCode": -200},
    {"statusCode": 200.5},
    {"statusCode": True},
    {"statusCode": {"a": 1}},
    {"statusCode": 200, "headers": {"X": "a\r\nX-Evil: 1"}},
    {"statusCode": 200, "headers": {"X-Evil: 1\r\nY": "b"}},
    {"statusCode": 200, "headers": {"X\tY": "b"}},
    {"statusCode": 200, "headers": {"": "b"}},
    {"statusCode": 200, "headers": {"X": "\u2028"}},
    {"statusCode": 200, "headers": {"X": {"y": 1}}},
    {"statusCode": 200, "headers": ["X"]},
    {"statusCode": 200, "body": {"a": 1}},
    {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
]


@pytest.mark.parametrize("said", BAD_WORDS, ids=[json.dumps(one)[:40] for one in BAD_WORDS])
def test_a_function_that_talks_nonsense_is_a_502(stage: Stage, said: Any) -> None:
    got = stage.send(say(json.dumps(said).encode()))
    assert got.startswith(b"HTTP/1.1 502 "), got[:300]
    assert b"x-evil" not in got.lower()
    stage.alive()


def test_functions_do_not_frame_answers_and_cannot_nest_without_end(stage: Stage) -> None:
    headers = {
        "Content-Length": "1",
        "Transfer-Encoding": "chunked",
        "Connection": "keep-alive",
        "Upgrade": "x",
    }
    got = stage.send(say(json.dumps({"statusCode": 200, "headers": headers, "body": "whole"}).encode()))
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"whole"
    assert head.lower().count(b"content-length: 5") == 1
    assert b"transfer-encoding" not in head.lower()
    assert b"upgrade" not in head.lower()
    for junk in (b"[" * 100_000, b'{"statusCode":200,"body":"\\ud800"}', b"\xff\xfe", b"{", b""):
        got = stage.send(say(junk))
        assert got[9:12] in (b"200", b"502"), got[:200]
    stage.alive()


def say(body: bytes) -> bytes:
    head = b"POST /say HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_forged_headers_are_treated_as_the_attribute_says(stage: Stage) -> None:
    forged = (
        "X-Forwarded-For: 1.1.1.1",
        "x-forwarded-for: 2.2.2.2, 3.3.3.3",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
    )
    key = "routing.http.xff_header_processing.mode"
    for mode, expected in (
        ("append", [["1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"]]),
        ("preserve", [["1.1.1.1", "2.2.2.2, 3.3.3.3"]]),
        ("remove", [[]]),
        ("append", [["1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"]]),
    ):
        stage.attribute(key, mode)

        def settled(wanted: list[list[str]] = expected) -> bool:
            stage.get("/forged", *forged)
            return [stage.target.header("X-Forwarded-For")] == wanted

        until(settled, f"the mode is {mode}")
        assert stage.target.header("X-Forwarded-Proto") == ["http"]
        assert stage.target.header("X-Forwarded-Port") == [str(stage.site.port)]
    stage.get("/forged", "Connection: X-Forwarded-For, X-Forwarded-Proto", "X-Forwarded-For: 9.9.9.9")
    assert stage.target.header("X-Forwarded-For") == ["9.9.9.9, 127.0.0.1"]
    assert stage.target.header("X-Forwarded-Proto") == ["http"]
    stage.alive()


def test_too_many_forwarded_addresses_are_a_463(stage: Stage) -> None:
    assert stage.get("/", f"X-Forwarded-For: {', '.join(['1.1.1.1'] * 30)}")[9:12] == b"200"
    assert stage.get("/", f"X-Forwarded-For: {', '.join(['1.1.1.1'] * 31)}")[9:12] == b"463"
    assert stage.get("/", *(["X-Forwarded-For: 1.1.1.1"] * 31))[9:12] == b"463"
    stage.alive()


def test_odd_header_names_go_when_they_shall(stage: Stage) -> None:
    key = "routing.http.drop_invalid_header_fields.enabled"
    stage.get("/odd", "X_Forwarded_For: 1.1.1.1", "X-Good: 1")
    assert stage.target.header("X_Forwarded_For") == ["1.1.1.1"]
    stage.attribute(key, "true")

    def gone() -> bool:
        stage.get("/odd", "X_Forwarded_For: 1.1.1.1", "X-Good: 1")
        return stage.target.header("X_Forwarded_For") == []

    until(gone, "odd names go")
    assert stage.target.header("X-Good") == ["1"]
    stage.attribute(key, "false")
    stage.alive()
