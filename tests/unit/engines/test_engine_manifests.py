"""References, indexes and configurations of images."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines import manifests
from cumulo.engines.images import Platform, PullError


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3", "docker.io/library/alpine:3"),
        ("team/app", "docker.io/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("000000000000.dkr.ecr.us-east-1.localhost:4566/a/b:x", "000000000000.dkr.ecr.us-east-1.localhost:4566/a/b:x"),
        ("h.io/a@sha256:" + "0" * 64, "h.io/a@sha256:" + "0" * 64),
        ("h.io/a:t@sha256:" + "0" * 64, "h.io/a:t@sha256:" + "0" * 64),
    ],
)  # fmt: skip
def test_references(text: str, full: str) -> None:
    assert str(manifests.parse_reference(text)) == full
    assert str(manifests.parse_reference(full)) == full


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a b", "h.io/", "h.io/a:", "h.io/a@sha256:1", "h.io/../a", "a:-x"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(PullError) as caught:
        manifests.parse_reference(text)
    assert caught.value.kind == "not-found"


@given(st.text())
def test_any_text_is_a_reference_or_a_pull_error(text: str) -> None:
    with contextlib.suppress(PullError):
        assert manifests.parse_reference(text).repository


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["config", "rootfs", "manifests", "digest", "Env", "diff_ids"]) | st.text(), x
            )
        ),
    ).map(lambda x: json.dumps(x).encode())
)
def test_nonsense_is_a_corrupt_image(raw: bytes) -> None:
    for read in (
        manifests.configured,
        lambda r: manifests.choose(manifests.document(r, "index"), Platform(architecture="amd64")),
    ):
        with contextlib.suppress(PullError):
            read(raw)


def test_the_platform_of_this_machine_is_chosen() -> None:
    def item(architecture: str, n: int, **more: str) -> dict[str, object]:
        where = {"architecture": architecture, "os": "linux"} | more
        return {"mediaType": "m", "digest": f"sha256:{n:064d}", "size": 1, "platform": where}

    index = {"manifests": [item("amd64", 1, os="windows"), item("arm64", 2, variant="v8"), item("amd64", 3)]}
    assert manifests.choose(index, Platform(architecture="amd64")).digest.endswith("3")
    assert manifests.choose(index, Platform(architecture="arm64")).digest.endswith("2")
    with pytest.raises(PullError, match="s390x"):
        manifests.choose(index, Platform(architecture="s390x"))
