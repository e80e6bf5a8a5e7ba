"""The contract: further processes in a running container."""

import asyncio
import gc

import pytest

from cumulo.engines.engine import Busy, Capability, ExecSpec, NoSuchPod, StartFailed, Unsupported
from cumulo.engines.local.engine import LocalEngine
from tests.engines.kit import Lab, drain, eventually

FOREVER = ("sleep", "600")


def sh(script: str, **more: object) -> ExecSpec:
    return ExecSpec(argv=("sh", "-c", script), **more)  # type: ignore[arg-type]


async def test_its_output_and_its_exit_code(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    assert await lab.execute(pod, ExecSpec(argv=("echo", "hi"))) == (0, "hi\n", "")
    code, out, _ = await lab.execute(pod, ExecSpec(argv=("sh", "-c", "exit 7")))
    assert (code, out) == (7, "")


async def test_both_streams(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started(*FOREVER)
    assert await lab.execute(pod, sh("echo out; echo err >&2; exit 3")) == (3, "out\n", "err\n")


async def test_its_input(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    session = await lab.engine.exec(pod, "main", ExecSpec(argv=("cat",)))
    await session.write(b"one ")
    await session.write(b"two")
    session.end_input()
    async with asyncio.timeout(15):
        assert await drain(session) == ("one two", "")
        assert await session.wait() == 0
    await session.close()


async def test_a_megabyte_in_and_out(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started(*FOREVER)
    session = await lab.engine.exec(pod, "main", ExecSpec(argv=("cat",)))
    data = bytes(range(256)) * 4096
    found = b""

    async def feed() -> None:
        await session.write(data)
        session.end_input()

    async with asyncio.timeout(30):
        feeding = asyncio.create_task(feed())
        while (piece := await session.read()) is not None:
            found += piece[1]
        await feeding
    assert found == data
    await session.close()


async def test_its_environment_folder_and_user(lab: Lab) -> None:
    pod = await lab.started(*FOREVER, env={"BASE": "1"}, cwd="/tmp")
    code, out, _ = await lab.execute(pod, ExecSpec(argv=("env",), env={"MORE": "2"}))
    assert code == 0
    assert {"BASE=1", "MORE=2", "COLOR=blue"} <= set(out.splitlines())
    assert (await lab.execute(pod, ExecSpec(argv=("pwd",))))[1] == "/tmp\n"
    assert (await lab.execute(pod, ExecSpec(argv=("pwd",), cwd="/srv/work")))[1] == "/srv/work\n"


async def test_its_user(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started(*FOREVER, user="app")
    assert (await lab.execute(pod, sh("id -u")))[1] == "1000\n"
    assert (await lab.execute(pod, sh("id -u; id -g", user="0:50")))[1] == "0\n50\n"


async def test_it_is_held_to_what_its_container_is(lab: Lab) -> None:
    lab.needs_kernel()
    pod = await lab.started(*FOREVER, drop=("ALL",))
    code, out, _ = await lab.execute(pod, sh("grep CapBnd /proc/self/status; hostname"))
    assert code == 0
    assert int(out.split()[1], 16) == 0
    assert out.split()[-1] == pod


async def test_a_command_that_is_not_there(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    with pytest.raises(StartFailed, match="no-such-command") as caught:
        await lab.engine.exec(pod, "main", ExecSpec(argv=("no-such-command",)))
    assert caught.value.kind == "entrypoint"
    assert (await lab.execute(pod, ExecSpec(argv=("true",))))[0] == 0


async def test_what_does_not_run_takes_none(lab: Lab) -> None:
    spec = lab.pod(lab.container("true"))
    await lab.engine.create(spec)
    with pytest.raises(Busy):
        await lab.engine.exec(spec.name, "main", ExecSpec(argv=("true",)))
    await lab.engine.start(spec.name, "main")
    await lab.engine.wait(spec.name, "main")
    with pytest.raises(Busy):
        await lab.engine.exec(spec.name, "main", ExecSpec(argv=("true",)))
    with pytest.raises(NoSuchPod):
        await lab.engine.exec("nobody", "main", ExecSpec(argv=("true",)))


async def test_closing_kills(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    session = await lab.engine.exec(pod, "main", ExecSpec(argv=("sleep", "612")))
    async with asyncio.timeout(15):
        await session.close()
    if Capability.LIMITS not in lab.engine.capabilities:
        return

    async def gone() -> bool:
        return "612" not in (await lab.execute(pod, sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")))[
            1
        ].replace("612 |", "")

    await eventually(gone, "the process is gone")
    await session.close()


async def test_it_ends_with_its_container(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    session = await lab.engine.exec(pod, "main", ExecSpec(argv=("sleep", "612")))
    await lab.engine.signal(pod, "main", "SIGKILL")
    async with asyncio.timeout(15):
        await drain(session)
        assert await session.wait() == 137
    await session.close()


async def test_a_terminal(lab: Lab) -> None:
    lab.needs(Capability.TERMINAL)
    pod = await lab.started(*FOREVER)
    spec = sh(
        "test -t 0 && test -t 1 && until stty size 2>/dev/null | grep '33 99'; do sleep 0.02; done; read line; echo got $line; exit 5",
        terminal=True,
        rows=33,
        columns=99,
    )
    session = await lab.engine.exec(pod, "main", spec)
    await session.write(b"words\n")
    async with asyncio.timeout(15):
        out, err = await drain(session)
        assert await session.wait() == 5
    assert err == ""
    assert "33 99" in out
    assert "got words\r\n" in out
    await session.close()


async def test_a_terminal_is_resized(lab: Lab) -> None:
    lab.needs(Capability.TERMINAL)
    pod = await lab.started(*FOREVER)
    script = "until test \"$(stty size)\" = '50 120'; do sleep 0.05; done; stty size"
    session = await lab.engine.exec(pod, "main", sh(script, terminal=True))
    session.resize(50, 120)
    async with asyncio.timeout(15):
        out, _ = await drain(session)
    assert "50 120" in out
    await session.close()


async def test_a_terminal_takes_ctrl_c(lab: Lab) -> None:
    lab.needs(Capability.TERMINAL)
    pod = await lab.started(*FOREVER)
    session = await lab.engine.exec(pod, "main", ExecSpec(argv=("sleep", "600"), terminal=True))
    await session.write(b"\x03")
    async with asyncio.timeout(15):
        await drain(session)
        assert await session.wait() == 130
    await session.close()


async def test_a_terminal_that_closes_kills(lab: Lab) -> None:
    lab.needs(Capability.TERMINAL)
    pod = await lab.started(*FOREVER)
    session = await lab.engine.exec(pod, "main", sh("echo ready; sleep 613", terminal=True))
    assert await session.read() is not None
    async with asyncio.timeout(15):
        await session.close()


async def test_who_has_no_terminals_says_so(lab: Lab) -> None:
    if Capability.TERMINAL in lab.engine.capabilities:
        pytest.skip("it has")
    pod = await lab.started(*FOREVER)
    with pytest.raises(Unsupported):
        await lab.engine.exec(pod, "main", ExecSpec(argv=("cat",), terminal=True))


async def test_ten_at_once(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    found = await asyncio.gather(*(lab.execute(pod, ExecSpec(argv=("echo", str(n)))) for n in range(10)))
    assert [out for _, out, _ in found] == [f"{n}\n" for n in range(10)]


async def test_who_gives_up_while_it_starts_leaves_nothing(lab: Lab) -> None:
    pod = await lab.started(*FOREVER)
    if not isinstance(lab.engine, LocalEngine):
        pytest.skip("the daemon goes on with what it was asked")
    for moment in range(40):
        starting = asyncio.create_task(lab.engine.exec(pod, "main", ExecSpec(argv=("sleep", "614"))))
        await asyncio.sleep(moment / 1000)  # anywhere between asked and running
        if starting.cancel():
            with pytest.raises(asyncio.CancelledError):
                await starting
        else:
            await (await starting).close()
    _, out, _ = await lab.execute(pod, ExecSpec(argv=("ps",)))
    assert "614" not in out
    gc.collect()  # a child that was forgotten would warn
