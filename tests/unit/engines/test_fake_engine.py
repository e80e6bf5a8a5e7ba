"""The engine in memory: programs of one's own.  The contract is in tests/engines."""

import asyncio

import pytest

from cumulo.base.clock import VirtualClock
from cumulo.engines.engine import ContainerSpec, Exit, Mount, MountKind, PodSpec, Unsupported
from cumulo.engines.fake import FakeEngine
from cumulo.engines.fake_programs import FakeProcess
from cumulo.engines.images import Config


async def client(process: FakeProcess) -> int:
    reader, writer = await process.connect(9001)
    await process.write(await reader.read())
    writer.close()
    return 3


async def crash(process: FakeProcess) -> int:
    raise ValueError("oh no")


async def polite(process: FakeProcess) -> int:
    asked = asyncio.Event()
    process.on("SIGTERM", asked.set)
    await asked.wait()
    await process.write("good bye")
    return 0


async def lived(engine: FakeEngine, *argv: str, **more: object) -> tuple[Exit, list[bytes]]:
    image = engine.add_image("test/image", Config(command=argv))
    spec = PodSpec(name="p", owner="o", containers=(ContainerSpec(name="c", image=image.id, **more),))  # type: ignore[arg-type]
    await engine.create(spec)
    await engine.start("p", "c")
    if argv[0] == "polite":
        await asyncio.sleep(0)
        await engine.signal("p", "c", "SIGTERM")
    ended = await engine.wait("p", "c")
    return ended, [line.text async for line in engine.logs("p", "c")]


def test_a_program_of_one_s_own_reaches_the_socket_inside_its_pod() -> None:
    async def main() -> None:
        engine = FakeEngine(VirtualClock(), {"client": client})
        image = engine.add_image("test/image", Config(command=("client",)))
        await engine.create(
            PodSpec(name="p", owner="o", containers=(ContainerSpec(name="c", image=image.id),))
        )
        listener = await engine.listen_inside("p", 9001)

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"an event\n")
            writer.close()

        async with await asyncio.start_server(answer, sock=listener):
            await engine.start("p", "c")
            assert (await engine.wait("p", "c")).code == 3
        assert [line.text async for line in engine.logs("p", "c")] == [b"an event"]

    asyncio.run(main())


def test_a_program_that_crashes_is_an_exit_code() -> None:
    ended, lines = asyncio.run(lived(FakeEngine(VirtualClock(), {"crash": crash}), "crash"))
    assert (ended.code, lines) == (1, [b"ValueError: oh no"])


def test_a_program_may_handle_a_signal() -> None:
    ended, lines = asyncio.run(lived(FakeEngine(VirtualClock(), {"polite": polite}), "polite"))
    assert (ended, lines) == (Exit(0, finished_at=VirtualClock().now()), [b"good bye"])


def test_there_is_no_shell_and_it_says_so() -> None:
    ended, lines = asyncio.run(lived(FakeEngine(VirtualClock()), "sh", "-c", "ls | wc"))
    assert ended.code == 2
    assert b"no shell" in lines[0]


def test_the_log_has_a_bound() -> None:
    async def main() -> None:
        engine = FakeEngine(VirtualClock(), {"talk": talk})
        _, lines = await lived(engine, "talk", log_bytes_max=100)
        assert lines[-1] == b"999"
        assert sum(map(len, lines)) <= 100

    asyncio.run(main())


async def talk(process: FakeProcess) -> int:
    for n in range(1000):
        await process.write(f"{n}\n")
    return 0


def test_what_it_cannot_do_it_refuses() -> None:
    async def main() -> None:
        engine = FakeEngine(VirtualClock())
        mount = Mount(target="/v", kind=MountKind.VOLUME, source="v")
        await lived(engine, "true", mounts=(mount,))
        with pytest.raises(Unsupported):
            await engine.usage("p")

    asyncio.run(main())
