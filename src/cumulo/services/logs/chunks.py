"""Chunks: how runs of events are packed into rows, split and merged.  Pure.

data = one byte of form, then msgpack of the columns [times, numbers, ingestion times, messages]
       (all but messages as differences, which are small numbers)
"""

import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec

from cumulo.services.logs.model import Event, message_bytes

CHUNK_BYTES_MAX = 128 * 1024  # of messages; decoding one stays around a millisecond
CHUNK_SPAN_MS_MAX = 3600 * 1000  # so a reader knows how far back a chunk may begin that still concerns it
CHUNK_EVENTS_MAX = 4096
_RAW = b"\x00"
_DEFLATED = b"\x01"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[int], list[int], list[int], list[str]]).decode


class Chunk(msgspec.Struct, frozen=True):
    """A row of log_chunks without its owner; `size` is its column `bytes`."""

    seq: int
    first_ms: int
    last_ms: int
    ingestion_ms: int
    count: int
    size: int
    data: bytes


def split(events: Sequence[Event]) -> Iterable[Sequence[Event]]:
    """Cut sorted events into runs that each fit a chunk."""
    start, size = 0, 0
    for i, event in enumerate(events):
        cost = message_bytes(event.message)
        full = size + cost > CHUNK_BYTES_MAX or i - start >= CHUNK_EVENTS_MAX
        if i > start and (full or event.time_ms - events[start].time_ms > CHUNK_SPAN_MS_MAX):
            yield events[start:i]
            start, size = i, 0
        size += cost
    if events:
        yield events[start:]


def pack(events: Sequence[Event], *, deflate: bool = False) -> Chunk:
    """One chunk of a run of sorted events."""
    times, numbers, ingested, messages = zip(*events, strict=True)
    data = _encode((_differences(times), _differences(numbers), _differences(ingested), messages))
    return Chunk(
        seq=min(numbers),
        first_ms=times[0],
        last_ms=times[-1],
        ingestion_ms=max(ingested),
        count=len(events),
        size=sum(map(message_bytes, messages)),
        data=_DEFLATED + zlib.compress(data, 1) if deflate else _RAW + data,
    )


def unpack(data: bytes) -> list[Event]:
    """The events of a chunk, sorted."""
    body = zlib.decompress(data[1:]) if data[:1] == _DEFLATED else memoryview(data)[1:]
    times, numbers, ingested, messages = _decode(body)
    return list(map(Event, accumulate(times), accumulate(numbers), accumulate(ingested), messages))


def merge(blobs: Iterable[bytes]) -> list[Chunk]:
    """The same events in fewer, larger, compressed chunks."""
    events = sorted(event for blob in blobs for event in unpack(blob))
    return [pack(run, deflate=True) for run in split(events)]


def _differences(values: Sequence[int]) -> list[int]:
    return [values[0], *(b - a for a, b in pairwise(values))]
