"""What a job is to ECS: documents, overrides, variables, orders, and what its tasks tell."""

import msgspec
import pytest
from tests.batch_run_kit import CONTAINER, DEFINITION, ENVIRONMENT, a_job

from cumulo.base.task_runner import RanContainer, RanTask
from cumulo.services.batch.model import Run
from cumulo.services.batch.plan_events import Ended, Seen
from cumulo.services.batch.resolution import run_properties
from cumulo.services.batch.running.outcomes import events_of
from cumulo.services.batch.running.task_documents import document_of
from cumulo.services.batch.running.task_orders import order_of
from cumulo.services.batch.running.task_overrides import overrides_of
from cumulo.services.batch.running.timeouts import Timeouts
from cumulo.services.batch.running.tokens import attempt_of, job_of
from cumulo.services.batch.running.variables import variables

replace = msgspec.structs.replace
RUN = Run(token="job/2", environment=ENVIRONMENT.arn)


@pytest.mark.parametrize(
    ("token", "job", "attempt"), [("j/1", "j", 1), ("j:17/3", "j:17", 3), ("j/2/4", "j#4", 2)]
)
def test_a_token_says_whose_it_is(token: str, job: str, attempt: int) -> None:
    assert (job_of(token), attempt_of(token)) == (job, attempt)


def test_a_strange_token_is_nobodys() -> None:
    assert job_of("nothing") == ""


def test_variables_of_a_child_and_of_a_node() -> None:
    child = a_job("p:3", parent="p", index=3, run=replace(RUN, token="p:3/1"))
    told = variables(child, a_job("p", array_size=9), None, environment="fargate")
    assert told["AWS_BATCH_JOB_ARRAY_INDEX"] == "3"
    assert told["AWS_BATCH_JOB_ARRAY_SIZE"] == "9"
    whole = a_job("m", nodes=4, main_node=1)
    main = replace(RUN, interfaces=({"privateIpv4Address": "10.0.0.9"},))
    node = a_job("m#2", parent="m", node=2, run=replace(RUN, token="m/1/2"))
    told = variables(node, whole, main, environment="fargate")
    assert told["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] == "10.0.0.9"
    assert told["AWS_BATCH_JOB_NUM_NODES"] == "4"
    assert told["AWS_BATCH_JOB_MAIN_NODE_INDEX"] == "1"
    first = a_job("m#1", parent="m", node=1, run=replace(RUN, token="m/1/1"))
    assert "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS" not in variables(
        first, whole, main, environment="e"
    )


def a_document(container: object, **more: object) -> dict[str, object]:
    asked = {"region": "eu-west-1", "fargate": True, "nodes": False, "host": False} | more
    return document_of("work", {"containerProperties": container}, **asked)  # type: ignore[arg-type]


def test_a_fargate_definition_has_its_size_as_a_whole() -> None:
    made = a_document(CONTAINER)
    assert (made["cpu"], made["memory"], made["networkMode"]) == ("256", "512", "awsvpc")
    (container,) = made["containerDefinitions"]  # type: ignore[misc]
    assert container["name"] == "default"
    assert "memory" not in container
    options = container["logConfiguration"]["options"]
    assert options["awslogs-group"] == "/aws/batch/job"
    assert options["awslogs-stream-prefix"] == "work"
    assert options["awslogs-create-group"] == "true"


def test_a_definition_for_instances_has_the_sizes_of_its_container() -> None:
    told = {"image": "i", "vcpus": 2, "memory": 300, "privileged": True, "user": "app"}
    made = a_document(told, fargate=False)
    (container,) = made["containerDefinitions"]  # type: ignore[misc]
    assert (container["cpu"], container["memory"], container["privileged"], container["user"]) == (
        2048,
        300,
        True,
        "app",
    )
    assert "cpu" not in made
    assert made["networkMode"] == "bridge"
    assert a_document(told, fargate=False, nodes=True)["networkMode"] == "awsvpc"


def test_a_log_group_of_ones_own_is_not_made() -> None:
    own = {"logDriver": "awslogs", "options": {"awslogs-group": "mine"}}
    (container,) = a_document({**CONTAINER, "logConfiguration": own})["containerDefinitions"]  # type: ignore[misc]
    options = container["logConfiguration"]["options"]
    assert options["awslogs-group"] == "mine"
    assert "awslogs-create-group" not in options


def test_overrides_say_only_what_differs() -> None:
    base = run_properties(DEFINITION, a_job())
    same = overrides_of(base, base, {"V": "x"}, fargate=True)
    assert same == {"containerOverrides": [{"name": "default", "environment": [{"name": "V", "value": "x"}]}]}
    own = {
        "command": ["true"],
        "environment": [{"name": "A", "value": "2"}],
        "resourceRequirements": [{"type": "MEMORY", "value": "1024"}],
    }
    job = a_job(overrides={"containerOverrides": own}, parameters={"word": "w"})
    made = overrides_of(base, run_properties(DEFINITION, job), {}, fargate=True)
    assert made["memory"] == "1024"
    assert "cpu" not in made
    assert made["containerOverrides"][0]["command"] == ["true"]
    assert made["containerOverrides"][0]["environment"] == [{"name": "A", "value": "2"}]


def an_order(type_: str = "FARGATE", **more: object):
    job = a_job(run=replace(RUN, instance="arn:instance"), **more)
    environment = replace(ENVIRONMENT, resources={**ENVIRONMENT.resources, "type": type_})
    return order_of(
        job,
        replace(DEFINITION, tags={"of": "definition"}),
        environment,
        properties=run_properties(DEFINITION, job),
        overrides={},
        task_definition="arn:d",
        awsvpc=type_ != "EC2",
    )


def test_orders_for_fargate_spot_and_instances() -> None:
    fargate, spot, ec2 = an_order(), an_order("FARGATE_SPOT"), an_order("EC2")
    assert (fargate.launch_type, fargate.provider, fargate.instance) == ("FARGATE", "", "")
    assert fargate.network["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert fargate.platform_version == "LATEST"
    assert spot.provider == "FARGATE_SPOT"
    assert (ec2.launch_type, ec2.instance, ec2.network, ec2.platform_version) == (
        "EC2",
        "arn:instance",
        {},
        "",
    )


def test_tags_are_passed_on_when_that_is_wanted() -> None:
    assert "mine" not in an_order(tags={"mine": "1"}).tags
    passed = an_order(tags={"mine": "1"}, propagate_tags=True).tags
    assert passed["mine"] == "1"
    assert passed["of"] == "definition"
    assert passed["aws:batch:job-queue"] == "queue"


def a_task(status: str, **more: object) -> RanTask:
    told = {"arn": "arn:t", "token": "job/2", "cluster": "c", "definition": "d", "status": status} | more
    return RanTask(**told)  # type: ignore[arg-type]


def test_a_task_that_runs_is_seen_once() -> None:
    job = a_job(run=RUN)
    (seen,) = events_of(a_task("RUNNING", started_at=5.5, interface="eni-1", address="10.0.0.2"), job)
    assert isinstance(seen, Seen)
    assert (seen.running, seen.started_at, seen.interfaces[0]["privateIpv4Address"]) == (
        True,
        5500,
        "10.0.0.2",
    )
    known = replace(job, run=replace(RUN, task="arn:t", started_at=5500, interfaces=seen.interfaces))
    assert not list(
        events_of(a_task("RUNNING", started_at=5.5, interface="eni-1", address="10.0.0.2"), known)
    )


@pytest.mark.parametrize(
    ("code", "told", "reason", "expected"),
    [
        (
            "EssentialContainerExited",
            "Essential container in task exited",
            "",
            "Essential container in task exited",
        ),
        ("TaskFailedToStart", "CannotPull...", "CannotPullContainerError: no", "Task failed to start"),
        ("TaskFailedToStart", "ResourceInitializationError: no", "", "ResourceInitializationError: no"),
        (
            "TerminationNotice",
            "Host EC2 (instance i-1) terminated.",
            "",
            "Host EC2 (instance i-1) terminated.",
        ),
        ("SpotInterruption", "Your Spot Task was interrupted.", "", "Your Spot Task was interrupted."),
    ],
)
def test_an_end_has_awss_reason(code: str, told: str, reason: str, expected: str) -> None:
    container = RanContainer(name="default", status="STOPPED", reason=reason)
    task = a_task("STOPPED", stop_code=code, stopped_reason=told, containers=(container,), stopped_at=9.0)
    (ended,) = events_of(task, a_job(run=RUN))
    assert isinstance(ended, Ended)
    assert ended.attempt.status_reason == expected


def test_a_short_task_is_seen_to_run_before_it_has_ended() -> None:
    task = a_task("STOPPED", started_at=1.0, stopped_at=2.0, stop_code="EssentialContainerExited")
    kinds = [type(one) for one in events_of(task, a_job(run=RUN))]
    assert kinds == [Seen, Ended]


def test_deadlines_come_in_order_and_once() -> None:
    timeouts = Timeouts()
    for name, started in (("late", 5000), ("early", 1000)):
        timeouts.watch(
            a_job(name, timeout=60, run=Run(token=f"{name}/1", environment="e", started_at=started))
        )
    timeouts.watch(a_job("never", run=RUN))
    assert timeouts.next_at() == 61_000
    assert timeouts.due(60_999) == []
    assert timeouts.due(70_000) == [("early", "early/1"), ("late", "late/1")]
    assert timeouts.next_at() is None
