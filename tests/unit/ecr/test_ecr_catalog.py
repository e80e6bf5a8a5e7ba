"""The catalog: what it takes, what it refuses, and that it knows after a restart what it knew before."""

import asyncio
import json

import pytest
from ecr_kit import artifact_manifest, image_manifest, list_manifest, registry, sha

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecr import manifests
from cumulo.services.ecr.model import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, TagFilter


def play(path, story):
    async def run():
        async with registry(path) as made:
            return await story(made)

    return asyncio.run(run())


async def refused(code, awaitable, sentence=""):
    with pytest.raises(AwsError) as caught:
        await awaitable
    assert caught.value.code == code, caught.value
    assert sentence in caught.value.message
    return caught.value


def test_what_was_pushed_is_there_after_a_restart(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "v1")
        child = await it.push(repository, seed="2")
        index = await it.catalog.put_image(repository, list_manifest(image, child), tag="all")
        raw = it.catalog.manifest(image)
        await it.reopen()
        assert it.catalog.image(repository, tag="v1") == image
        assert it.catalog.manifest(image) == raw
        assert sha(raw) == image.digest
        assert it.catalog.tags(repository) == ["all", "v1"]
        assert it.catalog.shelf(repository).parents_of(child.digest) == {index.digest}
        assert image.size_bytes == 100 + len('{"architecture":"amd64","seed":"1"}')
        assert index.size_bytes == image.size_bytes

    play(tmp_path, story)


def test_a_push_that_changes_nothing_is_refused_and_a_new_tag_moves(tmp_path):
    async def story(it):
        repository = await it.create()
        one = await it.push(repository, "v1")
        raw = it.catalog.manifest(one)
        await refused(
            "ImageAlreadyExistsException",
            it.catalog.put_image(repository, raw, tag="v1"),
            f"Image with digest '{one.digest}' and tag 'v1' already exists in the repository with name 'app' "
            "in registry with id '123456789012'",
        )
        await refused("ImageAlreadyExistsException", it.catalog.put_image(repository, raw), "and tag 'null'")
        await it.catalog.put_image(repository, raw, tag="v2")
        two = await it.push(repository, "v1", seed="2")
        assert it.catalog.tags_of(one) == ["v2"]
        assert it.catalog.tags_of(two) == ["v1"]
        assert [(change.kind, change.tags) for change in it.changes] == [
            ("created", ()),
            ("pushed", ("v1",)),
            ("pushed", ("v2",)),
            ("pushed", ("v1",)),
        ]

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("mutability", "filters", "frozen", "free"),
    [
        ("IMMUTABLE", (), "v1", None),
        ("IMMUTABLE_WITH_EXCLUSION", ("dev-*", "latest"), "v1", "dev-7"),
        ("MUTABLE_WITH_EXCLUSION", ("v*",), "v1", "latest"),
        ("MUTABLE", (), None, "v1"),
    ],
)
def test_a_tag_is_given_once_where_it_is_immutable(tmp_path, mutability, filters, frozen, free):
    async def story(it):
        repository = await it.create(
            mutability=mutability, mutability_filters=tuple(TagFilter(text) for text in filters)
        )
        if frozen:
            first = await it.push(repository, frozen)
            await refused(
                "ImageTagAlreadyExistsException",
                it.push(repository, frozen, seed="2"),
                f"The image tag '{frozen}' already exists in the 'app' repository and cannot be overwritten "
                "because the tag is immutable.",
            )
            assert it.catalog.image(repository, tag=frozen) == first
            assert len(it.catalog.shelf(repository).images) == 1
        if free:
            await it.push(repository, free, seed="3")
            await it.push(repository, free, seed="4")

    play(tmp_path, story)


def test_what_a_manifest_needs_must_be_in_its_repository(tmp_path):
    async def story(it):
        here, there = await it.create("here"), await it.create("there")
        manifest = it.image(there)
        config = json.loads(manifest)["config"]["digest"]
        error = await refused("LayersNotFoundException", it.catalog.put_image(here, manifest))
        assert error.message.startswith(f"Layers with digests '[{config}, sha256:")
        assert error.message.endswith(
            "required for pushing image into repository with name 'here' in the registry with id "
            "'123456789012' do not exist"
        )
        image = await it.catalog.put_image(there, manifest)
        await refused(
            "ReferencedImagesNotFoundException",
            it.catalog.put_image(here, list_manifest(image)),
            f"Images with digests '[{image.digest}]' required",
        )

    play(tmp_path, story)


def test_an_image_of_a_list_stays_until_the_list_goes(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "amd64")
        index = await it.catalog.put_image(repository, list_manifest(image), tag="all")
        error = await refused("ImageReferencedByManifestList", it.catalog.delete([image]))
        assert error.message == f"Requested image referenced by manifest list: [{index.digest}]"
        await refused("ImageReferencedByManifestList", it.catalog.delete([image], tags=["amd64"]))
        assert it.catalog.tags_of(image) == ["amd64"]
        await it.catalog.delete([image, index])
        assert not it.catalog.shelf(repository).images
        assert not it.catalog.shelf(repository).blobs()

    play(tmp_path, story)


def test_an_image_goes_with_its_last_tag(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "a")
        await it.catalog.put_image(repository, it.catalog.manifest(image), tag="b")
        await it.catalog.delete([image], tags=["a"])
        assert it.catalog.tags_of(image) == ["b"]
        await it.catalog.delete([image], tags=["b"])
        await refused_image(it, repository, image)
        await it.reopen()
        await refused_image(it, repository, image)
        assert it.store.query_now("SELECT count(*) FROM ecr_manifests") == [(0,)]

    async def refused_image(it, repository, image):
        with pytest.raises(AwsError) as caught:
            it.catalog.image(repository, tag="b")
        assert caught.value.message == (
            "The image with imageId {imageDigest:'null', imageTag:'b'} does not exist within the repository "
            "with name 'app' in the registry with id '123456789012'"
        )

    play(tmp_path, story)


def test_a_repository_with_images_is_removed_only_by_force(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "v1")
        await refused(
            "RepositoryNotEmptyException",
            it.catalog.remove(repository),
            "The repository with name 'app' in registry with id '123456789012' cannot be deleted because it "
            "still contains images",
        )
        await it.catalog.remove(repository, force=True)
        assert it.catalog.find(*repository.key.split("\x1f")) is None
        repository = await it.create()
        assert not it.catalog.shelf(repository).images
        with pytest.raises(AwsError):
            it.catalog.manifest(image)
        await it.reopen()
        assert not it.catalog.shelf(repository).images

    play(tmp_path, story)


def test_artifacts_are_found_by_what_they_are_about(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "v1")
        made = []
        for seed, kind in (("b", "application/vnd.sbom"), ("a", "application/vnd.signature")):
            it.clock.advance(1)
            raw = artifact_manifest(it.layers, repository, image, kind=kind, seed=seed)
            made.append(await it.catalog.put_image(repository, raw, media_type=OCI_MANIFEST))
        await it.reopen()
        assert it.catalog.referrers(repository, image.digest) == made
        assert it.catalog.referrers(repository, image.digest, "application/vnd.sbom") == made[:1]
        assert made[0].annotations == {"org.example.seed": "b"}
        await it.catalog.delete(made[:1])
        assert it.catalog.referrers(repository, image.digest) == made[1:]

    play(tmp_path, story)


def test_a_pull_is_remembered_but_not_every_time(tmp_path):
    async def story(it):
        repository = await it.create()
        image = await it.push(repository, "v1")
        for _ in range(3):
            await it.catalog.pulled(image, Caller())
        first = it.clock.now()
        assert it.catalog.image(repository, tag="v1").pulled_at == first
        it.clock.advance(61)
        await it.catalog.pulled(image, Caller())
        assert it.catalog.image(repository, tag="v1").pulled_at == first + 61
        assert [change.kind for change in it.changes].count("pulled") == 2

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("raw", "media_type"),
    [
        (b"no json", DOCKER_MANIFEST),
        (b"[]", DOCKER_MANIFEST),
        (b"[" * 100_000, DOCKER_MANIFEST),
        (b"\xff\xfe", DOCKER_MANIFEST),
        (b'{"schemaVersion": 1, "fsLayers": []}', ""),
        (b'{"schemaVersion": 2, "config": {}, "layers": []}', OCI_MANIFEST),
        (b'{"schemaVersion": 2, "manifests": [], "layers": []}', OCI_INDEX),
        (b'{"schemaVersion": 2, "manifests": []}', OCI_MANIFEST),
        (b'{"schemaVersion": 2, "manifests": []}', ""),
        (b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:0", "size": 1}]}', OCI_INDEX),
        (b'{"schemaVersion": 2, "manifests": [], "mediaType": "text/plain"}', ""),
        (b'{"schemaVersion": 2, "manifests": [], "annotations": {"a": 1}}', OCI_INDEX),
    ],
)
def test_what_is_no_manifest_is_refused_and_changes_nothing(tmp_path, raw, media_type):
    async def story(it):
        repository = await it.create()
        await refused(
            "InvalidParameterException",
            it.catalog.put_image(repository, raw, media_type=media_type, tag="v1"),
            "Invalid parameter at 'ImageManifest' failed to satisfy constraint: '",
        )
        assert not it.catalog.shelf(repository).images
        assert not it.catalog.tags(repository)

    play(tmp_path, story)


def test_the_media_type_of_a_manifest_that_names_none_is_the_clients(tmp_path):
    async def story(it):
        repository = await it.create()
        document = json.loads(image_manifest(it.layers, repository))
        del document["mediaType"]
        raw = json.dumps(document).encode()
        await refused(
            "InvalidParameterException", it.catalog.put_image(repository, raw), "Invalid JSON syntax"
        )
        image = await it.catalog.put_image(repository, raw, media_type=f"{OCI_MANIFEST}; charset=utf-8")
        assert image.media_type == OCI_MANIFEST

    play(tmp_path, story)


def test_layers_that_lie_elsewhere_are_not_asked_for(tmp_path):
    async def story(it):
        repository = await it.create()
        document = json.loads(image_manifest(it.layers, repository))
        document["layers"].append(
            {
                "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                "size": 5,
                "digest": sha(b"elsewhere"),
                "urls": ["https://example.com/layer"],
            }
        )
        image = await it.catalog.put_image(repository, json.dumps(document).encode())
        assert len(image.layers) == 1

    play(tmp_path, story)


def test_digests_and_tags_are_checked(tmp_path):
    async def story(it):
        repository = await it.create()
        raw = it.image(repository)
        await refused(
            "ImageDigestDoesNotMatchException", it.catalog.put_image(repository, raw, digest=sha(b"x"))
        )
        await refused("InvalidParameterException", it.catalog.put_image(repository, raw, digest="md5:1"))
        for tag in ("a b", "a/b", "ä", "x" * 301):
            await refused("InvalidParameterException", it.catalog.put_image(repository, raw, tag=tag))
        image = await it.catalog.put_image(repository, raw, digest=manifests.digest_of(raw), tag="x" * 128)
        with pytest.raises(AwsError):
            it.catalog.image(repository, tag="x" * 128, digest=sha(b"x"))
        assert it.catalog.image(repository, tag="x" * 128, digest=image.digest) == image

    play(tmp_path, story)


def test_what_a_kill_left_of_a_repository_goes_at_the_next_start(tmp_path):
    async def story(it):
        repository = await it.create()
        await it.push(repository, "v1")
        it.catalog._repositories.delete(repository.key)  # all that was committed of its removal
        await it.store.commit()
        await it.reopen()
        again = await it.create()
        assert not it.catalog.shelf(again).images
        await it.reopen()
        assert not it.catalog.tags(again)
        assert it.store.query_now("SELECT count(*) FROM ecr_manifests") == [(0,)]

    play(tmp_path, story)


def test_of_many_pushes_of_the_same_one_succeeds(tmp_path):
    async def story(it):
        repository = await it.create()
        manifest = it.image(repository)
        pushes = (it.catalog.put_image(repository, manifest, tag="v1") for _ in range(50))
        results = await asyncio.gather(*pushes, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        assert len(errors) == 49
        assert {error.code for error in errors} == {"ImageAlreadyExistsException"}
        assert len(it.changes) == 2

    play(tmp_path, story)


def test_a_push_into_a_repository_that_goes_is_refused_or_goes_with_it(tmp_path):
    async def story(it):
        repository = await it.create()
        manifests = [it.image(repository, str(number)) for number in range(20)]
        results = await asyncio.gather(
            *(it.catalog.put_image(repository, one, tag=f"v{at}") for at, one in enumerate(manifests[:10])),
            it.catalog.remove(repository, force=True),
            *(it.catalog.put_image(repository, one) for one in manifests[10:]),
            return_exceptions=True,
        )
        assert {error.code for error in results if error is not None and isinstance(error, AwsError)} == {
            "RepositoryNotFoundException"
        }
        assert it.catalog.find(*repository.key.split("\x1f")) is None
        await it.reopen()
        assert not len(it.catalog._images)
        assert not len(it.catalog._tags)

    play(tmp_path, story)


def test_a_large_manifest_is_read_beside_the_loop(tmp_path):
    async def story(it):
        repository = await it.create()
        document = json.loads(it.image(repository))
        document["annotations"] = {"filler": "x" * 300_000}
        image = await it.catalog.put_image(repository, json.dumps(document).encode(), tag="v1")
        assert image.manifest_bytes > 300_000
        document["annotations"]["filler"] = "x" * (4 * 1024 * 1024)
        await refused(
            "InvalidParameterException",
            it.catalog.put_image(repository, json.dumps(document).encode()),
            "less than or equal to 4194304",
        )

    play(tmp_path, story)
