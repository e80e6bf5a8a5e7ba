"""What tests of ECS through the front door share: a cloud, images of busybox, task definitions, waiting."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.containers_kit import a_cloud, image_of, make_repository, registry
from tests.engines.images import BUSYBOX
from tests.image_kit import CONFIG_TYPE, LAYER_TYPE
from tests.oci_kit import folder, member, tarred
from tests.support import Process, until

ROLE = "arn:aws:iam::000000000000:role/ecsTaskExecutionRole"
WAITER = {"Delay": 0.2, "MaxAttempts": 300}
# A web server that says which version it is and who answered; ends at SIGTERM.
WEB = """#!/bin/sh
trap 'kill $child; exit 0' TERM
mkdir -p /www
echo "${VERSION:-1} $(hostname)" > /www/index.html
httpd -f -p ${PORT:-8080} -h /www &
child=$!
wait $child
"""


@contextlib.contextmanager
def a_region(data: Path, *options: str, log: Path | None = None) -> Iterator[Process]:
    """A cloud with the local engine whose tasks end with it; at its end nothing of it is left on the machine."""
    with a_cloud(data, *options, log=log) as cloud:
        try:
            yield cloud
        finally:
            reset(cloud)


def reset(cloud: Process) -> None:
    """POST /_cumulo/reset."""
    with urllib.request.urlopen(
        urllib.request.Request(f"{cloud.endpoint}/_cumulo/reset", method="POST"), timeout=120
    ) as answer:
        assert answer.status == 200


def busybox_layer() -> bytes:
    """busybox with links for its applets, a web server, and folders that programs expect."""
    words = ("sh", "ls", "cat", "echo", "sleep", "id", "env", "wget", "httpd", "hostname", "mkdir", "kill", "touch", "test",
             "nc", "true", "false", "head", "tail", "dd", "ps", "nslookup", "grep", "sed", "date", "stty", "wc", "df", "mount",
             "ip", "netstat", "rm", "seq", "tr", "awk", "printenv", "ulimit", "pwd", "cut", "sort", "timeout", "uname")  # fmt: skip
    return tarred(
        folder("bin"),
        folder("tmp", 0o1777),
        folder("etc"),
        folder("root"),
        member("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n"),
        member("etc/group", b"root:x:0:\napp:x:1000:\n"),
        member("bin/busybox", Path(BUSYBOX).read_bytes(), mode=0o755),
        *(member(f"bin/{word}", b'#!/bin/busybox sh\nexec /bin/busybox ${0##*/} "$@"\n', mode=0o755) for word in words if word != "sh"),
        member("bin/sh", Path(BUSYBOX).read_bytes(), mode=0o755),
        member("bin/web", WEB.encode(), mode=0o755),
    )  # fmt: skip


def push_tools(cloud: Process, name: str = "tools", tag: str = "1", **config: Any) -> str:
    """Push the image; its URI with the tag."""
    uri = make_repository(cloud, name)
    image, layers = image_of(
        [busybox_layer()], **({"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "WorkingDir": "/"} | config)
    )

    with registry(cloud) as client:
        client.push_blob(name, image.config)
        for layer in layers:
            client.push_blob(name, layer)
        manifest = json.loads(image.manifest)
        assert manifest["config"]["mediaType"] == CONFIG_TYPE
        assert manifest["layers"][0]["mediaType"] == LAYER_TYPE
        client.push_manifest(name, tag, manifest)
    return f"{uri}:{tag}"


def network(cloud: Process) -> dict[str, Any]:
    """A networkConfiguration in the default VPC."""
    subnets = cloud.client("ec2").describe_subnets()["Subnets"]
    return {
        "awsvpcConfiguration": {
            "subnets": [one["SubnetId"] for one in subnets[:3]],
            "assignPublicIp": "ENABLED",
        }
    }


def fargate(
    aws: Any, family: str, *containers: dict[str, Any], cpu: str = "256", memory: str = "512", **more: Any
) -> str:
    """Register a task definition for Fargate; its ARN."""
    more = {"executionRoleArn": ROLE} | more
    return str(
        aws.register_task_definition(
            family=family,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu=cpu,
            memory=memory,
            containerDefinitions=list(containers),
            **more,
        )["taskDefinition"]["taskDefinitionArn"]
    )


def shell(image: str, script: str, name: str = "main", **more: Any) -> dict[str, Any]:
    """A container that runs a script."""
    return {"name": name, "image": image, "command": ["sh", "-c", script]} | more


def run(aws: Any, cloud: Process, definition: str, **more: Any) -> dict[str, Any]:
    """RunTask on Fargate; the task."""
    asked = {"launchType": "FARGATE", "networkConfiguration": network(cloud)} | more
    answer = aws.run_task(taskDefinition=definition, **asked)
    assert not answer["failures"], answer["failures"]
    return dict(answer["tasks"][0])


def task(aws: Any, arn: str) -> dict[str, Any]:
    """DescribeTasks of one."""
    cluster = arn.split("/")[1]
    return dict(aws.describe_tasks(cluster=cluster, tasks=[arn], include=["TAGS"])["tasks"][0])


def stopped(aws: Any, arn: str, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until it is STOPPED."""
    return dict(
        until(lambda: (one := task(aws, arn))["lastStatus"] == "STOPPED" and one, f"{arn} stops", seconds)
    )


def running(aws: Any, arn: str, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until it is RUNNING; AssertionError with the reason when it stops instead."""

    def state() -> Any:
        one = task(aws, arn)
        assert one["lastStatus"] != "STOPPED", (one.get("stoppedReason"), one["containers"])
        return one["lastStatus"] == "RUNNING" and one

    return dict(until(state, f"{arn} runs", seconds))


def address(described: dict[str, Any]) -> str:
    """The private address of a task in awsvpc mode."""
    details = described["attachments"][0]["details"]
    return str(next(one["value"] for one in details if one["name"] == "privateIPv4Address"))


def logs(cloud: Process, group: str, stream: str) -> list[str]:
    """What a container printed, from CloudWatch Logs."""
    client = cloud.client("logs")
    events = client.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]
