"""Containers of the real engine find one another: by names of Cloud Map, and by aliases of Service Connect."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.discovery_kit import ACCOUNT, REGION, REGISTRY, FakeMap, World, container
from tests.engines.images import BUSYBOX, PLAIN, write_test_images

from cumulo.engines.engine import ContainerSpec, Engine, EngineError, PodSpec
from cumulo.engines.opening import open_engine
from cumulo.services.ecs.model import Task, TaskStatus
from cumulo.services.ecs.records import service_key

pytestmark = [pytest.mark.root, pytest.mark.skipif(not BUSYBOX, reason="needs busybox-static")]
SERVE = "mkdir -p /www; echo {says} >/www/index.html; exec /bin/busybox httpd -f -p 8080 -h /www"
CONNECT = {
    "enabled": True,
    "namespace": "corp.local",
    "services": [{"portName": "http", "clientAliases": [{"port": 80, "dnsName": "shop"}]}],
}


class Town(World):
    """A world whose tasks are pods of the local engine."""

    image = ""

    async def _publish(self, table: Any) -> None:
        await self.engine.publish("ecs", table)

    async def up(self, task: Task, script: str) -> Task:
        """What the runner does with a task."""
        argv = ("sh", "-c", script)
        spec = ContainerSpec(name="c", image=self.image, command=argv)
        hosts = self.connect.hosts(task)
        made = await self.engine.create(PodSpec(name=task.id, owner="ecs", containers=(spec,), hosts=hosts))
        await self.connect.prepare(task, task.id)
        await self.engine.start(task.id, "c")
        task = self.change(task, private_ip=made.address, last_status=TaskStatus.ACTIVATING)
        for attachment in (self.registries, self.connect):
            await attachment.attach(task)
        return self.change(task, last_status=TaskStatus.RUNNING)

    async def down(self, task: Task) -> None:
        """And at its end."""
        await asyncio.gather(self.registries.detach(task), self.connect.detach(task))
        self.change(task, last_status=TaskStatus.STOPPED)
        await self.engine.remove(task.id)
        for attachment in (self.registries, self.connect):
            await attachment.gone(task)

    async def said(self, task: Task) -> str:
        """All that a task printed, when it has ended."""
        async with asyncio.timeout(30):
            await self.engine.wait(task.id, "c")
            return "".join([line.text.decode() + "\n" async for line in self.engine.logs(task.id, "c")])


def server(says: str) -> str:
    return SERVE.format(says=says)


def told(work: Callable[[Town], Awaitable[None]], folder: Path) -> None:
    """Tell a story in a town, of which no pod is left."""

    async def main() -> None:
        async with asyncio.timeout(100), _town(folder) as town:
            await work(town)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def _town(folder: Path) -> AsyncIterator[Town]:
    engine: Engine | None = None
    try:
        engine = await open_engine(
            "local", data=folder / "engine", instance=f"story{random.randrange(10**6)}"
        )
    except EngineError as error:
        pytest.skip(str(error))
    town = Town(folder, FakeMap(), engine)
    try:
        await engine.images.load(write_test_images(folder)[0])
        image = await engine.images.get(PLAIN)
        assert image is not None
        town.image = image.id
        yield town
    finally:
        await town.close()
        for pod in await engine.pods():
            await engine.remove(pod.name)
        await engine.close()


def test_tasks_find_a_service_by_its_name_in_cloud_map(tmp_path: Path) -> None:
    async def work(town: Town) -> None:
        service = town.service(
            "web", town.definition(container("c")), serviceRegistries=[{"registryArn": REGISTRY}]
        )
        asker = town.service("asker", town.definition(container("c"), family="asker"))
        one = await town.up(town.task("one", service), server("one"))
        script = "for i in $(seq 100); do wget -qO- http://web.corp.local:8080/ && break; sleep 0.1; done"
        first = await town.up(town.task("first", asker), script)
        assert await town.said(first) == "one\n"
        two = await town.up(town.task("two", service), server("two"))
        await town.down(one)
        second = await town.up(town.task("second", asker), script)
        assert await town.said(second) == "two\n"
        await town.down(two)
        third = await town.up(town.task("third", asker), "nslookup web.corp.local. || true")
        assert two.private_ip not in await town.said(third)

    told(work, tmp_path)


@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_tasks_reach_a_service_by_its_alias_also_after_a_restart(tmp_path: Path, protocol: str) -> None:
    async def work(town: Town) -> None:
        town.cluster()
        mapping = {"name": "http", "containerPort": 8080, "protocol": "tcp"}
        if protocol == "http":
            mapping["appProtocol"] = "http"
        definition = town.definition(container("c", mapping), family="shop")
        for name, configuration in (("shop", CONNECT), ("asker", {**CONNECT, "services": []})):
            await town.connect.check(
                ACCOUNT,
                REGION,
                "",
                configuration,
                definition,
                service=service_key(town.records.clusters.all()[0].arn, name),
                operation="CreateService",
            )
            town.service(name, definition, serviceConnectConfiguration=configuration)
        shop, asker = (town.records.services.all()[at] for at in (1, 0))
        one = await town.up(town.task("one", shop), server("one"))
        two = await town.up(town.task("two", shop), server("two"))
        await asyncio.gather(*(_serves(task.private_ip) for task in (one, two)))
        script = (
            "cat /etc/hosts; for i in $(seq 8); do wget -qO- http://shop/; done; touch /asked; "
            "while [ ! -e /again ]; do sleep 0.05; done; wget -qO- http://shop/"
        )
        client = await town.up(town.task("client", asker), script)
        await _printed(town, client, 8)
        again = Town(town.folder, town.map, town.engine) if await _closed(town) else town
        await again.connect.start()
        await again.connect.prepare(client, client.id)
        await again.down(one)
        session = await again.engine.exec(client.id, "c", _touch())
        await session.wait()
        await session.close()
        text = await again.said(client)
        assert "127.255.0.1\tshop" in text
        answers = [line for line in text.splitlines() if line in {"one", "two"}]
        assert sorted(answers[:8]) == ["one"] * 4 + ["two"] * 4
        assert answers[8:] == ["two"]
        await again.down(two)
        await again.down(client)
        assert again.kept.clients.all() == []
        await again.close()

    told(work, tmp_path)


def _touch() -> Any:
    from cumulo.engines.engine import ExecSpec

    return ExecSpec(argv=("touch", "/again"))


async def _closed(town: Town) -> bool:
    await town.store.commit()
    await town.close()
    return True


async def _serves(address: str) -> None:
    """Wait until somebody listens: a connection that is refused would count."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address, 8080)
            writer.close()
            return
        await asyncio.sleep(0.02)


async def _printed(town: Town, task: Task, answers: int) -> None:
    """Wait until a task has had so many answers."""
    count = 0
    async for line in town.engine.logs(task.id, "c", follow=True):
        count += line.text in (b"one", b"two")
        if count == answers:
            return
