"""What a template is given, and what it gives back."""

from collections.abc import Mapping
from typing import Any

import msgspec

Values = Mapping[str, str | list[str]]


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What a template put into $context.requestOverride and $context.responseOverride, by name.

    Headers and parameters have one value, or several as a list.  `status` is None where none was set.
    """

    header: Values = {}
    path: Values = {}
    querystring: Values = {}
    response_header: Values = {}
    status: int | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a template can reach; it is never changed.

    body                        what $input.body, .json and .path read
    path, querystring, header   what $input.params() gives, and $input.params(x) looks through in this order
    context                     $context: JSON-like; None counts as missing
    overrides                   what an earlier template of the same request set
    """

    body: bytes | str = b""
    path: Mapping[str, str] = {}
    querystring: Mapping[str, str] = {}
    header: Mapping[str, str] = {}
    context: Mapping[str, Any] = {}
    stage_variables: Mapping[str, str] = {}
    overrides: Overrides = Overrides()


class Rendering(msgspec.Struct, frozen=True, kw_only=True):
    """A template's text, and what it overrides (what it was given, and its own)."""

    text: str
    overrides: Overrides
