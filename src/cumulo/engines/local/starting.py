"""One run of a container, from nothing to a running process, and back to nothing.  Blocking."""

import _thread
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cumulo.base.clock import Clock
from cumulo.engines.engine import ContainerSpec, EngineError, Exit, StartFailed
from cumulo.engines.local import processes
from cumulo.engines.local.files import delete_folder
from cumulo.engines.local.groups import Groups
from cumulo.engines.local.hands import unmount_below
from cumulo.engines.local.places import Places, PodRecord, RunRecord, run_id
from cumulo.engines.local.preparing import Preparer
from cumulo.engines.local.runtime import Runtime, exit_code, read_exit
from cumulo.engines.local.slices import Slices

_UNKNOWN_CODE = 137


class Starter:
    """Starts runs, settles and clears them."""

    def __init__(
        self,
        places: Places,
        runtime: Runtime,
        groups: Groups,
        slices: Slices,
        preparer: Preparer,
        clock: Clock,
        boot: str,
    ) -> None:
        self._places = places
        self._runtime = runtime
        self._groups = groups
        self._slices = slices
        self._preparer = preparer
        self._clock = clock
        self._boot = boot

    def start(
        self,
        record: PodRecord,
        spec: ContainerSpec,
        number: int,
        binds: Mapping[str, int],
        output: int | None,
    ) -> RunRecord:
        """Run it.  StartFailed: then nothing is left but the record that it ended with the code that this has."""
        pod = record.spec.name
        try:
            return self._try(record, spec, number, binds, output)
        except (EngineError, OSError) as error:
            failed = error if isinstance(error, StartFailed) else StartFailed("engine", str(error))
            with contextlib.suppress(EngineError):
                self.clear(pod, spec.name, number)
            with contextlib.suppress(OSError):  # a full disk
                self._places.save_run(pod, spec.name, self.failed(number, failed))
            raise failed from error

    def failed(self, number: int, error: StartFailed) -> RunRecord:
        """The record of a run that could not be started."""
        ended = Exit(exit_code(error), finished_at=self._clock.now(), error=str(error))
        return RunRecord(number=number, boot=self._boot, exit=ended)

    def _try(
        self,
        record: PodRecord,
        spec: ContainerSpec,
        number: int,
        binds: Mapping[str, int],
        output: int | None,
    ) -> RunRecord:
        pod, name = record.spec.name, f"{record.spec.name}/{spec.name}"
        _thread.start_new_thread(_warm, ())  # not Thread.start(), which waits until it has begun
        if number > 1:  # what the run before has left
            self._groups.kill(name)
            self._groups.remove(name)
            self._runtime.forget(run_id(pod, spec.name, number - 1))
            self._places.exit(pod, spec.name, number - 1).unlink(missing_ok=True)
        limits = self._slices.within(record.spec)
        self._groups.make_pod(pod, limits, record.spec.slice)
        run = run_id(pod, spec.name, number)
        try:
            bundle = self._preparer.prepare(record, spec, limits, self._groups.path(name), binds)
            launched = self._runtime.launch(
                run,
                bundle,
                exit_file=self._places.exit(pod, spec.name, number),
                log=self._places.log_for_monitor(pod, spec.name) if output is None else None,
                log_bytes_max=spec.log_bytes_max,
                terminal=spec.terminal,
                output=output,
                said_file=self._places.said(pod, spec.name),
            )
        finally:
            if binds:
                unmount_below(self._places.container(pod, spec.name) / "binds")
        self._preparer.learn(record, spec, self._runtime.root / run)
        record_of_run = RunRecord(
            number=number,
            boot=self._boot,
            pid=launched.pid,
            born=launched.born,
            monitor=launched.monitor,
            monitor_born=launched.monitor_born,
            started_at=self._clock.now(),
        )
        # Before it runs: nobody may find later that it ran unknown, and start it a second time.
        self._places.save_run(pod, spec.name, record_of_run)
        self._runtime.start(run)
        self._groups.take_monitor(launched.monitor)
        return record_of_run

    def never_ran(self, pod: str, container: str, run: RunRecord) -> bool:
        """Whether a server was killed before it let this run begin; then nothing is left of it.  EngineError."""
        if not self._runtime.waits(run_id(pod, container, run.number)):
            return False
        self.clear(pod, container, run.number)
        self._places.exit(pod, container, run.number).unlink(missing_ok=True)
        self._places.forget_run(pod, container)
        return True

    def is_over(self, run: RunRecord) -> bool:
        """Whether neither the process of a run nor its monitor is there any more."""
        pairs = ((run.pid, run.born), (run.monitor, run.monitor_born))
        return run.boot != self._boot or not any(processes.is_there(pid, born) for pid, born in pairs)

    def kill(self, pod: str, container: str) -> None:
        """End every process of a container.  EngineError."""
        self._groups.kill(f"{pod}/{container}")

    def settle(self, pod: str, container: str, run: RunRecord) -> RunRecord:
        """Write down how a run ended whose process and monitor are gone."""
        name = f"{pod}/{container}"
        with contextlib.suppress(EngineError):
            self._groups.kill(name)
        found = read_exit(self._places.exit(pod, container, run.number))
        memory = self._groups.out_of_memory(name)
        if found is not None:
            ended = Exit(found[0], memory, found[1])
        else:
            why = (
                "its monitor was killed, and the exit code was lost"
                if run.boot == self._boot
                else "the machine was restarted"
            )
            ended = Exit(_UNKNOWN_CODE, memory, self._clock.now(), why)
        settled = msgspec.structs.replace(run, exit=ended)
        with contextlib.suppress(OSError):  # a full disk: the next engine finds it out again
            self._places.save_run(pod, container, settled)
        self._runtime.forget(run_id(pod, container, run.number))
        return settled

    def clear(self, pod: str, container: str, number: int) -> None:
        """Nothing of a run runs on or is known to the runtime.  EngineError."""
        self._runtime.clear(run_id(pod, container, number))
        self._groups.kill(f"{pod}/{container}")
        self._runtime.clear(run_id(pod, container, number))

    def clear_pod(self, pod: str, *, settled: bool = False) -> None:
        """Nothing of a pod is left but its network.  EngineError; harmless when there is nothing.

        settled  all its runs are known, and have ended: no monitor or runtime need be looked for
        """
        for run in self._runtime.states() if settled else self._runtime.runs():
            if run.partition(".")[0] != pod:
                continue
            if settled:
                self._runtime.forget(run)
            else:
                self._runtime.clear(run)
        self._groups.kill(pod)
        delete_folder(self._places.pod(pod))
        if not self._groups.remove(pod):
            raise EngineError(f"the control groups of {pod} could not be removed")


def _warm() -> None:
    """Move this process into the group that it is in.

    The kernel takes about 10 ms for the first move after a pause, and next to nothing for those that follow: so that
    has passed when the runtime comes to it.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "freezer":
                Path(f"/sys/fs/cgroup/freezer{path}/cgroup.procs").write_text(str(os.getpid()))
