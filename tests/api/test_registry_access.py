"""Who comes in, and which registry a request is about."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.registry_kit import OCI_MANIFEST, Client, RegistryProcess, basic, manifest_of, sha256

pytest_plugins = ("tests.registry_fixtures",)

HERE, THERE = "111111111111", "222222222222"


def host(account: str, region: str, domain: str = "localhost:4566") -> str:
    return f"{account}.dkr.ecr.{region}.{domain}"


def forged(token: str) -> list[str]:
    """Tokens that look nearly like this one."""
    password = base64.b64decode(token).decode().removeprefix("AWS:")
    prefix, payload, signature = password.split(".")
    other = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(payload + "==").replace(b"000000000000", b"111111111111")
    )
    return [
        basic("AWS", one)
        for one in (
            f"{prefix}.{payload}.{signature[:-2]}AA",
            f"{prefix}.{other.decode().rstrip('=')}.{signature}",
            f"{prefix}.{payload}",
            f"{prefix}.{payload}.",
            f"{prefix}.{payload}.{signature}=",
            f"{prefix}..",
            prefix + ".\xe9.x",
        )
    ]


# -- local mode ------------------------------------------------------------------------------------------------


def test_anonymous_clients_and_any_password_come_in(registry: RegistryProcess, name: str):
    for token in ("", basic("AWS", "anything"), basic("me", "secret"), basic("me", "")):
        with registry.client(token=token) as client:
            assert client.ask("GET", "/v2/").status == 200
            client.push_image(name, "v1")


def test_a_good_token_comes_in_and_a_forged_one_does_not(registry: RegistryProcess):
    token = registry.do("token")
    with registry.client(token=token) as client:
        assert client.ask("GET", "/v2/").status == 200
    for bad in forged(token):
        with registry.client(token=bad, host="registry.test:5000") as client:
            answer = client.ask("GET", "/v2/")
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
            assert answer.headers["www-authenticate"] == (
                'Basic realm="http://registry.test:5000/",service="ecr.amazonaws.com"'
            )


@pytest.mark.parametrize("mode", ["registry", "shared"])
def test_a_token_that_has_expired_is_turned_away_with_a_challenge(mode: str, request: pytest.FixtureRequest):
    process: RegistryProcess = request.getfixturevalue(mode)
    with process.client(token=process.do("expired")) as client:
        answer = client.ask("GET", "/v2/")
        assert (answer.status, answer.code) == (401, "DENIED")
        assert answer.message == "Your authorization token has expired. Reauthenticate and try again."
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_other_kinds_of_authorization_are_no_concern_of_local_mode(registry: RegistryProcess, client: Client):
    for header in (
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "x",
    ):
        assert client.ask("GET", "/v2/", headers={"Authorization": header}).status == 200


@pytest.mark.parametrize("domain", ["localhost:4566", "localhost", "amazonaws.com", "amazonaws.com.cn:443"])
def test_a_host_name_says_which_registry(registry: RegistryProcess, domain: str):
    name = f"by-host/{domain.replace(':', '-')}"
    registry.do("repository", name=name, account=HERE, region="eu-west-1")
    with registry.client(host=host(HERE, "eu-west-1", domain)) as client:
        client.push_image(name, "v1")
        assert client.ask("GET", f"/v2/{name}/tags/list").json()["tags"] == ["v1"]
    for other in (
        host(HERE, "eu-west-2", domain),
        host(THERE, "eu-west-1", domain),
        "localhost",
        "127.0.0.1:4566",
    ):
        with registry.client(host=other) as client:
            assert client.ask("GET", f"/v2/{name}/tags/list").code == "NAME_UNKNOWN"


def test_a_mirror_is_told_whose_it_is(registry: RegistryProcess, client: Client):
    name = "by-mirror/app"
    registry.do("repository", name=name, account=HERE, region="eu-west-1")
    with registry.client(host=host(HERE, "eu-west-1")) as owner:
        owner.push_image(name, "v1")
    asked = f"/v2/{name}/manifests/v1?ns={host(HERE, 'eu-west-1', 'amazonaws.com')}"
    assert client.ask("GET", asked).status == 200
    for other in ("", "?ns=docker.io", "?ns=" + host(THERE, "eu-west-1"), "?ns=" + host(HERE, "us-east-1")):
        answer = client.ask("GET", f"/v2/{name}/manifests/v1{other}")
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_a_client_that_says_no_region_means_the_only_one_that_has_the_repository(
    registry: RegistryProcess, client: Client
):
    registry.do("repository", name="only/west", region="us-west-2")
    client.push_image("only/west", "v1")
    assert client.ask("GET", "/v2/only/west/tags/list").json()["tags"] == ["v1"]
    for region in ("us-west-2", "eu-west-1"):
        registry.do("repository", name="west/and-more", region=region)
    assert client.ask("POST", "/v2/west/and-more/blobs/uploads/").code == "NAME_UNKNOWN"
    registry.do("repository", name="west/and-more")  # where the server itself is
    assert client.ask("POST", "/v2/west/and-more/blobs/uploads/").status == 202
    registry.do("repository", name="only/theirs", account=THERE)
    assert client.ask("GET", "/v2/only/theirs/tags/list").code == "NAME_UNKNOWN"
    with registry.client(token=registry.do("token")) as told:
        assert told.ask("GET", "/v2/only/west/tags/list").code == "NAME_UNKNOWN"


def test_without_such_a_host_name_the_token_says_which_registry(registry: RegistryProcess):
    registry.do("repository", name="by-token", account=HERE, region="ap-south-1")
    with registry.client(token=registry.do("token", account=HERE, region="ap-south-1")) as client:
        client.push_image("by-token", "v1")
    with registry.client(token=registry.do("token", account=HERE, region="ap-south-2")) as client:
        assert client.ask("GET", "/v2/by-token/tags/list").code == "NAME_UNKNOWN"


def test_nothing_is_mounted_from_another_registry(registry: RegistryProcess):
    for account in (HERE, THERE):
        registry.do("repository", name="apart", account=account)
    with registry.client(host=host(HERE, "us-east-1")) as client:
        digest = client.push_blob("apart", b"theirs")
    with registry.client(host=host(THERE, "us-east-1")) as client:
        for query in (f"mount={digest}", f"mount={digest}&from=apart"):
            assert client.ask("POST", f"/v2/apart/blobs/uploads/?{query}", b"").status == 202


# -- shared mode -----------------------------------------------------------------------------------------------


def test_nobody_comes_in_without_a_good_token(shared: RegistryProcess):
    token = shared.do("token")
    for bad in ("", basic("AWS", "anything"), basic("me", "secret"), *forged(token)):
        with shared.client(token=bad) as client:
            for method, path in (
                ("GET", "/v2/"),
                ("GET", "/v2/a/manifests/b"),
                ("POST", "/v2/a/blobs/uploads/"),
            ):
                answer = client.ask(method, path)
                assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
                assert answer.headers["www-authenticate"].endswith(',service="ecr.amazonaws.com"')
    with shared.client(token=token) as client:
        assert client.ask("GET", "/v2/").status == 200
    with shared.client() as client:
        assert client.ask("GET", "/v2/", headers={"Authorization": "Bearer x"}).status == 401


def test_a_token_lasts_as_long_as_the_data(shared: RegistryProcess):
    token = shared.do("token")
    shared.kill()
    shared.start()
    with shared.client(token=token) as client:
        assert client.ask("GET", "/v2/").status == 200


def test_another_account_is_denied(shared: RegistryProcess):
    shared.do("repository", name="mine", account=HERE)
    place = host(HERE, "us-east-1")
    with shared.client(token=shared.do("token", account=HERE), host=place) as client:
        digest, _ = client.push_image("mine", "v1")
        config = sha256(b'{"architecture":"amd64","os":"linux"}')
        upload = client.begin("mine")
    manifest = b"{}"
    with shared.client(token=shared.do("token", account=THERE), host=place) as client:
        for method, path, body in (
            ("GET", "/v2/mine/manifests/v1", None),
            ("HEAD", f"/v2/mine/manifests/{digest}", None),
            ("GET", f"/v2/mine/blobs/{config}", None),
            ("GET", "/v2/mine/tags/list", None),
            ("GET", f"/v2/mine/referrers/{digest}", None),
            ("GET", "/v2/_catalog", None),
            ("POST", "/v2/mine/blobs/uploads/", b""),
            ("GET", upload, None),
            ("PATCH", upload, b"x"),
            ("PUT", f"{upload}?digest={digest}", b"x"),
            ("DELETE", upload, None),
            ("PUT", "/v2/mine/manifests/v2", manifest),
            ("DELETE", "/v2/mine/manifests/v1", None),
            ("DELETE", f"/v2/mine/blobs/{config}", None),
        ):
            answer = client.ask(method, path, body)
            assert answer.status == 403, (method, path)
            if method != "HEAD":
                assert answer.code == "DENIED"
    with shared.client(token=shared.do("token", account=HERE), host=place) as client:
        assert client.ask("GET", "/v2/mine/manifests/v1").status == 200
        assert client.ask("GET", upload).status == 204


def test_a_private_blob_is_not_mounted_for_another_account(shared: RegistryProcess):
    shared.do("repository", name="private", account=HERE)
    with shared.client(token=shared.do("token", account=HERE), host=host(HERE, "us-east-1")) as client:
        digest = client.push_blob("private", b"private")
    shared.do("repository", name="other", account=THERE)
    with shared.client(token=shared.do("token", account=THERE), host=host(THERE, "us-east-1")) as client:
        answer = client.ask("POST", f"/v2/other/blobs/uploads/?mount={digest}&from=private", b"")
        assert answer.status == 202


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_pushes_with_the_token_as_it_is(shared: RegistryProcess, tmp_path: Path):
    shared.do("repository", name="curled")
    token = shared.do("token")
    blob = tmp_path / "blob"
    blob.write_bytes(b"{}")
    url = f"http://{shared.address}/v2/curled"

    def curl(*arguments: str) -> str:
        argv = [
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            f"Authorization: Basic {token}",
            *arguments,
        ]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert (
        curl("-X", "POST", "--data-binary", f"@{blob}", f"{url}/blobs/uploads/?digest={sha256(b'{}')}")
        == "201"
    )
    manifest = tmp_path / "manifest"
    manifest.write_text(json.dumps(manifest_of(b"{}")))
    assert curl("-T", str(manifest), "-H", f"Content-Type: {OCI_MANIFEST}", f"{url}/manifests/v1") == "201"
