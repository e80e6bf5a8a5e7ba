"""The logins of docker, podman and skopeo are found, and nothing is made of what cannot be read."""

import base64
import json

import pytest

from cumulo.engines.images import Login
from cumulo.engines.oci.credentials import find_login


def auth(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def kept(tmp_path):
    """Writes ~/.docker/config.json, and gives the environment that leads to it."""

    def write(value):
        folder = tmp_path / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))
        return {"HOME": str(tmp_path)}

    return write


def test_a_login_is_found_by_its_host_however_it_is_spelled(kept):
    environ = kept({"auths": {"https://quay.io/v1/": auth("ada", "a:b"), "localhost:5000": auth("bob", "c")}})
    assert find_login("quay.io", environ) == Login("ada", "a:b")
    assert find_login("localhost:5000", environ) == Login("bob", "c")
    assert find_login("localhost", environ) is None


def test_docker_hub_has_a_name_of_its_own(kept):
    environ = kept({"auths": {"https://index.docker.io/v1/": auth("ada", "x")}})
    assert find_login("docker.io", environ) == Login("ada", "x")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"auths": 7}', '{"auths": {"quay.io": {"auth": "%%"}}}', "\xff"]
)
def test_what_cannot_be_read_holds_no_login(kept, text):
    assert find_login("quay.io", kept(text)) is None
    assert find_login("quay.io", {}) is None


def test_other_files_come_first(kept, tmp_path):
    environ = kept({"auths": {"quay.io": auth("docker", "1")}})
    named = tmp_path / "auth.json"
    named.write_text(json.dumps({"auths": {"quay.io": auth("skopeo", "2")}}))
    assert find_login("quay.io", environ | {"REGISTRY_AUTH_FILE": str(named)}) == Login("skopeo", "2")


def test_a_helper_is_asked(kept, tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-vault"
    helper.write_text('#!/bin/sh\nread host\necho "{\\"Username\\": \\"u-$host\\", \\"Secret\\": \\"s\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    environ = kept({"credHelpers": {"quay.io": "vault"}, "auths": {"other.io": auth("a", "b")}})
    assert find_login("quay.io", environ) == Login("u-quay.io", "s")
    assert find_login("other.io", environ) == Login("a", "b")
    assert find_login("quay.io", kept({"credsStore": "../vault"})) is None
