"""Instances come by need and go when they are idle; a restart finds them again; updates replace them; failures are told."""

import base64

import pytest
from tests.batch_capacity_kit import EC2, FARGATE, REGION, SPOT, Site

from cumulo.base.errors import AwsError
from cumulo.services.batch.scheduling.facts import Launch, Start, Terminate
from cumulo.services.ec2.user_data import settings_of

CAPACITY = AwsError(
    "InsufficientInstanceCapacity", "We currently do not have sufficient capacity.", status=500
)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.close()


def desired(site, name="env"):
    return site.shown(name)["computeResources"]["desiredvCpus"]


def lost(site, id_, state="terminated"):
    """EC2 takes an instance, and ECS hears of it."""
    site.ec2.put(id_, state)
    site.hear()


def test_the_minimum_is_launched_joins_and_is_kept_while_disabled(site):
    site.make(resources={"minvCpus": 4, "tags": {"Name": "worker"}, "ec2KeyPair": "key"})
    assert site.decide() == [Launch(site.shown()["computeEnvironmentArn"], "m5.large", 2)]
    assert desired(site) == 4
    orders = site.ec2.orders
    assert [(order.subnet, order.count) for order in orders] == [("subnet-a", 1), ("subnet-b", 1)]
    order = orders[0]
    assert (order.profile, order.key, tuple(order.security_groups)) == ("ecsInstanceRole", "key", ("sg-1",))
    assert (order.image, order.spot) == ("ami-recommended", False)
    said = settings_of(order.user_data)
    assert (said.cluster, said.spot_draining) == (f"AWSBatch-env-{site.shown()['uuid']}", True)
    assert order.tags["Name"] == "worker"
    assert order.tags["AWSBatchServiceTag"] == "batch"
    site.join()
    assert site.decide() == []
    site.client.update_compute_environment(computeEnvironment="env", state="DISABLED")
    site.settle()
    site.pass_time(3600)
    assert site.decide() == []
    assert len(site.ec2.alive()) == 2


def test_a_job_gets_an_instance_and_the_instance_goes_when_it_is_idle(site):
    site.make()
    queue = site.queue()
    assert site.decide() == []
    site.submit("job", queue, vcpus=2)
    (launch,) = site.decide()
    assert (launch.kind, launch.count) == ("m5.large", 1)
    site.join()
    (start,) = [one for one in site.scheduler.decide(site.clock.monotonic()) if isinstance(one, Start)]
    (room,) = site.ecs.joined.values()
    assert start.instances == (room.instance,)
    site.pass_time(600)
    assert site.decide() == []
    site.scheduler.ended("job", site.clock.monotonic())
    site.pass_time(61)
    (gone,) = site.decide()
    assert gone == Terminate(launch.environment, room.instance)
    assert site.ec2.alive() == []
    assert desired(site) == 0


def test_what_an_instance_offers_is_what_its_agent_registered(site):
    site.make()
    site.submit("job", site.queue(), vcpus=1)
    site.decide()
    site.join()
    state = site.scheduler._world.environments[site.shown()["computeEnvironmentArn"]]
    ((_, room),) = state.by_instance.items()
    assert room.size == (2000, 8192 - 8192 // 18, 0)


def test_launches_go_round_the_subnets(site):
    site.make()
    queue = site.queue()
    for number in range(3):
        site.submit(f"job-{number}", queue, vcpus=2)
        site.decide()
    assert [order.subnet for order in site.ec2.orders] == ["subnet-a", "subnet-b", "subnet-a"]


def test_what_a_client_wants_is_launched_once(site):
    site.make(resources={"desiredvCpus": 2})
    site.decide()
    site.join()
    assert len(site.ec2.alive()) == 1
    site.pass_time(61)
    (gone,) = site.decide()
    assert isinstance(gone, Terminate)
    site.again()
    site.settle()
    assert site.decide() == []
    assert desired(site) == 0


def test_when_there_is_no_capacity_the_job_is_told_and_later_tries_go_on(site):
    site.make()
    site.submit("job", site.queue(), vcpus=2)
    site.ec2.refuses = CAPACITY
    site.decide()
    told = [one for one in site.scheduler.decide(site.clock.monotonic()) if type(one).__name__ == "Stuck"]
    assert told[0].reason.startswith(
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity"
    )
    assert "[m5.large]" in told[0].reason
    assert site.shown()["status"] == "VALID"
    site.ec2.refuses = None
    site.pass_time(30)
    site.decide()
    assert len(site.ec2.alive()) == 1


def test_fewer_than_asked_for_are_told_as_such(site):
    site.make(resources={"minvCpus": 8, "subnets": ["subnet-a"]})
    site.ec2.most = 3
    site.decide()
    assert len(site.ec2.alive()) == 3
    assert desired(site) == 6
    site.pass_time(30)
    site.decide()
    assert len(site.ec2.alive()) == 4


def test_what_ec2_can_never_do_makes_it_invalid(site):
    site.make(resources={"minvCpus": 2})
    site.ec2.refuses = AwsError("NoSuchEntity", "Instance profile ecsInstanceRole not found", status=404)
    site.decide()
    shown = site.shown()
    assert (shown["status"], shown["statusReason"]) == (
        "INVALID",
        "CLIENT_ERROR - Instance profile ecsInstanceRole not found",
    )
    site.pass_time(3600)
    assert site.decide() == []
    site.ec2.refuses = None
    site.client.update_compute_environment(computeEnvironment="env", computeResources={"maxvCpus": 20})
    site.settle()
    site.decide()
    assert len(site.ec2.alive()) == 1


def test_spot_instances_bid_their_share_of_the_price_on_demand(site):
    site.make(resources=SPOT | {"minvCpus": 2, "bidPercentage": 60})
    site.decide()
    (order,) = site.ec2.orders
    assert (order.spot, order.max_price) == (True, "0.060000")


def test_spot_instances_above_the_bid_are_not_launched(site):
    site.make(resources=SPOT | {"instanceTypes": ["m5.xlarge"], "bidPercentage": 90})
    site.submit("job", site.queue(), vcpus=2)
    site.decide()
    assert site.ec2.orders == []
    import asyncio

    asyncio.run(site.keeper.carry(Launch(site.shown()["computeEnvironmentArn"], "m5.xlarge", 1)))
    assert site.ec2.orders == []


@pytest.mark.parametrize(
    ("resources", "image"),
    [
        ({}, "ami-recommended"),
        ({"instanceTypes": ["m6g.large"]}, "ami-arm64"),
        ({"ec2Configuration": [{"imageType": "ECS_AL2023_NVIDIA"}]}, "ami-gpu"),
        ({"imageId": "ami-mine"}, "ami-mine"),
        ({"imageId": "ami-mine", "ec2Configuration": [{"imageType": "ECS_AL2023", "imageIdOverride": "ami-over"}]}, "ami-over"),
    ],
)  # fmt: skip
def test_the_image_is_the_named_one_or_the_newest_that_fits(site, resources, image):
    site.make(resources={"minvCpus": 1} | resources)
    site.decide()
    assert site.ec2.orders[0].image == image


def test_a_launch_template_keeps_its_own_user_data(site):
    site.make(
        resources={"minvCpus": 2, "launchTemplate": {"launchTemplateId": "lt-mime", "version": "$Latest"}}
    )
    site.decide()
    (order,) = site.ec2.orders
    assert (order.template.id, order.template.version) == ("lt-mime", "$Latest")
    said = settings_of(order.user_data)
    assert (said.cluster, said.reserved_mib) == (f"AWSBatch-env-{site.shown()['uuid']}", 32)
    assert base64.b64decode(order.user_data).startswith(b"Content-Type: multipart/mixed")


@pytest.mark.parametrize(
    ("template", "reason"), [("lt-script", "MIME multi-part"), ("lt-none", "does not exist")]
)
def test_a_launch_template_that_cannot_be_used_makes_it_invalid(site, template, reason):
    site.make(resources={"minvCpus": 2, "launchTemplate": {"launchTemplateId": template}})
    site.decide()
    assert site.shown()["status"] == "INVALID"
    assert reason in site.shown()["statusReason"]
    assert site.ec2.orders == []


# -- instances that go ---------------------------------------------------------------------------------------


def test_an_instance_that_is_taken_leaves_the_scheduler_and_another_comes(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    site.join()
    (first,) = site.ec2.alive()
    lost(site, first)
    assert desired(site) == 0
    site.decide()
    (second,) = site.ec2.alive()
    assert second != first


def test_an_instance_that_was_stopped_is_terminated_and_another_comes(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    site.join()
    (first,) = site.ec2.alive()
    lost(site, first, "stopped")
    assert site.ec2.all[first].state == "terminated"
    site.decide()
    assert len(site.ec2.alive()) == 1


def test_an_instance_that_is_about_to_be_interrupted_gets_no_more_jobs(site):
    site.make()
    queue = site.queue()
    site.submit("job", queue, vcpus=1)
    site.decide()
    site.join()
    site.scheduler.decide(site.clock.monotonic())
    (id_,) = site.ec2.alive()
    from msgspec.structs import replace

    site.ecs.joined[id_] = replace(site.ecs.joined[id_], ready=False)  # DRAINING
    site.hear()
    site.submit("other", queue, vcpus=1)
    (launch,) = site.decide()
    assert isinstance(launch, Launch)


def test_what_cannot_be_terminated_now_is_terminated_later(site):
    site.make()
    site.submit("job", site.queue(), vcpus=2)
    site.decide()
    site.join()
    site.scheduler.withdraw("job")
    site.pass_time(61)
    site.ec2.down = True
    site.decide()
    assert len(site.ec2.alive()) == 1
    site.ec2.down = False
    site.pass_time(2)
    assert site.ec2.alive() == []


def test_instances_that_never_join_are_ended_and_others_are_tried(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    (first,) = site.ec2.alive()
    site.pass_time(11)
    assert site.ec2.alive() == [first]
    site.pass_time(300)
    assert site.ec2.alive() == []
    site.pass_time(30)
    site.decide()
    assert len(site.ec2.alive()) == 1


def test_instances_that_ec2_ended_before_they_joined_are_forgotten(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    (first,) = site.ec2.alive()
    site.ec2.put(first, "terminated")
    site.pass_time(11)
    assert desired(site) == 0
    site.pass_time(30)
    site.decide()
    assert len(site.ec2.alive()) == 1


def test_instances_that_somebody_else_lets_join_are_left_alone(site):
    site.make()
    cluster = site.shown()["ecsClusterArn"].rpartition("/")[2]
    import asyncio

    from cumulo.base.instances import InstanceOrder

    data = base64.b64encode(
        f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n".encode()
    ).decode()
    (id_,) = asyncio.run(
        site.ec2.launch(InstanceOrder(account="111111111111", region=REGION, kind="m5.large", user_data=data))
    )
    site.join()
    site.pass_time(3600)
    site.decide()
    assert site.ec2.alive() == [id_]


def test_an_unmanaged_environment_has_the_instances_that_join_its_cluster(site):
    import asyncio

    from cumulo.base.instances import InstanceOrder

    role = "arn:aws:iam::111111111111:role/batch"
    site.client.create_compute_environment(computeEnvironmentName="own", type="UNMANAGED", serviceRole=role)
    site.settle()
    queue = site.queue(environments=("own",))
    site.submit("job", queue, vcpus=2)
    assert site.decide() == []
    cluster = site.shown("own")["ecsClusterArn"].rpartition("/")[2]
    data = base64.b64encode(
        f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n".encode()
    ).decode()
    asyncio.run(
        site.ec2.launch(InstanceOrder(account="111111111111", region=REGION, kind="m5.large", user_data=data))
    )
    site.join()
    (start,) = site.scheduler.decide(site.clock.monotonic())
    assert isinstance(start, Start)
    site.client.update_job_queue(jobQueue="queue", state="DISABLED")
    site.client.update_compute_environment(computeEnvironment="own", state="DISABLED")
    site.settle()
    site.client.delete_job_queue(jobQueue="queue")
    site.settle()
    site.client.delete_compute_environment(computeEnvironment="own")
    site.settle()
    assert site.shown("own")["status"] == "INVALID"
    assert len(site.ec2.alive()) == 1


# -- restarts ------------------------------------------------------------------------------------------------


def test_a_restart_finds_its_instances_again_and_launches_no_others(site):
    site.make(resources={"minvCpus": 4})
    site.decide()
    site.ecs.join(site.ec2.alive()[0])  # the other one has not joined yet
    site.hear()
    before = site.ec2.alive()
    site.again()
    assert site.decide() == []  # nothing is known of it yet
    site.settle()
    assert site.decide() == []
    site.join()
    assert site.decide() == []
    assert site.ec2.alive() == before
    assert desired(site) == 4


def test_a_restart_waits_for_ec2_before_it_launches_anything(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    site.join()
    site.again()
    site.ec2.down = True
    site.settle()
    assert site.decide() == []
    site.ec2.down = False
    site.pass_time(2)
    assert site.decide() == []
    assert len(site.ec2.alive()) == 1


def test_instances_that_were_launched_before_a_kill_and_never_noted_are_found(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    machine = site.ec2.alive()[0]
    site.keeper._world.machines.clear()  # as if the answer had never come
    site.again()
    site.settle()
    site.join()
    assert site.decide() == []
    assert site.ec2.alive() == [machine]


def test_instances_of_nobody_are_ended(site):
    site.make(resources={"minvCpus": 2})
    site.decide()
    (first,) = site.ec2.alive()
    environment = site.house.resources.environments.all()[0]
    from msgspec.structs import replace

    site.house.resources.environments.put(replace(environment, uuid="another", cluster=""))
    import asyncio

    asyncio.run(site.store.commit())
    site.again()
    site.settle()
    assert site.ec2.all[first].state == "terminated"


def test_nobody_asks_ec2_after_a_restart_when_there_was_nothing(site):
    site.make()
    site.make("fargate", computeResources=FARGATE)
    site.again()
    site.settle()
    assert site.ec2.looks == 0


# -- updates and deletion ------------------------------------------------------------------------------------


def running(site):
    """An environment with an instance on which a job runs."""
    site.make()
    site.submit("job", site.queue(), vcpus=2)
    site.decide()
    site.join()
    site.scheduler.decide(site.clock.monotonic())
    (id_,) = site.ec2.alive()
    return id_


def change(site, **policy):
    more = {"updatePolicy": policy} if policy else {}
    site.client.update_compute_environment(
        computeEnvironment="env", computeResources={"imageId": "ami-new"}, **more
    )
    site.settle()


def test_instances_that_are_outdated_end_when_their_jobs_have_ended(site):
    old = running(site)
    change(site)
    assert site.shown()["status"] == "UPDATING"
    site.submit("other", site.house.resources.queues.all()[0].arn, vcpus=2)
    site.decide()
    new = next(id_ for id_ in site.ec2.alive() if id_ != old)
    assert site.ec2.all[new].image == "ami-new"
    site.scheduler.ended("job", site.clock.monotonic())
    site.decide()
    assert site.ec2.alive() == [new]
    site.pass_time(2)
    assert site.shown()["status"] == "VALID"


def test_jobs_have_half_an_hour_when_nothing_else_is_said(site):
    old = running(site)
    change(site)
    site.pass_time(1799)
    assert site.ec2.alive() == [old]
    site.pass_time(2)
    assert site.ec2.alive() == []
    assert site.shown()["status"] == "VALID"


def test_jobs_have_as_many_minutes_as_the_policy_says_also_after_a_restart(site):
    old = running(site)
    change(site, jobExecutionTimeoutMinutes=2)
    site.again()
    site.settle()
    assert site.ec2.alive() == [old]
    site.pass_time(121)
    assert site.ec2.alive() == []


def test_jobs_are_ended_at_once_when_the_policy_says_so(site):
    running(site)
    change(site, terminateJobsOnUpdate=True)
    assert site.ec2.alive() == []
    assert site.shown()["status"] == "VALID"


def test_an_update_of_numbers_replaces_nothing(site):
    old = running(site)
    site.client.update_compute_environment(computeEnvironment="env", computeResources={"maxvCpus": 64})
    site.settle()
    assert site.shown()["status"] == "VALID"
    assert site.ec2.alive() == [old]


def test_an_environment_that_is_deleted_takes_its_instances_with_it(site):
    id_ = running(site)
    site.client.update_job_queue(jobQueue="queue", state="DISABLED")
    site.client.update_compute_environment(computeEnvironment="env", state="DISABLED")
    site.settle()
    site.client.delete_job_queue(jobQueue="queue")
    site.settle()
    site.ec2.down = True
    site.client.delete_compute_environment(computeEnvironment="env")
    site.settle()
    assert site.shown()["status"] == "DELETING"
    site.ec2.down = False
    site.again()
    site.settle()
    assert site.ec2.all[id_].state == "terminated"
    assert site.client.describe_compute_environments()["computeEnvironments"] == []
    assert site.ecs.clusters == {}


def test_a_launch_that_comes_back_after_its_environment_was_changed_is_undone(site):
    site.make()
    arn = site.shown()["computeEnvironmentArn"]
    launch = site.ec2.launch

    async def slow(order):
        ids = await launch(order)
        environments = site.house.resources.environments
        from msgspec.structs import replace

        found = environments.get(arn)
        environments.put(replace(found, generation=found.generation + 1))
        return ids

    site.ec2.launch = slow
    import asyncio

    asyncio.run(site.keeper.carry(Launch(arn, "m5.large", 1)))
    assert site.ec2.alive() == []


def test_the_scale_down_delay_keeps_idle_instances(site):
    site.make(resources=EC2 | {"scalingPolicy": {"minScaleDownDelayMinutes": 20}})
    site.submit("job", site.queue(), vcpus=2)
    site.decide()
    site.join()
    site.scheduler.decide(site.clock.monotonic())
    site.scheduler.ended("job", site.clock.monotonic())
    site.pass_time(1100)
    assert site.decide() == []
    site.pass_time(200)
    assert len(site.decide()) == 1
