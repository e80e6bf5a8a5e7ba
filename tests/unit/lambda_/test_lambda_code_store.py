"""The code store: shared, counted, removed without harm; and its download addresses."""

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from tests.unit.lambda_.lambda_control_kit import CALLER, CODE, OTHER_CODE, Cloud, run, zipped

from cumulo.base.clock import VirtualClock
from cumulo.services.lambda_.code import CodeStore
from cumulo.state.blobs import Blobs
from cumulo.wire.http import BytesBody, Headers, Request


def store(tmp_path, clock=None, in_use=None) -> CodeStore:
    return CodeStore(Blobs(tmp_path / "blobs"), tmp_path / "code", clock or VirtualClock(), in_use=in_use)


@asynccontextmanager
async def kept(code, data):
    async with code.keep(data) as found:
        yield found


def test_the_same_zip_is_kept_once_however_many_bring_it(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await asyncio.gather(*(cloud.create(f"f{n}") for n in range(20)))
            assert len(cloud.trees()) == 1
            for n in range(19):
                await cloud.call("DeleteFunction", FunctionName=f"f{n}")
            cloud.clock.advance(1000)
            assert await cloud.control._transitions.remove_unused_code() == 0
            await cloud.control.settled()
            assert cloud.control.resolve(CALLER, "f19", None).code.is_dir()
            await cloud.call("DeleteFunction", FunctionName="f19")
            assert len(cloud.trees()) == 1, "a call may still be running in it"
            cloud.clock.advance(1000)
            assert await cloud.control._transitions.remove_unused_code() == 1
            assert cloud.trees() == set()
            assert not list((tmp_path / "blobs").glob("??/*"))

    run(main)


def test_code_that_an_environment_looks_at_is_not_removed(tmp_path):
    used = set()

    async def main():
        async with Cloud(tmp_path, code_in_use=used.__contains__) as cloud:
            await cloud.active()
            used.add(cloud.control.resolve(CALLER, "f", None).code)
            await cloud.call("DeleteFunction", FunctionName="f")
            cloud.clock.advance(40)
            assert await cloud.control._transitions.remove_unused_code() == 0
            assert len(cloud.trees()) == 1
            used.clear()
            cloud.clock.advance(40)
            assert await cloud.control._transitions.remove_unused_code() == 1
            assert cloud.trees() == set()

    run(main)


def test_code_that_is_wanted_again_before_it_was_removed_stays(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            await cloud.call("DeleteFunction", FunctionName="f")
            await cloud.active()
            cloud.clock.advance(1000)
            assert await cloud.control._transitions.remove_unused_code() == 0
            assert cloud.control.resolve(CALLER, "f", None).code.is_dir()

    run(main)


def test_code_of_a_refused_request_goes_again(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE, DryRun=True)
            assert len(cloud.trees()) == 2
            cloud.clock.advance(1000)
            assert await cloud.control._transitions.remove_unused_code() == 1
            assert len(cloud.trees()) == 1

    run(main)


def test_a_removal_does_not_follow_links(tmp_path):
    async def main():
        code = store(tmp_path)
        (tmp_path / "code" / ".incoming-1").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "precious").write_text("kept")
        (tmp_path / "code" / ".incoming-1" / "l").symlink_to(tmp_path / "out")
        code.remove_leftovers()
        assert not list((tmp_path / "code").iterdir())
        assert (tmp_path / "out" / "precious").read_text() == "kept"

    run(main)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_removal_does_not_enter_a_mount(tmp_path):
    async def main():
        clock = VirtualClock()
        code = store(tmp_path, clock)
        async with kept(code, zipped({"inner/file": "x"})) as found:
            pass
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("kept")
        mounted = await asyncio.to_thread(
            subprocess.run,
            ["mount", "--bind", precious, found.tree / "inner"],
            check=False,
            capture_output=True,
        )
        if mounted.returncode:
            pytest.skip(f"this machine may not mount: {mounted.stderr.decode()}")
        try:
            code.unused({found.digest})
            clock.advance(1000)
            await code.remove_unused(())
            assert (precious / "file").read_text() == "kept"
            assert found.tree.is_dir()
        finally:
            await asyncio.to_thread(subprocess.run, ["umount", found.tree / "inner"], check=True)
        await code.sweep(())
        assert not found.tree.exists()
        assert (precious / "file").read_text() == "kept"

    run(main)


def test_many_files_are_unpacked_in_a_thread_while_the_loop_goes_on(tmp_path):
    async def main():
        code = store(tmp_path)
        data = zipped({f"d{n % 50}/f{n}": os.urandom(4096) for n in range(2000)})
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        counting = asyncio.create_task(count())
        async with kept(code, data) as found:
            assert len(list(found.tree.rglob("f*"))) == 2000
        counting.cancel()
        assert turns > 20

    run(main)


def test_the_address_of_code_gives_the_zip_for_ten_minutes_and_to_nobody_who_guesses(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            url = urlsplit((await cloud.call("GetFunction", FunctionName="f"))["Code"]["Location"])

            async def fetch(path=url.path, query=url.query, method="GET"):
                return await cloud.control.download(Request(method, path, query, Headers([]), BytesBody(b"")))

            answer = await fetch()
            assert answer.status == 200
            assert b"".join([chunk async for chunk in answer.body]) == CODE
            assert (await fetch(method="HEAD")).body == b""
            assert (await fetch(method="POST")).status == 405
            other = url.path[:-1] + ("0" if url.path[-1] != "0" else "1")
            for path, query in (
                (url.path, ""),
                (url.path, url.query[:-1]),
                (url.path, url.query.replace("expires=1", "expires=9")),
                (url.path, "expires=²&token=x"),
                (other, url.query),
                ("/_cumulo/lambda/code/../../etc/passwd", url.query),
            ):
                assert (await fetch(path, query)).status == 403, (path, query)
            cloud.clock.advance(601)
            assert (await fetch()).status == 403

    run(main)
