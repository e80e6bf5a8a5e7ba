"""A control plane may be killed between any two steps: the next one finishes or removes what it finds."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cumulo.engines.engine import NetworkMode, Port
from cumulo.engines.local import addresses, bridge, firewall, namespaces, rules
from cumulo.engines.local.needs import Wish
from cumulo.sandbox.netlink import Netlink
from cumulo.sandbox.network import apply_rules
from tests.network_kit import HOST, NFT, Instance, ask, instance, needs_network, serve, story
from tests.support import until

pytestmark = needs_network


def _nothing(mine: Instance) -> None:
    assert mine.path("a").exists() is False


def _an_empty_file(mine: Instance) -> None:
    mine.folder.mkdir(exist_ok=True)
    mine.path("a").touch()


def _a_namespace(mine: Instance) -> None:
    namespaces.in_thread(lambda: namespaces.make(mine.path("a")))


def _a_namespace_that_is_mounted_twice(mine: Instance) -> None:
    _a_namespace(mine)
    subprocess.run(["mount", "--bind", mine.path("a"), mine.path("a")], check=True)


def _a_bridge_without_address(mine: Instance) -> None:
    subprocess.run(["ip", "link", "add", mine.bridge(), "type", "bridge"], check=True)


def _a_bridge_that_is_down(mine: Instance) -> None:
    _a_bridge_without_address(mine)
    subprocess.run(["ip", "addr", "add", "10.250.0.1/16", "dev", mine.bridge()], check=True)


def _rules_without_bridge(mine: Instance) -> None:
    wanted = rules.Ruleset(table=addresses.table_name(mine.name), bridge=mine.bridge(), subnet=250)
    apply_rules(NFT, rules.whole(wanted))
    mine.network._records.save_subnet(0)


def _a_bridge_without_rules(mine: Instance) -> None:
    subnet = asyncio.run(_subnet_of_a_started(mine))
    mine.flush()
    assert subnet


def _a_link_with_one_end(mine: Instance) -> None:
    link = addresses.link_name(mine.name, 0)
    subprocess.run(["ip", "link", "add", link, "type", "veth", "peer", "name", f"{link}f"], check=True)


def _a_namespace_with_a_link_and_no_record(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    mine.network._records.drop("a")


def _a_record_without_namespace(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    namespaces.remove(mine.path("a"))


def _a_record_whose_namespace_is_a_file(mine: Instance) -> None:
    _a_record_without_namespace(mine)
    mine.path("a").touch()


def _a_record_without_link(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    bridge.remove_link(addresses.link_name(mine.name, 0))


def _a_record_that_is_cut(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    record = mine.folder / "a.json"
    record.write_bytes(record.read_bytes()[:20])


def _a_record_that_was_never_renamed(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    (mine.folder / "a.json").rename(mine.folder / ".a.json.new")


def _two_records_with_one_address(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    copy = (mine.folder / "a.json").read_bytes().replace(b'"pod":"a"', b'"pod":"0"')
    (mine.folder / "0.json").write_bytes(copy)


def _a_pod_without_bridge_or_rules(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    bridge.remove_link(mine.bridge())
    mine.flush()


def _a_pod_that_was_closed_in_part(mine: Instance) -> None:
    asyncio.run(_opened(mine))
    netlink = Netlink()
    netlink.link_down(addresses.link_name(mine.name, 0))
    netlink.close()
    namespaces.remove(mine.path("a"))


STATES: tuple[Callable[[Instance], None], ...] = (
    _nothing,
    _an_empty_file,
    _a_namespace,
    _a_namespace_that_is_mounted_twice,
    _a_bridge_without_address,
    _a_bridge_that_is_down,
    _rules_without_bridge,
    _a_bridge_without_rules,
    _a_link_with_one_end,
    _a_namespace_with_a_link_and_no_record,
    _a_record_without_namespace,
    _a_record_whose_namespace_is_a_file,
    _a_record_without_link,
    _a_record_that_is_cut,
    _a_record_that_was_never_renamed,
    _two_records_with_one_address,
    _a_pod_without_bridge_or_rules,
    _a_pod_that_was_closed_in_part,
)

named = pytest.mark.parametrize("state", STATES, ids=[state.__name__.strip("_") for state in STATES])


@named
def test_whatever_is_found_a_pod_can_be_opened_and_works(state: Callable[[Instance], None]) -> None:
    async def work(mine: Instance) -> None:
        await mine.network.start()
        pod, other = await mine.open("a", Port(container=80)), await mine.open("b")
        assert pod.address != other.address
        server = await serve(mine.path("a"), 80, b"a")
        assert await ask(mine.path("b"), pod.address, 80) == f"a {other.address}"
        for port in pod.ports:
            assert (await ask(HOST, "127.0.0.1", port.host)).startswith("a")
        server.close()
        await _end(mine)

    _in_state(state, work)


@named
def test_whatever_is_found_can_be_swept(state: Callable[[Instance], None]) -> None:
    async def work(mine: Instance) -> None:
        await mine.network.start()
        await _end(mine)

    _in_state(state, work)


@story
async def test_pods_live_on_when_the_bridge_is_made_anew() -> None:
    async with instance() as mine:
        a, b = await mine.open("a"), await mine.open("b")
        server = await serve(mine.path("a"), 80, b"a")
        bridge.remove_link(mine.bridge())
        assert await mine.open("a") == a  # also while it runs
        assert await ask(mine.path("b"), a.address, 80) == f"a {b.address}"
        server.close()


@story
async def test_a_link_whose_namespace_somebody_holds_is_removed_and_only_then_its_address_is_free() -> None:
    async with instance() as mine:
        mine.network._departures._patience = 0.3
        await mine.open("a")
        with mine.path("a").open() as held:
            await mine.network.close("a")
            assert bridge.is_there(addresses.link_name(mine.name, 0))
            assert mine.network._addresses.is_used(0)
            gone = "the link is gone, and its address free"
            await asyncio.to_thread(until, lambda: not mine.network._addresses.is_used(0), gone)
            assert not bridge.is_there(addresses.link_name(mine.name, 0))
            assert held.fileno() > 0


@story
async def test_sweeping_one_instance_leaves_the_other_alone() -> None:
    async with instance() as mine, instance() as other:
        await mine.open("a", Port(container=80))
        pod = await other.open("a", Port(container=80))
        server = await serve(other.path("a"), 80, b"other")
        await mine.network.sweep(())
        assert mine.left() == []
        assert (await ask(HOST, "127.0.0.1", pod.ports[0].host)).startswith("other")
        assert other.path("a").exists()
        server.close()


@story
async def test_sweeping_while_pods_are_opened_spoils_none() -> None:
    async with instance() as mine:
        names = [f"p{number}" for number in range(12)]
        opening = [asyncio.create_task(mine.open(name)) for name in names]
        for _ in range(5):
            await mine.network.sweep(names)
        pods = await asyncio.gather(*opening)
        server = await serve(mine.path("p0"), 80, b"first")
        for name, pod in zip(names, pods, strict=True):
            assert await ask(mine.path(name), pods[0].address, 80) == f"first {pod.address}"
        server.close()


_OPENING = """
import asyncio, sys
from pathlib import Path
from cumulo.engines.engine import NetworkMode, Port
from cumulo.engines.local.network import LocalNetwork

async def main(instance, folder, nft):
    network = LocalNetwork(instance, Path(folder), nft)
    await network.start()
    print("started", flush=True)
    for round in range(1000):
        ports = (Port(container=80),) if round % 2 else ()
        await asyncio.gather(*(
            network.open(f"p{n}", NetworkMode.BRIDGE, hostname="", names=("all",), ports=ports) for n in range(4)))
        print("opened", flush=True)
        await asyncio.gather(*(network.close(f"p{n}") for n in range(1, 4)))

asyncio.run(main(*sys.argv[1:]))
"""


@story
async def test_kill_9_at_any_moment_leaves_what_the_next_can_use_or_remove() -> None:
    async with instance() as mine:
        await mine.network.stop()
        for number in range(6):
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _OPENING, mine.name, str(mine.folder), NFT, stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            assert child.stdout is not None
            async with asyncio.timeout(20):
                while b"opened" not in await child.stdout.readline():
                    assert not child.stdout.at_eof()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), 0.003 * (1 + number * 7 % 5))
            child.send_signal(signal.SIGKILL)
            await child.communicate()
        mine.network = mine.another()
        await mine.network.start()
        wish = Wish(mode=NetworkMode.BRIDGE, hostname="")
        found = await mine.network.adopt({"p0": wish, "p1": wish})
        assert found["p0"].address != found["p1"].address
        await asyncio.to_thread(
            until, lambda: len(bridge.links(mine.name)) == 2, "the others' links are gone"
        )
        server = await serve(mine.path("p0"), 80, b"p0")
        assert await ask(mine.path("p1"), found["p0"].address, 80) == f"p0 {found['p1'].address}"
        server.close()


async def _opened(mine: Instance) -> None:
    """A pod `a`, whose control plane is killed."""
    await mine.network.start()
    await mine.open("a", Port(container=80))
    mine.network._reservations.close()
    await mine.network._shared.release()


async def _subnet_of_a_started(mine: Instance) -> int:
    made = await mine.network._shared.ready()
    await mine.network._shared.release()
    return made.subnet


async def _end(mine: Instance) -> None:
    await mine.network.sweep(())
    await mine.network.stop()
    assert not mine.left(), mine.left()


def _in_state(state: Callable[[Instance], None], work: Callable[[Instance], object]) -> None:
    mine = Instance()
    try:
        state(mine)
        mine.network = mine.another()

        async def bounded() -> None:
            async with asyncio.timeout(30):
                await work(mine)  # type: ignore[misc]

        asyncio.run(bounded())
    finally:
        _tear_down(mine.folder, mine)


def _tear_down(folder: Path, mine: Instance) -> None:
    """When the test fails: nothing of it may stay on this machine."""
    for path in folder.glob("*.net"):
        namespaces.remove(path)
    for name in [
        name for _, name in socket.if_nameindex() if name.startswith(addresses.link_prefix(mine.name))
    ]:
        bridge.remove_link(name)
    apply_rules(NFT, rules.none(addresses.table_name(mine.name)))
    firewall.remove(NFT, mine.bridge())
    for path in folder.glob("*"):
        path.unlink()
    for path in folder.glob(".*.new"):
        path.unlink()
    if folder.exists():
        folder.rmdir()


@story
async def test_a_pod_that_is_being_removed_when_the_network_stops_leaves_nothing() -> None:
    async with instance() as mine:
        await mine.open("a")
        closing = asyncio.get_running_loop().create_task(mine.network.close("a"))
        await asyncio.sleep(0)  # it has begun
        closing.cancel()  # and nobody waits for it any more
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        await mine.network.stop()
        assert mine.left() in ([], [str(mine.folder)])
