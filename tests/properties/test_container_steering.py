"""However freezes, thaws and kills follow one another and however slow an engine is, what was asked last is what is."""

import asyncio
import os
import socket
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.engines.engine import Busy, EngineError
from cumulo.engines.engine import Exit as EngineExit
from cumulo.engines.functions.sandbox import ContainerSandbox


class SlowEngine:
    """One container, whose verbs take as many turns of the loop as they are told to, and may fail now and then."""

    def __init__(self, turns, failures):
        self.turns = iter(turns)
        self.failures = iter(failures)
        self.frozen = False
        self.dead = asyncio.Event()
        self.removed = False
        self.done: list[str] = []
        self.working = False
        self.refused = False  # the last verb

    async def _verb(self, name, *, may_fail=False):
        assert not self.working, "one thing at a time"
        self.working = True
        try:
            for _ in range(next(self.turns, 0)):
                await asyncio.sleep(0)
            if self.dead.is_set():
                raise Busy("it has ended")
            self.refused = may_fail and next(self.failures, False)
            if self.refused:
                raise EngineError("not now")
            self.done.append(name)
        finally:
            self.working = False

    async def pause(self, pod, container):
        await self._verb("pause", may_fail=True)
        self.frozen = True

    async def resume(self, pod, container):
        await self._verb("resume")
        self.frozen = False

    async def signal(self, pod, container, signal):
        await self._verb(signal)
        self.dead.set()

    async def wait(self, pod, container):
        await self.dead.wait()
        return EngineExit(137)

    async def remove(self, pod):
        self.removed = True
        self.dead.set()


def sandbox_of(engine):
    pipes = []
    for _ in range(2):
        read, write = os.pipe()
        os.close(write)
        pipes.append(read)
    return ContainerSandbox(
        engine,
        "fn-1",
        sockets=(socket.socket(), socket.socket()),
        pipes=(pipes[0], pipes[1]),
        vcpus=1.0,
        group=None,
        gone=lambda _: None,
    )


STEPS = st.lists(st.tuples(st.sampled_from(["freeze", "thaw"]), st.integers(0, 6)), max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    steps=STEPS,
    turns=st.lists(st.integers(0, 5), max_size=30),
    failures=st.lists(st.booleans(), max_size=5),
    kill=st.booleans(),
)
def test_what_was_asked_for_last_is_what_is(steps, turns, failures, kill):
    async def main():
        engine = SlowEngine(turns, failures)
        sandbox = sandbox_of(engine)
        for verb, pause in steps:
            getattr(sandbox, verb)()
            for _ in range(pause):
                await asyncio.sleep(0)
        for _ in range(300):
            await asyncio.sleep(0)
        wanted = bool(steps) and steps[-1][0] == "freeze"
        verbs = [verb for verb in engine.done if verb in {"pause", "resume"}]
        assert all(a != b for a, b in pairwise(verbs)), "each undoes the one before"
        assert engine.frozen == (wanted and not engine.refused), "a freeze may fail, a thaw may not"
        if kill:
            sandbox.kill()
            assert (await asyncio.wait_for(sandbox.wait(), 5)).signal == 9
        await asyncio.wait_for(sandbox.close(), 5)
        assert engine.removed
        assert (await sandbox.wait()).signal == 9

    asyncio.run(main())
