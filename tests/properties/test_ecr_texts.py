"""ECR's texts: policies as it writes them, ranges of layers, and manifests of any kind."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.ecr import manifests, policy_text
from cumulo.services.ecr.downloads import span
from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
keys = [
    "schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations",
    "digest", "size",
]  # fmt: skip
values = (
    st.none()
    | st.integers(-1, 2)
    | st.text(max_size=3)
    | st.just("sha256:" + "0" * 64)
    | st.just(OCI_MANIFEST)
)
documents = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(keys), inner, max_size=8),
    max_leaves=16,
)


@given(plain)
def test_what_is_written_reads_as_what_it_was(document):
    assert json.loads(policy_text.pretty(document)) == document


@settings(max_examples=300)
@given(plain | st.fixed_dictionaries({"Version": st.just("2012-10-17"), "Statement": plain}))
def test_a_policy_is_read_or_refused(document):
    caught = None
    try:
        assert policy_text.read(json.dumps(document)) == document
    except AwsError as error:
        caught = error
    assert caught is None or caught.code == "InvalidParameterException"


@settings(max_examples=500)
@given(documents, st.sampled_from(["", DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX]))
def test_a_manifest_is_read_or_refused(document, media_type):
    caught, read = None, None
    if isinstance(document, dict):
        document["schemaVersion"] = 2
    try:
        read = manifests.parse(json.dumps(document).encode(), media_type)
    except AwsError as error:
        caught = error
    if caught is not None:
        assert caught.code == "InvalidParameterException"
        return
    blobs = [*([read.config] if read.config else []), *read.layers, *read.children]
    assert all(manifests.is_digest(blob.digest) and blob.size >= 0 for blob in blobs)
    assert (read.config is None) == ("manifests" in document)


@given(
    st.text("0123456789-=bytes, ", max_size=12) | st.from_regex(r"bytes=\d{0,3}-\d{0,3}"), st.integers(0, 300)
)
def test_a_range_lies_within_its_file(asked, size):
    found = span(asked, size)
    assert found is None or 0 <= found[0] <= found[1] < size
