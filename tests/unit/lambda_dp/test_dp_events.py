"""Asynchronous invocations are carried out at least once, whatever happens."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.lambda_.calls import Outcome
from cumulo.services.lambda_.events import EventQueue
from cumulo.services.lambda_.invoke import Invoke
from cumulo.services.lambda_.model import Ready, State, Version
from cumulo.services.lambda_.plan_events import (
    Condition,
    Discard,
    Event,
    Policy,
    Remove,
    Result,
    Retry,
    after,
    share,
)
from cumulo.state.store import Store

EVENT = Event(id="1", function=("a", "r", "f"), qualifier=None, request_id="r", enqueued_at=0.0, next_at=0.0)


def test_errors_of_the_function_are_retried_after_one_and_two_minutes_and_then_given_up():
    policy = Policy()
    first = after(EVENT, Result.FUNCTION_ERROR, policy, 10.0)
    assert first == Retry(70.0, 1, 0)
    one = Event(
        id="1",
        function=EVENT.function,
        qualifier=None,
        request_id="r",
        enqueued_at=0.0,
        next_at=70.0,
        attempts=1,
    )
    assert after(one, Result.FUNCTION_ERROR, policy, 70.0) == Retry(190.0, 2, 0)
    two = Event(
        id="1",
        function=EVENT.function,
        qualifier=None,
        request_id="r",
        enqueued_at=0.0,
        next_at=70.0,
        attempts=2,
    )
    assert after(two, Result.FUNCTION_ERROR, policy, 190.0) == Discard(Condition.RETRIES_EXHAUSTED, 3)


def test_throttles_back_off_from_one_second_to_five_minutes_until_the_event_is_too_old():
    event, now, delays = EVENT, 0.0, []
    while True:
        verdict = after(event, Result.THROTTLED, Policy(), now)
        if isinstance(verdict, Discard):
            break
        assert isinstance(verdict, Retry)
        delays.append(verdict.next_at - now)
        now = verdict.next_at
        event = Event(
            id="1",
            function=EVENT.function,
            qualifier=None,
            request_id="r",
            enqueued_at=0.0,
            next_at=now,
            throttles=verdict.throttles,
        )
    assert delays[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert max(delays) == 300
    assert verdict.condition is Condition.AGE_EXCEEDED
    assert 6 * 3600 - 300 <= now <= 6 * 3600


def test_zero_reserved_concurrency_and_a_deleted_function_end_an_event():
    assert after(EVENT, Result.ZERO_CONCURRENCY, Policy(), 1.0) == Discard(Condition.ZERO_CONCURRENCY, 0)
    assert after(EVENT, Result.GONE, Policy(), 1.0) == Remove()


names = st.sampled_from([("a", "r", n) for n in "fghij"])


@given(st.sets(names), st.dictionaries(names, st.integers(1, 10)), st.integers(0, 30), st.integers(1, 10))
def test_slots_are_shared_fairly_and_never_exceeded(functions, running, slots, per_function):
    shares = share(functions, running, slots=slots, per_function=per_function)
    assert sum(shares.values()) <= max(0, slots - sum(running.values()))
    assert set(shares) <= functions
    for function, count in shares.items():
        assert count + running.get(function, 0) <= per_function
    gets = [shares.get(f, 0) for f in functions if running.get(f, 0) + shares.get(f, 0) < per_function]
    assert not gets or max(gets) - min(gets) <= 1


class Functions:
    """Answers as it is told; a resolver and a runner in one."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, bytes, str]] = []
        self.fail: Counter[str] = Counter()
        self.throttle: Counter[str] = Counter()
        self.gone: set[str] = set()
        self.reserved: int | None = None
        self.active = self.most_active = 0

    def resolve(self, caller: Caller, function: str, qualifier: str | None) -> Ready:
        if function in self.gone:
            raise AwsError("ResourceNotFoundException", function, status=404)
        return ready(function, self.reserved)

    async def run(
        self, ready: Ready, event: bytes, request_id: str, *, client_context: bytes = b""
    ) -> Outcome:
        name = ready.version.name
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        await asyncio.sleep(0)
        self.active -= 1
        if self.throttle[name] > 0 or self.reserved == 0:
            self.throttle[name] -= 1
            raise AwsError("TooManyRequestsException", "Rate Exceeded.", status=429)
        self.runs.append((name, event, request_id))
        if self.fail[name] > 0:
            self.fail[name] -= 1
            return Outcome(b"{}", "Unhandled")
        return Outcome(b"null")


def ready(name: str, reserved: int | None = None) -> Ready:
    version = Version(
        account="000000000000",
        region="us-east-1",
        name=name,
        runtime="python3.11",
        handler="a.b",
        role="",
        code_sha256="0",
        code_size=1,
        last_modified=0.0,
        revision_id="r",
        state=State.ACTIVE,
    )
    return Ready(version, Path("/"), "g", version.function_arn, reserved)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "db", synchronous="OFF")
        self.clock = VirtualClock()
        self.functions = Functions()
        self.discarded: list[tuple[str, Condition]] = []
        self.queue = EventQueue(
            store=self.store,
            clock=self.clock,
            ids=Ids(),
            resolver=self.functions,
            run_event=self.functions.run,
            on_discard=self.on_discard,
        )

    async def on_discard(self, event: Event, condition: Condition, outcome: Outcome | None) -> None:
        self.discarded.append((event.request_id, condition))

    async def settle(self, condition) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("never")

    def rows(self) -> int:
        return self.store.query_now("SELECT COUNT(*) FROM lambda_events")[0][0]


def with_rig(folder: Path, story) -> None:
    async def main() -> None:
        rig = Rig(folder)
        task = asyncio.get_running_loop().create_task(rig.queue.run())
        try:
            await asyncio.wait_for(story(rig), 30)
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await rig.store.close()

    asyncio.run(main())


def test_an_event_runs_once_and_its_row_goes(tmp_path):
    async def story(rig: Rig) -> None:
        for n in range(200):
            await rig.queue.enqueue(ready(f"f{n % 5}"), None, b"%d" % n, f"id-{n}", b"")
        await rig.settle(lambda: len(rig.queue) == 0)
        await rig.store.commit()
        assert sorted(int(payload) for _, payload, _ in rig.functions.runs) == list(range(200))
        assert rig.rows() == 0
        assert 1 < rig.functions.most_active <= 64

    with_rig(tmp_path, story)


def test_retries_keep_the_request_id_and_wait_their_time(tmp_path):
    async def story(rig: Rig) -> None:
        rig.functions.fail["f"] = 9
        await rig.queue.enqueue(ready("f"), None, b"1", "same", b"")
        for minutes, runs in ((0, 1), (1, 2), (2, 3)):
            rig.clock.advance(60 * minutes)
            await rig.settle(lambda runs=runs: len(rig.functions.runs) == runs)
        await rig.settle(lambda: rig.discarded)
        assert rig.discarded == [("same", Condition.RETRIES_EXHAUSTED)]
        assert {request_id for _, _, request_id in rig.functions.runs} == {"same"}
        await rig.settle(lambda: rig.rows() == 0)

    with_rig(tmp_path, story)


def test_throttled_events_wait_and_do_not_hold_up_others(tmp_path):
    async def story(rig: Rig) -> None:
        rig.functions.throttle["busy"] = 1
        await rig.queue.enqueue(ready("busy"), None, b"1", "b", b"")
        await rig.queue.enqueue(ready("idle"), None, b"2", "i", b"")
        await rig.settle(lambda: [r[0] for r in rig.functions.runs] == ["idle"])
        rig.clock.advance(1.5)
        await rig.settle(lambda: [r[0] for r in rig.functions.runs] == ["idle", "busy"])

    with_rig(tmp_path, story)


def test_old_events_and_blocked_functions_are_given_up(tmp_path):
    async def story(rig: Rig) -> None:
        rig.functions.throttle["f"] = 1
        await rig.queue.enqueue(ready("f"), None, b"1", "old", b"")
        await rig.settle(lambda: rig.functions.throttle["f"] == 0)
        rig.clock.advance(7 * 3600)
        await rig.settle(lambda: rig.discarded == [("old", Condition.AGE_EXCEEDED)])
        rig.functions.reserved = 0
        await rig.queue.enqueue(ready("f"), None, b"1", "zero", b"")
        await rig.settle(lambda: len(rig.discarded) == 2)
        assert rig.discarded[1] == ("zero", Condition.ZERO_CONCURRENCY)
        assert rig.functions.runs == []

    with_rig(tmp_path, story)


def test_a_deleted_functions_events_are_dropped(tmp_path):
    async def story(rig: Rig) -> None:
        rig.functions.throttle["f"] = 99
        for n in range(5):
            await rig.queue.enqueue(ready("f"), None, b"1", f"{n}", b"")
        await rig.settle(lambda: rig.functions.throttle["f"] <= 94)
        rig.queue.forget("000000000000", "us-east-1", "f")
        await rig.store.commit()
        assert (rig.rows(), len(rig.queue)) == (0, 0)
        rig.functions.gone.add("g")
        await rig.queue.enqueue(ready("g"), None, b"1", "g", b"")
        await rig.settle(lambda: len(rig.queue) == 0)
        assert rig.functions.runs == []
        assert rig.discarded == []

    with_rig(tmp_path, story)


def test_the_operation_answers_202_when_the_event_is_on_disk(tmp_path):
    async def story(rig: Rig) -> None:
        rig.functions.throttle["f"] = 99
        invoke = Invoke(resolver=rig.functions, functions=None, events=rig.queue, ids=Ids())  # type: ignore[arg-type]
        caller = Caller(request_id="req")
        values = {"FunctionName": "f", "InvocationType": "Event", "Payload": b'{"a":1}'}
        assert (await invoke.invoke(caller, values))["StatusCode"] == 202
        assert rig.rows() == 1
        assert (await invoke.invoke(caller, {"FunctionName": "f", "InvocationType": "DryRun"}))[
            "StatusCode"
        ] == 204
        assert await invoke.invoke_async(caller, {"FunctionName": "f", "InvokeArgs": b"{}"}) == {
            "Status": 202
        }
        with pytest.raises(AwsError, match="too large for the Event invocation type"):
            await invoke.invoke(caller, values | {"Payload": b'"' + b"x" * 1048576 + b'"'})

    with_rig(tmp_path, story)


def test_events_that_were_acknowledged_survive_a_kill(tmp_path):
    """A child enqueues, runs and is killed, again and again; every acknowledged event is run in the end."""
    child = textwrap.dedent(f"""
        import asyncio, sys
        sys.path[:0] = {[p for p in sys.path if p]!r}
        from pathlib import Path
        from tests.unit.lambda_dp.test_dp_events import Rig, ready
        async def main():
            rig = Rig(Path({str(tmp_path)!r}))
            run = rig.functions.run
            async def noted(ready, event, request_id, *, client_context=b""):
                out = await run(ready, event, request_id)
                print("ran", event.decode(), flush=True)
                return out
            rig.queue._run_event = noted
            task = asyncio.get_running_loop().create_task(rig.queue.run())
            first = int(sys.argv[1])
            for n in range(first, first + 10_000):
                await rig.queue.enqueue(ready(f"f{{n % 3}}"), None, str(n).encode(), f"id-{{n}}", b"")
                print("ack", n, flush=True)
        asyncio.run(main())
    """)
    acknowledged: set[int] = set()
    ran: set[int] = set()
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", child, str(round_ * 100_000)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            if not line.endswith("\n"):
                break  # the kill came in the middle of it
            word, number = line.split()
            (acknowledged if word == "ack" else ran).add(int(number))
            if count == 60 + 17 * round_:
                os.kill(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()

    async def story(rig: Rig) -> None:
        await rig.settle(lambda: len(rig.queue) == 0)
        ran.update(int(payload) for _, payload, _ in rig.functions.runs)
        assert len(acknowledged) > 50
        assert acknowledged <= ran

    with_rig(tmp_path, story)
