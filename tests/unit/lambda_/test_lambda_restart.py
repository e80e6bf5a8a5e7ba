"""What a kill leaves, the next start takes up."""

import asyncio
import shutil

from tests.unit.lambda_.lambda_control_kit import CALLER, CODE, OTHER_CODE, Cloud, FakeRuntimes, refused, run

from cumulo.services.lambda_.zips import unpack


async def kill(cloud: Cloud) -> None:
    """End a cloud as a kill would: nothing is finished, nothing is told."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    cloud.runtimes.gate.set()
    await asyncio.sleep(0)
    cloud.store._queue.put(None)
    await asyncio.to_thread(cloud.store._writer.join)


def test_a_creation_that_was_cut_short_is_finished(tmp_path):
    async def first():
        cloud = Cloud(tmp_path)
        await cloud.control.start()
        cloud.runtimes.gate.clear()
        assert (await cloud.create(Publish=True))["State"] == "Pending"
        await kill(cloud)

    async def second():
        async with Cloud(tmp_path) as cloud:
            await cloud.control.settled()
            for qualifier in ("$LATEST", "1"):
                assert (await cloud.config(Qualifier=qualifier))["State"] == "Active"
                assert cloud.control.resolve(CALLER, "f", qualifier).code.is_dir()

    run(first)
    run(second)


def test_an_update_that_was_cut_short_is_finished_and_the_old_one_serves_meanwhile(tmp_path):
    async def first():
        cloud = Cloud(tmp_path)
        await cloud.control.start()
        await cloud.active()
        cloud.runtimes.gate.clear()
        await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE)
        old = cloud.control.resolve(CALLER, "f", None)
        await kill(cloud)
        return old

    async def second(old):
        runtimes = FakeRuntimes()
        runtimes.gate.clear()
        async with Cloud(tmp_path, runtimes=runtimes, seed=2) as cloud:
            assert (await cloud.config())["LastUpdateStatus"] == "InProgress"
            assert cloud.control.resolve(CALLER, "f", None).generation == old.generation
            assert old.code.is_dir()
            runtimes.gate.set()
            await cloud.control.settled()
            assert (await cloud.config())["LastUpdateStatus"] == "Successful"
            assert cloud.control.resolve(CALLER, "f", None).generation != old.generation

    old = run(first)
    run(second, old)


def test_an_active_function_is_prepared_again_at_its_first_call_even_when_its_tree_is_gone(tmp_path):
    async def first():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()

    async def second():
        async with Cloud(tmp_path, seed=2) as cloud:
            ready = cloud.control.resolve(CALLER, "f", None)
            assert cloud.control.host_of(ready.version) is None
            ready.code.chmod(0o755)
            shutil.rmtree(ready.code)
            hosts = await asyncio.gather(*(cloud.control.ready(ready.version) for _ in range(20)))
            assert len(cloud.runtimes.prepared) == 1
            assert cloud.control.host_of(ready.version) is hosts[0]
            assert (ready.code / "app.py").exists()

    async def third():
        runtimes = FakeRuntimes()
        runtimes.missing.add("python3.12")
        async with Cloud(tmp_path, runtimes=runtimes, seed=3) as cloud:
            ready = cloud.control.resolve(CALLER, "f", None)
            error = await refused(cloud.control.ready(ready.version))
            assert (error.code, error.status) == ("InvalidRuntimeException", 502)
            runtimes.missing.clear()
            assert (await cloud.control.ready(ready.version)).runtime == "python3.12"

    run(first)
    run(second)
    run(third)


def test_leftovers_of_a_crash_are_cleared_away_and_what_is_in_use_is_not(tmp_path):
    async def first():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            return cloud.control.resolve(CALLER, "f", None).code

    async def second(code):
        root = tmp_path / "code"
        for name in (".incoming-1", ".trash-2", "0" * 64):
            (root / name).mkdir()
            unpack(CODE, root / name)
        (root / ".incoming-1" / "out").symlink_to(tmp_path / "precious")
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("kept")
        async with Cloud(tmp_path) as cloud:
            assert cloud.trees() == {code.name}
        assert (tmp_path / "precious" / "file").read_text() == "kept"

    run(second, run(first))


def test_a_bug_of_one_transition_does_not_end_the_others_and_everything_can_be_reset(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await asyncio.gather(*(cloud.create(f"f{n}", Publish=True) for n in range(30)))
            await cloud.control.settled()
            assert len(cloud.runtimes.prepared) == 60
            await cloud.control.reset()
            assert sorted(cloud.fleet.forgotten) == sorted(f"f{n}" for n in range(30))
            assert (await cloud.call("ListFunctions"))["Functions"] == []
            assert cloud.trees() == set()
            assert (await cloud.active())["State"] == "Active"

    run(main)


def test_a_reset_in_the_middle_of_a_creation_leaves_nothing(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.runtimes.gate.clear()
            await cloud.create()
            await cloud.control.reset()
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            assert (await refused(cloud.config())).code == "ResourceNotFoundException"

    run(main)
