"""Small images for tests: busybox and a shell script that speaks the Runtime API, and how they are pushed."""

import gzip
import hashlib
import io
import json
import platform
import shutil
import tarfile
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import msgspec

BUSYBOX = shutil.which("busybox")
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

# Answers each event by the function of the shell that the first argument names.
BOOTSTRAP = r"""#!/bin/busybox sh
b=/bin/busybox
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"

start=$($b cat /proc/sys/kernel/random/uuid)

echo_event() { $b printf '%s' "$1"; }

facts() {
  writable=no; ($b touch /here) 2>/dev/null && writable=yes
  $b printf '{"uid":"%s","gid":"%s","cwd":"%s","root_writable":"%s","caps":"%s","no_new_privs":"%s","nofile":"%s",' \
    "$($b id -u)" "$($b id -g)" "$PWD" "$writable" \
    "$($b awk '/CapEff/ {print $2}' /proc/self/status)" "$($b awk '/NoNewPrivs/ {print $2}' /proc/self/status)" \
    "$(ulimit -n)"
  $b printf '"handler":"%s","handler_set":"%s","function":"%s","image":"%s","start":"%s"}' \
    "$_HANDLER" "${_HANDLER+yes}" "$AWS_LAMBDA_FUNCTION_NAME" "$FROM_IMAGE" "$start"
}

count() { echo x >> /tmp/count; $b printf '%s' "$($b wc -l < /tmp/count)"; }
fill() {
  $b dd if=/dev/zero of=/tmp/big bs=1M count="$1" 2>/dev/null
  size=$($b stat -c %s /tmp/big); $b rm /tmp/big; $b printf '%s' "$size"
}
crash() { exit 3; }
memory() { exec $b tail -c 400m /dev/zero; }
hang() { $b sleep 60; }
task() {
  writable=no; ($b touch /var/task/here) 2>/dev/null && writable=yes
  $b printf '["%s","%s","%s","%s"]' "$($b cat app.txt)" "$PWD" "$LAMBDA_TASK_ROOT" "$writable"
}
version() { $b printf '"%s"' "$VERSION"; }
cloud() { $b wget -q -O - "$AWS_ENDPOINT_URL/$($b printf '%s' "$1" | $b tr -d '"')"; }
names() {
  address=$($b awk '/api.example.com/ {print $1}' /etc/hosts)
  $b printf '["%s","%s","%s"]' "$address" "$($b cat "$SSL_CERT_FILE")" "$($b cat "$NODE_EXTRA_CA_CERTS")"
}

while true; do
  event=$($b wget -q -S -O - "$api/invocation/next" 2>/tmp/headers) || exit 1
  id=$($b sed -n 's/^ *[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *//p' /tmp/headers | $b tr -d '\r')
  $b echo "event $event"
  "$1" "$event" > /tmp/answer || exit $?
  $b wget -q -O /dev/null --post-file /tmp/answer "$api/invocation/$id/response" || exit 1
done
"""


class ImageFiles(msgspec.Struct, frozen=True):
    """An image of one layer, in the three pieces that registries keep."""

    manifest: bytes
    config: bytes
    layer: bytes  # compressed
    tar: bytes

    @property
    def digest(self) -> str:
        """Of the manifest."""
        return digest_of(self.manifest)


def digest_of(data: bytes) -> str:
    """sha256:<64 hex>."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def function_image(
    *command: str,
    entrypoint: tuple[str, ...] = ("/bootstrap",),
    cwd: str = "/",
    architecture: str = ARCHITECTURE,
    **env: str,
) -> ImageFiles:
    """busybox and the bootstrap; `command` names the function of the script that answers."""
    assert BUSYBOX, "busybox-static is installed"
    lost = b"#!/usr/bin/of-another-image\n"
    files = {"bin/busybox": Path(BUSYBOX).read_bytes(), "bootstrap": BOOTSTRAP.encode(), "bin/lost": lost}
    tar = _tar(files, ("tmp", "app"))
    layer = gzip.compress(tar, 1, mtime=0)
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": list(entrypoint),
                "Cmd": list(command),
                "WorkingDir": cwd,
                "Env": [f"{name}={value}" for name, value in {"FROM_IMAGE": "yes", **env}.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": LAYER_TYPE, "digest": digest_of(layer), "size": len(layer)}],
        }
    ).encode()
    return ImageFiles(manifest, config, layer, tar)


def save(image: ImageFiles, reference: str, path: Path) -> Path:
    """An archive like `docker save` makes it."""
    config = digest_of(image.config).removeprefix("sha256:")
    table = [{"Config": f"{config}.json", "RepoTags": [reference], "Layers": ["layer/layer.tar"]}]
    files = {
        "manifest.json": json.dumps(table).encode(),
        f"{config}.json": image.config,
        "layer/layer.tar": image.tar,
    }
    path.write_bytes(_tar(files, ()))
    return path


def push(endpoint: str, repository: str, tag: str, image: ImageFiles, authorization: str) -> None:
    """Push to a registry as clients do: blobs first, then the manifest."""
    base = f"{endpoint}/v2/{repository}"
    for blob in (image.config, image.layer):
        place = urljoin(endpoint, _send("POST", f"{base}/blobs/uploads/", b"", "", authorization)["Location"])
        joint = "&" if "?" in place else "?"
        _send(
            "PUT", f"{place}{joint}digest={digest_of(blob)}", blob, "application/octet-stream", authorization
        )
    _send("PUT", f"{base}/manifests/{tag}", image.manifest, MANIFEST_TYPE, authorization)


def _send(method: str, url: str, body: bytes, kind: str, authorization: str):
    request = urllib.request.Request(url, data=body, method=method)
    request.add_header("Authorization", f"Basic {authorization}")
    if kind:
        request.add_header("Content-Type", kind)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers


def _tar(files: dict[str, bytes], folders: tuple[str, ...]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
