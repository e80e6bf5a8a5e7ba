"""Content discovery and management, by the distribution specification: each test is one of its sentences."""

import json
import re

from tests.registry_kit import (
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


def pages(client: Client, path: str, member: str) -> list[list[str]]:
    """Follow the Link headers."""
    found = []
    while path:
        answer = client.ask("GET", path)
        assert answer.status == 200
        found.append(answer.json()[member])
        link = answer.headers.get("link", "")
        match = re.fullmatch(r'<(/v2/[^>]+)>; rel="next"', link)
        assert bool(match) == bool(link)
        path = match[1] if match else ""
    return found


def test_the_tags_of_a_repository_are_in_lexical_order(client: Client, name: str):
    for tag in ("b", "a10", "a1", "B2", "_x", "1.0", "1.0-rc"):
        client.push_image(name, tag)
    answer = client.ask("GET", f"/v2/{name}/tags/list")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {"name": name, "tags": ["1.0", "1.0-rc", "_x", "a1", "a10", "b", "B2"]}


def test_a_page_has_at_most_n_tags_and_a_link_to_the_next(client: Client, name: str):
    tags = [f"t{n:02}" for n in range(10)]
    for tag in tags:
        client.push_image(name, tag)
    for n in (1, 3, 9, 10, 11, 99999):
        found = pages(client, f"/v2/{name}/tags/list?n={n}", "tags")
        assert [tag for page in found for tag in page] == tags
        assert [len(page) for page in found[:-1]] == [n] * (len(found) - 1)
        assert len(found) == -(-10 // n)


def test_last_is_where_a_page_begins_without_it(client: Client, name: str):
    for tag in ("a", "b", "c", "d"):
        client.push_image(name, tag)
    for last, n, wanted in (("a", 2, ["b", "c"]), ("bb", 2, ["c", "d"]), ("d", 2, []), ("", 1, ["a"])):
        answer = client.ask("GET", f"/v2/{name}/tags/list?n={n}&last={last}")
        assert answer.json()["tags"] == wanted
    assert client.ask("GET", f"/v2/{name}/tags/list?last=b").json()["tags"] == ["c", "d"]


def test_when_n_is_zero_the_list_is_empty_and_there_is_no_link(client: Client, name: str):
    client.push_image(name, "v1")
    answer = client.ask("GET", f"/v2/{name}/tags/list?n=0")
    assert (answer.status, answer.json()["tags"]) == (200, [])
    assert "link" not in answer.headers


def test_an_n_that_is_no_number_is_refused(client: Client, name: str):
    for n in ("-1", "x", "1.5", "%D9%A3", "9" * 30):
        assert client.ask("GET", f"/v2/{name}/tags/list?n={n}").status == 400


def test_the_tags_of_a_repository_that_is_not_there_are_404(client: Client, name: str):
    assert client.ask("GET", "/v2/no/such/tags/list").code == "NAME_UNKNOWN"
    assert client.ask("GET", f"/v2/{name}/tags/list").json() == {"name": name, "tags": []}


def test_the_catalog_lists_repositories_in_pages(registry: RegistryProcess, client: Client):
    made = [registry.do("repository", name=f"cat/{n}", account="111122223333") for n in range(5)]
    with registry.client(host="111122223333.dkr.ecr.us-east-1.localhost:1") as there:
        assert there.ask("GET", "/v2/_catalog").json() == {"repositories": made}
        assert pages(there, "/v2/_catalog?n=2", "repositories") == [made[:2], made[2:4], made[4:]]
        assert there.ask("GET", "/v2/_catalog?n=2&last=cat/3").json() == {"repositories": ["cat/4"]}
    assert "cat/0" not in client.ask("GET", "/v2/_catalog?n=1000").json()["repositories"]


# -- referrers ---------------------------------------------------------------------------------------------


def push_referrer(client: Client, name: str, subject: str, kind: str, **more) -> str:
    client.push_blob(name, b"{}")
    about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 3}
    manifest = manifest_of(b"{}", subject=about, **more) | ({"artifactType": kind} if kind else {})
    return push_by_digest(client, name, manifest)


def push_by_digest(client: Client, name: str, manifest) -> str:
    return client.push_manifest(name, sha256(json.dumps(manifest).encode()), manifest)[0]


def test_referrers_are_an_index_of_descriptors(client: Client, name: str):
    subject, _ = client.push_image(name, "v1")
    first = push_referrer(client, name, subject, "application/x-signature", annotations={"by": "me"})
    second = push_referrer(client, name, subject, "")
    answer = client.ask("GET", f"/v2/{name}/referrers/{subject}")
    assert (answer.status, answer.headers["content-type"]) == (200, OCI_INDEX)
    index = answer.json()
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    found = {one["digest"]: one for one in index["manifests"]}
    assert found.keys() == {first, second}
    assert found[first]["artifactType"] == "application/x-signature"
    assert found[first]["annotations"] == {"by": "me"}
    # Without an artifact type of its own, an image manifest has that of its configuration.
    assert found[second]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    for one in found.values():
        pulled = client.ask("GET", f"/v2/{name}/manifests/{one['digest']}")
        assert (pulled.headers["content-type"], len(pulled.body)) == (one["mediaType"], one["size"])


def test_an_index_can_refer_too(client: Client, name: str):
    subject, data = client.push_image(name, "v1")
    about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": len(data)}
    made = push_by_digest(
        client, name, index_of((subject, len(data), "amd64"), subject=about, artifactType="a/b")
    )
    (one,) = client.ask("GET", f"/v2/{name}/referrers/{subject}").json()["manifests"]
    assert (one["digest"], one["mediaType"], one["artifactType"]) == (made, OCI_INDEX, "a/b")


def test_referrers_are_filtered_by_artifact_type_and_the_answer_says_so(client: Client, name: str):
    made = {kind: push_referrer(client, name, UNKNOWN, kind) for kind in ("a/one", "a/two+x")}
    for asked, kind in (("a/one", "a/one"), ("a%2Ftwo%2Bx", "a/two+x")):
        answer = client.ask("GET", f"/v2/{name}/referrers/{UNKNOWN}?artifactType={asked}")
        assert answer.headers["oci-filters-applied"] == "artifactType"
        assert [one["digest"] for one in answer.json()["manifests"]] == [made[kind]]
    nothing = client.ask("GET", f"/v2/{name}/referrers/{UNKNOWN}?artifactType=a/three")
    assert (nothing.status, nothing.json()["manifests"]) == (200, [])
    assert "oci-filters-applied" not in client.ask("GET", f"/v2/{name}/referrers/{UNKNOWN}").headers


def test_a_digest_that_nothing_refers_to_has_an_empty_index_and_no_404(client: Client, name: str):
    for place in (name, "no/such"):
        answer = client.ask("GET", f"/v2/{place}/referrers/{sha256(b'nothing refers to this')}")
        assert (answer.status, answer.headers["content-type"]) == (200, OCI_INDEX)
        assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def test_a_digest_that_is_none_is_400(client: Client, name: str):
    answer = client.ask("GET", f"/v2/{name}/referrers/sha256:nonsense")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_referrers_that_would_be_too_large_for_one_index_come_in_pages(client: Client, name: str):
    made = {
        push_referrer(client, name, UNKNOWN, "a/b", annotations={"n": str(n), "x": "y" * 1_500_000})
        for n in range(4)
    }
    found: list[str] = []
    path, count = f"/v2/{name}/referrers/{UNKNOWN}?artifactType=a/b", 0
    while path:
        answer = client.ask("GET", path)
        assert len(answer.body) <= 4 * 1024 * 1024
        assert answer.headers["oci-filters-applied"] == "artifactType"
        found += [one["digest"] for one in answer.json()["manifests"]]
        link = answer.headers.get("link", "")
        path, count = link[1 : link.index(">")] if link else "", count + 1
    assert (set(found), len(found), count) == (made, 4, 2)


# -- deleting ----------------------------------------------------------------------------------------------


def test_a_deleted_tag_is_202_and_then_404(client: Client, name: str):
    digest, _ = client.push_image(name, "one")
    client.push_image(name, "two")
    answer = client.ask("DELETE", f"/v2/{name}/manifests/one")
    assert answer.status == 202
    assert client.ask("GET", f"/v2/{name}/manifests/one").status == 404
    assert client.ask("DELETE", f"/v2/{name}/manifests/one").code == "MANIFEST_UNKNOWN"
    assert client.ask("GET", f"/v2/{name}/manifests/{digest}").status == 200
    assert client.ask("GET", f"/v2/{name}/tags/list").json()["tags"] == ["two"]


def test_a_deleted_manifest_is_202_and_then_404_with_its_tags(client: Client, name: str):
    digest, _ = client.push_image(name, "one")
    client.push_image(name, "two")
    assert client.ask("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
    for reference in (digest, "one", "two"):
        assert client.ask("GET", f"/v2/{name}/manifests/{reference}").status == 404
    assert client.ask("DELETE", f"/v2/{name}/manifests/{digest}").status == 404


def test_a_deleted_referrer_is_no_longer_listed(client: Client, name: str):
    made = push_referrer(client, name, UNKNOWN, "a/b")
    assert client.ask("DELETE", f"/v2/{name}/manifests/{made}").status == 202
    assert client.ask("GET", f"/v2/{name}/referrers/{UNKNOWN}").json()["manifests"] == []


def test_an_image_that_an_index_needs_is_not_deleted(client: Client, name: str):
    digest, data = client.push_image(name, "v1")
    client.push_manifest(name, "many", index_of((digest, len(data), "amd64")))
    answer = client.ask("DELETE", f"/v2/{name}/manifests/{digest}")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert client.ask("GET", f"/v2/{name}/manifests/{digest}").status == 200


def test_a_deleted_blob_is_202_and_then_404_unless_an_image_needs_it(client: Client, name: str):
    loose = client.push_blob(name, b"loose")
    assert client.ask("DELETE", f"/v2/{name}/blobs/{loose}").status == 202
    assert client.ask("GET", f"/v2/{name}/blobs/{loose}").code == "BLOB_UNKNOWN"
    assert client.ask("DELETE", f"/v2/{name}/blobs/{loose}").code == "BLOB_UNKNOWN"
    digest, _ = client.push_image(name, "v1", b"needed")
    needed = sha256(b"needed")
    answer = client.ask("DELETE", f"/v2/{name}/blobs/{needed}")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert client.ask("DELETE", f"/v2/{name}/manifests/{digest}").status == 202
    assert client.ask("DELETE", f"/v2/{name}/blobs/{needed}").status == 202


def test_what_to_delete_must_be_spelled_right(client: Client, name: str):
    assert client.ask("DELETE", f"/v2/{name}/manifests/sha256:x").code == "DIGEST_INVALID"
    assert client.ask("DELETE", f"/v2/{name}/blobs/sha256:x").code == "DIGEST_INVALID"
    assert client.ask("DELETE", "/v2/no/such/manifests/v1").code == "NAME_UNKNOWN"
