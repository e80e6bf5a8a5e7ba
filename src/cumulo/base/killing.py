"""Ends processes that were found by their numbers, and nobody else.

Numbers are used again: where many processes come and go, one that was just read may be somebody else's when the signal
is sent.  A descriptor of a process is not.  So: take descriptors, look again, and send only to those that still belong.
"""

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Collection, Iterable

AT_ONCE_MAX = 256  # descriptors


def kill_those(pids: Iterable[int], still: Callable[[], Collection[int]]) -> None:
    """SIGKILL for each process that, after it was taken hold of, `still` lists.  Harmless for those that have ended."""
    wanted = iter(pids)
    while some := tuple(itertools.islice(wanted, AT_ONCE_MAX)):
        held: dict[int, int] = {}
        try:
            for pid in some:
                with contextlib.suppress(ProcessLookupError):
                    held[pid] = os.pidfd_open(pid)
            belong = still() if held else ()
            for pid, fd in held.items():
                if pid in belong:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            for fd in held.values():
                os.close(fd)
