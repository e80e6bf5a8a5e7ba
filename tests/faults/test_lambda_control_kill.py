"""kill -9 amid creations and updates: what was acknowledged is there, and everything finishes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.lambda_.lambda_control_kit import CALLER, Cloud

VICTIM = """
import asyncio, sys
from pathlib import Path
from tests.unit.lambda_.lambda_control_kit import Cloud, zipped

async def main():
    async with Cloud(Path(sys.argv[1])) as cloud:
        async def work(who):
            for n in range(10_000):
                name = f"f{who}-{n}"
                await cloud.create(name, Code={"ZipFile": zipped({"app.py": name})}, Publish=True)
                print(name, "app.py", flush=True)
                await cloud.control.settled()
                await cloud.call("UpdateFunctionCode", FunctionName=name, ZipFile=zipped({"new.py": name}))
                print(name, "new.py", flush=True)
        await asyncio.gather(*(work(who) for who in range(4)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 60])
def test_what_was_acknowledged_survives_a_kill(tmp_path, acknowledged):
    root = Path(__file__).parents[2]
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root}/src:{root}"},
    )
    with victim:
        told = [victim.stdout.readline().split() for _ in range(acknowledged)]
        victim.send_signal(signal.SIGKILL)
        told += [line.split() for line in victim.stdout if line.endswith("\n")]
    assert all(len(words) == 2 for words in told)

    async def after():
        async with Cloud(tmp_path / "data") as cloud:
            await cloud.control.settled()
            newest = dict(told)
            for name, file in newest.items():
                shown = await cloud.config(name)
                assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
                ready = cloud.control.resolve(CALLER, name, None)
                here = {path.name for path in ready.code.iterdir()}
                assert here == {file} or (file, here) == ("app.py", {"new.py"}), (
                    "newer than acknowledged is fine"
                )
                one = cloud.control.resolve(CALLER, name, "1")
                assert (one.code / "app.py").read_text() == name
            assert cloud.trees() == cloud.control._registry.digests()

    asyncio.run(after())
