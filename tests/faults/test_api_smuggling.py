"""Requests that two readers could read differently, sent to APIs: they are refused, and no backend sees a second one.

/secret is on no route; so no backend may ever be asked for it, whatever is sent.
"""

from collections.abc import Iterator

import pytest
from tests.api_torture_kit import Attacked, json_of, statuses

EVIL = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("smuggling"))
    yield made
    made.close()


def post(*lines: bytes, body: bytes, first: bytes = b"POST @PATH@ HTTP/1.1") -> bytes:
    return b"\r\n".join([first, b"Host: @HOST@", *lines, b"", body])


CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d" % len(EVIL)
ENDED = b"0\r\n\r\n" + EVIL
REFUSED = {
    "length and chunks": post(b"Content-Length: 5", CHUNKED, body=ENDED),
    "chunks and length": post(CHUNKED, b"Content-Length: 5", body=ENDED),
    "chunks and length of small letters": post(b"transfer-encoding: chunked", b"content-length: 5", body=ENDED),
    "two lengths": post(b"Content-Length: 0", LENGTH, body=EVIL),
    "two lengths that agree": post(LENGTH, LENGTH, body=EVIL),
    "two lengths in one": post(b"Content-Length: 0, %d" % len(EVIL), body=EVIL),
    "a length with a sign": post(b"Content-Length: +0", body=EVIL),
    "a length that is negative": post(b"Content-Length: -1", body=EVIL),
    "a length in hexadecimal": post(b"Content-Length: 0x0", body=EVIL),
    "a length with a gap": post(b"Content-Length: 0 0", body=EVIL),
    "a length of nothing": post(b"Content-Length:", body=EVIL),
    "a length beyond all": post(b"Content-Length: 99999999999999999999", body=EVIL),
    "a space before the colon": post(b"Transfer-Encoding : chunked", body=ENDED),
    "a tab before the colon": post(b"Content-Length\t: 5", body=ENDED),
    "a space before the name": post(b" Transfer-Encoding: chunked", body=ENDED),
    "another coding": post(b"Transfer-Encoding: xchunked", LENGTH, body=EVIL),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=ENDED),
    "chunked and no more": post(b"Transfer-Encoding: chunked, identity", body=ENDED),
    "gzip and chunked": post(b"Transfer-Encoding: gzip, chunked", body=ENDED),
    "two codings": post(b"Transfer-Encoding: identity", CHUNKED, body=ENDED),
    "a coding in quotes": post(b'Transfer-Encoding: "chunked"', body=ENDED),
    "a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=ENDED),
    "a folded line": post(b"Transfer-Encoding:\r\n chunked", body=ENDED),
    "a folded line with a tab": post(b"X: a\r\n\tTransfer-Encoding: chunked", body=ENDED),
    "bare line feeds": b"POST @PATH@ HTTP/1.1\nHost: @HOST@\nContent-Length: 0\n\n" + EVIL,
    "a line feed in a value": post(b"X: a\nContent-Length: 5", body=EVIL),
    "a carriage return in a value": post(b"X: a\rTransfer-Encoding: chunked", body=EVIL),
    "a zero in a value": post(b"X: a\0b", body=EVIL),
    "a zero in a name": post(b"X\0: a", body=EVIL),
    "a header without a name": post(b": a", body=EVIL),
    "a header without a colon": post(b"X", body=EVIL),
    "chunks of old": post(CHUNKED, body=ENDED, first=b"POST @PATH@ HTTP/1.0"),
    "a size with a prefix": post(CHUNKED, body=b"0x0\r\n\r\n" + EVIL),
    "a size that is negative": post(CHUNKED, body=b"-1\r\n\r\n" + EVIL),
    "a size with blanks before": post(CHUNKED, body=b" 0\r\n\r\n" + EVIL),
    "a size beyond all": post(CHUNKED, body=b"fffffffffffffffff\r\nx" + EVIL),
    "no size": post(CHUNKED, body=b"\r\n\r\n" + EVIL),
    "a chunk that is longer": post(CHUNKED, body=b"1\r\nxx\r\n0\r\n\r\n" + EVIL),
    "an extension with a line feed": post(CHUNKED, body=b"0;a\n\r\n\r\n" + EVIL),
    "chunks with bare line feeds": post(CHUNKED, body=b"1\nx\n0\n\n" + EVIL),
    "a trailer with a line feed": post(CHUNKED, body=b"0\r\nX: a\nb\r\n\r\n" + EVIL),
    "no host": b"GET @PATH@ HTTP/1.1\r\n\r\n",
    "two hosts": b"GET @PATH@ HTTP/1.1\r\nHost: @HOST@\r\nHost: y\r\n\r\n",
    "two hosts that agree": b"GET @PATH@ HTTP/1.1\r\nHost: @HOST@\r\nHost: @HOST@\r\n\r\n",
    "a host with a path": b"GET @PATH@ HTTP/1.1\r\nHost: @HOST@/secret\r\n\r\n",
    "a host with a user": b"GET @PATH@ HTTP/1.1\r\nHost: a@@HOST@\r\n\r\n",
    "two hosts in one": b"GET @PATH@ HTTP/1.1\r\nHost: @HOST@, y\r\n\r\n",
    "a host with spaces": b"GET @PATH@ HTTP/1.1\r\nHost: @HOST@ y\r\n\r\n",
    "a host of another script": b"GET @PATH@ HTTP/1.1\r\nHost: \xc3\xa9.@HOST@\r\n\r\n",
    "a target with a line end": b"GET @PATH@\rb HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
    "a target that is no path": b"GET secret HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
    "a target of another scheme": b"GET ftp://@HOST@@PATH@ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with raw bytes": b"GET @PATH@/\xc3\xa9 HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
    "a target with a fragment": b"GET @PATH@#a HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
    "a method of small letters": b"get @PATH@ HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
    "two blanks": b"GET  @PATH@ HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
    "the newer protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the oldest protocol": b"GET @PATH@\r\n\r\n",
    "a handshake of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "an expectation": post(b"Expect: 200-ok", LENGTH, body=EVIL),
    "a tunnel": b"CONNECT secret:80 HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
}  # fmt: skip
PATHS = ("/back/a", "/fn/a", "/mock")


def filled(sent: bytes, host: str, path: str) -> bytes:
    return sent.replace(b"@HOST@", host.encode()).replace(b"@PATH@", path.encode())


@pytest.mark.parametrize("sent", list(REFUSED.values()), ids=list(REFUSED))
def test_what_two_readers_could_read_differently_is_refused(attacked: Attacked, sent: bytes) -> None:
    attacked.backend.reset()
    for host, prefix in attacked.hosts:
        for path in PATHS:
            got = attacked.send(filled(sent, host, prefix + path))
            # A chunked body may break after its head has gone on: then there is one answer, and the connection ends.
            assert len(statuses(got)) <= 1, (path, got[:300])
            assert statuses(got)[:1] in ([400], [405], [417], [505], []), (path, got[:300])
            assert not got or b"\r\nconnection: close\r\n" in got.lower()
    assert not [line for line in attacked.backend.lines if b"secret" in line]
    attacked.alive()


def test_a_body_that_looks_like_a_request_stays_a_body(attacked: Attacked) -> None:
    attacked.backend.reset()
    chunked = b"%x;a=b\r\n%b\r\n0\r\nX-Trailer: 1\r\nContent-Length: 3\r\n\r\n" % (len(EVIL), EVIL)
    for host, prefix in attacked.hosts:
        before = len(attacked.backend.bodies)
        path = f"{prefix}/back/a".encode()
        first = b"POST %b HTTP/1.1" % path
        got = attacked.send(
            filled(post(LENGTH, body=EVIL, first=first), host, "")
            + filled(post(b"transfer-ENCODING:  Chunked ", body=chunked, first=first), host, "")
            + filled(b"GET %b HTTP/1.1\r\nHost: @HOST@\r\nConnection: close\r\n\r\n" % path, host, "")
        )
        assert statuses(got) == [200] * 3, got
        assert attacked.backend.bodies[before:] == [EVIL, EVIL, b""]
        assert not [head for head in attacked.backend.heads if b"x-trailer" in head.lower()]
    attacked.alive()


def test_requests_that_come_together_are_answered_in_their_order(attacked: Attacked) -> None:
    """Also where a slow one comes before a quick one, and APIs of both kinds share the connection."""
    asked = []
    for host, prefix in attacked.hosts * 4:
        asked += [
            (host, f"{prefix}/fn/{len(asked)}"),
            (host, f"{prefix}/back/{len(asked)}"),
            (host, "/none/x"),
        ]
    asked.append((attacked.rest_host, "/dev/mock"))
    sent = b"".join(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for host, path in asked)
    attacked.backend.reset()
    expected = [
        200 if "/none" not in path else 404 if host == attacked.http_host else 403 for host, path in asked
    ]
    assert statuses(attacked.send(sent)) == expected
    attacked.alive()


def test_what_a_client_says_of_the_connection_takes_no_header_away_and_adds_none(attacked: Attacked) -> None:
    attacked.backend.reset()
    for host, prefix in attacked.hosts:
        lines = ("X-Api-Key: k", "X-Forwarded-For: 9.9.9.9", "Connection: x-api-key, x-forwarded-for, host, content-length",
                 "Keep-Alive: 1", "TE: trailers", "Upgrade: h2c", "Proxy-Connection: keep-alive", "Trailer: X-Api-Key")  # fmt: skip
        got = attacked.ask(host, f"{prefix}/back/a", *lines, method="POST", body=b"abc")
        assert statuses(got) == [200]
        assert attacked.backend.headers("x-api-key") == ["k"]
        assert attacked.backend.bodies[-1] == b"abc"
        head = attacked.backend.heads[-1].lower()
        for gone in (b"connection", b"keep-alive", b"te", b"upgrade", b"proxy-connection", b"trailer"):
            assert b"\r\n" + gone + b":" not in head, (gone, head)
        event = json_of(attacked.ask(host, f"{prefix}/fn/a", *lines))
        names = {name.lower(): value for name, value in event["headers"].items()}
        assert names["x-api-key"] == "k"
        assert names["x-forwarded-for"] == "9.9.9.9, 127.0.0.1"
        assert not names.keys() & {"connection", "te", "upgrade", "keep-alive", "transfer-encoding"}
    attacked.alive()


def test_hosts_are_the_same_however_they_are_written(attacked: Attacked) -> None:
    for host, prefix in attacked.hosts:
        port = attacked.address[1]
        for written in (host.upper(), f"{host}:{port}", f"{host}:80", f"{host}:", f"{host}.", f"{host}.:{port}",
                        host.replace("amazonaws.com", "localhost")):  # fmt: skip
            got = attacked.ask(written, f"{prefix}/fn/a")
            assert statuses(got) == [200], (written, got[:200])
        absolute = (
            f"GET http://{host}{prefix}/fn/a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        assert statuses(attacked.send(absolute.encode())) == [200]
        for stranger in (
            f"{host}.evil.example",
            f"evil.{host}",
            f"x{host}",
            "127.0.0.1",
            "[::1]",
            f"-{host}",
        ):
            got = attacked.ask(stranger, f"{prefix}/fn/a")
            if not (stranger.endswith("evil.example")):  # any domain behind `.execute-api.` will do
                assert statuses(got) != [200], (stranger, got[:200])
    attacked.alive()


def test_an_api_at_its_own_host_gets_its_own_requests(attacked: Attacked) -> None:
    """No path at an API's host leads to the cloud's own pages, to another API, or to an AWS service."""
    for path in ("/_cumulo/health", "/_cumulo/metrics", "/_localstack/health", "/v2/", "/2015-03-31/functions", "/metrics",
                 "/2015-03-31/functions/attacked/invocations", "/2021-11-15/functions/attacked/response-streaming-invocations",
                 f"/_aws/execute-api/{attacked.rest_api}/dev/mock", f"/restapis/{attacked.rest_api}/dev/_user_request_/mock",
                 "/?Action=ListUsers&Version=2010-05-08"):  # fmt: skip
        got = attacked.ask(attacked.http_host, path)
        assert statuses(got) == [404], (path, got[:300])
        assert json_of(got) == {"message": "Not Found"}
        got = attacked.ask(attacked.http_host, path, method="POST", body=b"{}")
        assert (statuses(got), json_of(got)) == ([404], {"message": "Not Found"}), (path, got[:300])
        got = attacked.ask(
            attacked.rest_host, path, "X-Amz-Target: Logs_20140328.DescribeLogGroups", method="POST"
        )
        assert statuses(got) == [403], (path, got[:300])
    attacked.alive()


def test_paths_mean_the_same_to_routes_and_backends(attacked: Attacked) -> None:
    tricks = ("//", "/./", "/../", "/%2e%2e/", "/%2f", "/%00", "/%ff%fe", "/a;b", "/a%20b", "/%0d%0aX-Evil:1", "/" + "a" * 9000,
              "/..%2f..%2fsecret", "/%5c..", "/a?b#".rstrip("#"), "/%", "/%zz", "/a%3fb", "/a%23b", "/é".encode().hex())  # fmt: skip
    for host, prefix in attacked.hosts:
        for trick in tricks:
            attacked.backend.reset()
            got = attacked.ask(host, f"{prefix}/back{trick}")
            assert len(statuses(got)) == 1, (trick, got[:300])
            assert statuses(got)[0] < 500, (trick, got[:300], attacked.backend.lines)
            assert not attacked.backend.faults, (trick, attacked.backend.faults)
            for line in attacked.backend.lines:
                assert line.count(b" ") == 2, (trick, line)
                assert not line.startswith(b"GET /secret"), (trick, line)
            got = attacked.ask(host, f"{prefix}/fn{trick}")
            assert statuses(got)[0] < 500, (trick, got[:300])
    attacked.alive()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "DELETE", "PROPFIND", "X-Y"])
def test_other_methods_are_answered_once(attacked: Attacked, method: str) -> None:
    attacked.backend.reset(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if method == "HEAD" else b"ok")
    )
    for host, prefix in attacked.hosts:
        for path in ("/back/a", "/fn/a"):
            got = attacked.ask(host, prefix + path, method=method)
            assert len(statuses(got)) == 1, got
            assert statuses(got)[0] < 500, got
            if method == "HEAD":
                assert got.endswith(b"\r\n\r\n")
    attacked.alive()


def test_a_client_that_waits_is_told_to_continue_once(attacked: Attacked) -> None:
    for host, prefix in attacked.hosts:
        for path in ("/back/a", "/fn/a"):
            attacked.backend.reset()
            head = f"POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n"
            got = attacked.send(head.encode() + b"Connection: close\r\n\r\n" + b"abc")
            assert statuses(got) in ([200], [100, 200]), got
            assert b"expect" not in b"".join(attacked.backend.heads).lower()
    attacked.alive()


def test_heads_that_are_too_large_are_refused_by_both(attacked: Attacked) -> None:
    for host, prefix in attacked.hosts:
        for path in PATHS:
            if path == "/mock" and not prefix:
                continue
            assert statuses(attacked.ask(host, prefix + path, "X: " + "a" * 10_300)) == [431]
            assert statuses(attacked.ask(host, prefix + path, "X: " + "a" * 1_100_000)) == [431]
            assert statuses(attacked.ask(host, prefix + path, *(f"X-{at}: 1" for at in range(300)))) == [431]
            assert statuses(attacked.ask(host, prefix + path, *("X: 1" for at in range(199)))) in (
                [200],
                [431],
            )
    attacked.alive()
