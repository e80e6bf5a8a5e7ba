"""Finding a task definition by what clients call it: `family`, `family:revision`, or its ARN."""

from typing import NamedTuple

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.services.ecs.model import TaskDefinition
from cumulo.services.ecs.records import Records, definition_key
from cumulo.services.ecs.refusals import client, invalid
from cumulo.state.store import join_key

NOT_DESCRIBED = "Unable to describe task definition."
NOT_FOUND = "TaskDefinition not found."
INACTIVE = "TaskDefinition is inactive"
_REVISION_DIGITS = 8


class Reference(NamedTuple):
    """What a client means; without a revision, the latest ACTIVE one is meant.

    `elsewhere` when an ARN names another account or region.
    """

    family: str
    revision: int | None
    elsewhere: bool = False


def parse_reference(caller: Caller, text: str) -> Reference:
    """Read a reference.  AwsError InvalidParameterException when its revision is no number."""
    arn = parse_arn(text)
    elsewhere = False
    name = text
    if arn is not None:
        kind, _, name = arn.resource.partition("/")
        elsewhere = (
            arn.service != "ecs"
            or kind != "task-definition"
            or (arn.account, arn.region) != (caller.account, caller.region)
        )
    family, colon, revision = name.partition(":")
    if not colon:
        return Reference(family, None, elsewhere)
    if not revision.isascii() or not revision.isdecimal() or len(revision) > _REVISION_DIGITS:
        raise invalid("Invalid task definition: Invalid revision number.")
    return Reference(family, int(revision), elsewhere)


def find_definition(
    records: Records, caller: Caller, text: str, sentence: str = NOT_DESCRIBED
) -> TaskDefinition:
    """The definition that is meant, whatever its status.

    AwsError ClientException with the sentence when there is none, InvalidParameterException for a bad revision.
    """
    reference = parse_reference(caller, text)
    found = None if reference.elsewhere else _found(records, caller, reference)
    if found is None:
        raise client(sentence)
    return found


def runnable_definition(records: Records, caller: Caller, text: str) -> TaskDefinition:
    """The definition that is meant, when new tasks and services may use it.

    AwsError ClientException: `TaskDefinition not found.`, `TaskDefinition is inactive`.
    """
    found = find_definition(records, caller, text, NOT_FOUND)
    if found.status != "ACTIVE":
        raise client(INACTIVE)
    return found


def _found(records: Records, caller: Caller, reference: Reference) -> TaskDefinition | None:
    account, region = caller.account, caller.region
    if reference.revision is not None:
        return records.definitions.get(definition_key(account, region, reference.family, reference.revision))
    family = records.definitions.by("family", join_key(account, region, reference.family))
    active = [one for one in family if one.status == "ACTIVE"]
    return max(active, key=lambda one: one.revision, default=None)
