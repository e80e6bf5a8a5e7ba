"""A process with a local engine that makes, starts, signals and removes pods, some in slices, until it is killed."""

import asyncio
import contextlib
import sys
from pathlib import Path

from cumulo.engines.engine import EngineError, ExecSpec, Limits
from tests.engines.local_kit import Lab, container, pod


async def main(base: Path, run: Path, runtime: str) -> None:
    lab = Lab(base, runtime, run=run)
    engine = await lab.open()
    print("ready", flush=True)

    async def churn(number: int) -> None:
        for turn in range(1_000):
            name = f"pod-{number}-{turn}"
            slice_ = f"slice-{turn}" if number else ""
            with contextlib.suppress(EngineError):
                if slice_:
                    await engine.make_slice(slice_, Limits(vcpus=1, memory_mib=64))
                spec = pod(name, container("a", "sleep", "1000"), container("b", "true"), slice=slice_)
                await engine.create(spec)
                await engine.start(name, "a")
                await engine.start(name, "b")
                session = await engine.exec(name, "a", ExecSpec(argv=("sleep", "1000")))
                if turn % 2:
                    await session.close()
                await engine.pause(name, "a")
                await engine.resume(name, "a")
                if turn % 3:
                    await engine.remove(name)
                    if slice_:
                        await engine.remove_slice(slice_)

    await asyncio.gather(*(churn(number) for number in range(2)))


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
