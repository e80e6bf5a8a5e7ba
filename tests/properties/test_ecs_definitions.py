"""Task definitions, strategies and the price of a task: what holds for every input."""

import asyncio
import math
import tempfile
from collections import defaultdict
from pathlib import Path

import botocore.session
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.definitions import fargate, sizes
from cumulo.services.ecs.definitions.attributes import INSTANCE_ATTRIBUTES
from cumulo.services.ecs.definitions.registry import LEAVES_AFTER_SECONDS, Definitions
from cumulo.services.ecs.definitions.rules import definition_document
from cumulo.services.ecs.metering import LEAST_SECONDS, paid_until, usages
from cumulo.services.ecs.model import Task
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.strategies import checked_strategy
from cumulo.state.store import Store

CALLER = Caller(account="123456789012", region="eu-west-1")
MODEL = botocore.session.Session().get_service_model("ecs")
SHAPE = MODEL.operation_model("RegisterTaskDefinition").input_shape
READ_ONLY = ("requiresAttributes", "compatibilities")

# Few words, so that names meet; some that rules look for.
WORDS = st.sampled_from(
    [
        "",
        "a",
        "b",
        "a b",
        "CMD",
        "CMD-SHELL",
        "256",
        "512",
        "1 vCPU",
        "2 GB",
        "net.ipv4.tcp_syncookies",
        "awslogs-group",
        "arn:aws:s3:::bucket/key.env",
        "arn:aws:iam::123456789012:role/r",
        "8080-8090",
        "/data",
        "SYS_PTRACE",
        "mode",
    ]
)
NUMBERS = st.sampled_from([-1, 0, 1, 5, 6, 21, 60, 64, 80, 120, 256, 512, 65_535, 65_536, 2**31 - 1])


def of_shape(shape):
    """Anything that the model lets through."""
    kind = shape.type_name
    if kind == "structure":
        needed = {
            name: of_shape(member) for name, member in shape.members.items() if name in shape.required_members
        }
        others = {name: member for name, member in shape.members.items() if name not in needed}
        return st.fixed_dictionaries(
            needed,
            optional={
                name: st.deferred(lambda member=member: of_shape(member)) for name, member in others.items()
            },
        )
    if kind == "list":
        return st.lists(st.deferred(lambda: of_shape(shape.member)), max_size=2)
    if kind == "map":
        return st.dictionaries(WORDS, WORDS, max_size=2)
    if kind == "boolean":
        return st.booleans()
    if kind in ("integer", "long"):
        return NUMBERS
    return st.sampled_from(shape.enum) if shape.enum else WORDS


@st.composite
def sparse(draw, shape):
    """The same, with few members, so that some are accepted."""
    members = {name: member for name, member in shape.members.items() if name not in shape.required_members}
    chosen = draw(st.lists(st.sampled_from(sorted(members)), max_size=3, unique=True))
    return {name: draw(of_shape(members[name])) for name in chosen}


@st.composite
def requests(draw):
    """Requests that are nearly right."""
    container = SHAPE.members["containerDefinitions"].member
    containers = [
        draw(sparse(container)) | {"name": name, "image": "busybox", "memory": 64}
        for name in draw(st.sampled_from([["a"], ["a", "b"]]))
    ]
    values = draw(sparse(SHAPE)) | {"family": "f", "containerDefinitions": containers}
    values.pop("tags", None)
    return values


def outcome(values):
    """The document, or None when AWS would refuse."""
    try:
        return definition_document(values, CALLER)
    except AwsError as refused:
        error = refused
    assert error.code in ("ClientException", "InvalidParameterException", "NotImplemented")
    assert error.message
    return None


@settings(max_examples=200, deadline=None)
@given(of_shape(SHAPE), of_shape(SHAPE.members["containerDefinitions"].member))
def test_whatever_the_model_lets_through_is_registered_or_refused(values, container):
    outcome(values)
    named = container | {"name": "a", "image": "busybox", "memory": 64}
    outcome(values | {"family": "f", "containerDefinitions": [named]})
    outcome({"family": "f", "containerDefinitions": [named]})


@settings(max_examples=250, deadline=None)
@given(requests())
def test_what_was_described_can_be_registered_again_and_stays_the_same(values):
    document = outcome(values)
    assume(document is not None)
    again = {name: value for name, value in document.items() if name not in READ_ONLY}
    assert definition_document({"family": "f", **again}, CALLER) == document


@settings(max_examples=200, deadline=None)
@given(requests())
def test_the_document_keeps_what_the_client_said(values):
    document = outcome(values)
    assume(document is not None)
    for asked, shown in zip(values["containerDefinitions"], document["containerDefinitions"], strict=True):
        rewritten = ("portMappings", "healthCheck")
        assert {k: v for k, v in asked.items() if k not in rewritten} == {
            k: v for k, v in shown.items() if k in asked and k not in rewritten
        }
    assert any(one["essential"] for one in document["containerDefinitions"])
    fargate_able = "FARGATE" in document["compatibilities"]
    assert fargate_able or "FARGATE" not in document.get("requiresCompatibilities", ())
    if fargate_able:
        assert fargate.has_size(int(document["cpu"]), int(document["memory"]))


@given(st.integers(1, 40_000), st.integers(1, 260_000))
def test_fargate_has_the_sizes_that_aws_lists(cpu, memory):
    gib, rest = divmod(memory, 1024)
    whole = rest == 0
    listed = {
        256: memory in (512, 1024, 2048),
        512: whole and 1 <= gib <= 4,
        1024: whole and 2 <= gib <= 8,
        2048: whole and 4 <= gib <= 16,
        4096: whole and 8 <= gib <= 30,
        8192: whole and 16 <= gib <= 60 and gib % 4 == 0,
        16384: whole and 32 <= gib <= 120 and gib % 8 == 0,
        32768: whole and gib in (60, 120, 244),
    }
    assert fargate.has_size(cpu, memory) == listed.get(cpu, False)
    for wanted, is_there in listed.items():
        assert fargate.has_size(wanted, memory) == is_there


@given(st.integers(1, 192), st.sampled_from(["vCPU", "vcpu", " vCPU", " VCPU ", "vCPUs"]))
def test_processors_and_units_mean_the_same(count, suffix):
    assert sizes.cpu_units(f"{count}{suffix}") == sizes.cpu_units(str(count * 1024)) == count * 1024


@given(st.integers(1, 1000), st.sampled_from(["GB", "gb", " GB", " GiB "]))
def test_gigabytes_and_mebibytes_mean_the_same(count, suffix):
    assert sizes.memory_mib(f"{count}{suffix}") == sizes.memory_mib(str(count * 1024)) == count * 1024


@given(st.text(max_size=12))
def test_a_size_is_a_positive_number_or_none_at_all(text):
    for size in (sizes.cpu_units(text), sizes.memory_mib(text)):
        assert size is None or size > 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_dependencies_are_accepted_when_there_is_an_order_to_start_in(edges):
    names = [f"c{number}" for number in range(6)]
    containers = [
        {
            "name": name,
            "image": "busybox",
            "memory": 64,
            "dependsOn": [
                {"containerName": names[wanted], "condition": "START"}
                for waits, wanted in edges
                if waits == number
            ],
        }
        for number, name in enumerate(names)
    ]
    left, started = set(range(6)), set()
    while ready := {one for one in left if all(wanted in started for waits, wanted in edges if waits == one)}:
        started |= ready
        left -= ready
    assert (outcome({"family": "f", "containerDefinitions": containers}) is None) == bool(left)


ITEMS = st.lists(
    st.fixed_dictionaries(
        {"capacityProvider": st.sampled_from(["FARGATE", "FARGATE_SPOT", "one", "two"])},
        optional={"weight": st.integers(0, 3), "base": st.integers(0, 2)},
    ),
    max_size=4,
)


@given(ITEMS, st.sets(st.sampled_from(["FARGATE", "FARGATE_SPOT", "one", "two"])))
def test_an_accepted_strategy_can_always_be_carried_out(items, associated):
    try:
        strategy = checked_strategy(items, associated)
    except AwsError:
        return
    assert [one["capacityProvider"] for one in strategy] == [one["capacityProvider"] for one in items]
    assert {one["capacityProvider"] for one in strategy} <= associated
    assert not strategy or sum(one["weight"] for one in strategy) > 0
    assert sum(1 for one in strategy if one["base"]) <= 1
    assert len({one["capacityProvider"].startswith("FARGATE") for one in strategy}) <= 1


@given(
    st.floats(0, 4e9).map(lambda at: round(at, 3)),
    st.floats(0, 1e6).map(lambda lived: round(lived, 3)),
    st.lists(st.floats(-0.1, 1.0), max_size=10),
)
def test_a_task_costs_the_same_however_often_it_is_charged(start, lived, cuts):
    until = start
    for cut in sorted(cuts):
        after = paid_until(start, until, start + cut * lived, ends=False)
        assert until <= after <= max(start, start + cut * lived) + 1e-3
        until = after
    total = paid_until(start, until, start + lived, ends=True) - start
    assert total == pytest.approx(max(LEAST_SECONDS, math.ceil(lived)), abs=1e-3)


@given(st.integers(1, 10**6), st.integers(0, 200), st.booleans())
def test_usage_is_in_proportion_to_time(seconds, storage, public):
    task = Task(
        account="1",
        region="r",
        id="i",
        arn="arn:aws:ecs:r:1:task/c/i",
        cluster_arn="arn:aws:ecs:r:1:cluster/c",
        definition_arn="d",
        cpu_units=1024,
        memory_mib=2048,
        ephemeral_gib=storage,
        network={"awsvpcConfiguration": {"assignPublicIp": "ENABLED" if public else "DISABLED"}},
    )
    found = {one.kind: one.quantity for one in usages(task, "x86", 0.0, seconds)}
    assert found.pop("fargate_linux_x86_vcpu") == pytest.approx(seconds / 3600)
    assert found.pop("fargate_linux_x86_gb") == pytest.approx(2 * seconds / 3600)
    assert found.pop("fargate_ephemeral_storage", 0) == pytest.approx(max(0, storage - 20) * seconds / 3600)
    assert found.pop("public_ipv4", 0) == pytest.approx(seconds / 3600 if public else 0)
    assert not found


def test_instances_can_do_what_a_plain_definition_asks_for():
    document = definition_document(
        {
            "family": "f",
            "taskRoleArn": "r",
            "executionRoleArn": "r",
            "networkMode": "awsvpc",
            "containerDefinitions": [
                {
                    "name": "a",
                    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a",
                    "memory": 64,
                    "memoryReservation": 32,
                    "dockerLabels": {"a": "b"},
                    "healthCheck": {"command": ["CMD", "true"]},
                    "stopTimeout": 5,
                    "restartPolicy": {"enabled": True},
                    "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/k.env"}],
                    "secrets": [
                        {"name": "A", "valueFrom": "a"},
                        {"name": "B", "valueFrom": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:b"},
                    ],
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {"awslogs-group": "g", "awslogs-region": "eu-west-1"},
                    },
                    "linuxParameters": {
                        "initProcessEnabled": True,
                        "tmpfs": [{"containerPath": "/t", "size": 1}],
                    },
                }
            ],
            "volumes": [
                {"name": "d", "dockerVolumeConfiguration": {}},
                {
                    "name": "e",
                    "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"},
                },
            ],
        },
        CALLER,
    )
    required = {one["name"] for one in document["requiresAttributes"]}
    assert len(required) > 15
    assert required <= set(INSTANCE_ATTRIBUTES)


class Ledger:
    """What ought to be there: statuses by family and number, and the last number of each family."""

    def __init__(self):
        self.status = {}
        self.last = defaultdict(int)
        self.asked_at = {}

    def of_status(self, status):
        return [
            f"{family}:{number}" for (family, number), one in sorted(self.status.items()) if one == status
        ]

    def families(self):
        return sorted({family for family, _ in self.status})


class Catalog:
    """The operations on a store that can be opened again."""

    def __init__(self, path):
        self.path = path
        self.clock = VirtualClock()
        self.open()

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.definitions = Definitions(Records(self.store), self.clock, lambda _key: "")

    async def listed(self, status):
        answer = await self.definitions.list_(CALLER, {"status": status})
        return [arn.rpartition("/")[2] for arn in answer["taskDefinitionArns"]]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["register", "register", "deregister", "delete", "wait", "restart"]),
        st.sampled_from(["a", "ab", "b"]),
        st.integers(1, 4),
    ),
    max_size=30,
)


async def _step(catalog, ledger, step, family, number):
    key, text = (family, number), f"{family}:{number}"
    definitions = catalog.definitions
    if step == "register":
        values = {"family": family, "containerDefinitions": [{"name": "a", "image": "i", "memory": 64}]}
        made = await definitions.register(CALLER, values)
        ledger.last[family] += 1
        assert made["taskDefinition"]["revision"] == ledger.last[family]
        ledger.status[family, ledger.last[family]] = "ACTIVE"
    elif step == "deregister":
        if ledger.status.get(key) in ("ACTIVE", "INACTIVE"):
            await definitions.deregister(CALLER, {"taskDefinition": text})
            ledger.status[key] = "INACTIVE"
        else:
            with pytest.raises(AwsError):
                await definitions.deregister(CALLER, {"taskDefinition": text})
    elif step == "delete":
        answer = await definitions.delete(CALLER, {"taskDefinitions": [text]})
        gone = ledger.status.get(key) in ("INACTIVE", "DELETE_IN_PROGRESS")
        assert bool(answer["taskDefinitions"]) == gone == (not answer["failures"])
        if gone:
            ledger.status[key] = "DELETE_IN_PROGRESS"
            ledger.asked_at.setdefault(key, catalog.clock.now())
    elif step == "wait":
        catalog.clock.advance(LEAVES_AFTER_SECONDS / number)
        for left in [
            k for k, at in ledger.asked_at.items() if catalog.clock.now() - at >= LEAVES_AFTER_SECONDS
        ]:
            ledger.status.pop(left, None)
    else:
        await catalog.store.close()
        catalog.open()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_numbers_only_grow_and_lists_are_always_right(steps):
    async def story(catalog):
        ledger = Ledger()
        for step, family, number in steps:
            await _step(catalog, ledger, step, family, number)
            for status in ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"):
                assert await catalog.listed(status) == ledger.of_status(status)
            assert (await catalog.definitions.families(CALLER, {}))["families"] == ledger.families()
        await catalog.store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Catalog(Path(folder))))
