"""Whatever jobs are submitted and become, and wherever the process is killed: every job ends, and each run counts once."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.batch_run_kit import FakeRunner, House, a_job

from cumulo.base.clock import VirtualClock
from cumulo.services.batch.plan_events import Cancelled, Submitted, Terminated

JOBS = ("a", "b", "c")
ROUNDS_MAX = 40
_verb = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(JOBS)),
    st.tuples(st.sampled_from(("cancel", "terminate")), st.sampled_from(JOBS)),
    st.tuples(st.sampled_from(("runs", "succeeds", "fails")), st.integers(0, 9)),
    st.tuples(st.sampled_from(("kill", "dies", "settle", "full", "room", "minutes")), st.none()),
)


class Story:
    """Processes one after another on the same data; what is asked of them is carried out at once, or after a kill."""

    def __init__(self, folder: Path) -> None:
        self.runner = FakeRunner()
        self.clock = VirtualClock()
        self.folder = folder
        self.submitted: set[str] = set()

    async def tell(self, verbs: list[tuple[str, object]]) -> None:
        """A process lives from one kill to the next."""
        todo = list(verbs)
        while todo:
            async with self.process() as house:
                while todo:
                    verb, about = todo.pop(0)
                    if verb in ("kill", "dies"):
                        if verb == "dies":
                            self.runner.dies = True
                            await house.settle()
                        break
                    await self.act(house, verb, about)
                self.runner.forget_listener()
            self.runner.dies = False
            if todo and todo[0][0] in ("succeeds", "fails"):  # while nobody is there
                self.task(*todo.pop(0))

    def process(self) -> House:
        """The next one."""
        return House(self.folder, self.runner, self.clock)

    async def act(self, house: House, verb: str, about: object) -> None:
        """One thing, of which everything that follows may still be undone when the process is killed."""
        if verb == "submit":
            if about in self.submitted:
                return
            self.submitted.add(str(about))
            await house.desk.happened(Submitted(a_job(str(about), retry={"attempts": 3})))
        elif verb == "cancel":
            await house.desk.happened(Cancelled(str(about), "cancelled"))
        elif verb == "terminate":
            await house.desk.happened(Terminated(str(about), "terminated"))
        elif verb == "settle":
            await house.settle()
        elif verb in ("full", "room"):
            self.runner.full = verb == "full"
        elif verb == "minutes":
            self.clock.advance(120)
        else:
            self.task(verb, about)

    def task(self, verb: str, about: object) -> None:
        """One of the tasks that are not over becomes something."""
        live = [token for token, task in self.runner.tasks.items() if task.status != "STOPPED"]
        if not live:
            return
        token = live[int(str(about)) % len(live)]
        if verb == "runs":
            self.runner.becomes(token, "RUNNING")
        elif verb in ("succeeds", "fails"):
            self.runner.ends(token, 0 if verb == "succeeds" else 1)

    async def end(self) -> None:
        """Everything that is there goes well until nothing is left; then what must hold."""
        self.runner.full = False
        async with self.process() as house:
            for _ in range(ROUNDS_MAX):
                self.clock.advance(120)
                await house.settle()
                for arn, _reason in self.runner.stopped:
                    task = self.runner.task(arn)
                    if task is not None and task.status != "STOPPED":
                        self.runner.becomes(
                            task.token, "STOPPED", 137, stop_code="UserInitiated", stopped_at=9.0
                        )
                for token, task in list(self.runner.tasks.items()):
                    if task.status != "STOPPED":
                        self.runner.ends(token)
            await house.settle()
            self.check(house)

    def check(self, house: House) -> None:
        """See the module."""
        for name in self.submitted:
            job = house.job(name)
            assert job.has_ended, job
            ran = [one.task for one in job.attempts if one.task]
            mine = [task.arn for token, task in self.runner.tasks.items() if token.startswith(f"{name}/")]
            assert sorted(ran) == sorted(mine), "each task is an attempt that is known, and no other"
            codes = [container.exit_code for one in job.attempts for container in one.containers]
            assert codes.count(0) <= 1
            if job.status == "SUCCEEDED":
                assert codes[-1] == 0


@settings(max_examples=150, deadline=None)
@given(verbs=st.lists(_verb, max_size=25))
def test_every_job_ends_and_every_run_counts_once(verbs: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))

        async def whole() -> None:
            await story.tell([("submit", "a"), *verbs])
            await story.end()

        asyncio.run(whole())
