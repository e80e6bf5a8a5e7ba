"""Repositories, their tags and policies, as boto sees them."""

import json

import pytest
from ecr_kit import ACCOUNT, refused


def test_a_repository_is_created_described_and_deleted(it, ecr):
    made = ecr.create_repository(
        repositoryName="team/app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "alias/mine"},
        tags=[{"Key": "team", "Value": "a"}],
    )["repository"]
    assert made["repositoryArn"] == "arn:aws:ecr:eu-west-1:123456789012:repository/team/app"
    assert made["repositoryUri"] == "123456789012.dkr.ecr.eu-west-1.localhost:4566/team/app"
    assert made["registryId"] == ACCOUNT
    assert made["createdAt"].timestamp() == it.clock.now()
    assert made["imageTagMutabilityExclusionFilters"] == [{"filterType": "WILDCARD", "filter": "dev-*"}]
    assert made["encryptionConfiguration"] == {
        "encryptionType": "KMS",
        "kmsKey": "arn:aws:kms:eu-west-1:123456789012:alias/mine",
    }
    assert ecr.describe_repositories()["repositories"] == [made]
    assert ecr.describe_repositories(repositoryNames=["team/app"])["repositories"] == [made]
    refused(
        ecr.create_repository,
        "RepositoryAlreadyExistsException",
        "The repository with name 'team/app' already exists in the registry with id '123456789012'",
        repositoryName="team/app",
    )
    assert ecr.delete_repository(repositoryName="team/app")["repository"] == made
    refused(
        ecr.describe_repositories,
        "RepositoryNotFoundException",
        "The repository with name 'team/app' does not exist in the registry with id '123456789012'",
        repositoryNames=["team/app"],
    )


@pytest.mark.parametrize("name", ["UPPER", "a//b", "-a", "a/", "a___b"])
def test_names_are_checked(ecr, name):
    error = refused(ecr.create_repository, "InvalidParameterException", repositoryName=name)
    assert error["Error"]["Message"] == (
        "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression "
        "'[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''"
    )


def test_lists_come_in_pages(ecr):
    for number in range(7):
        ecr.create_repository(repositoryName=f"app-{number}")
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["repositories"]) for page in pages] == [3, 3, 1]
    assert [one["repositoryName"] for page in pages for one in page["repositories"]] == [
        f"app-{number}" for number in range(7)
    ]
    refused(ecr.describe_repositories, "InvalidParameterException", nextToken="nonsense")


def test_accounts_and_regions_have_their_own(it, ecr):
    other, far = it.client_of("999999999999"), it.client_of(ACCOUNT, "us-east-1")
    ecr.create_repository(repositoryName="app")
    assert other.describe_repositories()["repositories"] == []
    assert far.describe_repositories()["repositories"] == []
    found = other.describe_repositories(registryId=ACCOUNT)["repositories"]
    assert [one["registryId"] for one in found] == [ACCOUNT]


def test_mutability_and_scanning_can_be_changed(it, ecr):
    ecr.create_repository(repositoryName="app")
    answer = ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
    assert answer["imageTagMutability"] == "IMMUTABLE"
    refused(
        ecr.put_image_tag_mutability,
        "InvalidParameterException",
        "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as MUTABLE_WITH_EXCLUSION",
        repositoryName="app",
        imageTagMutability="MUTABLE_WITH_EXCLUSION",
    )
    refused(
        ecr.put_image_tag_mutability,
        "InvalidParameterException",
        "wildcards",
        repositoryName="app",
        imageTagMutability="MUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "*a*b*"}],
    )
    ecr.put_image_scanning_configuration(
        repositoryName="app", imageScanningConfiguration={"scanOnPush": True}
    )
    (found,) = ecr.describe_repositories()["repositories"]
    assert found["imageTagMutability"] == "IMMUTABLE"
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    it.push("app", "v1")
    assert refused(
        ecr.start_image_scan, "NotImplemented", "scanner", repositoryName="app", imageId={"imageTag": "v1"}
    )
    refused(
        ecr.describe_image_scan_findings,
        "ScanNotFoundException",
        "Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' in the "
        "repository with name 'app' in the registry with id '123456789012'",
        repositoryName="app",
        imageId={"imageTag": "v1"},
    )


def test_tags(ecr):
    arn = ecr.create_repository(repositoryName="app", tags=[{"Key": "a", "Value": "1"}])["repository"][
        "repositoryArn"
    ]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [
        {"Key": "a", "Value": "3"},
        {"Key": "b", "Value": "2"},
    ]
    ecr.untag_resource(resourceArn=arn, tagKeys=["a", "missing"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "b", "Value": "2"}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    refused(ecr.tag_resource, "TooManyTagsException", "50", resourceArn=arn, tags=many)
    for key, value in (("aws:x", ""), ("k" * 129, ""), ("k", "v" * 257)):
        tags = [{"Key": key, "Value": value}]
        refused(ecr.tag_resource, "InvalidTagParameterException", resourceArn=arn, tags=tags)
    sentence = "Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"
    refused(ecr.list_tags_for_resource, "InvalidParameterException", sentence, resourceArn="nonsense")
    refused(ecr.list_tags_for_resource, "RepositoryNotFoundException", resourceArn=arn + "x")


ALLOW = {
    "Sid": "pull",
    "Effect": "Allow",
    "Principal": {"AWS": "123456789012"},
    "Action": ["ecr:BatchGetImage"],
}


def policy(*statements, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more)


def test_a_policy_is_shown_as_ecr_writes_it(ecr):
    ecr.create_repository(repositoryName="app")
    refused(
        ecr.get_repository_policy,
        "RepositoryPolicyNotFoundException",
        "Repository policy does not exist for the repository with name 'app' in the registry with id '123456789012'",
        repositoryName="app",
    )
    answer = ecr.set_repository_policy(repositoryName="app", policyText=policy(ALLOW))
    assert answer["policyText"] == (
        '{\n  "Version" : "2012-10-17",\n  "Statement" : [ {\n    "Sid" : "pull",\n    "Effect" : "Allow",\n'
        '    "Principal" : {\n      "AWS" : "123456789012"\n    },\n    "Action" : [ "ecr:BatchGetImage" ]\n  } ]\n}'
    )
    assert ecr.get_repository_policy(repositoryName="app")["policyText"] == answer["policyText"]
    assert ecr.delete_repository_policy(repositoryName="app")["policyText"] == answer["policyText"]
    refused(ecr.delete_repository_policy, "RepositoryPolicyNotFoundException", repositoryName="app")


@pytest.mark.parametrize(
    "text",
    [
        "{'Version': '2012-10-17'}",
        "[]",
        policy(),
        json.dumps({"Version": "2012-10-17"}),
        json.dumps({"Version": "2020-01-01", "Statement": [ALLOW]}),
        policy(ALLOW | {"Resource": "*"}),
        policy(ALLOW | {"Effect": "Maybe"}),
        policy(ALLOW | {"Action": "s3:GetObject"}),
        policy(ALLOW | {"Action": []}),
        policy(ALLOW | {"Principal": {"AWS": "arn:aws:iam::123456789012:*"}}),
        policy({key: value for key, value in ALLOW.items() if key != "Principal"}),
        policy(ALLOW, ALLOW),
        policy(ALLOW, Other=1),
    ],
)
def test_policies_that_ecr_does_not_take(ecr, text):
    ecr.create_repository(repositoryName="app")
    refused(
        ecr.set_repository_policy,
        "InvalidParameterException",
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'",
        repositoryName="app",
        policyText=text,
    )


def test_a_policy_that_locks_everybody_out_must_be_forced(ecr):
    ecr.create_repository(repositoryName="app")
    text = policy({"Effect": "Deny", "Principal": "*", "Action": "ecr:*"})
    refused(
        ecr.set_repository_policy, "InvalidParameterException", "force", repositoryName="app", policyText=text
    )
    ecr.set_repository_policy(repositoryName="app", policyText=text, force=True)
