"""Stacks that would make nothing are refused, in whatever way their template comes."""

import asyncio
import json

import pytest

from cumulo.base.errors import AwsError
from cumulo.companions.guards import Call
from cumulo.companions.stacks import StackTypes, place_of, unmade

MAKERS = ("ECS", "ElasticLoadBalancingV2")
CLUSTER = json.dumps({"Resources": {"C": {"Type": "AWS::ECS::Cluster"}}})
YAML = """
Description: a stack with no AWS::ECS::Cluster in its words
Resources:
  Balancer:
    Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer'
  Again: {Type: AWS::ECS::Service}
"""
PLAIN = "Resources: {B: {Type: AWS::S3::Bucket}}\nDescription: beside AWS::ECS::Service"


class Inner:
    """A guard that remembers what came to it."""

    def __init__(self):
        self.seen = []

    async def before(self, call):
        self.seen.append(call.action)

    def after(self, call, *, done):
        self.seen.append((call.action, done))


class Objects:
    """An S3 with one object."""

    async def read_object(self, caller, bucket, key, version, *, bytes_max):
        if (bucket, key) != ("assets", "a/b.json"):
            raise AwsError("NoSuchKey", "no", status=404)
        return CLUSTER.encode()


def asked(action="CreateStack", **form):
    inner = Inner()
    guard = StackTypes(inner, MAKERS, Objects())
    asyncio.run(guard.before(Call("000000000000", "us-east-1", action, form)))
    return inner.seen


def test_types_are_found_where_they_are_types():
    assert unmade(CLUSTER, frozenset(MAKERS)) == ["AWS::ECS::Cluster"]
    assert unmade(YAML, frozenset(MAKERS)) == [
        "AWS::ECS::Service",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
    ]
    assert unmade(PLAIN, frozenset(MAKERS)) == []


@pytest.mark.parametrize("action", ["CreateStack", "UpdateStack", "CreateChangeSet", "CreateStackSet"])
@pytest.mark.parametrize(
    "form", [{"TemplateBody": CLUSTER}, {"TemplateURL": "https://assets.s3.us-east-1.amazonaws.com/a/b.json"}]
)
def test_a_stack_with_such_resources_is_refused_by_name(action, form):
    with pytest.raises(AwsError) as caught:
        asked(action, **form)
    assert caught.value.code == "ValidationError"
    assert caught.value.message.startswith(
        "Template format error: Unrecognized resource types: [AWS::ECS::Cluster]."
    )


def test_everything_else_passes():
    assert asked(TemplateBody=PLAIN) == ["CreateStack"]
    assert asked("DeleteStack", StackName="x") == ["DeleteStack"]
    assert asked(TemplateURL="https://assets.s3.amazonaws.com/nothing") == ["CreateStack"]
    assert asked(TemplateURL="http://[") == ["CreateStack"]
    assert asked() == ["CreateStack"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://b.s3.eu-west-1.amazonaws.com/k/x.yml", ("b", "k/x.yml")),
        ("https://a.b.s3-eu-west-1.amazonaws.com/k%20x", ("a.b", "k x")),
        ("https://s3.amazonaws.com/b/k", ("b", "k")),
        ("http://127.0.0.1:4566/b/k", ("b", "k")),
        ("http://127.0.0.1:4566/b", None),
        ("", None),
    ],
)
def test_urls_name_buckets_and_keys(url, place):
    assert place_of(url) == place
