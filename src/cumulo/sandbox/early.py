"""Which runtimes a warden starts before their function is known, and the cells in which they wait.

The server says which ones it expects, the most recent first.  Of each a few are kept; those of others are given up.
Pure but for reading how much memory the machine has left.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from cumulo.sandbox.records import Cell

QUIET_SECONDS = 0.1  # without a start, before the next one is started early: not in the middle of a burst
AGAIN_SECONDS = 1.0  # after one has died waiting, and twice as long after each that follows
AGAIN_SECONDS_MAX = 300.0
FREE_BYTES_MIN = 512 * 1024 * 1024  # with less memory left, none are added


class Kind:
    """A runtime that is expected, as a server describes it, and the cells in which it waits."""

    def __init__(self, what: "dict[str, Any]") -> None:
        self.what = what
        self.cells: list[Cell] = []  # the oldest first
        self.failures = 0
        self.not_before = 0.0


class Earlies:
    """The cells with runtimes that wait for a function."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._kinds: dict[str, Kind] = {}  # by key; the most recently expected first

    def expect(self, wanted: "list[dict[str, Any]]") -> "list[Cell]":
        """Keep runtimes like these from now on; returns the cells of others, which are of no more use."""
        before = self._kinds
        self._kinds = {what["key"]: before.get(what["key"]) or Kind(what) for what in wanted}
        return [cell for key, kind in before.items() if key not in self._kinds for cell in kind.cells]

    def take(self, key: str) -> "Cell | None":
        """Hand out a cell in which this runtime waits; one that is not warm yet when there is no other."""
        kind = self._kinds.get(key)
        if kind is None or not kind.cells:
            return None
        cell = next((cell for cell in kind.cells if cell.warm), kind.cells[0])
        kind.cells.remove(cell)
        return cell

    def missing(self, now: float) -> "dict[str, Any] | None":
        """Say what to start next, if anything."""
        if any(not cell.warm for kind in self._kinds.values() for cell in kind.cells):
            return None  # one after the other
        for kind in self._kinds.values():
            if len(kind.cells) < self._each and kind.not_before <= now:
                return kind.what
        return None

    def add(self, cell: "Cell") -> None:
        """A cell becomes one of these."""
        self._kinds[cell.early].cells.append(cell)

    def warmed(self, cell: "Cell") -> None:
        """A runtime has nothing more to prepare."""
        cell.warm = True
        if cell.early in self._kinds:
            self._kinds[cell.early].failures = 0

    def died(self, cell: "Cell", now: float) -> float:
        """A cell has ended while it waited; returns the seconds after which its like may be started again."""
        kind = self._kinds.get(cell.early)
        if kind is None or cell not in kind.cells:
            return 0.0  # it was given up
        kind.cells.remove(cell)
        pause: float = min(AGAIN_SECONDS * 2 ** min(kind.failures, 16), AGAIN_SECONDS_MAX)
        kind.failures += 1
        kind.not_before = now + pause
        return pause


def room() -> bool:
    """Whether the machine has memory to spare for what may not be needed."""
    try:
        with open("/proc/meminfo", "rb") as file:  # noqa: PTH123 - pathlib would cost a megabyte
            lines = file.read(4096).splitlines()
    except OSError:
        return True
    for line in lines:
        if line.startswith(b"MemAvailable:"):
            return int(line.split()[1]) * 1024 >= FREE_BYTES_MIN
    return True
