"""State machines as tables."""

from enum import StrEnum

import pytest

from cumulo.base.machine import IllegalMove, Machine


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


class Event(StrEnum):
    TICK = "tick"
    HIT = "hit"


LIGHT = Machine(
    name="light",
    start=Light.RED,
    moves={
        (Light.RED, Event.TICK): Light.GREEN,
        (Light.GREEN, Event.TICK): Light.RED,
        (Light.RED, Event.HIT): Light.BROKEN,
    },
)


def test_a_listed_pair_moves():
    assert LIGHT.step(Light.RED, Event.TICK) is Light.GREEN


def test_an_unlisted_pair_is_a_bug_that_raises():
    with pytest.raises(IllegalMove, match="light: no move from green on hit"):
        LIGHT.step(Light.GREEN, Event.HIT)


def test_states_are_known_from_the_table():
    assert LIGHT.terminal() == {Light.BROKEN}
    assert LIGHT.reachable() == LIGHT.states() == set(Light)


def test_the_diagram_is_printed_from_the_table():
    assert "    red --> green: tick" in LIGHT.mermaid()
