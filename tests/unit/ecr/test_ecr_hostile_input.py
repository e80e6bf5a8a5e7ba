"""Every operation with every member spoiled: refused by name, quickly, and nothing is changed."""

import asyncio
import base64
import json

import pytest
from botocore.exceptions import ClientError
from ecr_kit import sha
from tests.door_kit import SESSION, whole

from cumulo.wire.http import BytesBody, Headers, Request

MODEL = SESSION.get_service_model("ecr")
BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"\xff":1}',
    b'{"x":NaN}',
    b"{}\n{}",
)
VALUES = (
    None, True, -1, 1.5, 1e308, 2**63, 10**40, "", "\0", "\ud800", "\u00fc\U0001f600", "a" * 70_000, "../../etc/passwd",
    [], {}, [None], [[]], [{}], [1], ["\ud800"], [{"imageDigest": 1}], {"imageTag": []}, {"x": 1}, ["x"] * 1001,
    [{"imageTag": "\0", "imageDigest": sha(b"")}], '{"rules":' + "[" * 20_000, '{"rules":[{"rulePriority":[]}]}',
    '{"schemaVersion":2,"mediaType":[],"layers":{}}', '{"Version":[],"Statement":{"Effect":[[]],"Principal":[]}}',
)  # fmt: skip


def asked(it, operation, body):
    lines = {
        "host": "127.0.0.1:4566",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
        "authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20260101/eu-west-1/ecr/aws4_request, "
        "SignedHeaders=host, Signature=00",
    }
    headers = Headers([(name.encode(), value.encode()) for name, value in lines.items()])
    return asyncio.run(whole(it.door, Request("POST", "/", "", headers, BytesBody(body))))


def seen(ecr):
    """What there is."""
    found = [ecr.describe_repositories()["repositories"]]
    for repository in found[0]:
        name = repository["repositoryName"]
        found += [ecr.list_images(repositoryName=name)["imageIds"]]
        found += [ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]]
        for ask in (ecr.get_lifecycle_policy, ecr.get_repository_policy):
            try:
                found.append(ask(repositoryName=name))
            except ClientError as error:
                found.append(error.response["Error"]["Code"])
    return [
        {k: v for k, v in one.items() if k != "ResponseMetadata"} if isinstance(one, dict) else one
        for one in found
    ]


def good_values(it, ecr):
    """A value for each member, with which most operations would do something."""
    return {
        "repositoryName": "app",
        "imageIds": [{"imageTag": "v1"}],
        "imageId": {"imageTag": "v1"},
        "imageManifest": "{}",
        "lifecyclePolicyText": json.dumps({"rules": []}).ljust(100),
        "policyText": "{}",
        "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"],
        "partFirstByte": 0,
        "partLastByte": 3,
        "layerPartBlob": base64.b64encode(b"data").decode(),
        "layerDigests": [sha(b"data")],
        "layerDigest": sha(b"data"),
        "resourceArn": "arn:aws:ecr:eu-west-1:123456789012:repository/app",
        "tags": [{"Key": "a", "Value": "b"}],
        "tagKeys": ["a"],
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "subjectId": {"imageDigest": sha(b"data")},
        "targetStorageClass": "STANDARD",
    }


@pytest.mark.parametrize("operation", sorted(MODEL.operation_names))
def test_spoiled_requests_are_refused_and_change_nothing(it, ecr, operation):
    ecr.create_repository(repositoryName="app", tags=[{"Key": "team", "Value": "shop"}])
    it.push("app", "v1")
    good = good_values(it, ecr)
    shape = MODEL.operation_model(operation).input_shape
    base = {name: good[name] for name in shape.required_members if name in good}
    requests = [*BODIES]
    for name in shape.members:
        requests += [json.dumps(base | {name: value}).encode() for value in VALUES]
        requests.append(json.dumps({key: value for key, value in base.items() if key != name}).encode())
    before, changed = seen(ecr), False
    for body in requests:
        answer = asked(it, operation, body)
        assert answer.status < 500 or answer.status == 501, (body[:200], answer.body)
        assert answer.status == 200 or b'"__type"' in answer.body, (body[:200], answer.body)
        changed = changed or answer.status == 200
    if not changed:
        assert seen(ecr) == before
