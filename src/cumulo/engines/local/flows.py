"""UDP flows that the kernel remembers.  One that began before a port was mapped, or when it led to another pod, goes
on to the old place for as long as its client sends: so it is forgotten, and the next packet is looked at anew.

By ctnetlink (linux/netfilter/nfnetlink_conntrack.h).
"""

import errno
import os
import socket
import struct
from collections.abc import Collection, Iterator

import msgspec

_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102  # of the subsystem conntrack
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_TUPLE_ORIG, _TUPLE_REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCE, _DESTINATION = 1, 2  # of an address
_NUMBER, _DESTINATION_PORT = 1, 3  # of a protocol
_NESTED, _KIND = 0x8000, 0x3FFF
_GENERAL = struct.pack("BBH", socket.AF_INET, 0, 0)
_SECONDS_MAX = 5.0


class Flow(msgspec.Struct, frozen=True):
    """One of them: who sends to whom, who answers to whom, and how the kernel names it."""

    protocol: int
    source: str
    destination: str
    port: int
    replier: str
    replied: str
    raw: bytes


def is_stale(flow: Flow, ports: Collection[int], address: str) -> bool:
    """Whether it goes to a pod through a mapped port, or to the port itself, as there was no mapping yet.  Pure."""
    if flow.protocol != socket.IPPROTO_UDP or flow.port not in ports:
        return False
    untranslated = flow.replier == flow.destination and flow.replied == flow.source
    return flow.replier == address or untranslated


def forget(ports: Collection[int], address: str) -> None:
    """Forget the flows to these UDP ports of the host and to the pod that has the address.  OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as asking:
        asking.settimeout(_SECONDS_MAX)
        asking.send(_message(_GET, _DUMP, _GENERAL))
        stale = [flow for flow in _dumped(asking, ports) if is_stale(flow, ports, address)]
        for flow in stale:
            asking.send(_message(_DELETE, _ACK, _GENERAL + _attribute(_TUPLE_ORIG | _NESTED, flow.raw)))
            number = -struct.unpack_from("i", asking.recv(65_536), 16)[0]
            if number not in (0, errno.ENOENT):
                raise OSError(number, os.strerror(number))


def _message(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack("IHHII", 16 + len(payload), kind, flags | _REQUEST, 1, 0) + payload


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def _dumped(asking: socket.socket, ports: Collection[int]) -> Iterator[Flow]:
    """The flows to these ports; there may be very many others, which are not looked at more closely."""
    marks = [_attribute(_DESTINATION_PORT, port.to_bytes(2, "big")) for port in ports]
    while True:
        data = asking.recv(65_536)
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("IH", data, at)
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("i", data, at + 16)[0]
                raise OSError(number, os.strerror(number))
            message = data[at + 20 : at + length]
            if any(mark in message for mark in marks):
                flow = parse(message)
                if flow is not None:
                    yield flow
            at += max(16, length + 3 & ~3)


def parse(data: bytes) -> Flow | None:
    """A flow from the attributes of a message; None for what has no ports."""
    attributes = _attributes(data)
    original, reply = attributes.get(_TUPLE_ORIG, b""), attributes.get(_TUPLE_REPLY, b"")
    there, back = _attributes(original), _attributes(reply)
    protocol = _attributes(there.get(_TUPLE_PROTO, b""))
    ours, theirs = _attributes(there.get(_TUPLE_IP, b"")), _attributes(back.get(_TUPLE_IP, b""))
    try:
        return Flow(
            protocol[_NUMBER][0],
            socket.inet_ntoa(ours[_SOURCE]),
            socket.inet_ntoa(ours[_DESTINATION]),
            int.from_bytes(protocol[_DESTINATION_PORT], "big"),
            socket.inet_ntoa(theirs[_SOURCE]),
            socket.inet_ntoa(theirs[_DESTINATION]),
            original,
        )
    except (KeyError, OSError):
        return None


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            break
        found[kind & _KIND] = data[at + 4 : at + length]
        at += length + 3 & ~3
    return found
