"""When rules apply.  Checks the conditions that were sent and brings them into one form; pure."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cumulo.base.errors import not_implemented
from cumulo.services.elbv2.model import Document
from cumulo.services.elbv2.refusals import invalid

VALUES_MAX: Final = 5
WILDCARDS_MAX: Final = 6
LENGTH_MAX: Final = 128
_SHORT_MAX: Final = 40  # of methods and names of headers
_CONFIGS: Final[Mapping[str, str]] = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
_OLD_FORM: Final = ("path-pattern", "host-header")  # may be sent with bare Values
_OFTEN: Final = ("http-header", "query-string")  # may come more than once in a rule
_METHOD: Final = re.compile(r"[A-Z_-]+")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WILDCARD: Final = re.compile(r"(?<!\\)[*?]")


def checked_conditions(conditions: Sequence[Document]) -> tuple[Document, ...]:
    """The conditions of a rule in one form.  AwsError with AWS's sentences for what it does not take."""
    if not conditions:
        raise invalid("A condition must be specified")
    checked = tuple(_condition(one) for one in conditions)
    fields = [one["Field"] for one in checked]
    for field in dict.fromkeys(fields):
        if field not in _OFTEN and fields.count(field) > 1:
            raise invalid(f"A rule can only have one '{field}' condition")
    values = [text for one in checked for text in _texts(one)]
    if sum(len(values_of(one)) for one in checked) > VALUES_MAX:
        raise invalid(f"A rule can only have '{VALUES_MAX}' condition values")
    if sum(len(_WILDCARD.findall(text)) for text in values) > WILDCARDS_MAX:
        raise invalid(f"A rule can only have '{WILDCARDS_MAX}' condition wildcards")
    return checked


def values_of(condition: Document) -> Sequence[Any]:
    """The values of a condition in its one form: texts, or Key and Value of a query string."""
    values: Sequence[Any] = condition[_CONFIGS[condition["Field"]]]["Values"]
    return values


def _condition(given: Document) -> dict[str, Any]:
    field = given.get("Field", "")
    if field not in _CONFIGS:
        raise invalid(f"Condition field '{field}' must be one of '[{','.join(_CONFIGS)}]'")
    name = _CONFIGS[field]
    if given.get("RegexValues") or given.get(name, {}).get("RegexValues"):
        raise not_implemented("elbv2", "regular expressions in conditions")
    for other in _CONFIGS.values():
        if other != name and other in given:
            raise invalid(f"The '{other}' field is not compatible with '{field}'")
    bare, config = given.get("Values"), given.get(name)
    if bare and field not in _OLD_FORM:
        raise invalid(f"The 'Values' field is not compatible with '{field}'")
    if bare and config:
        raise invalid(f"You cannot provide both Values and '{name}' for a condition of type '{field}'")
    if config is None and field not in _OLD_FORM:
        article = "An" if name.startswith("H") and name[1].isupper() else "A"
        raise invalid(f"{article} '{name}' must be specified with '{field}'")
    values = _listed(field, bare, config)
    checked: dict[str, Any] = {"Field": field, name: {**(config or {}), "Values": values}}
    if field in _OLD_FORM:
        checked["Values"] = values
    _check_values(field, checked[name])
    return checked


def _listed(field: str, bare: Sequence[str] | None, config: Document | None) -> list[Any]:
    """The values in either form; the old one has room for one."""
    if bare and len(bare) > 1:
        raise invalid(f"The '{field}' field contains too many values; the limit is '1'")
    values = list(bare or (config or {}).get("Values", ()))
    if not values:
        what = "condition" if field in _OLD_FORM else f"'{field}'"
        raise invalid(f"A {what} value must be specified")
    return values


def _check_values(field: str, config: Document) -> None:
    values = config["Values"]
    if field == "query-string":
        _check_pairs(values)
    elif field == "http-request-method":
        _check_methods(values)
    elif field == "source-ip":
        for value in values:
            _check_block(value)
    else:
        if field == "http-header":
            _check_header_name(config.get("HttpHeaderName", ""))
        for value in values:
            if len(value) > LENGTH_MAX:
                raise invalid(f"The '{field}' value is too long; the limit is '{LENGTH_MAX}'")
            if not value:
                raise invalid("A condition value must be specified")


def _check_pairs(values: Sequence[Document]) -> None:
    for pair in values:
        if "Value" not in pair:
            raise invalid("A 'Value' must be specified in 'QueryStringKeyValuePair'")
        for part in ("Key", "Value"):
            if len(pair.get(part, "")) > LENGTH_MAX:
                raise invalid(f"The '{part}' value is too long; the limit is '{LENGTH_MAX}'")


def _check_methods(values: Sequence[str]) -> None:
    for value in values:
        if len(value) > _SHORT_MAX:
            raise invalid(f"The 'http-request-method' value is too long; the limit is '{_SHORT_MAX}'")
        if not _METHOD.fullmatch(value):
            raise invalid(
                "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen and underscore"
            )


def _check_header_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid("The 'HttpHeaderName' value is not valid")
    if len(name) > _SHORT_MAX:
        raise invalid(f"The 'HttpHeaderName' value is too long; the limit is '{_SHORT_MAX}'")
    if name.lower() == "host":
        raise invalid("The 'HttpHeaderName' value 'Host' is not supported; use the 'host-header' field")


def _check_block(text: str) -> None:
    try:
        block = ipaddress.ip_network(text)
    except ValueError:
        block = None
    if block is None or "/" not in text:
        raise invalid(f"The 'source-ip' value '{text}' is not a valid CIDR block")
    if str(block) == "255.255.255.255/32":
        raise invalid(f"The 'source-ip' value '{text}' is not supported")


def _texts(condition: Document) -> list[str]:
    if condition["Field"] in ("source-ip", "http-request-method"):
        return []
    texts: list[str] = []
    for value in values_of(condition):
        if isinstance(value, str):
            texts.append(value)
        else:
            texts += [value.get("Key", ""), value["Value"]]
    return texts
