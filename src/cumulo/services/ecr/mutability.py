"""Which tags may be given again.  Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from cumulo.services.ecr.model import Repository, TagFilter
from cumulo.services.ecr.refusals import constraint

FILTERS_MAX = 5
WILDCARDS_MAX = 2  # in one filter
TAG_PATTERN = "[a-zA-Z0-9-_.]+"  # as AWS prints it; the model says how long a tag may be
TAG_RULE = f"must satisfy regular expression '{TAG_PATTERN}'"
_TAG = re.compile(r"[a-zA-Z0-9\-_.]{1,300}")
_EXCLUDING = ("IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")


def tag_problem(tag: str) -> str:
    """What is wrong with a tag's spelling; empty when nothing is."""
    return "" if _TAG.fullmatch(tag) else TAG_RULE


def matches(pattern: str, tag: str) -> bool:
    """Whether a tag fits a pattern, in which `*` stands for any characters or none."""
    pieces = [re.escape(piece) for piece in re.sub(r"\*+", "*", pattern).split("*")]
    return re.fullmatch(".*?".join(pieces), tag, re.DOTALL) is not None


def is_immutable(repository: Repository, tag: str) -> bool:
    """Whether a tag, once given, stays where it is."""
    excluded = any(matches(one.filter, tag) for one in repository.mutability_filters)
    if repository.mutability == "IMMUTABLE_WITH_EXCLUSION":
        return not excluded
    if repository.mutability == "MUTABLE_WITH_EXCLUSION":
        return excluded
    return repository.mutability == "IMMUTABLE"


def filters_of(mutability: str, asked: Sequence[dict[str, Any]] | None) -> tuple[TagFilter, ...]:
    """The exclusion filters of a request, checked.  AwsError InvalidParameterException."""
    name = "imageTagMutabilityExclusionFilters"
    if mutability in _EXCLUDING:
        if not asked:
            raise constraint(
                name,
                f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mutability}",
            )
    elif asked:
        raise constraint(
            name,
            f"ImageTagMutabilityExclusionFilters can't be set when imageTagMutability is set as {mutability}",
        )
    filters = tuple(TagFilter(one["filter"], one["filterType"]) for one in asked or ())
    _check(one.filter for one in filters)
    return filters


def _check(patterns: Iterable[str]) -> None:
    name = "imageTagMutabilityExclusionFilters"
    for pattern in patterns:
        if pattern.count("*") > WILDCARDS_MAX:
            raise constraint(name, f"A filter can have at most {WILDCARDS_MAX} wildcards (*)")
