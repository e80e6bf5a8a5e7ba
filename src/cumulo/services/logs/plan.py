"""Decides what upkeep there is to do.  Pure."""

from collections.abc import Iterable

import msgspec

from cumulo.services.logs.model import Group


class Expire(msgspec.Struct, frozen=True):
    """Remove the group's chunks that end before `before_ms`."""

    group_id: int
    key: str
    before_ms: int


def expiries(groups: Iterable[Group], now_ms: int) -> list[Expire]:
    """What the groups' retention policies ask for at this moment."""
    return [
        Expire(group.id, group.key, group.expired_before_ms(now_ms))
        for group in groups
        if group.retention_days
    ]
