"""WWW-Authenticate of a registry, read; and where its tokens may be asked for.  Nothing is sent here."""

import re
from urllib.parse import urlsplit

import msgspec

_PAIR = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))\s*,?\s*')
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|$)(?!=)")


class Challenge(msgspec.Struct, frozen=True):
    """`scheme` is in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse(header: str) -> list[Challenge]:
    """The challenges of a header, in its order; what cannot be read is left out."""
    found: list[Challenge] = []
    at = 0
    text = header[:8192]
    while match := _SCHEME.match(text, at):
        at = match.end()
        parameters: dict[str, str] = {}
        while pair := _PAIR.match(text, at):
            parameters[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
            at = pair.end()
        found.append(Challenge(match[1].lower(), parameters))
    return found


def is_local(host: str) -> bool:
    """Whether a host (with or without port) is this machine: spoken to without TLS, as Docker does."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    from ipaddress import ip_address

    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def may_have_password(realm: str, registry: str) -> bool:
    """Whether a token service may be asked, and be given the password: over TLS, or where the registry itself is.

    Else whoever answers for a registry could have us ask any machine that we can reach, or hear the password.
    """
    asked, home = urlsplit(realm), urlsplit(registry)
    if asked.username or asked.password or not asked.hostname:
        return False
    if asked.scheme == "https":
        return True
    return asked.scheme == "http" and home.scheme == "http" and asked.hostname == home.hostname
