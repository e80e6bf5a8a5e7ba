"""Slices: parts of the machine whose limits the pods in them share.

`<data>/slices/<name>.json` says that there is one; its control group is made anew when it is gone (the machine was
restarted, or no pod was left when the engine was closed).  Blocking.
"""

import re
from pathlib import Path

import msgspec

from cumulo.engines.engine import NAME_PATTERN, EngineError, Limits, PodSpec
from cumulo.engines.local.files import write_whole
from cumulo.engines.local.groups import Groups

_SUFFIX = ".json"


class Slices:
    """The slices of an instance."""

    def __init__(self, folder: Path, groups: Groups) -> None:
        self._folder = folder
        self._groups = groups
        self._limits: dict[str, Limits] = {}

    def load(self) -> None:
        """Take over those that an earlier engine made.  OSError."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                limits = msgspec.json.decode(path.read_bytes(), type=Limits)
            except msgspec.MsgspecError:
                continue  # not one of ours
            name = path.name.removesuffix(_SUFFIX)
            self._groups.make_slice(name, limits)
            self._limits[name] = limits

    def sweep(self) -> None:
        """Remove groups of slices that are none: an engine was killed while it removed one."""
        for name in self._groups.slices() - self._limits.keys():
            self._groups.remove_slice(name)

    def names(self) -> list[str]:
        """All of them."""
        return sorted(self._limits)

    def check(self, spec: PodSpec) -> None:
        """EngineError for a pod that wants to live in one that is not there."""
        if spec.slice and spec.slice not in self._limits:
            raise EngineError(f"there is no slice {spec.slice} for the pod {spec.name}")

    def within(self, spec: PodSpec) -> Limits:
        """The limits of a pod.  In its slice it has no more processor time than that."""
        above = self._limits.get(spec.slice, Limits()).vcpus
        if not above:
            return spec.limits
        return msgspec.structs.replace(spec.limits, vcpus=min(spec.limits.vcpus or above, above))

    def make(self, name: str, limits: Limits) -> None:
        """Make one, or give it other limits.  EngineError."""
        if not re.fullmatch(NAME_PATTERN, name):
            raise EngineError(f"{name!r} is no name: {NAME_PATTERN}")
        try:
            self._groups.make_slice(name, limits)
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self._folder / f"{name}{_SUFFIX}", msgspec.json.encode(limits))
        except OSError as error:
            raise EngineError(f"the slice {name} could not be made: {error}") from error
        self._limits[name] = limits

    def forget(self, name: str) -> None:
        """No pod is made in it from here on."""
        self._limits.pop(name, None)

    def remove(self, name: str) -> None:
        """Give one back, in which no pod lives; harmless when there is none.  EngineError."""
        if not re.fullmatch(NAME_PATTERN, name):
            return
        self.forget(name)
        try:
            (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)
        except OSError as error:
            raise EngineError(f"the slice {name} could not be removed: {error}") from error
        if not self._groups.remove_slice(name):
            raise EngineError(f"the control groups of the slice {name} could not be removed")
