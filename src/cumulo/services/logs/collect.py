"""Collects the first events of a page from events that come in any order.  Pure, and bounded by the page's size."""

from collections.abc import Sequence
from typing import NamedTuple

from cumulo.services.logs.chunks import Columns
from cumulo.services.logs.model import PAGE_BYTES_MAX, Event, Position, message_bytes


class Found(NamedTuple):
    """An event and the name of its stream."""

    event: Event
    stream: str


class Page(NamedTuple):
    """Events in the direction of reading; `resume` is where the next page begins, None at the end."""

    found: Sequence[Found]
    resume: Position | None


def frontier(time_ms: int, *, forward: bool) -> Position:
    """The place just before everything of this moment, in the direction of reading."""
    return Position(time_ms - 1, (1 << 63) - 1) if forward else Position(time_ms + 1, 0)


class Collector:
    """Keeps the nearest `limit` events, up to `bytes_max`, in the direction of reading."""

    def __init__(self, limit: int, *, forward: bool, bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._limit = limit
        self._forward = forward
        self._bytes_max = bytes_max
        self._found: list[Found] = []
        self._bytes = 0
        self._edge: Event | None = None  # the last event that can still be on the page
        self._cut = False

    def add(self, event: Event, stream: str) -> None:
        """Consider an event."""
        if self._edge is not None and self._beyond(event, self._edge):
            self._cut = True
            return
        self._found.append(Found(event, stream))
        self._bytes += message_bytes(event.message)
        if len(self._found) >= 2 * self._limit or self._bytes >= 2 * self._bytes_max:
            self._trim()

    def window(self, start_ms: int, end_ms: int, columns: Columns) -> tuple[int, int]:
        """The part of a time window whose events can still be on the page; what it leaves out of `columns` is cut."""
        if self._edge is None:
            return start_ms, end_ms
        edge_ms = self._edge.time_ms
        if self._forward:
            self._cut = self._cut or edge_ms < columns.times[-1] <= end_ms
            return start_ms, min(end_ms, edge_ms)
        self._cut = self._cut or start_ms <= columns.times[0] < edge_ms
        return max(start_ms, edge_ms), end_ms

    def passed(self, time_ms: int) -> bool:
        """Whether no event from this time on (in the direction of reading) can be on the page."""
        if self._edge is None and (len(self._found) >= self._limit or self._bytes >= self._bytes_max):
            self._trim()
        if self._edge is None:
            return False
        return time_ms > self._edge.time_ms if self._forward else time_ms < self._edge.time_ms

    def page(self, *, more: bool) -> Page:
        """The page; `more` says that there were events which nobody offered."""
        self._trim()
        resume = None
        if self._found and (more or self._cut):
            last = self._found[-1].event
            resume = Position(last.time_ms, last.number)
        return Page(self._found, resume)

    def page_until(self, time_ms: int) -> Page:
        """The page of what lies strictly before this time (in the direction of reading); reading goes on there."""
        self._found = [
            found
            for found in self._found
            if (found.event.time_ms < time_ms if self._forward else found.event.time_ms > time_ms)
        ]
        self._edge, self._cut = None, False
        page = self.page(more=False)
        if page.resume is not None:
            return page
        return Page(page.found, frontier(time_ms, forward=self._forward))

    def _beyond(self, event: Event, edge: Event) -> bool:
        return event > edge if self._forward else event < edge

    def _trim(self) -> None:
        self._found.sort(reverse=not self._forward)
        total = 0
        for i, found in enumerate(self._found):
            size = message_bytes(found.event.message)
            if i >= self._limit or (i and total + size > self._bytes_max):
                del self._found[i:]
                self._cut = True
                break
            total += size
        self._bytes = total
        if self._found and (self._cut or len(self._found) >= self._limit):
            self._edge = self._found[-1].event
