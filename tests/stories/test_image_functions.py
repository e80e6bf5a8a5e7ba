"""Functions from container images, really run: on the engine of this machine, and through the whole cloud."""

import asyncio
import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.image_kit import BUSYBOX, function_image, push, save
from tests.support import ROLE, Process, call, create, deploy, until
from tests.unit.lambda_dp.dp_cloud import DataPlane

from cumulo.engines.engine import ContainerState, EngineError
from cumulo.engines.functions.launcher import ContainerLauncher, RoutingLauncher, missing
from cumulo.engines.functions.sandbox import CONTAINER
from cumulo.engines.opening import open_engine
from cumulo.sandbox.contract import ImageRoot, Reach, RuntimeHost
from cumulo.services.lambda_.environment_states import Phase
from cumulo.services.lambda_.model import IMAGE

ENGINES = ["local", *(["docker"] if os.environ.get("DOCKER_HOST") else [])]
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="the local engine needs root on Linux"),
    pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed"),
]


# -- on an engine --------------------------------------------------------------------------------------------


class ImagePlane(DataPlane):
    """A data plane whose functions are containers of a real engine."""

    def __init__(self, folder: Path, engine: Any) -> None:
        super().__init__(folder)
        self.engine = engine
        self.containers = ContainerLauncher(engine, folder=folder / "volumes", cloud_port=4566)
        self.world.launcher = RoutingLauncher(self.launcher, self.containers)
        self.image = ""
        self.hosts: dict[str, tuple[tuple[str, ...], str]] = {}

    async def open(self) -> None:
        await self.containers.open()
        archive = save(function_image(), "functions.example/app:1", self.folder / "image.tar")
        (image,) = await self.engine.images.load(archive)
        self.image = image.id

    async def _host(self, version: Any) -> RuntimeHost:
        argv, cwd = self.hosts[version.name]
        return RuntimeHost(
            runtime="",
            argv=argv,
            env={},
            binds=(),
            version="" if version.from_image else "ruby:3.3.v1",
            version_arn="",
            image=ImageRoot(id=self.image, cwd=cwd, code=not version.from_image),
        )

    def run(self, name: str, *argv: str, cwd: str = "/", **over: Any) -> None:
        self.hosts[name] = (argv or ("/bootstrap", name), cwd)
        self.deploy(
            name,
            "",
            runtime="",
            handler="",
            package_type=IMAGE,
            **({"timeout_s": 10, "memory_mib": 512} | over),
        )

    async def ask(self, name: str, event: Any = None) -> Any:
        return json.loads((await self.call(name, json.dumps(event).encode())).payload)

    async def rest(self) -> None:
        """Until every environment waits for a call, or for its next life."""
        for _ in range(1000):
            if all(e.state in {Phase.IDLE, Phase.FROZEN, Phase.RESET} for e in self.fleet._by_name.values()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("an environment never rests")

    async def close(self) -> None:
        await super().close()
        await self.containers.close()


def on_engine(kind: str, folder: Path, story: Any) -> None:
    async def main() -> None:
        instance = f"t{uuid.uuid4().hex[:9]}"
        try:
            engine = await open_engine(kind, data=folder / "engine", instance=instance)
        except EngineError as error:
            pytest.skip(f"no {kind} engine here: {error}")
        try:
            if lacking := missing(engine):
                pytest.skip(lacking)
            plane = ImagePlane(folder, engine)
            try:
                await plane.open()
                await asyncio.wait_for(story(plane), 90)
            finally:
                await plane.close()
            assert await engine.pods() == []
        finally:
            await engine.close()
        table = Path("/proc/self/mountinfo").read_text()
        assert str(folder / "volumes") not in table, "a /tmp stays mounted"

    asyncio.run(main())


engines = pytest.mark.parametrize("kind", ENGINES)


@engines
def test_a_function_in_an_image_finds_the_names_of_apis_and_whom_to_trust(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        bundle, ca = tmp_path / "bundle.pem", tmp_path / "ca.pem"
        bundle.write_text("everybody")
        ca.write_text("ourselves")
        plane.containers.reach(Reach(names=("api.example.com",), bundle=bundle, ca=ca))
        plane.run("names")
        assert await plane.ask("names") == ["127.0.0.1", "everybody", "ourselves"]
        (sandbox,) = plane.containers._living
        assert sandbox.secure_socket is not None
        assert sandbox.secure_socket.getsockname() == ("127.0.0.1", 443)

    on_engine(kind, tmp_path, story)


@engines
def test_a_function_in_an_image_is_shut_in_as_on_aws(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        plane.run("facts", cwd="/app")
        facts = await plane.ask("facts")
        assert (facts["uid"], facts["gid"]) == ("993", "990")
        assert facts["cwd"] == "/app"
        assert facts["root_writable"] == "no"
        assert int(facts["caps"], 16) == 0
        assert facts["no_new_privs"] == "1"
        assert facts["nofile"] == "1024"
        assert (facts["handler"], facts["handler_set"]) == ("", "yes")
        assert facts["function"] == "facts"
        assert facts["image"] == "yes"
        await plane.rest()
        assert (await plane.ask("facts"))["start"] == facts["start"]  # a warm environment
        reports = [line for line in plane.logs.lines if line.startswith("REPORT")]
        assert "Init Duration" in reports[0]
        used = int(reports[-1].partition("Max Memory Used: ")[2].split()[0])
        assert 0 < used < 64
        assert "event null\n" in plane.logs.lines

    on_engine(kind, tmp_path, story)


@engines
def test_events_and_answers_pass_unchanged_and_environments_rest_between_them(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        plane.run("echo", "/bootstrap", "echo_event")
        for event in ({"a": [1, "ü", None]}, "text", 3.5):
            assert await plane.ask("echo", event) == event

        async def states() -> set[ContainerState]:
            return {pod.containers[CONTAINER].state for pod in await plane.engine.pods("lambda")}

        for _ in range(500):
            if await states() == {ContainerState.PAUSED}:
                break
            await asyncio.sleep(0.01)
        assert await states() == {ContainerState.PAUSED}
        assert await plane.ask("echo", "after the rest") == "after the rest"
        answers = await asyncio.gather(*(plane.ask("echo", n) for n in range(4)))
        assert answers == list(range(4))

    on_engine(kind, tmp_path, story)


@engines
def test_a_zip_runs_in_the_image_of_its_runtime(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        plane.hosts["zip"] = (("/bootstrap", "task"), "/var/task")
        plane.deploy("zip", "from the zip", file="app.txt", runtime="ruby3.3", handler="task", memory_mib=512)
        assert await plane.ask("zip") == ["from the zip", "/var/task", "/var/task", "no"]
        assert any(line.startswith("INIT_START Runtime Version: ") for line in plane.logs.lines)

    on_engine(kind, tmp_path, story)


@engines
def test_tmp_is_bounded_and_outlives_a_crash_of_the_runtime(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        plane.run("count")
        for expected in (1, 2):
            assert await plane.ask("count") == expected
            await plane.rest()
        (pod,) = await plane.engine.pods("lambda")
        await plane.engine.signal(pod.name, CONTAINER, "SIGKILL")
        for _ in range(1000):
            if not await plane.engine.pods("lambda"):
                break
            await asyncio.sleep(0.01)
        assert await plane.ask("count") == 3
        plane.run("fill", memory_mib=128, tmp_mib=512)
        assert (
            await plane.ask("fill", 300) == 300 * 2**20
        )  # more than its memory: /tmp is not counted as that
        assert await plane.ask("fill", 900) < 600 * 2**20

    on_engine(kind, tmp_path, story)


@engines
def test_what_goes_wrong_in_an_image_is_told_as_aws_tells_it(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        plane.run("gone", "/nothing", "x")
        plane.run("bare", "nothing")
        plane.run("folder", "/bootstrap", "facts", cwd="/not/there")
        plane.run("crash")
        plane.run("memory", memory_mib=128)
        plane.run("hang", timeout_s=1)
        expected = {
            "gone": ("Runtime.InvalidEntrypoint", "fork/exec /nothing: no such file or directory"),
            "bare": ("Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [nothing]"),
            "folder": ("Runtime.InvalidWorkingDir", "the working directory doesn't exist: /not/there"),
            "crash": ("Runtime.ExitError", "Runtime exited with error: exit status 3"),
            "memory": ("Runtime.ExitError", "Runtime exited with error: signal: killed"),
            "hang": ("Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        }
        if kind == "local":  # what others start is there already when the kernel refuses
            plane.run("lost", "lost")
            expected["lost"] = ("Runtime.InvalidEntrypoint", "fork/exec /bin/lost: no such file or directory")
        for name, (kind_of_error, message) in expected.items():
            answer = await plane.ask(name)
            assert answer.get("errorType") == kind_of_error, (name, answer)
            assert answer["errorMessage"].endswith(f"Error: {message}"), (name, answer)
        assert "Error Type: Runtime.OutOfMemory" in plane.logs.text

    on_engine(kind, tmp_path, story)


@engines
def test_what_a_killed_server_left_is_gone_after_the_next_start(kind, tmp_path):
    async def story(plane: ImagePlane) -> None:
        plane.run("count")
        await plane.ask("count")
        assert len(await plane.engine.pods("lambda")) == 1
        later = ContainerLauncher(plane.engine, folder=tmp_path / "volumes", cloud_port=4566)
        await later.open()
        assert await plane.engine.pods("lambda") == []
        assert f"{tmp_path}/volumes/" not in Path("/proc/self/mountinfo").read_text()
        await later.close()

    on_engine(kind, tmp_path, story)


# -- through the cloud ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def a_cloud(folder: Path, *options: str) -> Iterator[Process]:
    cloud = Process(folder / "data", "--engine", "local", *options)
    try:
        try:
            cloud.start()
        except AssertionError:
            if "engine" in cloud.log.read_text():
                pytest.skip(f"no engine here: {cloud.log.read_text().strip().splitlines()[-1]}")
            raise
        yield cloud
    finally:
        cloud.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)


def pushed(cloud: Process, tag: str, image: Any) -> str:
    """Push into the repository `app`; the reference."""
    ecr = cloud.client("ecr")
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName="app")
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    push(cloud.endpoint, "app", tag, image, token)
    return f"{ecr.describe_repositories()['repositories'][0]['repositoryUri']}:{tag}"


def settled(aws: Any, name: str) -> Any:
    def ready() -> Any:
        found = aws.get_function(FunctionName=name)
        shown = found["Configuration"]
        busy = shown["State"] == "Pending" or shown.get("LastUpdateStatus") == "InProgress"
        return None if busy else found

    return until(ready, f"{name} settles")


def test_an_image_is_pushed_run_replaced_and_survives_the_server(tmp_path):
    with a_cloud(tmp_path) as cloud:
        first, second = function_image("version", VERSION="one"), function_image("version", VERSION="two")
        uri = pushed(cloud, "live", first)
        aws = cloud.client("lambda")
        aws.create_function(
            FunctionName="f", PackageType="Image", Code={"ImageUri": uri}, Role=ROLE, Timeout=20
        )
        found = settled(aws, "f")
        assert found["Configuration"]["State"] == "Active", found["Configuration"]
        assert found["Configuration"]["CodeSha256"] == first.digest.removeprefix("sha256:")
        assert found["Code"]["ResolvedImageUri"].endswith(f"/app@{first.digest}")
        assert call(aws, "f") == "one"

        pushed(cloud, "live", second)
        assert call(aws, "f") == "one"  # the digest is pinned
        aws.update_function_code(FunctionName="f", ImageUri=uri, Publish=True)
        assert settled(aws, "f")["Configuration"]["LastUpdateStatus"] == "Successful"
        assert call(aws, "f") == "two"
        assert call(aws, "f:1") == "two"

        aws.update_function_configuration(
            FunctionName="f", ImageConfig={"Command": ["facts"], "WorkingDirectory": "/app"}
        )
        settled(aws, "f")
        assert call(aws, "f")["cwd"] == "/app"
        assert call(aws, "f:1") == "two"

        aws.update_function_configuration(FunctionName="f", ImageConfig={"Command": ["cloud"]})
        settled(aws, "f")
        assert call(aws, "f", "_cumulo/health")["services"][
            "lambda"
        ]  # AWS_ENDPOINT_URL leads here from inside
        aws.update_function_configuration(FunctionName="f", ImageConfig={"Command": ["facts"]})
        settled(aws, "f")

        cloud.kill()
        cloud.start()
        aws = cloud.client("lambda")
        assert call(aws, "f")["uid"] == "993"
        logs = cloud.client("logs")
        text = "".join(
            event["message"]
            for event in logs.filter_log_events(logGroupName="/aws/lambda/f", limit=1000)["events"]
        )
        assert "event null" in text
        assert "REPORT RequestId" in text
        aws.delete_function(FunctionName="f")


def test_a_runtime_that_the_machine_lacks_is_an_image_that_was_configured(tmp_path):
    image = "000000000000.dkr.ecr.us-east-1.localhost/app:ruby"
    with a_cloud(tmp_path, "--runtime-images", f"ruby3.3={image}") as cloud:
        aws = cloud.client("lambda")
        settings: dict[str, Any] = {"Runtime": "ruby3.3", "Handler": "task"}
        create(aws, "early", {"app.txt": "x"}, **settings)
        shown = settled(aws, "early")["Configuration"]
        assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidRuntime")
        assert image in shown["StateReason"]
        pushed(cloud, "ruby", function_image(cwd="/var/task"))
        deploy(aws, "ruby", {"app.txt": "from the zip"}, **settings)
        assert call(aws, "ruby") == ["from the zip", "/var/task", "/var/task", "no"]


def test_an_image_that_is_not_there_is_refused_at_once(tmp_path):
    with a_cloud(tmp_path) as cloud:
        uri = pushed(cloud, "1", function_image("facts"))
        aws = cloud.client("lambda")
        for wrong, sentence in ((f"{uri}0", "does not exist"), (uri.rpartition(":")[0], "is not valid")):
            with pytest.raises(aws.exceptions.InvalidParameterValueException, match=sentence):
                aws.create_function(
                    FunctionName="f", PackageType="Image", Code={"ImageUri": wrong}, Role=ROLE
                )
        assert aws.list_functions()["Functions"] == []
