"""Whatever stands in a manifest, a lifecycle policy or a repository policy: it is taken, or refused by name."""

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.ecr import lifecycle_rules, manifests, policy_text
from cumulo.services.ecr.rules import policy

DIGEST = "sha256:" + "a" * 64
IMAGE = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "artifactType": "application/x",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": 2}],
    "subject": {"mediaType": "application/x", "digest": DIGEST, "size": 2},
    "annotations": {"a": "b"},
}
INDEX = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [{"mediaType": "application/x", "digest": DIGEST, "size": 2, "platform": {"os": "linux"}}],
}
LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "old",
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": ["a"],
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 3,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3},
            "action": {"type": "expire"},
        },
    ]
}
POLICY = {
    "Version": "2012-10-17",
    "Id": "all",
    "Statement": [
        {
            "Sid": "one",
            "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam::123456789012:root"], "Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage"],
            "Condition": {"StringEquals": {"aws:SourceAccount": ["123456789012"]}},
        }
    ],
}
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from([[[]], [{}], [None], ["x"], {"x": 1}, "*", "archive", "transition", "sinceImagePulled", DIGEST]),
)  # fmt: skip


def places(value, path=()):
    """Where something stands in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from places(one, (*path, key))


@st.composite
def spoiled(draw, document):
    """A document with a few places changed, emptied, doubled or added, as text."""
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([*places(made), ()]))
        if not path:
            break
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        change = draw(st.sampled_from(["put", "drop", "double", "add"]))
        if change == "drop":
            del holder[path[-1]]
        elif change == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        elif change == "add" and isinstance(holder, dict):
            names = ["x", "", "NotAction", "Resource", "storageClass", "targetStorageClass", "tagPatternList"]
            holder[draw(st.sampled_from(names))] = copy.deepcopy(draw(ATOMS))
        else:
            holder[path[-1]] = copy.deepcopy(draw(ATOMS))
        if not list(places(made)):
            break
    return json.dumps(made)


def taken_or_refused(read, text):
    """What was read, or None: any other error than this one ends the test."""
    try:
        return read(text)
    except AwsError as error:
        if error.code != "InvalidParameterException":
            raise
        return None


@given(spoiled(LIFECYCLE))
def test_a_lifecycle_policy_is_taken_or_refused(text):
    if taken_or_refused(lifecycle_rules.read, text) is not None:
        assert lifecycle_rules.read(lifecycle_rules.normal(text)) == lifecycle_rules.read(text)


@given(st.sampled_from([IMAGE, INDEX]).flatmap(spoiled), st.sampled_from(["", IMAGE["mediaType"], "x/y"]))
def test_a_manifest_is_taken_or_refused(text, media_type):
    taken_or_refused(lambda one: manifests.parse(one.encode(), media_type), text)


@given(spoiled(POLICY))
def test_a_repository_policy_is_taken_or_refused(text):
    document = taken_or_refused(policy_text.read, text)
    if document is not None:
        policy_text.locks_out(document)
        assert json.loads(policy_text.pretty(document)) == document


@given(spoiled(POLICY | {"Statement": [POLICY["Statement"][0] | {"Resource": "*"}]}))
def test_a_registry_policy_is_taken_or_found_at_fault(text):
    for scope in ("V1", "V2"):
        assert isinstance(policy.fault(text, scope=scope), str)
