"""What is at /var/runtime of a Python function: awslambdaric and boto3 with what they need, and nothing else.

For the server's own version they are linked from its environment, so making one takes a fraction of a second.
For another version the packages with machine code come from an index through pip.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cumulo.sandbox.runtimes.homes import Homes, link, shipped, write_all
from cumulo.sandbox.runtimes.pythons import Python

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
INSTALL_SECONDS_MAX = 60.0
COMPILE_SECONDS_MAX = 120.0

_AT_LEAST = re.compile(r">=\s*3\.(\d+)")


class NoPackages(Exception):
    """The packages for a version cannot be had; the message says why."""


def make(homes: Homes, python: Python) -> Path:
    """Return the /var/runtime folder for `python`; NoPackages when it can be neither linked nor installed."""
    packages = _installed()
    files = shipped("python", suffixes=(".py",))
    versions = [f"{name} {packages[name].version}" for name in sorted(packages)]

    def fill(folder: Path) -> None:
        here = f"{sys.version_info.major}.{sys.version_info.minor}" == python.version
        strangers = [] if here else [name for name in packages if not _fits(packages[name], python.minor)]
        for name, package in packages.items():
            if name not in strangers:
                _link_package(package, folder)
        if strangers:
            _install(strangers, python, folder)
        write_all(folder, files)
        _compile(python, folder)

    name = f"python{python.version}"
    return homes.make(name, (str(python.executable), *versions, *files.values()), fill)


def _installed() -> dict[str, metadata.Distribution]:
    try:
        return {name: metadata.distribution(name) for name in PACKAGES}
    except metadata.PackageNotFoundError as missing:
        raise NoPackages(f"the package {missing.name} is not installed beside cumulo") from missing


def _fits(package: metadata.Distribution, minor: int) -> bool:
    """Whether the files of an installed package are as good for 3.`minor`."""
    if any(file.suffix in {".so", ".pyd"} for file in package.files or ()):
        return False
    needs = package.metadata["Requires-Python"] if "Requires-Python" in package.metadata else ""
    at_least = _AT_LEAST.search(needs)
    return at_least is None or int(at_least[1]) <= minor


def _link_package(package: metadata.Distribution, folder: Path) -> None:
    """Link a package's modules and the part of its metadata that says its name and version."""
    for file in package.files or ():
        if ".." in file.parts or file.is_absolute():
            continue  # commands
        if file.parts[0].endswith(".dist-info") and file.name != "METADATA":
            continue
        source = Path(str(package.locate_file(file)))
        if source.is_file():
            link(source, folder / file)


def _install(names: list[str], python: Python, folder: Path) -> None:
    """Install the newest of these packages that there are for `python`."""
    problem = ""
    for command in _installers(python):
        try:
            done = subprocess.run(
                (*command, "--target", str(folder), "--no-deps", *names),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
            continue
        if done.returncode == 0:
            return
        problem = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise NoPackages(f"the packages for Python {python.version} could not be installed: {problem}")


def _installers(python: Python) -> Iterator[tuple[str, ...]]:
    quiet = ("install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile", "--no-warn-script-location")
    foreign = ("--only-binary", ":all:", "--python-version", python.version, "--implementation", "cp")
    yield (sys.executable, "-m", "pip", *quiet, *foreign)
    yield (str(python.executable), "-m", "pip", *quiet, "--only-binary", ":all:")
    yield ("uv", "pip", "install", "--quiet", "--python", str(python.executable))


def _compile(python: Python, folder: Path) -> None:
    """Compile what is not compiled, so that no cold start has to."""
    tag = f".cpython-3{python.minor}.pyc"
    sources = (path for path in folder.rglob("*.py"))
    if all((path.parent / "__pycache__" / f"{path.stem}{tag}").exists() for path in sources):
        return
    subprocess.run(
        (str(python.executable), "-I", "-S", "-m", "compileall", "-q", "-j", "2", str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMPILE_SECONDS_MAX,
        check=False,  # what does not compile is not used
    )
