"""Images for tests, built here from a few files: no registry, no Docker."""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
BUSYBOX = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if Path(p).exists()), "")
PATH = "/usr/local/bin:/usr/bin:/bin"


def file(path: str, content: bytes | str = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0):
    """A file of a layer: (header, content)."""
    raw = content.encode() if isinstance(content, str) else content
    entry = _entry(path, tarfile.REGTYPE, mode, uid, gid)
    entry.size = len(raw)
    return entry, raw


def folder(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0):
    return _entry(path, tarfile.DIRTYPE, mode, uid, gid), b""


def link(path: str, target: str):
    """A symbolic link."""
    entry = _entry(path, tarfile.SYMTYPE, 0o777, 0, 0)
    entry.linkname = target
    return entry, b""


def hard_link(path: str, target: str):
    entry = _entry(path, tarfile.LNKTYPE, 0o644, 0, 0)
    entry.linkname = target.lstrip("/")
    return entry, b""


def gone(path: str):
    """A whiteout: what is at `path` in the layers below is not there any more."""
    parent, _, name = path.rpartition("/")
    return file(f"{parent}/.wh.{name}")


def _entry(path: str, kind: bytes, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, mode, uid, gid, 1_700_000_000
    return entry


Layer = Sequence[tuple[tarfile.TarInfo, bytes]]


def layer_tar(entries: Layer) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry, content in entries:
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


class Built:
    """An image as its blobs: what a registry or an archive is made from."""

    def __init__(
        self,
        layers: Sequence[Layer | bytes],
        config: Mapping[str, Any],
        *,
        architecture: str = ARCHITECTURE,
        compress: bool = True,
    ) -> None:
        tars = [layer if isinstance(layer, bytes) else layer_tar(layer) for layer in layers]
        self.blobs: dict[str, bytes] = {}
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress else "")
        pointers = [self._keep(gzip.compress(tar, 1, mtime=0) if compress else tar, kind) for tar in tars]
        described = {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
            "history": [{"created_by": "tests"} for _ in tars],
        }
        pointer = self._keep(_json(described), "application/vnd.oci.image.config.v1+json")
        self.id = pointer["digest"]
        self.layers = pointers
        self.manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": pointer,
                "layers": pointers,
            }
        )
        self.digest = digest(self.manifest)
        self.pointer = self._keep(self.manifest, "application/vnd.oci.image.manifest.v1+json") | {
            "platform": {"architecture": architecture, "os": "linux"}
        }

    def _keep(self, raw: bytes, kind: str) -> dict[str, Any]:
        self.blobs[digest(raw)] = raw
        return {"mediaType": kind, "digest": digest(raw), "size": len(raw)}


def _json(what: Any) -> bytes:
    return json.dumps(what, separators=(",", ":")).encode()


def write_archive(path: Path, images: Mapping[str, Built], *, oci: bool = True, docker: bool = True) -> Path:
    """An OCI archive and a `docker save` archive in one: each reader finds its own table of contents."""
    with tarfile.open(path, "w") as tar:

        def add(name: str, raw: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))

        for name, raw in {n: r for built in images.values() for n, r in built.blobs.items()}.items():
            add(f"blobs/{name.replace(':', '/')}", raw)
        if oci:
            named = [
                built.pointer
                | {
                    "annotations": {
                        "io.containerd.image.name": reference,
                        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
                    }
                }
                for reference, built in images.items()
            ]
            add("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
            add("index.json", _json({"schemaVersion": 2, "manifests": named}))
        if docker:
            table = [
                {
                    "Config": f"blobs/{built.id.replace(':', '/')}",
                    "RepoTags": [reference],
                    "Layers": [f"blobs/{p['digest'].replace(':', '/')}" for p in built.layers],
                }
                for reference, built in images.items()
            ]
            add("manifest.json", _json(table))
    return path


def build_archive(
    path: Path,
    layers: Sequence[Layer | bytes],
    config: Mapping[str, Any],
    reference: str = "test.local/image:1",
) -> Built:
    """One image in an archive at `path`."""
    built = Built(layers, config)
    write_archive(path, {reference: built})
    return built


def busybox_layers() -> list[Layer]:
    """A root file system of busybox with a link for each of its commands, and a few users."""
    raw = Path(BUSYBOX).read_bytes()
    names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = [link(f"/bin/{name}", "busybox") for name in names if name != "busybox"]
    tools: Layer = [folder("/bin"), file("/bin/busybox", raw, mode=0o755), *links]
    files: Layer = [
        folder("/etc"),
        file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n"),
        file("/etc/group", "root:x:0:\napp:x:1001:\nstaff:x:50:app\n"),
        folder("/root", mode=0o700),
        folder("/home"),
        folder("/home/app", uid=1000, gid=1001),
        folder("/tmp", mode=0o1777),
        folder("/srv"),
        folder("/srv/work", uid=1000, gid=1001),
        folder("/data", mode=0o777),
        file("/data/of-the-image", "first\n"),
        file("/etc/not-a-program", "no program\n"),
        file("/bin/garbage", b"\x00\x01garbage", mode=0o755),
    ]
    return [tools, files]


PLAIN = "test.local/plain:1"
DRESSED = "test.local/dressed:1"


def write_test_images(folder: Path) -> tuple[Path, Built, Built]:
    """The archive of both test images: a plain one, and one that says all that an image can say."""
    layers = busybox_layers()
    plain = Built(layers, {"Env": [f"PATH={PATH}", "COLOR=blue"], "Cmd": ["sh"]})
    dressed = Built(
        layers,
        {
            "Env": [f"PATH={PATH}", "COLOR=red", "TASTE=sweet"],
            "Entrypoint": ["echo", "entry"],
            "Cmd": ["of", "image"],
            "WorkingDir": "/srv/work",
            "User": "app",
            "Volumes": {"/data": {}},
            "ExposedPorts": {"80/tcp": {}},
            "Labels": {"made-by": "tests"},
            "StopSignal": "SIGINT",
        },
    )
    return write_archive(folder / "images.tar", {PLAIN: plain, DRESSED: dressed}), plain, dressed
