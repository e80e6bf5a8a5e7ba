"""What rules do: forward, redirect, answer.  Checks what was sent and brings it into one form; pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cumulo.base.errors import AwsError, not_implemented
from cumulo.services.elbv2.model import Document
from cumulo.services.elbv2.refusals import invalid

GROUPS_MAX: Final = 5
WEIGHT_MAX: Final = 999
STICKY_SECONDS_MAX: Final = 604_800
_CONTENT_TYPES: Final = (
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
)
_SAME: Final = {
    "Protocol": "#{protocol}",
    "Port": "#{port}",
    "Host": "#{host}",
    "Path": "/#{path}",
    "Query": "#{query}",
}
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*")  # what may stand in a Location as it is
_PLACEHOLDER: Final = re.compile(r"#\{(protocol|host|port|path|query)\}")


def checked_actions(actions: Sequence[Document], *, kind: str, protocol: str) -> tuple[Document, ...]:
    """The actions of a rule or a listener in one form, for a load balancer of this kind.

    AwsError for what is missing, not possible, or (authentication) not built.  Whether target groups exist is for
    the caller to see.
    """
    if not actions:
        raise invalid("Actions cannot be empty")
    for action in actions:
        if action["Type"] in ("authenticate-oidc", "authenticate-cognito", "jwt-validation"):
            raise not_implemented("elbv2", f"actions of type {action['Type']}")
    if len(actions) > 1:
        raise _bad_action("Exactly one action of type forward, redirect or fixed-response must be specified")
    action = actions[0]
    if kind == "network" and action["Type"] != "forward":
        raise _bad_action(f"Actions of type '{action['Type']}' are not supported by network load balancers")
    if action["Type"] == "forward":
        checked = _forward(action)
    elif action["Type"] == "redirect":
        checked = _redirect(action, protocol)
    else:
        checked = _fixed(action)
    if "Order" in action:
        checked["Order"] = action["Order"]
    return (checked,)


def groups_of(actions: Iterable[Document]) -> list[str]:
    """The ARNs of the target groups that actions forward to, each once."""
    found: dict[str, None] = {}
    for action in actions:
        for one in action.get("ForwardConfig", {}).get("TargetGroups", ()):
            found[one["TargetGroupArn"]] = None
    return list(found)


def location(config: Mapping[str, str], *, scheme: str, host: str, port: int, path: str, query: str) -> str:
    """Where a redirect leads; `path` is the request's with its slash, `query` without the question mark."""
    have = {
        "protocol": scheme,
        "host": host,
        "port": str(port),
        "path": path.removeprefix("/"),
        "query": query,
    }

    def filled(name: str) -> str:
        return _PLACEHOLDER.sub(lambda found: have[found[1]], config.get(name, _SAME[name]))

    to_scheme = filled("Protocol").lower()
    asked = filled("Query")
    tail = f"?{asked}" if asked else ""
    return f"{to_scheme}://{filled('Host')}:{filled('Port')}{filled('Path')}{tail}"


def _forward(action: Document) -> dict[str, Any]:
    config = action.get("ForwardConfig", {})
    groups = config.get("TargetGroups", ())
    single = action.get("TargetGroupArn", "")
    if not single and not groups:
        raise invalid("A target group ARN must be specified")
    if single and groups and [one.get("TargetGroupArn") for one in groups] != [single]:
        raise invalid("You can only specify the same target group in 'TargetGroupArn' and 'ForwardConfig'")
    if len(groups) > GROUPS_MAX:
        raise AwsError(
            "TooManyTargetGroups", f"A forward action can have at most '{GROUPS_MAX}' target groups"
        )
    weighted = [_weighted(one) for one in groups or ({"TargetGroupArn": single},)]
    if len({one["TargetGroupArn"] for one in weighted}) < len(weighted):
        raise invalid("Target groups must be unique in a forward action")
    checked: dict[str, Any] = {
        "Type": "forward",
        "ForwardConfig": {
            "TargetGroups": weighted,
            "TargetGroupStickinessConfig": _sticky(config.get("TargetGroupStickinessConfig", {})),
        },
    }
    if len(weighted) == 1:
        checked["TargetGroupArn"] = weighted[0]["TargetGroupArn"]
    return checked


def _weighted(one: Document) -> dict[str, Any]:
    if not one.get("TargetGroupArn"):
        raise invalid("A target group ARN must be specified")
    weight = one.get("Weight", 1)
    if not 0 <= weight <= WEIGHT_MAX:
        raise invalid(f"Target group weight must be between 0 and {WEIGHT_MAX}, inclusive")
    return {"TargetGroupArn": one["TargetGroupArn"], "Weight": weight}


def _sticky(config: Document) -> dict[str, Any]:
    if not config.get("Enabled", False):
        return {"Enabled": False, **({k: v for k, v in config.items() if k == "DurationSeconds"})}
    seconds = config.get("DurationSeconds")
    if seconds is None:
        raise invalid("Target group stickiness duration must be specified when stickiness is enabled")
    if not 1 <= seconds <= STICKY_SECONDS_MAX:
        raise invalid(f"Target group stickiness duration must be between 1 and {STICKY_SECONDS_MAX} seconds")
    return {"Enabled": True, "DurationSeconds": seconds}


def _redirect(action: Document, protocol: str) -> dict[str, Any]:
    given = action.get("RedirectConfig")
    if given is None:
        raise _bad_action("A redirect configuration must be specified for an action of type 'redirect'")
    config = {**_SAME, **given}
    for name in ("Host", "Path", "Query"):
        if not _VISIBLE.fullmatch(config[name]):
            raise _bad_action(f"The {name} parameter has characters that are not allowed")
    if not config["Path"].startswith("/"):
        raise _bad_action(
            "The Path parameter must be a valid path, should start with a '/', and may contain up to one of each of "
            "these placeholders: '#{path}', '#{host}', '#{port}'."
        )
    if config["Query"].startswith("?"):
        raise _bad_action("The Query parameter must not include the leading '?'")
    port = config["Port"]
    if port != _SAME["Port"] and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise _bad_action("The Port parameter must be a value from 1 to 65535, or '#{port}'")
    if all(config[name] == _SAME[name] for name in ("Protocol", "Port", "Host", "Path")):
        raise _bad_action("The redirect configuration is not valid because it creates a loop.")
    if protocol == "HTTPS" and config["Protocol"] == "HTTP":
        raise _bad_action("You cannot redirect from HTTPS to HTTP")
    return {"Type": "redirect", "RedirectConfig": config}


def _fixed(action: Document) -> dict[str, Any]:
    config = action.get("FixedResponseConfig")
    if config is None:
        raise _bad_action(
            "A fixed response configuration must be specified for an action of type 'fixed-response'"
        )
    if config.get("ContentType") and config["ContentType"] not in _CONTENT_TYPES:
        raise _bad_action(
            "The ContentType must be one of:'text/html', 'application/json', 'application/javascript', 'text/css', "
            "'text/plain'"
        )
    return {"Type": "fixed-response", "FixedResponseConfig": dict(config)}


def _bad_action(message: str) -> AwsError:
    return AwsError("InvalidLoadBalancerAction", message)
