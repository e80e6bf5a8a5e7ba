"""Any order of creations, updates, publications, deletions and restarts keeps the control plane's promises."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.lambda_.lambda_control_kit import CALLER, Cloud, FakeRuntimes, zipped

from cumulo.base.errors import AwsError
from cumulo.services.lambda_.model import State, UpdateStatus

NAMES = ("f", "g")
CODES = [zipped({"app.py": str(n)}) for n in range(3)]
ALLOWED = {"ResourceConflictException", "ResourceNotFoundException"}

names = st.sampled_from(NAMES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("CreateFunction"), names, st.integers(0, 2), st.booleans()),
        st.tuples(st.just("UpdateFunctionCode"), names, st.integers(0, 2), st.booleans()),
        st.tuples(st.just("UpdateFunctionConfiguration"), names, st.sampled_from(["python3.12", "ruby3.4"])),
        st.tuples(st.just("PublishVersion"), names),
        st.tuples(st.just("DeleteFunction"), names),
        st.tuples(st.just("DeleteVersion"), names, st.integers(1, 4)),
        st.tuples(st.just("settle")),
        st.tuples(st.just("hold")),
        st.tuples(st.just("collect")),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


def runtimes() -> FakeRuntimes:
    found = FakeRuntimes()
    found.missing.add("ruby3.4")
    return found


async def take(cloud: Cloud, step) -> None:
    kind, *more = step
    values = {"FunctionName": more[0]} if more else {}
    if kind == "CreateFunction":
        await cloud.create(more[0], Code={"ZipFile": CODES[more[1]]}, Publish=more[2])
    elif kind == "UpdateFunctionCode":
        await cloud.call(kind, **values, ZipFile=CODES[more[1]], Publish=more[2])
    elif kind == "UpdateFunctionConfiguration":
        await cloud.call(kind, **values, Runtime=more[1])
    elif kind == "DeleteVersion":
        await cloud.call("DeleteFunction", **values, Qualifier=str(more[1]))
    elif kind == "settle":
        cloud.runtimes.gate.set()
        await cloud.control.settled()
    elif kind == "hold":
        cloud.runtimes.gate.clear()
    elif kind == "collect":
        cloud.clock.advance(2000)
        await cloud.control._transitions.remove_unused_code()
    else:
        await cloud.call(kind, **values)


async def shown(cloud: Cloud) -> list:
    listed = await cloud.call("ListFunctions", FunctionVersion="ALL")
    return [
        await cloud.config(version["FunctionName"], Qualifier=version["Version"])
        for version in listed["Functions"]
    ]


def check(cloud: Cloud) -> None:
    """What must be true at every moment."""
    registry = cloud.control._registry
    trees = {path.name for path in (cloud.folder / "code").iterdir() if not path.name.startswith(".")}
    assert registry.digests() <= trees
    for digest in registry.digests():
        assert cloud.control._code.blob(digest).is_file()
    generations = [v.generation for f in registry.everything() for v in (f.latest, *registry.published(f))]
    assert len(generations) == len(set(generations))
    for function in registry.everything():
        if function.latest.state is State.ACTIVE:
            assert function.serving is not None
            assert function.serving.state is State.ACTIVE
            assert cloud.control.resolve(CALLER, function.latest.name, None).code.is_dir()
        if function.latest.last_update is UpdateStatus.SUCCESSFUL:
            assert function.serving.generation == function.latest.generation
        assert all(int(v.version) < function.next_version for v in registry.published(function))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_promises_hold_in_any_order(script):
    async def main():
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "data"
            cloud = await Cloud(folder, runtimes=runtimes()).__aenter__()
            for number, step in enumerate(script):
                if step == ("restart",):
                    cloud.runtimes.gate.clear()
                    await cloud.__aexit__()
                    before = await shown(cloud)  # after the end: a preparation may have been about to finish
                    held = runtimes()
                    held.gate.clear()
                    cloud = await Cloud(
                        folder, clock=cloud.clock, runtimes=held, seed=number + 2
                    ).__aenter__()
                    assert await shown(cloud) == before
                else:
                    try:
                        await take(cloud, step)
                    except AwsError as error:
                        assert error.code in ALLOWED, error
                check(cloud)
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            for version in await shown(cloud):
                assert version["State"] in {"Active", "Failed"}
                assert version["LastUpdateStatus"] != "InProgress"
            cloud.clock.advance(2000)
            await cloud.control._transitions.remove_unused_code()
            check(cloud)
            assert {path.name for path in (folder / "code").iterdir()} == cloud.control._registry.digests()
            await cloud.__aexit__()

    asyncio.run(main())
