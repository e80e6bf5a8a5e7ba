"""DNS messages: whatever comes in is a question or refused; whatever goes out can be read."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines.local import dns
from cumulo.engines.local.names import Names
from cumulo.engines.local.upstream import HostServers, parse_resolv_conf

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join).filter(lambda name: len(name) < 250)


def question(
    name: str, kind: int = dns.A, number: int = 1, flags: int = 0x0100, family: int = dns.IN
) -> bytes:
    header = struct.pack("!6H", number, flags, 1, 0, 0, 0)
    return header + dns.encoded(dns.labels(name)) + struct.pack("!2H", kind, family)


@given(st.binary(max_size=600))
def test_any_bytes_are_a_question_or_malformed(message: bytes) -> None:
    try:
        found = dns.parse(message)
    except dns.Malformed as error:
        refusal = b"" if error.code is None else dns.failure(message, error.code)
    else:
        refusal = None
    if refusal is not None:
        assert len(refusal) in (0, 12)
        return
    assert message.startswith(found.raw)
    assert len(dns.build(found, dns.Answer(data=(b"abcd",) * 100))) <= max(512, len(found.raw))


@given(NAME, st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))
def test_a_question_is_read_as_it_was_asked(name: str, kind: int, number: int, family: int) -> None:
    found = dns.parse(question(name, kind, number, family=family))
    assert (found.name, found.kind, found.number, found.family) == (dns.labels(name), kind, number, family)
    assert dns.parse(question(name.upper(), kind)).name == found.name


@given(NAME, st.data())
def test_a_question_that_is_cut_anywhere_is_malformed(name: str, data: st.DataObject) -> None:
    message = question(name)
    cut = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(dns.Malformed):
        dns.parse(message[:cut])


@given(NAME, st.binary(min_size=1, max_size=4))
def test_any_changed_byte_neither_hangs_nor_breaks(name: str, noise: bytes) -> None:
    message = bytearray(question(name))
    for at, byte in enumerate(noise):
        message[(byte * 7 + at) % len(message)] ^= byte
    try:
        dns.parse(bytes(message))
    except dns.Malformed:
        return


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", None),
        (struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0), None),
        (struct.pack("!6H", 1, 0x2800, 1, 0, 0, 0), dns.NOT_IMPLEMENTED),
        (struct.pack("!6H", 1, 0, 0, 0, 0, 0), dns.FORMAT_ERROR),
        (struct.pack("!6H", 1, 0, 2, 0, 0, 0), dns.FORMAT_ERROR),
        (struct.pack("!6H", 1, 0, 1, 1, 0, 0), dns.FORMAT_ERROR),
        (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", dns.FORMAT_ERROR),  # points to itself
        (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", dns.FORMAT_ERROR),
        (struct.pack("!6H", 1, 0, 1, 0, 0, 0) + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1", dns.FORMAT_ERROR),
        (question("a") + b"\0" * 5000, dns.FORMAT_ERROR),
    ],
)
def test_what_is_no_question_gets_the_right_refusal(message: bytes, code: int | None) -> None:
    with pytest.raises(dns.Malformed) as caught:
        dns.parse(message)
    assert caught.value.code == code


@given(NAME, st.lists(st.binary(min_size=4, max_size=4), max_size=60))
def test_an_answer_holds_the_question_and_as_much_as_fits(name: str, data: list[bytes]) -> None:
    asked = dns.parse(question(name, number=77))
    message = dns.build(asked, dns.Answer(data=tuple(data)))
    number, flags, questions, answers, authorities, more = struct.unpack_from("!6H", message)
    assert (number, questions, authorities, more) == (77, 1, 0, 0)
    assert flags & 0x8580 == 0x8580  # an answer, with authority, recursion desired and available
    assert bool(flags & 0x0200) == (answers < len(data))
    assert len(message) == len(asked.raw) + 16 * answers <= 512
    assert dns.is_answer(message, 77, asked)
    whole = dns.build(asked, dns.Answer(data=tuple(data)), 65_535)
    assert struct.unpack_from("!H", whole, 6)[0] == len(data)


def test_only_the_answer_to_the_very_question_counts() -> None:
    asked = dns.parse(question("a.example", number=5))
    good = dns.build(asked, dns.Answer(data=(b"abcd",)))
    assert dns.is_answer(good, 5, asked)
    assert dns.is_answer(good.replace(b"example", b"eXAMple"), 5, asked)
    assert not dns.is_answer(good, 6, asked)
    assert not dns.is_answer(asked.raw, 5, asked)
    assert not dns.is_answer(dns.build(dns.parse(question("b.example", number=5)), dns.Answer()), 5, asked)
    assert not dns.is_answer(b"\0" * 5, 5, asked)
    assert dns.is_answer(dns.failure(asked.raw, dns.REFUSED), 5, asked)
    assert not dns.is_answer(dns.failure(asked.raw, dns.NO_ERROR), 5, asked)


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "ä"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name|codec"):
        dns.labels(name)


def test_names_answer_for_pods_and_for_nothing_else() -> None:
    names = Names()
    names.serve(200)
    names.put("a", ("web", "WEB", "a"), "10.200.0.2")
    names.put("b", ("web",), "10.200.0.3")

    def ask(name: str, kind: int = dns.A, family: int = dns.IN) -> dns.Answer | None:
        return names.answer(dns.parse(question(name, kind, 0, family=family)))

    assert ask("A") == dns.Answer(data=(socket.inet_aton("10.200.0.2"),))
    assert ask("web") == dns.Answer(data=(socket.inet_aton("10.200.0.2"), socket.inet_aton("10.200.0.3")))
    assert ask("web", dns.AAAA) == dns.Answer()
    assert ask("web.example") is None
    assert ask("web", family=3) is None
    assert ask("2.0.200.10.in-addr.arpa", dns.PTR) == dns.Answer(kind=dns.PTR, data=(b"\1a\0",))
    assert ask("9.0.200.10.in-addr.arpa", dns.PTR) == dns.Answer(code=dns.NO_SUCH_NAME)
    assert ask("2.0.201.10.in-addr.arpa", dns.PTR) is None
    names.drop("a")
    names.drop("a")
    assert ask("a") is None
    assert ask("web") == dns.Answer(data=(socket.inet_aton("10.200.0.3"),))


def test_a_pod_that_is_put_again_has_its_new_names_alone() -> None:
    names = Names()
    names.put("a", ("old",), "10.200.0.2")
    names.put("a", ("new",), "10.200.0.9")
    assert names.answer(dns.parse(question("old"))) is None
    assert names.answer(dns.parse(question("new"))) == dns.Answer(data=(socket.inet_aton("10.200.0.9"),))


def test_a_name_that_is_refused_changes_nothing() -> None:
    names = Names()
    names.put("a", ("old",), "10.200.0.2")
    with pytest.raises(ValueError, match=r"is no name|codec"):
        names.put("a", ("x..y",), "10.200.0.9")
    assert names.answer(dns.parse(question("old"))) == dns.Answer(data=(socket.inet_aton("10.200.0.2"),))


def test_the_first_of_several_is_not_always_the_same() -> None:
    assert [dns.rotated((b"a", b"b", b"c"), number)[0] for number in range(4)] == [b"a", b"b", b"c", b"a"]
    assert dns.rotated((), 3) == ()


def test_three_name_servers_are_read_from_resolv_conf() -> None:
    text = "# nameserver 1.1.1.1\nsearch x\nnameserver 10.0.0.1\nnameserver\n nameserver ::1 # x\nnameserver c\nnameserver d"
    assert parse_resolv_conf(text) == ("10.0.0.1", "::1", "c")


def test_resolv_conf_is_read_again_when_it_changes(tmp_path) -> None:
    path = tmp_path / "resolv.conf"
    servers = HostServers(path)
    assert servers() == ()
    path.write_text("nameserver 10.0.0.1\n")
    assert servers() == (("10.0.0.1", 53),)
    other = tmp_path / "new"
    other.write_text("nameserver 10.0.0.2\n")
    other.rename(path)
    assert servers() == (("10.0.0.2", 53),)
