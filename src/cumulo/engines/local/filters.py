"""Filters of system calls that crun has compiled, for the next container with the same profile.

Compiling a profile takes crun some 4 ms at every start.  What came of it lies beside the container's state; handed back
in an annotation, it is loaded as it is.  The profile stays in the bundle: a runtime that does not know the annotation
compiles it again, and none leaves a container without.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

ANNOTATION = "run.oci.seccomp_bpf_data"
_FILE = "seccomp.bpf"
_KEPT_MAX = 64
_INSTRUCTION_BYTES = 8
_INSTRUCTIONS_MAX = 4096  # the kernel's
Key = tuple[frozenset[str], str]  # what decides over a profile: capabilities, and the image's architecture


class Filters:
    """The filters of one engine's runtime, in memory; each is a few kilobytes."""

    def __init__(self) -> None:
        self._compiled: dict[Key, str] = {}

    def annotations(self, key: Key) -> Mapping[str, str]:
        """What a bundle says of its filter; nothing while it is not known."""
        compiled = self._compiled.get(key)
        return {ANNOTATION: compiled} if compiled else {}

    def learn(self, key: Key, state: Path) -> None:
        """Remember what the runtime compiled for a container whose state is in that folder."""
        if key in self._compiled or len(self._compiled) >= _KEPT_MAX:
            return
        try:
            program = (state / _FILE).read_bytes()
        except OSError:
            return  # another runtime, which keeps it to itself
        count, rest = divmod(len(program), _INSTRUCTION_BYTES)
        if not rest and 0 < count <= _INSTRUCTIONS_MAX:
            self._compiled[key] = base64.b64encode(program).decode()
