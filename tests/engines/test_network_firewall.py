"""On a host whose own firewall drops what it does not know (Docker's, ufw's) pods work too, and it is left as it was.

In a network namespace that stands for such a host: this machine's firewall is nobody's to play with.
"""

import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from cumulo.engines.engine import Port
from cumulo.engines.local import namespaces
from cumulo.sandbox import kernel
from cumulo.sandbox.netlink import Netlink
from tests.network_kit import NFT, ask, instance, needs_network, outside, run, serve, story

pytestmark = needs_network
HERE = Path("/proc/thread-self/ns/net")

STRICT = """
table ip filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; }
  chain INPUT { type filter hook input priority 0; policy drop; iifname "lo" accept; ct state established accept; }
}
"""
DOCKER = STRICT.replace(
    "policy drop; }\n  chain INPUT", "policy drop; jump DOCKER-USER; }\n  chain INPUT"
).replace("chain FORWARD", "chain DOCKER-USER { counter return; }\n  chain FORWARD")


def on_another_host(work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that runs in a network namespace of its own, with all its threads and programs."""
    inner = story(work)

    def test() -> None:
        def isolated() -> None:
            kernel.unshare(kernel.CLONE_NEWNET)
            netlink = Netlink()
            netlink.loopback_up()
            netlink.close()
            inner()

        namespaces.in_thread(isolated)

    test.__name__ = work.__name__
    test.__doc__ = work.__doc__
    return test


@on_another_host
async def test_pods_get_out_and_are_reached_on_a_host_that_drops() -> None:
    _rules(STRICT)
    await _pods_work()
    assert _listing() == _listing_of(STRICT)


@on_another_host
async def test_pods_get_out_and_are_reached_on_a_host_with_docker() -> None:
    _rules(DOCKER)
    await _pods_work()
    assert "cu" not in _listing()


@on_another_host
async def test_a_firewall_that_comes_later_is_noticed_with_the_next_pod() -> None:
    with outside() as (path, theirs, _):
        async with instance() as mine:
            await mine.open("a")
            _rules(DOCKER)
            mine.network._shared._look_seconds = 0.0
            await mine.open("b")
            await mine.network._shared._looking  # type: ignore[misc]
            server = await serve(path, 80, b"world")
            assert (await ask(mine.path("a"), theirs, 80)).startswith("world")
            server.close()


@on_another_host
async def test_our_own_rules_are_there_again_with_the_next_pod_when_somebody_flushed_them() -> None:
    async with instance() as mine:
        pod = await mine.open("a")
        mine.flush()
        mine.network._shared._look_seconds = 0.0
        await mine.open("b")
        await mine.network._shared._looking  # type: ignore[misc]
        server = await serve(HERE, 8000, b"host")
        assert await ask(mine.path("a"), pod.gateway, 8000) == "refused"
        server.close()


async def _pods_work() -> None:
    with outside() as (path, theirs, ours):
        async with instance() as mine:
            pod = await mine.open("a", Port(container=80))
            servers = [await serve(path, 80, b"world"), await serve(mine.path("a"), 80, b"pod")]
            assert await ask(mine.path("a"), theirs, 80) == f"world {ours}"
            assert await ask(path, ours, pod.ports[0].host) == f"pod {theirs}"
            assert "Name:\ta" in await run(mine.path("a"), "busybox", "nslookup", "a", pod.gateway)
            for server in servers:
                server.close()


def _rules(text: str) -> None:
    subprocess.run([NFT, "-f", "-"], input=text, text=True, check=True)


def _listing() -> str:
    return subprocess.run([NFT, "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def _listing_of(text: str) -> str:
    """How nft spells rules."""
    _rules("flush ruleset\n" + text)
    return _listing()
