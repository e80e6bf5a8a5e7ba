"""Stacks of CloudFormation that name resources which the companion would make inside itself, where nobody finds them.

Such a stack is refused as one whose resource types are unknown: a stack that says CREATE_COMPLETE and has made nothing
that anybody can use would be a lie.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports import ObjectReader
from cumulo.companions.guards import Call, Form, Guard

TEMPLATE_BYTES_MAX: Final = 1024 * 1024  # AWS's, of a template in S3
_MAKES: Final = frozenset(
    {"CreateStack", "UpdateStack", "CreateChangeSet", "CreateStackSet", "UpdateStackSet"}
)
_TYPE: Final = re.compile(r"""["']?\bType["']?\s*:\s*["']?(AWS::\w+::\w+)\b""")
_VIRTUAL: Final = re.compile(r"(.+?)\.s3[.-].*", re.IGNORECASE)


class StackTypes:
    """A guard before a guard.

    makers   services whose resources cannot be made by stacks, as types name them: `ECS`
    objects  reads templates in S3
    """

    def __init__(self, inner: Guard, makers: Sequence[str], objects: ObjectReader) -> None:
        self._inner = inner
        self._makers = frozenset(makers)
        self._objects = objects

    async def before(self, call: Call) -> Form | None:
        """See Guard.  AwsError ValidationError for stacks with such resources."""
        if call.action in _MAKES:
            found = unmade(await self._template(call), self._makers)
            if found:
                raise AwsError(
                    "ValidationError",
                    f"Template format error: Unrecognized resource types: [{', '.join(found)}]. "
                    "Cumulo makes these through their services' own APIs, not through CloudFormation.",
                )
        return await self._inner.before(call)

    def after(self, call: Call, *, done: bool) -> None:
        """See Guard."""
        self._inner.after(call, done=done)

    async def _template(self, call: Call) -> str:
        """The template's text; empty when it cannot be read: then CloudFormation has to say so."""
        if "TemplateBody" in call.form:
            return call.form["TemplateBody"]
        place = place_of(call.form.get("TemplateURL", ""))
        if place is None:
            return ""
        caller = Caller(account=call.account, region=call.region)
        try:
            data = await self._objects.read_object(caller, *place, None, bytes_max=TEMPLATE_BYTES_MAX)
        except (AwsError, OSError):
            return ""
        return data.decode("utf-8", "replace")


def unmade(template: str, makers: frozenset[str]) -> list[str]:
    """The resource types of these services in a template (JSON or YAML), in order, each once."""
    found = dict.fromkeys(_TYPE.findall(template))
    return sorted(one for one in found if one.split("::")[1] in makers)


def place_of(url: str) -> tuple[str, str] | None:
    """Bucket and key of a template's URL; None when it is none of S3's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = unquote(parts.path).lstrip("/")
    virtual = _VIRTUAL.fullmatch(parts.hostname or "")
    if virtual is not None and path:
        return virtual[1], path
    bucket, _, key = path.partition("/")
    return (bucket, key) if bucket and key else None
