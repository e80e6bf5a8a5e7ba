"""Decides which rule counts for a repository.  Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from cumulo.services.ecr.rules.model import ROOT, CacheRule, Destination, ReplicationRule


class _Prefixed(Protocol):
    @property
    def prefix(self) -> str:
        """A namespace, or ROOT."""
        ...


P = TypeVar("P", bound=_Prefixed)


def namespace(prefix: str) -> str:
    """What a repository's name begins with under a prefix: AWS assumes a slash at the end of one."""
    return "" if prefix in ("", ROOT) else prefix.removesuffix("/") + "/"


def longest(candidates: Iterable[P], name: str) -> P | None:
    """The candidate with the longest prefix that a repository lies under; ROOT is the shortest of all."""
    fitting = [found for found in candidates if name.startswith(namespace(found.prefix))]
    return max(fitting, key=lambda found: len(namespace(found.prefix)), default=None)


def destinations(
    rules: Sequence[ReplicationRule], account: str, region: str, name: str
) -> tuple[Destination, ...]:
    """Where a push into a repository goes: each destination once, in the order of the rules, never back home."""
    home = Destination(account, region)
    found: dict[Destination, None] = {}
    for rule in rules:
        if not rule.prefixes or name.startswith(rule.prefixes):
            found.update(dict.fromkeys(rule.destinations))
    found.pop(home, None)
    return tuple(found)


class Upstream(NamedTuple):
    """What to ask of an upstream registry."""

    rule: CacheRule
    repository: str


def upstream_of(rules: Iterable[CacheRule], name: str) -> Upstream | None:
    """The upstream repository that a repository caches, by the rule with the longest prefix."""
    rule = longest(rules, name)
    if rule is None:
        return None
    rest = name.removeprefix(namespace(rule.prefix))
    return Upstream(rule, namespace(rule.upstream_prefix) + rest)


def wild(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern in which * stands for any characters.

    When what follows a star does not fit, that star takes one character more; earlier stars never need to.
    """
    at = here = 0
    star, since = -1, 0
    while here < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, since = at, here
            at += 1
        elif at < len(pattern) and pattern[at] == text[here]:
            at += 1
            here += 1
        elif star >= 0:
            since += 1
            at, here = star + 1, since
        else:
            return False
    return not pattern[at:].strip("*")


def matched(filters: Iterable[str], name: str) -> list[str]:
    """The filters of a registry's scanning or signing rule that a repository's name matches."""
    return [pattern for pattern in filters if wild(pattern, name)]


def account_settings() -> Mapping[str, tuple[tuple[str, ...], str]]:
    """The settings of an account with their values and what counts until one is put."""
    return {
        "BASIC_SCAN_TYPE_VERSION": (("AWS_NATIVE", "CLAIR"), "AWS_NATIVE"),
        "REGISTRY_POLICY_SCOPE": (("V1", "V2"), "V2"),
        "BLOB_MOUNTING": (("ENABLED", "DISABLED"), "DISABLED"),
    }
