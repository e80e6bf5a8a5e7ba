"""How server, warden and cells talk: one JSON object per datagram, with descriptors beside it."""

import json
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MESSAGE_BYTES_MAX = 128 * 1024  # below the kernel's default socket buffer, so that one always fits
DESCRIPTORS_MAX = 128


def encode(message: "dict[str, Any]") -> bytes:
    """The bytes of one message; ValueError when it is too long."""
    raw = json.dumps(message, separators=(",", ":")).encode()
    if len(raw) > MESSAGE_BYTES_MAX:
        raise ValueError(f"a message of {len(raw)} bytes is too long")
    return raw


def send(sock: socket.socket, raw: bytes, fds: "Sequence[int]" = ()) -> None:
    """Send one datagram and the descriptors."""
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
    sock.sendmsg([raw], beside, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The next datagram and its descriptors; no bytes when the other side has gone."""
    room = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
    raw, beside, flags, _ = sock.recvmsg(MESSAGE_BYTES_MAX, room, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, data in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(fds)
        raise ValueError("a datagram was cut short")
    return raw, fds


def decode(raw: bytes) -> "dict[str, Any]":
    """The message in a datagram."""
    message = json.loads(raw)
    assert isinstance(message, dict), "a message is an object"
    return message


def close_all(fds: "Sequence[int]") -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
