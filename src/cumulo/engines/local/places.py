"""What of a pod lies on disk.

    <data>/pods/<pod>/pod.json                   the pod exists; written last, removed first
                      hosts, hostname, resolv.conf
                      volumes/<name>/            folders of the pod's
                      containers/<name>/run.json  the run that was started last; written once it runs
                                         config.json  the bundle
                                         upper/ work/ rootfs/
                                         log          of all runs
                                         exits/<id of the run>   written by the monitor
    <data>/volumes/<name>/                       folders of the engine's
    <data>/slices/<name>.json                    limits of a slice

A folder without pod.json is a leftover, and so is every process of a run that no run.json names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cumulo.engines.engine import Exit, PodSpec
from cumulo.engines.images import Image
from cumulo.engines.local.files import write_whole
from cumulo.engines.local.needs import Connection

S = TypeVar("S")


class PodRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that exists.  `ids` are the containers' own; `images` by id."""

    spec: PodSpec
    created_at: float
    ids: Mapping[str, str]
    images: Mapping[str, Image]
    connection: Connection


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a container.

    number  counts from 1; 0 with an `exit` for one that never came to run
    boot    of the machine: process ids of another boot mean nothing
    born    when the process started, in the kernel's ticks since the boot: tells it from a later one of the same id
    """

    number: int
    boot: str
    pid: int = 0
    born: int = 0
    monitor: int = 0
    monitor_born: int = 0
    started_at: float = 0.0
    exit: Exit | None = None


class Places:
    """Where everything of one data folder is.  `run` is in memory: it does not outlive the machine."""

    def __init__(self, data: Path, run: Path) -> None:
        self.data = data
        self.pods = data / "pods"
        self.volumes = data / "volumes"
        self.slices = data / "slices"
        self.run = run
        self.runtime = run / "runtime"
        self.sockets = run / "sockets"
        self._link = run / "pods"

    def make(self) -> None:
        """Make what all pods share."""
        for folder in (self.pods, self.volumes, self.run, self.runtime, self.sockets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self.pods)

    def pod(self, pod: str) -> Path:
        """The folder of a pod."""
        return self.pods / pod

    def container(self, pod: str, container: str) -> Path:
        """The folder of a container, which is its bundle."""
        return self.pods / pod / "containers" / container

    def log(self, pod: str, container: str) -> Path:
        """What it printed."""
        return self.container(pod, container) / "log"

    def execs(self, pod: str, container: str) -> Path:
        """What belongs to further processes; without colons, for runtimes take what is before one for a kind of log."""
        return self._link / pod / "containers" / container / "execs"

    def log_for_monitor(self, pod: str, container: str) -> Path:
        """The same by a path without colons: the monitor would cut it off there."""
        return self._link / pod / "containers" / container / "log"

    def said(self, pod: str, container: str) -> Path:
        """What the runtime says of a run; without colons, as above."""
        return self._link / pod / "containers" / container / "said"

    def exit(self, pod: str, container: str, number: int) -> Path:
        """Where the monitor writes the exit code of a run."""
        return self.container(pod, container) / "exits" / run_id(pod, container, number)

    def save_pod(self, record: PodRecord) -> None:
        """The pod exists from here on."""
        write_whole(self.pod(record.spec.name) / "pod.json", msgspec.json.encode(record, enc_hook=_plain))

    def load_pod(self, pod: str) -> PodRecord | None:
        """A pod that exists."""
        return _load(self.pod(pod) / "pod.json", PodRecord)

    def forget_pod(self, pod: str) -> None:
        """The pod does not exist from here on: what is left is a leftover."""
        (self.pod(pod) / "pod.json").unlink(missing_ok=True)

    def save_run(self, pod: str, container: str, run: RunRecord) -> None:
        """What is known of the last run."""
        write_whole(self.container(pod, container) / "run.json", msgspec.json.encode(run))

    def forget_run(self, pod: str, container: str) -> None:
        """It was never started."""
        (self.container(pod, container) / "run.json").unlink(missing_ok=True)

    def load_run(self, pod: str, container: str) -> RunRecord | None:
        """The last run."""
        return _load(self.container(pod, container) / "run.json", RunRecord)


def run_id(pod: str, container: str, number: int) -> str:
    """What the runtime calls a run.  Names have no dots."""
    return f"{pod}.{container}.{number}"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value)} is not for records")


def _rich(kind: type, value: Any) -> Any:
    return kind(value)


def _load(path: Path, kind: type[S]) -> S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=_rich)
    except (OSError, msgspec.MsgspecError):
        return None
