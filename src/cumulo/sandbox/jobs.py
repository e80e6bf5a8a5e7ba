"""What a warden tells its cells: jobs, with the descriptors beside them.  Sets the limits on the way."""

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from cumulo.sandbox.cgroups import Groups
    from cumulo.sandbox.records import Cell, Start
    from cumulo.sandbox.rootfs import Roots
    from cumulo.sandbox.stock import Volume


class Jobs:
    """Makes jobs.  Every method adds to `passing` the descriptors that are for the cell; the caller closes them."""

    def __init__(self, roots: "Roots", groups: "Groups | None") -> None:
        self._roots = roots
        self._groups = groups

    def start_early(
        self, cell: "Cell", what: "dict[str, Any]", volume: "Volume", passing: list[int]
    ) -> "dict[str, Any]":
        """The job of a cell whose function is not known yet: to start the runtime."""
        targets = self._roots.open_runtime(what["binds"], volume.path, volume.uid, passing)
        targets += self._roots.open_placeholders(passing)
        self._pipes(cell, volume, passing)
        job = {name: what[name] for name in ("argv", "env", "files_max")}
        return job | {"early": True, "uid": volume.uid, "targets": targets}

    def start(self, cell: "Cell", start: "Start", passing: list[int]) -> "dict[str, Any]":
        """The job of a cell that gets a function; `cell.answer` is what the server gets for it."""
        message, volume = start.message, start.volume
        job: dict[str, Any] = {"memory_bytes": message["memory_bytes"]}
        if cell.early:
            job["targets"] = self._roots.open_function(message, passing)
            job["assignment"] = json.dumps({"env": message["env"]})
        else:
            job["targets"] = self._roots.open_for(message, volume.path, volume.uid, passing)
            job |= {name: message[name] for name in ("argv", "env", "files_max")} | {"uid": volume.uid}
            self._pipes(cell, volume, passing)
        ours = self._limit(cell, message, passing)
        cell.answer = [*cell.ready, *cell.pipes, os.dup(cell.pidfd), *ours]
        cell.ready, cell.pipes = [], []
        return job

    def _pipes(self, cell: "Cell", volume: "Volume", passing: list[int]) -> None:
        """Make its output and telemetry, and keep the reading ends."""
        for _ in range(2):
            reading, writing = os.pipe2(os.O_CLOEXEC)
            cell.pipes.append(reading)
            passing.append(writing)
            os.fchown(writing, volume.uid, volume.uid)  # so that /dev/stdout can be opened

    def _limit(self, cell: "Cell", message: "dict[str, Any]", passing: list[int]) -> list[int]:
        """Set the limits; returns the descriptors by which the server freezes it and sees its memory."""
        groups = self._groups
        if groups is None:
            peak = os.memfd_create("peak", os.MFD_CLOEXEC)
            passing.append(peak)
            return [os.dup(peak)]
        groups.limit(cell.name, message["memory_bytes"], message["pids_max"])
        groups.cpu(cell.name, message["vcpus_first"])
        return [groups.open_freezer(cell.name), groups.open_peak(cell.name), groups.open_stat(cell.name)]
