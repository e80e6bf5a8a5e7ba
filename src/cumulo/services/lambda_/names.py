"""How callers name functions: a name, a partial ARN or an ARN, each maybe with a qualifier.

thumbnail    thumbnail:3    123456789012:function:thumbnail    arn:aws:lambda:us-east-1:123456789012:function:thumbnail:3
"""

import re
from functools import lru_cache

import msgspec

from cumulo.base.caller import Caller
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.model import LATEST
from cumulo.services.lambda_.quotas import NAME_CHARACTERS_MAX

_TEXT = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9._-]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?"
)
_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)


class Target(msgspec.Struct, frozen=True):
    """Which function, and which of its versions when the caller said so."""

    account: str
    region: str
    name: str
    qualifier: str | None = None

    @property
    def function_arn(self) -> str:
        """Without the qualifier."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    @property
    def arn(self) -> str:
        """As the caller named it."""
        return f"{self.function_arn}:{self.qualifier}" if self.qualifier else self.function_arn

    @property
    def version(self) -> str:
        """The version that is meant; `$LATEST` without a qualifier."""
        return self.qualifier or LATEST


class _Parts(msgspec.Struct, frozen=True):
    region: str | None
    account: str | None
    name: str
    qualifier: str | None


@lru_cache(maxsize=4096)
def _parse(text: str) -> _Parts | None:
    match = _TEXT.fullmatch(text)
    return _Parts(**match.groupdict()) if match else None


def target(caller: Caller, text: str, qualifier: str | None = None, *, operation: str) -> Target:
    """What `text` and the separate qualifier name; an ARN must be of the caller's region and account."""
    parts = _parse(text)
    if parts is None:
        raise errors.broken_constraint(
            text, "functionName", f"Member must satisfy regular expression pattern: {_PATTERN}"
        )
    if len(parts.name) > NAME_CHARACTERS_MAX:
        # The model allows more, so this is not the validation's error, though it is its sentence.
        raise errors.invalid(
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint:"
            f" Member must have length less than or equal to {NAME_CHARACTERS_MAX}"
        )
    if qualifier and parts.qualifier and qualifier != parts.qualifier:
        raise errors.invalid(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    found = Target(
        account=parts.account or caller.account,
        region=parts.region or caller.region,
        name=parts.name,
        qualifier=qualifier or parts.qualifier,
    )
    if found.region != caller.region:
        raise errors.not_found(
            f"Functions from '{found.region}' are not reachable in this region ('{caller.region}')"
        )
    if found.account != caller.account:
        raise errors.access_denied(caller.account, operation, found.arn)
    return found


def target_of_arn(arn: str) -> Target | None:
    """What a function's whole ARN names, whoever asks; None when it is none."""
    parts = _parse(arn)
    if parts is None or not arn.startswith("arn:") or parts.account is None or parts.region is None:
        return None
    return Target(account=parts.account, region=parts.region, name=parts.name, qualifier=parts.qualifier)


def unqualified(caller: Caller, text: str, *, operation: str) -> Target:
    """The function `text` names, for operations that have no use for a version."""
    found = target(caller, text, operation=operation)
    if found.qualifier:
        raise errors.invalid(errors.UNQUALIFIED_ONLY)
    return found
