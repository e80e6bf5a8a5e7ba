"""Jobs that wait: a lane holds those of one share of a queue, in order, at some 300 bytes a job or 1 an array.

    lane ── priority 7 ── deque of entries: a job, or what is left of an array (a range)
         └─ priority 0 ── ...

What is withdrawn from the middle stays as an empty entry until it is at the head, or until half of them are empty.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from cumulo.services.batch.scheduling.facts import Need
from cumulo.services.batch.scheduling.shares import Use

_EMPTY_MAX: Final = 64


class Group:
    """Jobs of a queue that need the same: how many wait."""

    __slots__ = ("count", "need")

    def __init__(self, need: Need) -> None:
        """None yet."""
        self.need = need
        self.count = 0


class Entry(msgspec.Struct, gc=False):
    """A job that waits, or the children of an array that wait (`indexes` from position `at` on, without `gone`)."""

    name: str
    group: Group
    lane: int
    priority: int
    since: float
    count: int = 1
    indexes: range | None = None
    at: int = 0
    gone: set[int] | None = None

    @property
    def need(self) -> Need:
        """What each of them needs."""
        return self.group.need

    def first(self) -> str:
        """The job that is next."""
        if self.indexes is None:
            return self.name
        while self.gone and self.indexes[self.at] in self.gone:
            self.gone.discard(self.indexes[self.at])
            self.at += 1
        return f"{self.name}:{self.indexes[self.at]}"

    def names(self) -> Iterator[str]:
        """All its jobs, in order."""
        if self.indexes is None:
            yield self.name
            return
        for index in self.indexes[self.at :]:
            if not self.gone or index not in self.gone:
                yield f"{self.name}:{index}"

    def take(self) -> str:
        """The next job, which waits no more."""
        name = self.first()
        self.count -= 1
        self.group.count -= 1
        self.at += 1
        return name

    def drop(self, index: int | None = None) -> bool:
        """Remove the job (of an index); whether it was there."""
        if self.indexes is not None:
            if index is None or index not in self.indexes[self.at :] or (self.gone and index in self.gone):
                return False
            self.gone = self.gone or set()
            self.gone.add(index)
        elif not self.count:
            return False
        self.count -= 1
        self.group.count -= 1
        return True


class Lane:
    """The jobs of a share of a queue that wait, the higher priority first, then in the order of their coming."""

    def __init__(self, number: int, queue: str, share: str, weight: float) -> None:
        """Empty; of the queue with this ARN."""
        self.number = number
        self.queue = queue
        self.share = share
        self.weight = weight
        self.use = Use()
        self.count = 0  # of jobs that wait
        self.running = 0  # jobs
        self.idle_since = 0.0
        self.passed = 0  # jobs that started although this lane's head came first
        self.stamp = 0  # its place among the queue's lanes is another when this is
        self.aside = False  # its head cannot start, for the moment
        self.claimed = ""  # ARN of the environment in which its head has a claim
        self._columns: dict[int, deque[Entry]] = {}
        self._priorities: list[int] = []  # a heap of the negative ones
        self._entries = 0  # in all columns
        self._empty = 0  # of them

    def add(self, entry: Entry, *, first: bool = False) -> None:
        """A job waits, behind those of its priority; or before them."""
        column = self._columns.get(entry.priority)
        if column is None:
            column = self._columns[entry.priority] = deque()
            heapq.heappush(self._priorities, -entry.priority)
        if first:
            column.appendleft(entry)
        else:
            column.append(entry)
        self._entries += 1
        self.count += entry.count

    def head(self) -> Entry | None:
        """The entry whose job is next."""
        while self._priorities:
            priority = -self._priorities[0]
            column = self._columns[priority]
            while column:
                if column[0].count:
                    return column[0]
                column.popleft()
                self._entries -= 1
                self._empty -= 1
            heapq.heappop(self._priorities)
            del self._columns[priority]
        return None

    def behind(self, count_max: int) -> list[Entry]:
        """At most so many entries after the head, of its priority; empty ones that lie between are removed."""
        if self.head() is None:
            return []
        column = self._columns[-self._priorities[0]]
        head = column.popleft()
        found: list[Entry] = []
        while column and len(found) < count_max:
            entry = column.popleft()
            if entry.count:
                found.append(entry)
            else:
                self._entries -= 1
                self._empty -= 1
        column.extendleft(reversed(found))
        column.appendleft(head)
        return found

    def take(self, entry: Entry) -> str:
        """The next job of an entry, which waits no more."""
        self.count -= 1
        name = entry.take()
        self._sweep(entry)
        return name

    def drop(self, entry: Entry, index: int | None = None) -> bool:
        """A job (of an index) waits no more; whether it did."""
        if not entry.drop(index):
            return False
        self.count -= 1
        self._sweep(entry)
        return True

    def entries(self) -> Iterator[Entry]:
        """All of them, in order."""
        for priority in sorted(self._columns, reverse=True):
            yield from (entry for entry in self._columns[priority] if entry.count)

    def _sweep(self, entry: Entry) -> None:
        if entry.count:
            return
        self._empty += 1
        if self._empty > _EMPTY_MAX and self._empty > self._entries // 2:
            for priority, column in self._columns.items():
                self._columns[priority] = deque(one for one in column if one.count)
            self._entries -= self._empty
            self._empty = 0
