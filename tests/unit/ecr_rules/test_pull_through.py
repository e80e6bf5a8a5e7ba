"""Pull through: which rules are taken, and a cache that fetches once, stays fresh, and serves when upstream is gone."""

import asyncio
import json

import pytest
from tests.unit.ecr_rules.rules_kit import (
    FAR,
    HOME,
    OTHER,
    REGION,
    index_of,
    manifest_of,
    play,
    refused,
    sha,
)

from cumulo.base.errors import AwsError
from cumulo.engines.images import PullError
from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST

SECRET = f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:ecr-pullthroughcache/hub-AbCdEf"
DAY = 24 * 3600


async def rule(it, prefix="hub", url="localhost:5000", **more):
    return await it.call(
        "CreatePullThroughCacheRule", ecrRepositoryPrefix=prefix, upstreamRegistryUrl=url, **more
    )


def pull(it, name="hub/library/alpine", reference="3"):
    return it.rules.missing(HOME, REGION, name, reference)


def test_a_rule_is_shown_changed_and_removed(tmp_path):
    async def story(it):
        it.secrets.kept[SECRET] = json.dumps({"username": "u", "accessToken": "t"})
        made = await rule(it, "hub/", "registry-1.docker.io", credentialArn=SECRET)
        assert made == {
            "ecrRepositoryPrefix": "hub",
            "upstreamRegistryUrl": "registry-1.docker.io",
            "createdAt": it.clock.now(),
            "registryId": HOME,
            "upstreamRegistry": "docker-hub",
            "credentialArn": SECRET,
        }
        await rule(it, "quay", "quay.io", upstreamRegistry="quay")
        await it.reopen()
        found = (await it.call("DescribePullThroughCacheRules", maxResults=1))["pullThroughCacheRules"]
        assert [r["ecrRepositoryPrefix"] for r in found] == ["hub"]
        other = SECRET.replace("AbCdEf", "GhIjKl")
        it.secrets.kept[other] = it.secrets.kept[SECRET]
        it.clock.advance(5)
        await it.call("UpdatePullThroughCacheRule", ecrRepositoryPrefix="hub", credentialArn=other)
        found = await it.call("DescribePullThroughCacheRules", ecrRepositoryPrefixes=["hub"])
        assert found["pullThroughCacheRules"][0]["credentialArn"] == other
        await it.call("DeletePullThroughCacheRule", ecrRepositoryPrefix="hub")
        await refused(
            "PullThroughCacheRuleNotFoundException",
            it.call("DescribePullThroughCacheRules", ecrRepositoryPrefixes=["hub"]),
        )

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("UnsupportedUpstreamRegistryException", {"upstreamRegistryUrl": "harbor.example.com"}),
        ("UnsupportedUpstreamRegistryException", {"upstreamRegistryUrl": "registry-1.docker.io"}),
        ("UnsupportedUpstreamRegistryException", {"upstreamRegistryUrl": "abcde.azurecr.io"}),
        ("InvalidParameterException", {"upstreamRegistryUrl": "quay.io", "upstreamRegistry": "k8s"}),
        ("InvalidParameterException", {"upstreamRegistryUrl": f"{HOME}.dkr.ecr.{REGION}.amazonaws.com"}),
        ("InvalidParameterException", {"upstreamRegistryUrl": f"{OTHER}.dkr.ecr.{REGION}.amazonaws.com"}),
        ("SecretNotFoundException", {"upstreamRegistryUrl": "ghcr.io", "credentialArn": SECRET}),
        (
            "InvalidParameterException",
            {"upstreamRegistryUrl": "quay.io", "customRoleArn": "arn:aws:iam::1:role/x"},
        ),
        (
            "InvalidParameterException",
            {
                "upstreamRegistryUrl": "quay.io",
                "credentialArn": SECRET.replace("ecr-pullthroughcache", "other"),
            },
        ),
        (
            "InvalidParameterException",
            {
                "ecrRepositoryPrefix": "ROOT",
                "upstreamRegistryUrl": "quay.io",
                "upstreamRepositoryPrefix": "org",
            },
        ),
        ("InvalidParameterException", {"upstreamRegistryUrl": "quay.io", "registryId": OTHER}),
    ],
)
def test_a_rule_that_aws_would_not_take_is_refused(tmp_path, code, values):
    async def story(it):
        await refused(
            code, it.call("CreatePullThroughCacheRule", **({"ecrRepositoryPrefix": "hub"} | values))
        )
        assert (await it.call("DescribePullThroughCacheRules"))["pullThroughCacheRules"] == []

    play(tmp_path, story)


def test_a_secret_that_cannot_be_read_is_told_apart(tmp_path):
    async def story(it):
        for found, code in [
            (AwsError("DecryptionFailure", "no key"), "UnableToDecryptSecretValueException"),
            (AwsError("AccessDenied", "no"), "UnableToAccessSecretException"),
            ("not json", "UnableToAccessSecretException"),
        ]:
            it.secrets.kept[SECRET] = found
            await refused(code, rule(it, url="ghcr.io", credentialArn=SECRET))
        await rule(it, url="quay.io")
        await refused("PullThroughCacheRuleAlreadyExistsException", rule(it, url="quay.io"))

    play(tmp_path, story)


def test_the_first_pull_fetches_and_the_next_finds_it_here(tmp_path):
    async def story(it):
        await it.call(
            "CreateRepositoryCreationTemplate",
            prefix="hub",
            appliedFor=["PULL_THROUGH_CACHE"],
            resourceTags=[{"Key": "from", "Value": "hub"}],
        )
        await rule(it)
        data = it.upstream.add("library/alpine", "3", layers=(b"one", b"two two"))
        assert (await pull(it)).name == "hub/library/alpine"
        image = it.has("hub/library/alpine", "3")
        assert it.catalog.manifest(image) == data
        assert it.layers.path(sha(b"two two")).read_bytes() == b"two two"
        assert it.catalog.find(HOME, REGION, "hub/library/alpine").tags == {"from": "hub"}
        asked = len(it.upstream.asked)
        assert await pull(it)
        assert await pull(it, reference=image.digest)
        assert len(it.upstream.asked) == asked
        assert not list((tmp_path / "arriving").iterdir())
        await it.rules.outbox.deliver()
        (event,) = it.bus.events
        assert event[2] == "ECR Pull Through Cache Action"
        assert event[3]["sync-status"] == "SUCCESS"
        assert event[3]["image-digest"] == image.digest

    play(tmp_path, story)


def test_what_no_rule_covers_or_upstream_lacks_is_not_here(tmp_path):
    async def story(it):
        assert not await pull(it)
        await rule(it)
        assert not await pull(it)
        assert not await pull(it, "other/alpine")
        assert it.catalog.find(HOME, REGION, "hub/library/alpine") is None
        it.upstream.fault = PullError("unauthorized", "who are you?")
        error = await refused("UnableToGetUpstreamImageException", pull(it), "who are you?")
        assert error.fields["failureCode"] == "UpstreamAccessDenied"

    play(tmp_path, story)


def test_many_who_pull_at_once_wait_for_one_fetch_and_one_who_leaves_does_not_end_it(tmp_path):
    async def story(it):
        await rule(it)
        it.upstream.add("library/alpine", "3")
        it.upstream.gate = asyncio.Event()
        pulls = [asyncio.create_task(pull(it)) for _ in range(20)]
        await asyncio.sleep(0)
        pulls.pop().cancel()
        it.upstream.gate.set()
        assert all(await asyncio.gather(*pulls))
        kinds = [kind for kind, *_ in it.upstream.asked]
        assert (kinds.count("manifest"), kinds.count("blob")) == (1, 2)

    play(tmp_path, story)


def test_a_tag_is_compared_once_a_day_and_an_unreachable_upstream_leaves_the_copy(tmp_path):
    async def story(it):
        await rule(it)
        it.upstream.add("library/alpine", "3")
        await pull(it)
        old = it.has("hub/library/alpine", "3")
        it.upstream.add("library/alpine", "3", layers=(b"newer",))
        it.clock.advance(DAY - 1)
        await pull(it)
        assert it.has("hub/library/alpine", "3") == old
        it.clock.advance(1)
        it.upstream.fault = PullError("unreachable", "no route")
        assert await pull(it)
        assert it.has("hub/library/alpine", "3") == old
        asked = len(it.upstream.asked)
        assert await pull(it)
        assert len(it.upstream.asked) == asked, "not asked again at once"
        await it.reopen()
        it.upstream.fault = None
        it.clock.advance(61)
        assert await pull(it)
        moved = it.has("hub/library/alpine", "3")
        assert moved.digest != old.digest
        assert it.has("hub/library/alpine", digest=old.digest), "the old one stays, without a tag"
        it.clock.advance(DAY)
        blobs = [found for found in it.upstream.asked if found[0] == "blob"]
        await pull(it)
        assert [found for found in it.upstream.asked if found[0] == "blob"] == blobs, "nothing new to fetch"

    play(tmp_path, story)


def test_an_index_comes_with_its_images(tmp_path):
    async def story(it):
        await rule(it, "ROOT")
        one = it.upstream.add("app", "", layers=(b"amd64",))
        two = it.upstream.add("app", "", layers=(b"arm64",))
        it.upstream.add_manifest("app", "1", index_of(one, two), DOCKER_LIST)
        assert await pull(it, "app", "1")
        assert it.has("app", digest=sha(two))
        assert it.has("app", "1").media_type == DOCKER_LIST

    play(tmp_path, story)


def test_a_layer_that_is_not_what_it_should_be_is_not_kept(tmp_path):
    async def story(it):
        await rule(it)
        for wrong in (b"evil!", b"longer than it should be", b""):
            data = manifest_of(b"{}", (b"layer",))
            it.upstream.add_manifest("library/alpine", "3", data, DOCKER_MANIFEST)
            it.upstream.blobs = {sha(b"{}"): b"{}", sha(b"layer"): wrong}
            await refused("UnableToGetUpstreamImageException", pull(it))
            assert it.has("hub/library/alpine", "3") is None
            assert not list((tmp_path / "arriving").iterdir())
        it.upstream.blobs[sha(b"layer")] = b"layer"
        assert await pull(it)

    play(tmp_path, story)


def test_prefixes_are_translated_and_the_longest_counts(tmp_path):
    async def story(it):
        await rule(it, "ROOT", "127.0.0.1:1")
        await rule(it, "aa", "127.0.0.1:2", upstreamRepositoryPrefix="org/team")
        await rule(it, "aa/b", "127.0.0.1:3")
        for name, host, repository in [
            ("x/y", "127.0.0.1:1", "x/y"),
            ("aa/x", "127.0.0.1:2", "org/team/x"),
            ("aab/x", "127.0.0.1:1", "aab/x"),
            ("aa/b/c/d", "127.0.0.1:3", "c/d"),
        ]:
            assert not await pull(it, name)
            assert it.upstream.hosts[-1] == host
            assert it.upstream.asked[-1][1] == repository

    play(tmp_path, story)


def test_the_secret_is_what_the_upstream_gets(tmp_path):
    async def story(it):
        it.secrets.kept[SECRET] = json.dumps({"username": "u", "accessToken": "t"})
        await rule(it, url="ghcr.io", credentialArn=SECRET)
        assert (await it.call("ValidatePullThroughCacheRule", ecrRepositoryPrefix="hub"))["isValid"]
        login = it.upstream.logins[-1]
        assert (it.upstream.hosts[-1], login.user, login.password) == ("ghcr.io", "u", "t")
        it.upstream.fault = PullError("unauthorized", "wrong password")
        answer = await it.call("ValidatePullThroughCacheRule", ecrRepositoryPrefix="hub")
        assert (answer["isValid"], answer["failure"]) == (False, "wrong password")

    play(tmp_path, story)


def test_another_registry_of_this_cloud_is_an_upstream_when_it_allows_it(tmp_path):
    async def story(it):
        image = await it.push(await it.create("base/app", region=FAR), "v1")
        await rule(it, "far", f"{HOME}.dkr.ecr.{FAR}.amazonaws.com", upstreamRepositoryPrefix="base")
        assert await pull(it, "far/app", "v1")
        assert it.has("far/app", "v1").digest == image.digest
        theirs = await it.create("app", account=OTHER)
        await it.push(theirs, "v1")
        role = f"arn:aws:iam::{HOME}:role/cache"
        await rule(it, "theirs", f"{OTHER}.dkr.ecr.{REGION}.amazonaws.com", customRoleArn=role)
        await refused("UnableToGetUpstreamImageException", pull(it, "theirs/app", "v1"), "does not allow")
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": role},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
        await it.catalog.update(theirs, policy=json.dumps({"Statement": [statement]}))
        assert await pull(it, "theirs/app", "v1")
        assert it.upstream.logins == []

    play(tmp_path, story)


def test_in_shared_mode_what_listens_on_this_machine_is_no_upstream(tmp_path):
    async def story(it):
        await rule(it)
        it.upstream.add("app", "1")
        it.local_upstreams = False
        await it.reopen()
        assert not await pull(it, "hub/app", "1")
        assert not (await it.call("ValidatePullThroughCacheRule", ecrRepositoryPrefix="hub"))["isValid"]
        for url in ("localhost:5000", "http://127.0.0.1:80", "[::1]:5000", "localhost"):
            await refused("UnsupportedUpstreamRegistryException", rule(it, "other", url))
            await refused(
                "UnsupportedUpstreamRegistryException", rule(it, "other", url, upstreamRegistry="quay")
            )
        assert it.upstream.asked == []

    play(tmp_path, story)


@pytest.mark.parametrize("reference", ["sha512:" + "a" * 128, "no tag", "", "../x", "sha256:short"])
def test_what_is_no_reference_is_not_asked_for(tmp_path, reference):
    async def story(it):
        await rule(it)
        assert not await pull(it, "hub/app", reference)
        assert it.upstream.asked == []

    play(tmp_path, story)


def test_a_tag_that_somebody_pushed_is_never_asked_for(tmp_path):
    async def story(it):
        await rule(it)
        await it.push(await it.create("hub/mine"), "v1")
        it.clock.advance(3 * DAY)
        assert await pull(it, "hub/mine", "v1")
        assert it.upstream.asked == []
        it.upstream.add("other", "v1")
        assert await pull(it, "hub/other", "v1")
        mine = await it.push(it.catalog.find(HOME, REGION, "hub/other"), "v1")
        await it.catalog.delete([await it.push(it.catalog.find(HOME, REGION, "hub/mine"), seed=b"x")])
        it.clock.advance(3 * DAY)
        assert await pull(it, "hub/other", "v1")
        assert it.has("hub/other", "v1").digest == mine.digest

    play(tmp_path, story)


def test_batch_get_image_pulls_through_and_tells_what_could_not_be_had(tmp_path):
    async def story(it):
        await rule(it)
        data = it.upstream.add("app", "1")
        asked = {"repositoryName": "hub/app", "imageIds": [{"imageTag": "1"}, {"imageTag": "2"}]}
        answer = await it.call("BatchGetImage", **asked)
        assert [image["imageManifest"] for image in answer["images"]] == [data.decode()]
        assert [failure["failureCode"] for failure in answer["failures"]] == ["ImageNotFound"]
        it.upstream.fault = PullError("unreachable", "no route")
        await refused("UnableToGetUpstreamImageException", it.call("BatchGetImage", **asked), "no route")
        asked["imageIds"].pop()
        assert len((await it.call("BatchGetImage", **asked))["images"]) == 1
        asked["repositoryName"] = "hub/other"
        it.upstream.fault = None
        await refused("RepositoryNotFoundException", it.call("BatchGetImage", **asked))

    play(tmp_path, story)
