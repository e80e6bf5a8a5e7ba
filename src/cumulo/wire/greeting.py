"""What a TLS client says first (ClientHello), as far as it is needed to choose a certificate: the name it asks for.  Pure."""

from typing import Final

GREETING_BYTES_MAX: Final = 16 * 1024
_RECORD_HEAD: Final = 5
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_BEFORE_SESSION: Final = 4 + 2 + 32  # type and length, version, random


class NoGreeting(Exception):
    """What was sent is not the beginning of TLS."""


def name_asked(data: bytes) -> str | None:
    """The server's name (SNI), lower case; empty when none is asked for, None while too little is here.  NoGreeting."""
    hello = _hello(data)
    if hello is None:
        return None
    try:
        return _name_in(_extensions(hello))
    except IndexError:
        raise NoGreeting from None


def _hello(data: bytes) -> bytes | None:
    """The handshake message, put together from its records; None while a part is missing."""
    whole = bytearray()
    at = 0
    while True:
        if data[at : at + 1] not in (b"", bytes((_HANDSHAKE,))):
            raise NoGreeting
        head = data[at : at + _RECORD_HEAD]
        if len(head) < _RECORD_HEAD:
            break
        length = int.from_bytes(head[3:5], "big")
        if head[1] != 3 or not length:
            raise NoGreeting
        at += _RECORD_HEAD
        whole += data[at : at + length]
        at += length
        if whole[0:1] not in (b"", bytes((_CLIENT_HELLO,))):
            raise NoGreeting
        if len(whole) >= 4 and len(whole) >= 4 + int.from_bytes(whole[1:4], "big"):
            return bytes(whole)
        if at > len(data):
            break
    if len(data) >= GREETING_BYTES_MAX:
        raise NoGreeting
    return None


def _extensions(hello: bytes) -> bytes:
    at = _BEFORE_SESSION
    at += 1 + hello[at]
    at += 2 + _number(hello, at)  # cipher suites
    at += 1 + hello[at]  # compression
    if at == len(hello):
        return b""
    size = _number(hello, at)
    return hello[at + 2 : at + 2 + size]


def _name_in(extensions: bytes) -> str:
    at = 0
    while at < len(extensions):
        kind, size = _number(extensions, at), _number(extensions, at + 2)
        if kind == _SERVER_NAME:
            return _first_name(extensions[at + 4 : at + 4 + size])
        at += 4 + size
    return ""


def _first_name(names: bytes) -> str:
    """The one name of a list: a list length, a type (0: host name), a length, the name."""
    if names[2] != 0:
        return ""
    size = _number(names, 3)
    return names[5 : 5 + size].decode("latin-1").lower().rstrip(".")


def _number(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
