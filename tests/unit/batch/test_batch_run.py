"""The loop of Batch: from a job to an order, from a task to an end, and from a kill at any point to the same."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from tests.batch_run_kit import ENVIRONMENT, QUEUE, FakeRunner, House

from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.services.batch.model import Run
from cumulo.services.batch.plan_events import Cancelled, Started, Terminated
from cumulo.services.batch.queues import QUEUE_DELETED, JobsOfQueues
from cumulo.services.batch.running.carrier import TRIES_MAX
from cumulo.services.batch.running.outcomes import LOST

TOKEN = "job/1"


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def house(tmp_path, runner, clock) -> Callable[[], House]:
    return lambda: House(tmp_path, runner, clock)


def lives(house: Callable[[], House], *days: Callable[[House], Awaitable[None]]) -> None:
    """One process after another."""

    async def live() -> None:
        for day in days:
            async with house() as here:
                await day(here)

    asyncio.run(live())


def test_a_job_is_ordered_runs_and_succeeds(house, runner) -> None:
    async def day(it: House) -> None:
        await it.submit()
        assert it.job().status == "STARTING"
        (order,) = runner.orders
        assert (order.token, order.cluster, order.launch_type) == (TOKEN, ENVIRONMENT.cluster, "FARGATE")
        runner.becomes(TOKEN, "RUNNING")
        assert it.job().status == "RUNNING"
        runner.ends(TOKEN)
        assert it.job().status == "SUCCEEDED"
        assert it.job().attempts[0].containers[0].log_stream == f"s/{TOKEN}"
        await it.settle()
        assert it.scheduler.vcpus(ENVIRONMENT.arn) == 0

    lives(house, day)


def test_a_job_that_fails_is_ordered_again_with_a_token_of_its_own(house, runner) -> None:
    async def day(it: House) -> None:
        await it.submit(retry={"attempts": 2})
        runner.ends(TOKEN, 3)
        await it.settle()
        assert [order.token for order in runner.orders] == [TOKEN, "job/2"]
        runner.ends("job/2", 4)
        assert it.job().status == "FAILED"
        assert [one.containers[0].exit_code for one in it.job().attempts] == [3, 4]

    lives(house, day)


def test_a_job_waits_while_there_is_no_room_and_goes_on_when_there_is(house, runner, clock) -> None:
    async def day(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit()
        assert it.job().status == "RUNNABLE"
        assert not runner.orders
        it.room = (64.0, 65536)
        runner.full = True
        clock.advance(120)
        await it.settle()
        assert it.job().status == "RUNNABLE"
        assert not it.job().attempts
        runner.full = False
        clock.advance(120)
        await it.settle()
        assert it.job().status == "STARTING"

    lives(house, day)


def test_what_ecs_refuses_is_a_failed_job_with_its_sentence(house, runner) -> None:
    runner.refuses = AwsError("InvalidParameterException", "This cannot be.")

    async def day(it: House) -> None:
        await it.submit()
        assert (it.job().status, it.job().status_reason) == ("FAILED", "This cannot be.")

    lives(house, day)


def test_what_ecs_cannot_do_for_now_is_tried_again(house, runner, clock) -> None:
    runner.refuses = AwsError("ServerException", "Not now.", status=503)

    async def day(it: House) -> None:
        await it.submit()
        assert it.job().status == "STARTING"
        runner.refuses = None
        clock.advance(2)
        await it.settle()
        assert len(runner.orders) == 1

    lives(house, day)


def test_what_ecs_cannot_do_for_long_fails(house, runner, clock) -> None:
    runner.refuses = AwsError("ServerException", "Not now.", status=503)

    async def day(it: House) -> None:
        await it.submit()
        for _ in range(TRIES_MAX):
            clock.advance(2)
            await it.settle()
        assert (it.job().status, it.job().status_reason) == ("FAILED", "Not now.")

    lives(house, day)


def test_a_place_that_can_never_be_is_no_place_to_wait_for(house, runner) -> None:
    runner.lacks = "ATTRIBUTE"

    async def day(it: House) -> None:
        await it.submit()
        assert it.job().status == "FAILED"
        assert it.job().status_reason.startswith("ATTRIBUTE")

    lives(house, day)


def test_the_jobs_of_a_queue_that_is_deleted_end(house, runner) -> None:
    async def day(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit("waits")
        ending = JobsOfQueues(it.desk)
        assert not await ending.end_queue(QUEUE)
        assert it.job("waits").status_reason == QUEUE_DELETED
        assert await ending.end_queue(QUEUE)

    lives(house, day)


def test_a_job_that_runs_too_long_is_stopped_once_and_fails(house, runner, clock) -> None:
    async def day(it: House) -> None:
        await it.submit(timeout=60, retry={"attempts": 3})
        runner.becomes(TOKEN, "RUNNING", started_at=clock.now())
        clock.advance(61)
        await it.settle()
        assert runner.stopped == [(f"arn:task/{TOKEN}", "Job attempt duration exceeded timeout")]
        runner.becomes(TOKEN, "STOPPED", 137, stop_code="UserInitiated", stopped_at=clock.now())
        assert (it.job().status, it.job().status_reason) == (
            "FAILED",
            "Job attempt duration exceeded timeout",
        )

    lives(house, day)


def test_a_job_that_is_terminated_while_it_is_ordered_ends(house, runner) -> None:
    async def day(it: House) -> None:
        await it.submit()
        await it.desk.happened(Terminated("job", "enough"))
        await it.settle()
        assert runner.stopped == [(f"arn:task/{TOKEN}", "enough")]
        runner.becomes(TOKEN, "STOPPED", 137, stop_code="UserInitiated", stopped_at=2.0)
        assert (it.job().status, it.job().status_reason) == ("FAILED", "enough")

    lives(house, day)


def test_a_job_that_is_cancelled_before_it_starts_is_not_started(house, runner) -> None:
    async def day(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit()
        await it.desk.happened(Cancelled("job", "changed my mind"))
        it.room = (64.0, 65536)
        await it.settle()
        assert not runner.orders
        assert it.job().status == "FAILED"
        assert it.scheduler.vcpus(ENVIRONMENT.arn) == 0

    lives(house, day)


def test_a_job_that_can_never_start_blocks_its_queue_and_says_why(house, runner) -> None:
    large = {"resourceRequirements": [{"type": "VCPU", "value": "100"}]}

    async def day(it: House) -> None:
        await it.submit(overrides={"containerOverrides": large})
        assert it.job().status == "RUNNABLE"
        assert it.job().status_reason.startswith("MISCONFIGURATION:")
        assert [(one.id, one.status_reason) for one in it.blocked] == [("job", it.job().status_reason)]
        await it.desk.happened(Cancelled("job", "never mind"))
        await it.submit("small")
        assert [order.token for order in runner.orders] == ["small/1"]

    lives(house, day)


# -- kills ---------------------------------------------------------------------------------------------------


def test_a_kill_between_the_commit_and_the_order_orders_it(house, runner) -> None:
    async def before(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit()
        it.loop.clear()
        await it.desk.happened(Started("job", ENVIRONMENT.arn))
        it.loop.clear()  # killed: nothing was ordered

    async def after(it: House) -> None:
        assert [order.token for order in runner.orders] == [TOKEN]
        assert it.job().run.task == f"arn:task/{TOKEN}"

    lives(house, before, after)


def test_a_kill_between_the_order_and_its_answer_orders_nothing_new(house, runner) -> None:
    async def before(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit()
        await it.desk.happened(Started("job", ENVIRONMENT.arn))
        it.loop.clear()
        await it.carrier.order("job")  # ECS has it, and what it answered is lost with the process
        job = it.job()
        it.records.put(replace(job, run=Run(token=job.run.token, environment=job.run.environment)))

    async def after(it: House) -> None:
        assert len(runner.tasks) == 1
        assert it.job().run.task == f"arn:task/{TOKEN}"
        runner.ends(TOKEN)
        assert it.job().status == "SUCCEEDED"
        assert len(it.job().attempts) == 1

    lives(house, before, after)


def test_a_kill_between_the_end_of_a_task_and_our_note_counts_it_once(house, runner) -> None:
    async def before(it: House) -> None:
        await it.submit()
        runner.becomes(TOKEN, "RUNNING")
        runner.forget_listener()  # killed
        runner.ends(TOKEN)

    async def after(it: House) -> None:
        assert it.job().status == "SUCCEEDED"
        assert len(it.job().attempts) == 1
        assert len(runner.orders) == 1

    async def again(it: House) -> None:
        assert len(it.job().attempts) == 1
        assert it.scheduler.vcpus(ENVIRONMENT.arn) == 0

    lives(house, before, after, again)


def test_a_failure_that_was_not_noted_is_retried_once(house, runner) -> None:
    async def before(it: House) -> None:
        await it.submit(retry={"attempts": 2})
        runner.forget_listener()  # killed
        runner.ends(TOKEN, 1)

    async def after(it: House) -> None:
        assert [order.token for order in runner.orders] == [TOKEN, "job/2"]
        assert it.job().status == "STARTING"

    lives(house, before, after)


def test_a_stop_that_was_not_carried_out_is_carried_out(house, runner) -> None:
    async def before(it: House) -> None:
        await it.submit()
        it.desk.note(Terminated("job", "enough"))
        it.loop.clear()  # killed before ECS was told

    async def after(it: House) -> None:
        assert runner.stopped == [(f"arn:task/{TOKEN}", "enough")]

    lives(house, before, after)


def test_a_run_that_was_to_stop_before_it_was_ordered_is_never_ordered(house, runner) -> None:
    async def before(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit()
        await it.desk.happened(Started("job", ENVIRONMENT.arn), Terminated("job", "enough"))
        it.loop.clear()

    async def after(it: House) -> None:
        assert not runner.orders
        assert (it.job().status, it.job().status_reason) == ("FAILED", "enough")

    lives(house, before, after)


def test_a_task_that_is_gone_ends_its_job(house, runner) -> None:
    async def before(it: House) -> None:
        await it.submit()
        runner.becomes(TOKEN, "RUNNING")

    async def after(it: House) -> None:
        assert (it.job().status, it.job().status_reason) == ("FAILED", LOST)

    async def between(it: House) -> None:
        assert it.job().status == "RUNNING"
        assert it.scheduler.vcpus(ENVIRONMENT.arn) == 250
        runner.tasks.clear()

    lives(house, before, between, after)


def test_jobs_that_wait_are_told_to_the_scheduler_again(house, runner) -> None:
    async def before(it: House) -> None:
        it.room = (0.0, 0)
        await it.submit("first")
        await it.submit("second")
        await it.submit("array", array_size=3, counts={"SUBMITTED": 3})

    async def after(it: House) -> None:
        tokens = [order.token for order in runner.orders]
        assert sorted(tokens) == ["array:0/1", "array:1/1", "array:2/1", "first/1", "second/1"]

    lives(house, before, after)
