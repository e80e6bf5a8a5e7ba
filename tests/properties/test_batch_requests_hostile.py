"""What nobody should send to Batch about jobs: refused by name, and then nothing has changed.

CUMULO_BATCH_HOSTILE_EXAMPLES makes it long.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.door_kit import whole
from tests.properties.test_front_door import wrong
from tests.unit.wire.wire_door import request as as_request

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "batch"))
from batch_jobs_kit import ACCOUNT, CONTAINER, REGION, cloud

EXAMPLES = int(os.environ.get("CUMULO_BATCH_HOSTILE_EXAMPLES", "400"))
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MODEL = botocore.session.get_session().get_service_model("batch")
OPERATIONS = [
    "CancelJob",
    "DeregisterJobDefinition",
    "DescribeJobDefinitions",
    "DescribeJobs",
    "ListJobs",
    "RegisterJobDefinition",
    "SubmitJob",
    "TerminateJob",
]
HOSTILE = [
    "",
    " ",
    "nothing",
    "x" * 300,
    "x" * 70_000,
    "../../etc/passwd",
    "a:b:c",
    ":",
    "#0",
    "%00",
    "\x00",
    "ünïcödé-☃-𝄞",
    "\ud800",
    "'; drop table jobs; --",
    "arn:",
    "arn:aws:batch",
    f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/",
    f"arn:aws:batch:{REGION}:111122223333:job-definition/work:1",
    f"arn:aws:batch:{REGION}:{ACCOUNT}:job/",
    "work:0",
    "work:99999999999999999999",
    "0:",
    "3:1",
    "9999999:",
    "-1",
    "1e5",
    "Ref::",
    "*",
]
KNOWN = {
    "jobName": ["job"],
    "jobQueue": ["queue", "fair", "fargate"],
    "jobDefinition": ["work", "work:1", "nodes"],
    "jobDefinitionName": ["another"],
    "jobDefinitions": ["work:1"],
    "jobs": ["JOB", "JOB:0", "NODES#0"],
    "jobId": ["JOB", "JOB:1", "NODES", "NODES#1"],
    "arrayJobId": ["JOB"],
    "multiNodeJobId": ["NODES"],
    "image": ["busybox"],
    "name": ["app", "JOB_NAME", "CREATED_AT"],
    "value": ["1", "512", "0.25"],
    "targetNodes": ["0:", "0:1", "1"],
    "reason": ["because"],
    "shareIdentifier": ["team"],
    "onExitCode": ["1*"],
    "executionRoleArn": ["arn:aws:iam::1:role/x"],
    "platformCapabilities": ["EC2", "FARGATE"],
}
NUMBERS = [-(2**31), -1, 0, 1, 2, 60, 10_000, 2**31 - 1]
READING = ("Describe", "List")


@pytest.fixture(scope="module")
def it(tmp_path_factory):
    """A cloud with something in it that must stay as it is."""
    with cloud(tmp_path_factory.mktemp("hostile")) as made:
        made.register()
        made.client.register_job_definition(
            jobDefinitionName="nodes",
            type="multinode",
            nodeProperties={
                "numNodes": 2,
                "mainNode": 0,
                "nodeRangeProperties": [{"targetNodes": "0:", "container": CONTAINER}],
            },
        )
        made.job = made.submit(arrayProperties={"size": 3})
        made.nodes = made.submit(definition="nodes")
        yield made


def inventory(it) -> list[Any]:
    """Everything that is kept."""
    jobs = [job for _, job in sorted(it.store.table("batch_jobs", object).items())]
    return [*jobs, *it.definitions.all(ACCOUNT, REGION)]


def send(it, name: str, body: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    path = MODEL.operation_model(name).http["requestUri"]
    asked = as_request(
        "POST", path, body, service="batch", key=ACCOUNT, headers=[("content-type", "application/json")]
    )
    answer = asyncio.run(whole(it.door, asked))
    headers = {key.lower(): value for key, value in dict(answer.headers).items()}
    return answer.status, headers, json.loads(answer.body or b"{}")


def told(status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
    assert 400 <= status < 500 or status == 501, (status, body)
    assert headers.get("x-amzn-errortype"), (headers, body)
    message = body.get("message", body.get("Message", ""))
    assert message, body
    assert "Traceback" not in message


@st.composite
def broken(draw) -> tuple[str, bytes]:
    """A request that the model forbids: one member of a wrong type or beyond its constraints."""
    name = draw(st.sampled_from(OPERATIONS))
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
def hostile(draw) -> tuple[str, dict[str, Any]]:
    """A request of the right types with values that nobody should send, among some that are right."""
    name = draw(st.sampled_from(OPERATIONS))
    return name, draw(_structure(MODEL.operation_model(name).input_shape, 0))


@st.composite
def _structure(draw, shape, depth: int) -> dict[str, Any]:
    needed = set(shape.required_members)
    return {
        member: draw(_value(inner, member, depth))
        for member, inner in shape.members.items()
        if member in needed or (draw(st.integers(0, 3)) == 0 and depth < 6)
    }


def _value(shape, name: str, depth: int) -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind == "string":
        right = list(getattr(shape, "enum", []) or []) or KNOWN.get(name, [])
        bad = st.sampled_from(HOSTILE)
        return st.one_of(st.sampled_from(right), st.sampled_from(right), bad) if right else bad
    if kind in ("integer", "long"):
        return st.sampled_from(NUMBERS)
    if kind in ("double", "float"):
        return st.sampled_from([-1.0, 0.0, 1e300])
    if kind == "boolean":
        return st.booleans()
    if kind == "list":
        return st.lists(_value(shape.member, name, depth + 1), max_size=3)
    if kind == "map":
        keys = st.sampled_from(HOSTILE[:6])
        return st.dictionaries(keys, _value(shape.value, name, depth + 1), max_size=2)
    return _structure(shape, depth + 1)


def named(it, values: Any) -> Any:
    """The values with the ids of the jobs that are there."""
    text = json.dumps(values)
    return json.loads(text.replace('"JOB', f'"{it.job}').replace('"NODES', f'"{it.nodes}'))


def test_a_broken_request_is_refused_and_changes_nothing(it):
    before = inventory(it)

    @QUICK
    @given(broken())
    def check(request):
        told(*send(it, *request))

    check()
    assert inventory(it) == before


def test_a_hostile_request_is_answered_and_a_refused_one_changes_nothing(it):
    done = 0

    @QUICK
    @given(hostile())
    def check(request):
        nonlocal done
        name, values = request
        before = inventory(it)
        status, headers, body = send(it, name, json.dumps(named(it, values)).encode("utf-8", "surrogatepass"))
        if status == 200:
            done += 1
            if name.startswith(READING):
                assert inventory(it) == before
            return
        told(status, headers, body)
        assert inventory(it) == before, (name, values)

    check()
    assert done


def test_every_job_that_hostile_requests_made_can_be_shown(it):
    for job in it.store.table("batch_jobs", object).items():
        assert it.show(job[0])["jobId"] == job[0]
    shown = it.client.describe_job_definitions()["jobDefinitions"]
    assert len(shown) >= 2
