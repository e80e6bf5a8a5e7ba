"""Zips that strangers upload: checked, then unpacked where nothing of them can reach out.

    look over the directory of the zip -> plan (folders, files, links) -> write files -> write links -> close modes

Headers lie, so sizes are counted again while the bytes flow.  Links are made last, so no write passes through
one; and each is followed in the plan first, so none leads out of the tree.
"""

import calendar
import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import msgspec

from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.quotas import UNZIPPED_BYTES_MAX

ENTRIES_MAX = 100_000
PATH_BYTES_MAX = 1024
COMPONENT_BYTES_MAX = 255
DEPTH_MAX = 64
LINK_HOPS_MAX = 40  # the kernel's own bound
LINK_BYTES_MAX = 1024
CHUNK_BYTES = 1024 * 1024
FOLDER_MODE = 0o555
FILE_MODE = 0o444
PROGRAM_MODE = 0o555

_DRIVE = re.compile(r"[A-Za-z]:")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # plain, strong, and masked headers
_LOCAL_HEADER_BYTES = 30
_UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    EOFError,
    ValueError,
    IndexError,
    OverflowError,
    RuntimeError,
)

Parts = tuple[str, ...]


class ZipRefused(Exception):
    """The zip is not one, or not one that may be unpacked; the message is AWS's."""


class Plan(msgspec.Struct, frozen=True):
    """What an archive would become: folders (by depth), files, and links with their targets."""

    folders: Mapping[Parts, float]
    files: Mapping[Parts, zipfile.ZipInfo]
    links: Mapping[Parts, str]


def unpack(data: bytes, folder: Path) -> int:
    """Unpack `data` into the empty `folder`, read-only; the bytes written.  ZipRefused leaves rubbish behind."""
    try:
        with _open(data) as archive:
            plan = _plan(archive)
            return _write(archive, plan, folder)
    except ZipRefused:
        raise
    except _UNREADABLE as error:
        raise ZipRefused(errors.BAD_ZIP) from error


def _open(data: bytes) -> zipfile.ZipFile:
    if not data:
        raise ZipRefused(errors.EMPTY_ZIP)
    # Every entry costs memory while the directory is read, so count them before anything reads it.
    if data.count(b"PK\x01\x02") > ENTRIES_MAX:
        raise ZipRefused(f"The zip must not hold more than {ENTRIES_MAX} files and folders")
    return zipfile.ZipFile(io.BytesIO(data))


def _plan(archive: zipfile.ZipFile) -> Plan:
    infos = archive.infolist()
    _check_headers(infos, archive.start_dir)
    plan = _sorted_out(archive, infos)
    if not plan.files and not plan.links:
        raise ZipRefused(errors.EMPTY_ZIP)
    folders = dict(plan.folders)
    for parts in [*plan.folders, *plan.files, *plan.links]:
        for depth in range(len(parts)):
            folders.setdefault(parts[:depth], 0.0)
    if folders.keys() & (plan.files.keys() | plan.links.keys()):
        raise ZipRefused(errors.BAD_ZIP)  # one name for a file and a folder
    if not all(stays_inside(plan.links, parts) for parts in plan.links):
        raise ZipRefused(errors.BAD_ZIP)
    return Plan(folders, plan.files, plan.links)


def _sorted_out(archive: zipfile.ZipFile, infos: Iterable[zipfile.ZipInfo]) -> Plan:
    """Each entry by what it is; the folders that are only implied are missing."""
    folders: dict[Parts, float] = {}
    files: dict[Parts, zipfile.ZipInfo] = {}
    links: dict[Parts, str] = {}
    for info in infos:
        parts = safe_parts(info.orig_filename)
        if parts is None:
            raise ZipRefused(errors.BAD_ZIP)
        if _is_folder(info):
            folders[parts] = _modified(info)
        elif parts in files or parts in links or not parts:
            raise ZipRefused(errors.BAD_ZIP)
        elif stat.S_ISLNK(info.external_attr >> 16):
            links[parts] = _link_target(archive, info)
        else:
            files[parts] = info
    return Plan(folders, files, links)


def safe_parts(name: str) -> Parts | None:
    """The path of an entry below the root; None when it is absolute, climbs, or is no path at all."""
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name or "\0" in name:
        return None
    try:
        encoded = [part.encode() for part in name.split("/")]
    except UnicodeEncodeError:
        return None
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    too_long = sum(map(len, encoded)) > PATH_BYTES_MAX or max(map(len, encoded)) > COMPONENT_BYTES_MAX
    if too_long or len(parts) > DEPTH_MAX or ".." in parts:
        return None
    return parts


def stays_inside(links: Mapping[Parts, str], link: Parts) -> bool:
    """Whether following `link`, through whatever other links are on the way, never leaves the root."""
    here: list[str] = list(link[:-1])
    todo = list(reversed(links[link].split("/")))
    if links[link].startswith("/"):
        return False
    hops = 0
    while todo:
        word = todo.pop()
        if word in {"", "."}:
            continue
        if word == "..":
            if not here:
                return False
            here.pop()
            continue
        here.append(word)
        target = links.get(tuple(here))
        if target is not None:
            hops += 1
            if hops > LINK_HOPS_MAX or target.startswith("/"):
                return False
            here.pop()
            todo.extend(reversed(target.split("/")))
    return True


def _check_headers(infos: Iterable[zipfile.ZipInfo], end: int) -> None:
    """Refuse what is known from the directory alone."""
    total = 0
    spans: list[tuple[int, int]] = []
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
            raise ZipRefused(errors.BAD_ZIP)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
            raise ZipRefused(errors.BAD_ZIP)
        total += info.file_size
        spans.append((info.header_offset, info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size))
    if total >= UNZIPPED_BYTES_MAX:
        raise ZipRefused(f"Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes")
    spans.sort()
    spans.append((end, end))
    if any(after[0] < before[1] for before, after in pairwise(spans)):
        raise ZipRefused(errors.BAD_ZIP)  # entries that share bytes, or go on into the directory


def _is_folder(info: zipfile.ZipInfo) -> bool:
    named = info.orig_filename.endswith("/")
    marked = stat.S_ISDIR(info.external_attr >> 16)
    if (named or marked) and info.file_size:
        raise ZipRefused(errors.BAD_ZIP)
    return named or marked


def _link_target(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    if not 0 < info.file_size <= LINK_BYTES_MAX:
        raise ZipRefused(errors.BAD_ZIP)
    with archive.open(info) as source:
        target = source.read(LINK_BYTES_MAX + 1).decode()
    if not target or "\0" in target or len(target.encode()) != info.file_size:
        raise ZipRefused(errors.BAD_ZIP)
    return target


def _write(archive: zipfile.ZipFile, plan: Plan, folder: Path) -> int:
    by_depth = sorted(plan.folders, key=len)
    for parts in by_depth:
        (folder.joinpath(*parts)).mkdir(mode=0o700, exist_ok=not parts)
    written = 0
    for parts, info in plan.files.items():
        written += _write_file(archive, info, folder.joinpath(*parts), UNZIPPED_BYTES_MAX - written)
    for parts, target in plan.links.items():
        folder.joinpath(*parts).symlink_to(target)
    for parts in reversed(by_depth):
        path = folder.joinpath(*parts)
        at = plan.folders[parts]
        if at:
            os.utime(path, (at, at))
        # The top stays writable for its owner until it has its final name.
        path.chmod(FOLDER_MODE if parts else 0o755)
    return written


def _write_file(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, room: int) -> int:
    written = 0
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with archive.open(info) as source:
            while chunk := source.read(CHUNK_BYTES):
                written += len(chunk)
                if written >= room:
                    raise ZipRefused(f"Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes")
                _write_all(fd, chunk)
        if written != info.file_size:
            raise ZipRefused(errors.BAD_ZIP)
        runs = info.external_attr >> 16 & 0o111
        os.fchmod(fd, PROGRAM_MODE if runs else FILE_MODE)
        at = _modified(info)
        os.utime(fd, (at, at))
    finally:
        os.close(fd)
    return written


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _modified(info: zipfile.ZipInfo) -> float:
    """When an entry was last changed; zips carry no time zone, so it is read as UTC."""
    year, month, day, hour, minute, second = info.date_time
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59):
        return float(calendar.timegm((1980, 1, 1, 0, 0, 0)))
    return float(calendar.timegm((year, month, day, hour, minute, min(second, 59))))
