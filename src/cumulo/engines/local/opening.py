"""Opens the local engine on a data folder: claims it, sweeps, adopts."""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from cumulo.base.clock import Clock
from cumulo.engines.engine import EngineError
from cumulo.engines.images import Images
from cumulo.engines.local import forsaken, processes, program, runtime, sweep
from cumulo.engines.local.engine import LocalEngine
from cumulo.engines.local.execs import Execs
from cumulo.engines.local.groups import open_groups
from cumulo.engines.local.hands import Hands
from cumulo.engines.local.needs import LayerStore, PodNetwork
from cumulo.engines.local.places import Places
from cumulo.engines.local.preparing import Preparer, machine_of
from cumulo.engines.local.runtime import Runtime, Tools
from cumulo.engines.local.slices import Slices
from cumulo.engines.local.starting import Starter

CGROUPS = Path("/sys/fs/cgroup")
RUN = Path("/run/cumulo/pods")
_LOCK_SECONDS_MAX = 2.0
_STATUS = Path("/proc/self/status")


async def open_engine(
    *,
    data: Path,
    images: Images,
    layers: LayerStore,
    network: PodNetwork,
    clock: Clock,
    tools: Tools,
    instance: str = "",
    run: Path = RUN,
    cgroups: Path = CGROUPS,
    call_seconds_max: float = runtime.CALL_SECONDS_MAX,
    closing: Callable[[], Awaitable[None]] | None = None,
) -> LocalEngine:
    """The engine of a data folder, with the pods that it has.  EngineError; also when another server has it open.

    data     pods, volumes, slices
    tools    what probe.choose found
    instance  the name of the data folder on this machine, always the same; empty: made of its path
    run      in memory or on a disk that is emptied at boot: states of the runtime
    closing  awaited when the engine closes, after all else, while the folder is still its own
    """
    try:
        places = await asyncio.to_thread(_places, data, run, instance)
    except OSError as error:
        raise EngineError(f"the local engine cannot be opened: {error}") from error
    instance = places.run.name
    lock = await asyncio.to_thread(_claim, places)
    hands = Hands()
    sealed = -1
    try:
        await asyncio.to_thread(forsaken.end, run, cgroups)
        groups = await hands.do(lambda: open_groups(cgroups, instance))
        tools, sealed = await hands.do(_seal, tools, places)
        caller = Runtime(tools, places.runtime, places.sockets, call_seconds_max)
        machine = await hands.do(
            lambda: machine_of(_STATUS.read_text(), tools.init, swap=groups.swap, unified=groups.version == 2)
        )
        preparer = Preparer(places, layers, machine)
        boot = processes.boot_id()
        slices = Slices(places.slices, groups)
        await hands.do(slices.load)
        starter = Starter(places, caller, groups, slices, preparer, clock, boot)
        found = await hands.do(lambda: sweep.sweep(places, caller, groups, starter, boot))
        await hands.do(slices.sweep)
        await network.start()
        engine = LocalEngine(
            places=places,
            hands=hands,
            groups=groups,
            slices=slices,
            starter=starter,
            preparer=preparer,
            execs=Execs(hands, caller, places.sockets),
            images=images,
            network=network,
            clock=clock,
            let_go=lambda empty: _let_go(places if empty else None, (lock, sealed), closing),
        )
        await engine.adopt(found)
    except BaseException as error:
        hands.close()
        _close(lock, sealed)
        if isinstance(error, OSError):
            raise EngineError(f"the local engine cannot be opened: {error}") from error
        raise
    return engine


def _seal(tools: Tools, places: Places) -> tuple[Tools, int]:
    """The tools with crun as a sealed copy, where that can be (runc would take ten times the memory)."""
    path = Path(tools.runtime)
    sealed = program.seal(tools.runtime, places.run / path.name) if path.name == "crun" else -1
    if sealed < 0:
        return tools, -1
    return msgspec.structs.replace(tools, runtime=str(places.run / path.name)), sealed


def instance_of(data: Path) -> str:
    """The name that a data folder has on this machine: in control groups, and where states are kept."""
    return hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]


def _places(data: Path, run: Path, instance: str) -> Places:
    data.mkdir(parents=True, exist_ok=True)
    return Places(data.resolve(), run / (instance or instance_of(data)))


async def _let_go(
    empty: Places | None, held: tuple[int, int], closing: Callable[[], Awaitable[None]] | None
) -> None:
    """End what is to end while the folder is still ours; then let it go, and remove it when no pod is left."""
    try:
        if closing is not None:
            await closing()
    finally:
        if empty is not None:
            await asyncio.to_thread(forsaken.remove_folder, empty.run)
        _close(*held)


def _claim(places: Places) -> int:
    """Make the folders and lock them.  EngineError.

    A child that a killed server was just starting may hold the lock a moment longer.  Whoever had it before may have
    removed the folder, the file of the lock last: then it is made again.
    """
    path = places.run / forsaken.LOCK
    deadline = time.monotonic() + _LOCK_SECONDS_MAX
    while True:
        fd = -1
        try:
            places.run.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == path.stat().st_ino:
                places.make()
                forsaken.note(places.run, places.data)
                return fd
        except (BlockingIOError, FileNotFoundError) as error:
            if time.monotonic() > deadline:
                _close(fd)
                raise EngineError("another server has the pods of this data folder") from error
        except OSError as error:
            _close(fd)
            raise EngineError(f"the local engine cannot be opened: {error}") from error
        _close(fd)
        time.sleep(0.02)


def _close(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)
