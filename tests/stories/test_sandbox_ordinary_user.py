"""Sandboxes without root: the same story, told by a process of another user."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534
ROOT = Path(__file__).parents[2]

STORY = """
import asyncio, os, sys
from pathlib import Path
from cumulo.sandbox.contract import Early, Exit, Isolation
from cumulo.sandbox.probe import probe
from tests.sandbox_kit import launcher, read_until, run, shell, spec, python, until

async def main(folder):
    report = probe()
    if report.isolation == Isolation.NONE:
        print("SKIP", report.findings[0].detail)
        return
    assert report.isolation == Isolation.PARTIAL, report
    async with launcher(folder, spare_cells=1) as opened:
        output, ended = await run(opened, shell(folder, "id -un; touch /tmp/x && echo wrote; touch /var/task/x || echo not; cat /proc/1/environ || echo hidden; kill -9 1; ls /home /root 2>&1 | wc -l; mount -t tmpfs x /tmp || echo refused"))
        assert ended == Exit(), ended
        words = output.split()
        assert words[:2] == ["sbx_user1051", "wrote"], output
        assert "hidden" in words and "refused" in words and "Read-only" in output, output

        box = await opened.start(python(folder, "x = bytearray(b'x' * (40 << 20)); print('up'); input() if False else __import__('time').sleep(0.5); y = bytearray(b'x' * (600 << 20)); __import__('time').sleep(1000)"))
        await read_until(box, b"up")
        await until(lambda: box.memory_peak_bytes() >= 40 << 20)
        ended = await asyncio.wait_for(box.wait(), 20)
        assert ended == Exit(signal=9, out_of_memory=True), ended
        await box.close()

        box = await opened.start(shell(folder, "i=0; while :; do i=$((i+1)); echo $i; done"))
        await read_until(box, b"\\n100\\n")
        box.freeze()
        def drained():
            count = 0
            while True:
                try: count += len(os.read(box.output, 1 << 20))
                except BlockingIOError: return count
        while drained(): await asyncio.sleep(0.1)
        box.thaw()
        await read_until(box, b"\\n")
        box.freeze()
        box.kill()
        assert (await asyncio.wait_for(box.wait(), 5)).signal == 9
        await box.close()

        early = Early(argv=("/usr/bin/python3", "-I", "-S", "-c", WAITS), env={})
        opened.expect(early)
        for n in range(200):  # ordinary ones until there is one that waits
            asked = spec(folder, *early.argv, early=early, env={"MINE": str(n)})
            box = await opened.start(asked)
            output = await read_until(box, b"\\n")
            await box.close()
            opened.drop_tmp(asked.tmp_name)
            if box.early:
                assert output == f"{n} 1051 0000000000000000\\n".encode(), output
                break
            await asyncio.sleep(0.2)
        assert box.early
    print("DONE")

WAITS = '''
import json, os
if "_CUMULO_EARLY_FD" in os.environ:
    channel = int(os.environ["_CUMULO_EARLY_FD"])
    os.write(channel, b"W")
    os.environ.update(json.loads(os.read(channel, 65536))["env"])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.environ["MINE"], os.getuid(), status["CapEff"].strip(), flush=True)
'''
asyncio.run(main(Path(sys.argv[1])))
"""


def as_nobody(*argv: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env=env,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd="/",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_has_sandboxes_too(tmp_path: Path):
    for parent in [tmp_path, *tmp_path.parents][:-2]:
        parent.chmod(parent.stat().st_mode | 0o055) if "pytest" in str(parent) else None
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(ROOT / "src", home / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (home / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "sandbox_kit.py", home / "tests")
    work = home / "work"
    work.mkdir()
    os.chown(work, NOBODY, NOBODY)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env = {
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(work),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join([str(home / "src"), str(home), *packages]),
    }
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if Path(interpreter).exists() and as_nobody_can(interpreter, env):
            break
    else:
        pytest.skip("no interpreter with msgspec and pytest that another user may execute")
    done = as_nobody(interpreter, "-c", STORY, str(work), env=env)
    if done.stdout.startswith("SKIP"):
        pytest.skip(done.stdout)
    assert done.stdout.strip().endswith("DONE"), done.stderr


def as_nobody_can(interpreter: str, env: dict[str, str]) -> bool:
    try:
        return as_nobody(interpreter, "-c", "import msgspec, pytest", env=env).returncode == 0
    except PermissionError:
        return False
