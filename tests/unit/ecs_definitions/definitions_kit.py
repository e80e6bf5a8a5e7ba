"""The basic nouns of ECS behind a real door, and botocore's client of them, on a clock that stands still."""

import asyncio
import contextlib

import msgspec
import pytest
from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.services.ecs.account_settings import AccountSettings
from cumulo.services.ecs.arns import arn, definition_arn
from cumulo.services.ecs.clusters import Clusters
from cumulo.services.ecs.definitions.registry import Definitions
from cumulo.services.ecs.model import (
    CapacityProvider,
    ContainerInstance,
    Service,
    Task,
    TaskContainer,
    TaskStatus,
)
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.tags import TagOperations
from cumulo.state.store import Store
from cumulo.wire import service as wire

ACCOUNT, REGION = "123456789012", "eu-west-1"
CONTAINER = {"name": "app", "image": "busybox", "memory": 64}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/execution"
FARGATE = {
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
}


class Cloud:
    """Clusters, definitions, settings and tags."""

    def __init__(self, path):
        self.path = path
        self.clock = VirtualClock()
        self.open()

    def open(self):
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.settings = AccountSettings(self.store, self._principal)
        self.definitions = Definitions(self.records, self.clock, self._principal)
        self.clusters = Clusters(
            self.records, self.clock, lambda caller: self.settings.effective(caller, "containerInsights")
        )
        self.tags = TagOperations(self.records)
        parts = (self.settings, self.definitions, self.clusters, self.tags)
        operations = {name: one for part in parts for name, one in part.operations().items()}
        self.door = a_door(
            {"ecs": wire.Service("ecs", operations)},
            store=self.store,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        self.client = self.client_of(ACCOUNT)

    def _principal(self, _access_key):
        return f"arn:aws:iam::{ACCOUNT}:user/dev"

    def reopen(self):
        asyncio.run(self.store.close())
        self.open()

    def client_of(self, account, region=REGION):
        return client_of("ecs", self.door, account, region)

    def register(self, family="app", containers=(CONTAINER,), **values):
        answer = self.client.register_task_definition(
            family=family, containerDefinitions=list(containers), **values
        )
        return answer["taskDefinition"]


@contextlib.contextmanager
def cloud(path):
    """A cloud that is closed at the end."""
    made = Cloud(path)
    try:
        yield made
    finally:
        asyncio.run(made.store.close())


def refused(call, code, sentence="", **values):
    with pytest.raises(ClientError) as caught:
        call(**values)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    assert sentence in error["Message"], error["Message"]
    return error["Message"]


def a_task(number=1, cluster="default", *, family="app", revision=1, **fields):
    """A task that runs."""
    task_id = f"{number:032x}"
    container = TaskContainer(name="app", arn=arn(REGION, ACCOUNT, "container", task_id), image="busybox")
    made = Task(
        account=ACCOUNT,
        region=REGION,
        id=task_id,
        arn=arn(REGION, ACCOUNT, "task", cluster, task_id),
        cluster_arn=arn(REGION, ACCOUNT, "cluster", cluster),
        definition_arn=definition_arn(REGION, ACCOUNT, family, revision),
        last_status=TaskStatus.RUNNING,
        containers=(container,),
    )
    return msgspec.structs.replace(made, **fields)


def a_service(name="web", cluster="default", **fields):
    made = Service(
        account=ACCOUNT,
        region=REGION,
        name=name,
        arn=arn(REGION, ACCOUNT, "service", cluster, name),
        cluster_arn=arn(REGION, ACCOUNT, "cluster", cluster),
    )
    return msgspec.structs.replace(made, **fields)


def an_instance(number=1, cluster="default", **fields):
    made = ContainerInstance(
        account=ACCOUNT,
        region=REGION,
        id=f"{number:032x}",
        arn=arn(REGION, ACCOUNT, "container-instance", cluster, f"{number:032x}"),
        cluster_arn=arn(REGION, ACCOUNT, "cluster", cluster),
        ec2_id=f"i-{number:017x}",
    )
    return msgspec.structs.replace(made, **fields)


def a_provider(name="group", **fields):
    made = CapacityProvider(
        account=ACCOUNT, region=REGION, name=name, arn=arn(REGION, ACCOUNT, "capacity-provider", name)
    )
    return msgspec.structs.replace(made, **fields)


def caller(account=ACCOUNT, region=REGION):

    return Caller(account=account, region=region)
