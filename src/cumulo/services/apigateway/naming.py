"""Ids as API Gateway makes them, and tags."""

from collections.abc import Mapping
from typing import Final

from cumulo.base.ids import Ids
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.quotas import TAGS_MAX

API_ID: Final = 10
LONG_ID: Final = 10  # of API keys, VPC links
SHORT_ID: Final = 6  # of resources, deployments, authorizers, models, validators, plans


def new_id(ids: Ids, length: int = SHORT_ID) -> str:
    """So many lower-case letters and digits."""
    return ids.upper(length).lower()


def checked_tags(given: Mapping[str, str], have: Mapping[str, str]) -> dict[str, str]:
    """The tags with the given ones over them.  AwsError for what AWS refuses."""
    for key, value in given.items():
        if not 1 <= len(key) <= 128:
            raise refusals.bad_request(f"Invalid tag key '{key[:200]}': it must have 1 to 128 characters")
        if key.lower().startswith("aws:"):
            raise refusals.bad_request(
                "Tag key must not start with the reserved prefix 'aws:' (any combination of upper or lower case)"
            )
        if len(value) > 256:
            raise refusals.bad_request(f"Invalid value of tag '{key}': it must have at most 256 characters")
    after = {**have, **given}
    if len(after) > TAGS_MAX:
        raise refusals.bad_request(f"A resource can have at most {TAGS_MAX} tags")
    return after
