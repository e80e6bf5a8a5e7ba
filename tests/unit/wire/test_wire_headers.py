"""Headers in small letters, and how their sender wrote them."""

from cumulo.wire.http import Headers


def test_names_are_remembered_as_they_came():
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-tEsT: 1\r\nx-test: 2"
    headers = Headers([(b"host", b"a"), (b"x-test", b"1"), (b"x-test", b"2")], head)
    assert headers.written() == {"host": "Host", "x-test": "X-tEsT"}


def test_of_headers_without_a_head_nothing_is_known():
    assert Headers([(b"host", b"a")]).written() == {}


def test_written_headers_are_those_of_a_request_that_nobody_sent():
    headers = Headers.made([("X-One", "ä"), ("Two", "2"), ("two", "3")])
    assert headers.raw == [(b"x-one", b"\xe4"), (b"two", b"2"), (b"two", b"3")]
    assert headers.written() == {"x-one": "X-One", "two": "Two"}
    assert Headers.made([]).written() == {}
