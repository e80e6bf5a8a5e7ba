"""The state machines of versions and updates."""

import itertools

import pytest

from cumulo.base.machine import IllegalMove
from cumulo.services.lambda_.model import Function, State, UpdateStatus, Version
from cumulo.services.lambda_.states import (
    UPDATE,
    VERSION,
    Event,
    Outcome,
    begin_update,
    in_progress,
    settle,
    settle_latest,
    unfinished,
)

LATEST = Version(
    account="123456789012", region="eu-west-1", name="f", runtime="python3.12", handler="a.b", role="r",
    code_sha256="0" * 64, code_size=1, last_modified=0.0, revision_id="r1",
)  # fmt: skip
BAD = Outcome(reason="no", reason_code="InvalidRuntime")


@pytest.mark.parametrize("machine", [VERSION, UPDATE])
def test_every_state_is_reachable_and_an_unlisted_pair_is_a_bug(machine):
    assert machine.reachable() == machine.states()
    assert machine.terminal() == set()
    for state, event in itertools.product(machine.states(), Event):
        if machine.allows(state, event):
            assert machine.step(state, event) in machine.states()
        else:
            with pytest.raises(IllegalMove):
                machine.step(state, event)


def test_a_creation_ends_active_or_failed_with_the_reason():
    good = settle(LATEST, Outcome(version_arn="arn:x"))
    assert (good.state, good.last_update, good.runtime_version_arn) == (
        State.ACTIVE,
        UpdateStatus.SUCCESSFUL,
        "arn:x",
    )
    bad = settle(LATEST, BAD)
    assert (bad.state, bad.state_reason, bad.state_reason_code) == (State.FAILED, "no", "InvalidRuntime")
    assert bad.last_update is None


def test_an_update_ends_in_its_status_and_the_function_stays_active():
    active = settle(LATEST, Outcome())
    for outcome, status in ((Outcome(), UpdateStatus.SUCCESSFUL), (BAD, UpdateStatus.FAILED)):
        done = settle(begin_update(active), outcome)
        assert (done.state, done.last_update) == (State.ACTIVE, status)
        assert done.last_update_reason_code == outcome.reason_code


def test_an_update_of_a_failed_function_gives_it_another_chance():
    failed = settle(LATEST, BAD)
    again = begin_update(failed)
    assert (again.state, again.last_update) == (State.PENDING, UpdateStatus.IN_PROGRESS)
    assert settle(again, Outcome()).state is State.ACTIVE
    still = settle(again, BAD)
    assert (still.state, still.last_update) == (State.FAILED, UpdateStatus.FAILED)
    assert settle(begin_update(still), Outcome()).state is State.ACTIVE


def test_what_serves_changes_only_when_an_update_went_well():
    function = settle_latest(Function(latest=LATEST), Outcome())
    assert function.serving == function.latest
    import msgspec

    updating = msgspec.structs.replace(function, latest=begin_update(function.latest))
    assert settle_latest(updating, BAD).serving == function.serving
    assert settle_latest(updating, Outcome()).serving.last_update is UpdateStatus.SUCCESSFUL
    assert settle_latest(Function(latest=LATEST), BAD).serving is None


def test_what_is_unfinished_is_found():
    done = settle(LATEST, Outcome())
    assert in_progress(LATEST)
    assert not in_progress(done)
    assert list(unfinished(Function(latest=done), [LATEST, done])) == [LATEST]
    assert list(unfinished(Function(latest=begin_update(done)), [])) == [begin_update(done)]
