"""Lifecycle policies as text: read, checked as ECR checks them, and written as ECR shows them.  Pure.

ECR checks with a JSON schema first and with rules of its own afterwards; both speak through
`Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: ...'`.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.ecr.refusals import constraint

RULES_MAX = 50
WILDCARDS_MAX = 4  # in one tag pattern
ARCHIVED_DAYS_MIN = 90  # what AWS bills at least; archived images cannot expire sooner
_DAYS = frozenset({"sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"})
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule.  `prefixes` or `patterns` are of tags: an image must have all of them.

    tag_status     tagged, untagged, any
    count_type     imageCountMoreThan, sinceImagePushed, sinceImagePulled, sinceImageTransitioned (both in days)
    action         expire, or transition to the archive
    storage_class  of the images that it looks at: standard, archive
    """

    priority: int
    description: str = ""
    tag_status: str
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    storage_class: str = "standard"
    count_type: str
    count: int
    action: str


def read(text: str) -> tuple[Rule, ...]:
    """The rules of a policy, by priority.  AwsError InvalidParameterException."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise _failure("Could not map policyString into LifecyclePolicy.") from None
    if not isinstance(document, dict):
        raise _failure("Could not map policyString into LifecyclePolicy.")
    _members(document, required=("rules",))
    _kind(document["rules"], "array")
    if not 1 <= len(document["rules"]) <= RULES_MAX:
        raise _failure(_length("array", document["rules"], 1, RULES_MAX, "elements"))
    rules = sorted((_rule(entry) for entry in document["rules"]), key=lambda rule: rule.priority)
    _together(rules)
    return tuple(rules)


def normal(text: str) -> str:
    """A policy without its white space, as ECR shows it."""
    return msgspec.json.encode(msgspec.json.decode(text)).decode()


# -- one rule, as the schema has it ------------------------------------------------------------------------


def _rule(entry: Any) -> Rule:
    _kind(entry, "object")
    _members(entry, required=("action", "rulePriority", "selection"), optional=("description",))
    _kind(entry["rulePriority"], "integer")
    _least(entry["rulePriority"])
    _kind(entry.get("description", ""), "string")
    action = _action(entry["action"])
    fields = _selection(entry["selection"], action)
    return Rule(
        priority=entry["rulePriority"], description=entry.get("description", ""), action=action, **fields
    )


def _action(value: Any) -> str:
    _kind(value, "object")
    _members(value, required=("type",), optional=("targetStorageClass",))
    kind = _one_of(value["type"], "expire", "transition")
    if "targetStorageClass" in value:
        _one_of(value["targetStorageClass"], "archive")
    if (kind == "transition") != ("targetStorageClass" in value):
        raise _no_schema()
    return kind


def _selection(value: Any, action: str) -> dict[str, Any]:
    _kind(value, "object")
    optional = ("countUnit", "storageClass", "tagPatternList", "tagPrefixList")
    _members(value, required=("countNumber", "countType", "tagStatus"), optional=optional)
    status = _one_of(value["tagStatus"], "any", "tagged", "untagged")
    kind = value["countType"]
    if not isinstance(kind, str) or kind not in _DAYS | {"imageCountMoreThan"}:
        raise _no_schema()
    if (kind in _DAYS) != ("countUnit" in value):
        raise _no_schema()
    if "countUnit" in value:
        _one_of(value["countUnit"], "days")
    _kind(value["countNumber"], "integer")
    _least(value["countNumber"])
    storage = _one_of(value.get("storageClass", "standard"), "archive", "standard")
    _check_storage(kind, storage, action, value)
    prefixes, patterns = _tags(value, "tagPrefixList"), _tags(value, "tagPatternList")
    _check_tags(status, prefixes, patterns)
    return {
        "tag_status": status,
        "prefixes": prefixes,
        "patterns": patterns,
        "storage_class": storage,
        "count_type": kind,
        "count": value["countNumber"],
    }


def _check_storage(kind: str, storage: str, action: str, value: Mapping[str, Any]) -> None:
    """Pulls lead into the archive, and only what was moved there can expire from it."""
    if (kind == "sinceImageTransitioned") != (storage == "archive"):
        raise _no_schema()
    if kind == "sinceImageTransitioned" and action != "expire":
        raise _no_schema()
    if kind == "sinceImagePulled" and action != "transition":
        raise _no_schema()
    if kind == "sinceImageTransitioned" and value["countNumber"] < ARCHIVED_DAYS_MIN:
        raise _failure(_minimum(ARCHIVED_DAYS_MIN, value["countNumber"]))


def _tags(value: Mapping[str, Any], name: str) -> tuple[str, ...]:
    tags = value.get(name, [])
    _kind(tags, "array")
    for tag in tags:
        _kind(tag, "string")
        if not tag:
            raise _failure(_length("string", tag, 1, 0, "characters"))
        if name == "tagPatternList" and tag.count("*") > WILDCARDS_MAX:
            raise _failure(f"A tag pattern can have at most {WILDCARDS_MAX} wildcards (*): {tag}")
    return tuple(tags)


def _check_tags(status: str, prefixes: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    if status == "tagged":
        if not prefixes and not patterns:
            raise _failure("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
        if prefixes and patterns:
            raise _failure("Must specify either tagPrefixList or tagPatternList, but not both.")
    elif prefixes or patterns:
        raise _failure(f"Cannot specify tagPrefixList or tagPatternList when tagStatus={status.upper()}.")


# -- all rules ---------------------------------------------------------------------------------------------


def _together(rules: list[Rule]) -> None:
    """What the rules must not do to one another; `rules` by priority."""
    if _doubled(rule.priority for rule in rules):
        raise _failure("Rule priorities must be unique")
    for storage in ("standard", "archive"):
        group = [rule for rule in rules if rule.storage_class == storage]
        if any(rule.tag_status == "any" for rule in group[:-1]):
            raise _failure("Rule for tagStatus=ANY must have the lowest priority per storage class")
        if sum(rule.tag_status == "untagged" for rule in group) > 1:
            raise _failure("Only one rule can select Untagged images per storage class.")
        chosen = [frozenset(rule.prefixes or rule.patterns) for rule in group if rule.tag_status == "tagged"]
        if _doubled(chosen):
            raise _failure("Only one rule can select the same set of tags per storage class")


def _doubled(values: Iterable[Any]) -> bool:
    every = list(values)
    return len(set(every)) < len(every)


# -- the schema's sentences --------------------------------------------------------------------------------


def _members(value: Mapping[str, Any], *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    missing = [name for name in required if name not in value]
    if missing:
        raise _failure(f"object has missing required properties ({_names(missing)})")
    unknown = sorted(set(value) - {*required, *optional})
    if unknown:
        raise _failure(
            f"object instance has properties which are not allowed by the schema: ({_names(unknown)})"
        )


def _kind(value: Any, wanted: str) -> None:
    if not isinstance(value, _TYPES[wanted]) or isinstance(value, bool):
        raise _failure(
            f"instance type ({_type_of(value)}) does not match any allowed primitive type (allowed: {_names([wanted])})"
        )


def _type_of(value: Any) -> str:
    names: Mapping[type, str] = {bool: "boolean", float: "number", type(None): "null"}
    return names.get(type(value)) or next(name for name, kinds in _TYPES.items() if isinstance(value, kinds))


def _one_of(value: Any, *allowed: str) -> str:
    if value not in allowed:
        raise _failure(
            f"instance value ({json.dumps(value)}) not found in enum (possible values: {_names(allowed)})"
        )
    return str(value)


def _least(value: int) -> None:
    if value < 1:
        raise _failure(_minimum(1, value))


def _minimum(least: int, found: int) -> str:
    return f"numeric instance is lower than the required minimum (minimum: {least}, found: {found})"


def _length(what: str, value: Any, least: int, most: int, unit: str) -> str:
    found = len(value)
    if found < least:
        return f"{what} is too short: must have at least {least} {unit} but instance has {found} {unit}"
    return f"{what} is too long: must have at most {most} {unit} but instance has {found} {unit}"


def _no_schema() -> AwsError:
    return _failure("instance failed to match exactly one schema (matched 0 out of 4)")


def _names(names: Iterable[str]) -> str:
    return json.dumps(list(names), separators=(",", ":"))


def _failure(why: str) -> AwsError:
    return constraint("LifecyclePolicyText", f"Lifecycle policy validation failure: {why}")
