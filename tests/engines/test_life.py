"""The contract: a pod's life, its verbs and their idempotence."""

import asyncio
import contextlib
import os

import pytest

from cumulo.base.clock import SystemClock
from cumulo.engines.engine import (
    Busy,
    Capability,
    ContainerState,
    EngineError,
    Exit,
    NoSuchPod,
    StartFailed,
)
from tests.engines.kit import Lab, eventually

FOREVER = ("sleep", "600")


async def test_a_pod_lives_from_created_to_nothing(lab: Lab) -> None:
    spec = lab.pod(lab.container("echo", "hi"), labels={"colour": "blue"})
    made = await lab.engine.create(spec)
    assert (made.name, made.owner, made.labels) == (spec.name, "tests", {"colour": "blue"})
    main = made.containers["main"]
    assert (main.state, main.pid, main.exit, main.image) == (ContainerState.CREATED, 0, None, lab.plain.id)
    assert len(main.id) >= 32
    await lab.engine.start(spec.name, "main")
    assert (await lab.engine.wait(spec.name, "main")).code == 0
    assert await lab.state(spec.name) is ContainerState.EXITED
    await lab.engine.remove(spec.name)
    with pytest.raises(NoSuchPod):
        await lab.engine.inspect(spec.name)


async def test_what_runs_is_seen_to_run(lab: Lab) -> None:
    before = SystemClock.now()
    pod = await lab.started(*FOREVER)
    main = (await lab.engine.inspect(pod)).containers["main"]
    assert main.state is ContainerState.RUNNING
    assert main.exit is None
    assert before - 5 < main.created_at <= main.started_at + 0.001 <= SystemClock.now() + 5
    if Capability.LIMITS in lab.engine.capabilities:
        assert main.pid > 0


async def test_create_adopts_a_pod_of_that_name_as_it_is(lab: Lab) -> None:
    spec = lab.pod(lab.container(*FOREVER), labels={"n": "1"})
    first = await lab.engine.create(spec)
    await lab.engine.start(spec.name, "main")
    again = await lab.engine.create(lab.pod(lab.container("echo"), name=spec.name, labels={"n": "2"}))
    assert again.labels == {"n": "1"}
    assert again.containers["main"].id == first.containers["main"].id
    assert again.containers["main"].state is ContainerState.RUNNING


async def test_two_who_create_the_same_pod_get_the_same(lab: Lab) -> None:
    spec = lab.pod(lab.container(*FOREVER))
    one, two = await asyncio.gather(lab.engine.create(spec), lab.engine.create(spec))
    assert one.containers["main"].id == two.containers["main"].id
    assert len(await lab.engine.pods()) == 1


async def test_start_is_harmless_while_it_runs(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    before = (await lab.engine.inspect(pod)).containers["main"]
    again = await lab.engine.start(pod, "main")
    assert (again.pid, again.started_at) == (before.pid, before.started_at)


async def test_what_has_ended_is_started_again_on_the_same_files(lab: Lab) -> None:
    ran = await lab.sh("echo x >> /count; wc -l < /count")
    await lab.engine.start(ran.pod, "main")
    await lab.engine.wait(ran.pod, "main")
    assert [line.text.strip() for line in await lab.logs(ran.pod)] == [b"1", b"2"]


async def test_a_second_start_forgets_the_first_exit(lab: Lab) -> None:
    ran = await lab.run("sh", "-c", "exit 7")
    assert ran.exit.code == 7
    status = await lab.engine.start(ran.pod, "main")
    assert status.exit is None or status.state is ContainerState.EXITED
    assert (await lab.engine.wait(ran.pod, "main")).code == 7


async def test_exit_codes_are_the_program_s(lab: Lab) -> None:
    before = SystemClock.now()
    codes = (0, 1, 7, 255)
    containers = [lab.container("sh", "-c", f"exit {code}", name=f"c{code}") for code in codes]
    pod = await lab.up(*containers)
    for code in codes:
        ended = await lab.engine.wait(pod.name, f"c{code}")
        assert ended.code == code
        assert not ended.out_of_memory
        assert ended.error == ""
        assert before - 5 < ended.finished_at < SystemClock.now() + 5


async def test_a_command_that_is_not_there_is_127(lab: Lab) -> None:
    spec = lab.pod(lab.container("no-such-command"))
    await lab.engine.create(spec)
    with pytest.raises(StartFailed, match="no-such-command") as caught:
        await lab.engine.start(spec.name, "main")
    assert caught.value.kind == "entrypoint"
    status = (await lab.engine.inspect(spec.name)).containers["main"]
    assert status.state is ContainerState.EXITED
    assert status.exit is not None
    assert status.exit.code == 127
    assert status.exit.error != ""
    assert (await lab.engine.wait(spec.name, "main")).code == 127


async def test_what_is_not_executable_is_126(lab: Lab) -> None:
    lab.needs_kernel()
    spec = lab.pod(lab.container("/etc/not-a-program", name="file"), lab.container("/etc", name="folder"))
    await lab.engine.create(spec)
    for name in ("file", "folder"):
        with pytest.raises(StartFailed) as caught:
            await lab.engine.start(spec.name, name)
        assert caught.value.kind == "entrypoint"
        status = (await lab.engine.inspect(spec.name)).containers[name]
        assert status.exit is not None
        assert status.exit.code == 126


async def test_a_start_that_failed_can_be_tried_again(lab: Lab) -> None:
    spec = lab.pod(lab.container("no-such-command"))
    await lab.engine.create(spec)
    for _ in range(2):
        with pytest.raises(StartFailed):
            await lab.engine.start(spec.name, "main")
    assert (await lab.engine.wait(spec.name, "main")).code == 127


async def test_sigkill_is_137(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    await lab.engine.signal(pod, "main", "SIGKILL")
    assert (await lab.engine.wait(pod, "main")).code == 137


async def test_sigterm_is_143(lab: Lab) -> None:
    pod = await lab.started(*FOREVER, init=True)
    ended = asyncio.ensure_future(lab.engine.wait(pod, "main"))
    while not ended.done():  # an init that has only just begun is not ready to hear of it
        await lab.engine.signal(pod, "main", "SIGTERM")
        await asyncio.wait({ended}, timeout=0.2)
    assert (await ended).code == 143


async def test_a_signal_can_be_handled(lab: Lab) -> None:
    lab.needs_kernel()
    script = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.05; done"
    pod = await lab.started("sh", "-c", script)
    await lab.prints(pod, "ready")
    await lab.engine.signal(pod, "main", "SIGUSR1")
    assert (await lab.engine.wait(pod, "main")).code == 3
    await lab.prints(pod, "got it")


async def test_sigkill_ends_every_process(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started("sh", "-c", "sleep 601 & echo ready; wait")
    await lab.prints(pod, "ready")
    await lab.engine.signal(pod, "main", "SIGKILL")
    await lab.engine.wait(pod, "main")
    (await lab.engine.inspect(pod)).containers["main"]
    await lab.engine.start(pod, "main")
    await lab.prints(pod, "ready")


async def test_a_signal_to_what_has_ended_is_harmless(lab: Lab) -> None:
    ran = await lab.run("true")
    await lab.engine.signal(ran.pod, "main", "SIGTERM")
    await lab.engine.signal(ran.pod, "main", "SIGKILL")
    assert (await lab.engine.wait(ran.pod, "main")).code == 0


async def test_many_may_wait(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    waits = [asyncio.create_task(lab.engine.wait(pod, "main")) for _ in range(20)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await lab.engine.signal(pod, "main", "SIGKILL")
    exits = await asyncio.gather(*waits[1:])
    assert {e.code for e in exits} == {137}
    assert isinstance(await lab.engine.wait(pod, "main"), Exit)


async def test_wait_for_what_was_never_started_is_busy(lab: Lab) -> None:
    spec = lab.pod(lab.container("true"))
    await lab.engine.create(spec)
    with pytest.raises(Busy):
        await lab.engine.wait(spec.name, "main")


async def test_paused_and_resumed(lab: Lab) -> None:
    lab.needs(Capability.PAUSE)
    pod = await lab.started("sleep", "0.5")
    for _ in range(2):
        await lab.engine.pause(pod, "main")
    assert await lab.state(pod) is ContainerState.PAUSED
    await lab.engine.start(pod, "main")
    assert await lab.state(pod) is ContainerState.PAUSED, "start is no resume"
    waiting = asyncio.create_task(lab.engine.wait(pod, "main"))
    done, _ = await asyncio.wait([waiting], timeout=0.8)
    assert not done, "what is paused does not end"
    await lab.engine.resume(pod, "main")
    assert (await waiting).code == 0


async def test_resume_of_what_runs_is_harmless(lab: Lab) -> None:
    lab.needs(Capability.PAUSE)
    pod = await lab.started(*FOREVER)
    await lab.engine.resume(pod, "main")
    assert await lab.state(pod) is ContainerState.RUNNING


async def test_what_does_not_run_is_neither_paused_nor_resumed(lab: Lab) -> None:
    lab.needs(Capability.PAUSE)
    ran = await lab.run("true")
    with pytest.raises(Busy):
        await lab.engine.pause(ran.pod, "main")
    with pytest.raises(Busy):
        await lab.engine.resume(ran.pod, "main")


async def test_what_is_paused_can_be_killed(lab: Lab) -> None:
    lab.needs(Capability.PAUSE)
    pod = await lab.started(*FOREVER)
    await lab.engine.pause(pod, "main")
    await lab.engine.signal(pod, "main", "SIGKILL")
    assert (await lab.engine.wait(pod, "main")).code == 137


@pytest.mark.parametrize("state", ["created", "running", "paused", "exited", "failed"])
async def test_removed_from_every_state(lab: Lab, state: str) -> None:
    spec = lab.pod(lab.container(*({"exited": ("true",), "failed": ("nope",)}.get(state, FOREVER))))
    await lab.engine.create(spec)
    if state == "failed":
        with pytest.raises(StartFailed):
            await lab.engine.start(spec.name, "main")
    elif state != "created":
        await lab.engine.start(spec.name, "main")
    if state == "paused":
        lab.needs(Capability.PAUSE)
        await lab.engine.pause(spec.name, "main")
    if state == "exited":
        await lab.engine.wait(spec.name, "main")
    await asyncio.gather(lab.engine.remove(spec.name), lab.engine.remove(spec.name))
    await lab.engine.remove(spec.name)
    assert await lab.engine.pods() == []
    again = await lab.engine.create(spec)
    assert again.containers["main"].state is ContainerState.CREATED


async def test_who_waits_is_told_when_the_pod_is_removed(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    waiting = asyncio.create_task(lab.engine.wait(pod, "main"))
    await asyncio.sleep(0.05)
    await lab.engine.remove(pod)
    async with asyncio.timeout(10):
        with contextlib.suppress(NoSuchPod):
            assert (await waiting).code == 137


async def test_what_is_not_there_is_no_such_pod(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    for name, container in (("nobody", "main"), (pod, "nobody")):
        for verb in (lab.engine.start, lab.engine.pause, lab.engine.resume, lab.engine.wait):
            with pytest.raises(NoSuchPod, match="nobody"):
                await verb(name, container)
        with pytest.raises(NoSuchPod):
            await lab.engine.signal(name, container, "SIGTERM")
        with pytest.raises(NoSuchPod):
            await lab.logs(name, container)
    for verb in (lab.engine.inspect, lab.engine.usage):
        with pytest.raises(NoSuchPod):
            await verb("nobody")
    await lab.engine.remove("nobody")


async def test_an_image_that_is_not_there_leaves_nothing(lab: Lab) -> None:
    spec = lab.pod(lab.container("true"), lab.container("true", name="other", image="sha256:" + "0" * 64))
    with pytest.raises(EngineError):
        await lab.engine.create(spec)
    assert await lab.engine.pods() == []


async def test_containers_of_a_pod_live_each_their_own_life(lab: Lab) -> None:
    spec = lab.pod(
        lab.container("true", name="one"),
        lab.container(*FOREVER, name="two"),
        lab.container("true", name="three"),
    )
    await lab.engine.create(spec)
    await lab.engine.start(spec.name, "one")
    await lab.engine.start(spec.name, "two")
    await lab.engine.wait(spec.name, "one")
    states = {n: c.state for n, c in (await lab.engine.inspect(spec.name)).containers.items()}
    assert states == {
        "one": ContainerState.EXITED,
        "two": ContainerState.RUNNING,
        "three": ContainerState.CREATED,
    }


async def test_pods_are_told_by_owner(lab: Lab) -> None:
    await lab.up(lab.container(*FOREVER), name="a", owner="ecs")
    await lab.up(lab.container(*FOREVER), name="b", owner="lambda")
    await lab.engine.create(lab.pod(lab.container("true"), name="c", owner="ecs"))
    assert {p.name for p in await lab.engine.pods()} == {"a", "b", "c"}
    assert {p.name for p in await lab.engine.pods("ecs")} == {"a", "c"}
    assert await lab.engine.pods("nobody") == []


async def test_twenty_pods_at_once(lab: Lab) -> None:
    specs = [lab.pod(lab.container("sh", "-c", f"exit {n}"), name=f"many-{n}") for n in range(20)]

    async def live(name: str) -> int:
        await lab.engine.start(name, "main")
        return (await lab.engine.wait(name, "main")).code

    async with asyncio.timeout(90):
        made = await asyncio.gather(*(lab.engine.create(spec) for spec in specs))
        codes = await asyncio.gather(*(live(spec.name) for spec in specs))
    assert codes == list(range(20))
    if Capability.ADDRESS in lab.engine.capabilities:
        assert len({pod.address for pod in made}) == 20
    await asyncio.gather(*(lab.engine.remove(spec.name) for spec in specs))
    assert await lab.engine.pods() == []


async def test_output_goes_to_a_pipe_when_one_is_given(lab: Lab) -> None:
    lab.needs(Capability.OUTPUT)
    read, write = os.pipe()
    spec = lab.pod(lab.container("echo", "into the pipe"))
    await lab.engine.create(spec)
    await lab.engine.start(spec.name, "main", output=write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = await asyncio.wait_for(asyncio.to_thread(pipe.read), 15)
    assert found == b"into the pipe\n"
    await lab.engine.wait(spec.name, "main")


async def test_a_pipe_that_nobody_reads_any_more_harms_nobody(lab: Lab) -> None:
    lab.needs(Capability.OUTPUT)
    read, write = os.pipe()
    spec = lab.pod(lab.container("echo", "into the void"))
    await lab.engine.create(spec)
    os.close(read)
    await lab.engine.start(spec.name, "main", output=write)
    os.close(write)
    await lab.engine.wait(spec.name, "main")
    await eventually(lab.engine.pods, "the engine goes on")
