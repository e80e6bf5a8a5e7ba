"""Log streams: create, delete, describe."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.logs.groups import Groups
from cumulo.services.logs.model import Group, invalid, no_stream
from cumulo.services.logs.storage import Storage
from cumulo.wire.service import Values

DESCRIBE_MAX = 50
_COLUMNS = "name, created_ms, first_ms, last_ms, ingested_ms, coalesce(last_ms, 0)"
_TOKEN_OF_EVERY_STREAM = "49039859" + "0" * 48  # AWS ignores sequence tokens, but still returns them


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page of streams begins."""

    by_time: bool
    descending: bool
    last_ms: int
    name: str


class Streams:
    """The operations on log streams."""

    def __init__(self, storage: Storage, groups: Groups) -> None:
        self._storage = storage
        self._groups = groups

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateLogStream."""
        name = values["logStreamName"]
        group = self._groups.named(caller, values["logGroupName"])
        if await self._storage.has_stream(group, name):
            raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
        group = self._groups.named(caller, values["logGroupName"])
        self._storage.make_stream(group, name)
        await self._storage.store.commit()
        return None

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteLogStream."""
        name = values["logStreamName"]
        group = self._groups.named(caller, values["logGroupName"])
        if not await self._storage.has_stream(group, name):
            raise no_stream()
        group = self._groups.named(caller, values["logGroupName"])
        self._storage.drop_stream(group, name)
        await self._storage.store.commit()
        self._storage.journal.flush()
        return None

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeLogStreams."""
        group = self._groups.chosen(caller, values)
        by_time = values.get("orderBy", "LogStreamName") == "LastEventTime"
        prefix = values.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        descending = bool(values.get("descending", False))
        limit = values.get("limit", DESCRIBE_MAX)
        place = _place_of(values["nextToken"]) if "nextToken" in values else None
        if place is not None and (place.by_time, place.descending) != (by_time, descending):
            raise invalid("The specified nextToken is invalid.")
        await self._storage.journal.fold()  # streams that only the tail knows get their rows
        await self._storage.store.commit()
        sql, parameters = _select(group, prefix, place, by_time=by_time, descending=descending)
        rows = await self._storage.store.query(sql, (*parameters, limit + 1))
        token = None
        if len(rows) > limit:
            last = rows[limit - 1]
            token = _token_of(_Place(by_time, descending, last[5], last[0]))
        return {"logStreams": [described(group, row) for row in rows[:limit]], "nextToken": token}


def described(group: Group, row: Sequence[Any]) -> Values:
    """A stream as DescribeLogStreams shows it.  AWS has reported 0 stored bytes for streams since 2019."""
    name, created_ms, first_ms, last_ms, ingested_ms = row[:5]
    return {
        "logStreamName": name,
        "creationTime": created_ms,
        "firstEventTimestamp": first_ms,
        "lastEventTimestamp": last_ms,
        "lastIngestionTime": ingested_ms,
        "uploadSequenceToken": sequence_token() if ingested_ms else None,
        "arn": f"{group.arn}:log-stream:{name}",
        "storedBytes": 0,
    }


def sequence_token() -> str:
    """What AWS calls the next sequence token; it is accepted and ignored."""
    return _TOKEN_OF_EVERY_STREAM


def _select(
    group: Group, prefix: str, place: _Place | None, *, by_time: bool, descending: bool
) -> tuple[str, list[Any]]:
    """The statement (without its limit) that reads a page of streams in order."""
    order, after = ("DESC", "<") if descending else ("ASC", ">")
    where = ["group_id = ?"]
    parameters: list[Any] = [group.id]
    if prefix:
        where.append("name >= ? AND name < ?")
        parameters += [prefix, prefix + "\U0010ffff"]
    if place is not None and by_time:
        where.append(f"(coalesce(last_ms, 0), name) {after} (?, ?)")
        parameters += [place.last_ms, place.name]
    elif place is not None:
        where.append(f"name {after} ?")
        parameters.append(place.name)
    keys = f"coalesce(last_ms, 0) {order}, name {order}" if by_time else f"name {order}"
    condition = " AND ".join(where)
    sql = f"SELECT {_COLUMNS} FROM log_streams WHERE {condition} ORDER BY {keys} LIMIT ?"  # noqa: S608 - our words
    return sql, parameters


def _token_of(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _place_of(token: str) -> _Place:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token.encode()), type=_Place)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise invalid("The specified nextToken is invalid.") from None
