"""Ids as API Gateway makes them: lower-case letters and digits, and the addresses and names made of them."""

from typing import Final
from urllib.parse import urlsplit

from cumulo.base.arn import partition_of
from cumulo.base.ids import Ids

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
API: Final = 10
ROUTE: Final = 7
OTHER: Final = 6


def new_id(ids: Ids, length: int) -> str:
    """An id of so many lower-case letters and digits."""
    number = int(
        ids.hex(length * 2), 16
    )  # 8 bits a character: enough that no digit is much likelier than another
    text = ""
    for _ in range(length):
        number, at = divmod(number, 36)
        text += _ALPHABET[at]
    return text


def api_endpoint(endpoint: str, api_id: str, *, http: bool) -> str:
    """Where clients on this machine reach an API: a name below .localhost, at the port that the caller used."""
    parts = urlsplit(endpoint)
    secure = parts.scheme == "https"
    scheme = ("https" if secure else "http") if http else ("wss" if secure else "ws")
    port = f":{parts.port}" if parts.port else ""
    return f"{scheme}://{api_id}.execute-api.localhost{port}"


def arn_of(region: str, path: str) -> str:
    """The ARN of `/apis/<id>`, `/apis/<id>/stages/<name>` or `/vpclinks/<id>`."""
    return f"arn:{partition_of(region)}:apigateway:{region}::{path}"
