"""How far the output of each container has been taken, kept beside the lines themselves.

The journal has a container's lines and then its cursor, in one write: after a crash both are there or neither, so no
line is lost or doubled.
"""

import msgspec

from cumulo.state.journal import Journal
from cumulo.state.store import Store

JOURNAL_KIND = 3


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The cursor of one container's log; empty: the container is gone."""

    key: str
    at: str


class Cursors:
    """The cursors by container."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._table = store.table("ecs_log_cursors", Cursor)
        self._journal = journal
        self._changed: dict[str, Cursor] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Cursor).decode
        journal.register(JOURNAL_KIND, replay=self._replay, fold=self._fold)

    def get(self, key: str) -> str:
        """Where to go on; empty: at the beginning."""
        found = self._changed.get(key) or self._table.get(key)
        return found.at if found is not None else ""

    def put(self, key: str, at: str) -> None:
        """Everything up to here was appended to the log; to be called right after that."""
        cursor = Cursor(key, at)
        self._changed[key] = cursor
        self._journal.append(JOURNAL_KIND, self._encode(cursor))

    def flush(self) -> None:
        """Make everything that was put safe from a kill, and the lines before it; a full disk raises nothing."""
        self._journal.flush()

    def drop(self, key: str) -> None:
        """Forget a container."""
        if self.get(key):
            self.put(key, "")

    def clear(self) -> None:
        """Forget all of them."""
        for cursor in [*self._table.scan(), *self._changed.values()]:
            self.drop(cursor.key)

    def _replay(self, payload: bytes) -> None:
        cursor = self._decode(payload)
        self._changed[cursor.key] = cursor

    def _fold(self) -> None:
        for key, cursor in self._changed.items():
            if cursor.at:
                self._table.put(key, cursor)
            else:
                self._table.delete(key)
        self._changed.clear()
