"""The files of an archive without unpacking it: a folder, or a tar whose members are found by their offsets."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

import msgspec

from cumulo.engines.images import PullError

if TYPE_CHECKING:
    from tarfile import TarFile

_MEMBERS_MAX = 100_000
_LINKS_MAX = 8
_PIECE = 1 << 20


class Span(msgspec.Struct, frozen=True):
    """Bytes of a file."""

    path: Path
    offset: int
    size: int


class Members(Protocol):
    """What an archive holds, by name."""

    def find(self, name: str) -> Span | None:
        """Where a member is; None when there is none.  Never outside the archive.  Blocks for the disk."""
        ...


class FolderMembers:
    """The files below a folder; a link that leads out of it is not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def find(self, name: str) -> Span | None:
        """See Members."""
        path = (self._root / name.lstrip("/")).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            return None
        return Span(path, 0, path.stat().st_size)


class TarMembers:
    """The members of an uncompressed tar.  Reading the headers blocks for the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spans: dict[str, Span] = {}
        self._links: dict[str, str] = {}
        import tarfile

        try:
            with tarfile.open(path, "r:") as archive:
                self._read(archive)
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            raise PullError("corrupt", f"{path.name} is not an archive of images: {error}") from None

    def _read(self, archive: "TarFile") -> None:
        for count, member in enumerate(archive):
            if count >= _MEMBERS_MAX:
                raise PullError("refused", f"{self._path.name} has more than {_MEMBERS_MAX} members")
            name = _normal(member.name)
            if member.isreg() and not member.issparse():
                self._spans[name] = Span(self._path, member.offset_data, member.size)
            elif member.issym():  # `docker save` of old wrote a layer that two images share once
                self._links[name] = _normal(str(PurePosixPath(name).parent / member.linkname))
            elif member.islnk():
                self._links[name] = _normal(member.linkname)
            archive.members = []  # type: ignore[attr-defined]  # it would keep them all

    def find(self, name: str) -> Span | None:
        """See Members."""
        name = _normal(name)
        for _ in range(_LINKS_MAX):
            if name not in self._links:
                break
            name = self._links[name]
        return self._spans.get(name)


def _normal(name: str) -> str:
    return os.path.normpath(name.lstrip("/"))


async def read(span: Span, bytes_max: int, what: str) -> bytes:
    """All of it; PullError when it is too much."""
    if span.size > bytes_max:
        raise PullError("refused", f"{what} has more than {bytes_max} bytes")
    return b"".join([piece async for piece in stream(span)])


async def stream(span: Span) -> AsyncIterator[bytes]:
    """In pieces, read by threads.  PullError when the file is shorter than it was."""
    try:
        fd = await asyncio.to_thread(os.open, span.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = 0
            while done < span.size:
                size = min(_PIECE, span.size - done)
                piece = await asyncio.to_thread(os.pread, fd, size, span.offset + done)
                if not piece:
                    raise PullError("corrupt", f"{span.path.name} ends early")
                done += len(piece)
                yield piece
        finally:
            os.close(fd)
    except OSError as error:
        raise PullError("corrupt", f"{span.path.name} cannot be read: {error.strerror}") from None
