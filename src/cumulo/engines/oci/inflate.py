"""A compressed layer as a stream of uncompressed pieces, with both digests, in one pass.

A thread reads, hashes and decompresses (all without the interpreter's lock) while the main one writes files.  At
most `_AHEAD` pieces wait between them, so memory is flat.
"""

import hashlib
import os
import threading
import zlib
from _queue import SimpleQueue
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Protocol, cast

from cumulo.engines.oci.refusals import Bounds, Refusal, corrupt, refused

if TYPE_CHECKING:
    from zstandard import ZstdDecompressor

_IN = 256 << 10  # what is read at once
_OUT = 1 << 20  # the longest piece
_AHEAD = 6
_WINDOW_MAX = 128 << 20  # the memory that a zstd frame may ask for

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"


class _Inflater(Protocol):
    """What both gzip libraries have: one member at a time, never more than `max_length` bytes at once."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """The standard library's zlib in igzip's clothes, for machines that isal has no wheel for."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._object.decompress(self._object.unconsumed_tail + data, max_length)
        self.needs_input = not self._object.unconsumed_tail and len(out) < max_length
        return out


def _gzip_maker() -> Callable[[], _Inflater]:
    try:
        from isal import igzip_lib
    except ImportError:
        return lambda: cast("_Inflater", _Zlib())
    return lambda: cast("_Inflater", igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP))


def _gunzip(new_member: Callable[[], _Inflater], pieces: Iterator[bytes]) -> Iterator[bytes]:
    member: _Inflater | None = None
    for piece in pieces:
        data = piece
        while data or (member and not member.needs_input):
            if member is None:
                data = data.lstrip(b"\0")  # padding after a member
                if not data:
                    break
                member = new_member()
            out = member.decompress(data, _OUT)
            data = b""
            if out:
                yield out
            if member.eof:
                data, member = member.unused_data, None
    if member is not None:
        raise corrupt("the gzip stream ends early")


class _Reader:
    """Pieces as a file, for zstandard."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int = -1) -> bytes:
        return next(self._pieces, b"")


def _unzstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    return _unzstd_with(zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX), pieces)


def _unzstd_with(decompressor: "ZstdDecompressor", pieces: Iterator[bytes]) -> Iterator[bytes]:
    # Asked for so many bytes, it gives no more: a few bytes of zstd can stand for gigabytes.  A stream that ends early
    # is noticed by the digest.
    reader = decompressor.stream_reader(cast("IO[bytes]", _Reader(pieces)), read_across_frames=True)
    while piece := reader.read(_OUT):
        yield piece


class Inflated:
    """The uncompressed pieces of what `fd` gives.  After the last: `digest`, `diff_id` and `size`."""

    def __init__(self, fd: int, bounds: Bounds) -> None:
        self._fd = fd
        self._bounds = bounds
        self._packed = hashlib.sha256()
        self._plain = hashlib.sha256()
        self.packed_size = 0
        self.size = 0
        self._pieces = (
            self._inflate()
        )  # the first bytes are read here: what decompresses them can still be imported
        self._ready: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        self._ended = False
        for _ in range(_AHEAD):
            self._room.put(None)
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def digest(self) -> str:
        """sha256:<hex> of what was read."""
        return f"sha256:{self._packed.hexdigest()}"

    @property
    def diff_id(self) -> str:
        """sha256:<hex> of what was uncompressed."""
        return f"sha256:{self._plain.hexdigest()}"

    def next(self) -> bytes:
        """The next piece; empty at the end.  Refusal."""
        if self._ended:
            return b""
        piece = self._ready.get()
        if isinstance(piece, BaseException):
            self._ended = True
            raise piece
        self._ended = not piece
        self._room.put(None)
        return piece

    def _run(self) -> None:
        try:
            for piece in self._pieces:
                self._plain.update(piece)
                self.size += len(piece)
                self._check()
                self._room.get()
                self._ready.put(piece)
        except Refusal as error:
            self._ready.put(error)
        except OSError as error:
            self._ready.put(corrupt(f"the layer cannot be read: {error}"))
        except Exception as error:  # noqa: BLE001 - each library has its own for damaged data
            self._ready.put(corrupt(f"the layer cannot be decompressed: {error}"))
        else:
            self._ready.put(b"")

    def _check(self) -> None:
        bounds = self._bounds
        if self.size > bounds.bytes_max:
            raise refused(f"the layer has more than {bounds.bytes_max} bytes")
        if self.size > bounds.ratio_from and self.size > self.packed_size * bounds.ratio_max:
            raise refused(f"the layer grows more than {bounds.ratio_max}-fold when it is unpacked")

    def _inflate(self) -> Iterator[bytes]:
        first = self._read()
        while 0 < len(first) < len(ZSTD):
            more = self._read()
            if not more:
                break
            first += more
        if first.startswith(GZIP):
            return _gunzip(_gzip_maker(), self._rest(first))
        if first.startswith(ZSTD):
            return _unzstd(self._rest(first))
        return self._rest(first)

    def _rest(self, first: bytes) -> Iterator[bytes]:
        piece = first
        while piece:
            yield piece
            piece = self._read()

    def _read(self) -> bytes:
        piece = os.read(self._fd, _IN)
        self._packed.update(piece)
        self.packed_size += len(piece)
        return piece
