"""Replication: what is taken, where pushes go, and that an acknowledged push gets there."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ecr_rules.rules_kit import FAR, HOME, OTHER, REGION, index_of, play, refused

from cumulo.services.ecr.model import Image, Tag
from cumulo.services.ecr.rules.forgotten import forgotten
from cumulo.services.ecr.rules.model import Destination, ReplicationRule
from cumulo.services.ecr.rules.plan import destinations


def rules(*destinations, prefixes=()):
    rule = {"destinations": [{"region": region, "registryId": account} for account, region in destinations]}
    if prefixes:
        rule["repositoryFilters"] = [{"filter": p, "filterType": "PREFIX_MATCH"} for p in prefixes]
    return {"rules": [rule]}


async def replicate(it, *to, prefixes=()):
    await it.call("PutReplicationConfiguration", replicationConfiguration=rules(*to, prefixes=prefixes))


async def status(it, tag="v1", name="app"):
    answer = await it.call("DescribeImageReplicationStatus", repositoryName=name, imageId={"imageTag": tag})
    return answer["replicationStatuses"]


def test_the_configuration_is_shown_as_it_was_put(tmp_path):
    async def story(it):
        empty = await it.call("DescribeRegistry")
        assert empty == {"registryId": HOME, "replicationConfiguration": {"rules": []}}
        wanted = rules((HOME, FAR), (OTHER, REGION), prefixes=("prod", "test/"))
        answer = await it.call("PutReplicationConfiguration", replicationConfiguration=wanted)
        assert answer["replicationConfiguration"] == wanted
        await it.reopen()
        assert (await it.call("DescribeRegistry"))["replicationConfiguration"] == wanted
        assert (await it.call("DescribeRegistry", region=FAR))["replicationConfiguration"]["rules"] == []

    play(tmp_path, story)


def test_what_aws_refuses_is_refused_and_changes_nothing(tmp_path):
    async def story(it):
        async def bad(configuration, sentence=""):
            put = it.call("PutReplicationConfiguration", replicationConfiguration=configuration)
            await refused("InvalidParameterException", put, sentence)

        await bad(rules((HOME, REGION)), "Replication destination cannot be the same as the source registry")
        await bad(rules(), "at least one destination")
        await bad(rules((HOME, FAR), (HOME, FAR)), "must be unique")
        await bad({"rules": rules((HOME, FAR))["rules"] * 11}, "at most 10 rules")
        await bad(rules(*((HOME, f"eu-west-{n}") for n in range(26))), "at most 25 unique destinations")
        assert (await it.call("DescribeRegistry"))["replicationConfiguration"]["rules"] == []

    play(tmp_path, story)


def test_a_push_goes_to_another_region_with_a_repository_made_by_its_template(tmp_path):
    async def story(it):
        await it.call(
            "CreateRepositoryCreationTemplate",
            region=FAR,
            prefix="ROOT",
            appliedFor=["REPLICATION"],
            imageTagMutability="IMMUTABLE",
            resourceTags=[{"Key": "team", "Value": "blue"}],
        )
        await replicate(it, (HOME, FAR))
        image = await it.push(await it.create(), "v1")
        assert [found["status"] for found in await status(it)] == ["IN_PROGRESS"]
        assert await it.rules.replicator.work()
        arrived = it.has("app", "v1", region=FAR)
        assert arrived.digest == image.digest
        assert it.catalog.manifest(arrived) == it.catalog.manifest(image)
        target = it.catalog.find(HOME, FAR, "app")
        assert (target.mutability, target.tags) == ("IMMUTABLE", {"team": "blue"})
        assert await status(it) == [{"region": FAR, "registryId": HOME, "status": "COMPLETE"}]
        await it.rules.outbox.deliver()
        (event,) = it.bus.of("ECR Replication Action")
        assert event[:2] == (HOME, FAR)
        assert event[3]["result"] == "SUCCESS"
        assert event[3]["source-region"] == REGION
        assert len(it.bus.of("ECR Image Action")) == 1, "the copy is no push of a user"

    play(tmp_path, story)


def test_an_index_brings_its_images_and_what_was_pushed_before_stays(tmp_path):
    async def story(it):
        repository = await it.create()
        before = await it.push(repository, "old", seed=b"0")
        one, two = await it.push(repository, seed=b"1"), await it.push(repository, seed=b"2")
        it.clock.advance(1)
        await replicate(it, (HOME, FAR))
        it.clock.advance(1)
        manifests = [it.catalog.manifest(image) for image in (one, two)]
        index = await it.catalog.put_image(repository, index_of(*manifests), tag="all")
        assert await it.rules.replicator.work()
        assert it.has("app", "all", region=FAR).digest == index.digest
        assert it.has("app", digest=one.digest, region=FAR)
        assert it.has("app", digest=before.digest, region=FAR) is None
        await it.reopen()
        assert await it.rules.replicator.work()
        assert it.has("app", digest=before.digest, region=FAR) is None, "a restart sends nothing old"

    play(tmp_path, story)


def test_a_push_is_replicated_though_the_server_is_killed_before_or_just_after_the_note(tmp_path):
    async def story(it):
        await replicate(it, (HOME, FAR))
        it.clock.advance(1)
        repository = await it.create()
        await it.push(repository, "v1")
        await it.store.commit()
        await it.reopen()  # noted, not carried out
        assert await it.rules.replicator.work()
        assert it.has("app", "v1", region=FAR)
        it.clock.advance(1)
        it.catalog.listeners.remove(it.rules.heard)  # killed before the note
        await it.push(repository, "v2", seed=b"2")
        await it.reopen()
        assert await it.rules.replicator.work()
        assert it.has("app", "v2", region=FAR)

    play(tmp_path, story)


def test_a_replication_sets_out_no_other(tmp_path):
    async def story(it):
        await replicate(it, (HOME, FAR))
        await it.call(
            "PutReplicationConfiguration", region=FAR, replicationConfiguration=rules((HOME, "us-west-2"))
        )
        it.clock.advance(1)
        image = await it.push(await it.create(), "v1")
        for _ in range(2):
            assert await it.rules.replicator.work()
            await it.reopen()
        await it.catalog.delete([image])
        await it.reopen()
        assert await it.rules.replicator.work()
        assert it.has("app", "v1", region=FAR)
        assert it.catalog.find(HOME, "us-west-2", "app") is None

    play(tmp_path, story)


def allow(*actions, resource="*", account=HOME):
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": list(actions),
        "Resource": resource,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_another_account_must_allow_it(tmp_path):
    async def story(it):
        await replicate(it, (OTHER, REGION))
        repository = await it.create()

        async def outcome(tag, policy=""):
            if policy:
                await it.call("PutRegistryPolicy", account=OTHER, policyText=policy)
            await it.push(repository, tag, seed=tag.encode())
            assert await it.rules.replicator.work()
            (found,) = await status(it, tag)
            return found["status"], found.get("failureCode")

        assert await outcome("a") == ("FAILED", "AccessDeniedException")
        assert await outcome("b", allow("ecr:ReplicateImage")) == ("FAILED", "AccessDeniedException")
        assert it.catalog.find(OTHER, REGION, "app") is None
        assert await outcome("c", allow("ecr:ReplicateImage", account="333333333333")) == (
            "FAILED",
            "AccessDeniedException",
        )
        both = allow("ecr:ReplicateImage", "ecr:CreateRepository")
        assert await outcome("d", both) == ("COMPLETE", None)
        assert it.has("app", "d", account=OTHER)
        assert it.has("app", "a", account=OTHER) is None
        await it.rules.outbox.deliver()
        results = [event[3]["result"] for event in it.bus.of("ECR Replication Action")]
        assert results == ["FAILED", "FAILED", "FAILED", "SUCCESS"]

    play(tmp_path, story)


def test_filters_choose_and_a_second_tag_follows(tmp_path):
    async def story(it):
        await replicate(it, (HOME, FAR), prefixes=("prod",))
        await it.push(await it.create("test"), "v1")
        prod = await it.create("prod-app")
        image = await it.push(prod, "v1")
        assert await it.rules.replicator.work()
        await it.catalog.put_image(prod, it.catalog.manifest(image), tag="v2")
        assert await it.rules.replicator.work()
        assert it.catalog.find(HOME, FAR, "test") is None
        assert it.has("prod-app", "v2", region=FAR)
        assert await status(it, name="test") == []
        await it.catalog.delete([image])
        assert it.rules.replicator.of_image(image) == []
        assert it.has("prod-app", "v2", region=FAR), "deletions are not replicated"

    play(tmp_path, story)


def test_a_tag_that_wanders_ends_there_where_it_ended_here(tmp_path):
    async def story(it):
        await replicate(it, (HOME, FAR))
        repository = await it.create()
        one = await it.push(repository, "latest", seed=b"1")
        await it.push(repository, "latest", seed=b"2")
        await it.catalog.put_image(repository, it.catalog.manifest(one), tag="latest")
        assert await it.rules.replicator.work()
        assert it.has("app", "latest", region=FAR).digest == one.digest
        assert len(it.catalog.shelf(it.catalog.find(HOME, FAR, "app")).images) == 2

    play(tmp_path, story)


REGISTRIES = st.builds(Destination, st.sampled_from([HOME, OTHER]), st.sampled_from([REGION, FAR]))
RULES = st.lists(
    st.builds(
        ReplicationRule,
        st.lists(REGISTRIES, max_size=4).map(tuple),
        st.lists(st.sampled_from(["a", "ab", "b/"]), max_size=2).map(tuple),
    ),
    max_size=5,
)


@given(RULES, st.sampled_from(["a", "abc", "b/x", "c"]))
def test_a_destination_is_one_of_a_rule_that_fits_once_and_never_home(found, name):
    chosen = destinations(found, HOME, REGION, name)
    assert len(set(chosen)) == len(chosen)
    assert Destination(HOME, REGION) not in chosen
    fitting = {
        to
        for rule in found
        if not rule.prefixes or any(name.startswith(prefix) for prefix in rule.prefixes)
        for to in rule.destinations
    }
    assert set(chosen) == fitting - {Destination(HOME, REGION)}


MOMENTS = st.integers(0, 6).map(float)


def an_image(digest, pushed_at):
    return Image(
        account=HOME,
        region=REGION,
        repository="app",
        digest=digest,
        media_type="m",
        manifest_bytes=1,
        size_bytes=1,
        pushed_at=pushed_at,
    )


@given(
    st.dictionaries(st.sampled_from("abc"), MOMENTS),
    st.dictionaries(st.sampled_from("xyz"), st.tuples(st.sampled_from("abc"), MOMENTS)),
    st.dictionaries(st.sampled_from("abc"), MOMENTS),
    st.sets(st.sampled_from("abc")),
    MOMENTS,
)
def test_what_was_pushed_after_the_rules_and_never_noted_is_recalled_and_nothing_else(
    pushed, tagged, noted, arrived, since
):
    images = [an_image(digest, at) for digest, at in pushed.items()]
    tags = [Tag(tag=name, digest=digest, tagged_at=at) for name, (digest, at) in tagged.items()]
    lost = list(forgotten(images, tags, since=since, noted=noted, arrived=arrived))
    assert len({(found.image.digest, found.tag) for found in lost}) == len(lost)
    for found in lost:
        digest = found.image.digest
        assert digest not in arrived
        moment = tagged[found.tag][1] if found.tag else pushed[digest]
        assert moment > since
        assert noted.get(digest, -1.0) < moment
    again = {found.image.digest: 9.0 for found in lost}
    assert not list(forgotten(images, tags, since=since, noted=noted | again, arrived=arrived))
    silent = [
        name
        for name, (digest, at) in tagged.items()
        if digest in pushed and digest not in arrived and at > max(since, noted.get(digest, 0.0))
    ]
    assert {found.tag for found in lost if found.tag} == set(silent)
