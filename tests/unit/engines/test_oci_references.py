"""Names of images mean what they mean to Docker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines.oci.references import BadReference, parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:4566/app:v1", "localhost:4566/app:v1"),
        (
            "000000000000.dkr.ecr.us-east-1.localhost:4566/a/b:x",
            "000000000000.dkr.ecr.us-east-1.localhost:4566/a/b:x",
        ),
        ("host.example/a/b/c:v.1_x-y", "host.example/a/b/c:v.1_x-y"),
        ("host.example:5000/app", "host.example:5000/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("Registry/app", "Registry/app:latest"),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine@{DIGEST}"),
        (f"host.example/app:v1@{DIGEST}", f"host.example/app:v1@{DIGEST}"),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/a__b/c.d--e:1",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/a__b/c.d--e:1",
        ),
    ],
)
def test_short_forms_are_spelled_out(text, full):
    assert str(parse(text)) == full
    assert parse(full) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":tag",
        "app:",
        "app:-x",
        "App",
        "a/B",
        "app@sha256:short",
        "app@md5:" + "a" * 32,
        "a//b",
        "/a",
        "a/",
        "a/../b",
        "a___b",
        "-host.example/a",
        "host.example:99999/a",
        "http://host.example/a",
        "user@host.example/a",
        "a" * 64,
        "a\nb",
        "app\n",
        "app:x\n",
        "a/" * 130 + "b",
        "app:" + "t" * 129,
    ],
)
def test_what_names_no_image_is_refused(text):
    with pytest.raises(BadReference) as error:
        parse(text)
    assert error.value.kind == "not-found"


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_refused(text):
    try:
        found = parse(text)
    except BadReference:
        return
    assert parse(str(found)) == found
