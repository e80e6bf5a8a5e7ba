"""Pulling, by the distribution specification: each test is one of its sentences."""

import json

import pytest
from tests.registry_kit import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Client,
    RegistryProcess,
    index_of,
    manifest_of,
    sha256,
)

pytest_plugins = ("tests.registry_fixtures",)

UNKNOWN = sha256(b"never pushed")
BOTH = pytest.mark.parametrize("method", ["GET", "HEAD"])


def test_a_registry_that_implements_the_specification_answers_200_at_v2(client: Client):
    for path in ("/v2/", "/v2"):
        answer = client.ask("GET", path)
        assert answer.status == 200
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


def test_a_manifest_that_exists_is_answered_with_200_and_exactly_its_bytes(client: Client, name: str):
    digest, data = client.push_image(name, "v1")
    for reference in ("v1", digest):
        answer = client.ask("GET", f"/v2/{name}/manifests/{reference}")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["content-type"] == OCI_MANIFEST
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-length"] == str(len(data))


def test_a_manifest_is_stored_in_the_exact_byte_representation_of_the_client(client: Client, name: str):
    client.push_blob(name, b"{}")
    data = b"\n\t" + json.dumps(manifest_of(b"{}"), indent=3).encode() + b"  \n"
    answer = client.ask("PUT", f"/v2/{name}/manifests/odd", data, {"Content-Type": OCI_MANIFEST})
    assert answer.status == 201
    assert answer.headers["docker-content-digest"] == sha256(data)
    assert client.ask("GET", f"/v2/{name}/manifests/odd").body == data


@BOTH
def test_a_manifest_that_is_not_found_is_404(client: Client, name: str, method: str):
    for reference in ("nothing", UNKNOWN, "." + "x" * 200):
        answer = client.ask(method, f"/v2/{name}/manifests/{reference}")
        assert answer.status == 404
        if method == "GET":
            assert (answer.code, answer.message) == ("MANIFEST_UNKNOWN", "Requested image not found")


@BOTH
def test_a_repository_that_is_not_found_is_404(client: Client, method: str):
    for path in ("manifests/latest", f"manifests/{UNKNOWN}", f"blobs/{UNKNOWN}"):
        answer = client.ask(method, f"/v2/no/such/{path}")
        assert answer.status == 404
        if method == "GET":
            assert answer.code == "NAME_UNKNOWN"
            assert answer.message == (
                "The repository with name 'no/such' does not exist in the registry with id '000000000000'"
            )


def test_head_of_a_manifest_says_what_get_would_without_the_bytes(client: Client, name: str):
    digest, data = client.push_image(name, "v1")
    for reference in ("v1", digest):
        answer = client.ask("HEAD", f"/v2/{name}/manifests/{reference}")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(data))
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-type"] == OCI_MANIFEST


def test_an_index_is_pulled_as_what_it_was_pushed_as(client: Client, name: str):
    digest, data = client.push_image(name, "v1")
    for kind in (OCI_INDEX, DOCKER_LIST):
        one, body = client.push_manifest(name, "many", index_of((digest, len(data), "amd64"), kind=OCI_INDEX))
        answer = client.ask("GET", f"/v2/{name}/manifests/many", headers={"Accept": f"{kind}, {OCI_INDEX}"})
        assert (answer.headers["content-type"], answer.body) == (OCI_INDEX, body)
        assert answer.headers["docker-content-digest"] == one


def docker_image(client: Client, name: str, tag: str, layer: bytes) -> tuple[str, int, str]:
    config = b'{"architecture":"%s","os":"linux"}' % tag.encode()
    client.push_blob(name, config)
    client.push_blob(name, layer)
    digest, data = client.push_manifest(name, tag, manifest_of(config, layer, kind=DOCKER_MANIFEST))
    return digest, len(data), tag


def test_a_client_that_knows_no_index_gets_the_image_for_linux_on_amd64(client: Client, name: str):
    arm, amd = (docker_image(client, name, tag, tag.encode()) for tag in ("arm64", "amd64"))
    listed, _ = client.push_manifest(name, "many", index_of(arm, amd, kind=DOCKER_LIST))
    only_images = {"Accept": f"{DOCKER_MANIFEST}; q=0.9, {OCI_MANIFEST}"}
    for method in ("GET", "HEAD"):
        answer = client.ask(method, f"/v2/{name}/manifests/many", headers=only_images)
        assert answer.headers["docker-content-digest"] == amd[0]
        assert answer.headers["content-type"] == DOCKER_MANIFEST
    # A digest says exactly what is wanted, and who takes anything, or says nothing that we know, gets what the tag names.
    assert (
        client.ask("GET", f"/v2/{name}/manifests/{listed}", headers=only_images).headers["content-type"]
        == DOCKER_LIST
    )
    for accept in (
        "*/*",
        "application/json",
        f"{DOCKER_LIST}, {DOCKER_MANIFEST}",
        f"{DOCKER_MANIFEST}, */*;q=0.1",
    ):
        answer = client.ask("GET", f"/v2/{name}/manifests/many", headers={"Accept": accept})
        assert answer.headers["docker-content-digest"] == listed


def test_a_blob_that_exists_is_answered_with_200_and_its_bytes(client: Client, name: str):
    for data in (b"small", bytes(range(256)) * 1000):
        digest = client.push_blob(name, data)
        answer = client.ask("GET", f"/v2/{name}/blobs/{digest}")
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-length"] == str(len(data))
        head = client.ask("HEAD", f"/v2/{name}/blobs/{digest}")
        assert (head.status, head.headers["content-length"]) == (200, str(len(data)))


@BOTH
def test_a_blob_that_is_not_found_is_404(client: Client, name: str, method: str):
    answer = client.ask(method, f"/v2/{name}/blobs/{UNKNOWN}")
    assert answer.status == 404
    if method == "GET":
        assert answer.code == "BLOB_UNKNOWN"


def test_a_blob_of_another_repository_is_not_shown(client: Client, name: str, new_repository):
    digest = client.push_blob(new_repository(), b"somebody else's")
    assert client.ask("GET", f"/v2/{name}/blobs/{digest}").status == 404


@BOTH
def test_what_is_no_digest_is_refused(client: Client, name: str, method: str):
    for digest in ("sha256:totallywrong", "sha256:" + "A" * 64, "md5:" + "a" * 32, "nonsense"):
        answer = client.ask(method, f"/v2/{name}/blobs/{digest}")
        assert answer.status == 400
        if method == "GET":
            assert answer.code == "DIGEST_INVALID"
    assert client.ask("GET", f"/v2/{name}/manifests/sha256:bad").code == "DIGEST_INVALID"


def test_a_name_that_cannot_be_one_is_refused(client: Client):
    for wrong in ("Upper", "a//b", "-a", "a__", "a" * 257, "a%20b", "%2e%2e/etc"):
        answer = client.ask("GET", f"/v2/{wrong}/manifests/latest")
        assert (answer.status, answer.code) == (400, "NAME_INVALID"), wrong


SIZE = 300_000


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        ("bytes=5-999999999", 5, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
        ("bytes=1000-250000", 1000, 250_000),
    ],
)
def test_a_range_of_a_blob_is_206_and_that_part(client: Client, name: str, asked: str, first: int, last: int):
    data = bytes(range(251)) * (SIZE // 251 + 1)
    data = data[:SIZE]
    digest = client.push_blob(name, data)
    answer = client.ask("GET", f"/v2/{name}/blobs/{digest}", headers={"Range": asked})
    assert (answer.status, answer.body) == (206, data[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["content-length"] == str(last - first + 1)


def test_a_range_that_has_no_byte_is_416(client: Client, name: str):
    digest = client.push_blob(name, b"0123456789")
    for asked in ("bytes=10-", "bytes=99-100", "bytes=-0"):
        answer = client.ask("GET", f"/v2/{name}/blobs/{digest}", headers={"Range": asked})
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10"), asked
    for ignored in ("bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4"):
        answer = client.ask("GET", f"/v2/{name}/blobs/{digest}", headers={"Range": ignored})
        assert (answer.status, answer.body) == (200, b"0123456789"), ignored


def test_a_client_that_has_it_is_told_so(client: Client, name: str):
    digest, _ = client.push_image(name, "v1")
    blob = client.push_blob(name, b"0123456789")
    for path, tag in (("manifests/v1", digest), (f"blobs/{blob}", blob)):
        answer = client.ask("GET", f"/v2/{name}/{path}")
        assert answer.headers["etag"] == f'"{tag}"'
        for said in (f'"{tag}"', f'"x", W/"{tag}"', "*"):
            again = client.ask("GET", f"/v2/{name}/{path}", headers={"If-None-Match": said})
            assert (again.status, again.body) == (304, b"")
        assert client.ask("GET", f"/v2/{name}/{path}", headers={"If-None-Match": '"x"'}).status == 200
    part = {"Range": "bytes=0-3"}
    assert (
        client.ask("GET", f"/v2/{name}/blobs/{blob}", headers=part | {"If-Range": f'"{blob}"'}).status == 206
    )
    assert client.ask("GET", f"/v2/{name}/blobs/{blob}", headers=part | {"If-Range": '"x"'}).status == 200


def test_an_image_in_the_archive_is_404(registry: RegistryProcess, client: Client, name: str):
    client.push_image(name, "v1")
    registry.do("archive", name=name, tag="v1")
    assert client.ask("GET", f"/v2/{name}/manifests/v1").code == "MANIFEST_UNKNOWN"


def test_what_the_specification_does_not_know_is_refused(client: Client, name: str):
    assert client.ask("GET", f"/v2/{name}/nonsense").status == 404
    answer = client.ask("POST", f"/v2/{name}/manifests/v1", b"")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}
    assert client.ask("GET", "/v2/?" + "&".join(f"a{n}=1" for n in range(200))).status == 400
