"""Jobs in their order: priorities, arrays, what is withdrawn from the middle."""

from cumulo.services.batch.scheduling.facts import Need
from cumulo.services.batch.scheduling.waiting import Entry, Group, Lane

GROUP = Group(Need(vcpus=1000, memory=1))


def a_lane():
    return Lane(1, "q", "", 1.0)


def add(lane, name, priority=0, indexes=None, *, first=False):
    entry = Entry(name, GROUP, 1, priority, 0.0, len(indexes) if indexes else 1, indexes)
    entry.group.count += entry.count
    lane.add(entry, first=first)
    return entry


def all_of(lane):
    found = []
    while (head := lane.head()) is not None:
        found.append(lane.take(head))
    return found


def test_the_higher_priority_comes_first_then_who_came_first():
    lane = a_lane()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 9), ("e", 5)):
        add(lane, name, priority)
    assert all_of(lane) == ["d", "b", "e", "a", "c"]


def test_one_that_was_refused_is_before_those_of_its_priority():
    lane = a_lane()
    add(lane, "a", 5)
    add(lane, "b", 9)
    add(lane, "c", 5, first=True)
    assert all_of(lane) == ["b", "c", "a"]


def test_children_of_an_array_come_in_order_without_those_that_are_gone():
    lane = a_lane()
    array = add(lane, "a", indexes=range(0, 10, 2))
    add(lane, "b")
    assert lane.take(array) == "a:0"
    assert lane.drop(array, 4)
    assert not lane.drop(array, 4)
    assert not lane.drop(array, 0)
    assert not lane.drop(array, 3)
    assert list(array.names()) == ["a:2", "a:6", "a:8"]
    assert lane.count == 4
    assert all_of(lane) == ["a:2", "a:6", "a:8", "b"]
    assert lane.count == 0


def test_the_last_children_may_go_before_they_are_reached():
    lane = a_lane()
    array = add(lane, "a", indexes=range(3))
    for index in (0, 2, 1):
        assert lane.drop(array, index)
    assert lane.head() is None


def test_what_is_withdrawn_from_the_middle_does_not_stay_for_ever():
    lane = a_lane()
    entries = [add(lane, str(number)) for number in range(1000)]
    for entry in entries[1:]:
        lane.drop(entry)
    assert sum(map(len, lane._columns.values())) <= 130
    assert all_of(lane) == ["0"]


def test_those_behind_the_head_are_looked_at_no_further_than_said():
    lane = a_lane()
    for number in range(10):
        add(lane, str(number))
    assert [entry.name for entry in lane.behind(3)] == ["1", "2", "3"]
