"""The output of a task that ends is safe from a kill before its pods are gone, and how far it was taken until they are."""

import asyncio
from pathlib import Path
from typing import Any

from tests.unit.ecs_running.running_kit import a_house, container, definition

LOGGED = {
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "s"},
    }
}


def test_lines_and_cursor_are_written_before_the_pods_go(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            at_removal: list[str] = []
            remove = house.engine.remove

            async def noted(pod: str) -> None:
                # What another process would find now.
                at_removal.append(
                    b"".join(p.read_bytes() for p in (tmp_path / "journal").glob("*.log")).decode("latin-1")
                )
                await remove(pod)

            house.engine.remove = noted  # type: ignore[method-assign]
            task = await house.begin(definition(container("main", "echo", "said", **LOGGED)))
            await house.stopped(task)
            await house.runner.settled(task.arn)
            key = f"{task.arn}/main"
            assert house.logs.lines == {("g", f"s/main/{task.id}"): ["said"]}
            (journal,) = at_removal
            assert journal.count(key) == 1, "the cursor is there, and is not dropped yet"
            house.journal.flush()
            rest: Any = b"".join(p.read_bytes() for p in (tmp_path / "journal").glob("*.log"))
            assert rest.decode("latin-1").count(key) == 2, "nobody needs it any more"

    asyncio.run(story())
