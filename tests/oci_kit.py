"""What tests of images share: layers and images made here, a store, and Debian's docker-registry as a peer."""

import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import os
import socket
import stat
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvloop
import zstandard

from cumulo.base.clock import SystemClock
from cumulo.engines.images import Login
from cumulo.engines.oci.refusals import Bounds
from cumulo.engines.oci.registry import Patience, Registry
from cumulo.engines.oci.store import ImageStore
from cumulo.engines.oci.unpacking import Unpacked, unpack
from tests.support import until

PASSWORD_LINE = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # of "secret"

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **fields: Any) -> Member:
    """A file, or what `type` and other fields of TarInfo say."""
    info = tarfile.TarInfo(name)
    info.mode, info.mtime, info.size = 0o644, 1_700_000_000, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def folder(name: str, mode: int = 0o755, **fields: Any) -> Member:
    return member(name, type=tarfile.DIRTYPE, mode=mode, **fields)


def symlink(name: str, target: str) -> Member:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> Member:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def tarred(*members: Member, kind: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    "+gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "+zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


class Layout:
    """An OCI layout folder that is written blob by blob; nothing keeps a test from lying in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs/sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.entries: list[dict[str, Any]] = []

    def blob(self, data: bytes) -> str:
        digest = digest_of(data)
        (self.blobs / digest[7:]).write_bytes(data)
        return digest

    def json(self, value: Any, kind: str) -> dict[str, Any]:
        data = json.dumps(value).encode()
        return {"mediaType": kind, "digest": self.blob(data), "size": len(data)}

    def image(
        self,
        layers: Sequence[bytes],
        *,
        packing: str = "+gzip",
        name: str = "",
        architecture: str = "amd64",
        list_it: bool = True,
        **config: Any,
    ) -> dict[str, Any]:
        """Add an image of uncompressed layers; returns the descriptor of its manifest."""
        described = []
        for layer in layers:
            packed = PACKERS[packing](layer)
            kind = f"application/vnd.oci.image.layer.v1.tar{packing}"
            described.append({"mediaType": kind, "digest": self.blob(packed), "size": len(packed)})
        settings = {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-02T03:04:05.123456789Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.json(settings, "application/vnd.oci.image.config.v1+json"),
            "layers": described,
        }
        descriptor = self.json(manifest, manifest["mediaType"])
        descriptor["platform"] = {"architecture": architecture, "os": "linux"}
        if list_it:
            self.list(descriptor, name)
        return descriptor

    def index(self, descriptors: Sequence[dict[str, Any]], name: str = "") -> dict[str, Any]:
        kind = "application/vnd.oci.image.index.v1+json"
        descriptor = self.json({"schemaVersion": 2, "mediaType": kind, "manifests": list(descriptors)}, kind)
        self.list(descriptor, name)
        return descriptor

    def list(self, descriptor: dict[str, Any], name: str) -> None:
        annotations = {"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}
        self.entries.append({**descriptor, **annotations})
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.entries}))


def impatient(login: Login | None) -> Registry:
    """A registry client that soon gives up."""
    return Registry(login, clock=SystemClock(), patience=Patience(pause=0.01))


@asynccontextmanager
async def open_store(root: Path, **options: Any) -> AsyncIterator[ImageStore]:
    usual = {"in_use": lambda _: False, "registry": impatient}
    store = ImageStore(root, clock=SystemClock(), **(usual | options))
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def with_store(
    root: Path, work: Callable[[ImageStore], Coroutine[Any, Any, Any]], seconds: float = 120, **options: Any
) -> Any:
    """Run `work` with a store."""

    async def main() -> Any:
        async with asyncio.timeout(seconds), open_store(root, **options) as store:
            return await work(store)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # what the server runs on
        return runner.run(main())


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a folder that a layer says something of, by path."""
    found: dict[str, tuple[Any, ...]] = {}
    links: dict[int, str] = {}
    top = os.fsencode(root)
    for base, folders, files in os.walk(top):
        folders.sort()
        for name in sorted([*folders, *files, b"."]):
            path = os.path.join(base, name)
            what = os.lstat(path)
            if name == b"." and base != top:
                continue
            kind = stat.S_IFMT(what.st_mode)
            content: Any = None
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            shown = os.fsdecode(os.path.relpath(path, top))
            attributes = {
                one: os.getxattr(path, one, follow_symlinks=False)
                for one in os.listxattr(path, follow_symlinks=False)
            }
            first = links.setdefault(what.st_ino, shown) if kind == stat.S_IFREG else ""
            found[shown] = (
                what.st_mode,
                what.st_uid,
                what.st_gid,
                what.st_mtime_ns,
                content,
                attributes,
                first,
                what.st_rdev,
            )
    return found


@contextmanager
def registry_process(folder: Path, *, password: bool = False) -> Iterator[str]:
    """Debian's docker-registry on a free port; its host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if password:
        (folder / "htpasswd").write_text(PASSWORD_LINE)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    process = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: process.poll() is not None or _answers(port), "the registry answers")
        assert process.poll() is None, "docker-registry ended"
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError, urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
        return True
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def skopeo(*arguments: str) -> None:
    done = subprocess.run(
        ["skopeo", "--insecure-policy", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def unpacked(target: Path, layer: bytes, *, packing: str = "", bounds: Bounds | None = None) -> Unpacked:
    """Unpack a layer into a new folder, by the process that does it in earnest."""
    target.mkdir(mode=0o755)
    packed = PACKERS[packing](layer)
    return unpacked_bytes(target, packed, diff_id=digest_of(layer), bounds=bounds)


def unpacked_bytes(
    target: Path, packed: bytes, *, diff_id: str, digest: str = "", bounds: Bounds | None = None
) -> Unpacked:
    """Unpack what is claimed to be a layer, as a stream of pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(packed), 65536):
            yield packed[at : at + 65536]

    return asyncio.run(
        unpack(
            target,
            diff_id,
            pieces(),
            bounds or Bounds(),
            digest=digest or digest_of(packed),
            packed_size=len(packed),
        )
    )
