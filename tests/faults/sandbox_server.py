"""A stand-in for the server, to be killed: starts some sandboxes, says so, and waits."""

import asyncio
import sys
from pathlib import Path

from tests.sandbox_kit import launcher, shell


async def main(folder: Path, instance: str) -> None:
    async with launcher(folder, instance=instance, spare_cells=2) as opened:
        boxes = [await opened.start(shell(folder, "sleep 1000 & sleep 1000", name=f"b{i}")) for i in range(4)]
        boxes[0].freeze()
        boxes[1].freeze()
        print(next(iter([opened._ward.pid])), flush=True)
        await asyncio.sleep(1000)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
