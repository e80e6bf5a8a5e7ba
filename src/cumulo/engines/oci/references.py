"""Docker's grammar of image names: [host[:port]/]path[:tag][@digest], short forms spelled out."""

import re

from cumulo.engines.images import PullError, Reference

DOCKER = "docker.io"
_NAME_MAX = 255

_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_PART}(?:\.{_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")


class BadReference(PullError):
    """The text names no image."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__("not-found", f"invalid reference format: {text[:300]!r}: {why}")


def is_digest(text: str) -> bool:
    """Whether it is sha256:<64 hex>: a digest, and so also the id of an image."""
    return _DIGEST.fullmatch(text) is not None


def parse(text: str) -> Reference:
    """`alpine` is docker.io/library/alpine:latest.  A digest alone gets no tag.  BadReference."""
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise BadReference(text, "a digest is sha256: and 64 hexadecimal digits")
    slash = name.rfind("/")
    name, colon, tag = _split_tag(name, slash)
    if colon and not _TAG.fullmatch(tag):
        raise BadReference(text, "the tag may have letters, digits, _ . and -, 128 at most")
    host, repository = _split_host(name)
    if len(f"{host}/{repository}") > _NAME_MAX:
        raise BadReference(text, f"the name is longer than {_NAME_MAX} characters")
    if not _HOST.fullmatch(host) or _port(host) > 65535:
        raise BadReference(text, "the host is none")
    if repository != repository.lower():
        raise BadReference(text, "the repository name must be lowercase")
    if not _REPOSITORY.fullmatch(repository) or _IDENTIFIER.fullmatch(name):
        raise BadReference(text, "the repository name has characters that it may not have, or is an id")
    return Reference(host, repository, tag if colon else ("" if digest else "latest"), digest)


def _split_tag(name: str, slash: int) -> tuple[str, bool, str]:
    colon = name.rfind(":")
    if colon <= slash:
        return name, False, ""
    return name[:colon], True, name[colon + 1 :]


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not (
        "." in first
        or ":" in first
        or first == "localhost"
        or first.lower() != first
        or first.startswith("[")
    ):
        first, rest = DOCKER, name
    if first == "index.docker.io":
        first = DOCKER
    if first == DOCKER and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _port(host: str) -> int:
    found = re.search(r":(\d+)$", host)
    return int(found[1]) if found else 0
