"""A cloud's data folder: its name on this machine, and the secret in it; and the folder of what can be made again."""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path


def instance_of(data: Path) -> str:
    """A short name for what runs on a data folder: the same after a restart, unlike any other's."""
    return hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:10]


def admin_token(data: Path) -> str:
    """The secret that lets whoever may read the data folder use the guarded pages."""
    path = data / "admin-token"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    token = secrets.token_hex(32)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(token)
    return token


def cache_folder() -> Path:
    """Where what can be made again is kept: runtimes' folders, shared by all clouds of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cumulo"
