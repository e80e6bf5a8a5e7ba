"""Content-addressed files: arriving in pieces, kept whole, collected when nobody needs them."""

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cumulo.state.arrival import BATCH_BYTES, SYNC_BYTES, Abandoned, Misplaced, sync_data
from cumulo.state.content import Content, WrongDigest, is_digest

BYTES_MAX = 1 << 30
FUTURE = 1e12


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def pieces_of(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[at : at + size]


def run(root: Path, scenario: Callable[[Content], Awaitable[None]]) -> None:
    async def whole() -> None:
        content = Content(root)
        try:
            await scenario(content)
        finally:
            content.close()

    asyncio.run(whole())


def test_what_arrives_in_pieces_is_kept_under_its_digest(tmp_path: Path):
    data = os.urandom(5 * BATCH_BYTES + 12345)

    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        await arrival.append(pieces_of(data[:100_000]), 0, BYTES_MAX)
        await arrival.append(pieces_of(data[100_000:], 777_777), 100_000, BYTES_MAX)
        assert arrival.received == len(data)
        assert await arrival.finish([sha256(data)]) == sha256(data)
        assert content.path(sha256(data)).read_bytes() == data
        assert not list((content.root / "incoming").iterdir())

    run(tmp_path, scenario)


def test_an_arrival_is_taken_up_again_after_a_restart(tmp_path: Path):
    data = os.urandom(3 * BATCH_BYTES + 1)

    async def first(content: Content) -> None:
        await content.arrival("one").append(pieces_of(data[:BATCH_BYTES]), 0, BYTES_MAX)

    async def second(content: Content) -> None:
        arrival = content.arrival("one")
        assert arrival.received == BATCH_BYTES
        await arrival.append(pieces_of(data[BATCH_BYTES:]), BATCH_BYTES, BYTES_MAX)
        assert await arrival.finish([sha256(data)]) == sha256(data)

    run(tmp_path, first)
    run(tmp_path, second)


def test_bytes_that_do_not_follow_are_refused(tmp_path: Path):
    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        await arrival.append(pieces_of(b"abc"), 0, BYTES_MAX)
        for first in (0, 2, 4):
            with pytest.raises(Misplaced) as misplaced:
                await arrival.append(pieces_of(b"def"), first, BYTES_MAX)
            assert misplaced.value.received == 3
        await arrival.append(pieces_of(b"def"), None, BYTES_MAX)
        assert await arrival.finish([sha256(b"abcdef")])

    run(tmp_path, scenario)


def test_another_digest_leaves_the_arrival_as_it_was(tmp_path: Path):
    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        await arrival.append(pieces_of(b"abc"), 0, BYTES_MAX)
        assert await arrival.finish([sha256(b"abd")]) == ""
        assert not content.has(sha256(b"abc"))
        await arrival.append(pieces_of(b"d"), 3, BYTES_MAX)
        assert await arrival.finish([sha256(b"x"), sha256(b"abcd")]) == sha256(b"abcd")

    run(tmp_path, scenario)


def test_sha512_is_a_digest_too(tmp_path: Path):
    data = os.urandom(100_000)
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"

    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        await arrival.append(pieces_of(data), 0, BYTES_MAX)
        assert await arrival.finish([digest]) == digest
        assert content.path(digest).read_bytes() == data

    run(tmp_path, scenario)


def test_an_arrival_has_a_bound(tmp_path: Path):
    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        with pytest.raises(OverflowError):
            await arrival.append(pieces_of(b"x" * 1000, 100), 0, 550)
        assert arrival.received == 500

    run(tmp_path, scenario)


def test_pieces_that_break_off_leave_what_came(tmp_path: Path):
    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise ConnectionError

    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        with pytest.raises(ConnectionError):
            await arrival.append(broken(), 0, BYTES_MAX)
        assert arrival.received == 3

    run(tmp_path, scenario)


def test_a_cancelled_writer_leaves_a_prefix_that_can_be_gone_on_with(tmp_path: Path):
    data = os.urandom(4 * BATCH_BYTES)
    never = asyncio.Event

    async def scenario(content: Content) -> None:
        stuck = never()

        async def slow() -> AsyncIterator[bytes]:
            async for piece in pieces_of(data[: 3 * BATCH_BYTES]):
                yield piece
            await stuck.wait()

        arrival = content.arrival("one")
        task = asyncio.ensure_future(arrival.append(slow(), 0, BYTES_MAX))
        while arrival.received < BATCH_BYTES:  # noqa: ASYNC110 - a thread counts
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        have = arrival.received
        await arrival.append(pieces_of(data[have:]), have, BYTES_MAX)
        assert await arrival.finish([sha256(data)])

    run(tmp_path, scenario)


def test_bytes_that_the_disk_lost_after_it_took_them_must_come_again(tmp_path: Path):
    data = os.urandom(SYNC_BYTES + 10 * BATCH_BYTES)

    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        whole = arrival._run

        async def run_(work: Callable[..., object], *arguments: object) -> object:
            if work is sync_data:
                raise OSError(errno.EIO, "lost")
            return await whole(work, *arguments)

        arrival._run = run_
        with pytest.raises(OSError, match="lost"):
            await arrival.append(pieces_of(data), 0, BYTES_MAX)
        assert arrival.received == 0
        arrival._run = whole
        await arrival.append(pieces_of(data), 0, BYTES_MAX)
        assert await arrival.finish([sha256(data)])

    run(tmp_path, scenario)


def test_an_abandoned_arrival_takes_nothing_more(tmp_path: Path):
    async def scenario(content: Content) -> None:
        arrival = content.arrival("one")
        arrival.abandon()
        with pytest.raises(Abandoned):
            await arrival.append(pieces_of(b"abc"), 0, BYTES_MAX)
        with pytest.raises(Abandoned):
            await arrival.finish([sha256(b"abc")])

    run(tmp_path, scenario)


def test_the_same_content_from_many_at_once_is_one_file(tmp_path: Path):
    data = os.urandom(2 * BATCH_BYTES)

    async def scenario(content: Content) -> None:
        async def one(name: str) -> None:
            arrival = content.arrival(name)
            await arrival.append(pieces_of(data), 0, BYTES_MAX)
            assert await arrival.finish([sha256(data)])

        await asyncio.gather(*(one(f"n{n}") for n in range(20)), *(content.put(data) for _ in range(5)))
        assert [path for path in content.root.rglob("*") if path.is_file()] == [content.path(sha256(data))]

    run(tmp_path, scenario)


def test_a_file_is_taken_only_with_its_own_digest(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"abc")

    async def scenario(content: Content) -> None:
        with pytest.raises(WrongDigest):
            await content.take(file, sha256(b"abd"))
        assert file.exists()
        assert await content.take(file, sha256(b"abc")) == 3
        assert not file.exists()
        assert await content.read(sha256(b"abc")) == b"abc"

    run(tmp_path / "content", scenario)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_a_file_of_another_disk_is_taken_too(tmp_path: Path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder) / "file"
        file.write_bytes(b"abc")

        async def scenario(content: Content) -> None:
            assert await content.take(file, sha256(b"abc")) == 3
            assert not file.exists()
            assert content.path(sha256(b"abc")).read_bytes() == b"abc"

        run(tmp_path, scenario)


def test_only_what_is_old_and_needed_by_nobody_is_collected(tmp_path: Path):
    async def scenario(content: Content) -> None:
        kept, gone, young = [await content.put(data) for data in (b"kept", b"gone", b"young")]
        await content.arrival("going-on").append(pieces_of(b"abc"), 0, BYTES_MAX)
        await content.arrival("left").append(pieces_of(b"abc"), 0, BYTES_MAX)
        for digest in (kept, gone):
            os.utime(content.path(digest), (1, 1))
        for name in ("going-on", "left"):
            os.utime(content.root / "incoming" / name, (1, 1))
        assert await content.collect(lambda one: one == kept, lambda name: name == "going-on", 1000.0) == 2
        assert [content.has(one) for one in (kept, gone, young)] == [True, False, True]
        assert [path.name for path in (content.root / "incoming").iterdir()] == ["going-on"]

    run(tmp_path, scenario)


def test_keeping_again_what_was_about_to_be_collected_saves_it(tmp_path: Path):
    async def scenario(content: Content) -> None:
        digest = await content.put(b"again")
        os.utime(content.path(digest), (1, 1))
        asked = []

        def needed(one: str) -> bool:
            asked.append(one)
            content._put(b"again", "sha256")  # somebody pushes it between the question and the removal
            return False

        assert await content.collect(needed, lambda _: False, 1000.0) == 0
        assert asked == [digest]
        assert content.has(digest)

    run(tmp_path, scenario)


def test_only_digests_are_digests():
    assert is_digest("sha256:" + "a" * 64)
    assert is_digest("sha512:" + "a" * 128)
    for wrong in ("", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha512:" + "a" * 64, "md5:" + "a" * 32,
                  "sha256:" + "a" * 64 + "\n", "sha256:../" + "a" * 61):  # fmt: skip
        assert not is_digest(wrong)
