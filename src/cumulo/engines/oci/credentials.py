"""The logins that this user has already: what `docker login`, `podman login` and `skopeo login` keep.

$REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, $DOCKER_CONFIG/config.json, ~/.docker/config.json
{"auths": {"host": {"auth": base64(user:password)}}, "credHelpers": {"host": "name"}, "credsStore": "name"}
"""

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from cumulo.engines.images import Login

HELPER_SECONDS_MAX = 20.0
FILE_BYTES_MAX = 1024 * 1024
_DOCKER_HUB = "https://index.docker.io/v1/"
_T = TypeVar("_T")
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""


class _Kept(msgspec.Struct, rename="camel"):
    auths: dict[str, _Entry] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


def find_login(host: str, environ: Mapping[str, str] = os.environ) -> Login | None:
    """The login for a registry; None when there is none.  Reads files and may run a helper: call it in a thread."""
    for path in _files(environ):
        kept = _read(path)
        if kept is None:
            continue
        helper = _of(host, kept.cred_helpers) or kept.creds_store
        found = _ask(helper, host) if helper else None
        if found is None:
            entry = _of(host, kept.auths)
            found = _login(entry) if entry is not None else None
        if found is not None:
            return found
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers/auth.json"
    if folder := environ.get("DOCKER_CONFIG"):
        yield Path(folder) / "config.json"
    elif home := environ.get("HOME"):
        yield Path(home) / ".docker/config.json"


def _read(path: Path) -> _Kept | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=_Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None  # somebody else's file: what cannot be read holds no login


def _of(host: str, table: Mapping[str, _T]) -> _T | None:
    """What a table has for a host; its keys may be URLs."""
    for key, value in table.items():
        if key == host or key.split("://", 1)[-1].split("/", 1)[0] == host:
            return value
    return table.get(_DOCKER_HUB) if host == "docker.io" else None


def _login(entry: _Entry) -> Login | None:
    if entry.username and entry.password:
        return Login(entry.username, entry.password)
    try:
        user, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return Login(user, password.rstrip("\0")) if colon and user else None


def _ask(helper: str, host: str) -> Login | None:
    """What `docker-credential-<helper> get` says."""
    if not _HELPER_NAME.fullmatch(helper):
        return None
    server = _DOCKER_HUB if host == "docker.io" else host
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS_MAX,
            check=False,
        )
        said = msgspec.json.decode(done.stdout, type=dict[str, str]) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError, UnicodeDecodeError):
        return None
    user, secret = said.get("Username", ""), said.get("Secret", "")
    return Login(user, secret) if user and secret and user != "<token>" else None
