"""The loops: the checker with a probe that is told what to find, and the plane with fronts that do not listen."""

import asyncio
import contextlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.elb_kit import Addresses, Functions, Instances, Keeper

from cumulo.base.clock import VirtualClock
from cumulo.services.elbv2.actions import groups_of
from cumulo.services.elbv2.checker import CHECKS_MAX, Checker
from cumulo.services.elbv2.counts import Counts
from cumulo.services.elbv2.function_calls import FunctionCalls
from cumulo.services.elbv2.health import FAILED, PASSED
from cumulo.services.elbv2.model import (
    Group,
    Health,
    HealthCheck,
    Listener,
    LoadBalancer,
    Registration,
    Rule,
)
from cumulo.services.elbv2.plane import Plane, name_of
from cumulo.services.elbv2.pools import Pools
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.shared_ports import SharedPorts
from cumulo.state.store import Store

BALANCER = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/0123456789abcdef"
LISTENER = "arn:aws:elasticloadbalancing:us-east-1:1:listener/app/web/0123456789abcdef/11"


def forward(*groups):
    return (
        {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": one, "Weight": 1} for one in groups],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        },
    )


class World:
    """Records of one load balancer with a listener and a target group."""

    def __init__(self, path):
        self.clock = VirtualClock()
        self.store = Store(path / "db", synchronous="OFF")
        self.records = Records(self.store)
        self.records.groups.put(
            Group(
                account="1",
                region="us-east-1",
                name="app",
                arn="app",
                target_type="ip",
                protocol="HTTP",
                created_at=0,
                check=HealthCheck(interval=10, healthy=2, unhealthy=2),
            )
        )
        self.pools = Pools(self.records, Instances(), self.clock, random.Random(1))

    def serve(self, port=80):
        self.records.balancers.put(
            LoadBalancer(
                account="1",
                region="us-east-1",
                name="web",
                arn=BALANCER,
                kind="application",
                scheme="internal",
                dns_name="web.us-east-1.elb.localhost",
                created_at=0,
            )
        )
        self.records.listeners.put(
            Listener(
                arn=LISTENER,
                load_balancer=BALANCER,
                protocol="HTTP",
                port=port,
                actions=forward("app"),
                created_at=0,
            )
        )

    def target(self, address="10.0.0.1"):
        self.records.targets.put(Registration(group="app", id=address, port=80, registered_at=0))

    def health(self):
        return {one.id: str(one.standing.health) for one in self.records.targets.all()}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def play(world, scene):
    """Play a scene, and close the store on the same loop: a commit may be under way."""

    async def whole():
        try:
            await scene()
        finally:
            await world.store.close()

    asyncio.run(whole())


async def until(condition):
    """Let the loop turn until something is so."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to be")


@contextlib.asynccontextmanager
async def running(loop):
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Prober:
    """Finds what `outcome` says; holds while `gate` is shut."""

    def __init__(self):
        self.outcome = PASSED
        self.asked = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside = 0
        self.most = 0

    async def __call__(self, address, port, check):
        self.asked[address] += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.gate.wait()
        finally:
            self.inside -= 1
        return self.outcome


def checker(world, prober):
    return Checker(world.records, world.pools, prober, FunctionCalls(Functions()), world.clock)


def test_nothing_is_checked_before_a_listener_forwards_to_it(world):
    async def scene():
        prober = Prober()
        world.target()
        async with running(checker(world, prober)):
            await asyncio.sleep(0.01)
            assert not prober.asked
            world.serve()
            await until(lambda: world.health() == {"10.0.0.1": "healthy"})
            assert world.pools.of("app").pool.eligible
        assert prober.asked == {"10.0.0.1": 1}

    play(world, scene)


def test_a_target_turns_over_as_time_goes_by(world):
    async def scene():
        prober = Prober()
        world.serve()
        async with running(checker(world, prober)):
            world.target()
            await until(lambda: world.health() == {"10.0.0.1": "healthy"})
            prober.outcome = FAILED

            async def later(count):
                world.clock.advance(10)
                world.records.groups.put(world.records.groups.get("app"))  # wakes the checker
                await until(lambda: prober.asked["10.0.0.1"] == count)

            await later(2)
            await until(lambda: world.records.targets.all()[0].standing.against == 1)
            assert world.health() == {"10.0.0.1": "healthy"}
            await later(3)
            await until(lambda: world.health() == {"10.0.0.1": "unhealthy"})

    play(world, scene)


def test_a_target_that_goes_while_it_is_checked_stays_gone(world):
    async def scene():
        prober = Prober()
        prober.gate.clear()
        world.serve()
        world.target()
        async with running(checker(world, prober)):
            await until(lambda: prober.inside == 1)
            world.records.targets.delete(world.records.targets.all()[0])
            prober.gate.set()
            await until(lambda: prober.inside == 0)
            await asyncio.sleep(0.01)
            assert world.health() == {}

    play(world, scene)


def test_no_more_targets_are_checked_at_once_than_allowed_and_a_broken_probe_fails_its_target(world):
    async def scene():
        prober = Prober()
        prober.gate.clear()
        world.serve()
        for number in range(CHECKS_MAX + 20):
            world.target(f"10.0.1.{number}")
        async with running(checker(world, prober)):
            await until(lambda: prober.inside == CHECKS_MAX)
            prober.gate.set()
            await until(lambda: set(world.health().values()) == {"healthy"})
        assert prober.most == CHECKS_MAX

        async def broken(address, port, check):
            raise RuntimeError(address)

        world.target("10.0.0.1")
        async with running(checker(world, broken)):
            await until(lambda: world.records.targets.by("id", "10.0.0.1")[0].standing.against == 1)
        assert world.records.targets.by("id", "10.0.0.1")[0].standing.health is Health.INITIAL

    play(world, scene)


# -- the plane


class FakeFront:
    def __init__(self):
        self.closed = False

    async def close(self, grace=0.0):
        self.closed = True

    def cut(self, backend):
        return 0


class FakeRunning:
    def __init__(self, listener, address):
        self.arn, self.port, self.address = listener.arn, listener.port, address
        self.front = FakeFront()
        self.listening = self
        self.route = lambda head, body: None
        self.context = None

    def fits(self, listener, address):
        return (self.port, self.address) == (listener.port, address)

    def close(self):
        pass


class FakeWorkshop:
    def __init__(self):
        self.counts = Counts()
        self.opened = []
        self.updated = 0
        self.trouble = None

    async def open(self, balancer, listener, rules, address, certificates):
        if self.trouble is not None:
            raise self.trouble
        made = FakeRunning(listener, address)
        self.opened.append(made)
        return made

    async def update(self, running, balancer, listener, rules, certificates):
        self.updated += 1

    def counter(self, arn):
        return lambda *_: None


def plane(world, workshop, addresses):
    return Plane(
        world.records, workshop, addresses.machine(), Keeper(), world.clock, SharedPorts("", world.clock)
    )


def test_a_load_balancer_becomes_active_is_published_and_goes(world):
    async def scene():
        workshop, addresses = FakeWorkshop(), Addresses()
        made = plane(world, workshop, addresses)
        async with running(made):
            await asyncio.sleep(0)
            world.serve()
            await made.settled(BALANCER)
            balancer = world.records.balancers.get(BALANCER)
            assert balancer.state == "active"
            assert balancer.address == addresses.given[name_of(BALANCER)]
            assert addresses.published == {"web.us-east-1.elb.localhost": [balancer.address]}
            world.serve(port=81)
            await made.settled(BALANCER)
            first, second = workshop.opened
            assert (first.port, second.port) == (80, 81)
            await until(lambda: first.front.closed)
            world.records.listeners.clear()
            world.records.balancers.clear()
            await made.settled(BALANCER)
            await until(lambda: second.front.closed)
            assert (addresses.given, addresses.published) == ({}, {})
        await made.close()

    play(world, scene)


def test_a_rule_changes_the_route_and_not_the_listening(world):
    async def scene():
        workshop = FakeWorkshop()
        made = plane(world, workshop, Addresses())
        async with running(made):
            await asyncio.sleep(0)
            world.serve()
            await made.settled(BALANCER)
            world.records.rules.put(Rule(arn="r", listener=LISTENER, priority=1, actions=forward("app")))
            await made.settled(BALANCER)
            assert (len(workshop.opened), workshop.updated) == (1, 1)
        await made.close()

    play(world, scene)


def test_a_port_that_is_taken_impairs_a_load_balancer_until_it_is_free(world):
    async def scene():
        workshop = FakeWorkshop()
        workshop.trouble = OSError("Address already in use")
        made = plane(world, workshop, Addresses())
        async with running(made):
            await asyncio.sleep(0)
            world.serve()
            await made.settled(BALANCER)
            found = world.records.balancers.get(BALANCER)
            assert found.state == "active_impaired"
            assert "HTTP 80: Address already in use" in found.state_reason
            assert BALANCER in made.troubles
            workshop.trouble = None
            made.mark(BALANCER)
            await made.settled(BALANCER)
            found = world.records.balancers.get(BALANCER)
            assert (found.state, found.state_reason) == ("active", "")
            assert made.troubles == {}
        await made.close()

    play(world, scene)


def test_a_machine_without_addresses_leaves_a_load_balancer_provisioning(world):
    async def scene():
        addresses = Addresses()

        async def none(_name):
            raise RuntimeError("no engine")

        addresses.address_for = none
        made = plane(world, FakeWorkshop(), addresses)
        async with running(made):
            await asyncio.sleep(0)
            world.serve()
            await made.settled(BALANCER)
            assert world.records.balancers.get(BALANCER).state == "provisioning"
            assert made.troubles == {BALANCER: "no engine"}
        await made.close()

    play(world, scene)


def test_an_operation_does_not_wait_for_a_plane_that_does_not_run(world):
    async def scene():
        made = plane(world, FakeWorkshop(), Addresses())
        world.serve()
        await made.settled(BALANCER)
        await made.close()

    play(world, scene)


# -- who uses which target group

GROUPS = ["a", "b", "c"]
BALANCERS = [BALANCER, BALANCER.replace("abcdef", "fedcba")]
changes = st.lists(
    st.tuples(
        st.sampled_from(["listener", "rule"]),
        st.sampled_from(BALANCERS),
        st.integers(1, 2),
        st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_who_forwards_to_a_group_is_known_after_any_changes(tmp_path_factory, steps):
    store = Store(tmp_path_factory.mktemp("users") / "db", synchronous="OFF")
    try:
        records = Records(store)
        for kind, balancer, number, groups, remove in steps:
            listener = balancer.replace(":loadbalancer/", ":listener/") + f"/{number}"
            if kind == "listener":
                record = Listener(
                    arn=listener,
                    load_balancer=balancer,
                    protocol="HTTP",
                    port=number,
                    actions=forward(*groups),
                    created_at=0,
                )
                shelf = records.listeners
            else:
                record = Rule(arn=f"{listener}/r", listener=listener, priority=1, actions=forward(*groups))
                shelf = records.rules
            if remove:
                shelf.delete(record)
            else:
                shelf.put(record)
            for group in GROUPS:
                expected = {
                    one.load_balancer for one in records.listeners.all() if group in groups_of(one.actions)
                } | {
                    next(b for b in BALANCERS if b.rpartition("/")[2] in one.listener)
                    for one in records.rules.all()
                    if group in groups_of(one.actions)
                }
                assert set(records.balancers_of(group)) == expected
    finally:
        asyncio.run(store.close())
