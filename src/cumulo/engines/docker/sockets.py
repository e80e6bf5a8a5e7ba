"""Where Docker daemons usually listen."""

import os
from pathlib import Path


def usual_sockets() -> list[Path]:
    """Where Docker, Podman, Docker Desktop and Colima listen, most usual first."""
    home = Path.home()
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere"))
    return [
        Path("/var/run/docker.sock"),
        runtime / "docker.sock",
        home / ".docker/run/docker.sock",
        home / ".colima/default/docker.sock",
        Path("/run/podman/podman.sock"),
        runtime / "podman/podman.sock",
    ]
