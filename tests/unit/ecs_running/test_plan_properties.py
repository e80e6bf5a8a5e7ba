"""The plan against a machine that does as it likes: exits, failures, kills and restarts at any moment."""

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.ecs_running.running_kit import a_task, container, definition

from cumulo.services.ecs.model import Health, StopCode, Task, TaskDefinition, TaskStatus
from cumulo.services.ecs.running import checks, order
from cumulo.services.ecs.running.facts import Action, Checked, Facts, Failure, Made, Pulled, Seen, Verb
from cumulo.services.ecs.running.plan import step, stopping, todo
from cumulo.services.ecs.running.states import LIFE

NAMES = ("one", "two", "three", "four")
CHANGES = {Verb.START, Verb.CREATE, Verb.KILL, Verb.REMOVE, Verb.SIGNAL}
EDGES = {(source, there) for (source, _), there in LIFE.moves.items()}


@st.composite
def definitions(draw: Any) -> TaskDefinition:
    """Up to four containers that wait for earlier ones, in every way that AWS allows."""
    count = draw(st.integers(1, 4))
    told: list[dict[str, Any]] = []
    awaited: dict[str, set[str]] = {}
    for at in range(count):
        needs = []
        for earlier in NAMES[:at]:
            condition = draw(st.sampled_from(["", "", "START", "COMPLETE", "SUCCESS", "HEALTHY"]))
            if condition:
                needs.append({"containerName": earlier, "condition": condition})
                awaited.setdefault(earlier, set()).add(condition)
        changes: dict[str, Any] = {"dependsOn": needs}
        if draw(st.booleans()):
            changes["stopTimeout"] = draw(st.integers(2, 120))
        if draw(st.booleans()):
            changes["startTimeout"] = draw(st.integers(2, 120))
        if draw(st.integers(0, 3)) == 0:
            changes["restartPolicy"] = {
                "enabled": True,
                "restartAttemptPeriod": 60,
                "ignoredExitCodes": [3],
            }
        told.append(container(NAMES[at], **changes))
    essential = draw(st.integers(0, count - 1))
    for at, one in enumerate(told):
        conditions = awaited.get(NAMES[at], set())
        one["essential"] = not conditions & {"COMPLETE", "SUCCESS"} and (
            at == essential or draw(st.booleans())
        )
        if "HEALTHY" in conditions or draw(st.booleans()):
            one["healthCheck"] = {
                "command": ["CMD", "true"],
                "interval": 5,
                "timeout": 2,
                "retries": 2,
                "startPeriod": draw(st.sampled_from([0, 20])),
            }
    if not any(one["essential"] for one in told):
        told[-1]["essential"] = True
    return definition(*told)


class Machine:
    """A task, what is known of it, and the containers that there really are."""

    def __init__(self, of: TaskDefinition, random: Random) -> None:
        self.of = of
        self.random = random
        self.told = {one["name"]: one for one in of.containers}
        self.task: Task = a_task(of)
        self.facts = Facts(looked=True)
        self.now = 1_700_000_000.0
        self.there: dict[str, Seen] | None = None  # the containers of the pod, when it was made
        self.starts: dict[str, int] = {}
        self.history = [self.task.last_status]

    # -- the loop ----------------------------------------------------------------------------------------

    def turn(self) -> None:
        """What the loop does when it is woken."""
        for _ in range(50):
            before = self.task
            stepped = step(before, self.of, self.facts, self.now)
            if stepped is None:
                break
            self.check_step(before, stepped)
            self.task = stepped
        else:
            raise AssertionError("steps without end")
        if self.task.last_status is TaskStatus.STOPPED:
            return
        for action in todo(self.task, self.of, self.facts, self.now).actions:
            assert action not in self.facts.doing
            self.check_begin(action)
            self.facts = replace(self.facts, doing=self.facts.doing | {action})

    def check_step(self, before: Task, after: Task) -> None:
        if before.last_status is not after.last_status:
            assert (before.last_status, after.last_status) in EDGES
            self.history.append(after.last_status)
        if before.desired_status == "STOPPED":
            assert after.desired_status == "STOPPED"
            assert (after.stop_code, after.stopped_reason) == (before.stop_code, before.stopped_reason)
        if any(one.essential and one.status == "STOPPED" for one in after.containers):
            assert after.desired_status == "STOPPED", "an essential container takes the task with it"
        if after.last_status is TaskStatus.STOPPED:
            assert all(one.status == "STOPPED" for one in after.containers)
            assert after.stop_code
            assert after.stopped_reason
            moments = [after.stopping_at, after.execution_stopped_at, after.stopped_at]
            assert moments == sorted(moments)

    def check_begin(self, action: Action) -> None:
        containers = {one.name: one for one in self.task.containers}
        if action.verb is Verb.START:
            one = containers[action.container]
            assert self.task.desired_status == "RUNNING"
            if not one.restarts:
                for other, condition in order.dependencies(self.told[one.name]):
                    it = containers[other]
                    if condition == "START":
                        assert it.started_at
                    elif condition == "HEALTHY":
                        assert it.health is Health.HEALTHY
                    else:
                        assert it.status == "STOPPED"
                        assert condition == "COMPLETE" or it.exit_code == 0
        if action.verb is Verb.SIGNAL:
            later = [
                name
                for name, told in self.told.items()
                if any(other == action.container for other, _ in order.dependencies(told))
            ]
            assert all(containers[name].status == "STOPPED" for name in later), "in reverse order"

    # -- what can happen ---------------------------------------------------------------------------------

    def running(self) -> list[str]:
        return [name for name, seen in (self.there or {}).items() if seen.state == "running"]

    def exits(self, name: str, code: int) -> None:
        assert self.there is not None
        out = self.random.random() < 0.1
        self.there[name] = replace(
            self.there[name], state="exited", code=code, finished_at=self.now, out_of_memory=out
        )

    def finish(self, action: Action, *, kind: bool) -> None:
        """A verb comes to its end; unless `kind`, maybe to a bad one."""
        bad = not kind and self.random.random() < 0.15
        facts = self.facts
        name = action.container
        match action.verb:
            case Verb.LOOK:
                seen = dict(self.there or {})
                lost = {
                    one.name
                    for one in self.task.containers
                    if one.status in {"CREATED", "RUNNING"} and one.name not in seen
                }
                facts = replace(facts, looked=True, seen=seen, lost=frozenset(lost))
            case Verb.PULL if bad:
                facts = replace(facts, failure=Failure("CannotPullContainerError: no", name))
            case Verb.PULL:
                facts = replace(facts, pulled={**facts.pulled, name: Pulled("i", "d")})
            case Verb.CREATE if bad:
                facts = replace(facts, failure=Failure("CannotCreateContainerError: no"))
            case Verb.CREATE:
                if self.there is None:
                    self.there = {one: Seen(state="created") for one in self.told}
                made = {one: Made(pod="p", id=one, created_at=self.now) for one in self.told}
                facts = replace(facts, made=made)
            case Verb.PREPARE:
                facts = replace(facts, prepared=True)
            case Verb.START:
                facts = self.start(name, bad=bad)
            case Verb.WATCH:
                assert self.there is not None
                if self.there[name].state == "running":
                    return  # it goes on
                facts = replace(facts, seen={**facts.seen, name: self.there[name]})
            case Verb.PROBE:
                check = checks.check_of(self.told[name])
                one = next(it for it in self.task.containers if it.name == name)
                assert check is not None
                before = facts.checked.get(name, Checked())
                after = checks.after(check, one, before, self.now, ok=not bad)
                facts = replace(facts, checked={**facts.checked, name: after})
            case Verb.ATTACH:
                facts = replace(facts, attached=True)
            case Verb.DETACH:
                facts = replace(facts, detached=True)
            case Verb.SIGNAL:
                if name in self.running() and (kind or self.random.random() < 0.7):
                    self.exits(name, 143)
                facts = replace(facts, termed={**facts.termed, name: self.now})
            case Verb.KILL:
                if name in self.running():
                    self.exits(name, 137)
                facts = replace(facts, killed={**facts.killed, name: self.now})
            case Verb.REMOVE:
                self.there = None
                facts = replace(facts, removed=True)
        self.facts = replace(facts, doing=facts.doing - {action})

    def start(self, name: str, *, bad: bool) -> Facts:
        assert self.there is not None
        before = self.there[name]
        assert before.state != "running", "what runs is not started"
        if bad:
            self.there[name] = Seen(state="exited", code=127, error="no such command", finished_at=self.now)
        else:
            self.starts[name] = self.starts.get(name, 0) + 1
            self.there[name] = Seen(state="running", started_at=self.now)
        return replace(
            self.facts,
            seen={**self.facts.seen, name: self.there[name]},
            checked={**self.facts.checked, name: Checked()},
        )

    def dies(self) -> None:
        """The control plane is killed; a verb that it was in may have been carried out, or not."""
        for action in sorted(self.facts.doing, key=str):
            if action.verb in CHANGES and self.random.random() < 0.5:
                self.finish(action, kind=True)
        self.facts = Facts()

    def something(self) -> None:
        """One thing happens."""
        self.now += self.random.choice([0.01, 0.01, 1, 7, 40])
        doing = sorted(self.facts.doing, key=str)
        running = self.running()
        roll = self.random.random()
        if roll < 0.6 and doing:
            self.finish(self.random.choice(doing), kind=False)
        elif roll < 0.7 and running:
            self.exits(self.random.choice(running), self.random.choice([0, 0, 1, 3]))
        elif roll < 0.73:
            self.dies()
        elif roll < 0.75:
            code = self.random.choice([StopCode.USER_INITIATED, StopCode.TERMINATION_NOTICE])
            self.task = stopping(self.task, code, "stopped", self.now)
        elif roll < 0.76 and self.there is not None:
            self.there = None  # somebody has removed the pod
            self.facts = Facts()


def live(of: TaskDefinition, random: Random, events: int) -> Machine:
    it = Machine(of, random)
    it.turn()
    for _ in range(events):
        if it.task.last_status is TaskStatus.STOPPED:
            break
        it.something()
        it.turn()
    return it


def end(it: Machine) -> None:
    """From here on nothing goes wrong any more, and it is wanted stopped."""
    it.task = stopping(it.task, StopCode.USER_INITIATED, "stopped", it.now)
    it.turn()
    for _ in range(400):
        if it.task.last_status is TaskStatus.STOPPED:
            return
        it.now += 5
        for action in sorted(it.facts.doing, key=str):
            if action in it.facts.doing:
                it.finish(action, kind=True)
        it.turn()
    raise AssertionError(f"it never stops: {it.task} {it.facts}")


@settings(max_examples=300, deadline=None)
@given(definitions(), st.integers(0, 2**32), st.integers(0, 120))
def test_every_task_ends_once_whatever_happens(of: TaskDefinition, seed: int, events: int) -> None:
    it = live(of, Random(seed), events)
    end(it)
    assert it.history.count(TaskStatus.STOPPED) == 1
    assert it.there is None, "nothing is left of it"
    assert step(it.task, of, it.facts, it.now) is None, "and nothing becomes of it any more"


@settings(max_examples=300, deadline=None)
@given(definitions(), st.integers(0, 2**32), st.integers(0, 120))
def test_nothing_runs_twice_that_shall_run_once(of: TaskDefinition, seed: int, events: int) -> None:
    it = live(of, Random(seed), events)
    for name, count in it.starts.items():
        if not it.told[name].get("restartPolicy"):
            assert count == 1


@settings(max_examples=200, deadline=None)
@given(definitions(), st.integers(0, 2**32))
def test_a_task_that_nothing_happens_to_comes_to_run(of: TaskDefinition, seed: int) -> None:
    """Every container that others wait for the end of ends by itself; all others stay."""
    it = Machine(of, Random(seed))
    it.turn()
    ends = {
        other
        for told in it.told.values()
        for other, condition in order.dependencies(told)
        if condition in {"COMPLETE", "SUCCESS"}
    }
    both = {
        other
        for told in it.told.values()
        for other, condition in order.dependencies(told)
        if condition == "HEALTHY" and other in ends
    }
    for _ in range(300):
        if it.task.last_status is TaskStatus.RUNNING:
            break
        it.now += 0.5
        for action in sorted(it.facts.doing, key=str):
            if action in it.facts.doing:
                it.finish(action, kind=True)
        it.turn()
        for name in set(it.running()) & ends:
            waiting = name in both and it.facts.checked.get(name, Checked()).healthy is False
            if not waiting and not it.told[name].get("restartPolicy"):
                it.exits(name, 0)
        it.turn()
        timed_out = "timed out" in str([one.reason for one in it.task.containers])
        exited_early = "because dependency has exited" in str([one.reason for one in it.task.containers])
        if it.task.desired_status == "STOPPED":
            assert timed_out or exited_early, it.task
            return
        if any(it.told[name].get("restartPolicy") for name in ends):
            return  # what is started again never comes to its end
    assert it.task.last_status is TaskStatus.RUNNING, it.task
