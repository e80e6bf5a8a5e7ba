"""The ARN of a request to an API, which policies are about; and the paths' parameters.  Pure."""

import re
from urllib.parse import unquote

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def api_arn(region: str, account: str, api_id: str) -> str:
    """arn:aws:execute-api:<region>:<account>:<api>, which stage, method and path follow."""
    return f"arn:aws:execute-api:{region}:{account}:{api_id}"


def request_arn(api: str, stage: str, method: str, path: str) -> str:
    """<api's ARN>/<stage>/<METHOD>/<path without its first slash>.

    Characters that need no percent-encoding are put in place of their codes, so that a policy's `/admin/*` means
    `/%61dmin/x` too.
    """
    if "%" in path:
        path = _ESCAPE.sub(_plain, path)
    return f"{api}/{stage}/{method}/{path.removeprefix('/')}"


def _plain(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def masked(arn: str) -> str:
    """The ARN as refusals show it: of the account only the last four digits."""
    head, colon, rest = arn.partition(":execute-api:")
    region, account, api = rest.split(":", 2)
    return f"{head}{colon}{region}:{'*' * max(0, len(account) - 4)}{account[-4:]}:{api}"


def path_parameters(template: str, path: str) -> dict[str, str]:
    """The values that a path gives to a resource's or route's parameters (`/pets/{id}`, `/{proxy+}`), decoded."""
    found: dict[str, str] = {}
    parts = path.strip("/").split("/")
    for at, name in enumerate(template.strip("/").split("/")):
        if not (name.startswith("{") and name.endswith("}")) or at >= len(parts):
            continue
        if name.endswith("+}"):
            found[name[1:-2]] = unquote("/".join(parts[at:]))
        else:
            found[name[1:-1]] = unquote(parts[at])
    return found
