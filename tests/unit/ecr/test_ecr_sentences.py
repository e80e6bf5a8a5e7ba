"""Requests that ECR refuses, in the sentences that AWS's ECR says them in."""

import json

import pytest
from ecr_kit import DOCKER_MANIFEST, refused

NAME = r"must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'"
DIGEST = "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
TAG = "must satisfy regular expression '[a-zA-Z0-9-_.]+'"
MUTABILITY = "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]"


def sentence(parameter, rule):
    return f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{rule}'"


CASES = [
    ("create_repository", {}, "repositoryName", "must not be null"),
    ("create_repository", {"repositoryName": ""}, "repositoryName", "must not be null"),
    (
        "create_repository",
        {"repositoryName": "a"},
        "repositoryName",
        "must have length greater than or equal to 2",
    ),
    (
        "create_repository",
        {"repositoryName": "a" * 257},
        "repositoryName",
        "must have length less than or equal to 256",
    ),
    ("create_repository", {"repositoryName": "Bad_Name!"}, "repositoryName", NAME),
    ("create_repository", {"repositoryName": "a___b"}, "repositoryName", NAME),
    ("describe_repositories", {"repositoryNames": ["ok", "Bad"]}, "repositoryName", NAME),
    (
        "list_images",
        {"repositoryName": "app", "registryId": "222"},
        "registryId",
        "must satisfy regular expression [0-9]{12}",
    ),
    (
        "batch_get_image",
        {"repositoryName": "app", "imageIds": []},
        "imageIds",
        "Member must have length greater than or equal to 1",
    ),
    (
        "batch_delete_image",
        {"repositoryName": "app", "imageIds": [{"imageTag": "x"}] * 101},
        "imageIds",
        "Member must have length less than or equal to 100",
    ),
    (
        "put_image_tag_mutability",
        {"repositoryName": "app"},
        "imageTagMutability",
        "Member must not be null",
    ),
    (
        "put_image_tag_mutability",
        {"repositoryName": "app", "imageTagMutability": "no"},
        "imageTagMutability",
        MUTABILITY,
    ),
    (
        "put_lifecycle_policy",
        {"repositoryName": "app", "lifecyclePolicyText": ""},
        "lifecyclePolicyText",
        "Member must have length greater than or equal to 100",
    ),
    (
        "describe_images",
        {"repositoryName": "app", "imageIds": [{"imageDigest": ""}]},
        "imageDigest",
        DIGEST,
    ),
    (
        "describe_images",
        {"repositoryName": "app", "imageIds": [{"imageTag": "a b"}]},
        "imageTag",
        TAG,
    ),
    ("start_image_scan", {"repositoryName": "app", "imageId": {"imageTag": "a/b"}}, "imageTag", TAG),
    *(
        (
            "put_image",
            {"repositoryName": "app", "imageManifest": json.dumps(kind | {"schemaVersion": 2, "layers": []})},
            "ImageManifest",
            "Invalid JSON syntax",
        )
        for kind in ({}, {"mediaType": "application/vnd.cncf.helm.config.v1+json"})
    ),
    (
        "tag_resource",
        {
            "resourceArn": "arn:aws:ecr:eu-west-1:123456789012:repository/app",
            "tags": [{"Key": "a", "Value": "b"}, {"Value": "b"}],
        },
        "tags.2.member.key",
        "Member must not be null",
    ),
]


def test_parameters_are_refused_in_ecrs_own_sentences(ecr):
    ecr.create_repository(repositoryName="app")
    for operation, values, parameter, rule in CASES:
        error = refused(getattr(ecr, operation), "InvalidParameterException", **values)
        assert error["Error"]["Message"] == sentence(parameter, rule), (operation, values)
    assert len(ecr.describe_repositories()["repositories"]) == 1


@pytest.mark.parametrize("key", ["", "k" * 129, "aws:mine"])
def test_tags_are_refused_in_one_sentence(ecr, key):
    error = refused(
        ecr.create_repository,
        "InvalidTagParameterException",
        repositoryName="app",
        tags=[{"Key": key, "Value": "v"}],
    )
    assert error["Error"]["Message"] == "Tag parameters are invalid"
    assert ecr.describe_repositories()["repositories"] == []


def test_aws_own_key_is_shown_as_a_key_and_stays_the_same(ecr):
    shown = [
        ecr.create_repository(repositoryName=name, encryptionConfiguration={"encryptionType": "KMS"})[
            "repository"
        ]["encryptionConfiguration"]["kmsKey"]
        for name in ("one", "two")
    ]
    assert shown[0] == shown[1]
    start, _, key = shown[0].partition(":key/")
    assert start == "arn:aws:kms:eu-west-1:123456789012"
    assert [len(part) for part in key.split("-")] == [8, 4, 4, 4, 12]


def test_a_layer_that_came_through_the_api_has_dockers_media_type(it, ecr):
    ecr.create_repository(repositoryName="app")
    it.push("app", "v1")
    manifest = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"][0]
    assert manifest["imageManifestMediaType"] == DOCKER_MANIFEST
    parts = json.loads(manifest["imageManifest"])
    config, layer = ecr.batch_check_layer_availability(
        repositoryName="app", layerDigests=[parts["config"]["digest"], parts["layers"][0]["digest"]]
    )["layers"]
    assert config["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert layer["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_tags_are_shown_in_the_order_in_which_an_image_got_them(it, ecr):
    ecr.create_repository(repositoryName="app")
    manifest = {}
    for tag in ("v2", "v10", "latest"):
        it.clock.advance(1)
        if not manifest:
            it.push("app", tag)
            found = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": tag}])["images"][0]
            manifest = {"repositoryName": "app", "imageManifest": found["imageManifest"]}
        else:
            ecr.put_image(imageTag=tag, **manifest)
    (image,) = ecr.describe_images(repositoryName="app")["imageDetails"]
    assert image["imageTags"] == ["v2", "v10", "latest"]


def test_a_page_that_is_none_is_refused(ecr):
    ecr.create_repository(repositoryName="app")
    for ask in (ecr.list_images, ecr.describe_images):
        refused(
            ask,
            "InvalidParameterException",
            "Invalid parameter at 'NextToken'",
            repositoryName="app",
            nextToken="zzz",
        )
