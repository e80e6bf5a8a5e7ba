"""Job definitions as they are kept: by name and revision.  Numbers are never used again."""

import re
from typing import NamedTuple

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.services.batch.model import JobDefinition
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store, join_key

_REFERENCE = re.compile(r"([A-Za-z0-9_-]{1,128})(?::([0-9]{1,9}))?")
_DIGITS = 9


class Family(msgspec.Struct, frozen=True):
    """The last revision that a name has given."""

    last: int


class Reference(NamedTuple):
    """What a client calls a definition; without a revision: None."""

    name: str
    revision: int | None


class DefinitionRecords:
    """The shelf."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._families = store.table("batch_definition_names", Family)
        self._shelf: Shelf[JobDefinition] = Shelf(
            store,
            "batch_definitions",
            JobDefinition,
            lambda one: _key(one.account, one.region, one.name, one.revision),
            family=lambda one: join_key(one.account, one.region, one.name),
            arn=lambda one: one.arn,
            inactive=lambda one: "yes" if one.status == "INACTIVE" else "",
        )

    def next_revision(self, account: str, region: str, name: str) -> int:
        """A number for a new revision."""
        key = join_key(account, region, name)
        last = self._families.get(key)
        revision = last.last + 1 if last else 1
        self._families.put(key, Family(revision))
        return revision

    def put(self, definition: JobDefinition) -> JobDefinition:
        """Write it; durable after the store's next commit."""
        return self._shelf.put(definition)

    def delete(self, definition: JobDefinition) -> None:
        """Forget it."""
        self._shelf.delete(definition)

    def by_arn(self, arn: str) -> JobDefinition | None:
        """The definition with this ARN, revision included."""
        return next(iter(self._shelf.by("arn", arn)), None)

    def find(self, account: str, region: str, reference: Reference) -> JobDefinition | None:
        """The definition that is meant, whatever its status; without a revision the latest ACTIVE one."""
        if reference.revision is not None:
            return self._shelf.get(_key(account, region, reference.name, reference.revision))
        active = [one for one in self.named(account, region, reference.name) if one.status == "ACTIVE"]
        return max(active, key=lambda one: one.revision, default=None)

    def named(self, account: str, region: str, name: str) -> list[JobDefinition]:
        """Every revision of a name."""
        return self._shelf.by("family", join_key(account, region, name))

    def inactive(self) -> list[JobDefinition]:
        """Every INACTIVE revision, of every account."""
        return self._shelf.by("inactive", "yes")

    def all(self, account: str, region: str) -> list[JobDefinition]:
        """Every definition of a region, by name and number."""
        return self._shelf.all(join_key(account, region, ""))

    def clear(self) -> None:
        """Forget everything."""
        self._shelf.clear()
        self._families.clear()


def parse_reference(account: str, region: str, text: str) -> Reference | None:
    """Read `name`, `name:revision`, or the ARN with either; None for what is none of these, or is elsewhere."""
    arn = parse_arn(text)
    if arn is not None:
        kind, _, text = arn.resource.partition("/")
        if (arn.service, kind, arn.account, arn.region) != ("batch", "job-definition", account, region):
            return None
    found = _REFERENCE.fullmatch(text)
    return Reference(found[1], int(found[2]) if found[2] else None) if found else None


def _key(account: str, region: str, name: str, revision: int) -> str:
    return join_key(account, region, name, str(revision).zfill(_DIGITS))
