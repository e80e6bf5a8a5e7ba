"""Whatever is asked of Application Auto Scaling: no answer is a fault of ours, and what is refused has changed nothing."""

import asyncio
import contextlib
import json
import random
import tempfile
from pathlib import Path

import botocore.session
import msgspec
import pytest
from hostile_forms import Enemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.services.application_autoscaling.house import ScalingHouse
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.http import BytesBody, Headers, Request, Response
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models

MODEL = botocore.session.Session().get_service_model("application-autoscaling")
MANY = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
OPERATIONS = [name for name in MODEL.operation_names if name != "DeregisterScalableTarget"]
SCOPE = "AWS4-HMAC-SHA256 Credential={}/20240101/us-east-1/application-autoscaling/aws4_request"
WEB = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/web/app",
    "ScalableDimension": "ecs:service:DesiredCount",
}


class World:
    """Services that exist, and a CloudWatch that keeps alarms."""

    def __init__(self):
        self.alarms = {}

    def desired_count(self, account, region, resource):
        return 2 if resource.startswith("service/web/") else None

    async def set_desired_count(self, account, region, resource, count):
        raise AssertionError("nobody scales")

    async def statistic(self, account, region, **which):
        return []

    async def put(self, account, region, namespace, data):
        raise AssertionError("it only reads")

    async def put_alarm(self, account, region, alarm):
        self.alarms[account, alarm.name] = alarm

    async def delete_alarms(self, account, region, names):
        for name in names:
            self.alarms.pop((account, name), None)

    async def alarms_with(self, account, region, action):
        return [one for (whose, _), one in self.alarms.items() if whose == account and action in one.actions]

    async def set_alarm_state(self, account, region, name, state, reason):
        raise AssertionError("nobody scales")


class Site:
    """A house of two accounts with something of everything."""

    def __init__(self, path):
        self.loop = asyncio.new_event_loop()
        self.store = Store(path / "store.db", synchronous="OFF")
        self.world, clock = World(), VirtualClock(1_800_000_000.0)
        self.house = ScalingHouse(
            store=self.store,
            clock=clock,
            ids=Ids(),
            services=self.world,
            metrics=self.world,
            alarms=self.world,
        )

        async def nobody(_request):
            return Response(299, [], b"")

        self.door = Door(
            {"application-autoscaling": self.house.service()},
            nobody,
            models=Models(),
            keys=Keys(store=self.store, clock=clock, ids=Ids()),
            ids=Ids(),
            clock=clock,
            verify=False,
            account="111111111111",
            region="us-east-1",
        )
        arns = [self._fill(account) for account in ("111111111111", "222222222222")]
        self.known = {
            "ServiceNamespace": ["ecs"] * 8 + ["dynamodb", "rds", "nobody"],
            "ResourceId": ["service/web/app"] * 6 + ["service/web/new", "service/web", "service/x/y", "table/t", "/"],
            "ResourceIds": [["service/web/app"], ["x"] * 60],
            "ScalableDimension": ["ecs:service:DesiredCount"] * 8 + ["dynamodb:table:ReadCapacityUnits"],
            "PolicyName": ["follow", "steps", "new", "", "x" * 257, "a\u0000b"],
            "PolicyNames": [["follow"], ["nobody"]],
            "ScheduledActionName": ["noon", "new"],
            "ScheduledActionNames": [["noon"]],
            "ResourceARN": [*arns[0], *arns[1], "arn:x"],
            "Schedule": ["cron(0 12 * * ? *)", "rate(1 day)", "rate(0 days)", "at(2030-01-01T00:00:00)", "cron(*)", "at(x)"],
            "Timezone": ["Europe/Berlin", "Mars/Base", ""],
            "MinCapacity": [0, 1, 5, -1, 2**31],
            "MaxCapacity": [1, 10, 0, -1],
            "TargetValue": [50.0, 0.0, -1.0, 1e308],
            "ResourceLabel": ["app/a/1/targetgroup/b/2", "app", ""],
            "ScalingAdjustment": [1, -1, 0, 2**31 - 1],
            "MetricIntervalLowerBound": [0.0, 10.0, -5.0],
            "MetricIntervalUpperBound": [0.0, 10.0, 20.0],
            "NextToken": ["", "x", "AAAA"],
            "MaxResults": [1, 50, 51, 0, -1],
        }  # fmt: skip

    def _fill(self, account):
        def call(operation, **values):
            answer = self.ask(operation, json.dumps(WEB | values).encode(), account)
            assert answer.status == 200, answer.body
            return json.loads(answer.body)

        arn = call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=4)["ScalableTargetARN"]
        follow = {
            "TargetValue": 50.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        }
        steps = {
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        }
        call(
            "PutScalingPolicy",
            PolicyName="follow",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=follow,
        )
        call(
            "PutScalingPolicy",
            PolicyName="steps",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration=steps,
        )
        call(
            "PutScheduledAction",
            ScheduledActionName="noon",
            Schedule="cron(0 12 * * ? *)",
            ScalableTargetAction={"MinCapacity": 2},
        )
        return [arn]

    def ask(self, operation, body, account="111111111111"):
        headers = Headers(
            [
                (b"authorization", SCOPE.format(account).encode()),
                (b"content-type", b"application/x-amz-json-1.1"),
                (b"x-amz-target", f"AnyScaleFrontendService.{operation}".encode()),
                (b"host", b"127.0.0.1:4566"),
            ]
        )
        return self.loop.run_until_complete(self.door(Request("POST", "/", "", headers, BytesBody(body))))

    def state(self):
        """Everything that is kept, of everybody, and the alarms."""
        records = self.house._records
        tables = (records.targets, records.policies, records.actions)
        kept = [sorted(msgspec.json.encode(one) for one in table.scan()) for table in tables]
        return [*kept, sorted(repr(one) for one in self.world.alarms.items())]

    def close(self):
        self.loop.run_until_complete(self.store.close())
        self.loop.close()


@contextlib.contextmanager
def a_site():
    with tempfile.TemporaryDirectory() as folder:
        made = Site(Path(folder))
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def site():
    with a_site() as made:
        yield made


def others(state):
    return [[one for one in kept if "222222222222" in str(one)] for kept in state]


@MANY
@given(st.integers(0, 2**64))
def test_no_request_is_answered_with_a_fault_and_what_is_refused_changes_nothing(seed):
    with a_site() as site:
        assail(site, seed)


def assail(site, seed):
    enemy = Enemy(MODEL, site.known, random.Random(seed), OPERATIONS)
    before = site.state()
    strangers = others(before)
    for _ in range(60):
        operation = enemy.operation()
        body = json.dumps(enemy.input(operation)).encode()
        answer = site.ask(operation, body)
        after = site.state()
        assert answer.status < 500 or answer.status == 501, (operation, answer.body, body)
        if answer.status >= 400:
            assert after == before, (operation, answer.body, body)
            assert json.loads(answer.body)["__type"]
        assert others(after) == strangers, (operation, body)
        before = after


@MANY
@given(st.binary(max_size=200), st.sampled_from(sorted(MODEL.operation_names)))
def test_bytes_that_are_no_json_change_nothing(site, junk, operation):
    before = site.state()
    answer = site.ask(operation, junk)
    assert answer.status < 500 or answer.status == 501, (operation, answer.body, junk)
    assert site.state() == before
