"""`make demo`: a cloud on a free port, a small application deployed, called, its logs read and its bill shown."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"
BUSYBOX = next((path for path in map(Path, ("/bin/busybox", "/usr/bin/busybox")) if path.exists()), None)
CUMULO = Path(sys.executable).parent / "cumulo"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
ROLE = "arn:aws:iam::000000000000:role/shop"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def package(*names: str) -> bytes:
    """A zip of files of the shop."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(SHOP / name, name)
    return buffer.getvalue()


def deploy(aws, name: str, runtime: str, handler: str, code: bytes, environment: dict[str, str]) -> None:
    """Create a function and wait until it is Active."""
    aws.create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler=handler,
        Role=ROLE,
        Code={"ZipFile": code},
        Timeout=30,
        MemorySize=256,
        Environment={"Variables": environment},
    )
    aws.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    say(f"  deployed {name:<12} {runtime}")


def call(aws, name: str, event: dict) -> dict:
    """Invoke a function twice (cold, warm) and print what came of it."""
    answer = None
    for kind in ("cold", "warm"):
        began = time.perf_counter()
        answer = aws.invoke(FunctionName=name, Payload=json.dumps(event))
        took = (time.perf_counter() - began) * 1000
        payload = json.load(answer["Payload"])
        say(f"  {name:<12} {kind} {took:7.1f} ms  {json.dumps(payload)}")
    assert "FunctionError" not in answer, f"{name} failed"
    return payload


def tour(endpoint: str) -> None:
    """Deploy, call, read the logs."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    session = boto3.Session(**keys)
    aws = {name: session.client(name, endpoint_url=endpoint) for name in ("lambda", "s3", "logs")}
    say("\nDeploying the shop")
    aws["s3"].create_bucket(Bucket="shop-receipts")
    deploy(
        aws["lambda"],
        "orders",
        f"python3.{sys.version_info.minor}",
        "orders.handler",
        package("orders.py"),
        {"RECEIPTS": "shop-receipts"},
    )
    has_node = shutil.which("node") is not None
    if has_node:
        deploy(aws["lambda"], "greet", "nodejs20.x", "greet.handler", package("greet.mjs"), {})
    else:
        say("  left out greet        nodejs20.x (there is no node on this machine)")
    deploy(aws["lambda"], "words", "provided.al2023", "none", package("bootstrap"), {})
    say("\nCalling it")
    order = call(aws["lambda"], "orders", {"items": {"tea": 2, "cake": 1}})
    if has_node:
        call(aws["lambda"], "greet", {"name": "Ada"})
    call(aws["lambda"], "words", {"text": "a compute cloud of your own"})
    receipt = aws["s3"].get_object(Bucket="shop-receipts", Key=order["receipt"])["Body"].read()
    say(f"  receipt in S3: {receipt.decode()}")
    say("\nIts logs (cumulo logs orders)")
    events = aws["logs"].filter_log_events(logGroupName="/aws/lambda/orders")["events"]
    for event in events:
        say(f"  {event['message'].rstrip()}")


def image(path: Path) -> None:
    """Write the smallest image there is: a busybox from scratch, as `docker save` would."""
    layer, config = io.BytesIO(), {"architecture": MACHINES[os.uname().machine], "os": "linux"}
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for word in ("sh", "ls", "id", "uname", "cat"):
            link = tarfile.TarInfo(f"bin/{word}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config |= {
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["tools/busybox:1"], "Layers": ["layer.tar"]}]
    parts = {"layer.tar": layer.getvalue(), "config.json": config, "manifest.json": manifest}
    with tarfile.open(path, "w") as archive:
        for name, part in parts.items():
            data = part if isinstance(part, bytes) else json.dumps(part).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def containers(endpoint: str, folder: Path) -> None:
    """Put an image into ECR, and run it with a limit; its exit code is ours."""
    say("\nA container (cumulo image import, list, run)")
    if BUSYBOX is None or os.uname().machine not in MACHINES:
        say("  left out (there is no static busybox on this machine)")
        return
    image(folder / "busybox.tar")

    def cumulo(*words: str, code: int = 0) -> None:
        env = {**os.environ, "CUMULO_ENDPOINT": endpoint}
        began = time.perf_counter()
        done = subprocess.run([CUMULO, "image", *words], env=env, capture_output=True, text=True, check=False)
        took = (time.perf_counter() - began) * 1000
        say(f"  $ cumulo image {' '.join(words[:2])} ... {took:.0f} ms, exit code {done.returncode}")
        for line in (done.stdout + done.stderr).splitlines():
            say(f"    {line}")
        if "runs no containers" not in done.stderr:
            assert done.returncode == code, f"cumulo image {' '.join(words)}"

    cumulo("import", str(folder / "busybox.tar"))
    cumulo("list")
    cumulo("run", "--memory", "64", "tools/busybox:1", "sh", "-c", "id; uname -sm; exit 7", code=7)


def main() -> None:
    """Start, tour, bill, stop."""
    with tempfile.TemporaryDirectory(prefix="cumulo-demo-") as folder:
        log = Path(folder) / "server.log"
        began = time.perf_counter()
        with log.open("wb") as stderr:
            server = subprocess.Popen(
                [CUMULO, "up", "--port", "0", "--ephemeral"], stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        try:
            endpoint = ""
            for line in server.stdout:
                if line.startswith("Ready."):
                    break
                if "http://" in line:
                    endpoint = "http://" + line.split("http://", 1)[1].split()[0]
            if not endpoint:
                sys.exit(f"the cloud did not start:\n{log.read_text()}")
            say(f"A cloud at {endpoint}, ready in {time.perf_counter() - began:.2f} s")
            tour(endpoint)
            containers(endpoint, Path(folder))
            say("\nWhat AWS would charge (cumulo bill --explain)")
            subprocess.run(
                [CUMULO, "bill", "--explain", "--endpoint", endpoint], check=True, env={**os.environ}
            )
        finally:
            server.terminate()
            code = server.wait(30)
        say(f"\nStopped (exit code {code}).")
        sys.exit(code)


if __name__ == "__main__":
    main()
