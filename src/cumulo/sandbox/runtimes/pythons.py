"""The Python interpreters of this machine.

File names say which version to expect, so that only the likeliest is run; what it says of itself decides.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cumulo.sandbox.runtimes.places import Answers, Places, nearest

_NAME = re.compile(r"python3\.(\d+)")
_WHO_ARE_YOU = (
    "import sys; "
    "print(sys.implementation.name, '%d.%d' % sys.version_info[:2], sep='\\n'); "
    "print(getattr(sys, '_base_executable', '') or sys.executable, sys.base_prefix, sep='\\n')"
)


class Python(msgspec.Struct, frozen=True):
    """A real interpreter (no shim, no virtual environment) and the prefix that it needs."""

    version: str
    executable: Path
    prefix: Path

    @property
    def minor(self) -> int:
        """The 12 of 3.12."""
        return int(self.version.partition(".")[2])

    @property
    def packages(self) -> Path:
        """Its own site-packages, which functions do not see."""
        return self.prefix / "lib" / f"python{self.version}" / "site-packages"


class Pythons:
    """Finds them."""

    def __init__(self, places: Places, answers: Answers) -> None:
        self._places = places
        self._answers = answers

    def own(self) -> Python | None:
        """The one that the server runs on."""
        return self._meet(Path(sys.executable))

    def for_minor(self, minor: int) -> Iterator[Python]:
        """All there are, the nearest to 3.`minor` first, and of one version the server's own first."""
        own = self.own()
        named = self._named()
        minors = [*named, own.minor] if own else list(named)
        for near in nearest(minor, minors):
            if own and own.minor == near:
                yield own
            for program in named.get(near, ()):
                python = self._meet(program)
                if python and python.minor == near and python != own:
                    yield python

    def _named(self) -> dict[int, list[Path]]:
        found: dict[int, list[Path]] = {}
        for folder in self._places.python_folders():
            try:
                names = [entry.name for entry in folder.iterdir() if entry.name.startswith("python3.")]
            except OSError:
                continue
            for name in sorted(names):
                if match := _NAME.fullmatch(name):
                    found.setdefault(int(match[1]), []).append(folder / name)
        return found

    def _meet(self, program: Path) -> Python | None:
        lines = self._answers.ask(program, "-I", "-S", "-c", _WHO_ARE_YOU).splitlines()
        if len(lines) != 4 or lines[0] != "cpython":
            return None
        _, version, executable, prefix = lines
        real = Path(prefix).resolve()
        command = real / "bin" / f"python{version}"
        if not command.exists():
            command = Path(executable)
        return Python(version, command, real) if command.exists() else None
