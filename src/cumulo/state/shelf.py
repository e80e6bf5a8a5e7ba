"""A shelf: records of one kind with the ways in which they are looked for, and who wants to hear of changes."""

from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar

from cumulo.state.store import Store

T = TypeVar("T")
Heard = Callable[[T | None, T | None], None]


class Shelf(Generic[T]):
    """Records by key, and by further indexes: each is a function from a record to a value (empty: not in the index).

    A change is seen at once, and durable after the store's next commit.  Listeners are called at once, in the order in
    which they came, with the record before and after (None: not there); they must not await.
    """

    def __init__(
        self, store: Store, name: str, kind: type[T], key: Callable[[T], str], **indexes: Callable[[T], str]
    ) -> None:
        self._table = store.table(name, kind)
        self._key = key
        self._of = indexes
        self._by: dict[str, dict[str, dict[str, T]]] = {index: {} for index in indexes}
        self.listeners: list[Heard[T]] = []
        for record_key, record in self._table.items():
            self._index(record_key, record)

    def get(self, key: str) -> T | None:
        """The record, or None."""
        return self._table.get(key)

    def put(self, record: T) -> T:
        """Write a record over what has its key; the same record."""
        key = self._key(record)
        before = self._table.get(key)
        self._table.put(key, record)
        if before is not None:
            self._unindex(key, before)
        self._index(key, record)
        for heard in self.listeners:
            heard(before, record)
        return record

    def delete(self, record: T) -> None:
        """Remove the record with this one's key; nothing happens when there is none."""
        key = self._key(record)
        before = self._table.get(key)
        if before is None:
            return
        self._table.delete(key)
        self._unindex(key, before)
        for heard in self.listeners:
            heard(before, None)

    def by(self, index: str, value: str) -> list[T]:
        """The records with this value in the index, in the order in which they came to have it."""
        return list(self._by[index].get(value, {}).values())

    def keys(self, index: str, value: str) -> Collection[str]:
        """The keys of the records that `by` would give, as they are at any time: look at it, do not keep it."""
        return self._by[index].get(value, {}).keys()

    def count(self, index: str, value: str) -> int:
        """How many `by` would give."""
        return len(self._by[index].get(value, ()))

    def values(self, index: str) -> Iterable[str]:
        """Every value that some record has in the index."""
        return list(self._by[index])

    def all(self, prefix: str = "") -> list[T]:
        """The records whose key begins with `prefix`, sorted by key."""
        return self._table.scan(prefix)

    def clear(self) -> None:
        """Remove every record."""
        for record in self.all():
            self.delete(record)

    def __len__(self) -> int:
        return len(self._table)

    def _index(self, key: str, record: T) -> None:
        for index, value_of in self._of.items():
            value = value_of(record)
            if value:
                self._by[index].setdefault(value, {})[key] = record

    def _unindex(self, key: str, record: T) -> None:
        for index, value_of in self._of.items():
            value = value_of(record)
            held = self._by[index].get(value)
            if held is not None:
                held.pop(key, None)
                if not held:
                    del self._by[index][value]
