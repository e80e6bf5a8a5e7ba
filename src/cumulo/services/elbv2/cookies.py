"""Cookies by which clients come back to the same target, or the same target group.  Pure.

A cookie's value is a digest of what it stands for: it says nothing of addresses, and is the same after a restart.
"""

import hashlib
from email.utils import formatdate
from typing import Final

TARGET: Final = "AWSALB"
APPLICATION: Final = "AWSALBAPP-0"
GROUP: Final = "AWSALBTG"
_ACROSS: Final = "CORS"  # the twin that browsers send across sites, too


def token(group: str, thing: str) -> str:
    """What stands for a target (or a group) in a cookie."""
    return hashlib.blake2b(
        thing.encode(), key=hashlib.sha256(group.encode()).digest(), digest_size=24
    ).hexdigest()


def sent(cookies: list[str], name: str) -> str:
    """The value of a cookie in the Cookie headers of a request, or that of its twin; empty when it has neither."""
    wanted = (name, name + _ACROSS)
    for line in cookies:
        for part in line.split(";"):
            key, _, value = part.strip().partition("=")
            if key in wanted:
                return value.strip('"')
    return ""


def has(cookies: list[str], name: str) -> bool:
    """Whether a request has a cookie at all."""
    return any(part.strip().partition("=")[0] == name for line in cookies for part in line.split(";"))


def lines(name: str, value: str, *, now: float, seconds: int, secure: bool) -> list[tuple[bytes, bytes]]:
    """The Set-Cookie lines of a cookie and its twin."""
    until = formatdate(now + seconds, usegmt=True)
    across = f"{name}{_ACROSS}={value}; Expires={until}; Path=/; SameSite=None"
    if secure:
        across += "; Secure"
    return [
        (b"Set-Cookie", f"{name}={value}; Expires={until}; Path=/".encode()),
        (b"Set-Cookie", across.encode()),
    ]
