"""Managed scaling: as many instances as tasks need, no more for long, and never at the cost of tasks."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cumulo.services.ecs.capacity.scaling_plan import (
    AGAIN_SECONDS,
    Decision,
    Facts,
    Member,
    Memory,
    Need,
    Settings,
    decide,
    packed,
    reserved,
)

SIZE = Need(2048, 1900)


def facts(members=(), waiting=(), *, least=0, most=100, desired=None, **more):
    members = tuple(members)
    return Facts(
        least=least,
        most=most,
        desired=len(members) if desired is None else desired,
        members=members,
        waiting=tuple(waiting),
        size=more.pop("size", SIZE),
        **more,
    )


def members(*tasks, **more):
    return [Member(id=f"i-{number}", tasks=count, **more) for number, count in enumerate(tasks)]


def test_nothing_is_there_and_nothing_needed():
    assert decide(facts(), Settings(), Memory(), 0.0) == Decision(reservation=100.0)


def test_the_metric_is_needed_by_there():
    assert reserved(0, 0) == 100.0
    assert reserved(3, 0) == 200.0
    assert reserved(3, 2) == 150.0
    assert reserved(1, 4) == 25.0


def test_waiting_tasks_are_packed():
    assert packed([Need(1024, 512)] * 5, SIZE) == 3  # by processor
    assert packed([Need(100, 900)] * 5, SIZE) == 3  # by memory
    assert packed([Need(100, 1000)] * 3, SIZE) == 3  # two do not fit together
    assert packed([Need(2048, 100), Need(1024, 100)], SIZE) == 2  # different ones, together
    assert packed([Need(9999, 1)], SIZE) == 0  # fits on none
    assert packed([Need(1, 1)] * 9, None) == 1  # nobody knows how large they will be
    assert packed([], SIZE) == 0
    assert packed([Need(0, 0)] * 9, SIZE) == 1


def test_it_grows_from_nothing():
    decision = decide(facts(waiting=[Need(1024, 512)] * 5), Settings(), Memory(), 7.0)
    assert decision.desired == 3
    assert decision.reservation == 200.0
    assert decision.memory.grown_to == 3


def test_instances_that_are_on_their_way_count():
    waiting = [Need(1024, 512)] * 4
    decision = decide(facts(members(0, 0, joined=False), waiting), Settings(), Memory(), 0.0)
    assert decision.desired is None


def test_tasks_that_do_not_take_an_empty_instance_bring_no_more_of_them():
    it = facts(members(1, 0), [Need(100, 100)])
    assert decide(it, Settings(), Memory(), 0.0).desired is None


def test_an_instance_that_drains_is_no_capacity():
    it = facts(members(0, draining=True), [Need(100, 100)])
    assert decide(it, Settings(), Memory(), 0.0).desired == 2


def test_steps_bound_the_growth():
    waiting = [Need(2048, 512)] * 9
    assert decide(facts(waiting=waiting), Settings(step_most=4), Memory(), 0.0).desired == 4
    few = [Need(2048, 512)]
    assert decide(facts(waiting=few), Settings(step_least=3), Memory(), 0.0).desired == 3
    assert decide(facts(waiting=few, most=2), Settings(step_least=3), Memory(), 0.0).desired == 2


def test_a_target_below_100_keeps_spare_instances():
    decision = decide(facts(members(1, 1, 1, 1)), Settings(target=50), Memory(), 0.0)
    assert decision.desired == 8


def test_it_asks_for_no_more_than_the_machine_has_room_for():
    waiting = [Need(2048, 512)] * 9
    assert decide(facts(waiting=waiting, room=2), Settings(), Memory(), 0.0).desired == 2
    stuck = decide(facts(waiting=waiting, room=0), Settings(), Memory(), 5.0)
    assert (stuck.desired, stuck.look_at) == (None, 5.0 + AGAIN_SECONDS)


def test_after_a_growth_that_did_not_last_it_waits():
    waiting = [Need(2048, 512)] * 9
    grown = Memory(grown_at=10.0, grown_to=4)
    assert decide(facts(waiting=waiting), Settings(), grown, 11.0).desired is None
    assert decide(facts(waiting=waiting), Settings(), grown, 10.0 + AGAIN_SECONDS).desired == 9


def test_a_surplus_must_last():
    it = facts(members(1, 0, 0))
    first = decide(it, Settings(), Memory(), 100.0)
    assert (first.remove, first.look_at) == ((), 1000.0)
    assert decide(it, Settings(), first.memory, 999.0).remove == ()
    assert set(decide(it, Settings(), first.memory, 1000.0).remove) == {"i-1", "i-2"}
    busy = decide(facts(members(1, 1, 1)), Settings(), first.memory, 500.0)
    assert busy.memory.surplus_since is None


def test_new_instances_warm_up_before_the_group_shrinks():
    memory = Memory(surplus_since=0.0, grown_at=900.0, grown_to=2)
    assert decide(facts(members(0, 0)), Settings(), memory, 1000.0).remove == ()
    assert len(decide(facts(members(0, 0)), Settings(), memory, 1200.0).remove) == 2


def test_the_least_size_is_kept():
    memory = Memory(surplus_since=0.0)
    assert len(decide(facts(members(0, 0, 0), least=2), Settings(), memory, 5000.0).remove) == 1


def test_instances_with_tasks_are_protected_and_others_released():
    it = [
        Member(id="a", tasks=1),
        Member(id="b", tasks=0, protected=True),
        Member(id="c", tasks=2, protected=True),
    ]
    decision = decide(facts(it), Settings(protects=True), Memory(), 0.0)
    assert (decision.protect, decision.release) == (("a",), ("b",))


NEEDS = st.builds(Need, st.integers(1, 2048), st.integers(1, 1900))


@given(
    tasks=st.lists(st.integers(0, 3), max_size=12),
    waiting=st.lists(NEEDS, max_size=20),
    least=st.integers(0, 5),
    extra=st.integers(0, 20),
    target=st.integers(1, 100),
    since=st.floats(0, 2000),
    now=st.floats(2000, 4000),
    room=st.integers(0, 30),
)
@settings(deadline=None)
def test_whatever_is_so_bounds_hold_and_no_task_loses_its_instance(
    tasks, waiting, least, extra, target, since, now, room
):
    it = facts(members(*tasks), waiting, least=least, most=least + extra, room=room)
    decision = decide(it, Settings(target=target), Memory(surplus_since=since), now)
    if decision.desired is not None:
        assert it.desired < decision.desired <= it.most
        assert decision.desired - it.desired <= room
        assert not decision.remove
    busy = {one.id for one in it.members if one.tasks}
    assert not busy & set(decision.remove)
    assert it.desired - len(decision.remove) >= min(it.least, it.desired)
    if waiting:
        assert not decision.remove


@given(
    work=st.lists(NEEDS, max_size=25),
    start=st.integers(0, 8),
    target=st.sampled_from([50, 80, 100]),
    least=st.integers(0, 3),
)
@settings(deadline=None, max_examples=60)
def test_it_converges(work, start, target, least):
    """Tasks are placed first fit after every decision; in the end all run, and nothing changes any more."""
    most, now, memory, made = 60, 0.0, Memory(), start
    hosts = {f"i-{number}": [] for number in range(start)}
    waiting = list(work)
    calm = 0
    for _ in range(400):
        waiting = [one for one in waiting if not _placed(one, hosts)]
        it = facts(
            [Member(id=id_, tasks=len(tasks)) for id_, tasks in hosts.items()],
            waiting,
            least=least,
            most=most,
        )
        decision = decide(it, Settings(target=target), memory, now)
        memory = decision.memory
        for _ in range((decision.desired or len(hosts)) - len(hosts)):
            hosts[f"i-{made}"] = []
            made += 1
        for id_ in decision.remove:
            assert hosts.pop(id_) == []
        changed = decision.desired is not None or decision.remove
        calm = 0 if changed else calm + 1
        now = decision.look_at if decision.look_at is not None and not changed else now + 30.0
        if calm > 5 and decision.look_at is None:
            break
    else:
        raise AssertionError("it never comes to rest")
    assert not waiting
    used = sum(bool(tasks) for tasks in hosts.values())
    assert len(hosts) == min(max(-(-used * 100 // target), least), most)


def _placed(need, hosts):
    for tasks in hosts.values():
        if (
            sum(one.cpu_units for one in tasks) + need.cpu_units <= SIZE.cpu_units
            and sum(one.memory_mib for one in tasks) + need.memory_mib <= SIZE.memory_mib
        ):
            tasks.append(need)
            return True
    return False


def test_memory_of_the_surplus_is_not_lost_by_a_look():
    it = facts(members(0))
    first = decide(it, Settings(), Memory(), 0.0)
    assert decide(replace(it, room=0), Settings(), first.memory, 10.0).memory == first.memory
