"""How Node.js runtimes are run: the nearest `node` with our runtime client at /var/runtime."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cumulo.sandbox.contract import Bind, RuntimeHost, RuntimeMissing
from cumulo.sandbox.runtimes.catalog import Runtime
from cumulo.sandbox.runtimes.homes import Homes, shipped, write_all
from cumulo.sandbox.runtimes.places import Answers, Places, home_of, is_system, nearest
from cumulo.sandbox.runtimes.surroundings import RUNTIME_DIR, TASK_ROOT, environment

_VERSION = re.compile(r"v(\d+)\.\d+\.\d+")


class Node(msgspec.Struct, frozen=True):
    """A `node` program."""

    major: int
    version: str
    executable: Path


class NodeHost:
    """Prepares `nodejsX.x`; `node_modules` is a folder with the AWS SDK that functions see, when there is one."""

    def __init__(
        self, places: Places, answers: Answers, homes: Homes, *, node_modules: Path | None = None
    ) -> None:
        self._places = places
        self._answers = answers
        self._homes = homes
        self.node_modules = node_modules

    def nearest(self, runtime: Runtime) -> Node | None:
        """Find the program that would be used."""
        nodes = {node.major: node for node in reversed(list(self._all()))}
        majors = nearest(int(runtime.version), nodes)
        return nodes[majors[0]] if majors else None

    def prepare(self, runtime: Runtime) -> RuntimeHost:
        """Find a `node` and make its /var/runtime; RuntimeMissing when there is none."""
        node = self.nearest(runtime)
        if node is None:
            raise RuntimeMissing(
                f"{runtime.name} cannot run on this machine: no Node.js was found. {remedy(runtime)}"
            )
        binds = [Bind(self._home(), RUNTIME_DIR)]
        if self.node_modules is not None:
            binds.append(Bind(self.node_modules, f"{RUNTIME_DIR}/node_modules"))
        if not is_system(node.executable):
            prefix = home_of(node.executable)
            binds.append(Bind(prefix, str(prefix)))
        return RuntimeHost(
            runtime=runtime.name,
            argv=("/bin/sh", f"{RUNTIME_DIR}/bootstrap", str(node.executable)),
            env=environment(runtime, programs=node.executable.parent) | {"NODE_PATH": _node_path(runtime)},
            binds=tuple(binds),
            version=runtime.label,
            version_arn=runtime.version_arn,
            warning=warning(runtime, node),
        )

    def _all(self) -> Iterator[Node]:
        for folder in self._places.node_folders():
            program = folder / "node"
            if not program.exists():
                continue
            answer = self._answers.ask(program.resolve(), "--version")
            if match := _VERSION.fullmatch(answer):
                yield Node(int(match[1]), answer[1:], program.resolve())

    def _home(self) -> Path:
        files = shipped("node", suffixes=(".cjs", "bootstrap"))

        def fill(folder: Path) -> None:
            write_all(folder, files)
            (folder / "node_modules").mkdir()  # where the AWS SDK is bound

        return self._homes.make("node", [part for item in files.items() for part in item], fill)


def warning(runtime: Runtime, node: Node) -> str:
    """Say why this is not quite the runtime that was asked for; empty when it is."""
    if node.major == int(runtime.version):
        return ""
    return f"{runtime.name} is not installed on this machine; running on Node.js {node.version}"


def remedy(runtime: Runtime) -> str:
    """Say what to install."""
    return f"Install Node.js {runtime.version} (nvm install {runtime.version}, or https://nodejs.org/)."


def _node_path(runtime: Runtime) -> str:
    folders = (
        f"/opt/nodejs/node{runtime.version}/node_modules",
        "/opt/nodejs/node_modules",
        f"{RUNTIME_DIR}/node_modules",
        RUNTIME_DIR,
        TASK_ROOT,
    )
    return ":".join(folders)
