"""Runtimes that are started before their function is known."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

from tests.sandbox_kit import PYTHON, launcher, needs_python, needs_root, read_until, spec, until

from cumulo.sandbox import early
from cumulo.sandbox.contract import Early, RuntimeHost
from cumulo.sandbox.records import Cell
from cumulo.services.lambda_.sandbox_env import leaves_alone

# A runtime in a few lines: says that it is ready, waits, and then prints what it is asked for.
RUNTIME = """
import json, os, sys
born = os.environ.get("BORN", "late")
if "_CUMULO_EARLY_FD" in os.environ:
    channel = int(os.environ["_CUMULO_EARLY_FD"])
    if os.path.exists("/tmp/stay-away"): sys.exit(1)
    seen = {"task": os.listdir("/var/task"), "opt": os.listdir("/opt"), "uid": os.getuid(), "nice": os.nice(0),
            "fds": sorted(map(int, os.listdir("/proc/self/fd")))}
    os.write(channel, b"W")
    raw = b""
    while piece := os.read(channel, 65536): raw += piece
    os.close(channel)
    os.environ.clear()
    os.environ.update(json.loads(raw)["env"])
    os.chdir("/var/task")
else:
    seen = {}
exec(os.environ["DO"], {"seen": seen, "born": born})
"""
LOOK = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "seen": seen, "born": born, "env": dict(os.environ), "cwd": os.getcwd(), "task": os.listdir("/var/task"),
    "opt": os.listdir("/opt"), "uid": os.getuid(), "caps": status["CapEff"].strip(), "bound": status["CapBnd"].strip(),
    "seccomp": status["Seccomp"].strip(), "no_new_privs": status["NoNewPrivs"].strip(), "nice": os.nice(0),
    "fds": sorted(map(int, os.listdir("/proc/self/fd"))), "tmp": os.listdir("/tmp"), "who": os.popen("id -un").read(),
    "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    "mounts": [line.split()[4] for line in open("/proc/self/mountinfo")],
}), flush=True)
"""
EARLY = Early(argv=(PYTHON, "-I", "-S", "-c", RUNTIME), env={"PATH": "/usr/bin:/bin", "BORN": "early"})


def given(folder: Path, do: str = LOOK, **more):
    env = {"DO": do} | more.pop("env", {})
    return spec(folder, *EARLY.argv, env=env, **({"early": EARLY} | more))


def runtimes_waiting(opened) -> list[int]:
    """The processes below the warden's cells that wait to be given a function."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
            if RUNTIME.encode() in words and _parent(_parent(int(entry))) == opened._ward.pid:
                found.append(int(entry))
        except OSError:
            continue
    return sorted(found)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def is_settled(pids: list[int]) -> bool:
    """Whether each sleeps in the read of its assignment."""
    return all(Path(f"/proc/{pid}/wchan").read_text() in ("unix_stream_data_wait", "unix_stream_read_generic", "0")
               and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S" for pid in pids)  # fmt: skip


async def waiting(opened, count: int) -> list[int]:
    def there():
        pids = runtimes_waiting(opened)
        return pids if len(pids) == count and is_settled(pids) else None

    pids = await until(there)
    await asyncio.sleep(0.05)  # and the warden has heard of it; without that, they are used all the same
    return pids


async def said(sandbox) -> dict:
    return json.loads(await read_until(sandbox, b"\n"))


@needs_root
@needs_python
def test_a_runtime_that_waits_gets_the_function(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=1) as opened:
            opened.expect(EARLY)
            opened.expect(EARLY)
            await until(lambda: opened._ward is not None)
            await waiting(opened, 1)
            asked = given(tmp_path, env={"MINE": "ü 1"})
            (asked.code / "app.py").write_text("")
            sandbox = await opened.start(asked)
            assert sandbox.early
            found = await said(sandbox)
            await sandbox.close()
            assert found["born"] == "early"
            assert found["seen"]["task"] == found["seen"]["opt"] == ["lib"]
            assert found["task"] == ["app.py"]
            assert found["opt"] == []
            assert found["cwd"] == "/var/task"
            assert found["env"].pop("_LAMBDA_TELEMETRY_LOG_FD") == "3"
            assert found["env"].pop("AWS_LAMBDA_RUNTIME_API") == "127.0.0.1:9001"
            assert found["env"].pop("AWS_ENDPOINT_URL") == "http://127.0.0.1:4566"
            assert found["env"] == {"PATH": "/usr/bin:/bin", "MINE": "ü 1", "DO": LOOK}

    asyncio.run(main())


@needs_root
@needs_python
def test_it_is_shut_in_like_any_other(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=1) as opened:
            late = await opened.start(given(tmp_path, early=None))
            other = await said(late)
            opened.expect(EARLY)
            await waiting(opened, 1)
            sandbox = await opened.start(given(tmp_path))
            found = await said(sandbox)
            assert sandbox.early
            assert not late.early
            assert found["uid"] == found["seen"]["uid"] != other["uid"]
            assert found["seen"]["nice"] > found["nice"] == 0
            assert 5 in found["seen"]["fds"]
            for name in (
                "caps",
                "bound",
                "seccomp",
                "no_new_privs",
                "fds",
                "tmp",
                "who",
                "processes",
                "mounts",
            ):
                assert found[name] == other[name], name
            await late.close()
            await sandbox.close()

    asyncio.run(main())


@needs_root
@needs_python
def test_what_is_not_usual_is_started_in_the_ordinary_way(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=1) as opened:
            opened.expect(EARLY)
            for more in (
                {"early": None},
                {"tmp_mib": 600},
                {"files_max": 512},
                {"early": Early(argv=EARLY.argv, env={"PATH": "/bin"})},
            ):
                opened.expect(EARLY)
                sandbox = await opened.start(given(tmp_path, **more))
                assert not sandbox.early, more
                assert (await said(sandbox))["born"] == "late"
                await sandbox.close()
            opened.expect(EARLY)
            await waiting(opened, 2)  # one of each kind that was asked for
            first = await opened.start(given(tmp_path, tmp_name="same"))
            assert first.early
            await first.close()
            await waiting(opened, 2)
            again = await opened.start(given(tmp_path, tmp_name="same"))
            assert not again.early
            await again.close()

    asyncio.run(main())


@needs_root
@needs_python
def test_two_functions_see_nothing_of_each_other(tmp_path: Path):
    write = "open('/tmp/mine', 'w').write('x'); import os; os.environ['LEFT'] = '1'" + LOOK

    async def main():
        async with launcher(tmp_path, early_spares=2) as opened:
            opened.expect(EARLY)
            await waiting(opened, 2)
            one, two = [
                await opened.start(given(tmp_path, do, code=tmp_path / name, env={name: "secret"}))
                for name, do in (("A", write), ("B", LOOK))
            ]
            seen = [await said(one), await said(two)]
            assert one.early
            assert two.early
            assert seen[0]["tmp"] == ["mine"]
            assert seen[1]["tmp"] == []
            assert "A" not in seen[1]["env"]
            assert "LEFT" not in seen[1]["env"]
            assert seen[0]["uid"] != seen[1]["uid"]
            for one_s in seen:  # its init, itself, and perhaps a helper that is just leaving
                assert set(one_s["processes"]) <= {"1", "2", "3"}
            await one.close()
            await two.close()

    asyncio.run(main())


@needs_root
@needs_python
def test_one_that_dies_waiting_is_replaced(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=1) as opened:
            opened.expect(EARLY)
            await until(lambda: opened._ward is not None)
            (pid,) = await waiting(opened, 1)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: runtimes_waiting(opened) not in ([pid], []))
            await waiting(opened, 1)
            sandbox = await opened.start(given(tmp_path))
            assert sandbox.early
            await sandbox.close()

    asyncio.run(main())


@needs_root
@needs_python
def test_one_that_dies_as_it_gets_its_function_is_no_failure(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=1) as opened:
            opened.expect(EARLY)
            await until(lambda: opened._ward is not None)
            (pid,) = await waiting(opened, 1)
            os.kill(_parent(pid), signal.SIGSTOP)  # pid 1 of the cell, so that it learns nothing
            starting = asyncio.create_task(opened.start(given(tmp_path)))
            await asyncio.sleep(0)
            os.kill(_parent(pid), signal.SIGKILL)
            sandbox = await asyncio.wait_for(starting, 20)
            assert (await said(sandbox))["born"] in ("late", "early")
            await sandbox.close()

    asyncio.run(main())


@needs_root
@needs_python
def test_what_is_not_expected_any_more_is_given_up(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=1) as opened:
            opened.expect(EARLY)
            await until(lambda: opened._ward is not None)
            (first,) = await waiting(opened, 1)
            others = [Early(argv=EARLY.argv, env={"PATH": "/usr/bin", "N": str(n)}) for n in range(2)]
            for other in others:
                opened.expect(other)
            await until(lambda: first not in runtimes_waiting(opened) and len(runtimes_waiting(opened)) == 2)
            await waiting(opened, 2)

    asyncio.run(main())


@needs_root
@needs_python
def test_nothing_is_left_when_the_warden_is_killed(tmp_path: Path):
    async def main():
        async with launcher(tmp_path, early_spares=2) as opened:
            opened.expect(EARLY)
            await until(lambda: opened._ward is not None)
            pids = await waiting(opened, 2)
            os.kill(opened._ward.pid, signal.SIGKILL)
            await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))

    asyncio.run(main())


@needs_root
def test_a_cloud_without_functions_starts_nothing(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            assert opened._ward is None

    asyncio.run(main())


def cell(name: str) -> Cell:
    return Cell(name, 0, 0, None)  # type: ignore[arg-type]


def test_a_runtime_that_keeps_dying_is_started_less_and_less_often():
    kept = early.Earlies(1)
    kept.expect([{"key": "a"}])
    now, pauses = 100.0, []
    for n in range(12):
        assert kept.missing(now) == {"key": "a"}
        one = cell(str(n))
        one.early = "a"
        kept.add(one)
        assert kept.missing(now) is None
        pauses.append(kept.died(one, now))
        assert kept.missing(now + pauses[-1] - 0.01) is None
        now += pauses[-1]
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert pauses[-1] == early.AGAIN_SECONDS_MAX


def test_the_most_recently_expected_is_started_first_and_warm_ones_are_given_first():
    kept = early.Earlies(2)
    kept.expect([{"key": "b"}, {"key": "a"}])
    cold, warm = cell("cold"), cell("warm")
    for one in (warm, cold):
        assert kept.missing(0.0) == {"key": "b"}
        one.early = "b"
        kept.add(one)
        if one is warm:
            kept.warmed(one)
    assert kept.take("b") is warm
    assert kept.take("b") is cold
    assert kept.take("b") is None
    assert kept.take("c") is None
    assert kept.expect([{"key": "a"}]) == []


def test_only_a_function_that_leaves_the_start_alone_may_start_early():
    host = RuntimeHost(
        runtime="r", argv=("r",), env={"LANG": "x", "LD_LIBRARY_PATH": "/a", "PATH": "/bin"}, binds=(), version="",
        version_arn="", early_unless=("LANG", "LD_*", "PYTHON*"),
    )  # fmt: skip
    usual = dict(host.env)
    assert leaves_alone(usual | {"MINE": "1", "PATH": "/other", "XLANG": "1"}, host)
    for change in ({"LANG": "y"}, {"LD_PRELOAD": "/x.so"}, {"PYTHONPATH": "/p"}, {"LD_LIBRARY_PATH": ""}):
        assert not leaves_alone(usual | change, host), change
    assert not leaves_alone({}, host)


def test_a_machine_says_whether_it_has_room():
    began = time.monotonic()
    assert early.room() in (True, False)
    assert time.monotonic() - began < 1.0
