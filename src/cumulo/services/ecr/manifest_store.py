"""The manifests themselves, in a table of their own: they are too many for memory, and small enough for SQLite.

They are written in the same transaction as their image, so none is ever missing or left over.
"""

from collections import OrderedDict

from cumulo.state.store import SEPARATOR, Store

CACHE_BYTES = 4 * 1024 * 1024
_PUT = "INSERT INTO ecr_manifests (image, data) VALUES (?, ?) ON CONFLICT DO UPDATE SET data = excluded.data"


class ManifestStore:
    """Manifests by the key of their image."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: dict[str, bytes] = {}  # what a reader of the file cannot see yet
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._recent_bytes = 0

    def get(self, key: str) -> bytes:
        """A manifest.  KeyError when it is not here."""
        data = self._unwritten.get(key)
        if data is not None:
            return data
        data = self._recent.get(key)
        if data is not None:
            self._recent.move_to_end(key)
            return data
        rows = self._store.query_now("SELECT data FROM ecr_manifests WHERE image = ?", (key,))
        if not rows:
            raise KeyError(key)
        data = bytes(rows[0][0])
        self._remember(key, data)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep one; call `written` after the commit."""
        self._store.execute(_PUT, (key, data))
        self._unwritten[key] = data

    def written(self, key: str) -> None:
        """What was put is on disk now."""
        data = self._unwritten.pop(key, None)
        if data is not None:
            self._remember(key, data)

    def delete(self, key: str) -> None:
        """Forget one."""
        self._store.execute("DELETE FROM ecr_manifests WHERE image = ?", (key,))
        self._unwritten.pop(key, None)
        self._recent_bytes -= len(self._recent.pop(key, b""))

    def delete_under(self, repository_key: str) -> None:
        """Forget all of a repository."""
        first, last = repository_key + SEPARATOR, repository_key + chr(ord(SEPARATOR) + 1)
        self._store.execute("DELETE FROM ecr_manifests WHERE image >= ? AND image < ?", (first, last))
        for kept in (self._unwritten, self._recent):
            for key in [key for key in kept if key.startswith(first)]:
                del kept[key]
        self._recent_bytes = sum(map(len, self._recent.values()))

    def _remember(self, key: str, data: bytes) -> None:
        self._recent[key] = data
        self._recent_bytes += len(data)
        while self._recent_bytes > CACHE_BYTES:
            _, old = self._recent.popitem(last=False)
            self._recent_bytes -= len(old)
