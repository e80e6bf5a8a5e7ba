"""The runtimes of this machine: one door for all languages."""

import os
from enum import StrEnum
from pathlib import Path

import msgspec

from cumulo.sandbox.contract import RuntimeHost, RuntimeMissing
from cumulo.sandbox.runtimes import catalog, java_host, node_host, provided_host, python_host
from cumulo.sandbox.runtimes.catalog import Language, Runtime
from cumulo.sandbox.runtimes.homes import Homes
from cumulo.sandbox.runtimes.places import Answers, Places
from cumulo.sandbox.runtimes.pythons import Pythons


class Fit(StrEnum):
    """How well this machine runs a runtime."""

    EXACT = "exact"
    NEAREST = "nearest"
    MISSING = "missing"


class Finding(msgspec.Struct, frozen=True):
    """A line for `cumulo doctor`: what a runtime runs on here, and what would make it better."""

    runtime: str
    fit: Fit
    runs_on: str = ""
    remedy: str = ""


class HostRuntimes:
    """Implements `Runtimes` with the interpreters of this machine.

    cache         a folder of ours for what is made once: /var/runtime folders, compiled classes, answers
    places        where to look for interpreters; by default what this process's environment names
    node_modules  a folder that has @aws-sdk in it, for Node.js functions that do not bring their own
    may_install   whether packages for other Python versions may be fetched from an index
    """

    def __init__(
        self,
        cache: Path,
        *,
        places: Places | None = None,
        node_modules: Path | None = None,
        may_install: bool = True,
    ) -> None:
        places = places or Places.of(os.environ)
        homes = Homes(cache / "runtimes")
        answers = Answers(cache / "runtimes" / "answers.json")
        self._python = python_host.PythonHost(Pythons(places, answers), homes, may_install=may_install)
        self._node = node_host.NodeHost(places, answers, homes, node_modules=node_modules)
        self._java = java_host.JavaHost(places, homes)

    def prepare(self, runtime: str, handler: str, code: Path) -> RuntimeHost:  # noqa: ARG002 - the contract's
        """Find or make what `runtime` needs; RuntimeMissing when this machine has nothing for it."""
        row = catalog.find(runtime)
        if row is None:
            raise RuntimeMissing(f"{runtime} is not a runtime that this machine knows.")
        match row.language:
            case Language.PYTHON if row.version.startswith("3."):
                return self._python.prepare(row)
            case Language.NODE:
                return self._node.prepare(row)
            case Language.JAVA:
                return self._java.prepare(row)
            case Language.OS_ONLY:
                return provided_host.prepare(row, code)
        raise RuntimeMissing(_unsupported(row))

    def report(self) -> list[Finding]:
        """Say of every runtime that AWS still creates what it would run on here."""
        return [self._finding(row) for row in catalog.RUNTIMES if not row.retired]

    def _finding(self, row: Runtime) -> Finding:
        match row.language:
            case Language.PYTHON:
                python = self._python.nearest(row)
                runs_on = f"Python {python.version} at {python.executable}" if python else ""
                exact, remedy = python is not None and python.version == row.version, python_host.remedy(row)
            case Language.NODE:
                node = self._node.nearest(row)
                sdk = "" if self._node.node_modules else ", without the AWS SDK (functions bring their own)"
                runs_on = f"Node.js {node.version} at {node.executable}{sdk}" if node else ""
                exact, remedy = node is not None and str(node.major) == row.version, node_host.remedy(row)
            case Language.JAVA:
                java = self._java.nearest(row)
                runs_on = f"Java {java.major} at {java.home}" if java else ""
                exact, remedy = java is not None and str(java.major) == row.version, java_host.remedy(row)
            case Language.OS_ONLY:
                runs_on, exact, remedy = "the function's own bootstrap", True, ""
            case _:
                runs_on, exact, remedy = "", False, _unsupported(row)
        if not runs_on:
            return Finding(row.name, Fit.MISSING, "", remedy)
        return Finding(row.name, Fit.EXACT if exact else Fit.NEAREST, runs_on, "" if exact else remedy)


def _unsupported(row: Runtime) -> str:
    return (
        f"{row.name} cannot run on this machine: functions in this language are not supported yet. "
        "Use a provided.al2023 function with a bootstrap of its own."
    )
