"""Folders of the machine that volumes need, made without following a way out."""

import os
from pathlib import Path


class Escapes(OSError):
    """The way to a folder leads out of the place that it must stay in."""


def make(below: str, parts: tuple[str, ...]) -> Path:
    """The folder `below/parts...`, made where it is missing.  OSError; Escapes when a link is on the way.

    Below `/` links are the machine's own and may be followed; elsewhere containers may have put them there.
    """
    if below == "/":
        path = Path("/", *parts)
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)
        return path
    Path(below).mkdir(mode=0o700, parents=True, exist_ok=True)
    place = os.open(below, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            place = _step(place, part)
    finally:
        os.close(place)
    return Path(below, *parts)


def _step(place: int, part: str) -> int:
    """Into a folder, which is made when it is missing; closes the descriptor that it came from."""
    try:
        try:
            os.mkdir(part, 0o755, dir_fd=place)
            os.chmod(part, 0o755, dir_fd=place)  # noqa: S103 - as a file system's root is, whatever the umask
        except FileExistsError:
            pass
        try:
            return os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
        except OSError as error:
            raise Escapes(f"{part} is no folder") from error
    finally:
        os.close(place)
