"""What is written of a container's end when its machine goes with it."""

import pytest
from msgspec.structs import replace
from tests.unit.ecs_running.running_kit import a_task, container, definition

from cumulo.services.ecs.model import StopCode
from cumulo.services.ecs.running.endings import absorb
from cumulo.services.ecs.running.facts import Action, Facts, Seen, Verb
from cumulo.services.ecs.running.plan import stopping

NOW = 1_700_000_100.0
ENDED = Seen(state="exited", code=137, started_at=NOW - 50, finished_at=NOW)
ON_ITS_WAY = Facts(seen={"main": ENDED}, doing=frozenset({Action(Verb.KILL, "main")}))
SENT = Facts(seen={"main": ENDED}, killed={"main": NOW})
UNASKED = Facts(seen={"main": ENDED})


@pytest.mark.parametrize(
    ("code", "facts", "exit_code"),
    [
        (StopCode.TERMINATION_NOTICE, ON_ITS_WAY, None),
        (StopCode.TERMINATION_NOTICE, SENT, None),
        (StopCode.TERMINATION_NOTICE, UNASKED, 137),
        (StopCode.USER_INITIATED, ON_ITS_WAY, 137),
        (StopCode.USER_INITIATED, SENT, 137),
    ],
)
def test_only_what_was_killed_with_its_machine_has_no_exit_code(
    code: str, facts: Facts, exit_code: int | None
) -> None:
    of = definition(container("main"))
    task = stopping(a_task(of), code, "gone", NOW - 1)
    one = replace(task.containers[0], status="RUNNING", started_at=NOW - 50)
    ended = absorb(task, one, of, facts, NOW)
    assert (ended.status, ended.exit_code) == ("STOPPED", exit_code)
