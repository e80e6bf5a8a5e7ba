"""Whatever is asked of environments, queues, policies and tags: no fault of ours, and what is refused has changed nothing.

CUMULO_BATCH_ENVIRONMENTS_EXAMPLES makes it long.
"""

import asyncio
import contextlib
import json
import os
import random
import tempfile
from pathlib import Path

import botocore.session
import msgspec
from hostile_forms import Enemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.batch_capacity_kit import ACCOUNT, EC2, FARGATE, OTHER, REGION, ROLE, SPOT, Site

from cumulo.services.batch.environment_states import Status
from cumulo.wire.http import BytesBody, Headers, Request

EXAMPLES = int(os.environ.get("CUMULO_BATCH_ENVIRONMENTS_EXAMPLES", "8"))
MODEL = botocore.session.Session().get_service_model("batch")
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
OPERATIONS = [
    "CreateComputeEnvironment", "UpdateComputeEnvironment", "UpdateComputeEnvironment", "DeleteComputeEnvironment",
    "DescribeComputeEnvironments", "CreateJobQueue", "UpdateJobQueue", "UpdateJobQueue", "DeleteJobQueue",
    "DescribeJobQueues", "GetJobQueueSnapshot", "CreateSchedulingPolicy", "UpdateSchedulingPolicy",
    "DeleteSchedulingPolicy", "DescribeSchedulingPolicies", "ListSchedulingPolicies", "TagResource", "UntagResource",
    "ListTagsForResource",
]  # fmt: skip
SCOPE = "AWS4-HMAC-SHA256 Credential={}/20240101/us-east-1/batch/aws4_request"
LIMITS = {
    "reason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "state": "RUNNABLE",
    "maxTimeSeconds": 600,
    "action": "CANCEL",
}


GOOD = {
    "CreateComputeEnvironment": [
        {"computeEnvironmentName": name, "type": "MANAGED", "computeResources": resources | {"minvCpus": 2}}
        for name in ("new", "other")
        for resources in (EC2, SPOT)
    ],
    "UpdateComputeEnvironment": [
        {"computeEnvironment": name} | more
        for name in ("env", "spot", "new", "other")
        for more in (
            {"state": "DISABLED"},
            {"state": "DISABLED"},
            {"computeResources": {"minvCpus": 4}},
            {"computeResources": {"desiredvCpus": 6}},
            {"computeResources": {"imageId": "ami-1"}},
            {"computeResources": {"subnets": ["subnet-b"]}, "updatePolicy": {"terminateJobsOnUpdate": True}},
        )
    ],
    "DeleteComputeEnvironment": [{"computeEnvironment": name} for name in ("env", "spot", "new", "other")],
    "CreateJobQueue": [
        {
            "jobQueueName": "new",
            "priority": 2,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": name}],
        }
        for name in ("env", "spot", "new")
    ],
    "UpdateJobQueue": [
        {"jobQueue": name} | more
        for name in ("queue", "fifo", "new")
        for more in ({"state": "DISABLED"}, {"priority": 3})
    ],
    "DeleteJobQueue": [{"jobQueue": name} for name in ("queue", "fifo", "new")],
    "CreateSchedulingPolicy": [{"name": "new"}],
}


def asked(enemy, operation):
    """What an enemy asks; now and then something sensible, with one thing changed."""
    values, good = enemy.input(operation), GOOD.get(operation)
    if good is None or enemy.chance.random() < 0.3:
        return values
    more = dict(enemy.chance.sample(sorted(values.items(), key=lambda item: item[0]), min(len(values), 1)))
    return enemy.chance.choice(good) | (more if enemy.chance.random() < 0.3 else {})


def arns(account):
    start = f"arn:aws:batch:{REGION}:{account}"
    return [f"{start}:compute-environment/env", f"{start}:job-queue/queue", f"{start}:scheduling-policy/fair"]


class Target:
    """A site of two accounts with something of everything."""

    def __init__(self, folder):
        self.site = Site(folder)
        for account in (ACCOUNT, OTHER):
            for name, resources in (("env", EC2), ("spot", SPOT), ("fargate", FARGATE)):
                self.call(
                    "CreateComputeEnvironment",
                    account,
                    computeEnvironmentName=name,
                    type="MANAGED",
                    computeResources=resources,
                )
            self.call("CreateSchedulingPolicy", account, name="fair")
            self.site.settle()
            for name, environment, more in (
                ("queue", "env", {"schedulingPolicyArn": arns(account)[2]}),
                ("fifo", "fargate", {}),
            ):
                order = [{"order": 1, "computeEnvironment": environment}]
                self.call(
                    "CreateJobQueue",
                    account,
                    jobQueueName=name,
                    priority=1,
                    computeEnvironmentOrder=order,
                    **more,
                )
            self.site.settle()
        names = ["env", "spot", "fargate", arns(ACCOUNT)[0], arns(OTHER)[0], "new"]
        queues = ["queue", "fifo", arns(ACCOUNT)[1], arns(OTHER)[1], "new"]
        self.known = {
            "computeEnvironment": names,
            "computeEnvironments": [["env"], names],
            "computeEnvironmentName": ["new", "other", "env", "a b"],
            "computeEnvironmentOrder": [
                [{"order": 1, "computeEnvironment": "env"}],
                [{"order": 1, "computeEnvironment": "env"}, {"order": 2, "computeEnvironment": "spot"}],
                [{"order": 1, "computeEnvironment": "env"}, {"order": 2, "computeEnvironment": "fargate"}],
                [],
            ],
            "computeResources": [EC2, SPOT, FARGATE, {"maxvCpus": 4}, {"desiredvCpus": 4}, {"instanceTypes": ["m5"]}, {"minvCpus": 2},
                                 {"imageId": "ami-1"}, {"type": "SPOT"}, {"subnets": []}, {"launchTemplate": {"launchTemplateId": "lt-mime"}}],
            "jobQueue": queues,
            "jobQueues": [["queue"], queues],
            "jobQueueName": ["new", "other", "queue", "é"],
            "jobQueueType": ["ECS", "ECS_FARGATE", "EKS"],
            "jobStateTimeLimitActions": [[LIMITS], [LIMITS, LIMITS], []],
            "schedulingPolicyArn": [arns(ACCOUNT)[2], arns(OTHER)[2], arns(ACCOUNT)[1], ""],
            "arn": [arns(ACCOUNT)[2], arns(OTHER)[2], "x"],
            "arns": [[arns(ACCOUNT)[2], arns(OTHER)[2]], ["x"]],
            "name": ["fair", "new", "a b"],
            "resourceArn": [*arns(ACCOUNT), *arns(OTHER), "arn:aws:batch:us-east-1:1:job/x", "x"],
            "tags": [{"a": "b"}, {}, {"aws:x": "y"}, {"": ""}],
            "tagKeys": [["a"], ["b", "c"]],
            "type": ["MANAGED"] * 6 + ["UNMANAGED", "EC2", "SPOT", "FARGATE"],
            "state": ["ENABLED"] * 3 + ["DISABLED"] * 3 + ["x"],
            "serviceRole": [ROLE, "batch", "", "arn:aws:iam::1:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"],
            "priority": [1, 0, -1, 2**31],
            "maxResults": [1, 100, 101, 0, -1],
            "nextToken": ["", "x", "AAAA"],
            "weightFactor": [0.5, 0.0, 1000.0, 1e308],
            "shareIdentifier": ["a", "a*", "b", "*", "a b"],
            "shareDecaySeconds": [0, 600, 2**31, -1],
            "computeReservation": [0, 99, 100, -1],
            "instanceTypes": [["m5.large"], ["optimal"], ["m6g"], ["m5", "m6g"], ["x9"], ["../.."], []],
            "launchTemplateId": ["lt-mime", ""],
        }  # fmt: skip

    def call(self, operation, account, **values):
        answer = self.ask(operation, values, account)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def ask(self, operation, values, account=ACCOUNT, body=None):
        http = MODEL.operation_model(operation).http
        path, values = http["requestUri"], dict(values)
        query = ""
        if "{resourceArn}" in path:
            from urllib.parse import quote, urlencode

            path = path.replace("{resourceArn}", quote(str(values.pop("resourceArn", "x")), safe=""))
            keys = values.pop("tagKeys", None)
            if http["method"] == "DELETE":
                query = (
                    urlencode([("tagKeys", str(key)) for key in keys])
                    if isinstance(keys, list)
                    else "tagKeys=a"
                )
        data = json.dumps(values).encode() if body is None else body
        headers = Headers(
            [
                (b"authorization", SCOPE.format(account).encode()),
                (b"content-type", b"application/json"),
                (b"host", b"127.0.0.1:4566"),
            ]
        )
        request = Request(http["method"], path, query, headers, BytesBody(data))
        return asyncio.run(self.site.door(request))

    def state(self):
        """Everything that is kept, of everybody."""
        resources = self.site.house.resources
        shelves = (resources.environments, resources.queues, resources.policies)
        return [sorted(msgspec.json.encode(one) for one in shelf.all()) for shelf in shelves]


@contextlib.contextmanager
def a_target():
    with tempfile.TemporaryDirectory() as folder:
        made = Target(Path(folder))
        try:
            yield made
        finally:
            made.site.close()


def of_others(state):
    return [[one for one in kept if OTHER.encode() in one] for kept in state]


def consistent(site):
    """What must hold of what is kept, whatever was asked."""
    resources = site.house.resources
    for queue in resources.queues.all():
        found = [resources.environments.get(arn) for arn in queue.environments]
        assert all(found), "a queue's environments are there"
        assert len({one.is_fargate for one in found}) == 1
        assert not queue.policy or resources.policies.get(queue.policy) is not None
    for environment in resources.environments.all():
        if environment.has_instances:
            shown = environment.resources
            assert shown["minvCpus"] <= shown["desiredvCpus"] <= shown["maxvCpus"]


@MANY
@given(st.integers(0, 2**64))
def test_no_request_is_answered_with_a_fault_and_what_is_refused_changes_nothing(seed):
    chance = random.Random(seed)
    with a_target() as target:
        enemy = Enemy(MODEL, target.known, chance, OPERATIONS)
        before = target.state()
        strangers = of_others(before)
        for _ in range(60):
            operation = enemy.operation()
            values = asked(enemy, operation)
            answer = target.ask(operation, values)
            after = target.state()
            assert answer.status < 500 or answer.status == 501, (operation, answer.body, values)
            if answer.status >= 400:
                assert after == before, (operation, answer.body, values)
            if answer.status == 400:
                assert dict(answer.headers)["x-amzn-ErrorType"] == "ClientException", (
                    operation,
                    answer.headers,
                )
            assert of_others(after) == strangers, (operation, values)
            if chance.random() < 0.4:
                target.site.settle(50)
                target.site.decide()
            consistent(target.site)
            before = target.state()


@MANY
@given(st.integers(0, 2**64))
def test_with_a_kill_at_any_moment_everything_comes_to_rest(seed):
    """Random requests, kills, outages and joining instances: at the end nothing is under way, nothing runs for nobody."""
    chance = random.Random(seed)
    with a_target() as target:
        site = target.site
        enemy = Enemy(MODEL, target.known, chance, OPERATIONS)
        for _ in range(40):
            operation = enemy.operation()
            target.ask(operation, asked(enemy, operation))
            event = chance.random()
            if event < 0.1:
                site.again()
            elif event < 0.2:
                site.ec2.down = not site.ec2.down
            elif event < 0.5:
                site.settle(50)
                site.decide()
            elif event < 0.7:
                site.join_known()
            elif event < 0.8 and site.ec2.alive():
                site.ec2.put(chance.choice(site.ec2.alive()), chance.choice(("terminated", "stopped")))
                site.hear()
            elif event < 0.9:
                site.pass_time(chance.choice((1, 20, 400)))
        site.ec2.down = False
        for _ in range(20):
            site.pass_time(200)
            site.join_known()
            site.decide()
        consistent(site)
        resources = site.house.resources
        known = {one.uuid: one for one in resources.environments.all()}
        for one in (*resources.environments.all(), *resources.queues.all()):
            assert one.status in (Status.VALID, Status.INVALID), one
        for id_ in site.ec2.alive():
            environment = known.get(site.ec2.all[id_].tags["cumulo:batch:environment"])
            assert environment is not None, "no instance is nobody's"
            if environment.status == Status.VALID:
                generation = int(site.ec2.all[id_].tags["cumulo:batch:generation"])
                assert generation == environment.generation
        clusters = {one.cluster for one in known.values() if one.cluster}
        assert set(site.ecs.clusters) == clusters
