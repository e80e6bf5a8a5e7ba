"""The contract: slices, whose limits the pods in them share."""

import asyncio
import uuid

import pytest

from cumulo.engines.engine import (
    Busy,
    Capability,
    ContainerState,
    EngineError,
    Limits,
    NetworkMode,
    Unsupported,
)
from tests.engines.kit import Lab, eventually

ALONE = {"network": NetworkMode.NONE}
SPIN = "while :; do :; done"
FILL = "head -c 60m /dev/zero | tail"  # tail keeps all of it, as it never ends a line


async def made(lab: Lab, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    lab.needs(Capability.SLICES)
    name = f"s{uuid.uuid4().hex[:8]}"
    await lab.engine.make_slice(name, limits)
    return name


async def test_a_slice_is_there_until_it_is_removed_and_again_after_a_restart(lab: Lab) -> None:
    name = await made(lab, Limits(vcpus=1, memory_mib=128))
    await lab.engine.make_slice(name, Limits(vcpus=2, memory_mib=256))
    assert await lab.engine.slices() == [name]
    await lab.reopen()
    assert await lab.engine.slices() == [name]
    for _ in range(2):
        await lab.engine.remove_slice(name)
    assert await lab.engine.slices() == []
    await lab.reopen()
    assert await lab.engine.slices() == []


async def test_a_slice_with_pods_is_busy(lab: Lab) -> None:
    name = await made(lab)
    pod = await lab.up(lab.container("sleep", "600"), slice=name, **ALONE)
    for reopened in (False, True):
        if reopened:
            await lab.reopen()
        with pytest.raises(Busy, match=pod.name):
            await lab.engine.remove_slice(name)
        assert await lab.engine.slices() == [name]
    await lab.engine.remove(pod.name)
    await lab.engine.remove_slice(name)
    assert await lab.engine.slices() == []


async def test_no_pod_is_made_in_a_slice_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(EngineError, match="nowhere"):
        await lab.engine.create(lab.pod(lab.container("true"), slice="nowhere", **ALONE))
    assert await lab.engine.pods() == []


async def test_a_slice_has_a_name(lab: Lab) -> None:
    lab.needs(Capability.SLICES)
    with pytest.raises(EngineError, match="no/name"):
        await lab.engine.make_slice("no/name", Limits())
    await lab.engine.remove_slice("no/name")


async def test_who_has_no_slices_says_so(lab: Lab) -> None:
    if Capability.SLICES in lab.engine.capabilities:
        pytest.skip("it has")
    with pytest.raises(Unsupported, match="slices"):
        await lab.engine.make_slice("one", Limits())
    await lab.engine.remove_slice("one")
    assert await lab.engine.slices() == []


async def test_a_pod_in_a_slice_lives_as_any_other(lab: Lab) -> None:
    name = await made(lab, Limits(vcpus=1, memory_mib=256, pids_max=100))
    pod = (await lab.up(lab.container("sleep", "600"), slice=name, **ALONE)).name
    await lab.engine.pause(pod, "main")
    assert await lab.state(pod) is ContainerState.PAUSED
    await lab.engine.resume(pod, "main")
    assert await lab.state(pod) is ContainerState.RUNNING
    await lab.reopen()
    assert await lab.state(pod) is ContainerState.RUNNING
    await lab.engine.signal(pod, "main", "SIGKILL")
    assert (await lab.engine.wait(pod, "main")).code == 137
    await lab.engine.start(pod, "main")
    assert await lab.state(pod) is ContainerState.RUNNING
    await lab.engine.remove(pod)
    await lab.engine.remove_slice(name)


async def test_pods_share_the_memory_of_their_slice_and_not_that_of_others(lab: Lab) -> None:
    lab.needs(Capability.SLICES, Capability.LIMITS)
    full = await made(lab, Limits(memory_mib=32))
    other = await made(lab, Limits(memory_mib=256))
    ended = await lab.sh(FILL, pod={"slice": full, **ALONE}, limits=Limits(memory_mib=128))
    assert ended.exit.out_of_memory
    ended = await lab.sh(f"{FILL} >/dev/null", pod={"slice": other, **ALONE}, limits=Limits(memory_mib=128))
    assert ended.exit.code == 0, ended.err
    assert not ended.exit.out_of_memory
    for pod in await lab.engine.pods():
        await lab.engine.remove(pod.name)
    for name in (full, other):
        await lab.engine.remove_slice(name)


async def test_pods_share_the_processor_time_of_their_slice(lab: Lab) -> None:
    lab.needs(Capability.SLICES, Capability.USAGE)
    name = await made(lab, Limits(vcpus=0.2))
    pods = [
        (await lab.up(lab.container("sh", "-c", SPIN, limits=Limits(vcpus=1)), slice=name, **ALONE)).name
        for _ in range(2)
    ]
    loop = asyncio.get_running_loop()

    async def used() -> float:
        return sum([(await lab.engine.usage(pod))["main"].cpu_seconds for pod in pods])

    before, began = await used(), loop.time()

    async def enough() -> bool:
        return await used() - before > 0.2

    await eventually(enough, "they use processor time")
    share = (await used() - before) / (loop.time() - began)
    assert share < 0.35
    for pod in pods:
        await lab.engine.remove(pod)
    await lab.engine.remove_slice(name)


async def test_a_slice_may_be_made_smaller_and_larger_while_pods_live_in_it(lab: Lab) -> None:
    lab.needs(Capability.LIMITS)
    name = await made(lab, Limits(vcpus=2, memory_mib=512, pids_max=50))
    spec = lab.container("sleep", "600", limits=Limits(vcpus=2, memory_mib=64))
    pod = (await lab.up(spec, slice=name, **ALONE)).name
    for limits in (Limits(vcpus=0.5, memory_mib=128), Limits(), Limits(vcpus=4, memory_mib=1024)):
        await lab.engine.make_slice(name, limits)
    assert await lab.state(pod) is ContainerState.RUNNING
    await lab.engine.make_slice(name, Limits(vcpus=0.5))
    await lab.engine.signal(pod, "main", "SIGKILL")
    await lab.engine.wait(pod, "main")
    await lab.engine.start(pod, "main")
    await lab.engine.remove(pod)
    await lab.engine.remove_slice(name)
