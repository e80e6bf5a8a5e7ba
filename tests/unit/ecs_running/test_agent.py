"""What containers ask of the agent."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.ecs_running.running_kit import House, Roles, a_house, a_task, container, definition

from cumulo.base.errors import AwsError
from cumulo.engines.engine import Capability
from cumulo.engines.fake_programs import FakeProcess
from cumulo.services.ecs.model import Document, Task
from cumulo.services.ecs.running import names
from cumulo.services.ecs.running.agent.endpoints import Agent
from cumulo.services.ecs.running.agent.rate import BURST, Bucket

ROLE = "arn:aws:iam::000000000000:role/task"
LINK_LOCAL = "169.254.170.2"


class Inside:
    """A program that stays, and through which tests ask as from inside the container."""

    def __init__(self) -> None:
        self.process: FakeProcess | None = None
        self.up = asyncio.Event()

    async def __call__(self, process: FakeProcess) -> int:
        self.process = process
        self.up.set()
        await process.sleep(1000)
        return 0

    async def ask(self, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, Any]:
        await self.up.wait()
        assert self.process is not None
        reader, writer = await self.process.connect(80, LINK_LOCAL)
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        raw = await reader.read()
        writer.close()
        top, _, rest = raw.partition(b"\r\n\r\n")
        status = int(top.split()[1])
        return status, json.loads(rest) if b"application/json" in top else rest.decode()


class Guard:
    """Task protection in memory."""

    def __init__(self) -> None:
        self.asked: list[tuple[bool, int | None]] = []
        self.refusal: AwsError | None = None

    async def get(self, task: Task) -> Document:
        return {"protectionEnabled": bool(self.asked and self.asked[-1][0])}

    async def update(self, task: Task, *, enabled: bool, minutes: int | None) -> Document:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((enabled, minutes))
        return {"protectionEnabled": enabled, "expirationDate": 1_700_000_000.0}


def tell(folder: Path, story: Any, *, guard: Guard | None = None, **document: Any) -> None:
    async def main() -> None:
        inside = Inside()
        async with a_house(folder, {"inside": inside}) as house:
            if guard is not None:
                house.runner.protect(guard)
            task = await house.begin(definition(container("main", "inside"), **document))
            await house.running(task)
            await story(house, house.task(task), inside)

    asyncio.run(main())


def paths(task: Task) -> Mapping[str, str]:
    at = names.endpoint_id(task, "main")
    return {"v3": f"/v3/{at}", "v4": f"/v4/{at}", "protection": f"/api/{at}/task-protection/v1/state"}


def test_a_container_and_its_task_are_described(tmp_path: Path) -> None:
    async def story(house: House, task: Task, inside: Inside) -> None:
        where = paths(task)
        status, own = await inside.ask(where["v4"])
        assert status == 200
        assert (own["DockerId"], own["Name"], own["Type"]) == (
            task.containers[0].runtime_id,
            "main",
            "NORMAL",
        )
        assert own["ContainerARN"] == task.containers[0].arn
        assert own["KnownStatus"] == "RUNNING"
        assert own["Networks"] == [
            {
                "NetworkMode": "awsvpc",
                "IPv4Addresses": [task.private_ip],
                "AttachmentIndex": 0,
                "MACAddress": task.mac,
                "IPv4SubnetCIDRBlock": "10.0.0.0/16",
                "PrivateDNSName": f"ip-{task.private_ip.replace('.', '-')}.ec2.internal",
                "SubnetGatewayIpv4Address": "10.0.0.1/16",
            }
        ]
        _, older = await inside.ask(where["v3"])
        assert "ContainerARN" not in older
        assert older["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.private_ip]}]
        _, whole = await inside.ask(f"{where['v4']}/task")
        assert (whole["TaskARN"], whole["Family"], whole["Revision"]) == (task.arn, "app", "1")
        assert whole["LaunchType"] == "FARGATE"
        assert whole["Containers"] == [own]
        assert "TaskTags" not in whole

    tell(tmp_path, story)


def test_who_is_unknown_is_told_so(tmp_path: Path) -> None:
    async def story(house: House, task: Task, inside: Inside) -> None:
        assert await inside.ask("/v4/nobody") == (
            404,
            "V4 container metadata handler: unable to get container ID from request",
        )
        assert (await inside.ask("/v4/nobody/task"))[0] == 404
        assert (await inside.ask("/elsewhere"))[0] == 404

    tell(tmp_path, story)


def test_an_engine_that_measures_nothing_has_no_statistics(tmp_path: Path) -> None:
    async def story(house: House, task: Task, inside: Inside) -> None:
        assert (await inside.ask(f"{paths(task)['v4']}/stats"))[0] == 500
        assert await house.runner.usage(task.arn) == {}

    tell(tmp_path, story)


def test_keys_of_the_role_are_for_the_task_alone(tmp_path: Path) -> None:
    async def story(house: House, task: Task, inside: Inside) -> None:
        status, keys = await inside.ask(f"/v2/credentials/{names.credentials_id(task)}")
        assert (status, keys) == (
            200,
            {
                "RoleArn": ROLE,
                "AccessKeyId": "ASIAKEY",
                "SecretAccessKey": "secret",
                "Token": "token",
                "Expiration": "2096-10-02T07:06:40.000000Z",
            },
        )
        status, told = await inside.ask("/v2/credentials/other")
        assert (status, told["code"], told["message"]) == (
            400,
            "InvalidIdInRequest",
            "CredentialsV2Request: Credentials not found",
        )
        status, told = await inside.ask("/v2/credentials/")
        assert (status, told["code"]) == (400, "NoIdInRequest")

    tell(tmp_path, story, taskRoleArn=ROLE)


def test_a_task_protects_itself(tmp_path: Path) -> None:
    guard = Guard()

    async def story(house: House, task: Task, inside: Inside) -> None:
        path = paths(task)["protection"]
        wanted = json.dumps({"ProtectionEnabled": True, "ExpiresInMinutes": 5}).encode()
        assert await inside.ask(path, "PUT", wanted) == (
            200,
            {
                "protection": {
                    "ProtectionEnabled": True,
                    "TaskArn": task.arn,
                    "ExpirationDate": "2023-11-14T22:13:20.000000Z",
                }
            },
        )
        assert guard.asked == [(True, 5)]
        status, found = await inside.ask(path)
        assert (status, found["protection"]["ProtectionEnabled"]) == (200, True)
        for body in (b"{", b"{}", b'{"ProtectionEnabled": true, "Other": 1}'):
            status, told = await inside.ask(path, "PUT", body)
            assert (status, told["error"]["Code"]) == (400, "InvalidParameterException")
        guard.refusal = AwsError("ClientException", "no")
        status, told = await inside.ask(path, "PUT", wanted)
        assert (status, told["error"]) == (
            400,
            {"Arn": task.arn, "Code": "ClientException", "Message": "no"},
        )

    tell(tmp_path, story, guard=guard, taskRoleArn=ROLE)


def test_a_task_without_a_role_cannot_protect_itself(tmp_path: Path) -> None:
    async def story(house: House, task: Task, inside: Inside) -> None:
        status, told = await inside.ask(paths(task)["protection"])
        assert (status, told["error"]["Code"]) == (403, "AccessDeniedException")

    tell(tmp_path, story, guard=Guard())


def test_the_endpoints_are_there_again_after_a_restart(tmp_path: Path) -> None:
    async def story(house: House, task: Task, inside: Inside) -> None:
        await house.again()
        async with asyncio.timeout(10):
            while True:
                try:
                    status, _ = await inside.ask(paths(task)["v4"])
                    break
                except (ConnectionError, IndexError):
                    await asyncio.sleep(0.01)
        assert status == 200

    tell(tmp_path, story)


def test_what_containers_find_in_their_environment(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:

            async def cloud(sock: Any, name: str) -> Any:
                raise AssertionError("nobody listens here")

            agent = Agent(
                house.records,
                engine=house.get,
                roles=Roles(),
                clock=house.clock,
                cloud=cloud,
                cloud_port=4567,
            )
            of = definition(container(), taskRoleArn=ROLE)
            task = a_task(of)
            able = frozenset({Capability.LISTEN_INSIDE})
            found = agent.variables(task, of, "main", able)
            assert found["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
            assert found["AWS_ENDPOINT_URL"] == f"http://{LINK_LOCAL}:51678"
            assert found["ECS_CONTAINER_METADATA_URI_V4"].startswith(f"http://{LINK_LOCAL}/v4/{task.id}-")
            relative = found["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
            assert relative == f"/v2/credentials/{names.credentials_id(task)}"
            host = definition(container(), mode="host", taskRoleArn=ROLE)
            found = agent.variables(a_task(host, launch_type="EC2"), host, "main", able)
            assert found["AWS_EXECUTION_ENV"] == "AWS_ECS_EC2"
            assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4567"
            assert found["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith("http://127.")
            found = agent.variables(task, of, "main", frozenset())
            assert found["AWS_ENDPOINT_URL"] == "http://host.docker.internal:4567"
            assert "ECS_AGENT_URI" not in found
            await agent.stop()

    asyncio.run(story())


def test_who_asks_too_often_waits() -> None:
    bucket = Bucket(0.0)
    assert all(bucket.take(0.0) for _ in range(int(BURST)))
    assert not bucket.take(0.0)
    assert bucket.take(0.025)
    assert not bucket.take(0.025)
