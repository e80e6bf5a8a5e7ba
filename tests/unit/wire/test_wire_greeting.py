"""The name that a TLS client asks for, read from its first words."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.wire.greeting import GREETING_BYTES_MAX, NoGreeting, name_asked


def hello(name: str | None, *, alpn: tuple[str, ...] = ("h2", "http/1.1")) -> bytes:
    """What Python's ssl says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake message cut into records of at most so many bytes."""
    message = data[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_the_name_is_read_in_lower_case():
    assert name_asked(hello("API.Example.com")) == "api.example.com"


def test_a_client_may_ask_for_none():
    assert name_asked(hello(None)) == ""


def test_every_part_of_a_greeting_but_the_whole_is_too_little():
    whole = hello("a.example.com")
    assert {name_asked(whole[:size]) for size in range(len(whole))} == {None}
    assert name_asked(whole + b"more") == "a.example.com"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_greeting_may_come_in_many_records(size: int):
    assert name_asked(in_records(hello("a.example.com"), size)) == "a.example.com"


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x80\x2e\x01", b"\x15\x03\x01"]
)
def test_what_is_no_tls_is_told_at_once(data: bytes):
    with pytest.raises(NoGreeting):
        name_asked(data)


def test_a_greeting_that_is_too_long_is_given_up():
    endless = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + b"\x00" * GREETING_BYTES_MAX
    with pytest.raises(NoGreeting):
        name_asked(endless[:GREETING_BYTES_MAX])


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_nothing_that_clients_send_does_more_than_be_refused(junk: bytes, at: int, value: int):
    whole = bytearray(hello("a.example.com"))
    whole[at % len(whole)] = value
    for data in (junk, b"\x16\x03\x01" + junk, bytes(whole), bytes(whole[: at % len(whole)]) + junk):
        try:
            found = name_asked(data)
        except NoGreeting:
            continue
        assert found is None or isinstance(found, str)
