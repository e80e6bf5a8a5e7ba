"""Images for benchmarks, as archives and unpacked; and bundles by which runc runs the same as our engine did."""

import contextlib
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
EMPTY = ("dev", "proc", "sys", "tmp", "etc")


def missing(*programs: str) -> str:
    """Why containers cannot be compared here; empty when they can."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [name for name in ("conmon", "busybox", "runc", *programs) if not shutil.which(name)]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def busybox_root(folder: Path, files: dict[str, str] | None = None) -> Path:
    """A root file system of busybox, and some further programs as text."""
    for name in ("bin", *EMPTY):
        (folder / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", folder / "bin" / "busybox")
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def archive(root: Path, reference: str, path: Path, **config: Any) -> Path:
    """An archive like `docker save` makes it, of one layer; `config` in Docker's words (Entrypoint, Cmd, ...)."""
    layer = path.with_suffix(".layer")
    with tarfile.open(layer, "w") as tar:
        tar.add(root, "")
    with layer.open("rb") as file:
        diff_id = hashlib.file_digest(file, "sha256").hexdigest()
    about = {"architecture": ARCHITECTURE, "os": "linux", "config": config}
    text = json.dumps(about | {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}}).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    table = [{"Config": name, "RepoTags": [reference], "Layers": ["layer/layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for member, data in (("manifest.json", json.dumps(table).encode()), (name, text)):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        tar.add(layer, "layer/layer.tar")
    layer.unlink()
    return path


class Runc:
    """`runc run` of what our engine made, on a root file system that is unpacked, in a network namespace of its own.

    config  the config.json that our engine wrote: limits, user, seccomp and all are the same
    """

    def __init__(self, folder: Path, root: Path, config: Path) -> None:
        self._folder = folder
        self._config = json.loads(config.read_text())
        self._config["root"]["path"] = str(root)
        self._config["linux"]["cgroupsPath"] = f"/cumulo-bench-{os.getpid()}/runc"
        for namespace in self._config["linux"]["namespaces"]:
            namespace.pop("path", None)
        # Ours binds a few files besides; this one need not: the floor is the lower for it.
        self._config["mounts"] = [one for one in self._config["mounts"] if one["type"] != "bind"]
        folder.mkdir()

    def many_seconds(self, count: int, at_once: int, *command: str, detach: bool = True) -> float:
        """Until so many run (without `detach`: have ended), each from a bundle of its own; they are removed then."""
        folders = [self._folder / f"many{number}" for number in range(count)]
        for folder in folders:
            group = f"/cumulo-bench-{os.getpid()}/{folder.name}"
            config = self._config | {"linux": self._config["linux"] | {"cgroupsPath": group}}
            config["process"] = self._config["process"] | {"args": list(command)}
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_text(json.dumps(config))
        runc = ["runc", "--root", str(self._folder / "states")]

        def call(*words: str) -> None:
            quiet = subprocess.DEVNULL  # a pipe would stay open as long as the container has it
            subprocess.run([*runc, *words], stdin=quiet, stdout=quiet, stderr=quiet, check=True)

        with ThreadPoolExecutor(at_once) as pool:
            try:
                began = time.perf_counter()
                words = ("--detach",) if detach else ()
                list(pool.map(lambda one: call("run", "--bundle", str(one), *words, one.name), folders))
                return time.perf_counter() - began
            finally:
                made = [one for one in folders if (self._folder / "states" / one.name).exists()]
                list(pool.map(lambda one: call("delete", "--force", one.name), made))

    def seconds(self, *command: str, detach: bool = False) -> float:
        """From the call to its end; with `detach`, to the running process, which is removed then."""
        self._config["process"]["args"] = list(command)
        (self._folder / "config.json").write_text(json.dumps(self._config))
        runc = ["runc", "--root", str(self._folder / "states")]
        argv = [*runc, "run", "--bundle", str(self._folder), *(["--detach"] if detach else []), "bench"]
        with tempfile.TemporaryFile("w+") as said:
            began = time.perf_counter()
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)
            took = time.perf_counter() - began
            said.seek(0)
            assert done.returncode == 0, said.read()
        if detach:
            subprocess.run([*runc, "delete", "--force", "bench"], check=True, capture_output=True)
        return took

    def close(self) -> None:
        """Give back its groups."""
        root, name = Path("/sys/fs/cgroup"), f"cumulo-bench-{os.getpid()}"
        for group in (
            *(found for found in (*root.glob(f"{name}/*"), *root.glob(f"*/{name}/*")) if found.is_dir()),
            *root.glob(name),
            *root.glob(f"*/{name}"),
        ):
            with contextlib.suppress(OSError):  # it is an empty one, and of no harm
                group.rmdir()
