"""What tests of containers through the front door share: a cloud with the local engine, images, and `image run`."""

import base64
import contextlib
import gzip
import http.client
import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.image_kit import (
    ARCHITECTURE,
    BUSYBOX,
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    ImageFiles,
    digest_of,
)
from tests.leftovers import leftovers
from tests.oci_kit import Member, folder, member, tarred
from tests.registry_kit import Client
from tests.support import ROLE, Process, until

GONE = (BotoCoreError, ClientError, OSError, http.client.HTTPException, AssertionError)
needs_local = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="the local engine needs root on Linux"),
    pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed"),
    pytest.mark.skipif(
        shutil.which("conmon") is None or not (shutil.which("crun") or shutil.which("runc")),
        reason="needs conmon and crun or runc",
    ),
]

RUNTIME = r"""#!/bin/busybox sh
b=/bin/busybox
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
. /handler
while true; do
  event=$($b wget -q -S -O - "$api/invocation/next" 2>/tmp/headers) || exit 1
  id=$($b sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/headers | $b tr -d '\r')
  handler "$event" > /tmp/answer
  $b wget -q -O /dev/null --post-file /tmp/answer "$api/invocation/$id/response" || exit 1
done
"""


class Said:
    """A message that is made when it is needed."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __str__(self) -> str:
        return f"nothing is left behind: {leftovers(self.data)}"


@contextlib.contextmanager
def a_cloud(data: Path, *options: str, log: Path | None = None) -> Iterator[Process]:
    """A cloud with the local engine; at its end nothing of it is left on the machine."""
    cloud = Process(data, "--engine", "local", *options)
    if log is not None:
        cloud.log = log
    try:
        cloud.start()
        yield cloud
        code = cloud.stop()
        assert code == 0, f"exit code {code}; {cloud.log.read_text()[-3000:]}"
    finally:
        with contextlib.suppress(Exception):
            cloud.stop()
        until(lambda: not leftovers(data), Said(data), 20)


def image_of(
    layers: Iterable[bytes], *, diff_ids: Iterable[str] = (), **config: Any
) -> tuple[ImageFiles, list[bytes]]:
    """An image of uncompressed layers, which may lie about their digests; and the compressed layers."""
    plain = list(layers)
    packed = [gzip.compress(one, 1, mtime=0) for one in plain]
    settings = json.dumps(
        {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids) or [digest_of(one) for one in plain]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(settings), "size": len(settings)},
            "layers": [
                {"mediaType": LAYER_TYPE, "digest": digest_of(one), "size": len(one)} for one in packed
            ],
        }
    ).encode()
    return ImageFiles(manifest, settings, packed[-1], plain[-1]), packed


def base_layer(script: str = "handler() { echo null; }") -> bytes:
    """busybox, a runtime, and the function `handler` of the shell that answers each event."""
    assert BUSYBOX
    return tarred(
        folder("bin"),
        folder("tmp", 0o1777),
        member("bin/busybox", Path(BUSYBOX).read_bytes(), mode=0o755),
        member("bootstrap", RUNTIME.encode(), mode=0o755),
        member("handler", script.encode(), mode=0o755),
    )


def scripted(script: str, *more: Member) -> tuple[ImageFiles, list[bytes]]:
    """A function in the shell, in an image."""
    layers = [base_layer(script), *([tarred(*more)] if more else [])]
    return image_of(layers, Entrypoint=["/bootstrap"], WorkingDir="/")


def port_of(cloud: Process) -> int:
    return urlsplit(cloud.endpoint).port or 0


def registry(cloud: Process) -> Client:
    """A connection to the registry."""
    return Client(port_of(cloud))


def make_repository(cloud: Process, name: str) -> str:
    """Its URI."""
    return str(cloud.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"])


def push_all(client: Client, name: str, tag: str, image: ImageFiles, layers: Iterable[bytes]) -> None:
    """As clients push: blobs that are missing, then the manifest, whose 201 is the acknowledgement."""
    for blob in (image.config, *layers):
        if client.ask("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}").status != 200:
            client.push_blob(name, blob)
    answer = client.ask("PUT", f"/v2/{name}/manifests/{tag}", image.manifest, {"Content-Type": MANIFEST_TYPE})
    assert answer.status == 201, answer.body


def is_whole(client: Client, name: str, reference: str, image: ImageFiles, layers: Iterable[bytes]) -> bool:
    """Whether an image can be pulled as it was pushed, byte for byte."""
    answer = client.ask("GET", f"/v2/{name}/manifests/{reference}", headers={"Accept": MANIFEST_TYPE})
    if answer.status != 200 or answer.body != image.manifest:
        return False
    return all(
        client.ask("GET", f"/v2/{name}/blobs/{digest_of(blob)}").body == blob
        for blob in (image.config, *layers)
    )


def create_from(aws: Any, name: str, uri: str, **settings: Any) -> Any:
    """Create a function from an image."""
    usual = {"Role": ROLE, "Timeout": 20, "MemorySize": 256}
    return aws.create_function(
        FunctionName=name, PackageType="Image", Code={"ImageUri": uri}, **(usual | settings)
    )


def settled(aws: Any, name: str, seconds: float = 40) -> Mapping[str, Any]:
    """The configuration, once nothing goes on."""

    def ready() -> Any:
        shown = aws.get_function(FunctionName=name)["Configuration"]
        busy = shown["State"] == "Pending" or shown.get("LastUpdateStatus") == "InProgress"
        return None if busy else shown

    found: Mapping[str, Any] = until(ready, f"{name} settles", seconds)
    return found


class Shot:
    """One `image run` by raw HTTP."""

    def __init__(self, cloud: Process, order: Mapping[str, Any]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port_of(cloud), timeout=60)
        headers = {"x-cumulo-token": (cloud.data / "admin-token").read_text().strip()}
        self.connection.request("POST", "/_cumulo/containers", json.dumps(order), headers)
        self.answer = self.connection.getresponse()

    def event(self) -> dict[str, Any]:
        """The next event; empty at the end."""
        line = self.answer.readline()
        return dict(json.loads(line)) if line else {}

    def rest(self) -> tuple[bytes, dict[str, Any]]:
        """All the output, and the last event."""
        output, last = b"", {}
        while event := self.event():
            output += base64.b64decode(event.get("stdout", event.get("stderr", "")))
            last = event
        return output, last

    def close(self) -> None:
        """Go away."""
        self.answer.close()
        self.connection.close()


def pods(data: Path) -> set[str]:
    """The pods that have a folder."""
    place = data / "engine" / "pods"
    return {entry.name for entry in place.iterdir()} if place.is_dir() else set()


def below(pid: int) -> set[int]:
    """Every descendant of a process, and who was its descendant and belongs to nobody now is not among them."""
    found: set[int] = set()
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            if entry.name.isdigit():
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    todo = [pid]
    while todo:
        for child in parents.get(todo.pop(), ()):
            found.add(child)
            todo.append(child)
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
