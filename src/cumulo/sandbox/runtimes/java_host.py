"""How Java runtimes are run: the nearest Java with our runtime client at /var/runtime.

The client is compiled here, once, with any compiler that is on the machine; functions need only a JRE.
"""

import os
import re
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from cumulo.sandbox.contract import Bind, RuntimeHost, RuntimeMissing
from cumulo.sandbox.runtimes.catalog import Runtime
from cumulo.sandbox.runtimes.homes import Homes, shipped, write_all
from cumulo.sandbox.runtimes.places import Places, is_system, nearest
from cumulo.sandbox.runtimes.surroundings import RUNTIME_DIR, environment

COMPILE_SECONDS_MAX = 120.0
OLDEST = "8"  # the client runs on every Java that a function can ask for

_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)


class Java(msgspec.Struct, frozen=True):
    """A Java home."""

    major: int
    home: Path

    @property
    def compiler(self) -> Path | None:
        """Its javac; a JRE has none."""
        javac = self.home / "bin" / "javac"
        return javac if javac.exists() else None


class JavaHost:
    """Prepares `javaX`."""

    def __init__(self, places: Places, homes: Homes) -> None:
        self._places = places
        self._homes = homes

    def nearest(self, runtime: Runtime) -> Java | None:
        """Find the Java that would be used: rather a newer one, since classes never load on an older."""
        javas = {java.major: java for java in reversed(list(self._all()))}
        majors = nearest(int(runtime.version), javas, upwards=True)
        return javas[majors[0]] if majors else None

    def prepare(self, runtime: Runtime) -> RuntimeHost:
        """Find a Java and make its /var/runtime; RuntimeMissing when there is none, or no compiler."""
        java = self.nearest(runtime)
        if java is None:
            raise RuntimeMissing(
                f"{runtime.name} cannot run on this machine: no Java was found. {remedy(runtime)}"
            )
        home = self._home(runtime)
        binds = [Bind(home, RUNTIME_DIR)]
        if not is_system(java.home):
            binds.append(Bind(java.home, str(java.home)))
        binds += [Bind(path, str(path)) for path in _outside(java.home)]
        return RuntimeHost(
            runtime=runtime.name,
            argv=("/bin/sh", f"{RUNTIME_DIR}/bootstrap", str(java.home / "bin" / "java")),
            env=environment(runtime, programs=java.home / "bin"),
            binds=tuple(binds),
            version=runtime.label,
            version_arn=runtime.version_arn,
            warning=warning(runtime, java),
        )

    def _all(self) -> Iterator[Java]:
        for home in self._places.java_homes():
            if not (home / "bin" / "java").exists():
                continue
            try:
                match = _VERSION.search((home / "release").read_text())
            except OSError:
                continue
            if match:
                yield Java(int(match[1]), home)

    def _home(self, runtime: Runtime) -> Path:
        sources = shipped("java", suffixes=(".java",))
        scripts = shipped("java", suffixes=("bootstrap",))

        def fill(folder: Path) -> None:
            compiler = min(
                (java for java in self._all() if java.compiler), key=lambda java: java.major, default=None
            )
            if compiler is None:
                raise RuntimeMissing(
                    f"{runtime.name} cannot run on this machine: there is a Java but no compiler (javac), which "
                    f"is needed once. {remedy(runtime)}"
                )
            write_all(folder, scripts)
            _compile(compiler, sources, folder)

        return self._homes.make(
            "java", [part for item in (*sources.items(), *scripts.items()) for part in item], fill
        )


def warning(runtime: Runtime, java: Java) -> str:
    """Say why this is not quite the runtime that was asked for; empty when it is."""
    if java.major == int(runtime.version):
        return ""
    return f"{runtime.name} is not installed on this machine; running on Java {java.major}"


def remedy(runtime: Runtime) -> str:
    """Say what to install."""
    return f"Install a JDK {runtime.version} (for example apt-get install openjdk-{runtime.version}-jdk-headless)."


def _compile(java: Java, sources: Mapping[str, bytes], folder: Path) -> None:
    """Compile the client into an uncompressed jar, which opens quickest."""
    work = folder / "work"
    classes = work / "classes"
    classes.mkdir(parents=True)
    write_all(work, sources)
    done = subprocess.run(
        (str(java.compiler), "--release", OLDEST, "-nowarn", "-Xlint:-options", "-encoding", "UTF-8",
         "-d", str(classes), *(str(work / name) for name in sources)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS_MAX,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeMissing(
            f"The Java runtime client could not be compiled: {done.stdout}{done.stderr}".strip()
        )
    with zipfile.ZipFile(folder / "runtime.jar", "w", zipfile.ZIP_STORED) as jar:
        for path in sorted(classes.rglob("*.class")):
            jar.write(path, str(path.relative_to(classes)))
    for path in sorted(work.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    work.rmdir()


def _outside(home: Path) -> tuple[Path, ...]:
    """Find what a Java home links to outside of itself and of /usr (Debian keeps its settings in /etc)."""
    found: set[Path] = set()
    for top in (home / "conf", home / "lib"):
        for place, folders, files in os.walk(top.resolve()):
            for name in (*folders, *files):
                link = Path(place, name)
                if link.is_symlink():
                    found.add(link.resolve())
        found.add(top.resolve())
    outside = (
        path for path in found if path.exists() and not is_system(path) and not path.is_relative_to(home)
    )
    return tuple(sorted({_java_folder(path) for path in outside}))


def _java_folder(path: Path) -> Path:
    """Widen a file of /etc to the folder above it that is Java's, so that a few binds do for many files."""
    if not path.is_relative_to("/etc"):
        return path
    return next(
        (above for above in reversed(path.parents) if above.name.startswith(("java", "openjdk"))), path
    )
