"""The programs that can build a Dockerfile, and what each is told: pure, so that it can be read and tested.

build (Dockerfile, context) ─▶ image in the builder's own store ─▶ archive (a file) ─▶ forget
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

REMEDY = "apt-get install buildah (no daemon needed), or docker.io, or podman"
ORDER = ("docker", "buildah", "podman")
PROBE_SECONDS_MAX = 20
REGISTRIES = ("/etc/containers/registries.conf",)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be built.  `name` is a name that nobody else uses, in the builder's own store."""

    name: str
    context: str
    dockerfile: str = ""
    target: str = ""
    platform: str = ""
    arguments: tuple[str, ...] = ()
    no_cache: bool = False


class Steps(msgspec.Struct, frozen=True):
    """Three commands: build, write the archive, forget the image; and variables for them."""

    build: list[str]
    save: list[str]
    forget: list[str]
    env: Mapping[str, str]


def steps(builder: str, wish: Wish, archive: Path, registries: Path) -> Steps:
    """What to run with a builder.  `registries` is a file that `registries_text` fills."""
    options = [
        *(("--file", wish.dockerfile) if wish.dockerfile else ()),
        *(("--target", wish.target) if wish.target else ()),
        *(("--platform", wish.platform) if wish.platform else ()),
        *(("--no-cache",) if wish.no_cache else ()),
        *(word for argument in wish.arguments for word in ("--build-arg", argument)),
    ]
    if builder == "docker":
        return Steps(
            ["docker", "build", "--tag", wish.name, *options, wish.context],
            ["docker", "save", "--output", str(archive), wish.name],
            ["docker", "image", "rm", "--force", wish.name],
            {},
        )
    env = {"CONTAINERS_REGISTRIES_CONF": str(registries)}
    if builder == "buildah":
        # Its chroot isolation needs neither a runtime nor control groups, so it works in containers and CI.
        env["BUILDAH_ISOLATION"] = "chroot"
        verb = "bud"
    else:
        verb = "build"
    return Steps(
        [builder, verb, "--tag", wish.name, *options, wish.context],
        [builder, "push", wish.name, f"oci-archive:{archive}"],
        [builder, "rmi", "--force", wish.name],
        env,
    )


def choose(wanted: str, works: Callable[[str], bool]) -> str | None:
    """The builder to use: the one that is wanted, or the first that works; None when there is none."""
    for builder in ORDER if wanted == "auto" else (wanted,):
        if works(builder):
            return builder
    return None


def works(builder: str) -> bool:
    """Whether a builder is here and answers (docker may be a client without a daemon)."""
    if shutil.which(builder) is None:
        return False
    ask = [builder, "info"] if builder == "docker" else [builder, "--version"]
    try:
        done = subprocess.run(ask, capture_output=True, timeout=PROBE_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def registries_text(endpoint: str, registry_hosts: Iterable[str], system: str) -> str:
    """A registries.conf that is the system's, and lets the cloud's own registry be spoken to without TLS."""
    parts = urlsplit(endpoint)
    if parts.scheme == "https":
        return system
    port = f":{parts.port}" if parts.port else ""
    hosts = dict.fromkeys(
        [f"{parts.hostname}{port}", f"localhost{port}", f"127.0.0.1{port}", *registry_hosts]
    )
    stanzas = "".join(f'\n[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in hosts)
    return f"{system}\n{stanzas}"


def system_registries() -> str:
    """The system's registries.conf; empty when there is none."""
    for path in REGISTRIES:
        if Path(path).is_file():
            return Path(path).read_text()
    return ""
