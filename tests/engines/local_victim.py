"""A process with a local engine that makes, starts, signals and removes pods until it is killed."""

import asyncio
import contextlib
import sys
from pathlib import Path

from cumulo.engines.engine import EngineError, ExecSpec
from tests.engines.local_kit import Lab, container, pod


async def main(base: Path, run: Path, runtime: str) -> None:
    lab = Lab(base, runtime, run=run)
    engine = await lab.open()
    print("ready", flush=True)

    async def churn(number: int) -> None:
        for turn in range(1_000):
            name = f"pod-{number}-{turn}"
            with contextlib.suppress(EngineError):
                await engine.create(pod(name, container("a", "sleep", "1000"), container("b", "true")))
                await engine.start(name, "a")
                await engine.start(name, "b")
                session = await engine.exec(name, "a", ExecSpec(argv=("sleep", "1000")))
                if turn % 2:
                    await session.close()
                await engine.pause(name, "a")
                await engine.resume(name, "a")
                if turn % 3:
                    await engine.remove(name)

    await asyncio.gather(*(churn(number) for number in range(2)))


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
