"""What a manifest says: of an image, of an index, or of an artifact.  Pure: bytes in, facts out.

    Docker schema 2, OCI manifest    config + layers [+ subject, artifactType]
    Docker list, OCI index           manifests       [+ subject, artifactType]

Docker's schema 1 is refused, as ECR refuses it.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.services.ecr.model import (
    DIGEST_PATTERN,
    DOCKER_MANIFEST_1,
    INDEXES,
    MANIFEST_BYTES_MAX,
    MANIFESTS,
)
from cumulo.services.ecr.refusals import constraint

DESCRIPTORS_MAX = 4096  # layers of an image, manifests of an index; Docker itself stops at 127 layers
_ELSEWHERE = (
    "foreign",
    "nondistributable",
)  # layers of such kinds are fetched from their urls, not from here
_SCHEMA_1 = frozenset({DOCKER_MANIFEST_1, "application/vnd.docker.distribution.manifest.v1+json"})
_DIGEST = re.compile(DIGEST_PATTERN)


class Blob(msgspec.Struct, frozen=True):
    """A descriptor: something else by digest."""

    digest: str
    size: int
    media_type: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest refers to.  `layers` are those that the repository must hold itself."""

    media_type: str
    config: Blob | None = None
    layers: tuple[Blob, ...] = ()
    children: tuple[Blob, ...] = ()
    subject: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = {}


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether this is a digest as we keep them."""
    return _DIGEST.fullmatch(text) is not None


def parse(data: bytes, media_type: str = "") -> Manifest:
    """Read a manifest; `media_type` is what the client said (a Content-Type may carry parameters).

    AwsError InvalidParameterException: no JSON, not of a kind that ECR takes, or a broken descriptor.
    """
    if len(data) > MANIFEST_BYTES_MAX:
        raise _bad(f"Member must have length less than or equal to {MANIFEST_BYTES_MAX}")
    document = _document(data)
    kind = _kind(document, media_type.partition(";")[0].strip())
    if kind in INDEXES:
        children = _blobs(document.get("manifests"), "manifests")
        return Manifest(media_type=kind, children=children, **_about(document, ""))
    config = _blob(document.get("config"), "config")
    layers = _blobs(document.get("layers"), "layers")
    return Manifest(
        media_type=kind,
        config=config,
        layers=tuple(layer for layer in layers if not any(word in layer.media_type for word in _ELSEWHERE)),
        **_about(document, config.media_type),
    )


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad("Invalid JSON syntax") from None
    if not isinstance(document, dict):
        raise _bad("Invalid JSON syntax")
    return document


def _kind(document: dict[str, Any], said: str) -> str:
    """The media type: what the client says and what the manifest says must not contradict."""
    written = document.get("mediaType", "")
    if not isinstance(written, str):
        raise _bad("Invalid JSON syntax")
    if document.get("schemaVersion") == 1 or said in _SCHEMA_1 or written in _SCHEMA_1:
        raise _bad("Docker Image Manifest V2, Schema 1 is not supported")
    if document.get("schemaVersion") != 2:
        raise _bad("Invalid JSON syntax")
    if said and written and said != written:
        raise _bad(f"The manifest's mediaType '{written}' does not match the media type '{said}'")
    kind = said or written
    if (
        kind not in MANIFESTS | INDEXES
    ):  # AWS's answer also for OCI manifests that leave it out, which they may
        raise _bad("Invalid JSON syntax")
    if ("manifests" in document) == ("layers" in document) or ("layers" in document) != (kind in MANIFESTS):
        raise _bad("Invalid JSON syntax")
    return kind


def _about(document: dict[str, Any], config_media_type: str) -> dict[str, Any]:
    subject = document.get("subject")
    artifact_type = document.get("artifactType", "")
    annotations = document.get("annotations") or {}
    if not isinstance(artifact_type, str) or not isinstance(annotations, dict):
        raise _bad("Invalid JSON syntax")
    if not all(isinstance(value, str) for value in annotations.values()):
        raise _bad("Invalid JSON syntax")
    return {
        "subject": _blob(subject, "subject").digest if subject is not None else "",
        "artifact_type": artifact_type or config_media_type,
        "annotations": annotations,
    }


def _blobs(value: Any, name: str) -> tuple[Blob, ...]:
    if not isinstance(value, list) or len(value) > DESCRIPTORS_MAX:
        raise _bad("Invalid JSON syntax")
    return tuple(_blob(entry, name) for entry in value)


def _blob(value: Any, name: str) -> Blob:
    if not isinstance(value, dict):
        raise _bad("Invalid JSON syntax")
    digest, size, media_type = value.get("digest"), value.get("size"), value.get("mediaType", "")
    if not isinstance(digest, str) or not is_digest(digest):
        raise _bad(f"The digest of {name} must satisfy regular expression '{DIGEST_PATTERN}'")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(media_type, str):
        raise _bad("Invalid JSON syntax")
    return Blob(digest, size, media_type)


def _bad(rule: str) -> AwsError:
    return constraint("ImageManifest", rule)
