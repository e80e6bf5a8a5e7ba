"""What fault tests of ECS share: containers that say that they ran, services behind a load balancer, what a server holds."""

import contextlib
import http.client
import os
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.ecs_kit import WAITER, fargate, network, shell
from tests.support import Process, until

SYSTEM = "fs-0123456789abcdef0"
KEPT = {"name": "kept", "efsVolumeConfiguration": {"fileSystemId": SYSTEM}}
MOUNTED = {"mountPoints": [{"sourceVolume": "kept", "containerPath": "/kept"}]}
ME = "me=${ECS_CONTAINER_METADATA_URI_V4##*/}; "
# A line in a file of its own each time that it runs: the name is the container's in its agent's address.
RAN = ME + "echo ran >> /kept/$me; "
SLEEPS = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
GROUP = "/faults"


def logging(stream: str) -> dict[str, Any]:
    """A logConfiguration for awslogs."""
    options = {"awslogs-group": GROUP, "awslogs-region": "us-east-1", "awslogs-stream-prefix": stream}
    return {
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": options | {"awslogs-create-group": "true"},
        }
    }


def runs(cloud: Process) -> Counter[str]:
    """How often each container ran, by the last part of its agent's address."""
    found: Counter[str] = Counter()
    folder = cloud.data / "efs" / SYSTEM
    if folder.is_dir():
        for path in folder.iterdir():
            if count := path.read_text().count("ran\n"):
                found[path.name] = count
    return found


def counting(aws: Any, family: str, image: str, script: str, **more: Any) -> str:
    """A task definition of one container that notes each of its runs; its ARN."""
    return fargate(aws, family, shell(image, RAN + script, **(MOUNTED | more)), volumes=[KEPT])


def service(aws: Any, cloud: Process, name: str, definition: str, **more: Any) -> None:
    """CreateService on Fargate."""
    aws.create_service(
        serviceName=name,
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=network(cloud),
        **({"desiredCount": 2} | more),
    )


def shown(aws: Any, name: str) -> dict[str, Any]:
    """DescribeServices of one."""
    return dict(aws.describe_services(services=[name])["services"][0])


def tasks(aws: Any, name: str, desired: str = "RUNNING") -> list[dict[str, Any]]:
    """The tasks of a service that shall run, or have stopped."""
    arns = aws.list_tasks(serviceName=name, desiredStatus=desired)["taskArns"]
    return list(aws.describe_tasks(tasks=arns)["tasks"]) if arns else []


def stable(aws: Any, name: str, seconds: float = 90.0) -> dict[str, Any]:
    """Wait until a service is as it is wanted, by one deployment that is complete."""

    def is_stable() -> bool:
        view = shown(aws, name)
        assert view["status"] == "ACTIVE", view
        (first, *others) = view["deployments"]
        return (
            not others
            and first["rolloutState"] == "COMPLETED"
            and view["runningCount"] == view["desiredCount"]
            and not view["pendingCount"]
        )

    until(is_stable, f"{name} is stable", seconds)
    return shown(aws, name)


def delete(aws: Any, name: str) -> None:
    """Delete a service with all its tasks, and wait for the end of these."""
    with contextlib.suppress(aws.exceptions.ServiceNotActiveException):
        aws.delete_service(service=name, force=True)
    gone(aws, name)


def gone(aws: Any, name: str) -> None:
    """Wait until a deleted service has no task left."""
    aws.get_waiter("services_inactive").wait(services=[name], WaiterConfig=WAITER)
    until(lambda: not tasks(aws, name), f"the tasks of {name} are gone", 60)
    ended = aws.list_tasks(serviceName=name, desiredStatus="STOPPED")["taskArns"]
    until(
        lambda: not ended or all(one["lastStatus"] == "STOPPED" for one in _described(aws, ended)),
        f"the tasks of {name} have stopped",
        60,
    )


def _described(aws: Any, arns: list[str]) -> list[dict[str, Any]]:
    return [
        one
        for at in range(0, len(arns), 100)
        for one in aws.describe_tasks(tasks=arns[at : at + 100])["tasks"]
    ]


def events(aws: Any, name: str) -> str:
    """All that a service has said."""
    return " ".join(one["message"] for one in shown(aws, name)["events"])


class Balanced:
    """A load balancer with a listener and a target group of addresses, which a service fills."""

    def __init__(self, cloud: Process, port: int, name: str = "web") -> None:
        self.cloud = cloud
        self.port = port
        elb, ec2 = cloud.client("elbv2"), cloud.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        made = elb.create_load_balancer(Name=name, Subnets=[one["SubnetId"] for one in subnets[:2]])
        self.arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        self.name = made["LoadBalancers"][0]["DNSName"]
        group = elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip",
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
        )  # fmt: skip
        self.group = group["TargetGroups"][0]["TargetGroupArn"]
        elb.modify_target_group_attributes(
            TargetGroupArn=self.group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}],
        )
        elb.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTP", Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )  # fmt: skip

    def wanted(self) -> list[dict[str, Any]]:
        """`loadBalancers` of CreateService for the container `main` at 8080."""
        return [{"targetGroupArn": self.group, "containerName": "main", "containerPort": 8080}]

    def ask(self) -> tuple[int, str]:
        """Status and body of GET /."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/", headers={"Host": self.name})
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        finally:
            connection.close()

    def version(self) -> str:
        """The version that answered, or empty when nobody did."""
        try:
            status, body = self.ask()
        except OSError:
            return ""
        return body.split()[0] if status == 200 else ""

    def healthy(self) -> set[str]:
        """The addresses of healthy targets."""
        found = self.cloud.client("elbv2").describe_target_health(TargetGroupArn=self.group)
        return {
            one["Target"]["Id"]
            for one in found["TargetHealthDescriptions"]
            if one["TargetHealth"]["State"] == "healthy"
        }

    def targets(self) -> set[str]:
        """The addresses of all targets that are not leaving."""
        found = self.cloud.client("elbv2").describe_target_health(TargetGroupArn=self.group)
        return {
            one["Target"]["Id"]
            for one in found["TargetHealthDescriptions"]
            if one["TargetHealth"]["State"] != "draining"
        }


def web(aws: Any, family: str, image: str, version: str, **more: Any) -> str:
    """A task definition of a web server at 8080 that says its version; its ARN."""
    script = RAN + "exec web"
    container = shell(
        image,
        script,
        portMappings=[{"containerPort": 8080, "name": "http", "appProtocol": "http"}],
        environment=[{"name": "VERSION", "value": version}],
        stopTimeout=5,
        **(MOUNTED | more),
    )
    return fargate(aws, family, container, volumes=[KEPT])


def processes_of(mark: str) -> list[int]:
    """The processes whose command line has this."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def kill_all(pids: list[int], number: int = signal.SIGKILL) -> None:
    """Kill processes that may be gone already."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def post(cloud: Process, page: str, body: bytes = b"") -> int:
    """POST to a page of the cloud's own; the status."""
    token = (cloud.data / "admin-token").read_text().strip()
    asked = urllib.request.Request(
        f"{cloud.endpoint}/_cumulo/{page}", data=body, method="POST", headers={"x-cumulo-token": token}
    )
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return int(answer.status)


def held(cloud: Process) -> dict[str, int]:
    """What a server and its engine hold of the machine: counts by kind."""
    from tests.leftovers import leftovers

    assert cloud.child is not None
    pid = cloud.child.pid
    found = Counter(one.split(" ", 1)[0] for one in leftovers(cloud.data))
    found["descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
    found["threads"] = len(os.listdir(f"/proc/{pid}/task"))
    found["namespaces"] = len(list(Path("/run/netns").glob("*"))) if Path("/run/netns").is_dir() else 0
    found["pods"] = len(list((cloud.data / "engine" / "pods").glob("*")))
    return dict(found)


def resident_mib(cloud: Process) -> float:
    """The memory of the server's process."""
    assert cloud.child is not None
    for line in Path(f"/proc/{cloud.child.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """A file system of its own; pytest.skip where none can be mounted."""
    import pytest

    image, mount = folder / "disk.img", folder / "disk"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(mib << 20)
    for argv in (
        ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)],
        ["mount", "-o", "loop", str(image), str(mount)],
    ):
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            pytest.skip(f"this machine cannot {argv[0]}")
    yield mount
    until(
        lambda: subprocess.run(["umount", str(mount)], check=False, capture_output=True).returncode == 0,
        "the disk is free again",
        20,
    )
