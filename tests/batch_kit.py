"""What tests of Batch through the front door share: a region with queues, definitions, jobs, and waiting for their ends."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.ecs_kit import ROLE, network
from tests.support import Process, until

GROUP = "/aws/batch/job"
FILES = "fs-0123456789abcdef0"
EFS = {"name": "files", "efsVolumeConfiguration": {"fileSystemId": FILES}}
MOUNTED = {"volumes": [EFS], "mountPoints": [{"sourceVolume": "files", "containerPath": "/files"}]}
SECONDS = 90.0
ENDED = ("SUCCEEDED", "FAILED")


def places(cloud: Process) -> dict[str, Any]:
    """Subnets and security groups for computeResources."""
    groups = cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    subnets = network(cloud)["awsvpcConfiguration"]["subnets"]
    return {"subnets": subnets, "securityGroupIds": [groups[0]["GroupId"]]}


def environment(cloud: Process, name: str, kind: str = "FARGATE", most: int = 16, **more: Any) -> str:
    """A compute environment that is VALID; its ARN."""
    aws = cloud.client("batch")
    asked: dict[str, Any] = {"type": kind, "maxvCpus": most, **places(cloud)}
    if not kind.startswith("FARGATE"):
        _profile(cloud)
        asked |= {
            "minvCpus": 0,
            "instanceTypes": ["m5.large", "m5.xlarge"],
            "instanceRole": "ecsInstanceRole",
        }
        asked["allocationStrategy"] = "SPOT_CAPACITY_OPTIMIZED" if kind == "SPOT" else "BEST_FIT_PROGRESSIVE"
    made = aws.create_compute_environment(
        computeEnvironmentName=name, type="MANAGED", computeResources=asked | more
    )
    until(lambda: _valid(aws, name), f"{name} is VALID", 30)
    return str(made["computeEnvironmentArn"])


def _profile(cloud: Process) -> None:
    """The instance profile that instances of Batch have, if it is not there yet."""
    iam = cloud.client("iam")
    if not iam.list_instance_profiles()["InstanceProfiles"]:
        trust = '{"Version": "2012-10-17", "Statement": []}'
        iam.create_role(RoleName="ecsInstanceRole", AssumeRolePolicyDocument=trust)
        iam.create_instance_profile(InstanceProfileName="ecsInstanceRole")
        iam.add_role_to_instance_profile(InstanceProfileName="ecsInstanceRole", RoleName="ecsInstanceRole")


def _valid(aws: Any, name: str) -> bool:
    (found,) = aws.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    assert found["status"] != "INVALID", found
    return bool(found["status"] == "VALID")


def queue(cloud: Process, name: str, *environments: str, priority: int = 1, **more: Any) -> str:
    """A job queue that is VALID; its ARN."""
    aws = cloud.client("batch")
    order = [{"order": at, "computeEnvironment": one} for at, one in enumerate(environments, 1)]
    made = aws.create_job_queue(jobQueueName=name, priority=priority, computeEnvironmentOrder=order, **more)
    until(
        lambda: aws.describe_job_queues(jobQueues=[name])["jobQueues"][0]["status"] == "VALID",
        f"{name} is VALID",
        30,
    )
    return str(made["jobQueueArn"])


def sizes(vcpus: str, memory: int) -> list[dict[str, str]]:
    """resourceRequirements."""
    return [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": str(memory)}]


def container(image: str, script: str, vcpus: str = "1", memory: int = 128, **more: Any) -> dict[str, Any]:
    """containerProperties of a container that runs a script."""
    return {
        "image": image,
        "command": ["sh", "-c", script],
        "resourceRequirements": sizes(vcpus, memory),
        **more,
    }


def fargate_job(cloud: Process, name: str, image: str, script: str, **more: Any) -> str:
    """Register a definition for Fargate; its ARN.  `container` holds more of its containerProperties."""
    own = {"executionRoleArn": ROLE, **more.pop("container", {})}
    answer = cloud.client("batch").register_job_definition(
        jobDefinitionName=name,
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties=container(image, script, "0.25", 512, **own),
        **more,
    )
    return str(answer["jobDefinitionArn"])


def ec2_job(cloud: Process, name: str, image: str, script: str, **more: Any) -> str:
    """Register a definition for instances; its ARN.  `container` holds more of its containerProperties."""
    answer = cloud.client("batch").register_job_definition(
        jobDefinitionName=name,
        type="container",
        containerProperties=container(image, script, **more.pop("container", {})),
        **more,
    )
    return str(answer["jobDefinitionArn"])


def submit(cloud: Process, queue_: str, definition: str, name: str = "job", **more: Any) -> str:
    """SubmitJob; the job's id."""
    return str(
        cloud.client("batch").submit_job(jobName=name, jobQueue=queue_, jobDefinition=definition, **more)[
            "jobId"
        ]
    )


def job(cloud: Process, job_id: str) -> dict[str, Any]:
    """DescribeJobs of one."""
    return dict(cloud.client("batch").describe_jobs(jobs=[job_id])["jobs"][0])


def jobs(aws: Any, ids: Sequence[str]) -> list[dict[str, Any]]:
    """DescribeJobs of many."""
    return [
        one
        for at in range(0, len(ids), 100)
        for one in aws.describe_jobs(jobs=list(ids[at : at + 100]))["jobs"]
    ]


def ended(cloud: Process, job_id: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Wait until a job has ended; the job."""

    def look() -> Any:
        found = job(cloud, job_id)
        return found if found["status"] in ENDED else None

    return dict(until(look, Standing(cloud, job_id), seconds))


def reached(cloud: Process, job_id: str, status: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Wait until a job is in a state; AssertionError when it has ended before."""

    def look() -> Any:
        found = job(cloud, job_id)
        assert found["status"] == status or found["status"] not in ENDED, found
        return found if found["status"] == status else None

    return dict(until(look, Standing(cloud, job_id), seconds))


class Standing:
    """How a job stands, asked when it is needed for a message."""

    def __init__(self, cloud: Process, job_id: str) -> None:
        self.cloud = cloud
        self.job_id = job_id

    def __str__(self) -> str:
        found = job(self.cloud, self.job_id)
        shown = {name: found.get(name) for name in ("status", "statusReason", "attempts", "arrayProperties")}
        return f"{self.job_id} comes where it is expected: {shown}"


def succeeded(cloud: Process, job_id: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Wait until a job has SUCCEEDED."""
    found = ended(cloud, job_id, seconds)
    assert found["status"] == "SUCCEEDED", (
        found.get("statusReason"),
        found["attempts"],
        found.get("container"),
    )
    return found


def printed(cloud: Process, described: Mapping[str, Any]) -> list[str]:
    """What the container of a job has printed."""
    stream = described["container"]["logStreamName"]
    client = cloud.client("logs")
    events = client.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]


def files(cloud: Process) -> Path:
    """The folder that is /files in jobs with MOUNTED."""
    return cloud.data / "efs" / FILES


def counts(cloud: Process, names: Iterable[str]) -> dict[str, int]:
    """How many lines the files of these names have."""
    return {
        name: (files(cloud) / name).read_text().count("\n")
        for name in names
        if (files(cloud) / name).is_file()
    }
