"""The contract: an engine's images."""

from pathlib import Path

import pytest

from cumulo.engines.engine import Busy
from cumulo.engines.images import PullError
from tests.engines.images import PLAIN, Built, build_archive, file, folder, write_archive
from tests.engines.kit import Lab

NAME = "test.local/tiny:1"


def tiny(path: Path, content: str = "tiny", name: str = NAME) -> Built:
    return build_archive(
        path, [[folder("/etc"), file("/etc/tiny", content)]], {"Cmd": ["/none"], "Env": ["A=b"]}, name
    )


async def test_a_loaded_image_says_what_it_is(lab: Lab, tmp_path: Path) -> None:
    built = tiny(tmp_path / "a.tar")
    (image,) = await lab.engine.images.load(tmp_path / "a.tar")
    assert image.id == built.id
    assert image.references == (NAME,)
    assert image.config.command == ("/none",)
    assert image.config.env == {"A": "b"}
    assert len(image.layers) == 1
    assert image.platform.os == "linux"
    assert await lab.engine.images.get(NAME) == image
    assert await lab.engine.images.get(image.id) == image
    assert image.id in {i.id for i in await lab.engine.images.list()}
    await lab.engine.images.remove(image.id)
    assert await lab.engine.images.get(image.id) is None
    await lab.engine.images.remove(image.id)
    await lab.engine.images.remove(NAME)


async def test_all_that_the_dressed_image_says(lab: Lab) -> None:
    config = lab.dressed.config
    assert config.entrypoint == ("echo", "entry")
    assert config.command == ("of", "image")
    assert config.cwd == "/srv/work"
    assert config.user == "app"
    assert config.stop_signal == "SIGINT"
    assert config.labels == {"made-by": "tests"}
    assert config.exposed == ("80/tcp",)
    assert config.volumes == ("/data",)


async def test_a_reference_moves_to_the_image_that_comes_last(lab: Lab, tmp_path: Path) -> None:
    first, second = tiny(tmp_path / "a.tar"), tiny(tmp_path / "b.tar", "other")
    await lab.engine.images.load(tmp_path / "a.tar")
    await lab.engine.images.load(tmp_path / "b.tar")
    found = await lab.engine.images.get(NAME)
    assert found is not None
    assert found.id == second.id
    await lab.engine.images.remove(first.id)
    await lab.engine.images.remove(second.id)


async def test_two_references_of_one_image(lab: Lab, tmp_path: Path) -> None:
    built = tiny(tmp_path / "a.tar")
    write_archive(tmp_path / "b.tar", {"test.local/other:2": built})
    await lab.engine.images.load(tmp_path / "a.tar")
    await lab.engine.images.load(tmp_path / "b.tar")
    found = await lab.engine.images.get(built.id)
    assert found is not None
    assert set(found.references) == {NAME, "test.local/other:2"}
    await lab.engine.images.remove(NAME)
    assert await lab.engine.images.get(NAME) is None
    assert await lab.engine.images.get("test.local/other:2") is not None
    await lab.engine.images.remove(built.id)
    assert await lab.engine.images.get("test.local/other:2") is None


async def test_an_image_in_use_is_busy(lab: Lab) -> None:
    spec = lab.pod(lab.container("true"))
    await lab.engine.create(spec)
    with pytest.raises(Busy):
        await lab.engine.images.remove(lab.plain.id)
    assert await lab.engine.images.get(PLAIN) is not None


async def test_an_archive_that_is_none(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive" * 1000)
    with pytest.raises(PullError) as caught:
        await lab.engine.images.load(tmp_path / "x.tar")
    assert caught.value.kind == "corrupt"


async def test_what_is_known_is_not_pulled_again(lab: Lab) -> None:
    found = await lab.engine.images.pull(PLAIN, only_missing=True)
    assert found.id == lab.plain.id


async def test_a_reference_that_makes_no_sense(lab: Lab) -> None:
    with pytest.raises(PullError):
        await lab.engine.images.pull("UPPER CASE/..")
    assert await lab.engine.images.get("UPPER CASE/..") is None
