"""Lifecycle policies: kept, shown, previewed, and carried out."""

import asyncio
import contextlib
import json

import pytest
from ecr_kit import ACCOUNT, REGION, put_list, refused

from cumulo.services.ecr.lifecycle_plan import DAY_SECONDS

APP = {"repositoryName": "app"}


def rule(priority=1, *, kind="imageCountMoreThan", count=1, action=None, **selection):
    chosen = {"tagStatus": "any", "countType": kind, "countNumber": count} | selection
    if kind != "imageCountMoreThan":
        chosen["countUnit"] = "days"
    return {
        "rulePriority": priority,
        "description": f"rule {priority}",
        "selection": chosen,
        "action": action or {"type": "expire"},
    }


def policy(*rules):
    return json.dumps({"rules": list(rules)}, indent=2)


@pytest.fixture
def app(ecr):
    ecr.create_repository(**APP)


def evaluate(it):
    run = it.ecr._lifecycle_run
    it.run(run.evaluate_due())


def tags(ecr):
    return sorted(one.get("imageTag", "") for one in ecr.list_images(**APP)["imageIds"])


def test_a_policy_is_kept_and_shown_without_white_space(app, ecr):
    sentence = "Lifecycle policy does not exist for the repository with name 'app' in the registry with id '123456789012'"
    refused(ecr.get_lifecycle_policy, "LifecyclePolicyNotFoundException", sentence, **APP)
    text = policy(rule())
    shown = json.dumps(json.loads(text), separators=(",", ":"))
    assert ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=text)["lifecyclePolicyText"] == shown
    got = ecr.get_lifecycle_policy(**APP)
    assert got["lifecyclePolicyText"] == shown
    assert got["lastEvaluatedAt"].timestamp() == 0
    assert ecr.delete_lifecycle_policy(**APP)["lifecyclePolicyText"] == shown
    refused(ecr.delete_lifecycle_policy, "LifecyclePolicyNotFoundException", **APP)
    refused(
        ecr.put_lifecycle_policy,
        "InvalidParameterException",
        "'Lifecycle policy validation failure: numeric instance is lower than the required minimum (minimum: 1, found: 0)'",
        **APP,
        lifecyclePolicyText=policy(rule(count=0)),
    )


def test_images_expire_soon_after_the_policy_and_after_pushes(app, it, ecr):
    for number in range(4):
        it.push(tag=f"v{number}", seed=str(number))
        it.clock.advance(1)
    ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=policy(rule(count=2)))
    evaluate(it)
    assert tags(ecr) == ["v2", "v3"]
    assert ecr.get_lifecycle_policy(**APP)["lastEvaluatedAt"].timestamp() == it.clock.now()
    it.push(tag="v4", seed="4")
    evaluate(it)
    assert tags(ecr) == ["v3", "v4"]
    assert [change.kind for change in it.registry.changes].count("deleted") == 3


def test_an_image_that_got_a_tag_meanwhile_is_left_for_the_next_time(app, it, ecr):
    digest = it.push()
    it.clock.advance(10 * DAY_SECONDS)
    text = policy(rule(kind="sinceImagePushed", count=5, tagStatus="untagged"))
    ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=text)
    raw = ecr.batch_get_image(**APP, imageIds=[{"imageDigest": digest}])["images"][0]["imageManifest"]
    run, catalog = it.ecr._lifecycle_run, it.registry.catalog

    async def story():
        repository = catalog.repository(ACCOUNT, REGION, "app")
        planned = asyncio.ensure_future(run.evaluate(repository))
        await asyncio.sleep(0)  # the plan is being made in its thread
        await catalog.put_image(repository, raw.encode(), tag="keep")
        return await planned

    assert it.run(story()) == 0
    assert tags(ecr) == ["keep"]


def test_images_of_a_list_are_protected_and_old_lists_go_whole(app, it, ecr):
    put_list(it, it.push(seed="1"), it.push(seed="2"), tag="all")
    it.clock.advance(6 * DAY_SECONDS)
    untagged = rule(kind="sinceImagePushed", count=5, tagStatus="untagged")
    ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=policy(untagged))
    evaluate(it)
    assert len(ecr.list_images(**APP)["imageIds"]) == 3
    old = rule(2, kind="sinceImagePushed", count=5)
    ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=policy(untagged, old))
    evaluate(it)
    assert ecr.list_images(**APP)["imageIds"] == []


def test_images_move_to_the_archive(app, it, ecr):
    it.push(tag="v1")
    it.clock.advance(100 * DAY_SECONDS)
    move = rule(
        kind="sinceImagePulled", count=90, action={"type": "transition", "targetStorageClass": "archive"}
    )
    clean = rule(2, kind="sinceImageTransitioned", count=90, storageClass="archive")
    ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=policy(move, clean))
    evaluate(it)
    (found,) = ecr.describe_images(**APP, filter={"imageStatus": "ANY"})["imageDetails"]
    assert found["imageStatus"] == "ARCHIVED"
    it.clock.advance(91 * DAY_SECONDS)
    it.run(it.ecr._lifecycle_run.evaluate(it.registry.catalog.repository(ACCOUNT, REGION, "app")))
    assert ecr.describe_images(**APP, filter={"imageStatus": "ANY"})["imageDetails"] == []


def test_a_preview_says_what_would_happen_and_changes_nothing(app, it, ecr):
    refused(ecr.get_lifecycle_policy_preview, "LifecyclePolicyPreviewNotFoundException", **APP)
    refused(ecr.start_lifecycle_policy_preview, "LifecyclePolicyNotFoundException", **APP)
    for number in range(5):
        it.push(tag=f"v{number}" if number % 2 else "", seed=str(number))
        it.clock.advance(1)
    text = policy(rule(1, tagStatus="untagged"), rule(2))
    started = ecr.start_lifecycle_policy_preview(**APP, lifecyclePolicyText=text)
    assert started["status"] == "IN_PROGRESS"
    refused(
        ecr.start_lifecycle_policy_preview,
        "LifecyclePolicyPreviewInProgressException",
        **APP,
        lifecyclePolicyText=text,
    )
    assert ecr.get_lifecycle_policy_preview(**APP)["status"] == "IN_PROGRESS"
    it.run(it.ecr._lifecycle_run.make_previews())
    answer = ecr.get_lifecycle_policy_preview(**APP)
    assert answer["status"] == "COMPLETE"
    assert answer["summary"]["expiringImageTotalCount"] == 4
    assert {row["appliedRulePriority"] for row in answer["previewResults"]} == {1, 2}
    assert {row["action"]["type"] for row in answer["previewResults"]} == {"EXPIRE"}
    tagged = ecr.get_lifecycle_policy_preview(**APP, filter={"tagStatus": "TAGGED"})["previewResults"]
    assert sorted(row["imageTags"] for row in tagged) == [["v1"], ["v3"]]
    chosen = ecr.get_lifecycle_policy_preview(**APP, imageIds=[{"imageTag": "v1"}])["previewResults"]
    assert [row["imageTags"] for row in chosen] == [["v1"]]
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        **APP, PaginationConfig={"PageSize": 3}
    )
    rows = [row["imageDigest"] for page in pages for row in page["previewResults"]]
    assert rows == [row["imageDigest"] for row in answer["previewResults"]]
    assert len(ecr.list_images(**APP)["imageIds"]) == 5


def test_the_loop_does_it_by_itself(app, it, ecr):
    for number in range(3):
        it.push(tag=f"v{number}", seed=str(number))
        it.clock.advance(1)
    ecr.put_lifecycle_policy(**APP, lifecyclePolicyText=policy(rule()))
    ecr.start_lifecycle_policy_preview(**APP)
    catalog, previews = it.registry.catalog, it.ecr._lifecycle_run.previews

    async def story():
        repository = catalog.repository(ACCOUNT, REGION, "app")
        loop = asyncio.ensure_future(it.ecr.run())
        await eventually(lambda: not previews.waiting() and catalog.tags(repository) == ["v2"])
        await it.registry.push(repository, "v3", seed="again")
        await eventually(lambda: catalog.tags(repository) == ["v3"])
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop

    it.run(story())


async def eventually(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is asked from outside
            await asyncio.sleep(0.01)
