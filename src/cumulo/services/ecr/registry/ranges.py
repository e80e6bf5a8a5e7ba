"""Ranges of bytes: what a client wants of a blob, and where a chunk belongs.  Pure."""

import re

import msgspec

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,18})[ \t]*-[ \t]*([0-9]{0,18})[ \t]*")
_CHUNK = re.compile(r"(?:bytes[= ])?[ \t]*([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?")


class Part(msgspec.Struct, frozen=True):
    """`count` bytes from `first` on."""

    first: int
    count: int


class Unsatisfiable(Exception):
    """A range that has no byte in it."""


def part_of(header: str, size: int) -> Part | None:
    """The part that a Range header asks for (RFC 9110, 14).  None: all of it, as for a header that cannot be read and
    for several ranges, which a server may ignore.  Unsatisfiable.
    """
    found = _ONE.fullmatch(header)
    if found is None:
        return None
    first_text, last_text = found.groups()
    if not first_text:
        if not last_text:
            return None
        count = min(int(last_text), size)
        if not count:
            raise Unsatisfiable
        return Part(size - count, count)
    first = int(first_text)
    last = min(int(last_text), size - 1) if last_text else size - 1
    if last_text and int(last_text) < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Part(first, last - first + 1)


def chunk_of(header: str) -> Part | None:
    """Where a chunk belongs: `<first>-<last>`, both inclusive.  None when that cannot be read."""
    found = _CHUNK.fullmatch(header.strip())
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    return Part(first, last - first + 1) if last >= first else None


def received(count: int) -> str:
    """How far an upload has come, in a Range header.  Nothing yet is also `0-0`: there is no other way to say it."""
    return f"0-{max(count - 1, 0)}"
