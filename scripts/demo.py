"""`make demo`: a cloud on a free port, a small application deployed, called, its logs read and its bill shown."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"
CUMULO = Path(sys.executable).parent / "cumulo"
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
