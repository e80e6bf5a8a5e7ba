"""When answers leave: never before the journal's write, and with as few writes as there can be."""

import asyncio

from tests.unit.lambda_dp.dp_cloud import Logs, Usages

from cumulo.services.lambda_.calls import Outcome
from cumulo.services.lambda_.endings import Endings


class Story:
    def __init__(self, *, disk_refuses: bool = False) -> None:
        self.seen: list[str] = []
        self.disk_refuses = disk_refuses
        self.endings = Endings(logs=Logs(), usages=Usages(), flush=self.flush)

    def flush(self) -> None:
        self.seen.append("write")
        if self.disk_refuses:
            raise OSError("full")

    def end(self, name: str, *, at_once: bool = False) -> None:
        def on_done(outcome: Outcome) -> None:
            self.seen.append(name if outcome.refusal is None else f"{name} refused")

        self.endings.answer(on_done, Outcome(), at_once=at_once)


def test_an_answer_that_is_alone_leaves_at_once_after_the_write():
    async def main() -> None:
        story = Story()
        story.end("a", at_once=True)
        assert story.seen == ["write", "a"]
        await asyncio.sleep(0)
        assert story.seen == ["write", "a"]

    asyncio.run(main())


def test_the_answers_of_one_turn_share_a_write():
    async def main() -> None:
        story = Story()
        story.end("a")
        story.end("b")
        assert story.seen == []
        await asyncio.sleep(0)
        assert story.seen == ["write", "a", "b"]

    asyncio.run(main())


def test_one_that_leaves_at_once_takes_those_along_that_wait():
    async def main() -> None:
        story = Story()
        story.end("a")
        story.end("b", at_once=True)
        assert story.seen == ["write", "a", "b"]
        await asyncio.sleep(0)
        story.end("c")
        await asyncio.sleep(0)
        assert story.seen == ["write", "a", "b", "write", "c"]

    asyncio.run(main())


def test_what_could_not_be_written_is_refused():
    async def main() -> None:
        story = Story(disk_refuses=True)
        story.end("a", at_once=True)
        assert story.seen == ["write", "a refused"]

    asyncio.run(main())
