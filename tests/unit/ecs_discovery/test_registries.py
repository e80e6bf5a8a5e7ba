"""Tasks of services with registries are in Cloud Map while they run, and pods know their names."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.discovery_kit import ACCOUNT, REGION, REGISTRY, World, bound, container, story, until

from cumulo.base.errors import AwsError
from cumulo.base.ports.discovery import DiscoveryService
from cumulo.engines.engine import Unsupported
from cumulo.services.ecs.discovery import names, registry_rules
from cumulo.services.ecs.discovery.model import Registration
from cumulo.services.ecs.discovery.publisher import Publisher
from cumulo.services.ecs.model import Health, TaskStatus

WEB = {"registryArn": REGISTRY}
HTTP = container("web", {"containerPort": 80, "hostPort": 0, "protocol": "tcp"})


@story
async def test_a_task_is_registered_with_what_ecs_says_and_its_name_is_published(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    task = world.task("t1", service, private_ip="10.1.0.5")
    for _ in range(2):  # harmless when repeated
        await world.registries.attach(task)
    assert world.map.instances == {
        ("srv-web", "t1"): {
            "AWS_INSTANCE_IPV4": "10.1.0.5",
            "AVAILABILITY_ZONE": "eu-central-1a",
            "REGION": REGION,
            "ECS_CLUSTER_NAME": "c",
            "ECS_SERVICE_NAME": "s",
            "ECS_TASK_DEFINITION_FAMILY": "f",
            "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        }
    }
    assert world.published == [{"web.corp.local": ["10.1.0.5"]}]
    await world.registries.detach(task)
    await world.registries.gone(task)
    assert world.map.instances == {}
    assert world.published[-1] == {}
    await world.close()


@story
async def test_a_task_in_bridge_mode_is_registered_at_its_instance_with_the_port_of_the_host(
    world: World,
) -> None:
    world.map.services["srv-web"] = replace(world.map.services["srv-web"], record_types=("SRV",))
    registry = WEB | {"containerName": "web", "containerPort": 80}
    service = world.service("s", world.definition(HTTP, mode="bridge"), serviceRegistries=[registry])
    world.instance()
    task = world.task(
        "t1", service, instance_arn=world.records.instances.all()[0].arn, containers=bound("web", 80, 32768)
    )
    await world.registries.attach(task)
    said = world.map.instances["srv-web", "t1"]
    assert (said["AWS_INSTANCE_IPV4"], said["AWS_INSTANCE_PORT"], said["EC2_INSTANCE_ID"]) == (
        "10.9.0.1",
        "32768",
        "i-1",
    )
    assert world.published == [{"web.corp.local": ["10.9.0.1"], "t1.web.corp.local": ["10.9.0.1"]}]
    await world.close()


@story
async def test_nothing_is_asked_for_a_service_without_registries(world: World) -> None:
    task = world.task("t1", world.service("s", world.definition(HTTP)), private_ip="10.1.0.5")
    await world.registries.attach(task)
    await world.registries.detach(task)
    await world.registries.gone(task)
    assert (world.map.calls, world.published) == (0, [])
    await world.close()


@story
async def test_a_task_that_is_unwell_has_no_name_until_all_are(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    tasks = [world.task(f"t{n}", service, private_ip=f"10.1.0.{n}") for n in (1, 2)]
    for task in tasks:
        await world.registries.attach(task)
    world.change(tasks[0], health=Health.UNHEALTHY)
    await until(lambda: world.published[-1] == {"web.corp.local": ["10.1.0.2"]})
    await until(lambda: world.map.health == [("t1", False)])
    world.change(tasks[1], health=Health.UNHEALTHY)
    await until(lambda: world.published[-1] == {"web.corp.local": ["10.1.0.1", "10.1.0.2"]})
    world.change(tasks[0], health=Health.HEALTHY)
    await until(lambda: world.published[-1] == {"web.corp.local": ["10.1.0.1"]})
    await until(lambda: world.map.health[-1] == ("t1", True))
    await world.close()


@story
async def test_after_a_restart_names_are_published_again_and_the_dead_are_taken_out(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    tasks = [world.task(f"t{n}", service, private_ip=f"10.1.0.{n}") for n in (1, 2)]
    for task in tasks:
        await world.registries.attach(task)
    world.change(tasks[0], last_status=TaskStatus.STOPPED)
    await world.store.commit()
    world = await world.again()
    await world.registrar.start()
    assert world.published[-1] == {"web.corp.local": ["10.1.0.2"]}
    assert list(world.map.instances) == [("srv-web", "t2")]
    await world.close()


@story
async def test_a_cloud_map_that_is_away_for_a_moment_is_asked_again(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    task = world.task("t1", service, private_ip="10.1.0.5")
    await world.registries.attach(task)
    world.map.fails = [AwsError("ServiceUnavailable", "", status=503)] * 2
    await world.registries.detach(task)
    assert world.map.instances == {}
    assert world.pauses == [0.2, 0.4]
    await world.close()


@story
async def test_a_cloud_map_that_stays_away_stops_nobody_and_is_told_later(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    task = world.task("t1", service, private_ip="10.1.0.5")
    await world.registries.attach(task)
    world.map.fails = [AwsError("ServiceUnavailable", "", status=503)] * 4
    await world.registries.detach(task)
    assert world.published[-1] == {}, "pods do not learn of it any more"
    assert list(world.map.instances) == [("srv-web", "t1")]
    world.change(task, last_status=TaskStatus.STOPPED)
    await world.store.commit()
    world = await world.again()
    await world.registrar.start()
    assert world.map.instances == {}
    assert len(world.kept.registrations) == 0
    await world.close()


@story
async def test_names_that_clients_gave_are_published_too_and_kept(world: World) -> None:
    world.map.strangers = {"db.corp.local": ["10.1.0.9"]}
    for _ in range(3):
        world.map.changed(ACCOUNT, REGION)
    await until(lambda: world.published == [{"db.corp.local": ["10.1.0.9"]}])
    world = await world.again()
    calls = world.map.calls
    await world.registrar.start()
    assert world.published == [{"db.corp.local": ["10.1.0.9"]}]
    assert world.map.calls == calls, "nobody is asked at a start"
    world.map.fails = [AwsError("InternalError", "", status=500)]
    world.map.changed(ACCOUNT, REGION)
    world.map.changed(ACCOUNT, "other")
    await until(lambda: len(world.kept.names) == 2)
    world.map.strangers = {}
    for region in (REGION, "other"):
        world.map.changed(ACCOUNT, region)
    await until(lambda: world.published[-1] == {})
    await world.close()


@story
async def test_when_everything_is_forgotten_no_name_stays(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    await world.registries.attach(world.task("t1", service, private_ip="10.1.0.5"))
    world.map.strangers = {"db.corp.local": ["10.1.0.9"]}
    world.map.changed(ACCOUNT, REGION)
    await until(lambda: len(world.published[-1]) == 2)
    world.kept.clear()
    await until(lambda: world.published[-1] == {})
    await world.close()


@story
async def test_a_registry_that_is_gone_keeps_no_task_from_running(world: World) -> None:
    service = world.service("s", world.definition(HTTP), serviceRegistries=[WEB])
    task = world.task("t1", service, private_ip="10.1.0.5")
    del world.map.services["srv-web"]
    await world.registries.attach(task)
    assert world.map.instances == {}
    await world.close()


@story
async def test_what_cloud_map_does_not_know_is_refused(world: World) -> None:
    definition = world.definition(HTTP)
    other = {"registryArn": REGISTRY.replace("srv-web", "srv-none")}
    with pytest.raises(AwsError, match="srv-none"):
        await world.registries.check(ACCOUNT, [other], definition)
    await world.registries.check(ACCOUNT, [WEB], definition)
    with pytest.raises(AwsError, match="do not require a value for 'port'"):
        await world.registries.check(ACCOUNT, [WEB | {"port": 80}], definition)
    await world.close()


@story
async def test_many_changes_at_once_are_few_publications(world: World) -> None:
    table: dict[str, list[str]] = {}
    told: list[dict[str, list[str]]] = []

    async def publish(given: Any) -> None:
        await asyncio.sleep(0)
        told.append(dict(given))

    publisher = Publisher(lambda: dict(table), publish)

    async def change(number: int) -> None:
        table[f"n{number}"] = ["10.0.0.1"]
        await publisher.now()
        assert f"n{number}" in told[-1]

    await asyncio.gather(*(change(number) for number in range(50)))
    assert len(told) <= 3
    table["last"] = []
    for _ in range(5):
        publisher.soon()
    await until(lambda: "last" in told[-1])
    await publisher.close()
    await world.close()


@story
async def test_an_engine_without_names_keeps_no_task_from_running(world: World) -> None:
    async def publish(_: Any) -> None:
        raise Unsupported("no names here")

    publisher = Publisher(lambda: {"a": ["10.0.0.1"]}, publish)
    await publisher.now()
    await publisher.close()
    await world.close()


SRV = DiscoveryService(id="i", arn="a", name="n", namespace="ns", record_types=("SRV",))
PAIR = {"containerName": "web", "containerPort": 80}


@pytest.mark.parametrize(
    ("registry", "mode", "sentence"),
    [
        ({}, "awsvpc", "Invalid service registry ARN"),
        ({"registryArn": "arn:aws:ecs:r:1:service/x"}, "awsvpc", "Invalid service registry ARN"),
        (WEB | {"containerName": "web"}, "awsvpc", "together"),
        (WEB | PAIR | {"port": 80}, "awsvpc", "but not both"),
        (WEB, "bridge", "values for 'containerName' and 'containerPort' must be specified"),
        (WEB | PAIR | {"containerName": "x"}, "awsvpc", "container x does not exist"),
        (WEB | PAIR | {"containerPort": 81}, "awsvpc", "did not have a container port 81"),
    ],
)
def test_what_cannot_be_a_registry(tmp_path: Path, registry: Any, mode: str, sentence: str) -> None:
    async def main() -> None:
        world = World(tmp_path)
        with pytest.raises(AwsError, match=sentence) as caught:
            registry_rules.check([registry], world.definition(HTTP, mode=mode))
        assert caught.value.code == "InvalidParameterException"
        await world.close()

    asyncio.run(main())


@story
async def test_what_dns_records_do_not_allow(world: World) -> None:
    awsvpc, bridge = world.definition(HTTP), world.definition(HTTP, mode="bridge", family="b")
    a_record = replace(SRV, record_types=("A",))
    registry_rules.check_records(WEB | PAIR, SRV, bridge)
    registry_rules.check_records(WEB, a_record, awsvpc)
    for registry, service, definition in (
        (WEB, SRV, awsvpc),
        (WEB | PAIR, a_record, bridge),
        (WEB | PAIR, a_record, awsvpc),
    ):
        with pytest.raises(AwsError, match="Registry: arn"):
            registry_rules.check_records(registry, service, definition)
    with pytest.raises(AwsError, match="Multiple"):
        registry_rules.check([WEB, WEB], awsvpc)
    await world.close()


def test_a_table_has_each_address_once_and_nothing_without_a_name() -> None:
    one = Registration(
        task_arn="a", account="1", region="r", service_id="s", instance="i", address="10.0.0.1"
    )
    named = replace(one, name="web.local")
    given = [(one, Health.HEALTHY), (named, Health.HEALTHY), (named, Health.UNKNOWN)]
    assert names.table(given, {}) == {"web.local": ["10.0.0.1"]}
    assert names.table([(replace(named, address=""), Health.HEALTHY)], {}) == {}
    others = {"web.local": ["10.0.0.0"], "db.local": ["10.0.0.9"]}
    assert names.table(given, others) == {"web.local": ["10.0.0.0", "10.0.0.1"], "db.local": ["10.0.0.9"]}
