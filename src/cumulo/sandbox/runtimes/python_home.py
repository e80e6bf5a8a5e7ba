"""What is at /var/runtime of a Python function: awslambdaric and boto3 with what they need, and nothing else.

awslambdaric is the real one, but for its transport: `python/runtime_client.py` stands in for its compiled module.
For the server's own version they are linked from its environment, so making one takes a fraction of a second.
For another version the packages with machine code come from an index through pip.
"""

import py_compile
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cumulo.sandbox.runtimes.homes import Homes, link, shipped, write_all
from cumulo.sandbox.runtimes.pythons import Python

if TYPE_CHECKING:
    from importlib.metadata import Distribution

PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot-restore-py",
    "urllib3",
)
TRANSPORT = "runtime_client"  # of awslambdaric; ours is quicker, and suits every version
INSTALL_SECONDS_MAX = 60.0
COMPILE_SECONDS_MAX = 120.0
COMPILE_HERE_MAX = 20  # files that are sooner compiled than a process for it is started

_AT_LEAST = re.compile(r">=\s*3\.(\d+)")


class NoPackages(Exception):
    """The packages for a version cannot be had; the message says why."""


def make(homes: Homes, python: Python) -> Path:
    """Return the /var/runtime folder for `python`; NoPackages when it can be neither linked nor installed."""
    packages = _installed()
    files = shipped("python", suffixes=(".py",))
    versions = [f"{name} {packages[name].version}" for name in sorted(packages)]

    def fill(folder: Path) -> None:
        _gather(python, packages, folder)
        for compiled in folder.glob(f"{TRANSPORT}.*.so"):
            compiled.unlink()
        write_all(folder, files)
        _compile(python, folder)
        if not _is_own(python):
            _try_out(python, folder)

    name = f"python{python.version}"
    return homes.make(name, (str(python.executable), *versions, *files.values()), fill)


def _gather(python: Python, packages: "dict[str, Distribution]", folder: Path) -> None:
    """Link what the server has, and install what is of no use to another version."""
    strangers: set[str] = set()
    if _is_own(python):
        pass
    elif all(_is_new_enough(package, python.minor) for package in packages.values()):
        strangers = {name for name, package in packages.items() if _has_machine_code(package)}
        _install(("--no-deps", *sorted(strangers)), python, folder)
    else:
        strangers = set(packages)  # an old Python: all of them in versions that suit one another
        _install(("awslambdaric", "boto3"), python, folder)
    for name in packages.keys() - strangers:
        _link_package(packages[name], folder)


def _installed() -> "dict[str, Distribution]":
    from importlib import metadata  # takes 5 ms, which the start of the server need not

    try:
        return {name: metadata.distribution(name) for name in PACKAGES}
    except metadata.PackageNotFoundError as missing:
        raise NoPackages(f"the package {missing.name} is not installed beside cumulo") from missing


def _is_own(python: Python) -> bool:
    return f"{sys.version_info.major}.{sys.version_info.minor}" == python.version


def _has_machine_code(package: "Distribution") -> bool:
    return any(file.suffix == ".so" and not file.name.startswith(TRANSPORT) for file in package.files or ())


def _is_new_enough(package: "Distribution", minor: int) -> bool:
    at_least = _AT_LEAST.search(str(package.metadata["Requires-Python"] or ""))
    return at_least is None or int(at_least[1]) <= minor


def _link_package(package: "Distribution", folder: Path) -> None:
    """Link a package's modules and the part of its metadata that says its name and version."""
    for file in package.files or ():
        if ".." in file.parts or file.is_absolute():
            continue  # commands
        if file.parts[0].endswith(".dist-info") and file.name != "METADATA":
            continue
        source = Path(str(package.locate_file(file)))
        if source.is_file():
            link(source, folder / file)


def _install(what: tuple[str, ...], python: Python, folder: Path) -> None:
    """Install the newest of these packages that there are for `python`; NoPackages when no installer can."""
    problems = []
    for command in _installers(python):
        try:
            done = subprocess.run(
                (*command, "--target", str(folder), *what),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            problems.append(str(error))
            continue
        if done.returncode == 0:
            return
        problems += [line for line in done.stderr.splitlines() if line.startswith("ERROR:")][-1:]
    why = problems[0] if problems else "no reason given"
    raise NoPackages(f"the packages for Python {python.version} could not be installed: {why}")


def _installers(python: Python) -> Iterator[tuple[str, ...]]:
    quiet = (
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--retries",
        "1",
        "--timeout",
        "10",
        "--no-compile",
        "--no-warn-script-location",
    )
    foreign = ("--only-binary", ":all:", "--python-version", python.version, "--implementation", "cp")
    yield (sys.executable, "-m", "pip", *quiet, *foreign)
    yield (str(python.executable), "-m", "pip", *quiet, "--only-binary", ":all:")
    yield ("uv", "pip", "install", "--quiet", "--python", str(python.executable))


def _compile(python: Python, folder: Path) -> None:
    """Compile what is not compiled, so that no cold start has to."""
    missing = [path for path in folder.rglob("*.py") if not _compiled(python, path).exists()]
    if _is_own(python) and len(missing) <= COMPILE_HERE_MAX:
        for path in missing:
            py_compile.compile(str(path), quiet=2)
        return
    subprocess.run(
        (str(python.executable), "-I", "-S", "-m", "compileall", "-q", "-j", "2", str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMPILE_SECONDS_MAX,
        check=False,  # what does not compile is not used
    )


def _compiled(python: Python, source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-3{python.minor}.pyc"


def _try_out(python: Python, folder: Path) -> None:
    """Import what functions need: an index can have packages that say they suit a version and do not."""
    done = subprocess.run(
        (str(python.executable), "-S", "-c", "import awslambdaric.bootstrap, runtime_client, boto3"),
        env={"PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMPILE_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoPackages(f"the packages for Python {python.version} do not work: {why}")
