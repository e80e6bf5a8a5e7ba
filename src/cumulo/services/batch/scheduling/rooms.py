"""The instances of an environment, found by what is free of them: the tightest fit, the freest, the idle ones.

    shelves: (type, free GPUs) ── free vCPUs ── sorted (free memory, number)

A look-up walks over the types that are there and the distinct counts of free vCPUs (which are whole, and few), never
over instances.  Only rooms that may be given tasks are on a shelf: ready ones that no waiting job has claimed.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import nlargest

from cumulo.services.batch.scheduling.facts import Need

Size = tuple[int, int, int]  # milli-vCPUs, MiB, GPUs


class Room:
    """An instance: how large it is, what is free of it, how many tasks it has."""

    __slots__ = (
        "claimed", "draining", "free", "idle_since", "instance", "kind", "leaving", "number", "ready", "refusals",
        "shelved", "shy", "size", "tasks", "wake_at", "was_ready",
    )  # fmt: skip

    def __init__(self, number: int, instance: str, kind: str, size: Size) -> None:
        """All of it is free."""
        self.number = number
        self.instance = instance
        self.kind = kind
        self.size = size
        self.free: Size = size
        self.tasks = 0
        self.ready = False
        self.was_ready = False
        self.draining = False  # terminated when empty
        self.leaving = False  # we said so
        self.claimed = False  # by a job that waits
        self.shy = False  # it refused a task a moment ago
        self.refusals = 0
        self.shelved: tuple[str, Size] | None = None
        self.idle_since = 0.0
        self.wake_at: float | None = None  # somebody will look then whether it is idle

    @property
    def open(self) -> bool:
        """Whether it may have tasks at all."""
        return self.ready and not self.draining and not self.leaving

    def fits(self, need: Need) -> bool:
        """Whether a task goes into what is free; a node of several wants all of it."""
        if need.nodes > 1 and self.tasks:
            return False
        return self.open and not self.shy and holds(self.free, need) and _is_kind(self.kind, need)

    def could_hold(self, need: Need) -> bool:
        """Whether a task would go into it, were it empty."""
        return holds(self.size, need) and _is_kind(self.kind, need)


class _Shelf:
    """Rooms of a type with the same count of free GPUs."""

    __slots__ = ("columns", "levels")

    def __init__(self) -> None:
        self.levels: list[int] = []  # free vCPUs, sorted
        self.columns: dict[int, list[tuple[int, int]]] = {}

    def add(self, vcpus: int, memory: int, number: int) -> None:
        column = self.columns.get(vcpus)
        if column is None:
            column = self.columns[vcpus] = []
            insort(self.levels, vcpus)
        insort(column, (memory, number))

    def remove(self, vcpus: int, memory: int, number: int) -> None:
        column = self.columns[vcpus]
        del column[bisect_left(column, (memory, number))]
        if not column:
            del self.columns[vcpus]
            del self.levels[bisect_left(self.levels, vcpus)]

    def tightest(self, vcpus: int, memory: int) -> tuple[int, int, int] | None:
        """Free vCPUs, free memory and number of the room that a task fills best."""
        for at in range(bisect_left(self.levels, vcpus), len(self.levels)):
            column = self.columns[self.levels[at]]
            place = bisect_left(column, (memory, 0))
            if place < len(column):
                return self.levels[at], *column[place]
        return None


class Rooms:
    """The rooms of an environment that may be given tasks, by what is free of them."""

    def __init__(self) -> None:
        """None."""
        self._rooms: dict[int, Room] = {}
        self._shelves: dict[str, dict[int, _Shelf]] = {}
        self._sizes: dict[tuple[str, Size], int] = {}  # of open rooms, claimed ones too

    def place(self, room: Room) -> None:
        """Put it where it belongs after anything of it has changed: on the right shelf, or on none."""
        wanted = (room.kind, room.free) if room.open and not room.claimed and not room.shy else None
        if room.shelved == wanted:
            return
        if room.shelved is not None:
            self._unshelve(room, *room.shelved)
        if wanted is not None:
            vcpus, memory, gpus = room.free
            levels = self._shelves.setdefault(room.kind, {})
            if gpus not in levels:
                levels[gpus] = _Shelf()
            levels[gpus].add(vcpus, memory, room.number)
            self._rooms[room.number] = room
        room.shelved = wanted

    def count(self, room: Room, change: int) -> None:
        """One more open room of its size, or one less."""
        key = (room.kind, room.size)
        left = self._sizes.get(key, 0) + change
        if left:
            self._sizes[key] = left
        else:
            self._sizes.pop(key, None)

    def find(self, need: Need) -> Room | None:
        """The room that a task fills best: the fewest GPUs, then vCPUs, then memory are left over."""
        best: tuple[int, int, int, int] | None = None
        for gpus, shelf in self._shelves_for(need):
            hit = shelf.tightest(need.vcpus, need.memory)
            if hit is not None and (best is None or (gpus, *hit) < best):
                best = (gpus, *hit)
        return self._rooms[best[3]] if best else None

    def idle(self, need: Need, count: int) -> list[Room]:
        """At most so many rooms that have no task and could hold one, the smallest first."""
        found: list[Room] = []
        for kind, size in sorted(self._sizes, key=lambda key: (key[1][2], key[1], key[0])):
            if holds(size, need) and _is_kind(kind, need):
                found.extend(self._idle_of(kind, size, count - len(found)))
                if len(found) >= count:
                    break
        return found

    def idle_anyhow(self, count: int) -> list[Room]:
        """At most so many rooms that have no task, the largest first."""
        found: list[Room] = []
        for kind, size in sorted(self._sizes, key=lambda key: (key[1], key[0]), reverse=True):
            found.extend(self._idle_of(kind, size, count - len(found)))
        return found

    def freest(self, need: Need, count: int) -> list[Room]:
        """At most so many rooms that could hold a task were they empty, the emptiest first."""
        found: list[Room] = []
        kinds = {kind for kind, size in self._sizes if holds(size, need) and _is_kind(kind, need)}
        for kind in sorted(kinds):
            for _, shelf in sorted(self._shelves.get(kind, {}).items(), reverse=True):
                found.extend(self._freest_of(shelf, need, count))
        alone = need.nodes > 1
        return nlargest(
            count,
            found,
            key=lambda room: (alone and not room.tasks, room.free[2] >= need.gpus, room.free, -room.number),
        )

    def could_hold(self, need: Need) -> int:
        """How many rooms could hold a task were they empty."""
        return sum(
            count for (kind, size), count in self._sizes.items() if holds(size, need) and _is_kind(kind, need)
        )

    def _shelves_for(self, need: Need) -> Iterator[tuple[int, _Shelf]]:
        for kind, levels in self._shelves.items():
            if _is_kind(kind, need):
                for gpus, shelf in levels.items():
                    if gpus >= need.gpus:
                        yield gpus, shelf

    def _idle_of(self, kind: str, size: Size, count: int) -> list[Room]:
        shelf = self._shelves.get(kind, {}).get(size[2])
        if shelf is None or count <= 0:
            return []
        column = shelf.columns.get(size[0], [])
        start = bisect_left(column, (size[1], 0))
        rooms = (self._rooms[number] for memory, number in column[start : start + count] if memory == size[1])
        return [room for room in rooms if not room.tasks]

    def _freest_of(self, shelf: _Shelf, need: Need, count: int) -> list[Room]:
        found: list[Room] = []
        for level in reversed(shelf.levels):
            column = shelf.columns[level]
            for _, number in reversed(column[max(0, len(column) - count) :]):
                room = self._rooms[number]
                if room.could_hold(need):
                    found.append(room)
            if len(found) >= count:
                break
        return found

    def _unshelve(self, room: Room, kind: str, free: Size) -> None:
        vcpus, memory, gpus = free
        shelf = self._shelves[kind][gpus]
        shelf.remove(vcpus, memory, room.number)
        if not shelf.levels:
            del self._shelves[kind][gpus]
            if not self._shelves[kind]:
                del self._shelves[kind]
        del self._rooms[room.number]


def holds(free: Size, need: Need) -> bool:
    """Whether a task goes into so much."""
    return free[0] >= need.vcpus and free[1] >= need.memory and free[2] >= need.gpus


def _is_kind(kind: str, need: Need) -> bool:
    return not need.kinds or kind in need.kinds
