"""Functions as containers, on the fake engine: the sandbox contract, and whole invocations on top of it."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest
from tests.unit.lambda_dp.dp_cloud import DataPlane

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import (
    Capability,
    ContainerState,
    EngineError,
    MountKind,
    NetworkMode,
    StartFailed,
)
from cumulo.engines.engine import Exit as EngineExit
from cumulo.engines.fake import FakeEngine, FakeHost
from cumulo.engines.functions.launcher import ContainerLauncher, RoutingLauncher, missing
from cumulo.engines.functions.refusals import check, explain
from cumulo.engines.functions.sandbox import CONTAINER, ended
from cumulo.engines.images import Config
from cumulo.sandbox.contract import Exit, ImageRoot, RuntimeHost, SandboxSpec, StartError
from cumulo.services.lambda_.model import IMAGE

GRACE_S = 20


# -- programs that speak the Runtime API ---------------------------------------------------------------------


async def ask(reader, writer, method, path, body=b""):
    """One request on a connection that stays open; status, headers and body of the answer."""
    head = f"{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    status = int((await reader.readline()).split()[1])
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def serve(process, handler):
    reader, writer = await process.connect(9001)
    with contextlib.closing(writer):
        while True:
            _, headers, event = await ask(reader, writer, "GET", "invocation/next")
            await process.running.wait()
            answer = await handler(json.loads(event))
            path = f"invocation/{headers['lambda-runtime-aws-request-id']}/response"
            await ask(reader, writer, "POST", path, json.dumps(answer).encode())


async def hello(process):
    async def handler(event):
        await process.write(f"got {event}\n")
        return {
            "event": event,
            "argv": list(process.argv),
            "env": dict(process.env),
            "cwd": process.cwd,
            "user": process.user,
        }

    await serve(process, handler)


async def crash(process):
    async def handler(event):
        raise SystemError("x")

    await serve(process, handler)


async def exits(process):
    await process.write("giving up\n")
    return int(process.argv[1])


async def hang(process):
    async def handler(event):
        await process.sleep(3600)

    await serve(process, handler)


PROGRAMS = {"hello": hello, "crash": crash, "exits": exits, "hang": hang}


# -- a launcher ----------------------------------------------------------------------------------------------


class Lab:
    """A launcher on the fake engine with one image."""

    def __init__(self, folder: Path, host: FakeHost | None = None, engine: FakeEngine | None = None) -> None:
        self.folder = folder
        self.engine = engine or FakeEngine(SystemClock(), PROGRAMS, host=host)
        self.image = self.engine.images.add("registry.example/app:1", Config(env={"FROM": "image"}))
        self.launcher = ContainerLauncher(self.engine, folder=folder / "tmp", cloud_port=4566)

    def spec(self, *argv: str, name: str = "fn-1", image: ImageRoot | None = None, **values) -> SandboxSpec:
        return SandboxSpec(
            name=name,
            argv=argv,
            env={"A": "1"},
            code=self.folder,
            memory_mib=128,
            vcpus=0.1,
            tmp_name=f"tmp-{name}",
            tmp_mib=64,
            image=image or ImageRoot(id=self.image.id, cwd="/app"),
            **values,
        )

    async def pods(self):
        return {pod.name: pod for pod in await self.engine.pods()}


def in_lab(folder: Path, story, **options) -> None:
    async def main():
        lab = Lab(folder, **options)
        await lab.launcher.open()
        try:
            await asyncio.wait_for(story(lab), GRACE_S)
        finally:
            await lab.launcher.close()
        assert await lab.pods() == {}, "nothing is left"
        assert not any(str(folder) in line for line in Path("/proc/self/mountinfo").read_text().splitlines())

    asyncio.run(main())


async def until(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("never")


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_a_container_is_asked_to_be(tmp_path):
    async def story(lab):
        seen = []
        create = lab.engine.create

        async def watched(spec):
            seen.append(spec)
            return await create(spec)

        lab.engine.create = watched
        sandbox = await lab.launcher.start(lab.spec("/bin/hello", "app.handler"))
        (pod,) = seen
        (container,) = pod.containers
        assert (pod.owner, pod.network) == ("lambda", NetworkMode.BRIDGE)
        assert (container.entrypoint, container.command) == (("/bin/hello",), ("app.handler",))
        assert container.read_only
        assert container.no_new_privileges
        assert container.drop == ("ALL",)
        assert container.user == "993:990"
        assert container.cwd == "/app"
        assert container.limits.memory_mib == 128
        assert container.limits.pids_max == 1024
        assert container.limits.vcpus == 1.0  # a whole one while it initialises
        assert {u.name: u.hard for u in container.ulimits}["nofile"] == 1024
        (tmp,) = container.mounts
        assert (tmp.target, tmp.kind, tmp.read_only) == ("/tmp", MountKind.BIND, False)
        assert Path(tmp.source).is_dir()
        assert container.env["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
        assert container.env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
        assert "_LAMBDA_TELEMETRY_LOG_FD" not in container.env
        await sandbox.close()

    in_lab(tmp_path, story)


def test_the_code_of_a_zip_is_seen_in_a_runtimes_image(tmp_path):
    async def story(lab):
        seen = []
        create = lab.engine.create

        async def watched(spec):
            seen.append(spec)
            return await create(spec)

        lab.engine.create = watched
        image = ImageRoot(id=lab.image.id, cwd="/var/task", code=True)
        await lab.launcher.start(lab.spec("/bin/hello", image=image))
        mounts = {mount.target: mount for mount in seen[0].containers[0].mounts}
        assert mounts["/var/task"].source == str(lab.folder)
        assert mounts["/var/task"].read_only

    in_lab(tmp_path, story)


@pytest.mark.parametrize(
    ("argv", "image", "kind", "message"),
    [
        (
            ("/nothing",),
            {},
            "Runtime.InvalidEntrypoint",
            "fork/exec /nothing: no such file or directory",
        ),
        (("nothing",), {}, "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [nothing]"),
        ((), {}, "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): []"),
        (
            ("/bin/hello",),
            {"unfit": "exec format error"},
            "Runtime.InvalidEntrypoint",
            "fork/exec /bin/hello: exec format error",
        ),
        (
            ("/bin/hello",),
            {"cwd": "app"},
            "Runtime.InvalidWorkingDir",
            "the working directory 'app' is invalid, it needs to be an absolute path",
        ),
        (("/bin/hello",), {"id": "sha256:0"}, "Sandbox.Failed", "there is no image sha256:0"),
    ],
)
def test_what_cannot_start_is_told_in_lambdas_words_and_leaves_nothing(tmp_path, argv, image, kind, message):
    async def story(lab):
        before = fds()
        with pytest.raises(StartError) as caught:
            await lab.launcher.start(
                lab.spec(*argv, image=ImageRoot(**({"id": lab.image.id, "cwd": "/app"} | image)))
            )
        assert caught.value.kind == kind
        assert str(caught.value).startswith(message)
        assert await lab.pods() == {}
        assert fds() == before

    in_lab(tmp_path, story)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            StartFailed("entrypoint", 'exec: "/x": permission denied'),
            "Runtime.InvalidEntrypoint",
            "fork/exec /x: permission denied",
        ),
        (
            StartFailed("entrypoint", "exec /x: exec format error"),
            "Runtime.InvalidEntrypoint",
            "fork/exec /x: exec format error",
        ),
        (
            StartFailed("engine", 'chdir to cwd ("/app") failed: no such file or directory'),
            "Runtime.InvalidWorkingDir",
            "the working directory doesn't exist: /app",
        ),
        (
            StartFailed("engine", "mkdir /app: read-only file system"),
            "Runtime.InvalidWorkingDir",
            "the working directory doesn't exist: /app",
        ),
        (StartFailed("mount", "no such device"), "Sandbox.Failed", "no such device"),
        (EngineError("dead"), "Sandbox.Failed", "dead"),
    ],
)
def test_an_engines_refusals_are_sorted_into_the_functions_and_the_machines(tmp_path, error, kind, message):
    async def main():
        told = explain(Lab(tmp_path).spec("/x"), error)
        assert (told.kind, str(told)) == (kind, message)

    asyncio.run(main())


def test_a_program_that_was_found_in_path_is_told_by_its_path(tmp_path):
    async def main():
        error = StartFailed(
            "entrypoint", "exec /usr/bin/python3: no such file or directory (/x is needed for it)"
        )
        told = explain(Lab(tmp_path).spec("python3"), error)
        assert str(told) == "fork/exec /usr/bin/python3: no such file or directory"
        told = explain(Lab(tmp_path).spec("python3"), StartFailed("entrypoint", "python3: not found"))
        assert str(told) == "Couldn't find valid bootstrap(s): [python3]"

    asyncio.run(main())


def test_a_spec_without_an_image_is_none_of_a_containers_business(tmp_path):
    async def main():
        spec = Lab(tmp_path).spec("/x")
        with pytest.raises(StartError):
            check(SandboxSpec(**{n: getattr(spec, n) for n in spec.__struct_fields__ if n != "image"}))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (EngineExit(0), Exit()),
        (EngineExit(3), Exit(code=3)),
        (EngineExit(137, out_of_memory=True), Exit(signal=9, out_of_memory=True)),
        (EngineExit(139), Exit(signal=11)),
        (EngineExit(127, error="no such file"), Exit(code=127, entrypoint_failed=True)),
        (EngineExit(255), Exit(code=255)),
    ],
)
def test_exits_are_translated(how, expected):
    assert ended(how) == expected


def test_an_end_is_told_to_everybody_who_waits(tmp_path):
    async def story(lab):
        sandbox = await lab.launcher.start(lab.spec("exits", "7"))
        assert await asyncio.gather(sandbox.wait(), sandbox.wait()) == [Exit(code=7)] * 2
        assert os.read(sandbox.output, 100) == b"giving up\n"
        assert os.read(sandbox.telemetry, 100) == b""
        sandbox.kill()  # harmless
        await asyncio.gather(sandbox.close(), sandbox.close())

    in_lab(tmp_path, story)


def test_freezing_and_thawing_come_in_the_order_they_were_asked_for(tmp_path):
    async def story(lab):
        done = []
        slow = asyncio.Event()
        for verb in ("pause", "resume"):
            real = getattr(lab.engine, verb)

            async def watched(pod, container, verb=verb, real=real):
                await slow.wait()
                await real(pod, container)
                done.append(verb)

            setattr(lab.engine, verb, watched)
        sandbox = await lab.launcher.start(lab.spec("hang"))
        for _ in range(5):
            sandbox.freeze()
            await asyncio.sleep(0)
            sandbox.thaw()
            await asyncio.sleep(0)
        sandbox.freeze()
        slow.set()
        await until(lambda: done and done[-1] == "pause")
        await asyncio.sleep(0.02)
        state = (await lab.pods())["fn-1"].containers[CONTAINER].state
        assert state is ContainerState.PAUSED
        assert done == ["pause"]  # what was overtaken was never done
        sandbox.thaw()
        await until(lambda: done[-1] == "resume")
        sandbox.freeze()
        await until(lambda: done == ["pause", "resume", "pause"])
        sandbox.kill()  # a frozen one too
        assert (await sandbox.wait()).signal == 9

    in_lab(tmp_path, story)


def test_a_freeze_and_a_thaw_at_once_cost_nothing(tmp_path):
    async def story(lab):
        calls = []
        real = lab.engine.pause

        async def pause(pod, container):
            calls.append(pod)
            await real(pod, container)

        lab.engine.pause = pause
        sandbox = await lab.launcher.start(lab.spec("hang"))
        await asyncio.sleep(0.01)
        sandbox.freeze()
        sandbox.thaw()
        await asyncio.sleep(0.01)
        assert calls == []

    in_lab(tmp_path, story)


def test_an_engine_that_cannot_thaw_costs_the_environment_and_not_the_caller(tmp_path):
    async def story(lab):
        async def broken(pod, container):
            raise EngineError("the freezer is gone")

        sandbox = await lab.launcher.start(lab.spec("hang"))
        sandbox.freeze()
        await asyncio.sleep(0.02)
        real, lab.engine.resume = lab.engine.resume, broken
        sandbox.thaw()
        assert (await sandbox.wait()).signal == 9
        lab.engine.resume = real

    in_lab(tmp_path, story)


def test_a_kill_that_fails_is_tried_again(tmp_path):
    async def story(lab):
        real, failures = lab.engine.signal, [EngineError("busy")]

        async def signal(pod, container, name):
            if failures:
                raise failures.pop()
            await real(pod, container, name)

        lab.engine.signal = signal
        sandbox = await lab.launcher.start(lab.spec("hang"))
        sandbox.kill()
        assert (await sandbox.wait()).signal == 9

    in_lab(tmp_path, story)


def test_a_pod_that_somebody_removes_has_ended(tmp_path):
    async def story(lab):
        sandbox = await lab.launcher.start(lab.spec("hang"))
        await lab.engine.remove("fn-1")
        assert (await sandbox.wait()).signal == 9
        await sandbox.close()

    in_lab(tmp_path, story)


def test_a_caller_that_goes_away_half_way_leaves_no_pod(tmp_path):
    async def story(lab):
        reached, go_on = asyncio.Event(), asyncio.Event()
        real = lab.engine.start

        async def start(pod, container, *, output=None):
            reached.set()
            await go_on.wait()
            return await real(pod, container, output=output)

        lab.engine.start = start
        caller = asyncio.create_task(lab.launcher.start(lab.spec("hang")))
        await reached.wait()
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
        go_on.set()
        for _ in range(1000):
            if not await lab.pods():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the pod stays")

    in_lab(tmp_path, story)


def test_what_an_earlier_control_plane_left_is_removed(tmp_path):
    async def main():
        host = FakeHost()
        first = Lab(tmp_path, host)
        await first.launcher.open()
        await first.launcher.start(first.spec("hang"))
        await first.launcher.start(first.spec("hang", name="fn-2"))
        second = Lab(tmp_path, host)
        assert len(await second.pods()) == 2
        await second.launcher.open()
        assert await second.pods() == {}
        await second.launcher.close()
        await first.launcher.close()

    asyncio.run(main())


def test_tmp_is_the_same_for_the_same_name_until_it_is_dropped(tmp_path):
    async def story(lab):
        async def tmp(name):
            seen = []
            create = lab.engine.create

            async def watched(spec):
                seen.append(spec.containers[0].mounts[0].source)
                return await create(spec)

            lab.engine.create = watched
            sandbox = await lab.launcher.start(lab.spec("hang", name=name))
            await sandbox.close()
            lab.engine.create = create
            return Path(seen[0])

        first = await tmp("fn-1")
        (first / "file").write_text("kept")
        assert (await tmp("fn-1") / "file").read_text() == "kept"
        assert not (await tmp("fn-2") / "file").exists()
        if os.geteuid() == 0:
            with pytest.raises(OSError, match="space"):
                (first / "big").write_bytes(bytes(80 * 1024 * 1024))
        lab.launcher.drop_tmp("tmp-fn-1")
        await until(lambda: not first.exists())

    in_lab(tmp_path, story)


def test_no_descriptor_is_left_of_a_sandbox(tmp_path):
    async def story(lab):
        await (await lab.launcher.start(lab.spec("hang"))).close()
        before = fds()
        for _ in range(5):
            await (await lab.launcher.start(lab.spec("hang"))).close()
        assert fds() == before

    in_lab(tmp_path, story)


def test_an_engine_that_cannot_listen_inside_is_refused_by_name(tmp_path):
    class Distant(FakeEngine):
        name = "distant"
        capabilities = frozenset({Capability.OUTPUT, Capability.PAUSE})

    async def story(lab):
        assert missing(lab.engine) == (
            "the distant engine cannot run functions on this machine: it lacks listen-inside"
        )
        with pytest.raises(StartError, match="lacks listen-inside"):
            await lab.launcher.start(lab.spec("hang"))

    in_lab(tmp_path, story, engine=Distant(SystemClock(), PROGRAMS))


# -- whole invocations ---------------------------------------------------------------------------------------


class ImagePlane(DataPlane):
    """A data plane whose functions are images of the fake engine; `argv` is their command."""

    def __init__(self, folder: Path, **limits) -> None:
        super().__init__(folder, **limits)
        self.lab = Lab(folder)
        self.cells = self.launcher
        self.launcher = self.world.launcher = RoutingLauncher(self.cells, self.lab.launcher)
        self.commands: dict[str, tuple[str, ...]] = {}
        self.cwd = "/app"

    async def _host(self, version):
        if not version.from_image:
            return await super()._host(version)
        return RuntimeHost(
            runtime="",
            argv=self.commands[version.name],
            env={},
            binds=(),
            version="",
            version_arn="",
            image=ImageRoot(id=self.lab.image.id, cwd=self.cwd),
        )

    def run_image(self, name: str, *argv: str, **over) -> None:
        self.commands[name] = argv
        self.deploy(name, "", runtime="", handler="", package_type=IMAGE, **over)


def with_images(folder: Path, story, **limits) -> None:
    async def main():
        plane = ImagePlane(folder, **limits)
        await plane.lab.launcher.open()
        try:
            await asyncio.wait_for(story(plane), 60)
        finally:
            await plane.close()
        assert await plane.lab.pods() == {}

    asyncio.run(main())


def test_an_image_answers_calls_and_sees_what_aws_shows_it(tmp_path):
    async def story(plane):
        plane.run_image("hi", "/bin/hello", "app.handler", environment={"MINE": "yes", "FROM": "function"})
        first = json.loads((await plane.call("hi", b'{"n": 1}')).payload)
        assert first["event"] == {"n": 1}
        assert first["argv"] == ["/bin/hello", "app.handler"]
        assert first["cwd"] == "/app"
        assert first["user"] == "993:990"
        env = first["env"]
        assert (env["FROM"], env["MINE"], env["_HANDLER"]) == ("function", "yes", "")
        assert env["AWS_LAMBDA_FUNCTION_NAME"] == "hi"
        assert "LAMBDA_TASK_ROOT" not in env
        assert "TZ" not in env
        for number in range(5):
            assert json.loads((await plane.call("hi", str(number).encode())).payload)["event"] == number
        assert len(await plane.lab.pods()) == 1
        assert "got {'n': 1}\n" in plane.logs.lines
        assert not any(line.startswith("INIT_START") for line in plane.logs.lines)
        assert sum(line.startswith("REPORT") for line in plane.logs.lines) == 6

    with_images(tmp_path, story)


def test_an_environment_is_frozen_between_calls_and_thawed_for_the_next(tmp_path):
    async def story(plane):
        plane.run_image("hi", "hello")
        await plane.call("hi")

        async def state():
            (pod,) = (await plane.lab.pods()).values()
            return pod.containers[CONTAINER].state

        for _ in range(1000):
            if await state() is ContainerState.PAUSED:
                break
            await asyncio.sleep(0.005)
        assert await state() is ContainerState.PAUSED
        assert json.loads((await plane.call("hi", b"2")).payload)["event"] == 2

    with_images(tmp_path, story)


@pytest.mark.parametrize(
    ("argv", "kind", "message"),
    [
        (("/gone",), "Runtime.InvalidEntrypoint", "fork/exec /gone: no such file or directory"),
        (("exits", "0"), "Runtime.ExitError", "Runtime exited without providing a reason"),
        (("exits", "3"), "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        (("crash",), "Runtime.ExitError", "Runtime exited with error: exit status 1"),
        (("hang",), "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ],
)
def test_what_goes_wrong_inside_is_told_as_aws_tells_it(tmp_path, argv, kind, message):
    async def story(plane):
        plane.run_image("bad", *argv, timeout_s=1)
        result = await plane.call("bad")
        assert result.function_error == "Unhandled"
        answer = json.loads(result.payload)
        assert answer["errorType"] == kind
        assert answer["errorMessage"].endswith(f" Error: {message}")
        assert answer["errorMessage"].startswith("RequestId: ")

    with_images(tmp_path, story)


def test_a_working_directory_that_is_none_is_told(tmp_path):
    async def story(plane):
        plane.cwd = "here"
        plane.run_image("bad", "hello")
        answer = json.loads((await plane.call("bad")).payload)
        assert answer["errorType"] == "Runtime.InvalidWorkingDir"
        assert "the working directory 'here' is invalid, it needs to be an absolute path" in plane.logs.text
        assert "Runtime.InvalidWorkingDir" in plane.logs.text

    with_images(tmp_path, story)


def test_the_log_in_json_names_no_version_of_a_runtime(tmp_path):
    async def story(plane):
        plane.run_image("hi", "hello", json_logs=True)
        await plane.call("hi")
        (started,) = [json.loads(line) for line in plane.logs.lines if "platform.initStart" in line]
        assert started["record"]["functionName"] == "hi"
        assert not {"runtimeVersion", "runtimeVersionArn"} & started["record"].keys()

    with_images(tmp_path, story)


def test_many_calls_at_once_get_a_container_each(tmp_path):
    async def story(plane):
        plane.run_image("hi", "hello")
        answers = await asyncio.gather(*(plane.call("hi", str(n).encode()) for n in range(8)))
        assert [json.loads(answer.payload)["event"] for answer in answers] == list(range(8))

    with_images(tmp_path, story)


# -- engines that fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["create", "listen_inside", "start"])
@pytest.mark.parametrize("after", [False, True])
def test_an_engine_that_fails_half_way_leaves_nothing(tmp_path, verb, after):
    async def story(lab):
        real = getattr(lab.engine, verb)

        async def broken(*arguments, **options):
            if after:  # it did what it was asked for, and could not say so
                left = await real(*arguments, **options)
                if verb == "listen_inside":
                    left.close()
            raise EngineError("the daemon is gone")

        before = fds()
        setattr(lab.engine, verb, broken)
        with pytest.raises(StartError, match="the daemon is gone") as caught:
            await lab.launcher.start(lab.spec("hang"))
        assert caught.value.kind == "Sandbox.Failed"
        assert await lab.pods() == {}
        assert fds() == before
        setattr(lab.engine, verb, real)
        sandbox = await lab.launcher.start(lab.spec("exits", "0"))  # and goes on when the engine does
        assert await sandbox.wait() == Exit()

    in_lab(tmp_path, story)


def test_an_engine_that_does_not_tell_how_a_container_ended_has_killed_it(tmp_path):
    async def story(lab):
        async def lost(pod, container):
            await asyncio.sleep(0)
            raise EngineError("the daemon is gone")

        lab.engine.wait = lost
        sandbox = await lab.launcher.start(lab.spec("hang"))
        assert (await asyncio.wait_for(sandbox.wait(), 5)).signal == 9
        await sandbox.close()

    in_lab(tmp_path, story)


def test_a_closed_launcher_starts_nothing(tmp_path):
    async def story(lab):
        await lab.launcher.start(lab.spec("hang"))
        await lab.launcher.close()
        assert await lab.pods() == {}
        with pytest.raises(StartError, match="closed"):
            await lab.launcher.start(lab.spec("hang", name="fn-2"))

    in_lab(tmp_path, story)


def test_what_a_container_printed_before_it_failed_explains_why(tmp_path):
    async def main():
        spec = Lab(tmp_path).spec("/nothing")
        told = explain(spec, StartFailed("engine", "no monitor"), "something else\n")
        assert (told.kind, str(told)) == ("Sandbox.Failed", "no monitor: something else")
        told = explain(spec, StartFailed("engine", "said: something else"), "something else\n")
        assert (told.kind, str(told)) == ("Sandbox.Failed", "said: something else")
        told = explain(spec, StartFailed("engine", "no monitor"), "")
        assert str(told) == "no monitor"

    asyncio.run(main())
