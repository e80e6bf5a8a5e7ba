"""What a task is in a target group: its own address, or a host port of its instance."""

from msgspec.structs import replace
from scheduling_kit import BALANCER, GROUP, a_definition, an_instance, run

from cumulo.base.ports.targets import Target, TargetGroup

BRIDGE = {"launchType": "EC2", "networkConfiguration": None, "taskDefinition": "job:1"}


async def on_an_instance(it, port):
    """A service of one task in bridge mode, whose port 80 is `port` of instance 1."""
    it.balancers.groups[GROUP] = TargetGroup(
        arn=GROUP, target_type="instance", protocol="HTTP", port=80, load_balancers=("arn:lb",)
    )
    it.records.definitions.put(a_definition("job", networkMode="bridge", compatibilities=["EC2"]))
    instance = it.records.instances.put(an_instance(1))
    await it.create(desiredCount=1, loadBalancers=[BALANCER], **BRIDGE)
    await it.work()
    (task,) = it.coming()
    binding = {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": port, "protocol": "tcp"}
    containers = tuple(replace(one, bindings=(binding,)) for one in task.containers)
    return it.begin(it.change(task, instance_arn=instance.arn, private_ip="", containers=containers))


def test_a_task_in_bridge_mode_is_its_instances_host_port(tmp_path):
    async def body(it):
        task = await on_an_instance(it, 32768)
        await it.attachment.attach(task)
        target = Target(an_instance(1).ec2_id, 32768)
        assert it.balancers.health(GROUP) == {target: "initial"}
        await it.work(100)
        assert (await it.describe())["deployments"][0]["rolloutState"] == "IN_PROGRESS"
        it.balancers.states[GROUP][target] = "healthy"
        await it.work(1)
        assert (await it.describe())["deployments"][0]["rolloutState"] == "COMPLETED"

    run(tmp_path, body)


def test_attaching_again_says_and_does_nothing(tmp_path):
    async def body(it):
        task = await on_an_instance(it, 32768)
        await it.attachment.attach(task)
        story = await it.story()
        await it.attachment.attach(task)
        assert await it.story() == story

    run(tmp_path, body)


def test_an_address_that_was_given_on_stays_registered(tmp_path):
    async def body(it):
        await it.steady(desiredCount=2, loadBalancers=[BALANCER])
        old, new = it.running()
        gone = it.crash(old)
        it.change(new, private_ip=old.private_ip)
        await it.attachment.gone(gone)
        assert it.balancers.health(GROUP)[Target(old.private_ip, 80)] == "healthy"

    run(tmp_path, body)


def test_a_target_group_that_was_deleted_holds_nobody_up(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1, loadBalancers=[BALANCER])
        (task,) = it.running()
        del it.balancers.groups[GROUP]
        await it.attachment.detach(task)
        await it.attachment.attach(task)
        await it.attachment.gone(task)
        await it.work(10)
        assert len(it.running()) == 1

    run(tmp_path, body)


def test_a_task_of_no_service_has_no_part_in_it(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1, loadBalancers=[BALANCER])
        alone = replace(it.running()[0], service="")
        before = it.balancers.health(GROUP)
        await it.attachment.attach(alone)
        await it.attachment.detach(alone)
        assert it.balancers.health(GROUP) == before
        assert it.attachment.hosts(alone) == {}

    run(tmp_path, body)
