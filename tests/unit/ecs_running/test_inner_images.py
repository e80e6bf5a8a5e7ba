"""Which registries a shared cloud does not ask for a task's image."""

import pytest

from cumulo.services.ecs.running.images import is_inner


@pytest.mark.parametrize(
    "uri",
    ["localhost/x", "localhost:5000/x", "a.localhost/x", "LOCALHOST:1/x", "127.0.0.1:6379/x", "127.1:80/x", "0x7f.1:80/x",
     "2130706433:80/x", "0:80/x", "10.0.0.1/x", "192.168.1.1:5000/x:1", "172.17.0.1/x", "169.254.169.254/latest:1",
     "100.64.0.1/x", "[::1]:80/x", "[fd00::1]/x", "127.0.0.1./x",
     "evil.localhost:80/111122223333.dkr.ecr.us-east-1.localhost/x"],
)  # fmt: skip
def test_registries_of_the_machine_and_its_network_are_inner(uri: str):
    assert is_inner(uri)


@pytest.mark.parametrize(
    "uri",
    ["busybox", "library/busybox:1", "docker.io/library/busybox", "ghcr.io/a/b@sha256:0", "8.8.8.8/x",
     "111122223333.dkr.ecr.us-east-1.localhost:4566/x:1", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a/b",
     "public.ecr.aws/x/y", "registry.example.com:5000/x"],
)  # fmt: skip
def test_registries_of_the_world_and_our_own_are_not(uri: str):
    assert not is_inner(uri)
