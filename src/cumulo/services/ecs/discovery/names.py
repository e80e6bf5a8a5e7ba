"""Which names pods resolve, and to what.  Pure."""

from collections.abc import Iterable, Mapping

from cumulo.services.ecs.discovery.model import Registration
from cumulo.services.ecs.model import Health

Table = Mapping[str, list[str]]
# Domains that nobody in the world has: what an account calls so can be taken for nothing else.
_PRIVATE = frozenset({"local", "internal", "private", "lan", "intranet", "corp", "home", "test", "example"})


def table(registrations: Iterable[tuple[Registration, Health]], others: Table) -> Table:
    """The names of registered tasks with the addresses of those that are well; of all, where none is; and `others`.

    A task with a port has a name of its own below, as the target of its SRV record has.
    """
    well: dict[str, list[str]] = {}
    every: dict[str, list[str]] = {}
    for one, health in registrations:
        names = [one.name, f"{one.instance}.{one.name}"] if one.port else [one.name]
        for name in names if one.name and one.address else ():
            every.setdefault(name, []).append(one.address)
            if health is not Health.UNHEALTHY:
                well.setdefault(name, []).append(one.address)
    found = {name: set(well.get(name, addresses)) for name, addresses in every.items()}
    for name, addresses in others.items():
        found.setdefault(name, set()).update(addresses)
    return {name: sorted(addresses) for name, addresses in found.items()}


def apart(tables: Mapping[str, Table]) -> Table:
    """What pods of many accounts may all be told, of the tables of each account: no account poses as anybody else.

    Only names below a private domain, and only those that a single account has.
    """
    holders: dict[str, list[str]] = {}
    for account, one in tables.items():
        for name in one:
            holders.setdefault(name.rstrip(".").lower(), []).append(account)
    return {
        name: addresses
        for one in tables.values()
        for name, addresses in one.items()
        if len(holders[name.rstrip(".").lower()]) == 1 and _is_private(name)
    }


def _is_private(name: str) -> bool:
    below, _, domain = name.rstrip(".").lower().rpartition(".")
    return bool(below) and domain in _PRIVATE
