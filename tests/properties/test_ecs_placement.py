"""Placement: nothing is oversold, constraints hold, spreads are even, the ledger is always what a recount gives."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cumulo.services.ecs.model import ContainerInstance, Task, TaskStatus
from cumulo.services.ecs.placement.choosing import SPREAD_ZONES_THEN_INSTANCES, Choice, strategies_of
from cumulo.services.ecs.placement.constraints import constraints_of
from cumulo.services.ecs.placement.daemon import daemon_instances
from cumulo.services.ecs.placement.demand import MEMORY, Demand, obstacle
from cumulo.services.ecs.placement.ledger import Ledger

CLUSTER = "arn:aws:ecs:eu-west-1:1:cluster/main"
GROUPS = ("service:a", "family:b")
PORTS = [(80, "tcp"), (80, "udp"), (443, "tcp"), (22, "tcp")]


def instance(number, **fields):
    return ContainerInstance(
        account="1",
        region="eu-west-1",
        id=f"{number:032x}",
        arn=f"arn:aws:ecs:eu-west-1:1:container-instance/main/{number:032x}",
        cluster_arn=CLUSTER,
        **fields,
    )


def task(number, demand, host):
    return Task(
        account="1",
        region="eu-west-1",
        id=str(number),
        arn=f"task/{number}",
        cluster_arn=CLUSTER,
        definition_arn="d",
        group=demand.group,
        instance_arn=host.arn,
        cpu_units=demand.cpu,
        memory_mib=demand.memory,
        host_ports=demand.ports,
        attachment_id="a" if demand.interface else "",
        last_status=TaskStatus.PENDING,
    )


INSTANCES = st.lists(
    st.builds(
        dict,
        cpu_units=st.sampled_from((512, 1024, 2048)),
        memory_mib=st.sampled_from((512, 1024, 4096)),
        availability_zone=st.sampled_from(("a", "b", "c")),
        instance_type=st.sampled_from(("", "t3.micro", "m5.large")),
        status=st.sampled_from(("ACTIVE", "ACTIVE", "ACTIVE", "DRAINING")),
        agent_connected=st.sampled_from((True, True, True, False)),
        attributes=st.sampled_from(((), ({"name": "stack", "value": "prod"},))),
    ),
    min_size=1,
    max_size=12,
)
CONSTRAINTS = st.sampled_from(
    (
        (),
        ({"type": "distinctInstance"},),
        ({"type": "memberOf", "expression": "attribute:stack == prod"},),
        ({"type": "memberOf", "expression": "not(task:group == family:b)"},),
    )
)
STRATEGIES = st.lists(
    st.sampled_from(
        (
            {"type": "random"},
            {"type": "spread", "field": "instanceId"},
            {"type": "spread", "field": "attribute:ecs.availability-zone"},
            {"type": "spread", "field": "attribute:stack"},
            {"type": "binpack", "field": "cpu"},
            {"type": "binpack", "field": "memory"},
        )
    ),
    max_size=5,
)
KINDS = st.lists(
    st.tuples(
        st.builds(
            Demand,
            group=st.sampled_from(GROUPS),
            cpu=st.sampled_from((0, 64, 256, 600)),
            memory=st.sampled_from((0, 64, 256, 600)),
            ports=st.lists(st.sampled_from(PORTS), max_size=2, unique=True).map(tuple),
            attributes=st.sampled_from(((), (("stack", ""),))),
            interface=st.booleans(),
            zones=st.sampled_from((frozenset(), frozenset(("a", "b")))),
            constraints=CONSTRAINTS.map(constraints_of),
        ),
        STRATEGIES.map(strategies_of),
    ),
    min_size=1,
    max_size=3,
)
LAUNCHES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), max_size=12)


def filled(instances):
    ledger = Ledger()
    for number, fields in enumerate(instances):
        ledger.heard_instance(None, instance(number, **fields))
    return ledger


def full_key(host, hosts, demand, strategies):
    """How a strategy orders an instance, worked out from nothing."""
    key = []
    for one in strategies:
        if one.attribute:
            value = host.attributes.get(one.attribute, "")
            same = (other for other in hosts if other.attributes.get(one.attribute, "") == value)
            key.append(sum(other.groups.get(demand.group, 0) for other in same))
        else:
            key.append(one.of(host, demand.group))
    return key


@settings(max_examples=200, deadline=None)
@given(INSTANCES, KINDS, LAUNCHES, st.integers())
def test_no_instance_is_ever_oversold_and_every_choice_is_the_best_there_is(instances, kinds, launches, seed):
    """Choices are kept, as the service keeps them, while tasks end and instances change, come and go in between."""
    ledger, chance, kept = filled(instances), random.Random(seed), {}
    choices = [Choice(ledger.fleet(CLUSTER), demand, strategies, chance) for demand, strategies in kinds]
    for number, (count, which) in enumerate(launches):
        choice = choices[which % len(kinds)]
        demand, strategies = kinds[which % len(kinds)]
        for _ in range(count):
            hosts = ledger.hosts(CLUSTER)
            able = [host for host in hosts if not obstacle(host, demand)]
            best = min((full_key(host, hosts, demand, strategies) for host in able), default=None)
            host = choice.take()
            assert (host is None) == (not able)
            if host is None:
                assert choice.nearest() is not None
                break
            assert not obstacle(host, demand)
            assert full_key(host, hosts, demand, strategies) == best
            made = task(len(kept), demand, host)
            kept[made.arn] = made
            ledger.heard_task(None, made)
        check_nothing_is_oversold(ledger, kept.values())
        meanwhile(ledger, kept, chance, number, instances)


def meanwhile(ledger, kept, chance, number, instances):
    """Some tasks end, an instance changes, another one comes."""
    for arn, one in list(kept.items()):
        if one.last_status is not TaskStatus.STOPPED and chance.random() < 0.3:
            kept[arn] = replace(one, last_status=TaskStatus.STOPPED)
            ledger.heard_task(one, kept[arn])
    host = chance.choice(list(ledger.hosts(CLUSTER)))
    if chance.random() < 0.5:
        changed = replace(host.instance, availability_zone=chance.choice("abc"), attributes=())
        ledger.heard_instance(host.instance, changed)
    if chance.random() < 0.5:
        ledger.heard_instance(None, instance(100 + number, **instances[0]))
    if chance.random() < 0.3 and len(ledger.hosts(CLUSTER)) > 1:
        gone = chance.choice(list(ledger.hosts(CLUSTER))).instance
        ledger.heard_instance(gone, None)


def check_nothing_is_oversold(ledger, tasks):
    for host in ledger.hosts(CLUSTER):
        own = [one for one in tasks if one.is_live and one.instance_arn == host.arn]
        assert sum(one.cpu_units for one in own) <= host.instance.cpu_units
        assert sum(one.memory_mib for one in own) <= host.instance.memory_mib
        taken = Counter(port for one in own for port in one.host_ports)
        assert all(times == 1 for times in taken.values())
        assert (22, "tcp") not in taken
        assert own == [] or (host.instance.status == "ACTIVE" and host.instance.agent_connected)
        if host.interfaces_max is not None:
            assert sum(bool(one.attachment_id) for one in own) <= host.interfaces_max


@settings(max_examples=10, deadline=None)
@given(st.integers())
def test_chance_alone_takes_every_instance_as_often_as_any_other(seed):
    ledger = filled([{"cpu_units": 10**6, "memory_mib": 10**6}] * 10)
    demand = Demand(group="service:a", cpu=1, memory=1)
    choice = Choice(ledger.fleet(CLUSTER), demand, (), random.Random(seed))
    taken, pairs, before = Counter(), Counter(), None
    for number in range(5000):
        host = choice.take()
        ledger.heard_task(None, task(number, demand, host))
        taken[host.arn] += 1
        pairs[host is before] += 1
        before = host
    assert all(350 < times < 650 for times in taken.values()), taken
    assert 350 < pairs[True] < 650  # also the one that was taken last


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ("start", "run", "want stopped", "stop", "forget", "come", "change", "go", "wait", "fargate")
        ),
        st.integers(0, 5),
        st.integers(0, 20),
    ),
    max_size=60,
)


def as_seen(ledger, names):
    def state(host):
        fields = (name for name in host.__slots__ if name not in {"instance", "attributes"})
        return {name: getattr(host, name) for name in fields}

    return {
        "hosts": {name: state(ledger.host(name)) for name in names if ledger.host(name)},
        "cluster": sorted(host.arn for host in ledger.hosts(CLUSTER)),
        "fargate": (ledger.fargate_cpu, ledger.fargate_memory),
        "zones": {group: dict(ledger.zones(CLUSTER, group)) for group in GROUPS},
        "waiting": ledger.waiting(CLUSTER),
    }


@settings(max_examples=300, deadline=None)
@given(CHANGES)
def test_the_ledger_is_always_what_a_recount_gives(changes):
    ledger, instances, tasks = Ledger(), {}, {}

    def write(kept, heard, key, value):
        before = kept.get(key)
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
        if before is not None or value is not None:
            heard(before, value)

    for kind, where, which in changes:
        number = instance(where).arn
        known = tasks.get(which)
        demand = Demand(group=GROUPS[which % 2], cpu=which, memory=which * 2, ports=(PORTS[which % 3],))
        if kind == "come":
            fields = {"cpu_units": 100, "memory_mib": 100, "instance_type": "t3.micro"}
            write(instances, ledger.heard_instance, number, instance(where, **fields))
        elif kind == "change" and number in instances:
            changed = replace(instances[number], cpu_units=200, ports_udp=(53,), status="DRAINING")
            write(instances, ledger.heard_instance, number, changed)
        elif kind == "go":
            write(instances, ledger.heard_instance, number, None)
        elif kind == "start":
            host = type("Named", (), {"arn": number})
            write(tasks, ledger.heard_task, which, task(which, demand, host))
        elif kind == "wait":
            host = type("Named", (), {"arn": ""})
            write(tasks, ledger.heard_task, which, replace(task(which, demand, host), waits="capacity"))
        elif kind == "fargate":
            host = type("Named", (), {"arn": ""})
            made = replace(task(which, demand, host), launch_type="FARGATE", availability_zone=str(where % 2))
            write(tasks, ledger.heard_task, which, made)
        elif known is not None:
            after = {
                "run": lambda one: replace(one, last_status=TaskStatus.RUNNING),
                "want stopped": lambda one: replace(one, desired_status="STOPPED"),
                "stop": lambda one: replace(one, last_status=TaskStatus.STOPPED),
                "forget": lambda one: None,
            }.get(kind)
            if after:
                write(tasks, ledger.heard_task, which, after(known))
    again = Ledger()
    for one in instances.values():
        again.heard_instance(None, one)
    for one in tasks.values():
        again.heard_task(None, one)
    names = [instance(number).arn for number in range(6)]
    assert as_seen(ledger, names) == as_seen(again, names)
    for one in list(tasks):
        write(tasks, ledger.heard_task, one, None)
    for one in list(instances):
        write(instances, ledger.heard_instance, one, None)
    assert as_seen(ledger, names) == as_seen(Ledger(), names)
    assert not ledger._hosts  # nothing is left behind
    assert not ledger._fleets
    assert not ledger._zones


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=15),
    st.lists(st.integers(1, 9), min_size=1, max_size=8),
    st.integers(),
)
def test_a_service_is_spread_evenly_over_zones_and_over_the_instances_of_each(zones, counts, seed):
    ledger = filled([{"cpu_units": 10**6, "memory_mib": 10**6, "availability_zone": zone} for zone in zones])
    chance = random.Random(seed)
    strategies = strategies_of(SPREAD_ZONES_THEN_INSTANCES)
    demand = Demand(group="service:a", cpu=1, memory=1)
    number = 0
    for count in counts:
        choice = Choice(ledger.fleet(CLUSTER), demand, strategies, chance)
        for _ in range(count):
            number += 1
            ledger.heard_task(None, task(number, demand, choice.take()))
        by_zone = Counter(dict.fromkeys(zones, 0))
        for host in ledger.hosts(CLUSTER):
            by_zone[host.instance.availability_zone] += host.tasks
        assert max(by_zone.values()) - min(by_zone.values()) <= 1
        for zone in by_zone:
            inside = [host.tasks for host in ledger.hosts(CLUSTER) if host.instance.availability_zone == zone]
            assert max(inside) - min(inside) <= 1


@settings(max_examples=100, deadline=None)
@given(INSTANCES, CONSTRAINTS.map(constraints_of), st.integers())
def test_a_daemon_wants_each_suitable_instance_once_and_nothing_more_when_it_has_them(
    instances, constraints, seed
):
    ledger = filled(instances)
    demand = Demand(group="service:a", constraints=constraints)
    chance = random.Random(seed)
    hosts = list(ledger.hosts(CLUSTER))
    for number, host in enumerate(hosts):
        if chance.random() < 0.5:
            ledger.heard_task(None, task(number, demand, host))
    plan = daemon_instances(hosts, demand)
    assert set(plan.missing) <= set(plan.suited)
    assert not set(plan.misplaced) & set(plan.suited)
    for number, arn in enumerate(plan.missing):
        ledger.heard_task(None, task(f"new{number}", demand, ledger.host(arn)))
    again = daemon_instances(hosts, demand)
    assert again.missing == ()
    assert all(ledger.host(arn).groups["service:a"] == 1 for arn in again.suited)


def test_five_thousand_instances_take_fifty_thousand_tasks_evenly():
    zones = ("a", "b", "c", "d")
    ledger = filled(
        [{"cpu_units": 1024, "memory_mib": 4096, "availability_zone": zones[at % 4]} for at in range(5000)]
    )
    chance = random.Random(7)
    strategies = strategies_of(SPREAD_ZONES_THEN_INSTANCES)
    demand = Demand(group="service:a", cpu=100, memory=400)
    choice = Choice(ledger.fleet(CLUSTER), demand, strategies, chance)
    for number in range(50_000):
        ledger.heard_task(None, task(number, demand, choice.take()))
    assert {host.tasks for host in ledger.hosts(CLUSTER)} == {10}
    assert choice.take() is None
    assert choice.nearest()[1] == MEMORY
