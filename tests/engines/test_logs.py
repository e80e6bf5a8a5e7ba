"""The contract: what containers print."""

import asyncio
import time

from tests.engines.kit import Lab, text


async def test_both_streams_with_their_times(lab: Lab) -> None:
    before = time.time_ns()
    ran = await lab.sh("echo out; echo err >&2")
    lines = await lab.logs(ran.pod)
    assert sorted((line.stream, line.text, line.partial) for line in lines) == [
        ("stderr", b"err", False),
        ("stdout", b"out", False),
    ]
    assert all(before - 10**9 < line.time_ns < time.time_ns() + 10**9 for line in lines)


async def test_lines_of_a_stream_are_in_order(lab: Lab) -> None:
    ran = await lab.sh("i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done")
    assert ran.out.split() == [str(n) for n in range(500)]


async def test_a_line_without_an_end_and_lines_that_are_empty(lab: Lab) -> None:
    ran = await lab.sh("printf 'a\\n\\nb'")
    assert [line.text for line in await lab.logs(ran.pod)] == [b"a", b"", b"b"]


async def test_long_lines_come_in_parts(lab: Lab) -> None:
    ran = await lab.sh("head -c 40000 /dev/zero | tr '\\0' x; echo; echo short")
    lines = await lab.logs(ran.pod)
    assert [line.partial for line in lines] == [True, True, False, False]
    assert text(lines, "stdout") == "x" * 40000 + "\nshort\n"
    assert all(len(line.text) <= 16 * 1024 for line in lines)


async def test_bytes_that_are_no_text(lab: Lab) -> None:
    ran = await lab.sh("printf '\\000\\377\\376\\r\\n\\303\\050\\n'")
    assert [line.text for line in await lab.logs(ran.pod)] == [b"\x00\xff\xfe\r", b"\xc3\x28"]


async def test_a_cursor_continues_after_its_line(lab: Lab) -> None:
    ran = await lab.sh("for i in 1 2 3 4 5 6; do echo $i; echo e$i >&2; done")
    lines = await lab.logs(ran.pod)
    assert len(lines) == 12
    for n, line in enumerate(lines):
        assert await lab.logs(ran.pod, after=line.cursor) == lines[n + 1 :]


async def test_a_cursor_works_for_a_new_engine_and_after_a_restart_of_the_container(lab: Lab) -> None:
    ran = await lab.run("echo", "first")
    (first,) = await lab.logs(ran.pod)
    await lab.reopen()
    await lab.engine.start(ran.pod, "main")
    await lab.engine.wait(ran.pod, "main")
    assert [line.text for line in await lab.logs(ran.pod, after=first.cursor)] == [b"first"]


async def test_following_gives_lines_as_they_come_and_ends_with_the_container(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started("sh", "-c", "echo one; sleep 0.3; echo two; sleep 0.3; echo three; exit 4")
    async with asyncio.timeout(20):
        stream = lab.engine.logs(pod, "main", follow=True)
        found = [(line.text, time.monotonic()) async for line in stream]
    assert [line for line, _ in found] == [b"one", b"two", b"three"]
    assert found[2][1] - found[0][1] > 0.3
    assert (await lab.engine.wait(pod, "main")).code == 4


async def test_following_what_has_ended_ends(lab: Lab) -> None:
    ran = await lab.run("echo", "hi")
    assert [line.text for line in await lab.logs(ran.pod, follow=True)] == [b"hi"]


async def test_who_stops_following_harms_nobody(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started("sh", "-c", "while :; do echo x; sleep 0.01; done")
    stream = lab.engine.logs(pod, "main", follow=True)
    assert (await anext(stream)).text == b"x"
    await stream.aclose()  # type: ignore[attr-defined]
    assert len(await lab.logs(pod)) >= 1


async def test_logs_of_what_has_not_started_are_empty(lab: Lab) -> None:
    spec = lab.pod(lab.container("true"))
    await lab.engine.create(spec)
    assert await lab.logs(spec.name) == []


async def test_five_megabytes(lab: Lab) -> None:
    ran = await lab.sh(
        "i=0; while [ $i -lt 50 ]; do head -c 74900 /dev/zero | tr '\\0' y | fold -w 99; echo; i=$((i+1)); done; echo end"
    )
    lines = await lab.logs(ran.pod)
    assert lines[-1].text == b"end"
    assert sum(len(line.text) for line in lines) == 50 * 74900 + 3


async def test_the_log_has_a_bound(lab: Lab) -> None:
    ran = await lab.sh(
        "yes 0123456789012345678901234567890123456789 | head -n 60000; echo end", log_bytes_max=1024 * 1024
    )
    lines = await lab.logs(ran.pod)
    assert lines[-1].text == b"end"
    assert 1000 < len(lines) < 60000
