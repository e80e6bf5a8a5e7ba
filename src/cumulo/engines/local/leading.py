"""One rule of nftables in this thread's network namespace, by netlink: what a program would take 10 ms for.

table ip <name> { chain out { type nat hook output priority -100;
    ip daddr <address> tcp dport <port> dnat to <address>:<there> } }
"""

import os
import socket
import struct

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10  # nftables
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_BATCH_BEGIN, _BATCH_END, _ERROR = 0x10, 0x11, 0x2
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 2, 3, 6
_NESTED = 0x8000
_IPV4 = 2
_LOCAL_OUT, _DSTNAT = 3, -100
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_L4PROTO, _TCP = 16, 6
_SECONDS_MAX = 5.0
_HEADER = struct.Struct("=IHHII")
_BYTES_MAX = 65_536


def lead(table: str, address: str, port: int, there: int) -> None:
    """Lead what goes to address:port to another port there, in place of where the table led it before.  OSError."""
    raw = socket.inet_aton(address)
    named = _text(1, table)
    chain = (
        named
        + _text(3, "out")
        + _nest(4, _number(1, _LOCAL_OUT) + _number(2, _DSTNAT & 0xFFFFFFFF))
        + _text(7, "nat")
    )
    rule = _nest(
        4,
        _load(_NETWORK_HEADER, 16, 4)
        + _equals(raw)
        + _expression("meta", _number(1, 1) + _number(2, _L4PROTO))
        + _equals(bytes([_TCP]))
        + _load(_TRANSPORT_HEADER, 2, 2)
        + _equals(struct.pack(">H", port))
        + _set(1, raw)
        + _set(2, struct.pack(">H", there))
        + _expression(
            "nat",
            _number(1, 1) + _number(2, _IPV4) + _number(3, 1) + _number(4, 1) + _number(5, 2) + _number(6, 2),
        ),
    )
    _apply(
        [
            (_NEW_TABLE, _CREATE, named),
            (_DELETE_TABLE, 0, named),
            (_NEW_TABLE, _CREATE, named),
            (_NEW_CHAIN, _CREATE, chain),
            (_NEW_RULE, _CREATE | _APPEND, named + _text(2, "out") + rule),
        ]
    )


def _apply(messages: list[tuple[int, int, bytes]]) -> None:
    """All of them or none."""
    batch = _message(_BATCH_BEGIN, 0, 0, struct.pack(">BBH", 0, 0, _SUBSYSTEM))
    for number, (kind, flags, body) in enumerate(messages, 1):
        head = struct.pack(">BBH", _IPV4, 0, 0)
        batch += _message(_SUBSYSTEM << 8 | kind, flags | _ACK, number, head + body)
    batch += _message(_BATCH_END, 0, 0, struct.pack(">BBH", 0, 0, _SUBSYSTEM))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as link:
        link.settimeout(_SECONDS_MAX)
        link.bind((0, 0))
        link.send(batch)
        acknowledged = 0
        while acknowledged < len(messages):
            answer = link.recv(_BYTES_MAX)
            while len(answer) >= _HEADER.size:
                length, kind, _, _, _ = _HEADER.unpack_from(answer)
                if kind == _ERROR:
                    (code,) = struct.unpack_from("=i", answer, _HEADER.size)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    acknowledged += 1
                answer = answer[max(_HEADER.size, length + 3 & ~3) :]


def _message(kind: int, flags: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, number, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _nest(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, value)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _expression(name: str, data: bytes) -> bytes:
    return _nest(1, _text(1, name) + _nest(2, data))


def _load(base: int, offset: int, length: int) -> bytes:
    """A part of the packet into register 1."""
    return _expression("payload", _number(1, 1) + _number(2, base) + _number(3, offset) + _number(4, length))


def _equals(value: bytes) -> bytes:
    """Whether register 1 has a value."""
    return _expression("cmp", _number(1, 1) + _number(2, 0) + _nest(3, _attribute(1, value)))


def _set(register: int, value: bytes) -> bytes:
    return _expression("immediate", _number(1, register) + _nest(2, _attribute(1, value)))
