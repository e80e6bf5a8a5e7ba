"""The contract: pods outlive the control plane, and instances do not see each other."""

import asyncio

import pytest

from cumulo.engines.engine import Capability, ContainerState, ExecSpec, NoSuchPod
from tests.engines.kit import Lab


async def test_a_new_engine_finds_everything(lab: Lab) -> None:
    lab.needs(Capability.SURVIVES)
    spec = lab.pod(lab.container("sleep", "600"), labels={"a": "b"})
    await lab.engine.create(spec)
    await lab.engine.start(spec.name, "main")
    created = lab.pod(lab.container("sleep", "600"))
    await lab.engine.create(created)
    before = await lab.engine.inspect(spec.name)
    await lab.reopen()
    assert await lab.engine.inspect(spec.name) == before
    assert {p.name for p in await lab.engine.pods()} == {spec.name, created.name}
    assert (await lab.engine.create(spec)).containers["main"].id == before.containers["main"].id
    assert (await lab.execute(spec.name, ExecSpec(argv=("echo", "hi"))))[1] == "hi\n"
    await lab.engine.signal(spec.name, "main", "SIGKILL")
    assert (await lab.engine.wait(spec.name, "main")).code == 137
    await lab.engine.start(created.name, "main")
    assert await lab.state(created.name) is ContainerState.RUNNING


async def test_what_ended_meanwhile_has_its_exit_code_and_its_log(lab: Lab) -> None:
    lab.needs(Capability.SURVIVES)
    coded = await lab.started("sh", "-c", "exit 7")
    spoke = await lab.started("echo", "last words")
    await lab.engine.close()
    await asyncio.sleep(0.5)
    await lab.reopen()
    async with asyncio.timeout(15):
        assert (await lab.engine.wait(coded, "main")).code == 7
        assert (await lab.engine.wait(spoke, "main")).code == 0
    assert [line.text for line in await lab.logs(spoke)] == [b"last words"]


async def test_a_paused_pod_is_paused_still(lab: Lab) -> None:
    lab.needs(Capability.SURVIVES, Capability.PAUSE)
    pod = await lab.started("sleep", "600")
    await lab.engine.pause(pod, "main")
    await lab.reopen()
    assert await lab.state(pod) is ContainerState.PAUSED
    await lab.engine.resume(pod, "main")
    assert await lab.state(pod) is ContainerState.RUNNING


async def test_instances_see_nothing_of_each_other(lab: Lab) -> None:
    other = await lab.opener(f"{lab.instance}-b")
    try:
        spec = lab.pod(lab.container("sleep", "600"), name="same")
        mine = await lab.engine.create(spec)
        assert await other.pods() == []
        with pytest.raises(NoSuchPod):
            await other.inspect("same")
        await other.remove("same")
        if await other.images.get(lab.plain.id) is None:
            await other.images.load(lab.archive)
        theirs = await other.create(spec)
        assert theirs.containers["main"].id != mine.containers["main"].id
        await lab.engine.start("same", "main")
        assert (await other.inspect("same")).containers["main"].state is ContainerState.CREATED
        await other.remove("same")
        assert await lab.state("same") is ContainerState.RUNNING
    finally:
        for pod in await other.pods():
            await other.remove(pod.name)
        await other.close()


async def test_an_engine_closes_twice(lab: Lab) -> None:
    other = await lab.opener(f"{lab.instance}-c")
    await other.close()
    await other.close()
