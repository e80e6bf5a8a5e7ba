"""Task definitions as boto sees them: revisions, lists, and what becomes of those that are deleted."""

import pytest
from definitions_kit import ACCOUNT, CONTAINER, FARGATE, REGION, a_service, a_task, caller, refused

from cumulo.base.errors import AwsError
from cumulo.services.ecs.definitions.finding import find_definition, runnable_definition

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/"


def test_a_definition_is_shown_with_aws_defaults(it, ecs):
    made = it.register()
    assert made["taskDefinitionArn"] == ARN + "app:1"
    assert made["revision"] == 1
    assert made["status"] == "ACTIVE"
    assert made["registeredAt"].timestamp() == it.clock.now()
    assert made["registeredBy"] == f"arn:aws:iam::{ACCOUNT}:user/dev"
    assert "networkMode" not in made  # it was not chosen: bridge
    assert made["compatibilities"] == ["EXTERNAL", "EC2"]
    assert made["volumes"] == made["placementConstraints"] == []
    assert "requiresAttributes" not in made
    assert "requiresCompatibilities" not in made
    assert made["containerDefinitions"] == [
        {
            "name": "app",
            "image": "busybox",
            "memory": 64,
            "cpu": 0,
            "essential": True,
            "portMappings": [],
            "environment": [],
            "mountPoints": [],
            "volumesFrom": [],
            "systemControls": [],
        }
    ]
    assert ecs.describe_task_definition(taskDefinition="app")["taskDefinition"] == made


def test_a_fargate_definition_has_its_sizes_in_units(it):
    made = it.register(**FARGATE | {"cpu": "1 vCPU", "memory": "2 GB"})
    assert (made["cpu"], made["memory"]) == ("1024", "2048")
    assert made["compatibilities"] == ["EC2", "MANAGED_INSTANCES", "FARGATE"]
    assert made["requiresCompatibilities"] == ["FARGATE"]
    assert {"name": "ecs.capability.task-eni"} in made["requiresAttributes"]


def test_what_an_instance_must_be_able_to_do_is_shown(it):
    made = it.register(
        containers=[
            CONTAINER
            | {
                "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app:1",
                "memoryReservation": 32,
                "secrets": [{"name": "A", "valueFrom": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a"}],
                "healthCheck": {"command": ["CMD-SHELL", "true"]},
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "g", "awslogs-region": REGION},
                },
            }
        ],
        executionRoleArn="execution",
        taskRoleArn=f"arn:aws:iam::{ACCOUNT}:role/task",
    )
    assert {one["name"] for one in made["requiresAttributes"]} == {
        "com.amazonaws.ecs.capability.docker-remote-api.1.17",
        "com.amazonaws.ecs.capability.task-iam-role",
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "com.amazonaws.ecs.capability.docker-remote-api.1.19",
        "ecs.capability.execution-role-awslogs",
        "com.amazonaws.ecs.capability.docker-remote-api.1.29",
        "com.amazonaws.ecs.capability.ecr-auth",
        "ecs.capability.execution-role-ecr-pull",
        "com.amazonaws.ecs.capability.docker-remote-api.1.21",
        "com.amazonaws.ecs.capability.docker-remote-api.1.24",
        "ecs.capability.container-health-check",
        "ecs.capability.secrets.ssm.environment-variables",
    }
    assert made["executionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/execution"
    assert made["containerDefinitions"][0]["healthCheck"] == {
        "command": ["CMD-SHELL", "true"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
    }


def test_ports_of_the_host_are_filled_in_by_network_mode(it):
    ports = [{"containerPort": 80}, {"containerPort": 53, "protocol": "udp"}]
    shown = {}
    for mode in ("bridge", "host", "awsvpc"):
        made = it.register(containers=[CONTAINER | {"portMappings": ports}], networkMode=mode)
        shown[mode] = [
            (one["hostPort"], one["protocol"]) for one in made["containerDefinitions"][0]["portMappings"]
        ]
    assert shown == {
        "bridge": [(0, "tcp"), (0, "udp")],
        "host": [(80, "tcp"), (53, "udp")],
        "awsvpc": [(80, "tcp"), (53, "udp")],
    }


def test_a_family_means_its_latest_active_revision(it, ecs):
    for _ in range(11):
        it.register()
    ecs.deregister_task_definition(taskDefinition="app:11")
    for text in ("app", ARN + "app"):
        found = ecs.describe_task_definition(taskDefinition=text)["taskDefinition"]
        assert found["revision"] == 10
    gone = ecs.describe_task_definition(taskDefinition=ARN + "app:11")["taskDefinition"]
    assert gone["status"] == "INACTIVE"
    assert gone["deregisteredAt"].timestamp() == it.clock.now()


@pytest.mark.parametrize(
    "text",
    ["other", "app:2", "app:0", ARN.replace(ACCOUNT, "999999999999") + "app:1", "arn:aws:s3:::a/app:1"],
)
def test_what_is_not_there_is_said_so(it, ecs, text):
    it.register()
    refused(
        ecs.describe_task_definition,
        "ClientException",
        "Unable to describe task definition.",
        taskDefinition=text,
    )


def test_a_revision_is_a_number(it, ecs):
    it.register()
    for operation in (ecs.describe_task_definition, ecs.deregister_task_definition):
        refused(
            operation,
            "InvalidParameterException",
            "Invalid task definition: Invalid revision number.",
            taskDefinition="app:x",
        )
    refused(
        ecs.deregister_task_definition,
        "InvalidParameterException",
        "Revision is missing",
        taskDefinition="app",
    )


def test_tags_are_shown_to_those_who_ask(it, ecs):
    tags = [{"key": "team", "value": "a"}]
    answer = ecs.register_task_definition(family="app", containerDefinitions=[CONTAINER], tags=tags)
    assert answer["tags"] == tags
    assert "tags" not in ecs.describe_task_definition(taskDefinition="app")
    assert ecs.describe_task_definition(taskDefinition="app", include=["TAGS"])["tags"] == tags
    refused(
        ecs.register_task_definition,
        "ClientException",
        "Tags can not be empty.",
        family="app",
        containerDefinitions=[CONTAINER],
        tags=[],
    )


def test_lists_go_by_family_and_number_in_both_directions(it, ecs):
    for family in ("b", "a", "ab"):
        for _ in range(11):
            it.register(family)
    expected = [f"{ARN}{family}:{number}" for family in ("a", "ab", "b") for number in range(1, 12)]
    for sort, wanted in (("ASC", expected), ("DESC", expected[::-1])):
        pages = list(
            ecs.get_paginator("list_task_definitions").paginate(sort=sort, PaginationConfig={"PageSize": 4})
        )
        assert [arn for page in pages for arn in page["taskDefinitionArns"]] == wanted
        assert {len(page["taskDefinitionArns"]) for page in pages[:-1]} == {4}
    # The whole name of a family, not its beginning.
    assert len(ecs.list_task_definitions(familyPrefix="a")["taskDefinitionArns"]) == 11
    ecs.deregister_task_definition(taskDefinition="a:3")
    assert ecs.list_task_definitions(familyPrefix="a", status="INACTIVE")["taskDefinitionArns"] == [
        ARN + "a:3"
    ]
    assert len(ecs.list_task_definitions(familyPrefix="a")["taskDefinitionArns"]) == 10
    refused(ecs.list_task_definitions, "InvalidParameterException", maxResults=101)
    refused(ecs.list_task_definitions, "InvalidParameterException", nextToken="nonsense")


def test_families_are_listed_by_what_they_have(it, ecs):
    for family in ("web", "worker", "cron"):
        it.register(family)
    it.register("worker")
    ecs.deregister_task_definition(taskDefinition="worker:1")
    ecs.deregister_task_definition(taskDefinition="cron:1")
    assert ecs.list_task_definition_families()["families"] == ["cron", "web", "worker"]
    assert ecs.list_task_definition_families(familyPrefix="w")["families"] == ["web", "worker"]
    assert ecs.list_task_definition_families(status="ACTIVE")["families"] == ["web", "worker"]
    assert ecs.list_task_definition_families(status="INACTIVE")["families"] == ["cron"]
    pages = list(
        ecs.get_paginator("list_task_definition_families").paginate(PaginationConfig={"PageSize": 2})
    )
    assert [page["families"] for page in pages] == [["cron", "web"], ["worker"]]


def test_accounts_and_regions_have_their_own(it, ecs):
    it.register()
    other, far = it.client_of("999999999999"), it.client_of(ACCOUNT, "us-east-1")
    for client in (other, far):
        assert client.list_task_definitions()["taskDefinitionArns"] == []
        made = client.register_task_definition(family="app", containerDefinitions=[CONTAINER])
        assert made["taskDefinition"]["revision"] == 1


def test_deleting_tells_what_could_not_be_deleted(it, ecs):
    for _ in range(2):
        it.register()
    ecs.deregister_task_definition(taskDefinition="app:1")
    answer = ecs.delete_task_definitions(taskDefinitions=["app:1", "app:2", "app:3", "app", "app:x"])
    assert [(one["revision"], one["status"]) for one in answer["taskDefinitions"]] == [
        (1, "DELETE_IN_PROGRESS")
    ]
    assert {one["arn"]: one["reason"] for one in answer["failures"]} == {
        "app:2": "The specified task definition is still in ACTIVE status. "
        "Please deregister the target and try again.",
        "app:3": "The specified task definition does not exist. "
        "Specify a valid account, family, revision and try again.",
        "app": "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.",
        "app:x": "The specified task definition identifier is invalid. Specify a valid name or ARN and try again.",
    }
    assert ecs.list_task_definitions(status="DELETE_IN_PROGRESS")["taskDefinitionArns"] == [ARN + "app:1"]
    refused(
        ecs.delete_task_definitions,
        "InvalidParameterException",
        "cannot exceed 10",
        taskDefinitions=[f"app:{number}" for number in range(1, 12)],
    )
    refused(ecs.deregister_task_definition, "ClientException", "being deleted", taskDefinition="app:1")


def _deleted(it, ecs, text="app:1"):
    ecs.deregister_task_definition(taskDefinition=text)
    ecs.delete_task_definitions(taskDefinitions=[text])


def test_a_deleted_revision_leaves_after_an_hour_and_its_number_is_never_used_again(it, ecs):
    it.register()
    _deleted(it, ecs)
    it.clock.advance(3599)
    found = ecs.describe_task_definition(taskDefinition="app:1")["taskDefinition"]
    assert found["status"] == "DELETE_IN_PROGRESS"
    it.clock.advance(1)
    refused(ecs.describe_task_definition, "ClientException", "Unable", taskDefinition="app:1")
    it.reopen()
    refused(it.client.describe_task_definition, "ClientException", "Unable", taskDefinition="app:1")
    assert it.register()["revision"] == 2


@pytest.mark.parametrize("user", ["task", "service", "deployment"])
def test_a_deleted_revision_stays_while_something_uses_it(it, ecs, user):
    arn = it.register()["taskDefinitionArn"]
    in_use = {arn}
    if user == "task":
        it.records.tasks.put(a_task())
    elif user == "service":
        it.records.services.put(a_service(definition_arn=arn))
    else:
        it.definitions.users.append(in_use.__contains__)
    _deleted(it, ecs)
    it.clock.advance(7200)
    assert ecs.describe_task_definition(taskDefinition="app:1")["taskDefinition"]
    it.records.tasks.clear()
    it.records.services.clear()
    in_use.clear()
    refused(ecs.describe_task_definition, "ClientException", "Unable", taskDefinition="app:1")


def test_only_active_revisions_may_be_run(it, ecs):
    it.register()
    assert runnable_definition(it.records, caller(), "app").revision == 1
    ecs.deregister_task_definition(taskDefinition="app:1")
    with pytest.raises(AwsError, match="TaskDefinition is inactive"):
        runnable_definition(it.records, caller(), "app:1")
    for text in ("app", "none:1"):
        with pytest.raises(AwsError, match="TaskDefinition not found"):
            runnable_definition(it.records, caller(), text)
    assert find_definition(it.records, caller(), "app:1").status == "INACTIVE"


def test_definitions_are_there_after_a_restart(it):
    made = it.register(**FARGATE)
    it.reopen()
    found = it.client.describe_task_definition(taskDefinition="app:1")["taskDefinition"]
    assert found == made
    assert it.register()["revision"] == 2
