"""What a killed server left: brought to what the records say, before anything else happens.  Blocking."""

import contextlib
import time
from functools import partial
from pathlib import Path

import msgspec

from cumulo.base.killing import kill_those
from cumulo.engines.engine import EngineError
from cumulo.engines.local import processes, volumes
from cumulo.engines.local.files import delete_folder
from cumulo.engines.local.groups import Groups
from cumulo.engines.local.places import Places, PodRecord, RunRecord, run_id
from cumulo.engines.local.runtime import Runtime
from cumulo.engines.local.starting import Starter

_EXEC_SECONDS_MAX = 3.0


class Found(msgspec.Struct, frozen=True):
    """A pod that exists, and the last run of each of its containers that was ever started."""

    record: PodRecord
    runs: dict[str, RunRecord]


def sweep(places: Places, runtime: Runtime, groups: Groups, starter: Starter, boot: str) -> list[Found]:
    """The pods that exist; everything else of this instance is gone afterwards, as far as it can be."""
    found = []
    for folder in sorted(places.pods.iterdir()):
        record = places.load_pod(folder.name)
        if record is None:
            with contextlib.suppress(EngineError):  # it stays a leftover, for the next time
                starter.clear_pod(folder.name)
            continue
        runs = {}
        for spec in record.spec.containers:
            run = places.load_run(folder.name, spec.name)
            if run is not None and run.exit is None and starter.is_over(run):
                run = starter.settle(folder.name, spec.name, run)
            elif run is not None and run.exit is None and starter.never_ran(folder.name, spec.name, run):
                run = None
            if run is not None:
                runs[spec.name] = run
        found.append(Found(record, runs))
    _strangers(found, runtime, groups, starter, boot)
    for one in found:
        _execs(one, places, groups)
    volumes.sweep(places.volumes)
    return found


def _strangers(found: list[Found], runtime: Runtime, groups: Groups, starter: Starter, boot: str) -> None:
    """End what no record names."""
    alive = {
        (one.record.spec.name, name): run
        for one in found
        for name, run in one.runs.items()
        if run.exit is None and run.boot == boot
    }
    known = {run_id(pod, name, run.number) for (pod, name), run in alive.items()}
    for run in runtime.runs() - known:
        runtime.clear(run)
    pods = {one.record.spec.name for one in found}
    for pod in groups.names():
        with contextlib.suppress(EngineError):
            if pod not in pods:
                starter.clear_pod(pod)
                continue
            for name in groups.containers(pod):
                if (pod, name) not in alive:
                    groups.kill(f"{pod}/{name}")
    for run in runtime.runs() - known:  # a runtime that was still at it
        runtime.clear(run)


def _execs(one: Found, places: Places, groups: Groups) -> None:
    """Further processes end with the server that started them."""
    for spec in one.record.spec.containers:
        folder = places.execs(one.record.spec.name, spec.name)
        if not folder.is_dir():
            continue
        _await_starting(folder)
        inside = groups.processes(f"{one.record.spec.name}/{spec.name}")
        name = f"{one.record.spec.name}/{spec.name}"
        kill_those({_number(file) for file in folder.glob("*.pid")} & inside, partial(groups.processes, name))
        for asked in folder.glob("*.json"):
            mentioning = partial(processes.mentioning, str(asked))
            kill_those(mentioning(), mentioning)
        delete_folder(folder)


def _await_starting(folder: Path) -> None:
    """A runtime that is just starting one says its process id at the end of that; until then nobody else knows it."""
    deadline = time.monotonic() + _EXEC_SECONDS_MAX
    for file in folder.glob("*.json"):
        while not _number(file.with_suffix(".pid")) and processes.mentioning(str(file)):
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
