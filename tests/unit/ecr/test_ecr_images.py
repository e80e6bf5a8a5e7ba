"""Images, layers and the archive, as boto sees them."""

import hashlib

import pytest
from botocore.exceptions import ClientError
from ecr_kit import ACCOUNT, DOCKER_CONFIG, REGION, artifact_manifest, put_list, refused, sha

from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST

MIB = 1024 * 1024


@pytest.fixture
def app(ecr):
    ecr.create_repository(repositoryName="app")
    return {"repositoryName": "app"}


def test_images_are_listed_by_tag_and_described(it, ecr, app):
    one, two = it.push(tag="v1"), it.push(seed="2")
    raw = ecr.batch_get_image(**app, imageIds=[{"imageDigest": one}])["images"][0]["imageManifest"]
    ecr.put_image(**app, imageManifest=raw, imageTag="v2")
    ids = ecr.list_images(**app)["imageIds"]
    expected = [
        {"imageDigest": one, "imageTag": "v1"},
        {"imageDigest": one, "imageTag": "v2"},
        {"imageDigest": two},
    ]
    assert sorted(ids, key=str) == sorted(expected, key=str)
    for status, found in (("TAGGED", expected[:2]), ("UNTAGGED", expected[2:]), ("ANY", expected)):
        got = ecr.list_images(**app, filter={"tagStatus": status})["imageIds"]
        assert sorted(got, key=str) == sorted(found, key=str)
    pages = ecr.get_paginator("list_images").paginate(**app, PaginationConfig={"PageSize": 1})
    assert [row for page in pages for row in page["imageIds"]] == ids
    (detail,) = ecr.describe_images(**app, imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])["imageDetails"]
    assert detail.pop("imagePushedAt").timestamp() == it.clock.now()
    assert detail.pop("lastRecordedPullTime").timestamp() == it.clock.now()
    assert detail == {
        "registryId": ACCOUNT,
        "repositoryName": "app",
        "imageDigest": one,
        "imageTags": ["v1", "v2"],
        "imageSizeInBytes": 135,
        "imageManifestMediaType": DOCKER_MANIFEST,
        "artifactMediaType": DOCKER_CONFIG,
        "imageStatus": "ACTIVE",
    }
    refused(ecr.describe_images, "ImageNotFoundException", **app, imageIds=[{"imageTag": "v3"}])
    refused(
        ecr.describe_images, "InvalidParameterException", **app, imageIds=[{"imageTag": "v1"}], maxResults=1
    )


def test_a_batch_says_of_each_image_why_it_is_missing(it, ecr, app):
    one, two = it.push(tag="v1"), it.push(tag="v2", seed="2")
    wanted = [
        {},
        {"imageDigest": "nonsense"},
        {"imageTag": "a b"},
        {"imageTag": "v3"},
        {"imageDigest": sha(b"")},
        {"imageTag": "v1", "imageDigest": two},
    ]
    codes = [
        "MissingDigestAndTag",
        "InvalidImageDigest",
        "InvalidImageTag",
        "ImageNotFound",
        "ImageNotFound",
        "ImageTagDoesNotMatchDigest",
    ]
    for call, rows in ((ecr.batch_get_image, "images"), (ecr.batch_delete_image, "imageIds")):
        answer = call(**app, imageIds=wanted)
        assert answer[rows] == []
        assert [failure["failureCode"] for failure in answer["failures"]] == codes
        assert [failure["imageId"] for failure in answer["failures"]] == wanted
        assert answer["failures"][3]["failureReason"] == "Requested image not found"
    answer = ecr.batch_get_image(**app, imageIds=[{"imageTag": "v1"}, {"imageTag": "v1", "imageDigest": one}])
    assert [image["imageId"] for image in answer["images"]] == [{"imageDigest": one, "imageTag": "v1"}] * 2
    asked = {"imageIds": [{"imageTag": "v1"}], "acceptedMediaTypes": [OCI_MANIFEST]}
    assert ecr.batch_get_image(**app, **asked)["failures"][0]["failureCode"] == "ImageNotFound"


def test_deleting_by_tag_and_by_digest(it, ecr, app):
    one = it.push(tag="v1")
    raw = ecr.batch_get_image(**app, imageIds=[{"imageTag": "v1"}])["images"][0]["imageManifest"]
    for tag in ("v2", "v3"):
        ecr.put_image(**app, imageManifest=raw, imageTag=tag)
    answer = ecr.batch_delete_image(**app, imageIds=[{"imageTag": "v1"}])
    assert answer == answer | {"imageIds": [{"imageDigest": one, "imageTag": "v1"}], "failures": []}
    answer = ecr.batch_delete_image(**app, imageIds=[{"imageDigest": one}])
    assert answer["imageIds"] == [{"imageDigest": one, "imageTag": tag} for tag in ("v2", "v3")]
    assert ecr.list_images(**app)["imageIds"] == []
    two = it.push(tag="v1", seed="2")
    ecr.batch_delete_image(**app, imageIds=[{"imageTag": "v1"}])
    refused(ecr.describe_images, "ImageNotFoundException", **app, imageIds=[{"imageDigest": two}])


def test_an_image_of_a_list_is_not_deleted(it, ecr, app):
    one = it.push(tag="v1")
    index = put_list(it, one, tag="all")
    answer = ecr.batch_delete_image(**app, imageIds=[{"imageDigest": one}, {"imageTag": "v1"}])
    assert {failure["failureCode"] for failure in answer["failures"]} == {"ImageReferencedByManifestList"}
    assert answer["failures"][0]["failureReason"] == f"Requested image referenced by manifest list: [{index}]"
    refused(
        ecr.delete_repository,
        "RepositoryNotEmptyException",
        "The repository with name 'app' in registry with id '123456789012' cannot be deleted because it still "
        "contains images",
        **app,
    )
    answer = ecr.batch_delete_image(**app, imageIds=[{"imageDigest": index}, {"imageDigest": one}])
    assert answer["failures"] == []
    assert ecr.list_images(**app)["imageIds"] == []


def test_a_push_is_checked_as_at_the_registry(it, ecr, app):
    refused(
        ecr.put_image,
        "InvalidParameterException",
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
        **app,
        imageManifest="{",
    )
    one = it.push(tag="v1")
    raw = ecr.batch_get_image(**app, imageIds=[{"imageDigest": one}])["images"][0]["imageManifest"]
    refused(ecr.put_image, "ImageAlreadyExistsException", **app, imageManifest=raw, imageTag="v1")
    refused(ecr.put_image, "ImageDigestDoesNotMatchException", **app, imageManifest=raw, imageDigest=sha(b""))
    ecr.put_image_tag_mutability(**app, imageTagMutability="IMMUTABLE")
    refused(ecr.put_image, "ImageTagAlreadyExistsException", **app, imageManifest=raw, imageTag="v1")
    refused(ecr.put_image, "RepositoryNotFoundException", repositoryName="no", imageManifest=raw)


def test_a_layer_is_uploaded_in_parts_and_downloaded_by_a_link(it, ecr, app):
    data = bytes(range(256)) * (6 * MIB // 256)
    started = ecr.initiate_layer_upload(**app)
    upload = {"repositoryName": "app", "uploadId": started["uploadId"]}
    assert started["partSize"] == 10 * MIB
    refused(
        ecr.complete_layer_upload,
        "EmptyUploadException",
        "cannot be completed because it does not have any parts",
        **upload,
        layerDigests=[sha(data)],
    )
    half = 5 * MIB
    first = ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=half - 1, layerPartBlob=data[:half])
    assert first["lastByteReceived"] == half - 1
    error = refused(
        ecr.upload_layer_part,
        "InvalidLayerPartException",
        **upload,
        partFirstByte=half + 1,
        partLastByte=half + 4,
        layerPartBlob=b"gap!",
    )
    assert error["lastValidByteReceived"] == half - 1
    refused(
        ecr.upload_layer_part,
        "InvalidParameterException",
        **upload,
        partFirstByte=half,
        partLastByte=half,
        layerPartBlob=b"more",
    )
    last = ecr.upload_layer_part(
        **upload, partFirstByte=half, partLastByte=len(data) - 1, layerPartBlob=data[half:]
    )
    assert last["lastByteReceived"] == len(data) - 1
    refused(ecr.complete_layer_upload, "InvalidLayerException", **upload, layerDigests=[sha(b"")])
    done = ecr.complete_layer_upload(**upload, layerDigests=[sha(b""), sha(data)])
    assert done["layerDigest"] == sha(data)
    refused(ecr.complete_layer_upload, "UploadNotFoundException", **upload, layerDigests=[sha(data)])
    answer = ecr.batch_check_layer_availability(**app, layerDigests=[sha(data), sha(b""), "bad", ""])
    assert [(one["layerAvailability"], one.get("layerSize")) for one in answer["layers"]] == [
        ("AVAILABLE", len(data)),
        ("UNAVAILABLE", None),
    ]
    assert [one["failureCode"] for one in answer["failures"]] == ["InvalidLayerDigest", "MissingLayerDigest"]


def test_parts_that_are_too_small_are_refused_at_the_end(it, ecr, app):
    upload = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(**app)["uploadId"]}
    for at in (0, 4):
        ecr.upload_layer_part(**upload, partFirstByte=at, partLastByte=at + 3, layerPartBlob=b"tiny")
    refused(
        ecr.complete_layer_upload,
        "LayerPartTooSmallException",
        "All layer parts except the last part should be at least 5MB",
        **upload,
        layerDigests=[sha(b"tinytiny")],
    )


def test_links_need_nothing_else_and_expire(it, ecr, app):
    repository = it.registry.catalog.repository(ACCOUNT, REGION, "app")
    layer = it.layers.keep(repository, b"1".ljust(100, b".")).digest
    missing = "The layer with digest 'sha256:00' does not exist within the repository with name 'app'"
    refused(
        ecr.get_download_url_for_layer, "LayersNotFoundException", missing, **app, layerDigest="sha256:00"
    )
    refused(ecr.get_download_url_for_layer, "LayerInaccessibleException", **app, layerDigest=layer)
    it.push()
    url = ecr.get_download_url_for_layer(**app, layerDigest=layer)["downloadUrl"]
    answer = it.download(url)
    assert answer.status == 200
    assert "sha256:" + hashlib.sha256(answer.body).hexdigest() == layer
    for asked, body, status in (
        ("bytes=0-0", b"1", 206),
        ("bytes=98-", b"..", 206),
        ("bytes=-3", b"...", 206),
        ("bytes=100-", b"", 416),
        ("bytes=1-0", b"", 416),
    ):
        answer = it.download(url, range=asked)
        assert (answer.status, answer.body) == (status, body)
    answer = it.download(url, "HEAD")
    assert (answer.body, dict(answer.headers)["Content-Length"]) == (b"", "100")
    assert it.download(url, "DELETE").status == 405
    assert it.download(url[:-1] + ("0" if url[-1] != "0" else "1")).status == 403
    assert it.download(url.replace("expires=1", "expires=2")).status == 403
    assert it.download(url.partition("?")[0]).status == 403
    it.clock.advance(3601)
    assert it.download(url).status == 403


def test_artifacts_are_listed_by_their_subject(it, ecr, app):
    digest = it.push(tag="v1")
    catalog = it.registry.catalog
    repository = catalog.repository(ACCOUNT, REGION, "app")
    subject = catalog.image(repository, digest=digest)
    for number, kind in enumerate(("application/a", "application/b", "application/a")):
        it.clock.advance(1)
        raw = artifact_manifest(it.layers, repository, subject, kind=kind, seed=str(number)).decode()
        ecr.put_image(**app, imageManifest=raw)
    found = ecr.list_image_referrers(**app, subjectId={"imageDigest": digest}, maxResults=2)
    assert [one["annotations"]["org.example.seed"] for one in found["referrers"]] == ["0", "1"]
    rest = ecr.list_image_referrers(**app, subjectId={"imageDigest": digest}, nextToken=found["nextToken"])
    assert [one["artifactType"] for one in rest["referrers"]] == ["application/a"]
    chosen = ecr.list_image_referrers(
        **app, subjectId={"imageDigest": digest}, filter={"artifactTypes": ["application/a"]}
    )
    assert len(chosen["referrers"]) == 2
    detail = ecr.describe_images(**app, imageIds=[{"imageDigest": found["referrers"][0]["digest"]}])
    assert detail["imageDetails"][0]["subjectManifestDigest"] == digest


def test_what_is_archived_cannot_be_pulled_until_it_is_restored(it, ecr, app):
    digest = it.push(tag="v1")
    one = {"imageId": {"imageDigest": digest}}
    moved = ecr.update_image_storage_class(**app, **one, targetStorageClass="ARCHIVE")
    assert moved["imageStatus"] == "ARCHIVED"
    refused(
        ecr.update_image_storage_class,
        "ImageStorageClassUpdateNotSupportedException",
        **app,
        **one,
        targetStorageClass="ARCHIVE",
    )
    failure = ecr.batch_get_image(**app, imageIds=[{"imageTag": "v1"}])["failures"][0]
    assert failure["failureCode"] == "ImageInaccessible"
    assert ecr.list_images(**app)["imageIds"] == []
    assert ecr.describe_images(**app)["imageDetails"] == []
    (found,) = ecr.describe_images(**app, filter={"imageStatus": "ARCHIVED"})["imageDetails"]
    assert found["lastArchivedAt"].timestamp() == it.clock.now()
    refused(
        ecr.start_image_scan, "ImageArchivedException", repositoryName="app", imageId={"imageDigest": digest}
    )
    it.clock.advance(10)
    restored = ecr.update_image_storage_class(**app, **one, targetStorageClass="STANDARD")
    assert restored["imageStatus"] == "ACTIVE"
    (found,) = ecr.describe_images(**app)["imageDetails"]
    assert found["lastActivatedAt"].timestamp() == it.clock.now()
    assert ecr.batch_get_image(**app, imageIds=[{"imageTag": "v1"}])["failures"] == []


@pytest.mark.parametrize("mutability", ["MUTABLE", "IMMUTABLE"])
def test_a_push_brings_an_image_back_from_the_archive(it, ecr, app, mutability):
    ecr.put_image_tag_mutability(**app, imageTagMutability=mutability)
    digest = it.push(tag="v1")
    ecr.update_image_storage_class(**app, imageId={"imageDigest": digest}, targetStorageClass="ARCHIVE")
    assert it.push(tag="v1") == digest
    assert ecr.list_images(**app)["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]


def test_the_list_of_an_index_has_the_size_of_its_largest_image(it, ecr, app):
    small, large = it.push(size=10), it.push(seed="2", size=1000)
    index = put_list(it, small, large)
    (detail,) = ecr.describe_images(**app, imageIds=[{"imageDigest": index}])["imageDetails"]
    assert detail["imageSizeInBytes"] == 1035
    assert detail["imageManifestMediaType"] == DOCKER_LIST
    assert "artifactMediaType" not in detail


def test_operations_of_a_repository_that_is_not_there(ecr):
    for call, more in (
        (ecr.list_images, {}),
        (ecr.describe_images, {}),
        (ecr.initiate_layer_upload, {}),
        (ecr.get_lifecycle_policy, {}),
        (ecr.batch_delete_image, {"imageIds": [{"imageTag": "x"}]}),
    ):
        with pytest.raises(ClientError) as caught:
            call(repositoryName="no", **more)
        assert caught.value.response["Error"]["Code"] == "RepositoryNotFoundException"
