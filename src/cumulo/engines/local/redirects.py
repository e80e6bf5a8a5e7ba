"""A port inside a network namespace that leads to another one there, without being taken.

What listens at 169.254.170.2:80 would keep a container from listening at port 80 of every address.  So it listens at a
port that nobody wants, and the kernel leads connections there: one chain of nf_tables for each address and port, by
nfnetlink (linux/netfilter/nf_tables.h), which takes a millisecond where starting nft takes ten.
"""

import os
import socket
import struct
from collections.abc import Iterable

_NETFILTER = 12
_ERROR = 2
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFTABLES = 10
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE, _DELETE_RULE = 0, 3, 6, 8
_IPV4 = 2
_OUTPUT, _PRIORITY = 3, -100
_L4PROTO = 16  # of a packet's facts
_NETWORK, _TRANSPORT = 1, 2  # headers
_DESTINATION_AT, _PORT_AT = 16, 2  # in them
_ADDRESS_REGISTER, _PORT_REGISTER = 1, 2
_DESTINATION_NAT = 1
_NESTED = 0x8000
_TABLE = b"cumulo\0"


def lead(address: str, port: int, to: int) -> None:
    """Lead connections of this thread's namespace to a TCP port of an address to another port of it; in place of where
    they were led before.  OSError.
    """
    chain = f"to_{address}_{port}\0".encode()
    in_chain = _attribute(1, _TABLE) + _attribute(2, chain)
    hook = _attribute(1, struct.pack("!I", _OUTPUT)) + _attribute(2, struct.pack("!i", _PRIORITY))
    _send(
        (
            (_NEW_TABLE, _CREATE, _attribute(1, _TABLE)),
            (
                _NEW_CHAIN,
                _CREATE,
                _attribute(1, _TABLE) + _attribute(3, chain) + _nested(4, hook) + _attribute(7, b"nat\0"),
            ),
            (_DELETE_RULE, 0, in_chain),
            (_NEW_RULE, _CREATE | _APPEND, in_chain + _nested(4, _rule(address, port, to))),
        )
    )


def _rule(address: str, port: int, to: int) -> bytes:
    raw = socket.inet_aton(address)
    return b"".join(
        (
            _expression(b"meta", _number(1, 1) + _number(2, _L4PROTO)),
            _equals(bytes([socket.IPPROTO_TCP])),
            _payload(_NETWORK, _DESTINATION_AT, 4),
            _equals(raw),
            _payload(_TRANSPORT, _PORT_AT, 2),
            _equals(struct.pack("!H", port)),
            _immediate(_ADDRESS_REGISTER, raw),
            _immediate(_PORT_REGISTER, struct.pack("!H", to)),
            _expression(
                b"nat",
                _number(1, _DESTINATION_NAT)
                + _number(2, _IPV4)
                + _number(3, _ADDRESS_REGISTER)
                + _number(5, _PORT_REGISTER),
            ),
        )
    )


def _payload(header: int, offset: int, length: int) -> bytes:
    return _expression(
        b"payload", _number(1, 1) + _number(2, header) + _number(3, offset) + _number(4, length)
    )


def _equals(value: bytes) -> bytes:
    return _expression(b"cmp", _number(1, 1) + _number(2, 0) + _nested(3, _attribute(1, value)))


def _immediate(register: int, value: bytes) -> bytes:
    return _expression(b"immediate", _number(1, register) + _nested(2, _attribute(1, value)))


def _expression(name: bytes, data: bytes) -> bytes:
    return _nested(1, _attribute(1, name + b"\0") + _nested(2, data))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _nested(kind: int, data: bytes) -> bytes:
    return _attribute(kind | _NESTED, data)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _send(messages: Iterable[tuple[int, int, bytes]]) -> None:
    """All of them, or none."""
    batch = _message(_BATCH_BEGIN, 0, 0, socket.AF_UNSPEC, _NFTABLES, b"")
    asked = 0
    for kind, flags, payload in messages:
        asked += 1
        batch += _message(_NFTABLES << 8 | kind, flags | _ACK, asked, socket.AF_INET, 0, payload)
    batch += _message(_BATCH_END, 0, 0, socket.AF_UNSPEC, _NFTABLES, b"")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as asking:
        asking.settimeout(5.0)
        asking.send(batch)
        while asked:
            data = asking.recv(65_536)
            at = 0
            while at + 20 <= len(data):
                length, kind = struct.unpack_from("IH", data, at)
                if kind == _ERROR:
                    number = -struct.unpack_from("i", data, at + 16)[0]
                    if number:
                        raise OSError(number, f"nf_tables: {os.strerror(number)}")
                    asked -= 1
                at += max(16, length + 3 & ~3)


def _message(kind: int, flags: int, number: int, family: int, resource: int, payload: bytes) -> bytes:
    body = struct.pack("!BBH", family, 0, resource) + payload
    return struct.pack("IHHII", 16 + len(body), kind, flags | _REQUEST, number, 0) + body
