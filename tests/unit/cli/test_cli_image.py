"""cumulo image: which builder, what it is told, what an archive's images are called."""

from pathlib import Path

import click
import pytest

from cumulo.cli import builders
from cumulo.cli.image import _image_id, _variable
from cumulo.cli.image_push import NothingToPush, names
from cumulo.engines.images import Reference
from cumulo.engines.oci.archives import Packed

WISH = builders.Wish(
    name="localhost/x:latest",
    context="ctx",
    dockerfile="ctx/D",
    target="t",
    arguments=("A=1",),
    no_cache=True,
)
ARCHIVE, REGISTRIES = Path("/a/image.tar"), Path("/a/registries.conf")
OPTIONS = ["--file", "ctx/D", "--target", "t", "--no-cache", "--build-arg", "A=1", "ctx"]


def test_docker_builds_saves_and_forgets():
    steps = builders.steps("docker", WISH, ARCHIVE, REGISTRIES)
    assert steps.build == ["docker", "build", "--tag", "localhost/x:latest", *OPTIONS]
    assert steps.save == ["docker", "save", "--output", "/a/image.tar", "localhost/x:latest"]
    assert steps.forget == ["docker", "image", "rm", "--force", "localhost/x:latest"]
    assert steps.env == {}


@pytest.mark.parametrize(("builder", "verb"), [("buildah", "bud"), ("podman", "build")])
def test_buildah_and_podman_write_an_oci_archive_and_know_the_registry(builder, verb):
    steps = builders.steps(builder, WISH, ARCHIVE, REGISTRIES)
    assert steps.build == [builder, verb, "--tag", "localhost/x:latest", *OPTIONS]
    assert steps.save == [builder, "push", "localhost/x:latest", "oci-archive:/a/image.tar"]
    assert steps.env["CONTAINERS_REGISTRIES_CONF"] == "/a/registries.conf"


def test_the_first_builder_that_works_is_taken_and_a_wanted_one_is_not_replaced():
    assert builders.choose("auto", lambda name: name != "docker") == "buildah"
    assert builders.choose("auto", lambda _: False) is None
    assert builders.choose("podman", lambda name: name == "docker") is None


def test_only_the_clouds_own_registry_is_spoken_to_without_tls():
    text = builders.registries_text("http://127.0.0.1:4566", (), "unqualified-search-registries = []")
    assert text.startswith("unqualified-search-registries = []")
    assert text.count("insecure = true") == 2
    assert 'location = "localhost:4566"' in text
    assert builders.registries_text("https://cloud.example", (), "x") == "x"


def packed(number: int, *references: str) -> Packed:
    return Packed(Reference("archive", "image", digest=f"sha256:{number:064x}"), references)


def test_an_image_is_called_as_the_archive_or_the_user_says():
    one, two = packed(1, "docker.io/library/alpine:3"), packed(2, "docker.io/team/app")
    assert names([one, two], None) == [(one.reference, "alpine", "3"), (two.reference, "team/app", "latest")]
    assert names([one], "mine") == [(one.reference, "mine", "latest")]
    assert names([one], "mine:v2") == [(one.reference, "mine", "v2")]


@pytest.mark.parametrize(
    ("found", "name", "says"),
    [
        ([], None, "no image"),
        ([packed(1)], None, "no name"),
        ([packed(1, "h.io/a:1"), packed(2, "h.io/b:1")], "x", "2 images"),
        ([packed(1, "h.io/a:1")], "x:-", "no tag"),
    ],
)
def test_what_cannot_be_named_is_said(found, name, says):
    with pytest.raises(NothingToPush, match=says):
        names(found, name)


def test_images_are_removed_by_tag_or_digest():
    assert _image_id("a/b:1") == ("a/b", {"imageTag": "1"})
    assert _image_id("a/b@sha256:00") == ("a/b", {"imageDigest": "sha256:00"})
    with pytest.raises(click.UsageError, match="names no image"):
        _image_id("a/b")


def test_a_variable_without_a_value_takes_that_of_the_caller(monkeypatch):
    monkeypatch.setenv("MINE", "7")
    assert _variable("MINE") == ("MINE", "7")
    assert _variable("A=b=c") == ("A", "b=c")
