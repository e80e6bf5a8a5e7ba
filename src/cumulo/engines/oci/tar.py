"""Reads tar: ustar, GNU (long names, old and new sparse files, base-256 numbers) and PAX.  From the first byte to the last.

Python's tarfile makes an object with thirty attributes for each entry and reads each header as a file of its own;
layers have a hundred thousand small files.  Names are bytes, for nothing says that they are text.
"""

from collections.abc import Callable
from zlib import adler32

from cumulo.engines.oci.refusals import corrupt, refused

BLOCK = 512
_EXTENSION_MAX = 1 << 20  # bytes of PAX records or of a long name
_SPARSE_MAX = 1 << 16  # pieces of a sparse file
_ATTRIBUTE = b"SCHILY.xattr."
_SPACES = b"        "
_ZEROES = bytes(BLOCK)
_HEADER_ONLY = frozenset(b"123456")  # links, devices, folders, pipes: no data follows, whatever `size` says

REGULAR, HARD, SYMBOLIC, CHARACTER, DEVICE, FOLDER, PIPE = b"0123456"

_KINDS = {0: REGULAR, 55: REGULAR, 68: FOLDER}  # old tar's file, "contiguous" file, GNU's folder
_SPARSE_KEYS = frozenset({b"GNU.sparse.realsize", b"GNU.sparse.size"})


class Entry:
    """One member.  `type` is one of the constants above.

    size      of the file, with its holes
    stored    bytes of its data in the stream
    sparse    (offset, length) of each stored piece; None for an ordinary file
    xattrs    as in PAX's SCHILY.xattr.*
    """

    __slots__ = (
        "gid",
        "link",
        "mode",
        "mtime_ns",
        "name",
        "size",
        "sparse",
        "stored",
        "type",
        "uid",
        "xattrs",
    )

    def __init__(self, kind: int, name: bytes, link: bytes, mode: int) -> None:
        self.type = kind
        self.name = name
        self.link = link
        self.mode = mode
        self.uid = self.gid = self.size = self.stored = self.mtime_ns = 0
        self.sparse: list[tuple[int, int]] | None = None
        self.xattrs: dict[bytes, bytes] | None = None


class Reader:
    """The entries of a stream.  The data of one must be taken (`data`) or is passed over by the next `entry`."""

    def __init__(self, pull: Callable[[], bytes]) -> None:
        self._pull = pull  # the next piece; empty at the end
        self._buffer = b""
        self._at = 0
        self._left = 0  # of the data of the current entry
        self._padding = 0

    def entry(self) -> Entry | None:
        """The next; None at the end."""
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        long_name = long_link = None
        pax: dict[bytes, bytes] | None = None
        while True:
            block = self._block()
            if block is None or block == _ZEROES:
                if pax or long_name:
                    raise corrupt("the archive ends after the extension of an entry")
                return None
            kind = block[156]
            if kind in b"LKxXg":
                body = self._extension(block)
                if kind == 76:  # L
                    long_name = body.rstrip(b"\0")
                elif kind == 75:  # K
                    long_link = body.rstrip(b"\0")
                elif kind != 103:  # g is for the whole archive (git's comment): as Docker, we pass over it
                    pax = records(body)
                continue
            return self._entry(block, kind, long_name, long_link, pax)

    def _entry(
        self, block: bytes, kind: int, name: bytes | None, link: bytes | None, pax: dict[bytes, bytes] | None
    ) -> Entry:
        _check(block)
        if name is None:
            name = _name(block)
        if kind == 68:  # D: GNU's folder with a list of its files
            self._left = max(0, number(block[124:136]))
        kind = _KINDS.get(kind, kind)
        if kind == REGULAR and name.endswith(b"/"):
            kind = FOLDER
        entry = Entry(kind, name, link or block[157:257].partition(b"\0")[0], number(block[100:108]) & 0o7777)
        entry.uid, entry.gid = number(block[108:116]), number(block[116:124])
        entry.mtime_ns = number(block[136:148]) * 1_000_000_000
        size = 0 if kind in _HEADER_ONLY else number(block[124:136])
        if pax:
            size = _apply(entry, pax, size)
        if size < 0:
            raise corrupt("an entry has a negative size")
        entry.size = entry.stored = size
        if kind not in b"0123456S":
            raise refused(f"an entry is of an unknown type: {bytes([kind])!r}")
        self._left = self._left or size
        self._padding = -self._left % BLOCK
        if kind == 83:  # S
            self._old_sparse(entry, block)
        elif pax and not _SPARSE_KEYS.isdisjoint(pax):
            self._pax_sparse(entry, pax)
        return entry

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        entry.type = REGULAR
        entry.size = number(block[483:495])
        pieces = _pieces(block, 386, 4)
        more = block[482]
        while more:
            further = self._block()
            if further is None or len(pieces) > _SPARSE_MAX:
                raise corrupt("the map of a sparse file has no end")
            pieces += _pieces(further, 0, 21)
            more = further[504]
        entry.sparse = _sane(pieces, entry)

    def _pax_sparse(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        entry.name = pax.get(b"GNU.sparse.name", entry.name)
        entry.size = _decimal(pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size", b"")))
        if b"GNU.sparse.map" in pax:
            flat = [_decimal(word) for word in pax[b"GNU.sparse.map"].split(b",") if word]
        else:
            flat = self._sparse_map(entry)
        entry.sparse = _sane(list(zip(flat[::2], flat[1::2], strict=False)), entry)

    def _sparse_map(self, entry: Entry) -> list[int]:
        """Format 1.0: the map is the beginning of the data, one number per line, in whole blocks."""
        text = b""
        wanted = -1
        while True:
            lines = text.split(b"\n")
            if wanted < 0 and len(lines) > 1:
                wanted = _decimal(lines[0]) * 2 + 1
            if len(lines) > wanted > 0:
                break
            if wanted > _SPARSE_MAX * 2 or self._left < BLOCK:
                raise corrupt("the map of a sparse file has no end")
            text += self._take(BLOCK)
            self._left -= BLOCK
            entry.stored -= BLOCK
        return [_decimal(line) for line in lines[1:wanted]]

    def data(self, size: int, write: Callable[[memoryview], None]) -> None:
        """Hand the next `size` bytes of the current entry's data to `write`, in pieces."""
        self._left -= size
        assert self._left >= 0, "no more than the entry has"
        while size:
            have = len(self._buffer) - self._at
            if not have:
                self._fill()
                continue
            step = min(have, size)
            write(memoryview(self._buffer)[self._at : self._at + step])
            self._at += step
            size -= step

    def drain(self) -> None:
        """Read what follows the end, for the digests' sake."""
        while self._pull():
            pass

    def _extension(self, block: bytes) -> bytes:
        _check(block)
        size = number(block[124:136])
        if not 0 <= size <= _EXTENSION_MAX:
            raise refused(f"an entry has an extension of {size} bytes")
        body = self._take(size)
        self._skip(-size % BLOCK)
        return body

    def _block(self) -> bytes | None:
        at = self._at
        block = self._buffer[at : at + BLOCK]
        if len(block) == BLOCK:
            self._at = at + BLOCK
            return block
        piece = self._pull()
        if not piece and not block:
            return None
        self._buffer, self._at = block, 0
        if piece:
            self._buffer += piece
        return self._take(BLOCK)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            self._fill()
        taken = self._buffer[self._at : self._at + size]
        self._at += size
        return taken

    def _skip(self, size: int) -> None:
        while size:
            have = len(self._buffer) - self._at
            if have:
                step = min(have, size)
                self._at += step
                size -= step
            else:
                self._fill()

    def _fill(self) -> None:
        piece = self._pull()
        if not piece:
            raise corrupt("the layer ends early")
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[345] and block[257:263] == b"ustar\0":
        return block[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _check(block: bytes) -> None:
    """The sum of the header's bytes, with spaces for the sum itself.

    The low half of adler32 is one more than that sum, modulo 65521: a hundred times quicker than adding here.
    """
    low = adler32(block[156:], adler32(_SPACES, adler32(block[:148]))) & 0xFFFF
    stated = number(block[148:156])
    if (stated + 1) % 65521 == low:
        return
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + _SPACES + block[156:])
    if stated != signed:  # some old programs added signed characters
        raise corrupt("the header of an entry is damaged, or this is not a tar archive")


def number(field: bytes) -> int:
    """Octal digits, or base 256 when the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        return value - (1 << (len(field) * 8 - 1)) if field[0] & 0x40 else value
    try:
        return int(field.partition(b"\0")[0], 8)
    except ValueError:
        if field.strip(b" \0"):
            raise corrupt("a number in the header of an entry is damaged") from None
        return 0


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise corrupt("a number in the extension of an entry is damaged")
    return int(text)


def records(body: bytes) -> dict[bytes, bytes]:
    r"""PAX's `length key=value\n`; the later of two wins.  The map of GNU's sparse format 0.0, whose keys repeat, becomes
    that of 0.1.
    """
    found: dict[bytes, bytes] = {}
    sparse: list[bytes] = []
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 20)
        length = _decimal(body[at:space]) if space > 0 else 0
        record = body[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or at + length > len(body):
            raise corrupt("the extension of an entry is damaged")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse.append(value)
        elif value or key.startswith(_ATTRIBUTE):
            found[key] = value
        else:
            found.pop(key, None)  # nothing: the header's own counts
        at += length
    if sparse:
        found[b"GNU.sparse.map"] = b",".join(sparse)
    return found


def _apply(entry: Entry, pax: dict[bytes, bytes], size: int) -> int:
    entry.name = pax.get(b"path", entry.name)
    entry.link = pax.get(b"linkpath", entry.link)
    if b"uid" in pax:
        entry.uid = _decimal(pax[b"uid"])
    if b"gid" in pax:
        entry.gid = _decimal(pax[b"gid"])
    if b"mtime" in pax:
        entry.mtime_ns = _nanoseconds(pax[b"mtime"])
    if b"size" in pax and entry.type not in _HEADER_ONLY:
        size = _decimal(pax[b"size"])
    for key, value in pax.items():
        if key.startswith(_ATTRIBUTE):
            entry.xattrs = {**(entry.xattrs or {}), key.removeprefix(_ATTRIBUTE): value}
    if entry.type == REGULAR and entry.name.endswith(b"/"):
        entry.type = FOLDER
    return size


def _nanoseconds(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    try:
        seconds = int(whole or b"0")
        nanoseconds = int((fraction + b"000000000")[:9])
    except ValueError:
        raise corrupt("the time of an entry is damaged") from None
    return seconds * 1_000_000_000 + (-nanoseconds if whole.startswith(b"-") else nanoseconds)


def _pieces(block: bytes, at: int, count: int) -> list[tuple[int, int]]:
    found = []
    for start in range(at, at + count * 24, 24):
        if not block[start]:
            break
        found.append((number(block[start : start + 12]), number(block[start + 12 : start + 24])))
    return found


def _sane(pieces: list[tuple[int, int]], entry: Entry) -> list[tuple[int, int]]:
    """The pieces of a sparse file are in order, within it, and as many bytes as there are."""
    end = 0
    for offset, length in pieces:
        if offset < end or length < 0:
            raise corrupt("the map of a sparse file is damaged")
        end = offset + length
    if end > entry.size or sum(length for _, length in pieces) != entry.stored:
        raise corrupt("the map of a sparse file is damaged")
    return pieces
