"""How Python runtimes are run: the nearest interpreter with awslambdaric at /var/runtime."""

from pathlib import Path

from cumulo.sandbox.contract import Bind, RuntimeHost, RuntimeMissing
from cumulo.sandbox.runtimes import python_home
from cumulo.sandbox.runtimes.catalog import Runtime
from cumulo.sandbox.runtimes.homes import Homes
from cumulo.sandbox.runtimes.places import is_system
from cumulo.sandbox.runtimes.pythons import Python, Pythons
from cumulo.sandbox.runtimes.surroundings import RUNTIME_DIR, environment

# What Python, the loader, the C library and OpenSSL look at when they start, and what says what to start.
EARLY_UNLESS = (
    "AWS_LAMBDA_EXEC_WRAPPER",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "LANG",
    "LANGUAGE",
    "LAMBDA_RUNTIME_DIR",
    "LC_*",
    "LD_*",
    "LOCPATH",
    "MALLOC_*",
    "OPENSSL_*",
    "PYTHON*",
)


class PythonHost:
    """Prepares `python3.X`."""

    def __init__(self, pythons: Pythons, homes: Homes, *, may_install: bool = True) -> None:
        self._pythons = pythons
        self._homes = homes
        self._may_install = may_install
        self._refused: dict[str, str] = {}  # versions whose packages could not be had, and why

    def nearest(self, runtime: Runtime) -> Python | None:
        """Find the interpreter that would be used if its packages can be had."""
        return next(self._pythons.for_minor(_minor(runtime)), None)

    def prepare(self, runtime: Runtime) -> RuntimeHost:
        """Find an interpreter and make its /var/runtime; RuntimeMissing when there is none."""
        reasons: list[str] = []
        for python in self._pythons.for_minor(_minor(runtime)):
            try:
                return self._host(runtime, python, reasons)
            except python_home.NoPackages as refusal:
                reasons.append(str(refusal))
        why = "; ".join(reasons) or "no Python was found"
        raise RuntimeMissing(f"{runtime.name} cannot run on this machine: {why}. {remedy(runtime)}")

    def _host(self, runtime: Runtime, python: Python, reasons: list[str]) -> RuntimeHost:
        home = self._home(python)
        binds = [Bind(home, RUNTIME_DIR)]
        if not is_system(python.prefix):
            binds.append(Bind(python.prefix, str(python.prefix)))
            if python.packages.is_dir():
                binds.append(Bind(self._homes.empty(), str(python.packages)))
        return RuntimeHost(
            runtime=runtime.name,
            argv=(str(python.executable), "-S", f"{RUNTIME_DIR}/bootstrap.py"),
            env=environment(runtime, programs=python.executable.parent, libraries=python.prefix / "lib")
            | {"PYTHONPATH": RUNTIME_DIR},
            binds=tuple(binds),
            version=runtime.label,
            version_arn=runtime.version_arn,
            warning=warning(runtime, python, reasons),
            early_unless=EARLY_UNLESS,
        )

    def _home(self, python: Python) -> Path:
        own = self._pythons.own()
        if python != own and not self._may_install:
            raise python_home.NoPackages("packages may not be installed")
        if python.version in self._refused:
            raise python_home.NoPackages(self._refused[python.version])
        try:
            return python_home.make(self._homes, python)
        except python_home.NoPackages as refusal:
            self._refused[python.version] = str(refusal)
            raise


def warning(runtime: Runtime, python: Python, reasons: list[str]) -> str:
    """Say why this is not quite the runtime that was asked for; empty when it is."""
    if python.version == runtime.version:
        return ""
    cause = f" ({reasons[0]})" if reasons else ""
    missing = "cannot be used" if reasons else "is not installed"
    return f"{runtime.name} {missing} on this machine{cause}; running on python{python.version}"


def remedy(runtime: Runtime) -> str:
    """Say what to install."""
    return f"Install Python {runtime.version} (uv python install {runtime.version}, or pyenv install {runtime.version})."


def _minor(runtime: Runtime) -> int:
    return int(runtime.version.partition(".")[2]) if runtime.version.startswith("3.") else 0
