"""The little of DNS (RFC 1035) that a name server for pods speaks: bytes to questions, answers to bytes.  Pure.

A question's name may not be compressed (nothing precedes it that it could point to), so there are no loops to fall
into; everything else of a message is passed on as it is.
"""

import struct
from collections.abc import Sequence
from typing import TypeVar

import msgspec

PORT = 53
HEADER = 12
QUERY_MAX = 4096  # bytes of a question that we look at
UDP_MAX = 512  # bytes of an answer over UDP

A, PTR, AAAA, ANY = 1, 12, 28, 255
IN = 1

NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = range(6)

_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_TO_NAME = struct.pack("!H", 0xC000 | HEADER)  # the question's name

_Datum = TypeVar("_Datum")
Labels = tuple[bytes, ...]  # of a name, in lower case, without the root's empty one


class Malformed(Exception):
    """Not a question.  `code` is what to answer; None when nothing should be answered."""

    def __init__(self, code: int | None) -> None:
        super().__init__("not a DNS question")
        self.code = code


class Question(msgspec.Struct, frozen=True):
    """What is asked.  `raw` is the message up to the end of the question."""

    number: int
    flags: int
    name: Labels
    kind: int
    family: int
    raw: bytes


class Answer(msgspec.Struct, frozen=True):
    """What is known.  No data with NO_ERROR: the name exists, but has nothing of the kind."""

    code: int = NO_ERROR
    kind: int = A
    data: tuple[bytes, ...] = ()
    ttl: int = 1  # seconds: pods come and go


def parse(message: bytes) -> Question:
    """The question of a message; Malformed."""
    if len(message) < HEADER:
        raise Malformed(None)
    number, flags, questions, answers, authorities, _ = struct.unpack_from("!6H", message)
    if flags & _QR:
        raise Malformed(None)  # an answer: answering it could go on for ever
    if flags & _OPCODE:
        raise Malformed(NOT_IMPLEMENTED)
    if questions != 1 or answers or authorities or len(message) > QUERY_MAX:
        raise Malformed(FORMAT_ERROR)
    name, end = _name(message, HEADER)
    if end + 4 > len(message):
        raise Malformed(FORMAT_ERROR)
    kind, family = struct.unpack_from("!2H", message, end)
    return Question(number, flags, name, kind, family, message[: end + 4])


def _name(message: bytes, at: int) -> tuple[Labels, int]:
    labels: list[bytes] = []
    start = at
    while True:
        if at >= len(message) or at - start > 254:
            raise Malformed(FORMAT_ERROR)
        length = message[at]
        at += 1
        if length == 0:
            return tuple(labels), at
        if length > 63 or at + length > len(message):
            raise Malformed(FORMAT_ERROR)
        labels.append(message[at : at + length].lower())
        at += length


def build(question: Question, answer: Answer, limit: int = UDP_MAX) -> bytes:
    """The message that answers; marked as cut when not all fits in `limit` bytes."""
    room = max(0, limit - len(question.raw))
    records: list[bytes] = []
    flags = _QR | _AA | _RA | (question.flags & _RD) | answer.code
    for data in answer.data:
        record = _TO_NAME + struct.pack("!2HIH", answer.kind, IN, answer.ttl, len(data)) + data
        room -= len(record)
        if room < 0:
            flags |= _TC
            break
        records.append(record)
    header = struct.pack("!6H", question.number, flags, 1, len(records), 0, 0)
    return header + question.raw[HEADER:] + b"".join(records)


def failure(message: bytes, code: int) -> bytes:
    """The shortest message that says what went wrong."""
    number, flags = struct.unpack_from("!2H", message)
    return struct.pack("!6H", number, _QR | _RA | (flags & (_OPCODE | _RD)) | code, 0, 0, 0, 0)


def unanswered(question: Question, code: int) -> bytes:
    """The question back, with what went wrong."""
    flags = _QR | _RA | (question.flags & _RD) | code
    return struct.pack("!6H", question.number, flags, 1, 0, 0, 0) + question.raw[HEADER:]


def renumbered(message: bytes, number: int) -> bytes:
    """The same message with another number."""
    return struct.pack("!H", number) + message[2:]


def is_answer(message: bytes, number: int, question: Question) -> bool:
    """Whether a message answers the question as it was sent with a number, and is not somebody's guess."""
    if len(message) < HEADER:
        return False
    got, flags, questions = struct.unpack_from("!3H", message)
    if got != number or not flags & _QR:
        return False
    if questions == 0:
        return bool(flags & 0xF)  # a failure may leave the question out
    asked = question.raw[HEADER:]
    return questions == 1 and message[HEADER : HEADER + len(asked)].lower() == asked.lower()


def labels(name: str) -> Labels:
    """The labels of a name; ValueError when it is none."""
    parts = tuple(part.encode("ascii").lower() for part in name.rstrip(".").split("."))
    if any(not 1 <= len(part) <= 63 for part in parts) or sum(len(part) + 1 for part in parts) > 254:
        raise ValueError(f"{name!r} is no name")
    return parts


def encoded(name: Labels) -> bytes:
    """A name as data of a record."""
    return b"".join(bytes([len(part)]) + part for part in name) + b"\0"


def reverse(address: str) -> Labels:
    """The name under which an IPv4 address has its name."""
    return (*(part.encode() for part in reversed(address.split("."))), b"in-addr", b"arpa")


def rotated(data: Sequence[_Datum], by: int) -> tuple[_Datum, ...]:
    """The same in another order, so that the first is not always the same."""
    if not data:
        return ()
    start = by % len(data)
    return (*data[start:], *data[:start])
