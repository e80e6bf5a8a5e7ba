"""What images say of themselves, as OCI and Docker write it: references, indexes, manifests, configurations.  Pure."""

import hashlib
import platform as machine
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from cumulo.engines.images import Config, Descriptor, Platform, PullError, Reference

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_REPOSITORY = re.compile(r"[a-z0-9]+((\.|_{1,2}|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def this_machine() -> Platform:
    """What this machine runs."""
    return Platform(architecture=_ARCHITECTURES.get(machine.machine(), machine.machine()))


def parse_reference(text: str) -> Reference:
    """host[:port]/repository[:tag][@digest] with Docker's short forms spelled out; PullError `not-found` for nonsense."""
    rest, _, digest = text.partition("@")
    host, slash, path = rest.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "docker.io", rest
    repository, colon, tag = path.partition(":")
    if host == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    if not colon and not digest:
        tag = "latest"
    good = _REPOSITORY.fullmatch(repository) and (not colon or _TAG.fullmatch(tag))
    if not good or (digest and not _DIGEST.fullmatch(digest)):
        raise PullError("not-found", f"{text!r} is not a reference of an image")
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


def sha256(raw: bytes) -> str:
    """As 64 hex digits."""
    return hashlib.sha256(raw).hexdigest()


def listing(raw: bytes) -> Sequence[Mapping[str, Any]]:
    """The table of a `docker save` archive, or PullError `corrupt`."""
    try:
        return msgspec.json.decode(raw, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise PullError("corrupt", f"the archive's manifest.json is broken: {error}") from None


def document(raw: bytes, what: str) -> Mapping[str, Any]:
    """A JSON object, or PullError `corrupt`."""
    try:
        found = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise PullError("corrupt", f"the {what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise PullError("corrupt", f"the {what} is not a JSON object")
    return found


def descriptor(item: Any) -> Descriptor:
    """One pointer of an index or a manifest; PullError `corrupt`."""
    try:
        where = item.get("platform") or {}
        digest = str(item["digest"])
        if not _DIGEST.fullmatch(digest):
            raise PullError("corrupt", f"{digest[:80]!r} is not a sha256 digest")
        return Descriptor(
            media_type=str(item.get("mediaType", "")),
            digest=digest,
            size=int(item["size"]),
            platform=_platform(where) if where.get("architecture") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PullError("corrupt", f"a descriptor of the manifest is broken: {error}") from None


def _platform(said: Mapping[str, Any]) -> Platform:
    return Platform(
        architecture=str(said.get("architecture", "")),
        os=str(said.get("os") or "linux"),
        variant=str(said.get("variant") or ""),
    )


def choose(index: Mapping[str, Any], wanted: Platform) -> Descriptor:
    """The manifest of an index for a platform; PullError `platform`."""
    listed = index.get("manifests") or []
    if not isinstance(listed, list):
        raise PullError("corrupt", "the index of the image has no list of manifests")
    offered = [descriptor(item) for item in listed]
    for one in offered:
        if one.platform is None and len(offered) == 1:
            return one
        if one.platform is not None and fits(one.platform, wanted):
            return one
    have = ", ".join(f"{o.platform.os}/{o.platform.architecture}" for o in offered if o.platform) or "nothing"
    raise PullError("platform", f"the image is for {have}, not for {wanted.os}/{wanted.architecture}")


def fits(offered: Platform, wanted: Platform) -> bool:
    """Whether an image for `offered` runs on `wanted`."""
    variant = not wanted.variant or not offered.variant or offered.variant == wanted.variant
    return offered.architecture == wanted.architecture and offered.os == wanted.os and variant


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """An image's configuration file, read."""

    platform: Platform
    config: Config
    layers: tuple[str, ...]
    created_at: float


def configured(raw: bytes) -> Configured:
    """Read a configuration file; PullError `corrupt`."""
    said = document(raw, "configuration of the image")
    try:
        return Configured(
            platform=_platform(said),
            config=config_of(said.get("config") or {}),
            layers=tuple(str(d) for d in (said.get("rootfs") or {}).get("diff_ids") or ()),
            created_at=seconds_of(str(said.get("created") or "")),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise PullError("corrupt", f"the configuration of the image is broken: {error}") from None


def config_of(said: Mapping[str, Any]) -> Config:
    """The `config` of a configuration file, which is also the `Config` of Docker's image inspection."""
    pairs = (str(line).partition("=") for line in said.get("Env") or ())
    return Config(
        entrypoint=_words(said.get("Entrypoint")),
        command=_words(said.get("Cmd")),
        env={key: value for key, _, value in pairs},
        cwd=str(said.get("WorkingDir") or ""),
        user=str(said.get("User") or ""),
        stop_signal=str(said.get("StopSignal") or ""),
        labels={str(k): str(v) for k, v in (said.get("Labels") or {}).items()},
        exposed=tuple(sorted(said.get("ExposedPorts") or ())),
        volumes=tuple(sorted(said.get("Volumes") or ())),
    )


def _words(said: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(str(word) for word in said or ())


def seconds_of(text: str) -> float:
    """RFC 3339 with up to nine digits of fraction, in seconds since the epoch; 0 for nothing and for Go's year one."""
    if not text or text.startswith("0001-"):
        return 0.0
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:\d\d)", text)
    if not found:
        return 0.0
    whole, fraction, zone = found.groups()
    at = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone)).timestamp()
    return at + float(f"0.{fraction or 0}")
