"""The scheduler on a real store, whatever happens to it: crashes, kills of the server, clients who change their minds."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.ecs_scheduling.scheduling_kit import SETTLE, World

from cumulo.base.errors import AwsError
from cumulo.services.ecs.model import TaskStatus

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["work", "begin", "begin", "settle", "crash", "break off", "end", "kill", "update", "force", "desired",
             "protect", "room"]
        ),
        st.integers(0, 12),
    ),
    max_size=40,
)  # fmt: skip


async def step(it, what, pick):
    coming, running = it.coming(), it.running()
    if what == "work":
        await it.work(pick)
    elif what == "settle":
        await it.work(SETTLE)
    elif what == "begin" and coming:
        it.begin(coming[pick % len(coming)])
    elif what == "crash" and running:
        it.crash(running[pick % len(running)])
    elif what == "break off" and coming:
        it.break_off(coming[pick % len(coming)])
    elif what == "protect" and running:
        it.change(running[pick % len(running)], protected_until=it.clock.now() + 30)
    elif what == "end":
        it.end()
    elif what == "kill":
        await it.store.commit()
        await it.reopen()
    elif what == "update":
        await it.update(taskDefinition=f"web:{pick % 3 + 1}")
    elif what == "force":
        await it.update(forceNewDeployment=True)
    elif what == "desired":
        await it.update(desiredCount=pick)
    elif what == "room":
        it.launches.room = len(it.live()) + pick % 3


async def checked(it, what, pick):
    """One step, and a turn; no more tasks than there may be, and no protected one is stopped."""
    await step(it, what, pick)
    before = len(it.wanted())
    safe = {one.id for one in it.wanted() if one.protected_until > it.clock.now()}
    stopped = len(it.runner.stopped)
    await it.work()
    service = it.records.services.all()[0]
    percent = service.document["deploymentConfiguration"]["maximumPercent"]
    assert len(it.wanted()) <= max(before, service.desired_count * percent // 100)
    assert not safe & {one for one, _, _ in it.runner.stopped[stopped:]}


@settings(max_examples=60, deadline=None)
@given(
    steps=STEPS,
    desired=st.integers(0, 8),
    percents=st.sampled_from([(100, 200), (50, 150), (0, 100), (50, 100), (67, 134)]),
    breaker=st.booleans(),
)
def test_a_service_comes_to_what_it_wants_and_its_deployments_end(steps, desired, percents, breaker):
    async def body(folder):
        it = World(Path(folder))
        try:
            await it.create(
                desiredCount=desired,
                deploymentConfiguration={
                    "minimumHealthyPercent": percents[0],
                    "maximumPercent": percents[1],
                    "deploymentCircuitBreaker": {"enable": breaker, "rollback": True},
                },
            )
            for what, pick in steps:
                await checked(it, what, pick)
            it.launches.room = None
            await it.flow(rounds=40, seconds=100)
            view = await it.describe()
            if view["deployments"][0]["rolloutState"] == "FAILED":
                await it.update(forceNewDeployment=True)
                await it.flow(rounds=40, seconds=100)
                view = await it.describe()
            wanted = view["desiredCount"]
            if -(-wanted * percents[0] // 100) >= wanted * percents[1] // 100 > 0:
                return  # so few tasks that the percents leave no way
            assert view["runningCount"] == len(it.live()) == wanted
            assert [one["rolloutState"] for one in view["deployments"]] == ["COMPLETED"]
            assert {one.definition_arn for one in it.live()} <= {view["taskDefinition"]}
            assert {one.last_status for one in it.live()} <= {TaskStatus.RUNNING}
            ends = {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}
            assert {one.progress for one in it.book.deployments.all()} <= ends
        finally:
            await it.store.close()

    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(body(folder))
        except AwsError as error:
            raise AssertionError(str(error)) from error
