"""The pages that load balancers answer with by themselves.  Pure."""

from http import HTTPStatus
from typing import Final

Lines = tuple[tuple[bytes, bytes], ...]

SERVER: Final = (b"Server", b"awselb/2.0")
_NAMES: Final = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


def page(status: int, why: str = "") -> tuple[Lines, bytes]:
    """Headers and body of the page for a status, as AWS's look; `why` is for whoever reads it here."""
    name = _NAMES.get(status) or _phrase(status)
    title = f"{status} {name}"
    told = f"<p>{why}</p>\r\n" if why else ""
    body = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"{told}</body>\r\n</html>\r\n"
    )
    return ((SERVER, (b"Content-Type", b"text/html"))), body.encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
