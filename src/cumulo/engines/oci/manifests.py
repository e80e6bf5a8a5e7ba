"""Manifests, indexes and configurations of images, OCI's and Docker's: read, checked, one chosen.  Nothing is fetched here."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from cumulo.engines.images import Config, Descriptor, Platform, PullError
from cumulo.engines.oci.references import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

ACCEPT = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
MANIFEST_BYTES_MAX = 4 << 20
CONFIG_BYTES_MAX = 8 << 20
LAYERS_MAX = 500
_INDEX_ENTRIES_MAX = 5000
_SIZE_MAX = 1 << 50

_T = TypeVar("_T")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_VARIANTS = {"arm64": "v8", "arm": "v7"}  # what an entry that names none is for


class _Platform(msgspec.Struct):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    platform: _Platform | None = None
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None


class _Manifest(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None


class _Settings(msgspec.Struct):
    User: str | None = None
    Env: list[str] | None = None
    Entrypoint: list[str] | None = None
    Cmd: list[str] | None = None
    WorkingDir: str | None = None
    StopSignal: str | None = None
    Labels: dict[str, str] | None = None
    ExposedPorts: dict[str, object] | None = None
    Volumes: dict[str, object] | None = None


class _Rootfs(msgspec.Struct):
    type: str = "layers"
    diff_ids: list[str] | None = None


class _Configuration(msgspec.Struct):
    architecture: str = ""
    os: str = ""
    variant: str = ""
    created: str | None = None
    config: _Settings | None = None
    rootfs: _Rootfs | None = None


class Manifest(msgspec.Struct, frozen=True):
    """What an image is made of: its configuration, and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Listed(msgspec.Struct, frozen=True):
    """One entry of an index."""

    descriptor: Descriptor
    annotations: Mapping[str, str] = {}


class Index(msgspec.Struct, frozen=True):
    """Several manifests or indexes, one for each platform."""

    entries: tuple[Listed, ...]


class Configuration(msgspec.Struct, frozen=True):
    """What a configuration says; `diff_ids` are the digests of the uncompressed layers."""

    platform: Platform
    config: Config
    diff_ids: tuple[str, ...]
    created_at: float


def digest_of(data: bytes) -> str:
    """sha256:<hex>."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def host_platform() -> Platform:
    """This machine's."""
    machine = os.uname().machine
    return Platform(_ARCHITECTURES.get(machine, machine))


def parse_manifest(data: bytes) -> Manifest | Index:
    """Either kind, by what it holds: media types of old registries lie.  PullError."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise PullError("refused", f"the manifest has more than {MANIFEST_BYTES_MAX} bytes")
    found = _decoded(data, _Manifest, "manifest")
    if found.schema_version == 1:
        raise PullError("refused", "the image has a manifest of version 1, which is no longer in use")
    if found.manifests is not None and found.config is None and found.layers is None:
        return _index(found.manifests)
    if found.config is None or found.layers is None or found.manifests is not None:
        raise PullError("corrupt", "the manifest is neither that of an image nor an index")
    if len(found.layers) > LAYERS_MAX:
        raise PullError("refused", f"the image has more than {LAYERS_MAX} layers")
    kind = found.config.media_type
    if kind and kind not in (OCI_CONFIG, DOCKER_CONFIG):
        raise PullError("refused", f"this is not an image that can run, it is of the kind {kind[:200]}")
    return Manifest(_descriptor(found.config), tuple(_layer(layer) for layer in found.layers))


def _index(entries: list[_Descriptor]) -> Index:
    if len(entries) > _INDEX_ENTRIES_MAX:
        raise PullError("refused", f"the index has more than {_INDEX_ENTRIES_MAX} entries")
    return Index(tuple(Listed(_descriptor(entry), entry.annotations or {}) for entry in entries))


def _layer(layer: _Descriptor) -> Descriptor:
    kind = layer.media_type
    if layer.urls or "foreign" in kind or "nondistributable" in kind:
        raise PullError(
            "refused", "the image has a layer that must be fetched from elsewhere, which is not supported"
        )
    if kind and not kind.startswith((OCI_LAYER, DOCKER_LAYER)):
        raise PullError("refused", f"the image has a layer of an unknown kind: {kind[:200]}")
    return _descriptor(layer)


def _descriptor(found: _Descriptor) -> Descriptor:
    if not is_digest(found.digest):
        raise PullError("corrupt", f"the manifest has a digest that is not sha256: {found.digest[:100]!r}")
    if not 0 <= found.size <= _SIZE_MAX:
        raise PullError("corrupt", f"the manifest has an impossible size: {found.size}")
    platform = found.platform
    return Descriptor(
        media_type=found.media_type,
        digest=found.digest,
        size=found.size,
        platform=Platform(platform.architecture, platform.os, platform.variant) if platform else None,
    )


def choose(entries: Sequence[Descriptor], wanted: Platform) -> Descriptor:
    """The entry for a platform.  PullError `platform` names those that there are.

    An exact variant wins; then one without; then, when none is wanted, any (the best first).
    """
    fitting = [
        entry
        for entry in entries
        if entry.platform is None
        or (entry.platform.architecture, entry.platform.os) == (wanted.architecture, wanted.os)
    ]
    ranked = sorted(fitting, key=lambda entry: _rank(entry.platform, wanted))
    if ranked and _rank(ranked[0].platform, wanted)[0] < _UNFIT:
        return ranked[0]
    there = ", ".join(sorted({shown(entry.platform) for entry in entries if entry.platform}))
    raise PullError("platform", f"no image for {shown(wanted)}; there are: {there[:500] or 'none'}")


_UNFIT = 9


def _rank(found: Platform | None, wanted: Platform) -> tuple[int, int]:
    if found is None:
        return 3, 0  # an index of one entry may say nothing
    has, asked = _variant(found), _variant(wanted)
    if has == asked:
        return (0 if found.variant == wanted.variant else 1), 0
    if not wanted.variant and not asked:  # amd64: v1 before v2, v3, which this machine may lack
        return 2, int(has[1:]) if has[1:].isdigit() else 99
    if wanted.architecture == "arm" and has < asked:  # v7 runs v6
        return 2, -int(has[1:]) if has[1:].isdigit() else 99
    return _UNFIT, 0


def _variant(platform: Platform) -> str:
    return platform.variant or _VARIANTS.get(platform.architecture, "")


def shown(platform: Platform) -> str:
    """linux/arm64/v8."""
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


def fits(found: Platform, wanted: Platform) -> bool:
    """Whether an image of one platform serves for another."""
    same = (found.architecture, found.os) == (wanted.architecture, wanted.os)
    return same and (not wanted.variant or not found.variant or _rank(found, wanted)[0] < _UNFIT)


def parse_config(data: bytes) -> Configuration:
    """PullError."""
    found = _decoded(data, _Configuration, "configuration")
    diff_ids = tuple(found.rootfs.diff_ids or ()) if found.rootfs else ()
    if not all(map(is_digest, diff_ids)):
        raise PullError("corrupt", "the configuration of the image has a layer that is no sha256")
    if len(diff_ids) > LAYERS_MAX:
        raise PullError("refused", f"the image has more than {LAYERS_MAX} layers")
    return Configuration(
        Platform(found.architecture, found.os or "linux", found.variant),
        _config(found.config or _Settings()),
        diff_ids,
        moment(found.created),
    )


def config_of(said: Mapping[str, object]) -> Config:
    """The `Config` of Docker's inspection of an image, which is written as in a configuration.  PullError."""
    try:
        return _config(msgspec.convert(said, _Settings))
    except msgspec.ValidationError as error:
        raise PullError("corrupt", f"the configuration of the image cannot be read: {error}") from None


def _config(said: _Settings) -> Config:
    return Config(
        entrypoint=tuple(said.Entrypoint or ()),
        command=tuple(said.Cmd or ()),
        env=dict(_variable(one) for one in said.Env or ()),
        cwd=said.WorkingDir or "",
        user=said.User or "",
        stop_signal=said.StopSignal or "",
        labels=said.Labels or {},
        exposed=tuple(said.ExposedPorts or ()),
        volumes=tuple(said.Volumes or ()),
    )


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def moment(text: str | None) -> float:
    """RFC 3339 in seconds since the epoch; 0 for nothing, for nonsense, and for Go's year one, which means nothing."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.timestamp() if found.tzinfo and found.year > 1 else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _decoded(data: bytes, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PullError("corrupt", f"the {what} of the image cannot be read: {error}") from None
