"""RunTask and StartTask on container instances: what fits, where, and AWS's failures for what does not."""

import asyncio
import contextlib

import pytest
from msgspec.structs import replace
from placing_kit import (
    CALLER,
    NETWORK,
    a_provider,
    a_service,
    an_ec2_definition,
    an_instance,
    cluster_arn,
    run,
)

from cumulo.base.errors import AwsError
from cumulo.services.ecs.launching import EMPTY_PROVIDER, NO_INSTANCES, TOO_MANY_WAIT, WAITING_MAX
from cumulo.services.ecs.model import StopCode, TaskStatus
from cumulo.services.ecs.waiting_tasks import PATIENCE_SECONDS

ASG = [{"capacityProvider": "asg", "weight": 1}]


def numbers(it, answer):
    """The numbers of the instances that the tasks of an answer are on."""
    return [int(task["containerInstanceArn"][-8:], 16) for task in answer["tasks"]]


def test_a_task_in_bridge_mode_is_pending_at_once_on_an_instance_that_has_room(tmp_path):
    async def body(it):
        it.instances(an_instance(1, cpu=128), an_instance(2))
        it.define(an_ec2_definition())
        answer = await it.tasks.run(CALLER, {"taskDefinition": "job"})
        (task,) = answer["tasks"]
        assert numbers(it, answer) == [2]
        assert (task["launchType"], task["lastStatus"], task["availabilityZone"]) == (
            "EC2",
            "PENDING",
            "eu-west-1a",
        )
        assert task["attachments"] == []
        assert "platformVersion" not in task
        host = it.ledger.host(task["containerInstanceArn"])
        assert (host.cpu, host.memory) == (1024 - 256, 1024 - 256)

    run(tmp_path, body)


def test_a_cluster_without_instances_is_an_error_and_not_a_failure(tmp_path):
    async def body(it):
        it.define(an_ec2_definition())
        for instance in (None, an_instance(1, status="DRAINING")):
            if instance:
                it.instances(instance)
            with pytest.raises(AwsError) as caught:
                await it.tasks.run(CALLER, {"taskDefinition": "job"})
            assert (caught.value.code, caught.value.message) == ("InvalidParameterException", NO_INSTANCES)

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("definition", "instance", "values", "reason"),
    [
        (an_ec2_definition(cpu=2048), an_instance(1), {}, "RESOURCE:CPU"),
        (an_ec2_definition(memory=2048), an_instance(1), {}, "RESOURCE:MEMORY"),
        (an_ec2_definition(ports=[(22, "tcp")]), an_instance(1), {}, "RESOURCE:PORTS"),
        (
            an_ec2_definition(requiresAttributes=[{"name": "gold"}]),
            an_instance(1, attributes=[("silver", "")]),
            {},
            "ATTRIBUTE",
        ),
        (
            an_ec2_definition(runtimePlatform={"cpuArchitecture": "ARM64"}),
            an_instance(1, attributes=[("ecs.cpu-architecture", "x86_64")]),
            {},
            "ATTRIBUTE",
        ),
        (an_ec2_definition(), an_instance(1, agent_connected=False), {}, "AGENT"),
        (
            an_ec2_definition(),
            an_instance(1),
            {
                "overrides": {
                    "containerOverrides": [
                        {"name": "app", "resourceRequirements": [{"type": "GPU", "value": "1"}]}
                    ]
                }
            },
            "RESOURCE:GPU",
        ),
        (
            an_ec2_definition(),
            an_instance(1, attributes=[("stack", "test")]),
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}]},
            "MemberOf placement constraint unsatisfied.",
        ),
        (
            an_ec2_definition(
                placementConstraints=[{"type": "memberOf", "expression": "attribute:x exists"}]
            ),
            an_instance(1),
            {},
            "MemberOf placement constraint unsatisfied.",
        ),
        (
            an_ec2_definition(networkMode="awsvpc"),
            an_instance(1, zone="c"),
            {"networkConfiguration": NETWORK},
            "LOCATION",
        ),
    ],
)
def test_what_an_instance_lacks_is_the_reason_of_the_failure(tmp_path, definition, instance, values, reason):
    async def body(it):
        it.instances(instance)
        it.define(definition)
        answer = await it.tasks.run(CALLER, {"taskDefinition": "job", "count": 2} | values)
        assert answer["tasks"] == []
        assert answer["failures"] == [{"reason": reason, "arn": instance.arn}] * 2

    run(tmp_path, body)


def test_the_closest_instance_is_named_with_the_sentence_for_service_events(tmp_path):
    async def body(it):
        far, near = an_instance(1, agent_connected=False), an_instance(2, cpu=100)
        it.instances(far, near)
        launched = await it.launch(it.define(an_ec2_definition()))
        (failure,) = launched.failures
        assert (failure.arn, failure.detail) == (near.arn, "has insufficient CPU units available.")

    run(tmp_path, body)


def test_a_fixed_host_port_is_taken_once_an_instance_and_free_when_the_task_ends(tmp_path):
    async def body(it):
        it.instances(an_instance(1), an_instance(2))
        it.define(an_ec2_definition(ports=[(80, "tcp")]))
        answer = await it.tasks.run(CALLER, {"taskDefinition": "job", "count": 3})
        assert sorted(numbers(it, answer)) == [1, 2]
        assert [one["reason"] for one in answer["failures"]] == ["RESOURCE:PORTS"]
        it.end(it.records.tasks.get(answer["tasks"][0]["taskArn"]))
        again = await it.tasks.run(CALLER, {"taskDefinition": "job"})
        assert numbers(it, again) == numbers(it, answer)[:1]

    run(tmp_path, body)


def test_a_port_that_a_task_was_given_cannot_be_asked_for_meanwhile(tmp_path):
    async def body(it):
        it.instances(an_instance(1))
        first = (await it.launch(it.define(an_ec2_definition()))).tasks[0]
        given = replace(first.containers[0], bindings=({"hostPort": 49153, "protocol": "tcp"},))
        it.records.tasks.put(replace(first, containers=(given,)))
        fixed = it.define(an_ec2_definition("fixed", ports=[(49153, "tcp")]))
        assert [one.reason for one in (await it.launch(fixed)).failures] == ["RESOURCE:PORTS"]
        it.end(first)
        assert len((await it.launch(fixed)).tasks) == 1

    run(tmp_path, body)


def test_an_instance_has_but_so_many_interfaces_for_awsvpc_tasks(tmp_path):
    async def body(it):
        it.instances(an_instance(1, instance_type="t3.micro"), an_instance(2, instance_type="m5.large"))
        definition = it.define(an_ec2_definition(cpu=1, memory=1, networkMode="awsvpc"))
        launched = await it.launch(definition, network=NETWORK, count=4)
        on = sorted(int(task.instance_arn[-8:], 16) for task in launched.tasks)
        assert on == [1, 2, 2]
        assert [one.reason for one in launched.failures] == ["RESOURCE:ENI"]

    run(tmp_path, body)


def test_distinct_instances_take_one_task_of_a_group_each_but_look_at_what_is_wanted(tmp_path):
    async def body(it):
        it.instances(an_instance(1), an_instance(2))
        it.define(an_ec2_definition())
        distinct = {"taskDefinition": "job", "placementConstraints": [{"type": "distinctInstance"}]}
        answer = await it.tasks.run(CALLER, distinct | {"count": 3})
        assert sorted(numbers(it, answer)) == [1, 2]
        assert "DistinctInstance" in answer["failures"][0]["reason"]
        await it.runner.stop(answer["tasks"][0]["taskArn"], StopCode.USER_INITIATED, "")
        again = await it.tasks.run(CALLER, distinct)
        assert numbers(it, again) == numbers(it, answer)[:1]

    run(tmp_path, body)


def test_binpack_fills_the_fullest_instance_first_and_spread_the_emptiest(tmp_path):
    async def body(it):
        it.instances(an_instance(1), an_instance(2, memory=700), an_instance(3))
        it.define(an_ec2_definition(cpu=10))
        pack = {"taskDefinition": "job", "placementStrategy": [{"type": "binpack", "field": "memory"}]}
        assert numbers(it, await it.tasks.run(CALLER, pack | {"count": 2})) == [2, 2]
        spread = {"taskDefinition": "job", "placementStrategy": [{"type": "spread", "field": "host"}]}
        assert sorted(numbers(it, await it.tasks.run(CALLER, spread | {"count": 4}))) == [1, 1, 3, 3]

    run(tmp_path, body)


def test_services_spread_over_zones_then_instances_by_themselves(tmp_path):
    async def body(it):
        it.instances(an_instance(1), an_instance(2), an_instance(3, zone="b"))
        launched = await it.launch(
            it.define(an_ec2_definition(cpu=10, memory=10)), count=8, service="shop", group="service:shop"
        )
        on = sorted(int(task.instance_arn[-8:], 16) for task in launched.tasks)
        assert on == [1, 1, 2, 2, 3, 3, 3, 3]

    run(tmp_path, body)


def test_the_same_seed_gives_the_same_places(tmp_path):
    async def body(it):
        it.instances(*(an_instance(number) for number in range(1, 30)))
        it.define(an_ec2_definition())
        return numbers(it, await it.tasks.run(CALLER, {"taskDefinition": "job", "count": 10}))

    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        found.append(run(tmp_path / name, body, seed=seed))
    assert found[0] == found[1] != found[2]


def test_an_awsvpc_task_on_an_instance_gets_a_subnet_of_its_zone_and_no_public_address(tmp_path):
    async def body(it):
        it.instances(an_instance(1, zone="b"))
        it.define(an_ec2_definition(networkMode="awsvpc"))
        answer = await it.tasks.run(CALLER, {"taskDefinition": "job", "networkConfiguration": NETWORK})
        task = it.records.tasks.get(answer["tasks"][0]["taskArn"])
        assert (task.subnet, task.last_status) == ("subnet-b", TaskStatus.PROVISIONING)
        public = {"awsvpcConfiguration": NETWORK["awsvpcConfiguration"] | {"assignPublicIp": "ENABLED"}}
        with pytest.raises(AwsError, match="Assign public IP is not supported for this launch type"):
            await it.tasks.run(CALLER, {"taskDefinition": "job", "networkConfiguration": public})

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"networkConfiguration": NETWORK},
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            {"platformVersion": "LATEST"},
            "The platform version must be null when specifying an EC2 launch type.",
        ),
        (
            {"placementConstraints": [{"type": "distinctInstance", "expression": ""}]},
            "distinctInstance expression should not be specified.",
        ),
        ({"placementConstraints": [{"type": "memberOf", "expression": "what?"}]}, "xpression"),
        ({"placementConstraints": [{"type": "distinctInstance"}] * 11}, "10"),
        ({"placementStrategy": [{"type": "random"}] * 6}, "5"),
        ({"placementStrategy": [{"type": "binpack", "field": "disk"}]}, "binpack"),
        ({"placementStrategy": [{"type": "spread"}]}, "spread"),
        ({"launchType": "FARGATE"}, "Task definition does not support launch_type FARGATE."),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, values, sentence):
    async def body(it):
        it.instances(an_instance(1))
        it.define(an_ec2_definition())
        with pytest.raises(AwsError) as caught:
            await it.tasks.run(CALLER, {"taskDefinition": "job"} | values)
        assert caught.value.code == "InvalidParameterException"
        assert sentence in caught.value.message
        assert len(it.records.tasks) == 0

    run(tmp_path, body)


def test_start_task_takes_exactly_these_instances_or_says_why_not(tmp_path):
    async def body(it):
        good, gone, full = an_instance(1), an_instance(2, status="INACTIVE"), an_instance(3, memory=1)
        it.instances(good, gone, full)
        it.define(an_ec2_definition())
        answer = await it.tasks.start(
            CALLER,
            {"taskDefinition": "job", "containerInstances": [good.id, gone.arn, full.id, "f" * 32]},
        )
        assert numbers(it, answer) == [1]
        missing = full.arn.replace(full.id, "f" * 32)
        assert answer["failures"] == [
            {"reason": "INACTIVE", "arn": gone.arn},
            {"reason": "RESOURCE:MEMORY", "arn": full.arn},
            {"reason": "MISSING", "arn": missing},
        ]
        with pytest.raises(AwsError, match="between 1 and 10"):
            await it.tasks.start(CALLER, {"taskDefinition": "job", "containerInstances": ["a"] * 11})

    run(tmp_path, body)


def test_a_provider_without_room_keeps_tasks_waiting_until_an_instance_comes(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        it.instances(an_instance(1))  # of no provider
        it.define(an_ec2_definition())
        answer = await it.tasks.run(
            CALLER,
            {
                "taskDefinition": "job",
                "capacityProviderStrategy": ASG,
                "count": 2,
                "placementConstraints": [{"type": "distinctInstance"}],
            },
        )
        assert [task["lastStatus"] for task in answer["tasks"]] == ["PROVISIONING"] * 2
        assert it.runner.taken_up == []
        it.instances(an_instance(2, capacity_provider="asg"))
        await it.reopen()
        await it.launching.place_waiting()
        placed = [task for task in it.records.tasks.all() if task.instance_arn]
        assert [task.arn for task in placed] == it.runner.taken_up
        assert len(placed) == 1  # the constraint of the request still holds
        assert (placed[0].last_status, placed[0].waits, placed[0].version) == (TaskStatus.PENDING, "", 2)
        it.instances(an_instance(3, capacity_provider="asg"))
        await it.launching.place_waiting()
        assert it.records.tasks.count("waits", "capacity") == 0

    run(tmp_path, body)


def test_the_loop_places_what_waits_when_an_instance_comes(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        launched = await it.launch(it.define(an_ec2_definition()), strategy=ASG)
        loop = asyncio.create_task(it.launching.run())
        placed = asyncio.Event()
        it.records.tasks.listeners.append(
            lambda _, after: placed.set() if after and after.instance_arn else None
        )
        await asyncio.sleep(0)
        it.instances(an_instance(1, capacity_provider="asg"))
        await asyncio.wait_for(placed.wait(), 10)
        await it.store.commit()
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        assert it.records.tasks.get(launched.tasks[0].arn).instance_arn == an_instance(1).arn

    run(tmp_path, body)


def test_tasks_that_have_waited_too_long_are_stopped_with_the_reason(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        launched = await it.launch(it.define(an_ec2_definition()), strategy=ASG)
        await it.launching.give_up_waiting()
        assert it.runner.stopped == []
        it.clock.advance(PATIENCE_SECONDS)
        await it.launching.give_up_waiting()
        arn = launched.tasks[0].arn
        assert it.runner.stopped == [(arn, StopCode.TASK_FAILED_TO_START, "EMPTY CAPACITY PROVIDER")]

    run(tmp_path, body)


def test_a_task_that_is_too_large_for_every_instance_is_given_up_with_what_they_lack(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        it.instances(an_instance(1, capacity_provider="asg"))
        await it.launch(it.define(an_ec2_definition(cpu=9999)), strategy=ASG)
        it.clock.advance(PATIENCE_SECONDS)
        await it.launching.give_up_waiting()
        assert [reason for _, _, reason in it.runner.stopped] == ["RESOURCE:CPU"]

    run(tmp_path, body)


def test_a_stopped_task_waits_no_more(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        launched = await it.launch(it.define(an_ec2_definition()), strategy=ASG)
        await it.tasks.stop(CALLER, {"task": launched.tasks[0].id})
        it.instances(an_instance(1, capacity_provider="asg"))
        await it.launching.place_waiting()
        it.clock.advance(PATIENCE_SECONDS)
        await it.launching.give_up_waiting()
        task = it.records.tasks.get(launched.tasks[0].arn)
        assert (task.instance_arn, len(it.runner.stopped)) == ("", 1)
        assert it.runner.taken_up == []

    run(tmp_path, body)


def test_waiting_tasks_of_several_kinds_share_an_instance_without_overfilling_it(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        for family in "abcdefghijkl":
            await it.launch(it.define(an_ec2_definition(family, cpu=300, memory=100)), strategy=ASG)
            it.clock.advance(1)
        it.instances(an_instance(1, capacity_provider="asg"), an_instance(2, capacity_provider="asg"))
        await it.launching.place_waiting()
        placed = [task.family for task in it.records.tasks.all() if task.instance_arn]
        assert sorted(placed) == list("abcdef")  # those that came first
        assert all(host.cpu == 1024 - 900 for host in it.ledger.hosts(cluster_arn()))

    run(tmp_path, body)


def test_only_so_many_tasks_of_a_cluster_wait(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider())
        definition = it.define(an_ec2_definition())
        first = await it.launch(definition, strategy=ASG, count=WAITING_MAX)
        assert (len(first.tasks), first.failures) == (WAITING_MAX, [])
        with pytest.raises(AwsError) as caught:
            await it.launch(definition, strategy=ASG)
        assert (caught.value.code, caught.value.message) == ("ClientException", TOO_MANY_WAIT)
        it.instances(an_instance(1, capacity_provider="asg", cpu=256))
        more = await it.launch(definition, strategy=ASG, count=2)
        assert (len(more.tasks), [one.reason for one in more.failures]) == (1, [TOO_MANY_WAIT])

    run(tmp_path, body)


def test_a_provider_that_does_not_scale_itself_fails_at_once(tmp_path):
    async def body(it):
        it.records.providers.put(a_provider(managed=False))
        definition = it.define(an_ec2_definition())
        with pytest.raises(AwsError) as caught:
            await it.launch(definition, strategy=ASG)
        assert caught.value.message == EMPTY_PROVIDER
        it.instances(an_instance(1, capacity_provider="asg", cpu=1))
        launched = await it.launch(definition, strategy=ASG)
        assert [one.reason for one in launched.failures] == ["RESOURCE:CPU"]

    run(tmp_path, body)


def test_a_disk_that_refuses_leaves_waiting_tasks_waiting(tmp_path):
    from cumulo.state.store import StoreError

    async def body(it):
        it.records.providers.put(a_provider())
        launched = await it.launch(it.define(an_ec2_definition()), strategy=ASG)
        it.instances(an_instance(1, capacity_provider="asg"))

        async def full():
            raise StoreError("full")

        commit, it.store.commit = it.store.commit, full
        with pytest.raises(StoreError):
            await it.launching.place_waiting()
        it.store.commit = commit
        assert it.records.tasks.get(launched.tasks[0].arn).waits == "capacity"
        assert it.runner.taken_up == []
        await it.launching.place_waiting()
        assert it.runner.taken_up == [launched.tasks[0].arn]

    run(tmp_path, body)


def test_a_services_tasks_come_to_the_base_and_weights_of_its_strategy(tmp_path):
    async def body(it):
        it.records.services.put(a_service())
        definition = it.define(
            replace(an_ec2_definition(cpu=1, memory=1), document=dict(_fargate_document()))
        )
        strategy = [
            {"capacityProvider": "FARGATE", "weight": 1, "base": 2},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
        ]
        counts = []
        for _ in range(10):
            launched = await it.launch(
                definition,
                strategy=strategy,
                service="shop",
                group="service:shop",
                deployment="ecs-svc/1",
                network=NETWORK,
            )
            counts.append(launched.tasks[0].capacity_provider)
        assert counts[:2] == ["FARGATE", "FARGATE"]
        assert (counts.count("FARGATE"), counts.count("FARGATE_SPOT")) == (4, 6)

    run(tmp_path, body)


def _fargate_document():
    return an_ec2_definition(
        cpu=1, memory=1, networkMode="awsvpc", compatibilities=["EC2", "FARGATE"]
    ).document


def test_ids_of_another_clusters_instances_are_not_found(tmp_path):
    async def body(it):
        other = an_instance(1, cluster="other")
        it.instances(other)
        launched = await it.launch(it.define(an_ec2_definition()), instances=[other.arn])
        assert [one.reason for one in launched.failures] == ["MISSING"]
        assert cluster_arn("other") == other.cluster_arn

    run(tmp_path, body)
