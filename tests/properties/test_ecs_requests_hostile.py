"""What nobody should send to ECS, through the front door: refused by name, and then nothing has changed.

CUMULO_ECS_HOSTILE_EXAMPLES makes it long.
"""

import json
import os
from typing import Any

import botocore.session
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.properties.test_front_door import refused, send, wrong
from tests.support import Process

EXAMPLES = int(os.environ.get("CUMULO_ECS_HOSTILE_EXAMPLES", "200"))
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MODEL = botocore.session.get_session().get_service_model("ecs")
OPERATIONS = sorted(MODEL.operation_names)
CLUSTER = "kept"
HERE = "arn:aws:ecs:us-east-1:000000000000"
HOSTILE = [
    "",
    " ",
    "nothing",
    "x" * 300,
    "x" * 70_000,
    "../../etc/passwd",
    "a/b/c/d",
    "a:b:c",
    "%00",
    "\x00",
    "ünïcödé-☃-𝄞",
    "'; drop table tasks; --",
    "{{constructor}}",
    "arn:",
    "arn:aws:ecs",
    "arn:aws:s3:::bucket",
    "arn:aws:ecs:us-east-1:000000000000:",
    "arn:aws:ecs:us-east-1:000000000000:cluster/",
    "arn:aws:ecs:us-east-1:111122223333:cluster/kept",
    "arn:aws:ecs:eu-west-1:000000000000:cluster/kept",
    "arn:aws:ecs:us-east-1:000000000000:service/kept/web/more",
    "arn:aws:ecs:us-east-1:111122223333:task-definition/web:1",
    "arn:aws:ecs:us-east-1:000000000000:task/other/0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "web:0",
    "web:-1",
    "web:99999999999999999999",
    "web:one",
]
KNOWN = {
    "cluster": [CLUSTER, f"{HERE}:cluster/{CLUSTER}"],
    "clusters": [CLUSTER],
    "service": ["web", f"{HERE}:service/{CLUSTER}/web"],
    "services": ["web"],
    "serviceName": ["web", "another"],
    "taskDefinition": ["web", "web:1", "fargate", f"{HERE}:task-definition/web:1"],
    "taskDefinitions": ["web:1"],
    "family": ["web"],
    "resourceArn": [f"{HERE}:cluster/{CLUSTER}", f"{HERE}:service/{CLUSTER}/web"],
    "capacityProvider": ["FARGATE", "FARGATE_SPOT"],
    "capacityProviders": ["FARGATE"],
    "name": ["app", "containerInsights"],
    "containerName": ["app"],
    "image": ["busybox"],
}
NUMBERS = [-(2**31), -1, 0, 1, 2, 100, 65_536, 2**31 - 1]


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """A cloud without containers, with something in it that must stay as it is."""
    cloud = Process(tmp_path_factory.mktemp("hostile"), "--engine", "none")
    cloud.start()
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
    container = {"name": "app", "image": "busybox", "memory": 64}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.register_task_definition(
        family="fargate",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[container],
    )
    ecs.create_service(cluster=CLUSTER, serviceName="web", taskDefinition="web", desiredCount=0)
    yield cloud
    assert cloud.stop() == 0


def inventory(cloud) -> list[Any]:
    """Everything that a client can have made; nothing that changes by itself."""
    ecs = cloud.client("ecs")
    clusters = ecs.list_clusters()["clusterArns"]
    found: list[Any] = [clusters]
    for first in range(0, len(clusters), 100):
        include = ["TAGS", "SETTINGS", "CONFIGURATIONS"]
        described = ecs.describe_clusters(clusters=clusters[first : first + 100], include=include)
        found += [{k: v for k, v in one.items() if "Count" not in k} for one in described["clusters"]]
    for cluster in clusters:
        found += _services(ecs, cluster)
        found.append(ecs.list_container_instances(cluster=cluster)["containerInstanceArns"])
        for status in ("RUNNING", "STOPPED"):
            tasks = ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
            described = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"] if tasks else []
            found += [one["taskArn"] for one in described if not one["group"].startswith("service:")]
    for status in ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"):
        pages = ecs.get_paginator("list_task_definitions").paginate(status=status)
        found += [arn for page in pages for arn in page["taskDefinitionArns"]]
    found.append(ecs.describe_capacity_providers(include=["TAGS"])["capacityProviders"])
    found.append(ecs.list_account_settings()["settings"])
    return found


def _services(ecs, cluster: str) -> list[Any]:
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    names = [arn for page in pages for arn in page["serviceArns"]]
    kept = (
        "serviceArn",
        "desiredCount",
        "taskDefinition",
        "deploymentConfiguration",
        "tags",
        "loadBalancers",
    )
    found = []
    for first in range(0, len(names), 10):
        described = ecs.describe_services(
            cluster=cluster, services=names[first : first + 10], include=["TAGS"]
        )
        found += [{name: one.get(name) for name in kept} for one in described["services"]]
    return found


def request(cloud, operation: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """One request as it is."""
    headers = {
        "X-Amz-Target": f"{MODEL.metadata['targetPrefix']}.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    return send(cloud, "ecs", "POST", "/", headers, body)


def told(status: int, headers: dict[str, str], body: bytes) -> None:
    """An error with its name and a sentence; AWS has none when the service to be deleted is not there."""
    if json.loads(body) != {"__type": "ServiceNotFoundException"}:
        refused(status, headers, body)


@st.composite
def broken(draw) -> tuple[str, bytes]:
    """A request that the model forbids: one member of a wrong type or beyond its constraints."""
    name = draw(st.sampled_from([n for n in OPERATIONS if MODEL.operation_model(n).input_shape.members]))
    shape = MODEL.operation_model(name).input_shape
    victim = draw(st.sampled_from(sorted(shape.members)))
    body = json.dumps({victim: draw(wrong(shape.members[victim])), "unknownMember": [1, {"a": None}]})
    how = draw(st.integers(0, 9))
    if how == 0:
        body = body[: draw(st.integers(1, len(body) - 1))]
    elif how == 1:
        body = draw(st.sampled_from(["[]", "1", '"text"', "nul", "\x00", '{"a"', "[" * 20_000]))
    return name, body.encode()


@st.composite
def hostile(draw) -> tuple[str, bytes]:
    """A request of the right types with values that nobody should send, among some that are right."""
    name = draw(st.sampled_from(OPERATIONS))
    shape = MODEL.operation_model(name).input_shape
    needed = set(shape.required_members)
    members = {
        member: draw(_value(inner, member))
        for member, inner in shape.members.items()
        if member in needed or draw(st.integers(0, 3)) == 0
    }
    return name, json.dumps(members).encode("utf-8", "surrogatepass")


def _value(shape, name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind == "string":
        choices = list(getattr(shape, "enum", []) or [])
        right = choices or KNOWN.get(name, [])
        bad = st.sampled_from(HOSTILE)
        return st.one_of(st.sampled_from(right), st.sampled_from(right), bad) if right else bad
    if kind in ("integer", "long"):
        return st.sampled_from(NUMBERS)
    if kind in ("double", "float"):
        return st.sampled_from([-1.0, 0.0, 50.0, 1e300])
    if kind == "boolean":
        return st.booleans()
    if kind == "timestamp":
        return st.sampled_from([-1, 0, 1e12])
    if depth > 4:
        return st.just([] if kind == "list" else {})
    if kind == "list":
        return st.lists(_value(shape.member, name, depth + 1), max_size=3)
    if kind == "map":
        return st.dictionaries(
            st.sampled_from(HOSTILE[:12]), _value(shape.value, name, depth + 1), max_size=2
        )
    return _structure(shape, depth)


@st.composite
def _structure(draw, shape, depth: int) -> dict[str, Any]:
    needed = set(shape.required_members)
    return {
        member: draw(_value(inner, member, depth + 1))
        for member, inner in shape.members.items()
        if member in needed or draw(st.integers(0, 3)) == 0
    }


def test_a_request_that_the_model_forbids_is_refused_and_changes_nothing(door):
    before = inventory(door)

    @QUICK
    @given(broken())
    def check(asked):
        refused(*request(door, *asked))

    check()
    assert inventory(door) == before


def test_no_hostile_value_brings_it_down_and_a_refusal_changes_nothing(door):
    states = [inventory(door)]
    seen: set[int] = set()

    @QUICK
    @given(hostile())
    def check(asked):
        status, headers, body = request(door, *asked)
        seen.add(status)
        if status == 200:
            json.loads(body)
            states[0] = inventory(door)
            return
        assert status == 501 or 400 <= status < 500, (asked, status, body[:500])
        told(status, headers, body)
        after = inventory(door)
        assert after == states[0], (asked, body[:300])

    check()
    assert {200, 400} <= seen  # both sides were tried


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_answers_nothing_at_all_and_itself_by_name(door, operation):
    before = inventory(door)
    status, headers, body = request(door, operation, b"{}")
    assert status == 501 or 200 <= status < 500, (operation, status, body[:300])
    if status >= 400:
        told(status, headers, body)
        assert inventory(door) == before
    if status == 501:
        assert operation in json.loads(body)["message"]
