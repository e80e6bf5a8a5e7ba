"""Pushing and pulling a layer of 500 MB, against Debian's docker-registry on the same disk.

The client costs as little as it can: sendfile out, one buffer in.  Rounds take turns, so that both see the same disk.
"""

import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import tools

LAYER_MB = 500
ROUNDS = 5
_PEER = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class Side:
    """One registry, and one connection to it."""

    def __init__(self, port: int, repository: str) -> None:
        self.port = port
        self.repository = repository
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, length: int = 0, file=None) -> tuple[int, dict[str, str], int]:
        """One exchange; status, headers and how many bytes came."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {length}\r\n"
        self.sock.sendall((head + "Content-Type: application/octet-stream\r\n\r\n").encode())
        if file is not None:
            file.seek(0)
            assert self.sock.sendfile(file) == length
        return self._answer(method)

    def _answer(self, method: str) -> tuple[int, dict[str, str], int]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.sock.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        count, length = len(rest), int(headers.get("content-length", 0))
        buffer = memoryview(bytearray(1 << 20))
        while method != "HEAD" and count < length:
            got = self.sock.recv_into(buffer)
            assert got, "the registry closed the connection"
            count += got
        return int(lines[0].split()[1]), headers, count

    def push(self, file, digest: str, size: int) -> float:
        began = time.perf_counter()
        status, headers, _ = self.ask("POST", f"/v2/{self.repository}/blobs/uploads/")
        assert status == 202, status
        place = headers["location"].removeprefix(f"http://127.0.0.1:{self.port}")
        mark = "&" if "?" in place else "?"
        status, _, _ = self.ask("PUT", f"{place}{mark}digest={digest}", size, file)
        assert status == 201, status
        return time.perf_counter() - began

    def pull(self, digest: str, size: int) -> float:
        began = time.perf_counter()
        status, _, count = self.ask("GET", f"/v2/{self.repository}/blobs/{digest}")
        assert (status, count) == (200, size), (status, count)
        return time.perf_counter() - began


@contextmanager
def peer() -> Iterator[int]:
    """Debian's docker-registry on a free port."""
    port = tools.free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "config.yml"
        settings.write_text(_PEER.format(root=f"{folder}/data", port=port))
        with tools.process(["docker-registry", "serve", str(settings)], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL) as child:  # fmt: skip
            deadline = time.monotonic() + 30
            while True:
                assert child.poll() is None, "docker-registry ended"
                assert time.monotonic() < deadline, "docker-registry did not start"
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port


def compare(ours: Side, theirs: Side) -> tuple[float, float, float, float]:
    """Medians in seconds: our push, their push, our pull, their pull."""
    took: dict[str, list[float]] = {"ours push": [], "theirs push": [], "ours pull": [], "theirs pull": []}
    size = LAYER_MB * 1_000_000
    with tempfile.TemporaryFile() as file:
        block = os.urandom(1_000_000)
        for number in range(LAYER_MB):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.flush()
        for number in range(ROUNDS):
            file.seek(0)
            file.write(number.to_bytes(8, "big") + b"round")
            file.flush()
            file.seek(0)
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            for name, side in (("ours", ours), ("theirs", theirs)):
                os.sync()
                took[f"{name} push"].append(side.push(file, digest, size))
            for name, side in (("ours", ours), ("theirs", theirs)):
                took[f"{name} pull"].append(side.pull(digest, size))
            for side in (ours, theirs):
                side.ask("DELETE", f"/v2/{side.repository}/blobs/{digest}")
    return tuple(statistics.median(times) for times in took.values())  # type: ignore[return-value]


def available() -> bool:
    """Whether there is a docker-registry to compare with."""
    return shutil.which("docker-registry") is not None


if __name__ == "__main__":  # python -m benchmarks.registry PORT REPOSITORY: a registry that runs already
    import sys

    with peer() as port:
        push, their_push, pull, their_pull = compare(
            Side(int(sys.argv[1]), sys.argv[2]), Side(port, "bench/layers")
        )
    print(
        json.dumps(
            {"push": [push, their_push, their_push / push], "pull": [pull, their_pull, their_pull / pull]}
        )
    )
