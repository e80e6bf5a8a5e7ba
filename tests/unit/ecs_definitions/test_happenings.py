"""What EventBridge hears: noted with the change, in order, at least once, and never for ever."""

import asyncio

import msgspec
import pytest
from definitions_kit import ACCOUNT, REGION, a_service, a_task, an_instance

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.happenings.happenings import Happenings
from cumulo.services.ecs.model import TaskStatus
from cumulo.services.ecs.records import Records
from cumulo.state import outbox
from cumulo.state.store import Store


class Bus:
    """Takes events, or says what it is told to say."""

    def __init__(self):
        self.events = []
        self.refuses = []
        self.heard = asyncio.Event()
        self.deaf = set()  # (account, region) without rules
        self.asked = 0

    async def listens(self, account, region):
        self.asked += 1
        return (account, region) not in self.deaf

    async def put(self, account, region, source, detail_type, detail, resources=(), *, at=None):
        if self.refuses:
            error = self.refuses.pop(0)
            if error is not None:
                raise error
        self.heard.set()
        self.events.append((account, region, source, detail_type, dict(detail), list(resources), at))


def view(task, *, tags):
    return {
        "taskArn": task.arn,
        "lastStatus": str(task.last_status),
        "version": task.version,
        "createdAt": 1_579_802_254.402,
        "startedAt": None,
        "containers": [{"name": one.name, "exitCode": one.exit_code} for one in task.containers],
        "tags": [{"key": "a", "value": "b"}] if tags else [],
    }


class House:
    def __init__(self, path, bus=None, clock=None):
        self.path = path
        self.clock = clock or VirtualClock()
        self.bus = bus or Bus()
        self.store = Store(path / "store.db", synchronous="OFF")
        self.records = Records(self.store)
        self.happenings = Happenings(
            self.records,
            self.clock,
            self.bus,
            task_view=view,
            instance_view=lambda one: {"containerInstanceArn": one.arn, "status": one.status},
        )

    async def delivered(self):
        assert await self.happenings.outbox.deliver()
        return self.bus.events


def play(tmp_path, story):
    async def main():
        house = House(tmp_path)
        await story(house)

    asyncio.run(main())


def test_a_task_is_told_of_as_it_is_described(tmp_path):
    async def story(house):
        task = a_task()
        house.records.tasks.put(task)
        house.records.tasks.put(msgspec.structs.replace(task, client_token="x"))  # nothing that AWS tells
        house.clock.advance(1.5)
        house.records.tasks.put(
            msgspec.structs.replace(task, version=2, last_status=TaskStatus.STOPPED, desired_status="STOPPED")
        )
        first, second = await house.delivered()
        assert first == (
            ACCOUNT,
            REGION,
            "aws.ecs",
            "ECS Task State Change",
            {
                "taskArn": task.arn,
                "lastStatus": "RUNNING",
                "version": 1,
                "createdAt": "2020-01-23T17:57:34.402Z",
                "containers": [{"name": "app"}],
                "updatedAt": "2023-11-14T22:13:20.000Z",
            },
            [task.arn],
            house.clock.now() - 1.5,
        )
        assert second[4]["lastStatus"] == "STOPPED"
        assert second[4]["updatedAt"] == "2023-11-14T22:13:21.500Z"
        house.records.tasks.clear()
        assert len(await house.delivered()) == 2  # forgetting a task is no news

    play(tmp_path, story)


def test_an_instance_is_told_of_when_it_or_what_remains_of_it_changes(tmp_path):
    async def story(house):
        instance = an_instance()
        house.records.instances.put(instance)
        task = a_task(instance_arn=instance.arn)
        house.records.tasks.put(task)
        house.records.tasks.put(msgspec.structs.replace(task, version=2))
        house.records.tasks.put(msgspec.structs.replace(task, version=3, last_status=TaskStatus.STOPPED))
        house.records.instances.put(msgspec.structs.replace(instance, status="DRAINING"))
        house.records.instances.put(msgspec.structs.replace(instance, status="DRAINING"))
        told = [event[3].split()[1] for event in await house.delivered()]
        assert sorted(told) == ["Container"] * 4 + ["Task"] * 3
        about = [event for event in house.bus.events if event[5] == [instance.arn]]
        assert {event[3] for event in about} == {"ECS Container Instance State Change"}
        assert [event[4]["status"] for event in about] == ["ACTIVE"] * 3 + ["DRAINING"]

    play(tmp_path, story)


def test_services_and_deployments_are_told_of(tmp_path):
    async def story(house):
        service = a_service()
        house.happenings.service_action(service, "INFO", "SERVICE_STEADY_STATE")
        house.happenings.service_action(
            service, "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE", reason="RESOURCE:CPU"
        )
        house.happenings.deployment_change(
            service, "ecs-svc/1", "INFO", "SERVICE_DEPLOYMENT_COMPLETED", "ECS deployment completed."
        )
        steady, failure, deployment = await house.delivered()
        assert steady[3:6] == (
            "ECS Service Action",
            {
                "eventType": "INFO",
                "eventName": "SERVICE_STEADY_STATE",
                "clusterArn": service.cluster_arn,
                "createdAt": "2023-11-14T22:13:20.000Z",
            },
            [service.arn],
        )
        assert failure[4]["reason"] == "RESOURCE:CPU"
        assert deployment[3:5] == (
            "ECS Deployment State Change",
            {
                "eventType": "INFO",
                "eventName": "SERVICE_DEPLOYMENT_COMPLETED",
                "deploymentId": "ecs-svc/1",
                "updatedAt": "2023-11-14T22:13:20.000Z",
                "reason": "ECS deployment completed.",
            },
        )

    play(tmp_path, story)


def test_what_was_committed_is_delivered_after_a_kill_and_what_was_not_never_happened(tmp_path):
    async def story(house):
        house.records.tasks.put(a_task(1))
        await house.store.commit()
        house.records.tasks.put(a_task(2))  # and killed
        again = House(tmp_path, house.bus, house.clock)
        assert [event[5] for event in await again.delivered()] == [[a_task(1).arn]]
        third = House(tmp_path, house.bus, house.clock)
        assert len(await third.delivered()) == 1
        third.records.tasks.put(a_task(3))
        assert [event[5] for event in await third.delivered()][1:] == [[a_task(3).arn]]

    play(tmp_path, story)


def test_events_wait_for_a_bus_that_fails_and_those_of_a_task_stay_in_order(tmp_path):
    async def story(house):
        statuses = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.RUNNING)
        for status in statuses:
            house.records.tasks.put(a_task(last_status=status))
        house.bus.refuses = [None, AwsError("InternalFailure", "later", status=500)]
        assert not await house.happenings.outbox.deliver()
        assert len(house.happenings.outbox) == 2
        house.bus.refuses = [TimeoutError()]
        assert not await house.happenings.outbox.deliver()
        house.bus.refuses = [RuntimeError("?")]
        assert not await house.happenings.outbox.deliver()
        await house.delivered()
        assert [event[4]["lastStatus"] for event in house.bus.events] == list(statuses)

    play(tmp_path, story)


def test_an_event_that_is_refused_does_not_hold_up_the_others(tmp_path):
    async def story(house):
        for number in range(2):
            house.records.tasks.put(a_task(number))
        house.bus.refuses = [AwsError("NotAuthorizedForSourceException", "no")]
        assert [event[5][0] for event in await house.delivered()] == [a_task(1).arn]

    play(tmp_path, story)


def test_where_nobody_listens_nothing_is_put_and_that_is_asked_once_a_batch(tmp_path):
    async def story(house):
        house.bus.deaf.add((ACCOUNT, REGION))
        for number in range(outbox._AT_ONCE):
            house.records.tasks.put(a_task(number))
        assert await house.delivered() == []
        assert len(house.happenings.outbox) == 0
        assert house.bus.asked == 1
        house.bus.deaf.clear()  # a rule is made
        house.records.tasks.put(a_task(7777))
        assert [event[5] for event in await house.delivered()] == [[a_task(7777).arn]]

    play(tmp_path, story)


def test_the_oldest_are_dropped_when_too_many_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "WAITING_MAX", 3)

    async def story(house):
        for number in range(5):
            house.records.tasks.put(a_task(number))
        assert [event[5][0] for event in await house.delivered()] == [a_task(n).arn for n in (2, 3, 4)]

    play(tmp_path, story)


def test_the_loop_gives_up_on_what_is_never_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "_FIRST_RETRY_SECONDS", 0.0)

    async def story(house):
        house.records.tasks.put(a_task(0))
        house.bus.refuses = [AwsError("InternalFailure", "no", status=500)] * outbox.ATTEMPTS_MAX
        loop = asyncio.create_task(house.happenings.run())
        async with asyncio.timeout(10):
            while len(house.happenings.outbox):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0)  # it tries, and gives up
        house.records.tasks.put(a_task(7))
        async with asyncio.timeout(10):
            await house.bus.heard.wait()
        assert [event[5] for event in house.bus.events] == [[a_task(7).arn]]
        loop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loop

    play(tmp_path, story)
