"""On container instances: draining, daemons, zones, capacity providers."""

from collections import Counter

from msgspec.structs import replace
from scheduling_kit import REGION, SETTLE, a_definition, an_instance, run

from cumulo.services.ecs.model import TaskStatus

EC2 = {"launchType": "EC2", "networkConfiguration": None, "taskDefinition": "job:1"}
DAEMON = EC2 | {"schedulingStrategy": "DAEMON"}


def prepare(it, instances=3):
    for revision in (1, 2):
        it.records.definitions.put(
            a_definition("job", revision, networkMode="bridge", compatibilities=["EC2"])
        )
    return [it.records.instances.put(an_instance(number)) for number in range(1, instances + 1)]


def drain(it, instance):
    return it.records.instances.put(replace(instance, status="DRAINING"))


def test_tasks_on_a_draining_instance_are_replaced_before_they_stop(tmp_path):
    async def body(it):
        first, second, _ = prepare(it)
        await it.steady(desiredCount=2, **EC2)
        one, two = it.running()
        it.change(one, instance_arn=first.arn)
        it.change(two, instance_arn=second.arn)
        await it.work()
        drain(it, first)
        await it.work()
        assert {task.id for task in it.running()} == {one.id, two.id}
        (fresh,) = it.coming()
        it.begin(fresh)
        await it.work()
        await it.work(SETTLE)
        assert {task.id for task in it.running()} == {two.id, fresh.id}

    run(tmp_path, body)


def test_pending_tasks_on_a_draining_instance_stop_at_once(tmp_path):
    async def body(it):
        first, *_ = prepare(it)
        await it.create(desiredCount=1, **EC2)
        await it.work()
        (task,) = it.coming()
        it.change(task, instance_arn=first.arn)
        drain(it, first)
        await it.work()
        (fresh,) = it.coming()
        assert fresh.id != task.id

    run(tmp_path, body)


def test_a_daemon_has_one_task_on_every_instance(tmp_path):
    async def body(it):
        instances = prepare(it)
        view = await it.create(**DAEMON)
        assert view["desiredCount"] == 0
        await it.work()
        view = await it.describe()
        assert view["desiredCount"] == 3
        assert {one.instance_arn for one in it.coming()} == {one.arn for one in instances}
        await it.flow()
        fourth = it.records.instances.put(an_instance(4))
        await it.work()
        assert [one.instance_arn for one in it.coming()] == [fourth.arn]
        await it.flow()
        drain(it, fourth)
        await it.work()
        assert fourth.arn not in {one.instance_arn for one in it.running()}
        assert (await it.describe())["desiredCount"] == 3

    run(tmp_path, body)


def test_a_daemon_is_replaced_where_it_stands_when_the_old_one_has_gone(tmp_path):
    async def body(it):
        instances = prepare(it)
        await it.create(**DAEMON)
        await it.flow()
        await it.update(taskDefinition="job:2")
        await it.work()
        assert it.wanted() == []  # none need be healthy, and none may share an instance with the old one
        it.end()
        await it.work()
        assert {one.instance_arn for one in it.coming()} == {one.arn for one in instances}
        await it.flow()
        assert (await it.describe())["deployments"][0]["rolloutState"] == "COMPLETED"

    run(tmp_path, body)


def test_a_daemon_keeps_the_minimum_that_it_is_told(tmp_path):
    async def body(it):
        prepare(it)
        percents = {"minimumHealthyPercent": 50, "maximumPercent": 100}  # two of three
        await it.create(**DAEMON, deploymentConfiguration=percents)
        await it.flow()
        await it.update(taskDefinition="job:2")
        for _ in range(3):
            await it.work()
            assert len(it.running()) == 2
            it.end()
            await it.work()
            for task in it.coming():
                it.begin(task)
            await it.work(SETTLE)
        await it.flow()
        assert {one.definition_arn[-1] for one in it.running()} == {"2"}

    run(tmp_path, body)


def test_capacity_providers_keep_their_base_and_weights_over_a_services_life(tmp_path):
    async def body(it):
        strategy = [
            {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
        ]
        await it.steady(desiredCount=6, launchType=None, capacityProviderStrategy=strategy)
        assert Counter(one.capacity_provider for one in it.running()) == {"FARGATE": 3, "FARGATE_SPOT": 3}
        for task in it.running():
            if task.capacity_provider == "FARGATE":
                it.crash(task)
        await it.update(desiredCount=10)
        await it.flow()
        assert Counter(one.capacity_provider for one in it.running()) == {"FARGATE": 4, "FARGATE_SPOT": 6}

    run(tmp_path, body)


def test_zones_are_evened_out_one_task_at_a_time_with_the_new_one_first(tmp_path):
    async def body(it):
        prepare(it)
        for number, zone in enumerate("abc", start=1):
            it.records.instances.put(an_instance(number, zone=zone))
        it.launches.zones = ["a"]
        await it.steady(desiredCount=4, **EC2)
        instance = an_instance(1)
        for task in it.running():
            it.change(task, instance_arn=instance.arn)
        await it.work()
        assert len(it.coming()) == 1  # one more than wanted, in the hope of another zone
        it.launches.zones = ["a", "b", "c"]
        (extra,) = it.coming()
        it.change(extra, availability_zone=f"{REGION}b")
        assert len(it.running()) == 4
        it.begin(extra)
        await it.work()
        assert len(it.running()) == 5
        await it.work(SETTLE)
        assert Counter(one.availability_zone for one in it.running()) == {f"{REGION}a": 3, f"{REGION}b": 1}
        story = await it.story()
        assert (
            f"is not AZ balanced with 4 tasks in {REGION}a, 0 tasks in {REGION}b, 0 tasks in {REGION}c."
            " AZ Rebalancing in progress." in story
        )
        await it.work(2000)
        (extra,) = it.coming()  # and the next one after a while
        it.begin(it.change(extra, availability_zone=f"{REGION}c"))
        await it.work()
        await it.work(SETTLE)
        assert (
            f"is AZ balanced with 2 tasks in {REGION}a, 1 tasks in {REGION}b, 1 tasks in {REGION}c."
            in await it.story()
        )

    run(tmp_path, body)


def test_room_on_an_instance_wakes_who_had_no_place(tmp_path):
    async def body(it):
        prepare(it)
        it.launches.room = 0
        await it.create(desiredCount=1, **EC2)
        await it.work()
        assert it.coming() == []
        it.launches.room = 1
        it.records.instances.put(an_instance(9))
        await it.work()
        assert len(it.coming()) == 1

    run(tmp_path, body)


def test_tasks_of_a_terminated_instance_are_replaced(tmp_path):
    async def body(it):
        first, *_ = prepare(it)
        await it.steady(desiredCount=1, **EC2)
        task = it.change(it.running()[0], instance_arn=first.arn)
        it.change(
            task,
            desired_status="STOPPED",
            last_status=TaskStatus.STOPPED,
            stop_code="TerminationNotice",
            stopped_reason="Host EC2 (instance i-1) terminated.",
        )
        it.records.instances.delete(first)
        await it.work()
        assert len(it.coming()) == 1
        assert (await it.describe())["deployments"][0]["failedTasks"] == 0

    run(tmp_path, body)
