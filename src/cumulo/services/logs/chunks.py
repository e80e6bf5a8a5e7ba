"""Chunks: how runs of events are packed into rows, split and merged.  Pure.

    data = one byte of form, then msgpack of the columns [times, numbers, ingestion times, messages]
           (all but messages as differences, which are small numbers)

This is the busiest code of the service: events are handled as columns, and only those that a reader wants
become objects.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice
from operator import le, sub
from typing import NamedTuple

import msgspec

from cumulo.services.logs.model import EVENT_OVERHEAD_BYTES, Event, message_bytes

CHUNK_BYTES_MAX = 128 * 1024  # of messages; decoding one stays around a millisecond
CHUNK_SPAN_MS_MAX = 3600 * 1000  # so a reader knows how far back a chunk may begin that still concerns it
CHUNK_EVENTS_MAX = 4096
_RAW = b"\x00"
_DEFLATED = b"\x01"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[int], list[int], list[int], list[str]]).decode


class Columns(NamedTuple):
    """Events as columns, sorted by (time, number)."""

    times: Sequence[int]
    numbers: Sequence[int]
    ingested: Sequence[int]
    messages: Sequence[str]


class Chunk(NamedTuple):
    """A row of log_chunks without its owner; `size` is its column `bytes`, `events` its `count`."""

    seq: int
    first_ms: int
    last_ms: int
    ingestion_ms: int
    events: int
    size: int
    data: bytes


def columns_of(events: Sequence[Event]) -> Columns:
    """Sorted events as columns."""
    return Columns(*zip(*events, strict=True))


def pack_all(columns: Columns, *, deflate: bool = False) -> list[Chunk]:
    """As many chunks as sorted events need."""
    times, messages = columns.times, columns.messages
    sizes = _sizes(messages)
    total = sum(sizes)
    if (
        total <= CHUNK_BYTES_MAX
        and len(times) <= CHUNK_EVENTS_MAX
        and times[-1] - times[0] <= CHUNK_SPAN_MS_MAX
    ):
        return [_pack(columns, total, deflate=deflate)]
    packed = []
    for start, stop in _cuts(times, sizes):
        run = Columns(
            times[start:stop],
            columns.numbers[start:stop],
            columns.ingested[start:stop],
            messages[start:stop],
        )
        packed.append(_pack(run, sum(sizes[start:stop]), deflate=deflate))
    return packed


def unpack(data: bytes) -> Columns:
    """The events of a chunk, sorted."""
    body = zlib.decompress(data[1:]) if data[:1] == _DEFLATED else memoryview(data)[1:]
    times, numbers, ingested, messages = _decode(body)
    return Columns(list(accumulate(times)), list(accumulate(numbers)), list(accumulate(ingested)), messages)


def between(columns: Columns, start_ms: int, end_ms: int) -> Iterable[Event]:
    """The events of a time window, both ends included."""
    low, high = bisect_left(columns.times, start_ms), bisect_right(columns.times, end_ms)
    return map(Event, *(islice(column, low, high) for column in columns))


def merge(blobs: Iterable[bytes]) -> list[Chunk]:
    """The same events in fewer, larger, compressed chunks."""
    events = sorted(event for blob in blobs for event in map(Event, *unpack(blob)))
    return pack_all(columns_of(events), deflate=True) if events else []


def is_sorted(values: Sequence[int]) -> bool:
    """Whether no value is less than the one before it."""
    return all(map(le, values, islice(values, 1, None)))


def _sizes(messages: Sequence[str]) -> list[int]:
    if all(map(str.isascii, messages)):
        return [length + EVENT_OVERHEAD_BYTES for length in map(len, messages)]
    return list(map(message_bytes, messages))


def _cuts(times: Sequence[int], sizes: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Where to cut events so that each run fits a chunk."""
    start, held = 0, 0
    for i, size in enumerate(sizes):
        full = held + size > CHUNK_BYTES_MAX or i - start >= CHUNK_EVENTS_MAX
        if i > start and (full or times[i] - times[start] > CHUNK_SPAN_MS_MAX):
            yield start, i
            start, held = i, 0
        held += size
    yield start, len(times)


def _pack(columns: Columns, size: int, *, deflate: bool) -> Chunk:
    times, numbers, ingested, messages = columns
    data = _encode((_differences(times), _differences(numbers), _differences(ingested), messages))
    return Chunk(
        seq=min(numbers),
        first_ms=times[0],
        last_ms=times[-1],
        ingestion_ms=max(ingested),
        events=len(times),
        size=size,
        data=_DEFLATED + zlib.compress(data, 1) if deflate else _RAW + data,
    )


def _differences(values: Sequence[int]) -> list[int]:
    return [values[0], *map(sub, islice(values, 1, None), values)]
