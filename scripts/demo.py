"""`make demo`: a cloud on a free port; functions and a service deployed, called, their logs read, their bill shown.

`python scripts/demo.py [FOLDER]` keeps its data in FOLDER instead of a temporary one.
"""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"
BUSYBOX = next((path for path in map(Path, ("/bin/busybox", "/usr/bin/busybox")) if path.exists()), None)
CUMULO = Path(sys.executable).parent / "cumulo"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
ROLE = "arn:aws:iam::000000000000:role/shop"
IMAGE = "tools/busybox:1"
GREETER = """
def handler(event, context):
    name, query = event["pathParameters"]["name"], event.get("queryStringParameters") or {}
    return {"hello": name, "from": query.get("from")}
"""
SITE = """
trap 'echo "version $VERSION ends"; kill $child; exit 0' TERM
busybox mkdir /www
echo "version $VERSION from $(busybox hostname -i)" | busybox tee /www/index.html
busybox httpd -f -p 8080 -h /www & child=$!
wait $child
"""


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


def apis(endpoint: str) -> None:
    """An HTTP API in front of a function of its own: a greeting by path and query, and an address that has no route."""
    say("\nAn HTTP API in front of a function")
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    functions, gateway = (
        boto3.client(name, endpoint_url=endpoint, **keys) for name in ("lambda", "apigatewayv2")
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", GREETER)
    deploy(functions, "greeter", f"python3.{sys.version_info.minor}", "app.handler", buffer.getvalue(), {})
    arn = functions.get_function(FunctionName="greeter")["Configuration"]["FunctionArn"]
    api = gateway.create_api(Name="greetings", ProtocolType="HTTP", RouteKey="GET /hello/{name}", Target=arn)
    host = api["ApiEndpoint"].removeprefix("http://")
    for path in ("/hello/Ada?from=demo", "/nowhere"):
        began = time.perf_counter()
        request = urllib.request.Request(endpoint + path, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                status, body, identifier = answer.status, answer.read(), answer.headers["apigw-requestid"]
        except urllib.error.HTTPError as refused:
            status, body = refused.code, refused.read()
        took = (time.perf_counter() - began) * 1000
        say(f"  GET http://{host}{path} {took:.1f} ms  {status} {body.decode()}")
    assert status == 404, "there is no such route"
    cumulo(endpoint, "trace", identifier, shown=2)


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
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    parts = {"layer.tar": layer.getvalue(), "config.json": config, "manifest.json": manifest}
    with tarfile.open(path, "w") as archive:
        for name, part in parts.items():
            data = part if isinstance(part, bytes) else json.dumps(part).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def cumulo(endpoint: str, *words: str, shown: int, code: int = 0) -> str:
    """Run a word of ours and show what it printed; what went wrong, when it was not allowed to run containers."""
    env = {**os.environ, "CUMULO_ENDPOINT": endpoint}
    began = time.perf_counter()
    done = subprocess.run([CUMULO, *words], env=env, capture_output=True, text=True, check=False)
    took = (time.perf_counter() - began) * 1000
    more = " ..." if len(words) > shown else ""
    say(f"  $ cumulo {' '.join(words[:shown])}{more} ({took:.0f} ms, exit code {done.returncode})")
    for line in (done.stdout + done.stderr).splitlines():
        say(f"    {line[:150]}")
    if "runs no containers" in done.stderr:
        return done.stderr
    assert done.returncode == code, f"cumulo {' '.join(words)}"
    return ""


def containers(endpoint: str, folder: Path) -> bool:
    """Put an image into ECR, and run it with a limit; its exit code is ours.  False where no container can run."""
    say("\nA container (cumulo image import, list, run)")
    if BUSYBOX is None or os.uname().machine not in MACHINES:
        say("  left out (there is no static busybox on this machine)")
        return False
    image(folder / "busybox.tar")
    cumulo(endpoint, "image", "import", str(folder / "busybox.tar"), shown=2)
    cumulo(endpoint, "image", "list", shown=2)
    script = ("sh", "-c", "id; uname -sm; exit 7")
    return not cumulo(endpoint, "image", "run", "--memory", "64", IMAGE, *script, shown=2, code=7)


class Service:
    """A web service of ECS behind a load balancer."""

    def __init__(self, endpoint: str) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        names = ("ecs", "ec2", "elbv2")
        aws = {name: boto3.client(name, endpoint_url=endpoint, **keys) for name in names}
        self.ecs, self.ec2, self.elb = (aws[name] for name in names)
        self.port = free_port()
        self.host = ""
        self._removals = []

    def define(self, version: int) -> str:
        """A task definition; its ARN."""
        logging = {
            "awslogs-group": "/ecs/web",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "web",
            "awslogs-create-group": "true",
        }
        container = {
            "name": "web",
            "image": f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{IMAGE}",
            "command": ["sh", "-c", SITE],
            "environment": [{"name": "VERSION", "value": str(version)}],
            "portMappings": [{"containerPort": 8080}],
            "logConfiguration": {"logDriver": "awslogs", "options": logging},
        }
        return self.ecs.register_task_definition(
            family="web",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn=ROLE,
            containerDefinitions=[container],
        )["taskDefinition"]["taskDefinitionArn"]

    def deploy(self) -> None:
        """A load balancer, a cluster, a service of two tasks."""
        subnets = self.ec2.describe_subnets()["Subnets"][:2]
        ids = [one["SubnetId"] for one in subnets]
        group = self.elb.create_target_group(
            Name="web",
            Protocol="HTTP",
            Port=8080,
            VpcId=subnets[0]["VpcId"],
            TargetType="ip",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
        self.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
        balancer = self.elb.create_load_balancer(Name="web", Subnets=ids)["LoadBalancers"][0]
        self.host = balancer["DNSName"]
        arn = balancer["LoadBalancerArn"]
        forward = {"Type": "forward", "TargetGroupArn": group}
        self.elb.create_listener(
            LoadBalancerArn=arn, Protocol="HTTP", Port=self.port, DefaultActions=[forward]
        )
        self._removals = [
            lambda: self.elb.delete_load_balancer(LoadBalancerArn=arn),
            lambda: self.elb.delete_target_group(TargetGroupArn=group),
        ]
        self.ecs.create_cluster(clusterName="default")
        self.ecs.create_service(
            serviceName="web",
            taskDefinition=self.define(1),
            desiredCount=2,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ids}},
            loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 8080}],
        )
        self.wait("services_stable")
        settings = {"Delay": 1, "MaxAttempts": 60}
        self.elb.get_waiter("target_in_service").wait(TargetGroupArn=group, WaiterConfig=settings)

    def wait(self, name: str) -> None:
        """Wait as clients of AWS do."""
        self.ecs.get_waiter(name).wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 120})

    def ask(self) -> str:
        """One request to the load balancer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", headers={"Host": self.host})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode().strip()

    def remove(self) -> None:
        """Take it down again."""
        self.ecs.delete_service(service="web", force=True)
        for removal in self._removals:
            removal()
        self.wait("services_inactive")
        self.ecs.delete_cluster(cluster="default")


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def service(endpoint: str) -> None:
    """Two Fargate tasks behind a load balancer, updated while requests go on."""
    say("\nA service: two tasks on Fargate behind a load balancer")
    web = Service(endpoint)
    began = time.perf_counter()
    web.deploy()
    say(f"  stable after {time.perf_counter() - began:.1f} s, at http://{web.host}:{web.port}/")
    for answer, count in sorted(Counter(web.ask() for _ in range(4)).items()):
        say(f"  {count} x {answer}")
    answers, over = Counter(), threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                answers[web.ask().partition(" from")[0]] += 1
            except OSError as error:
                answers[f"failed: {error}"] += 1

    visitor = threading.Thread(target=load)
    visitor.start()
    try:
        web.ecs.update_service(service="web", taskDefinition=web.define(2))
        web.wait("services_stable")
    finally:
        over.set()
        visitor.join()
    say("  updated to version 2 while requests went on:")
    for answer, count in sorted(answers.items()):
        say(f"  {count:>6} x {answer}")
    assert set(answers) <= {"version 1", "version 2"}, answers
    cumulo(endpoint, "exec", "web", "busybox", "ps", shown=4)
    cumulo(endpoint, "logs", "/ecs/web", shown=2)
    web.remove()
    say("  removed again")


def start(folder: Path) -> tuple[subprocess.Popen, str]:
    """A cloud whose data is in a folder: its process and its address."""
    log = folder / "server.log"
    argv = [CUMULO, "up", "--port", "0", "--data", str(folder / "data")]
    with log.open("wb") as stderr:
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stderr, text=True)
    endpoint = ""
    for line in server.stdout:
        if line.startswith("Ready."):
            return server, endpoint
        if "http://" in line:
            endpoint = "http://" + line.split("http://", 1)[1].split()[0]
    sys.exit(f"the cloud did not start:\n{log.read_text()}")


def show(folder: Path) -> int:
    """Start, tour, bill, stop; the server's exit code."""
    began = time.perf_counter()
    server, endpoint = start(folder)
    try:
        say(f"A cloud at {endpoint}, ready in {time.perf_counter() - began:.2f} s")
        tour(endpoint)
        apis(endpoint)
        if not containers(endpoint, folder):
            say("\nA service: left out (no container can run here; cumulo doctor says why)")
        elif sys.platform != "linux" or os.geteuid() != 0:
            say("\nA service: left out (tasks get addresses where the cloud runs as root on Linux)")
        else:
            service(endpoint)
        say("\nWhat AWS would charge (cumulo bill --explain)")
        subprocess.run([CUMULO, "bill", "--explain", "--endpoint", endpoint], check=True)
    finally:
        # Containers outlive their server: whatever went wrong, none is to be left.
        reset = urllib.request.Request(f"{endpoint}/_cumulo/reset", method="POST")
        try:
            urllib.request.urlopen(reset, timeout=60).close()
        finally:
            server.terminate()
            code = server.wait(30)
    say(f"\nStopped (exit code {code}) after {time.perf_counter() - began:.0f} s.")
    return code


def main() -> None:
    """In a temporary folder, or in the one that is given."""
    if len(sys.argv) > 1:
        sys.exit(show(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory(prefix="cumulo-demo-") as folder:
        code = show(Path(folder))
    sys.exit(code)


if __name__ == "__main__":
    main()
