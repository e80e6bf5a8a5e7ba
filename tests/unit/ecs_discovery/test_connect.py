"""Tasks reach the services of their namespace by alias, through a proxy of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.discovery_kit import ACCOUNT, REGION, World, bound, container, story, until

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.engines.engine import ContainerSpec, PodSpec, Unsupported
from cumulo.engines.fake_programs import FakeProcess
from cumulo.services.ecs.discovery import outliers
from cumulo.services.ecs.discovery.namespaces import Namespaces
from cumulo.services.ecs.discovery.proxies import ServerPool
from cumulo.services.ecs.model import Health, Service, Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.records import service_key
from cumulo.services.ecs.running.refusal import CannotStart


class Client:
    """A client's pod in the engine in memory, whose program does what it is told."""

    def __init__(self, world: World, task: Task) -> None:
        self.world = world
        self.task = task
        self.pod = f"pod-{task.id}"
        self.process: FakeProcess | None = None

    async def up(self) -> "Client":
        async def idle(process: FakeProcess) -> int:
            self.process = process
            await asyncio.Event().wait()
            return 0

        engine = self.world.engine
        engine._programs[self.pod] = idle
        image = engine.add_image(self.pod)
        spec = ContainerSpec(name="c", image=image.id, entrypoint=(self.pod,))
        self.hosts = self.world.connect.hosts(self.task)
        await engine.create(PodSpec(name=self.pod, owner="ecs", containers=(spec,), hosts=self.hosts))
        await self.world.connect.prepare(self.task, self.pod)
        await engine.start(self.pod, "c")
        await until(lambda: self.process is not None)
        return self

    async def ask(self, name: str, port: int) -> str:
        """A server's answer to a request by HTTP; its first line, and its body."""
        assert self.process is not None
        reader, writer = await self.process.connect(port, self.hosts[name])
        writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        text = (await reader.read()).decode()
        writer.close()
        return text.split(" ", 2)[1] + " " + text.rpartition("\r\n")[2]


@contextlib.asynccontextmanager
async def web(says: str, address: str, port: int = 0, status: str = "200 OK") -> AsyncIterator[int]:
    """A server by HTTP of one answer; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = b""
            while b"close" not in head:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(says)}\r\n\r\n{says}".encode())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, address, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def mapped(port: int, **more: Any) -> TaskDefinition:
    return container("web", {"name": "http", "containerPort": port, "protocol": "tcp"} | more)  # type: ignore[return-value]


def offered(**more: Any) -> dict[str, Any]:
    return {
        "enabled": True,
        "namespace": "corp.local",
        "services": [{"portName": "http", "clientAliases": [{"port": 80} | more]}],
    }


async def served(world: World, port: int, mode: str = "awsvpc", **more: Any) -> Service:
    """A service `web` that offers a port."""
    world.cluster()
    definition = world.definition(mapped(port, **more), mode=mode, family="web")  # type: ignore[arg-type]
    configuration = offered(dnsName="web")
    await check(world, configuration, definition, "web")
    return world.service("web", definition, serviceConnectConfiguration=configuration)


async def check(world: World, configuration: Any, definition: TaskDefinition, name: str) -> None:
    cluster = world.records.clusters.all()
    await world.connect.check(
        ACCOUNT,
        REGION,
        cluster[0].service_connect_namespace if cluster else "",
        configuration,
        definition,
        service=service_key(cluster[0].arn, name) if cluster else name,
        operation="CreateService",
    )


async def asking(world: World, id_: str = "client") -> Client:
    """A task of a service that only asks."""
    definition = world.definition(container("app"), family="app")
    configuration = {"enabled": True, "namespace": "corp.local"}
    await check(world, configuration, definition, "app")
    service = world.service("app", definition, serviceConnectConfiguration=configuration)
    return await Client(world, world.task(id_, service)).up()


@pytest.mark.parametrize("protocol", ["http", ""])
def test_requests_go_round_the_servers_and_never_to_one_that_leaves(tmp_path: Any, protocol: str) -> None:
    @story
    async def told(world: World) -> None:
        async with web("one", "127.71.0.1") as port, web("two", "127.71.0.2", port):
            more = {"appProtocol": protocol} if protocol else {}
            service = await served(world, port, **more)
            one = world.task("one", service, private_ip="127.71.0.1")
            client = await asking(world)
            assert client.hosts == {"web": "127.255.0.1"}
            assert {await client.ask("web", 80) for _ in range(3)} == {"200 one"}
            two = world.task("two", service, private_ip="127.71.0.2", last_status=TaskStatus.PENDING)
            assert {await client.ask("web", 80) for _ in range(3)} == {"200 one"}
            world.change(two, last_status=TaskStatus.ACTIVATING)
            answers = [await client.ask("web", 80) for _ in range(6)]
            assert sorted(answers) == ["200 one"] * 3 + ["200 two"] * 3
            await world.connect.detach(one)
            assert {await client.ask("web", 80) for _ in range(4)} == {"200 two"}
            world.change(one, last_status=TaskStatus.STOPPED)
            assert {await client.ask("web", 80) for _ in range(4)} == {"200 two"}
            await world.connect.gone(client.task)
            assert world.connect._pools == {}
            with pytest.raises(ConnectionRefusedError):
                await client.ask("web", 80)
        await world.close()

    told(tmp_path)


@story
async def test_a_server_that_is_unwell_or_away_gets_no_requests_while_another_is_there(world: World) -> None:
    async with web("one", "127.72.0.1") as port:
        service = await served(world, port, appProtocol="http")
        world.task("one", service, private_ip="127.72.0.1")
        away = world.task("away", service, private_ip="127.72.0.2")  # nobody listens there
        client = await asking(world)
        assert {await client.ask("web", 80) for _ in range(12)} == {"200 one"}
        servers = next(iter(world.connect._pools.values()))
        assert len(servers.pool.eligible) == 1, "five failures make an outlier"
        async with web("two", "127.72.0.3", port):
            two = world.task("two", service, private_ip="127.72.0.3")
            assert {await client.ask("web", 80) for _ in range(4)} == {"200 one", "200 two"}
            world.change(two, health=Health.UNHEALTHY)
            assert {await client.ask("web", 80) for _ in range(4)} == {"200 one"}
        world.change(away, last_status=TaskStatus.STOPPED)
        await world.connect.gone(client.task)
    await world.close()


@story
async def test_a_server_that_answers_with_errors_is_left_alone_for_a_while(world: World) -> None:
    async with web("ok", "127.73.0.1") as port, web("no", "127.73.0.2", port, "500 Oh"):
        service = await served(world, port, appProtocol="http")
        for number in (1, 2):
            world.task(str(number), service, private_ip=f"127.73.0.{number}")
        client = await asking(world)
        answers = [await client.ask("web", 80) for _ in range(30)]
        assert answers.count("500 no") == outliers.FAILURES
        assert set(answers[-10:]) == {"200 ok"}
        await world.connect.gone(client.task)
    await world.close()


@story
async def test_without_any_server_a_request_has_an_answer_all_the_same(world: World) -> None:
    await served(world, 80, appProtocol="http")
    client = await asking(world)
    assert (await client.ask("web", 80)).startswith("503")
    await world.connect.gone(client.task)
    await world.close()


@story
async def test_a_task_keeps_its_aliases_and_learns_of_no_new_ones(world: World) -> None:
    async with web("one", "127.74.0.1") as port:
        service = await served(world, port, appProtocol="http")
        world.task("one", service, private_ip="127.74.0.1")
        client = await asking(world)
        definition = world.definition(mapped(81), family="later")  # type: ignore[arg-type]
        later = offered(dnsName="alpha") | {}
        later["services"][0]["discoveryName"] = "later"
        await check(world, later, definition, "later")
        world.service("later", definition, serviceConnectConfiguration=later)
        assert world.connect.hosts(client.task) == client.hosts == {"web": "127.255.0.1"}
        other = await asking(world, "other")
        assert other.hosts == {"alpha": "127.255.0.1", "web": "127.255.0.2"}
        world = await world.again()
        assert world.connect.hosts(client.task) == client.hosts
        await world.connect.start()
        for _ in range(2):  # harmless when repeated
            await world.connect.prepare(client.task, client.pod)
        assert await client.ask("web", 80) == "200 one"
        for task in (client.task, other.task):
            await world.connect.gone(task)
        assert world.kept.clients.all() == []
    await world.close()


@story
async def test_after_a_restart_clients_that_ended_are_forgotten(world: World) -> None:
    await served(world, 80)
    client = await asking(world)
    world.change(client.task, last_status=TaskStatus.STOPPED)
    await world.store.commit()
    world = await world.again()
    await world.connect.start()
    assert world.kept.clients.all() == []
    await world.close()


@story
async def test_a_server_in_bridge_mode_is_asked_at_the_port_of_its_instance(world: World) -> None:
    async with web("bridged", "127.75.0.1") as port:
        service = await served(world, 8080, mode="bridge", appProtocol="http")
        instance = world.instance(address="127.75.0.1")
        world.task("b", service, instance_arn=instance.arn, containers=bound("web", 8080, port))
        client = await asking(world)
        assert await client.ask("web", 80) == "200 bridged"
        await world.connect.gone(client.task)
    await world.close()


@story
async def test_cloud_map_and_the_service_show_an_endpoint(world: World) -> None:
    service = await served(world, 8080, appProtocol="http")
    task = world.task("one", service, private_ip="10.1.0.5")
    configuration = service.document["serviceConnectConfiguration"]
    assert world.connect.resources(service, configuration) == [{"discoveryName": "http"}]
    for _ in range(2):
        await world.connect.attach(task)
    said = world.map.instances["srv-ns-1-http", "one"]
    assert (said["AWS_INSTANCE_IPV4"], said["AWS_INSTANCE_PORT"]) == ("10.1.0.5", "8080")
    [shown] = world.connect.resources(service, configuration)
    assert shown["discoveryArn"].endswith("service/srv-ns-1-http")
    assert world.published == [], "its name is for proxies alone"
    await world.connect.detach(task)
    assert world.map.instances == {}
    await world.close()


@story
async def test_two_tasks_that_come_at_once_make_an_endpoint_once(world: World) -> None:
    service = await served(world, 8080, appProtocol="http")
    asked = world.map.service_named
    under_way = most = 0

    async def slowly(*which: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        try:
            return await asked(*which)
        finally:
            under_way -= 1

    world.map.service_named = slowly  # type: ignore[method-assign]
    tasks = [world.task(f"t{n}", service, private_ip=f"10.1.0.{n}") for n in range(1, 4)]
    await asyncio.gather(*(world.connect.attach(task) for task in tasks))
    assert most == 1
    assert len(world.map.instances) == 3
    await world.close()


@story
async def test_an_engine_that_cannot_listen_inside_starts_no_client(world: World) -> None:
    async def refused(*_: Any) -> None:
        raise Unsupported("it cannot")

    await served(world, 80)
    client = await asking(world)
    await world.connect.gone(client.task)
    world.connect.hosts(client.task)
    world.engine.listen_inside = refused
    with pytest.raises(CannotStart, match="Service Connect: it cannot"):
        await world.connect.prepare(client.task, client.pod)
    await world.close()


@story
async def test_an_endpoint_whose_service_was_deleted_in_cloud_map_is_made_again(world: World) -> None:
    service = await served(world, 8080)
    task = world.task("one", service, private_ip="10.1.0.5")
    await world.connect.attach(task)
    world.map.services.pop("srv-ns-1-http")
    await world.connect.attach(task)
    assert "srv-ns-1-http" in world.map.services
    await world.close()


@story
async def test_a_clusters_default_namespace_is_made_when_it_is_new(world: World) -> None:
    namespaces = Namespaces(world.kept, world.map)
    caller = Caller(account=ACCOUNT, region=REGION)
    arn = await namespaces.for_cluster(caller, "mesh")
    assert arn == world.map.namespaces["ns-mesh"].arn
    assert await namespaces.for_cluster(caller, arn) == arn
    await world.close()


@story
async def test_the_namespace_may_be_the_clusters_and_is_known_by_name_and_arn(world: World) -> None:
    world.cluster(service_connect_namespace="corp.local")
    definition = world.definition(mapped(80), family="web")  # type: ignore[arg-type]
    configuration = offered()
    del configuration["namespace"]
    await check(world, configuration, definition, "web")
    world.service("web", definition, serviceConnectConfiguration=configuration)
    arn = world.map.namespaces["ns-1"].arn
    asker = {"enabled": True, "namespace": arn}
    app = world.definition(container("app"), family="app")
    await check(world, asker, app, "app")
    task = world.task("t", world.service("app", app, serviceConnectConfiguration=asker))
    assert world.connect.hosts(task) == {"http.corp.local": "127.255.0.1"}
    await world.close()


@story
async def test_an_endpoint_belongs_to_one_service_of_a_namespace(world: World) -> None:
    service = await served(world, 80)
    definition = world.records.definition(service.definition_arn)
    assert definition is not None
    await check(world, offered(), definition, "web")
    with pytest.raises(AwsError, match="SC service is already used by arn:"):
        await check(world, offered(), definition, "second")
    with pytest.raises(AwsError) as caught:
        await check(world, offered() | {"namespace": "nowhere"}, definition, "second")
    assert caught.value.code == "NamespaceNotFoundException"
    with pytest.raises(AwsError, match="namespace is required"):
        await check(world, {"enabled": True}, definition, "second")
    await check(world, {"enabled": False}, definition, "second")
    await world.close()


@story
async def test_a_task_without_service_connect_has_nothing_of_it(world: World) -> None:
    service = await served(world, 80)
    task = world.task("plain", world.service("p", world.definition(container("app"), family="p")))
    before = world.map.calls
    assert world.connect.hosts(task) == {}
    await world.connect.prepare(task, "p")
    await world.connect.attach(task)
    await world.connect.detach(task)
    await world.connect.gone(task)
    assert world.map.calls == before
    assert service.name == "web"
    await world.close()


def _service(**more: Any) -> dict[str, Any]:
    return {"enabled": True, "services": [{"portName": "http", "clientAliases": [{"port": 80}]} | more]}


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        (_service(portName="no"), r"portName\(no\) does not refer to any named PortMapping"),
        (_service(clientAliases=[]), "clientAliases must have 1 element"),
        (_service(clientAliases=[{"port": 1}, {"port": 2}]), "clientAliases must have 1 element"),
        (_service(clientAliases=[{"port": 0}]), "between 1 and 65535"),
        (_service(clientAliases=[{"port": 1, "dnsName": "a b"}]), "dnsName"),
        (_service(clientAliases=[{"port": 1, "testTrafficRules": {}}]), "testTrafficRules"),
        (_service(discoveryName="A!"), "discoveryName"),
        (_service(tls={}), "TLS"),
        (_service(ingressPortOverride=81), "ingressPortOverride"),
        (_service(timeout={"perRequestTimeoutSeconds": 1}), "perRequestTimeoutSeconds"),
        (_service() | {"accessLogConfiguration": {"format": "JSON"}}, "access logs"),
        ({"enabled": True, "services": _service()["services"] * 2}, "unique"),
    ],
)
def test_what_a_configuration_cannot_say(tmp_path: Any, configuration: Any, sentence: str) -> None:
    @story
    async def told(world: World) -> None:
        definition = world.definition(mapped(80))  # type: ignore[arg-type]
        with pytest.raises(AwsError, match=sentence):
            await check(world, configuration | {"namespace": "corp.local"}, definition, "s")
        assert world.map.calls == 0
        await world.close()

    told(tmp_path)


@pytest.mark.parametrize("mode", ["host", "none"])
def test_there_is_no_service_connect_without_a_network_of_its_own(tmp_path: Any, mode: str) -> None:
    @story
    async def told(world: World) -> None:
        with pytest.raises(AwsError, match="network mode"):
            await check(world, offered(), world.definition(mapped(80), mode=mode), "s")  # type: ignore[arg-type]
        await world.close()

    told(tmp_path)


def test_an_outlier_is_ejected_for_longer_each_time_until_it_answers() -> None:
    one = outliers.Outlier()
    assert [one.failed(number) for number in range(5)] == [0, 0, 0, 0, 30.0]
    assert [one.failed(10 + number) for number in range(5)] == [0, 0, 0, 0, 0], "it is ejected already"
    assert one.failed(100) == 0, "the others are too old"
    assert [one.failed(101 + number) for number in range(4)] == [0, 0, 0, 60.0]
    one.answered()
    assert [one.failed(500 + number) for number in range(5)] == [0, 0, 0, 0, 30.0]
    late = outliers.Outlier()
    assert [late.failed(number * 8.0) for number in range(20)] == [0.0] * 20
    for round_ in range(20):
        seconds = [late.failed(1000.0 * (round_ + 1) + number) for number in range(5)][-1]
    assert seconds == outliers.EJECT_SECONDS_MAX


@story
async def test_an_outlier_comes_back_and_one_that_is_gone_does_not(world: World) -> None:
    import random

    from cumulo.base.clock import VirtualClock

    clock = VirtualClock()
    servers = ServerPool("p", clock, random.Random(1))
    for arn in ("a", "b"):
        servers.put(arn, ("10.0.0.1", 80), well=True)
    first = servers.pool.backends[0]
    for _ in range(outliers.FAILURES):
        first.failures += 1
    assert servers.pool.eligible == servers.pool.backends[1:]
    servers._back("a")
    assert len(servers.pool.eligible) == 2
    servers.put("a", None, well=True)
    first.failures += 1
    assert len(servers.pool.backends) == 1
    servers.close()
    assert servers.pool.backends == ()
    await world.close()
