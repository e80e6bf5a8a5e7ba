"""Pushing, by the distribution specification: each test is one of its sentences."""

import json
import os
import socket

import pytest
from tests.registry_kit import (
    OCI_MANIFEST,
    Client,
    RegistryProcess,
    index_of,
    manifest_of,
    sha256,
)

pytest_plugins = ("tests.registry_fixtures",)

DATA = os.urandom(700_000)
UNKNOWN = sha256(b"never pushed")


def test_a_session_begins_with_202_and_a_location(client: Client, name: str):
    for path in (f"/v2/{name}/blobs/uploads/", f"/v2/{name}/blobs/uploads"):
        answer = client.ask("POST", path, b"")
        assert answer.status == 202
        assert answer.headers["location"].startswith(f"/v2/{name}/blobs/uploads/")
        assert answer.headers["range"] == "0-0"
        assert answer.headers["docker-upload-uuid"] in answer.headers["location"]


def test_a_monolithic_put_is_201_with_a_location_from_which_the_blob_is_pulled(client: Client, name: str):
    digest = sha256(DATA)
    answer = client.ask("PUT", f"{client.begin(name)}?digest={digest}", DATA)
    assert answer.status == 201
    assert answer.headers["docker-content-digest"] == digest
    assert client.ask("GET", answer.headers["location"]).body == DATA


def test_one_post_with_a_digest_may_have_it_all(client: Client, name: str):
    digest = sha256(DATA)
    answer = client.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", DATA)
    assert answer.status == 201
    assert client.ask("GET", answer.headers["location"]).body == DATA
    wrong = client.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", DATA[1:])
    assert (wrong.status, wrong.code) == (400, "DIGEST_INVALID")


def test_chunks_are_202_with_a_location_and_the_range_so_far(client: Client, name: str):
    place = client.begin(name)
    at = 0
    for size in (100_000, 1, 299_999, 300_000):
        answer = client.ask(
            "PATCH",
            place,
            DATA[at : at + size],
            {"Content-Range": f"{at}-{at + size - 1}", "Content-Type": "application/octet-stream"},
        )
        at += size
        assert answer.status == 202, answer.body
        assert answer.headers["range"] == f"0-{at - 1}"
        place = answer.headers["location"]
        status = client.ask("GET", place)
        assert (status.status, status.body) == (204, b"")
        assert status.headers["range"] == f"0-{at - 1}"
        assert status.headers["location"] == place
    answer = client.ask("PUT", f"{place}?digest={sha256(DATA)}", b"")
    assert answer.status == 201
    assert client.ask("GET", answer.headers["location"]).body == DATA


def test_the_last_chunk_may_come_with_the_put(client: Client, name: str):
    place = client.begin(name)
    client.ask("PATCH", place, DATA[:1000], {"Content-Range": "0-999"})
    answer = client.ask(
        "PUT", f"{place}?digest={sha256(DATA)}", DATA[1000:], {"Content-Range": f"1000-{len(DATA) - 1}"}
    )
    assert answer.status == 201
    assert client.ask("GET", answer.headers["location"]).body == DATA


def test_a_chunk_may_be_a_stream_without_a_length(client: Client, name: str):
    place = client.begin(name)
    pieces = (DATA[at : at + 7_777] for at in range(0, len(DATA), 7_777))
    answer = client.ask("PATCH", place, pieces, {"Transfer-Encoding": "chunked"}, chunked=True)
    assert (answer.status, answer.headers["range"]) == (202, f"0-{len(DATA) - 1}")
    assert client.ask("PUT", f"{place}?digest={sha256(DATA)}", b"").status == 201


@pytest.mark.parametrize("wrong", ["0-99", "50-149", "101-200", "1000-1099"])
def test_a_chunk_out_of_order_is_416(client: Client, name: str, wrong: str):
    place = client.begin(name)
    assert client.ask("PATCH", place, DATA[:100], {"Content-Range": "0-99"}).status == 202
    answer = client.ask("PATCH", place, DATA[:100], {"Content-Range": wrong})
    assert (answer.status, answer.code) == (416, "BLOB_UPLOAD_INVALID")
    assert (
        answer.message == f"First byte of the layer part is {wrong.split('-', maxsplit=1)[0]} instead of 100"
    )
    assert answer.headers["range"] == "0-99"
    assert answer.headers["location"] == place
    put = client.ask("PUT", f"{place}?digest={sha256(DATA)}", DATA[:100], {"Content-Range": wrong})
    assert put.status == 416
    # A GET tells where to go on.
    assert client.ask("GET", place).headers["range"] == "0-99"
    assert client.ask("PATCH", place, DATA[100:], {"Content-Range": f"100-{len(DATA) - 1}"}).status == 202
    assert client.ask("PUT", f"{place}?digest={sha256(DATA)}", b"").status == 201


def test_a_first_chunk_that_does_not_begin_at_zero_is_416(client: Client, name: str):
    answer = client.ask("PATCH", client.begin(name), DATA[:10], {"Content-Range": "5-14"})
    assert (answer.status, answer.headers["range"]) == (416, "0-0")


def test_a_content_range_that_cannot_be_read_is_416_and_one_of_another_size_400(client: Client, name: str):
    place = client.begin(name)
    for wrong in ("x-y", "5", "10-5", "bytes=", "0-"):
        assert client.ask("PATCH", place, DATA[:10], {"Content-Range": wrong}).status == 416, wrong
    answer = client.ask("PATCH", place, DATA[:10], {"Content-Range": "0-10"})
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    for size in (9, 11):
        one = client.begin(name)
        answer = client.ask(
            "PATCH",
            one,
            iter([DATA[:size]]),
            {"Content-Range": "0-9", "Transfer-Encoding": "chunked"},
            chunked=True,
        )
        assert (answer.status, answer.code) == (400, "SIZE_INVALID")


def test_a_digest_that_is_not_that_of_the_bytes_is_refused(client: Client, name: str):
    place = client.begin(name)
    answer = client.ask("PUT", f"{place}?digest={UNKNOWN}", DATA)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    for method, path in (("GET", f"/v2/{name}/blobs/{UNKNOWN}"), ("GET", place)):
        assert client.ask(method, path).status == 404


def test_a_put_without_a_digest_is_refused_and_changes_nothing(client: Client, name: str):
    place = client.begin(name)
    client.ask("PATCH", place, b"abc")
    for query in ("", "?digest=", "?digest=sha256:nonsense", "?other=1"):
        answer = client.ask("PUT", place + query, b"")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID"), query
    assert client.ask("PUT", f"{place}?digest={sha256(b'abc')}", b"").status == 201


def test_of_several_digests_one_must_fit(client: Client, name: str):
    place = client.begin(name)
    answer = client.ask("PUT", f"{place}?digest={UNKNOWN}&digest={sha256(b'abc')}", b"abc")
    assert (answer.status, answer.headers["docker-content-digest"]) == (201, sha256(b"abc"))


def test_a_registered_algorithm_besides_sha256_is_taken(client: Client, name: str):
    import hashlib

    digest = f"sha512:{hashlib.sha512(DATA).hexdigest()}"
    answer = client.ask("PUT", f"{client.begin(name)}?digest={digest}", DATA)
    assert (answer.status, answer.headers["docker-content-digest"]) == (201, digest)
    assert client.ask("GET", f"/v2/{name}/blobs/{digest}").body == DATA


def test_an_upload_without_a_byte_cannot_be_completed(client: Client, name: str):
    place = client.begin(name)
    answer = client.ask("PUT", f"{place}?digest={sha256(b'')}", b"")
    assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
    assert answer.message == (
        f"The upload with id '{place.rpartition('/')[2]}' in the repository with name '{name}' in registry with id "
        "'000000000000' cannot be completed because it does not have any parts"
    )


def test_a_blob_that_is_here_already_is_201_again(client: Client, name: str):
    for _ in range(2):
        client.push_blob(name, DATA)


def test_an_upload_can_be_cancelled(client: Client, name: str):
    place = client.begin(name)
    client.ask("PATCH", place, DATA)
    assert client.ask("DELETE", place).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = client.ask(method, place, b"x" if method == "PATCH" else None)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert client.ask("PUT", f"{place}?digest={sha256(DATA)}", b"").code == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_belongs_to_its_repository(client: Client, name: str, new_repository):
    place = client.begin(name)
    other = place.replace(name, new_repository())
    assert client.ask("PATCH", other, b"x").code == "BLOB_UPLOAD_UNKNOWN"


def test_a_push_to_a_repository_that_is_not_there_is_404(client: Client):
    answer = client.ask("POST", "/v2/no/such/blobs/uploads/", b"")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")
    answer = client.ask("PUT", "/v2/no/such/manifests/v1", b"{}", {"Content-Type": OCI_MANIFEST})
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_a_client_that_expects_100_is_told_to_continue_or_that_it_need_not(
    registry: RegistryProcess, client: Client, name: str
):
    def first_line(place: str) -> bytes:
        head = (
            f"PUT {place}?digest={sha256(b'abc')} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", registry.port)) as sock:
            sock.sendall(head.encode())
            line = sock.recv(1000)
            if b" 100 " in line:
                sock.sendall(b"abc")
                assert sock.recv(1000).startswith(b"HTTP/1.1 201")
            return line

    assert first_line(client.begin(name)).startswith(b"HTTP/1.1 100 Continue")
    assert first_line(f"/v2/{name}/blobs/uploads/00000000-0000-4000-8000-000000000000").startswith(
        b"HTTP/1.1 404"
    )


# -- mounting ----------------------------------------------------------------------------------------------


def test_a_blob_is_mounted_with_201_and_a_location(client: Client, name: str, new_repository):
    digest = client.push_blob(name, DATA)
    for source in (f"&from={name}", ""):  # without `from` the registry looks for itself
        target = new_repository()
        answer = client.ask("POST", f"/v2/{target}/blobs/uploads/?mount={digest}{source}", b"")
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/{target}/blobs/{digest}")
        assert answer.headers["docker-content-digest"] == digest
        assert client.ask("GET", answer.headers["location"]).body == DATA
    again = client.ask("POST", f"/v2/{target}/blobs/uploads/?mount={digest}&from={name}", b"")
    assert again.status == 201


def test_a_blob_that_cannot_be_mounted_begins_a_session(client: Client, name: str, new_repository):
    here = client.push_blob(new_repository(), b"elsewhere")
    for query in (
        f"mount={UNKNOWN}&from={name}",
        f"mount={UNKNOWN}",
        f"mount={here}&from=no/such",
        f"mount={here}&from=NOT!",
    ):
        answer = client.ask("POST", f"/v2/{name}/blobs/uploads/?{query}", b"")
        assert answer.status == 202, query
        assert client.ask("PUT", f"{answer.headers['location']}?digest={sha256(b'x')}", b"x").status == 201
    assert (
        client.ask("POST", f"/v2/{name}/blobs/uploads/?mount=nonsense&from={name}", b"").code
        == "DIGEST_INVALID"
    )


# -- manifests ---------------------------------------------------------------------------------------------


def test_a_manifest_is_201_with_a_location_from_which_it_is_pulled(client: Client, name: str):
    client.push_blob(name, b"{}")
    data = json.dumps(manifest_of(b"{}")).encode()
    for reference in ("v1", "_x.Y-z" + "0" * 122, sha256(data)):
        answer = client.ask("PUT", f"/v2/{name}/manifests/{reference}", data, {"Content-Type": OCI_MANIFEST})
        assert answer.status == 201, answer.body
        assert answer.headers["docker-content-digest"] == sha256(data)
        assert client.ask("GET", answer.headers["location"]).body == data


def test_a_manifest_of_another_digest_is_refused(client: Client, name: str):
    client.push_blob(name, b"{}")
    data = json.dumps(manifest_of(b"{}")).encode()
    answer = client.ask("PUT", f"/v2/{name}/manifests/{UNKNOWN}", data, {"Content-Type": OCI_MANIFEST})
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_a_manifest_whose_blobs_are_missing_is_refused(client: Client, name: str):
    data = json.dumps(manifest_of(b"{}", b"layer")).encode()
    answer = client.ask("PUT", f"/v2/{name}/manifests/v1", data, {"Content-Type": OCI_MANIFEST})
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    data = json.dumps(index_of((UNKNOWN, 3, "amd64"))).encode()
    answer = client.ask("PUT", f"/v2/{name}/manifests/v1", data)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert client.ask("GET", f"/v2/{name}/manifests/v1").status == 404


def test_what_is_no_manifest_is_refused(client: Client, name: str):
    for data in (b"", b"{", b"[]", b'{"schemaVersion": 1}', b'{"schemaVersion": 2}', b"\xff\xfe"):
        answer = client.ask("PUT", f"/v2/{name}/manifests/v1", data, {"Content-Type": OCI_MANIFEST})
        assert (answer.status, answer.code) == (405, "UNSUPPORTED"), data


def test_a_manifest_that_is_too_large_is_413_and_one_of_4_mib_is_not(client: Client, name: str):
    client.push_blob(name, b"{}")
    most = 4 * 1024 * 1024

    def padded(size: int) -> bytes:
        data = json.dumps(manifest_of(b"{}", annotations={"a": ""})).encode()
        return data.replace(b'"a": ""', b'"a": "' + b"x" * (size - len(data)) + b'"')

    answer = client.ask("PUT", f"/v2/{name}/manifests/large", padded(most), {"Content-Type": OCI_MANIFEST})
    assert answer.status == 201, answer.body
    answer = client.ask(
        "PUT", f"/v2/{name}/manifests/larger", padded(most + 1), {"Content-Type": OCI_MANIFEST}
    )
    assert (answer.status, answer.code) == (413, "SIZE_INVALID")


def test_a_tag_that_cannot_be_one_is_refused(client: Client, name: str):
    client.push_blob(name, b"{}")
    data = json.dumps(manifest_of(b"{}")).encode()
    for tag in (".hidden", "-x", "a" * 129, "a%20b", "%C3%A9"):
        answer = client.ask("PUT", f"/v2/{name}/manifests/{tag}", data, {"Content-Type": OCI_MANIFEST})
        assert (answer.status, answer.code) == (405, "UNSUPPORTED"), tag


def test_a_tag_moves_to_what_is_pushed_last(client: Client, name: str):
    first, _ = client.push_image(name, "latest", b"one")
    second, _ = client.push_image(name, "latest", b"two")
    assert client.ask("HEAD", f"/v2/{name}/manifests/latest").headers["docker-content-digest"] == second
    assert client.ask("HEAD", f"/v2/{name}/manifests/{first}").status == 200


def test_an_immutable_tag_stays(client: Client, new_repository):
    name = new_repository(mutability="IMMUTABLE")
    client.push_image(name, "v1", b"one")
    client.push_blob(name, b"two")
    data = json.dumps(manifest_of(b'{"architecture":"amd64","os":"linux"}', b"two")).encode()
    answer = client.ask("PUT", f"/v2/{name}/manifests/v1", data, {"Content-Type": OCI_MANIFEST})
    assert (answer.status, answer.code) == (400, "TAG_INVALID")
    assert answer.message == (
        f"The image tag 'v1' already exists in the '{name}' repository and cannot be overwritten because the tag is "
        "immutable."
    )


def test_the_same_image_and_tag_once_more_is_201(client: Client, name: str):
    assert client.push_image(name, "v1") == client.push_image(name, "v1")


def test_a_manifest_with_a_subject_is_kept_also_when_the_subject_is_not_here(client: Client, name: str):
    client.push_blob(name, b"{}")
    about = {"mediaType": OCI_MANIFEST, "digest": UNKNOWN, "size": 3}
    data = json.dumps(manifest_of(b"{}", subject=about)).encode()
    for _ in range(2):
        answer = client.ask(
            "PUT", f"/v2/{name}/manifests/{sha256(data)}", data, {"Content-Type": OCI_MANIFEST}
        )
        assert (answer.status, answer.headers["oci-subject"]) == (201, UNKNOWN)
    plain = client.ask(
        "PUT",
        f"/v2/{name}/manifests/v1",
        json.dumps(manifest_of(b"{}")).encode(),
        {"Content-Type": OCI_MANIFEST},
    )
    assert "oci-subject" not in plain.headers
