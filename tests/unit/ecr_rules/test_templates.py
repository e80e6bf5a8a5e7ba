"""Creation templates: kept as they were put, and applied by the longest prefix for their purpose."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ecr_rules.rules_kit import FAR, HOME, REGION, play, refused

from cumulo.services.ecr.model import TagFilter
from cumulo.services.ecr.rules.model import ROOT, Template
from cumulo.services.ecr.rules.plan import longest, namespace, wild

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}],
    }
)

LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9},
                "action": {"type": "expire"},
            }
        ]
    },
    separators=(",", ":"),
)


async def create(it, prefix="prod", purposes=("CREATE_ON_PUSH",), **more):
    return await it.call("CreateRepositoryCreationTemplate", prefix=prefix, appliedFor=list(purposes), **more)


def test_a_template_is_shown_as_it_was_put_changed_in_part_and_removed(tmp_path):
    async def story(it):
        wanted = {
            "prefix": "prod",
            "description": "for production",
            "encryptionConfiguration": {"encryptionType": "KMS"},
            "resourceTags": [{"Key": "a", "Value": "1"}],
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}],
            "repositoryPolicy": POLICY,
            "lifecyclePolicy": LIFECYCLE,
            "appliedFor": ["REPLICATION", "CREATE_ON_PUSH"],
            "customRoleArn": "arn:aws:iam::111111111111:role/maker",
        }
        answer = await it.call("CreateRepositoryCreationTemplate", **wanted)
        now = it.clock.now()
        shown = wanted | {"createdAt": now, "updatedAt": now}
        assert answer == {"registryId": HOME, "repositoryCreationTemplate": shown}
        await refused("TemplateAlreadyExistsException", create(it, "prod/"), "'prod'")
        it.clock.advance(1)
        changes = {
            "prefix": "prod",
            "imageTagMutability": "MUTABLE",
            "repositoryPolicy": "",
            "resourceTags": [],
        }
        await it.call("UpdateRepositoryCreationTemplate", **changes)
        await it.reopen()
        (found,) = (await it.call("DescribeRepositoryCreationTemplates"))["repositoryCreationTemplates"]
        assert found["imageTagMutability"] == "MUTABLE"
        assert "imageTagMutabilityExclusionFilters" not in found
        assert "repositoryPolicy" not in found
        assert found["description"] == "for production"
        assert found["updatedAt"] == now + 1
        await it.call("DeleteRepositoryCreationTemplate", prefix="prod")
        gone = it.call("DescribeRepositoryCreationTemplates", prefixes=["prod"])
        await refused("TemplateNotFoundException", gone)
        await refused("TemplateNotFoundException", it.call("DeleteRepositoryCreationTemplate", prefix="prod"))

    play(tmp_path, story)


@pytest.mark.parametrize(
    "values",
    [
        {"appliedFor": []},
        {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"},
        {"imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "x"}]},
        {"repositoryPolicy": "{}"},
        {"lifecyclePolicy": "{}"},
        {"resourceTags": [{"Key": "aws:x", "Value": "1"}]},
        {"resourceTags": [{"Key": str(n), "Value": "1"} for n in range(51)]},
        {
            "encryptionConfiguration": {
                "encryptionType": "AES256",
                "kmsKey": "arn:aws:kms:us-east-1:111111111111:key/abc",
            }
        },
        {"prefix": "Not/Valid"},
    ],
)
def test_a_template_that_cannot_be_is_refused_and_changes_nothing(tmp_path, values):
    async def story(it):
        given_values = {"prefix": "prod", "appliedFor": ["REPLICATION"]} | values
        await refused(
            "InvalidParameterException", it.call("CreateRepositoryCreationTemplate", **given_values)
        )
        found = await it.call("DescribeRepositoryCreationTemplates")
        assert found["repositoryCreationTemplates"] == []

    play(tmp_path, story)


def test_a_push_makes_a_repository_only_by_a_template_for_it(tmp_path):
    async def story(it):
        await create(it, ROOT, ("REPLICATION",))
        assert await it.rules.on_push(HOME, REGION, "app") is None
        await create(
            it,
            "prod/team",
            imageTagMutability="MUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "v*"}],
            repositoryPolicy=POLICY,
            lifecyclePolicy=LIFECYCLE,
        )
        await create(it, "prod", resourceTags=[{"Key": "a", "Value": "1"}])
        made = await it.rules.on_push(HOME, REGION, "prod/team/app")
        assert made == it.catalog.find(HOME, REGION, "prod/team/app")
        assert made.mutability_filters == (TagFilter("v*"),)
        assert (json.loads(made.policy), made.lifecycle, made.tags) == (json.loads(POLICY), LIFECYCLE, {})
        assert (await it.rules.on_push(HOME, REGION, "prod/teams")).tags == {"a": "1"}
        assert await it.rules.on_push(HOME, REGION, "product") is None
        assert await it.rules.on_push(HOME, FAR, "prod/app") is None
        assert await it.rules.on_push(HOME, REGION, "prod/teams"), "twice at once is the same one"

    play(tmp_path, story)


PREFIXES = st.sampled_from([ROOT, "a", "a/", "a/b", "ab", "a/b/c"])


@given(st.lists(PREFIXES, unique=True), st.sampled_from(["a/x", "a/b/x", "ab/x", "a/b/c/x", "x", "abc"]))
def test_the_longest_prefix_that_fits_is_chosen(prefixes, name):
    found = [
        Template(account=HOME, region=REGION, prefix=p, created_at=0.0, updated_at=0.0) for p in prefixes
    ]
    chosen = longest(found, name)
    fitting = [p for p in prefixes if name.startswith(namespace(p))]
    assert (chosen is None) == (not fitting)
    if chosen is not None:
        assert len(namespace(chosen.prefix)) == max(len(namespace(p)) for p in fitting)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_match_as_a_regular_expression_would(pattern, text):
    plain = "".join(".*" if c == "*" else re.escape(c) for c in pattern)
    assert wild(pattern, text) == bool(re.fullmatch(plain, text))


def test_a_long_pattern_of_stars_is_quick():
    assert not wild("*a" * 100 + "b", "a" * 5000)
