"""What tags may be, for all of ECS.  Pure."""

from collections.abc import Iterable, Mapping

from cumulo.services.ecs.model import Tags
from cumulo.services.ecs.refusals import invalid

TAGS_MAX = 50
KEY_CHARACTERS_MAX = 128
VALUE_CHARACTERS_MAX = 256
_RESERVED = "aws:"


def checked_tags(asked: Iterable[Mapping[str, str]], have: Tags) -> dict[str, str]:
    """A resource's tags with more added.  AwsError InvalidParameterException."""
    added: dict[str, str] = {}
    for tag in asked:
        if "key" not in tag:
            raise invalid("Tag key can not be null.")
        if "value" not in tag:
            raise invalid("Tag value can not be null.")
        key, value = tag["key"], tag["value"]
        if not 1 <= len(key) <= KEY_CHARACTERS_MAX or len(value) > VALUE_CHARACTERS_MAX:
            raise invalid("Invalid tag key or value.")
        if key in added:
            raise invalid("Duplicate tag keys are not allowed.")
        added[key] = value
    no_reserved(added)
    merged = {**have, **added}
    own = [key for key in merged if not _is_reserved(key)]
    if len(own) > TAGS_MAX:
        raise invalid(f"The maximum number of tags per resource is {TAGS_MAX}.")
    return merged


def no_reserved(keys: Iterable[str]) -> None:
    """Only AWS itself sets and removes tags that begin with `aws:`."""
    if any(_is_reserved(key) for key in keys):
        raise invalid("Tag keys that begin with aws: are reserved for AWS use.")


def _is_reserved(key: str) -> bool:
    return key.lower().startswith(_RESERVED)
