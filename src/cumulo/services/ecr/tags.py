"""Tags of repositories."""

from collections.abc import Iterable, Mapping

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.model import TAGS_PER_RESOURCE_MAX, Repository
from cumulo.services.ecr.refusals import constraint
from cumulo.services.ecr.views import tag_list
from cumulo.wire.service import Values

KEY_CHARACTERS_MAX = 128
VALUE_CHARACTERS_MAX = 256
_INVALID = "Tag parameters are invalid"
_TOO_MANY = (
    "The list of tags on the repository is over the limit. "
    "The maximum number of tags that can be applied to a repository is 50."
)


class Tags:
    """The operations on tags."""

    def __init__(self, catalog: StoredCatalog) -> None:
        self._catalog = catalog

    async def tag(self, caller: Caller, values: Values) -> Values | None:
        """TagResource."""
        repository = self._by_arn(caller, values["resourceArn"])
        await self._catalog.update(repository, tags=checked_tags(values["tags"], repository.tags))
        return {}

    async def untag(self, caller: Caller, values: Values) -> Values | None:
        """UntagResource."""
        repository = self._by_arn(caller, values["resourceArn"])
        gone = set(values["tagKeys"])
        _own(gone)
        left = {key: value for key, value in repository.tags.items() if key not in gone}
        await self._catalog.update(repository, tags=left)
        return {}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListTagsForResource."""
        return {"tags": tag_list(self._by_arn(caller, values["resourceArn"]).tags.items())}

    def _by_arn(self, caller: Caller, text: str) -> Repository:
        arn = parse_arn(text)
        kind, _, name = arn.resource.partition("/") if arn is not None else ("", "", "")
        if arn is None or arn.service != "ecr" or kind != "repository" or not name:
            raise constraint("resourceArn", "Invalid ARN")
        if arn.region != caller.region:
            raise constraint("resourceArn", "Invalid ARN")
        return self._catalog.repository(arn.account, arn.region, name)


def checked_tags(asked: Iterable[Mapping[str, str]], have: Mapping[str, str]) -> dict[str, str]:
    """A repository's tags with more added.  AwsError InvalidTagParameterException, TooManyTagsException."""
    added: dict[str, str] = {}
    for tag in asked:
        key, value = tag["Key"], tag["Value"]
        if not 1 <= len(key) <= KEY_CHARACTERS_MAX or len(value) > VALUE_CHARACTERS_MAX:
            raise AwsError("InvalidTagParameterException", _INVALID)
        if key in added:
            raise AwsError("InvalidTagParameterException", _INVALID)
        added[key] = value
    _own(added)
    merged = {**have, **added}
    if len(merged) > TAGS_PER_RESOURCE_MAX:
        raise AwsError("TooManyTagsException", _TOO_MANY)
    return merged


def _own(keys: Iterable[str]) -> None:
    if any(key.lower().startswith("aws:") for key in keys):
        raise AwsError("InvalidTagParameterException", _INVALID)
