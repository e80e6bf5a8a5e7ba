"""The ARN of a request to an API, which policies are about; and the paths' parameters.  Pure."""

import re
from urllib.parse import unquote

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def api_arn(region: str, account: str, api_id: str) -> str:
    """arn:aws:execute-api:<region>:<account>:<api>, which stage, method and path follow."""
    return f"arn:aws:execute-api:{region}:{account}:{api_id}"


def request_arns(api: str, stage: str, method: str, path: str, *, decoded: bool = False) -> tuple[str, ...]:
    """<api's ARN>/<stage>/<METHOD>/<path without its first slash>, and how else the same request may be written.

    The first is the request's ARN; what denies any of the others denies the request too, so that neither
    percent-encoding nor slashes at a path's ends lead round a denial of what a resource is reached by.

    decoded   whether routes match the decoded path, as those of HTTP APIs do; else REST's, part by part
    """
    plain = unquote(path, errors="replace") if "%" in path else path
    head = f"{api}/{stage}/{method}/"
    first = head + (plain if decoded else _unescaped(path)).removeprefix("/")
    other = head + plain.strip("/")
    return (first,) if first == other else (first, other)


def _unescaped(path: str) -> str:
    """The path without percent-codes of characters that need none."""
    return _ESCAPE.sub(_plain, path) if "%" in path else path


def _plain(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def masked(arn: str) -> str:
    """The ARN as refusals show it: of the account only the last four digits."""
    head, colon, rest = arn.partition(":execute-api:")
    region, account, api = rest.split(":", 2)
    return f"{head}{colon}{region}:{'*' * max(0, len(account) - 4)}{account[-4:]}:{api}"


def path_parameters(template: str, path: str, *, encoded: bool = True) -> dict[str, str]:
    """The values that a path gives to a resource's or route's parameters (`/pets/{id}`, `/{proxy+}`), decoded."""
    read = unquote if encoded else str
    found: dict[str, str] = {}
    parts = path.strip("/").split("/")
    for at, name in enumerate(template.strip("/").split("/")):
        if not (name.startswith("{") and name.endswith("}")) or at >= len(parts):
            continue
        if name.endswith("+}"):
            found[name[1:-2]] = read("/".join(parts[at:]))
        else:
            found[name[1:-1]] = read(parts[at])
    return found
