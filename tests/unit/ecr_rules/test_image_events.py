"""Events of images: noted with the change, delivered at least once, and never for ever."""

import asyncio

import pytest
from tests.unit.ecr_rules.rules_kit import HOME, REGION, play

from cumulo.base.errors import AwsError
from cumulo.services.ecr.model import DOCKER_MANIFEST
from cumulo.state import outbox


def test_pushes_and_deletions_are_told(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "v1")
        await it.catalog.put_image(repository, it.catalog.manifest(image), tag="v2")
        await it.catalog.delete([image], tags=["v1"])
        await it.catalog.delete([image])
        assert await it.rules.outbox.deliver()
        assert [(e[3]["action-type"], e[3]["image-tag"]) for e in it.bus.events] == [
            ("PUSH", "v1"),
            ("PUSH", "v2"),
            ("DELETE", "v1"),
            ("DELETE", "v2"),
        ]
        assert it.bus.events[0] == (
            HOME,
            REGION,
            "ECR Image Action",
            {
                "result": "SUCCESS",
                "repository-name": "app",
                "image-digest": image.digest,
                "action-type": "PUSH",
                "image-tag": "v1",
                "manifest-media-type": DOCKER_MANIFEST,
                "artifact-media-type": "application/json",
            },
            [],
        )

    play(tmp_path, story)


def test_moves_between_storage_classes_are_told(tmp_path):
    async def story(it):
        image = await it.push(await it.create(), "v1")
        asked = {"repositoryName": "app", "imageId": {"imageDigest": image.digest}}
        for kind in ("ARCHIVE", "STANDARD"):
            await it.call("UpdateImageStorageClass", targetStorageClass=kind, **asked)
        await it.rules.outbox.deliver()
        _, there, back = [event[3] for event in it.bus.events]
        assert (there["action-type"], there["target-storage-class"]) == ("UPDATE_STORAGE_CLASS", "ARCHIVE")
        assert "last-activated-at" not in there
        assert back["target-storage-class"] == "STANDARD"
        assert back["last-activated-at"] == "2023-11-14T22:13:20.000Z"

    play(tmp_path, story)


def test_what_could_not_be_delivered_waits_over_a_restart_and_keeps_its_order(tmp_path):
    async def story(it):
        repository = await it.create()
        for tag in ("a", "b", "c"):
            await it.push(repository, tag, seed=tag.encode())
        it.bus.errors = [AwsError("Down", "not now", status=503)]
        assert not await it.rules.outbox.deliver()
        await it.reopen()
        await it.push(repository, "d", seed=b"d")
        assert await it.rules.outbox.deliver()
        assert [event[3]["image-tag"] for event in it.bus.events] == ["a", "b", "c", "d"]
        await it.reopen()
        assert len(it.rules.outbox) == 0

    play(tmp_path, story)


def test_what_is_refused_is_dropped_and_the_rest_goes_on(tmp_path):
    async def story(it):
        repository = await it.create()
        await it.push(repository, "a", seed=b"a")
        await it.push(repository, "b", seed=b"b")
        it.bus.errors = [AwsError("NotAuthorizedForSourceException", "aws.ecr is ours")]
        assert await it.rules.outbox.deliver()
        assert [event[3]["image-tag"] for event in it.bus.events] == ["b"]

    play(tmp_path, story)


def test_the_outbox_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "WAITING_MAX", 3)

    async def story(it):
        for number in range(5):
            it.rules.outbox.send((HOME, REGION), "ECR Image Action", {"n": str(number)}, lane="r")
        await it.store.commit()
        await it.reopen()
        await it.rules.outbox.deliver()
        assert [event[3]["n"] for event in it.bus.events] == ["2", "3", "4"]

    play(tmp_path, story)


def test_running_replicates_and_delivers_by_itself(tmp_path):
    async def story(it):
        configuration = {"rules": [{"destinations": [{"region": "eu-west-1", "registryId": HOME}]}]}
        await it.call("PutReplicationConfiguration", replicationConfiguration=configuration)
        running = asyncio.ensure_future(it.rules.run())
        try:
            for tag in ("a", "b"):
                await it.push(
                    it.catalog.find(HOME, REGION, "app") or await it.create(), tag, seed=tag.encode()
                )
                await it.bus.wait("ECR Replication Action", "ab".index(tag) + 1)
            assert it.has("app", "b", region="eu-west-1")
            assert len(it.bus.of("ECR Image Action")) == 2
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    play(tmp_path, story)
