"""Where a machine keeps its interpreters, and what they answer when they are asked who they are.

Asking means running, which costs 10 to 50 ms, so answers are kept in a file for as long as the program is the same.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

ASK_SECONDS_MAX = 10.0
ANSWERS_MAX = 256

_PYTHON_TREES = (
    ".pyenv/versions/*/bin",
    ".local/share/uv/python/*/bin",
    ".local/share/mise/installs/python/*/bin",
)
_NODE_TREES = (
    ".nvm/versions/node/*/bin",
    ".volta/tools/image/node/*/bin",
    ".asdf/installs/nodejs/*/bin",
    ".local/share/fnm/node-versions/*/installation/bin",
    ".local/share/mise/installs/node/*/bin",
)
_JAVA_TREES = (
    ".sdkman/candidates/java/*",
    ".jdks/*",
    ".asdf/installs/java/*",
    ".local/share/mise/installs/java/*",
)


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look: the folders of PATH, the home folder, and the system's own folders."""

    path: tuple[Path, ...]
    home: Path
    java_home: Path | None = None
    system: tuple[Path, ...] = (Path("/usr/bin"), Path("/usr/local/bin"))
    java_system: tuple[Path, ...] = (Path("/usr/lib/jvm"), Path("/opt/java"))

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Places":
        """What an environment names."""
        java = environ.get("JAVA_HOME")
        return cls(
            path=tuple(
                Path(word) for word in environ.get("PATH", "").split(os.pathsep) if word.startswith("/")
            ),
            home=Path(environ.get("HOME", "/nonexistent")),
            java_home=Path(java) if java else None,
        )

    def python_folders(self) -> tuple[Path, ...]:
        """Folders that can hold `python3.X`, the best first."""
        return _unique((*self.system, *self._trees(_PYTHON_TREES), *self.path))

    def node_folders(self) -> tuple[Path, ...]:
        """Folders that can hold `node`, the best first."""
        return _unique((*self.path, *self.system, *self._trees(_NODE_TREES)))

    def java_homes(self) -> tuple[Path, ...]:
        """Folders that can be a Java home, the best first."""
        system = (home for folder in self.java_system for home in _children(folder))
        commands = (home for folder in self.path if (home := _java_home_of(folder / "java")) is not None)
        asked = (self.java_home,) if self.java_home else ()
        return _unique(home.resolve() for home in (*asked, *commands, *system, *self._trees(_JAVA_TREES)))

    def _trees(self, patterns: Iterable[str]) -> Iterator[Path]:
        for pattern in patterns:
            with contextlib.suppress(OSError):
                yield from sorted(self.home.glob(pattern))


class Answers:
    """What programs answered, kept in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, str] | None = None

    def ask(self, program: Path, *words: str) -> str:
        """Run `program words...` and return what it prints; empty when it fails."""
        try:
            stat = program.stat()
        except OSError:
            return ""
        key = f"{program} {stat.st_mtime_ns} {stat.st_size} {' '.join(words)}"
        known = self._load()
        if key not in known:
            answer = _run(program, words)
            if not answer:
                return ""  # not kept: a version manager's stand-in may answer later
            known[key] = answer
            self._save(known)
        return known[key]

    def _load(self) -> dict[str, str]:
        if self._known is None:
            try:
                self._known = msgspec.json.decode(self._file.read_bytes(), type=dict[str, str])
            except (OSError, msgspec.MsgspecError):
                self._known = {}
        return self._known

    def _save(self, known: dict[str, str]) -> None:
        while len(known) > ANSWERS_MAX:
            known.pop(next(iter(known)), None)
        with contextlib.suppress(OSError):  # a lost answer is asked for again
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._file.parent, prefix=".answers-", delete=False) as new:
                new.write(msgspec.json.encode(dict(known)))
            Path(new.name).replace(self._file)


def nearest(wanted: int, have: Iterable[int], *, upwards: bool = False) -> list[int]:
    """Sort what there is by how well it stands in for `wanted`; of two as near, the newer.

    `upwards`: anything newer comes before anything older, for languages whose programs never run on older ones.
    """
    if upwards:
        return sorted(set(have), key=lambda one: (one < wanted, abs(one - wanted)))
    return sorted(set(have), key=lambda one: (abs(one - wanted), -one))


def home_of(program: Path) -> Path:
    """The folder above `bin` that a program is installed in."""
    return program.resolve().parent.parent


def is_system(path: Path) -> bool:
    """Whether every sandbox sees it anyway."""
    return path.is_relative_to("/usr")


def _run(program: Path, words: Iterable[str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NODE_"))}
    try:
        done = subprocess.run(
            (str(program), *words),
            env=clean,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _children(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted(folder.iterdir()))
    except OSError:
        return ()


def _java_home_of(command: Path) -> Path | None:
    return home_of(command) if command.exists() else None


def _unique(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(paths))
