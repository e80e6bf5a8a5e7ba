"""StartLiveTail: the lines of some groups as they come in."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.logs.groups import Groups
from cumulo.services.logs.model import invalid
from cumulo.services.logs.patterns import Pattern, compile_pattern
from cumulo.services.logs.storage import Entry, GroupKey, Storage
from cumulo.wire.service import Values

SESSIONS_MAX = 15  # AWS's default of concurrent sessions of an account
UPDATE_EVENTS_MAX = 500
BUFFERED_EVENTS_MAX = 5000
SESSION_SECONDS_MAX = 3 * 3600


class _Session:
    """One client's choice of lines, and those that wait for the next update."""

    def __init__(
        self,
        groups: dict[GroupKey, str],
        streams: frozenset[str],
        prefixes: tuple[str, ...],
        pattern: Pattern,
    ) -> None:
        self._groups = groups
        self._streams = streams
        self._prefixes = prefixes
        self._pattern = pattern
        self._waiting: deque[Values] = deque(maxlen=BUFFERED_EVENTS_MAX)

    def hear(self, key: GroupKey, stream: str, entry: Entry) -> None:
        """Take what was appended, if it is wanted."""
        identifier = self._groups.get(key)
        if identifier is None or not self._wants(stream):
            return
        _, ingested_ms, events = entry
        for time_ms, message in events:
            if self._pattern.test(message):
                self._waiting.append(
                    {
                        "logStreamName": stream,
                        "logGroupIdentifier": identifier,
                        "message": message,
                        "timestamp": time_ms,
                        "ingestionTime": ingested_ms,
                    }
                )

    def update(self) -> Values:
        """What came since the last update, sampled down to AWS's bound."""
        results = list(self._waiting)
        self._waiting.clear()
        sampled = len(results) > UPDATE_EVENTS_MAX
        if sampled:
            results = [results[i * len(results) // UPDATE_EVENTS_MAX] for i in range(UPDATE_EVENTS_MAX)]
        return {"sessionUpdate": {"sessionMetadata": {"sampled": sampled}, "sessionResults": results}}

    def _wants(self, stream: str) -> bool:
        if self._streams:
            return stream in self._streams
        return not self._prefixes or stream.startswith(self._prefixes)


class LiveTail:
    """The operation, and the sessions that are open."""

    def __init__(
        self,
        storage: Storage,
        groups: Groups,
        ids: Ids,
        *,
        update_seconds: float = 1.0,
    ) -> None:
        self._storage = storage
        self._groups = groups
        self._ids = ids
        self._update_seconds = update_seconds

    async def start(self, caller: Caller, values: Values) -> Values | None:
        """StartLiveTail."""
        identifiers: Sequence[str] = values["logGroupIdentifiers"]
        names, prefixes = values.get("logStreamNames"), values.get("logStreamNamePrefixes")
        if names and prefixes:
            raise invalid("Only one of logStreamNames or logStreamNamePrefixes can be provided.")
        if (names or prefixes) and len(identifiers) > 1:
            raise invalid(
                "logStreamNames and logStreamNamePrefixes can only be used with a single log group."
            )
        if len(self._storage.listeners) >= SESSIONS_MAX:
            raise AwsError("LimitExceededException", "Too many Live Tail sessions are open.")
        chosen: dict[GroupKey, str] = {}
        for identifier in identifiers:
            group = self._groups.identified(caller, identifier)
            chosen[group.account, group.region, group.name] = f"{group.account}:{group.name}"
        pattern_text = values.get("logEventFilterPattern", "")
        session = _Session(
            chosen, frozenset(names or ()), tuple(prefixes or ()), compile_pattern(pattern_text)
        )
        opening = {
            "requestId": caller.request_id or self._ids.uuid(),
            "sessionId": self._ids.uuid(),
            "logGroupIdentifiers": list(identifiers),
            "logStreamNames": names,
            "logStreamNamePrefixes": prefixes,
            "logEventFilterPattern": pattern_text or None,
        }
        return {"responseStream": self._stream(session, opening)}

    async def _stream(self, session: _Session, opening: Values) -> AsyncIterator[Values]:
        deadline = self._storage.clock.monotonic() + SESSION_SECONDS_MAX
        self._storage.listeners.append(session.hear)
        try:
            yield {"sessionStart": {k: v for k, v in opening.items() if v is not None}}
            while self._storage.clock.monotonic() < deadline:
                await asyncio.sleep(self._update_seconds)
                yield session.update()
            yield {"SessionTimeoutException": {"message": "The Live Tail session has timed out."}}
        finally:
            self._storage.listeners.remove(session.hear)
