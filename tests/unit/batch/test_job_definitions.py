"""RegisterJobDefinition, DescribeJobDefinitions, DeregisterJobDefinition, on the wire."""

import asyncio

import pytest
from batch_jobs_kit import ACCOUNT, CONTAINER, FARGATE, REGION, ROLE, refused

from cumulo.services.batch.definitions import Definitions

ARN = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition"


def test_revisions_count_from_one_and_are_never_used_again(it, batch):
    first = it.register()
    assert first["jobDefinitionArn"] == f"{ARN}/work:1"
    assert it.register()["revision"] == 2
    batch.deregister_job_definition(jobDefinition="work:2")
    it.reopen()
    assert it.register()["revision"] == 3


def test_a_definition_is_shown_with_the_defaults_of_aws(it, batch):
    it.register(retryStrategy={"attempts": 3}, timeout={"attemptDurationSeconds": 60}, tags={"a": "b"})
    (shown,) = batch.describe_job_definitions(jobDefinitions=["work:1"])["jobDefinitions"]
    assert shown == {
        "jobDefinitionName": "work",
        "jobDefinitionArn": f"{ARN}/work:1",
        "revision": 1,
        "status": "ACTIVE",
        "type": "container",
        "parameters": {},
        "retryStrategy": {"attempts": 3, "evaluateOnExit": []},
        "timeout": {"attemptDurationSeconds": 60},
        "tags": {"a": "b"},
        "propagateTags": False,
        "platformCapabilities": ["EC2"],
        "containerOrchestrationType": "ECS",
        "containerProperties": {
            **CONTAINER,
            "command": [],
            "environment": [],
            "mountPoints": [],
            "resourceRequirements": [],
            "secrets": [],
            "ulimits": [],
            "volumes": [],
        },
    }


def test_definitions_are_found_by_name_status_and_reference(it, batch):
    for name in ("b", "a", "a"):
        it.register(name)
    batch.deregister_job_definition(jobDefinition=f"{ARN}/a:1")

    def names(**values):
        found = batch.describe_job_definitions(**values)["jobDefinitions"]
        return [f"{one['jobDefinitionName']}:{one['revision']}" for one in found]

    assert names() == ["a:1", "a:2", "b:1"]
    assert names(status="ACTIVE") == ["a:2", "b:1"]
    assert names(jobDefinitionName="a", status="INACTIVE") == ["a:1"]
    assert names(jobDefinitions=["a:1", f"{ARN}/b:1", "a:9", "no such", "arn:aws:batch:x:y:z/a"]) == [
        "a:1",
        "b:1",
    ]
    pages = batch.get_paginator("describe_job_definitions").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["jobDefinitions"]) for page in pages] == [1, 1, 1]
    refused(batch.describe_job_definitions, "nextToken is not valid", nextToken="%%%")
    refused(batch.describe_job_definitions, "maxResults must be at least 1", maxResults=0)


def test_a_revision_is_forgotten_180_days_after_it_was_deregistered(it, batch):
    it.register()
    it.register()
    batch.deregister_job_definition(jobDefinition="work:1")
    forget = Definitions(it.definitions, it.clock).forget
    it.clock.advance(180 * 24 * 3600 - 1)
    assert asyncio.run(forget()) == 0
    it.clock.advance(1)
    assert asyncio.run(forget()) == 1
    shown = batch.describe_job_definitions()["jobDefinitions"]
    assert [one["revision"] for one in shown] == [2]


def test_other_accounts_and_regions_see_nothing(it):
    it.register()
    for client in (it.client_of("999999999999"), it.client_of(ACCOUNT, "us-east-1")):
        assert client.describe_job_definitions()["jobDefinitions"] == []
        refused(client.deregister_job_definition, "does not exist", jobDefinition="work:1")


def test_what_is_wrong_with_a_request_is_told_in_the_wrapping_of_aws(it, batch):
    told = refused(it.register, "Error executing request, Exception : ", name="a b")
    assert "Job definition name should match valid pattern, RequestId: " in told
    assert batch.describe_job_definitions()["jobDefinitions"] == []
    assert it.register("a")["revision"] == 1


def test_a_definition_on_fargate(it, batch):
    batch.register_job_definition(
        jobDefinitionName="far",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties=FARGATE,
    )
    (shown,) = batch.describe_job_definitions(jobDefinitionName="far")["jobDefinitions"]
    assert shown["platformCapabilities"] == ["FARGATE"]
    assert shown["containerProperties"]["fargatePlatformConfiguration"] == {"platformVersion": "LATEST"}


EC2_SENTENCES = [
    ({"image": ""}, "ECS Container Image must be provided."),
    ({"vcpus": 0}, "vCPU must be at least 1, got 0."),
    ({"memory": 3}, "Memory must be at least 4 Mib, got 3 Mib."),
    (
        {"resourceRequirements": [{"type": "VCPU", "value": "1"}]},
        "Cannot use both ECS containerProperties vcpus and resourceRequirement VCPU.",
    ),
    (
        {"resourceRequirements": [{"type": "GPU", "value": "1"}, {"type": "GPU", "value": "1"}]},
        "Cannot provide duplicates in resourceRequirements.",
    ),
    (
        {"resourceRequirements": [{"type": "GPU", "value": "many"}]},
        "Value many for resource type GPU is not valid.",
    ),
    (
        {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]},
        "Environment variables cannot start with AWS_BATCH",
    ),
    ({"environment": [{"value": "1"}]}, "Environment variable name must be provided."),
    ({"command": [""]}, "Command cannot contain an empty string."),
    ({"user": "$(id"}, "User '$(id' does not match regex"),
    ({"instanceType": "m5.large"}, "instanceType is only applicable for multinode jobs."),
    ({"networkConfiguration": {}}, "networkConfiguration not applicable for EC2."),
    ({"fargatePlatformConfiguration": {}}, "fargatePlatformConfiguration not applicable for EC2."),
    ({"runtimePlatform": {}}, "runtimePlatform is not applicable for EC2."),
    ({"ephemeralStorage": {"sizeInGiB": 30}}, "ephemeralStorage is not applicable for EC2."),
    (
        {"secrets": [{"name": "A", "valueFrom": "x"}]},
        "executionRoleArn cannot be empty when using secrets or secretOptions",
    ),
    (
        {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-what": "x"}}},
        "Log driver awslogs disallows options: awslogs-what",
    ),
    (
        {"linuxParameters": {"maxSwap": 1}},
        "When container specified swap memory, swappiness value is required.",
    ),
    ({"linuxParameters": {"maxSwap": -1}}, "Invalid swap memory size: -1, must be non-negative."),
    ({"linuxParameters": {"swappiness": 101}}, "Invalid swappiness: 101, must be between 0 and 100."),
    ({"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 0}]}}, "Size of a tmpfs is invalid."),
    ({"ulimits": [{"name": "nofile", "softLimit": 2, "hardLimit": 1}]}, "Soft limit exceeds hard limit"),
    ({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}, "Unknown volume 'v' in mountPoints."),
    ({"volumes": [{"name": "v"}, {"name": "v"}]}, "Volume name v is not unique."),
    (
        {"volumes": [{"name": "v", "host": {}, "efsVolumeConfiguration": {"fileSystemId": "fs-12345678"}}]},
        "only one volume configuration type should be used.",
    ),
    (
        {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "x"}}]},
        "EFS configuration fileSystemId is not valid: x.",
    ),
    (
        {
            "volumes": [
                {
                    "name": "v",
                    "efsVolumeConfiguration": {
                        "fileSystemId": "fs-12345678",
                        "authorizationConfig": {"iam": "ENABLED"},
                    },
                }
            ]
        },
        "EFS IAM authorization requires TransitEncryption to be enabled.",
    ),
]


@pytest.mark.parametrize(("members", "sentence"), EC2_SENTENCES, ids=[one[1][:60] for one in EC2_SENTENCES])
def test_containers_on_instances(it, batch, members, sentence):
    refused(it.register, sentence, container=members)
    assert batch.describe_job_definitions()["jobDefinitions"] == []


def required(vcpus, memory):
    return [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory}]


FARGATE_SENTENCES = [
    ({"executionRoleArn": ""}, "executionRoleArn is required for Fargate jobs."),
    ({"vcpus": 1}, "Cannot use both ECS containerProperties vcpus and resourceRequirement VCPU."),
    (
        {"vcpus": 1, "resourceRequirements": []},
        "vcpus is not applicable for Fargate. Use resource requirements",
    ),
    ({"resourceRequirements": []}, "vCPU is not provided."),
    (
        {"resourceRequirements": required("1", "1024")},
        "Fargate resource requirements (1.00 vCPU, 1024 MiB) not valid.",
    ),
    (
        {"resourceRequirements": required("32", "61440")},
        "Fargate resource requirements (32.00 vCPU, 61440 MiB)",
    ),
    (
        {"resourceRequirements": [*required("1", "2048"), {"type": "GPU", "value": "1"}]},
        "GPU is not applicable for Fargate.",
    ),
    ({"privileged": True}, "setting be ‘false’ at the container level."),
    (
        {"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 1}]},
        "ulimits is not applicable for Fargate.",
    ),
    (
        {"linuxParameters": {"sharedMemorySize": 1}},
        "linuxParameter.sharedMemorySize is not allowed for Fargate.",
    ),
    ({"logConfiguration": {"logDriver": "syslog"}}, "Log driver for Fargate is not valid: syslog"),
    ({"ephemeralStorage": {"sizeInGiB": 20}}, "can be only between range 21 GiB to 200 GiB"),
    (
        {"volumes": [{"name": "v", "host": {"sourcePath": "/x"}}]},
        "host.sourcePath should not be set for volumes",
    ),
    (
        {"runtimePlatform": {"cpuArchitecture": "RISCV"}},
        "RuntimePlatform supports only one from [X86_64, ARM64]",
    ),
    ({"runtimePlatform": {"operatingSystemFamily": "BEOS"}}, "operating systems, provided BEOS"),
]


@pytest.mark.parametrize(
    ("members", "sentence"), FARGATE_SENTENCES, ids=[one[1][:60] for one in FARGATE_SENTENCES]
)
def test_containers_on_fargate(batch, members, sentence):
    refused(
        batch.register_job_definition,
        sentence,
        jobDefinitionName="far",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={**FARGATE, **members},
    )


EVERYWHERE = [
    ({"retryStrategy": {}}, "RetryAttempts must be provided with retry strategy."),
    ({"retryStrategy": {"attempts": 11}}, "RetryAttempts must be between 1 and 10."),
    (
        {"retryStrategy": {"attempts": 1, "evaluateOnExit": [{"action": "EXIT"}]}},
        "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason",
    ),
    (
        {"retryStrategy": {"attempts": 1, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "1x"}]}},
        "Evaluate on exit condition contains restricted characters.",
    ),
    (
        {"retryStrategy": {"attempts": 1, "evaluateOnExit": [{"action": "EXIT", "onReason": "*a"}]}},
        "Evaluate on exit condition contains restricted characters.",
    ),
    (
        {"retryStrategy": {"attempts": 1, "evaluateOnExit": [{"action": "EXIT", "onReason": "a" * 513}]}},
        "Evaluate on exit condition cannot exceed 512 characters.",
    ),
    (
        {"retryStrategy": {"attempts": 1, "evaluateOnExit": [{"action": "EXIT", "onExitCode": "1"}] * 6}},
        "EvaluateOnExit cannot have more than 5 conditions.",
    ),
    ({"timeout": {"attemptDurationSeconds": 59}}, "must be at least 60 seconds"),
    ({"schedulingPriority": 10_000}, "Scheduling priority must be between 0 and 9999."),
    ({"platformCapabilities": ["EC2", "FARGATE"]}, "Exactly 1 capability must be provided."),
    ({"parameters": {"a": "x" * 25_000}}, "Job definition size cannot exceed 24576 bytes."),
    ({"tags": {"aws:x": "y"}}, "Tag keys cannot start with aws:."),
    (
        {"nodeProperties": {"numNodes": 1, "mainNode": 0, "nodeRangeProperties": []}},
        "only applicable for multinode",
    ),
]


@pytest.mark.parametrize(("members", "sentence"), EVERYWHERE, ids=[one[1][:60] for one in EVERYWHERE])
def test_what_every_definition_has(it, members, sentence):
    refused(it.register, sentence, **members)


@pytest.mark.parametrize(
    "members",
    [
        {"eksProperties": {}},
        {"consumableResourceProperties": {}},
        {"platformCapabilities": ["MANAGED_INSTANCES"]},
    ],
    ids=lambda one: next(iter(one)),
)
def test_what_is_not_built_is_refused_by_name(it, members):
    refused(it.register, next(iter(members)), code="NotImplemented", **members)


# -- several containers --------------------------------------------------------------------------------------


def a_container(name, **more):
    return {"name": name, "image": "busybox", "resourceRequirements": required("1", "64"), **more}


def register_task(batch, *containers, platform="EC2", **task):
    return batch.register_job_definition(
        jobDefinitionName="several",
        type="container",
        platformCapabilities=[platform],
        ecsProperties={"taskProperties": [{"containers": list(containers), **task}]},
    )


def test_several_containers_and_what_they_wait_for(batch):
    helper = a_container("helper", essential=False)
    waits = [{"containerName": "helper", "condition": "SUCCESS"}]
    register_task(batch, helper, a_container("main", dependsOn=waits), volumes=[{"name": "v"}])
    (shown,) = batch.describe_job_definitions()["jobDefinitions"]
    (task,) = shown["ecsProperties"]["taskProperties"]
    assert [one["essential"] for one in task["containers"]] == [False, True]
    assert task["containers"][1]["dependsOn"] == waits


TASKS = [
    ([a_container(str(number)) for number in range(11)], {}, "Number of containers must be between 1 and 10"),
    ([a_container("a"), a_container("a")], {}, "Container names must be unique"),
    ([a_container("a"), {"image": "b"}], {}, "Container name must be provided"),
    ([a_container("a", essential=False)], {}, "At least one container must be set as essential"),
    (
        [a_container("a", dependsOn=[{"containerName": "a", "condition": "START"}])],
        {},
        "Container dependency can not be used in a single-container job.",
    ),
    (
        [a_container("a"), a_container("b", dependsOn=[{"containerName": "c", "condition": "START"}])],
        {},
        "containerName c must reference a defined container.",
    ),
    (
        [a_container("a"), a_container("b", dependsOn=[{"containerName": "a", "condition": "HEALTHY"}])],
        {},
        "TaskContainer dependency HEALTHY is not valid. Valid values are: [START, COMPLETE, SUCCESS]",
    ),
    (
        [a_container("a"), a_container("b", dependsOn=[{"containerName": "a", "condition": "COMPLETE"}])],
        {},
        "can not have condition COMPLETE if the target is essential",
    ),
    (
        [
            a_container("a", dependsOn=[{"containerName": "b", "condition": "START"}]),
            a_container("b", dependsOn=[{"containerName": "a", "condition": "START"}]),
        ],
        {},
        "Container dependencies contain a cycle.",
    ),
    ([a_container("a")], {"ipcMode": "x"}, "ipcMode x is not valid. Valid values are: [host, task, none]"),
    ([a_container("a")], {"pidMode": "x"}, "Capability x is not valid. Valid capabilities: [host, task]"),
    ([{"image": "b"}], {}, "vCPU is required."),
    ([a_container("a")], {"platform": "FARGATE"}, "executionRoleArn is required for Fargate jobs."),
    (
        [a_container("a"), a_container("b")],
        {"platform": "FARGATE", "executionRoleArn": ROLE},
        "Fargate resource requirements (2.00 vCPU, 128 MiB) not valid.",
    ),
]


@pytest.mark.parametrize(("containers", "task", "sentence"), TASKS, ids=[one[2][:60] for one in TASKS])
def test_what_is_wrong_with_several_containers(batch, containers, task, sentence):
    refused(lambda **_: register_task(batch, *containers, **task), sentence)


# -- several nodes -------------------------------------------------------------------------------------------


def register_nodes(batch, *targets, count=4, main=0, **one):
    container = {name: value for name, value in {"container": CONTAINER, **one}.items() if value is not None}
    return batch.register_job_definition(
        jobDefinitionName="nodes",
        type="multinode",
        nodeProperties={
            "numNodes": count,
            "mainNode": main,
            "nodeRangeProperties": [{"targetNodes": target, **container} for target in targets],
        },
    )


@pytest.mark.parametrize(
    "targets", [("0:",), (":",), ("0:3",), ("0", "1:"), ("0:", "1:2"), (":1", "2:3", "2:2")]
)
def test_node_ranges_that_cover_every_node(batch, targets):
    assert register_nodes(batch, *targets)["revision"] == 1


NODES = [
    (("0:",), {"count": 1001}, "Number of nodes must be between 1 and 1000."),
    (("0:",), {"main": 4}, "Main node index is out of range, must be less than numNodes."),
    (("0", "1", "2", "3", "0:", "1:"), {}, "Maximum allowed size of node range properties is 5"),
    (("a:b",), {}, "targetNodes should contain only digits."),
    (("",), {}, "targetNodes should contain only digits."),
    (("0:4",), {}, "is out of range, must be less than numNodes."),
    (("0:2",), {}, "Node ranges must account for all nodes."),
    (("0:2", "1:3"), {}, "Node ranges cannot overlap in part."),
    (("0:", "0:3"), {}, "Node ranges must be unique."),
    (("0:",), {"container": None}, "Must specify container for node range 0:"),
    (
        ("0:",),
        {"instanceTypes": ["m5.large"]},
        "instanceTypes with nodeRangeProperty is only allowed for ecsProperties",
    ),
]


@pytest.mark.parametrize(("targets", "members", "sentence"), NODES, ids=[one[2][:50] for one in NODES])
def test_what_is_wrong_with_nodes(batch, targets, members, sentence):
    refused(lambda **_: register_nodes(batch, *targets, **members), sentence)


def test_nodes_need_instances_and_properties(batch):
    more = {"jobDefinitionName": "nodes", "type": "multinode"}
    refused(batch.register_job_definition, "Node properties of multinode job is required.", **more)
    refused(
        batch.register_job_definition,
        "Fargate does not support MNP jobs",
        platformCapabilities=["FARGATE"],
        **more,
    )
