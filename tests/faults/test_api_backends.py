"""Backends and functions of APIs that answer garbage: clients get one whole answer or a cut connection, never a second one."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.api_torture_kit import Attacked, drained, json_of, statuses
from tests.support import until

INJECTED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("backends"))
    made.route("ANY /quick/{proxy+}", IntegrationUri=made.backend.url + "/{proxy}", TimeoutInMillis=500)
    quick = made.resource("quick")
    made.method(
        quick,
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri=made.backend.url,
        timeoutInMillis=500,
        responses={},
    )
    mapped = {f"method.response.header.X-{name}": f"integration.response.{source}"
              for name, source in (("Header", "header.x-said"), ("Body", "body.said"))}  # fmt: skip
    made.method(
        made.resource("mapped"),
        type="HTTP",
        integrationHttpMethod="GET",
        uri=made.backend.url,
        responses={
            "200": {
                "responseParameters": mapped,
                "responseTemplates": {
                    "application/json": "#set($context.responseOverride.header.X-Set = $input.path('$.said'))ok"
                },
            }
        },
    )
    made.deploy()
    yield made
    made.close()


GARBAGE = {
    "no status line": b"garbage\r\n\r\n",
    "an empty line": b"\r\n\r\n",
    "a status without a version": b"200 OK\r\n\r\n",
    "a newer version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of no digits": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a status of nothing": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status that is negative": b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello" + INJECTED,
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + INJECTED,
    "a length that is negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: 9" + b"9" * 30 + b"\r\n\r\nhello",
    "a length of thousands of digits": b"HTTP/1.1 200 OK\r\nContent-Length: "
    + b"9" * 5000
    + b"\r\n\r\nhello",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "chunked and more": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a carriage return in a value": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
    "a zero in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 20_000,
    "a line without an end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "nothing": b"",
    "a part of a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "a flood of interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 20_000,
}


def once(answer: bytes) -> Callable[[socket.socket], None]:
    """Answer and close."""

    def say(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(answer)

    return say


@pytest.mark.parametrize("answer", list(GARBAGE.values()), ids=list(GARBAGE))
def test_garbage_is_no_answer(attacked: Attacked, answer: bytes) -> None:
    attacked.backend.reset(once(answer))
    for (host, prefix), expected in zip(attacked.hosts, (503, 504), strict=True):
        got = attacked.ask(host, f"{prefix}/back/a")
        assert statuses(got) == [expected], got[:300]
        assert b"message" in got
    attacked.alive()


def test_a_body_that_breaks_off_is_no_whole_answer(attacked: Attacked) -> None:
    for answer in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
    ):
        attacked.backend.reset(once(answer))
        for host, prefix in attacked.hosts:
            got = attacked.ask(host, f"{prefix}/back/a")
            head, _, body = got.partition(b"\r\n\r\n")
            if statuses(got) == [200]:
                assert len(body) < 100 and not body.endswith(b"0\r\n\r\n"), got
            else:
                assert statuses(got) in ([503], [504], []), (head, body)
    attacked.alive()


def test_what_a_backend_says_beyond_its_answer_reaches_nobody(attacked: Attacked) -> None:
    attacked.backend.reset(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + INJECTED)
    for host, prefix in attacked.hosts:
        for _ in range(3):
            got = attacked.ask(host, f"{prefix}/back/a")
            assert statuses(got) == [200], got
            assert b"evil" not in got
    for no_body in (
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
    ):
        attacked.backend.reset(no_body + INJECTED)
        for host, prefix in attacked.hosts:
            for _ in range(3):
                got = attacked.ask(host, f"{prefix}/back/a")
                assert len(statuses(got)) == 1, got
                assert b"evil" not in got
    attacked.alive()


def test_interim_answers_are_passed_over(attacked: Attacked) -> None:
    for early in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"):
        attacked.backend.reset(early * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        for host, prefix in attacked.hosts:
            got = attacked.ask(host, f"{prefix}/back/a")
            assert statuses(got) == [200], got
            assert b"Early" not in got
    attacked.alive()


def test_redirects_are_the_clients(attacked: Attacked) -> None:
    attacked.backend.reset(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    )
    for host, prefix in attacked.hosts:
        got = attacked.ask(host, f"{prefix}/back/a")
        assert statuses(got) == [302]
        assert b"169.254.169.254" in got
        assert len(attacked.backend.heads) == 1
        attacked.backend.heads.clear()
    attacked.alive()


def test_headers_of_backends_concern_their_own_connection(attacked: Attacked) -> None:
    attacked.backend.reset(
        b"HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nUpgrade: h2\r\nContent-Length: 2\r\n"
        b"Trailer: X\r\nProxy-Authenticate: x\r\nX-Odd\x7e!: 1\r\nX-Latin: \xe9\r\n"
        b"X-" + b"n" * 400 + b": 1\r\n\r\nok"
    )
    for host, prefix in attacked.hosts:
        got = attacked.ask(host, f"{prefix}/back/a")
        assert statuses(got) == [200], got[:300]
        head = got.partition(b"\r\n\r\n")[0].lower()
        for gone in (b"keep-alive", b"upgrade", b"trailer"):
            assert b"\r\n" + gone + b":" not in head, head
        assert b"\r\nx-latin: \xe9" in head
    attacked.alive()


def drip(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        for _ in range(2000):
            connection.sendall(b"x")
            time.sleep(0.05)


def silent(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.settimeout(20)
        connection.recv(1)


@pytest.mark.parametrize(
    "answer", [drip, drip_body, silent], ids=["a head in drips", "a body in drips", "silence"]
)
def test_who_is_slow_is_given_up_when_the_time_is_over(
    attacked: Attacked, answer: Callable[[socket.socket], None]
) -> None:
    attacked.backend.reset(answer)
    for (host, path), expected in zip(
        ((attacked.http_host, "/quick/a"), (attacked.rest_host, "/dev/quick")), (503, 504), strict=True
    ):
        began = time.monotonic()
        got = attacked.ask(host, path, seconds=15)
        took = time.monotonic() - began
        assert took < 5.0, (took, got[:300])
        if answer is drip_body and expected == 503:
            assert statuses(got) in ([503], [200])
            assert len(got.partition(b"\r\n\r\n")[2]) < 2000
        else:
            assert statuses(got) == [expected], got[:300]
    until(lambda: not attacked.backend.open, "the backend is left in peace", 10)
    attacked.alive()


def flood(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        while True:
            connection.sendall(piece)


def test_an_answer_without_an_end_ends_at_ten_megabytes(attacked: Attacked) -> None:
    attacked.backend.reset(flood)
    got = attacked.ask(attacked.http_host, "/back/a", seconds=30)
    assert len(got) < 11 * 1024 * 1024
    assert not got.endswith(b"0\r\n\r\n")
    got = attacked.ask(attacked.rest_host, "/dev/back/a", seconds=30)
    assert statuses(got)[0] >= 500, got[:300]
    until(lambda: not attacked.backend.open, "the backend is left in peace", 10)
    attacked.alive()


def test_a_client_that_goes_takes_its_backend_connection_along(attacked: Attacked) -> None:
    attacked.backend.reset(flood)
    clients = []
    for _ in range(20):
        client = socket.create_connection(attacked.address, 10)
        client.sendall(f"GET /back/a HTTP/1.1\r\nHost: {attacked.http_host}\r\n\r\n".encode())
        client.recv(1000)
        clients.append(client)
    until(lambda: attacked.backend.open >= 20, "all are being answered", 10)
    for client in clients:
        client.close()
    until(lambda: not attacked.backend.open, "the backend is left in peace", 20)
    attacked.alive()


def test_a_backend_that_answers_before_the_body_is_there_is_heard(attacked: Attacked) -> None:
    def early(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    server = socket.create_server(("127.0.0.1", 0))
    attacked.route("ANY /early", IntegrationUri=f"http://127.0.0.1:{server.getsockname()[1]}/")

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            early(connection)
            connection.shutdown(socket.SHUT_WR)
            drained(connection)

    threading.Thread(target=serve, daemon=True).start()
    got = attacked.ask(attacked.http_host, "/early", method="POST", body=b"x" * 3_000_000)
    assert statuses(got) == [413], got[:300]
    server.close()
    attacked.alive()


BAD_ANSWERS = {
    "a header that breaks the line": {"headers": {"x": "a\r\nset-cookie: evil=1"}},
    "a header name that breaks the line": {"headers": {"x\r\nset-cookie: evil": "1"}},
    "a header name with a blank": {"headers": {"x y": "1"}},
    "a header name with a colon": {"headers": {"x:y": "1"}},
    "an empty header name": {"headers": {"": "1"}},
    "a header name of another script": {"headers": {"é☃": "1"}},
    "a long header name": {"headers": {"x" * 400: "1"}},
    "a header with a zero": {"headers": {"x": "a\0b"}},
    "a header of another script": {"headers": {"x": "☃é"}},
    "many headers that break the line": {"multiValueHeaders": {"x": ["a", "b\r\n\r\nevil"]}},
    "framing": {"headers": {"content-length": "3", "transfer-encoding": "chunked", "connection": "x"}, "body": "hello"},
    "a length of thousands of digits": {"headers": {"content-length": "9" * 5000}, "body": "hello"},
    "a length in odd digits": {"headers": {"content-length": "²"}, "body": "hello"},
    "a cookie that breaks the line": {"cookies": ["a=b\r\nset-cookie: evil=1"]},
    "a cookie that is none": {"cookies": [None, {}]},
    "a status of an interim answer": {"statusCode": 100},
    "a status of a switch": {"statusCode": 101},
    "a status of text": {"statusCode": "abc"},
    "a status of odd digits": {"statusCode": "²"},
    "a status of wide digits": {"statusCode": "２００"},
    "a status of thousands of digits": {"statusCode": "9" * 5000},
    "a status that is huge": {"statusCode": 10**30},
    "a status that is none": {"statusCode": None},
    "a status that is true": {"statusCode": True},
    "a status that is a fraction": {"statusCode": 200.5},
    "a status that is a whole fraction": {"statusCode": 200.0},
    "a status that is a list": {"statusCode": [200]},
    "headers that are a list": {"headers": ["a"]},
    "headers that are a text": {"headers": "a: b"},
    "a body that is an object": {"body": {"a": 1}},
    "a body that is no base64": {"body": "%%%", "isBase64Encoded": True},
    "lone surrogates": {"body": "\ud800", "headers": {"x": "\ud800"}},
    "what nobody knows": {"evil": 1, "statusCode": 200},
}  # fmt: skip


@pytest.mark.parametrize("answer", list(BAD_ANSWERS.values()), ids=list(BAD_ANSWERS))
@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_a_function_cannot_break_its_answer(
    attacked: Attacked, answer: dict[str, object], method: str
) -> None:
    said = {"statusCode": 200, **answer}
    for host, path in (
        (attacked.http_host, "/fn"),
        (attacked.http_host, "/old"),
        (attacked.rest_host, "/dev/fn"),
    ):
        got = attacked.says(host, path.removesuffix("/fn") if path != "/old" else "", said, method=method)
        if path == "/old":
            got = attacked.ask(host, "/old/x?answer=1", method=method, body=json.dumps(said).encode())
        assert len(statuses(got)) == 1, (path, got[:300])
        assert b"evil=1" not in got.lower().replace(b"x: a  set-cookie: evil=1", b"").replace(
            b"x: aset-cookie: evil=1", b""
        ), (path, got)
        assert b"InternalFailure" not in got, (path, got)
        assert statuses(got)[0] in (200, 500, 502), got[:300]
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.lower().count(b"\r\ncontent-length:") == 1, got[:300]
        if method != "HEAD":
            length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
            assert len(body) == length, got[:300]
    attacked.alive()


def test_mapped_values_are_one_line(attacked: Attacked) -> None:
    said = '{"said": "a\\r\\nSet-Cookie: evil=1\\r\\n\\r\\nHTTP/1.1 200 OK \\u2603 \\u0000"}'
    answer = (
        b"HTTP/1.1 200 OK\r\nX-Said: one\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(said)
    )
    attacked.backend.reset(answer + said.encode())
    got = attacked.ask(attacked.rest_host, "/dev/mapped")
    assert statuses(got)[0] == 200, got
    assert b"\r\nset-cookie" not in got.lower()
    assert got.partition(b"\r\n\r\n")[2] == b"ok"
    attacked.alive()


def test_json_of_backends_can_be_anything(attacked: Attacked) -> None:
    for body in (b"[" * 100_000, b'{"said":' * 50_000, b"nul", b"1e999999", b'"\\ud800"', b"\xff\xfe", b'{"said": NaN}',
                 b"9" * 100_000, b'{"said": ' + b"9" * 100_000 + b"}"):  # fmt: skip
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
            body
        )
        attacked.backend.reset(answer + body)
        got = attacked.ask(attacked.rest_host, "/dev/mapped")
        assert len(statuses(got)) == 1, (body[:20], got[:200])
        assert b"InternalFailure" not in got, (body[:20], got[:300])
    assert json_of(attacked.ask(attacked.rest_host, "/dev/mock")) == {"mock": True}
    attacked.alive()
