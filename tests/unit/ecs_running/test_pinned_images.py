"""Tasks of one deployment run one image, also when its tag has moved meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.ecs_running.running_kit import IMAGE, House, a_house, container, definition

from cumulo.base.caller import Caller
from cumulo.base.ports.images import ResolvedImage
from cumulo.engines.fake import FakeEngine
from cumulo.engines.images import Source
from cumulo.services.ecs.model import Task
from cumulo.services.ecs.running.pinning import with_digest

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")


class Moving:
    """A registry whose tag means `now`; every digest stays there."""

    def __init__(self) -> None:
        self.now = OLD

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[Source]:
        digest = uri.partition("@")[2] or self.now
        return ResolvedImage(uri=uri, reference=IMAGE, digest=digest)


class Kept:
    """Pins, in a dictionary."""

    def __init__(self) -> None:
        self.digests: dict[tuple[str, str], str] = {}

    def pinned(self, task: Task, container: str) -> str:
        return self.digests.get((task.deployment, container), "")

    def pin(self, task: Task, container: str, digest: str) -> str:
        return self.digests.setdefault((task.deployment, container), digest)


async def runs(house: House, told: dict[str, Any], number: int, deployment: str) -> str:
    """The digest that a task of a deployment ran."""
    task = await house.begin(definition(told), number=number, deployment=deployment)
    await house.stopped(task)
    return house.container(task).image_digest


def test_later_tasks_of_a_deployment_run_what_its_first_found(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Moving()
        async with a_house(tmp_path, registry=registry) as house:
            house.runner.pin(Kept())
            told = container("main", "true")
            assert await runs(house, told, 1, "ecs-svc/1") == OLD
            registry.now = NEW
            assert await runs(house, told, 2, "ecs-svc/1") == OLD
            assert await runs(house, told, 3, "ecs-svc/2") == NEW

    asyncio.run(story())


def test_a_container_without_version_consistency_runs_what_its_tag_means(tmp_path: Path) -> None:
    async def story() -> None:
        registry, kept = Moving(), Kept()
        async with a_house(tmp_path, registry=registry) as house:
            house.runner.pin(kept)
            told = container("main", "true", versionConsistency="disabled")
            assert await runs(house, told, 1, "ecs-svc/1") == OLD
            registry.now = NEW
            assert await runs(house, told, 2, "ecs-svc/1") == NEW
            assert not kept.digests

    asyncio.run(story())


def test_when_the_tag_moves_between_two_first_tasks_both_run_the_same(tmp_path: Path) -> None:
    class Late(Kept):
        def pinned(self, task: Task, container: str) -> str:
            found = super().pinned(task, container)
            self.digests.setdefault((task.deployment, container), NEW)  # as if another task came first
            return found

    async def story() -> None:
        async with a_house(tmp_path, registry=Moving()) as house:
            house.runner.pin(Late())
            assert await runs(house, container("main", "true"), 1, "ecs-svc/1") == NEW

    asyncio.run(story())


def test_images_of_private_registries_are_pinned_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with a_house(tmp_path) as house:
            house.runner.pin(Kept())
            house.vault.values["arn:secret"] = '{"username": "anna", "password": "pw"}'
            engine = house.engine
            assert isinstance(engine, FakeEngine)
            told = container(
                "main",
                "true",
                image="private.test/app:1",
                repositoryCredentials={"credentialsParameter": "arn:secret"},
            )
            first = engine.add_image("private.test/app:1")
            assert await runs(house, told, 1, "ecs-svc/1") == first.digest
            engine.add_image(f"private.test/app:1@{first.digest}")
            pinned = await engine.images.get(f"private.test/app:1@{first.digest}")
            assert pinned is not None
            assert await runs(house, told, 2, "ecs-svc/1") == pinned.digest

    asyncio.run(story())


@pytest.mark.parametrize(
    ("uri", "digest", "pinned"),
    [
        ("web", OLD, f"web@{OLD}"),
        ("web:1", OLD, f"web:1@{OLD}"),
        (f"web@{NEW}", OLD, f"web@{NEW}"),
        ("web:1", "", "web:1"),
    ],
)
def test_a_digest_of_its_own_is_not_replaced(uri: str, digest: str, pinned: str) -> None:
    assert with_digest(uri, digest) == pinned
