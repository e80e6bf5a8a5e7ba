"""Where a shared cloud's requests may lead, by address."""

import pytest

from cumulo.net.outside import Outside

PORT = 4566
REACHED = Outside(PORT)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.53", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]
)
def test_the_machine_itself_is_reached_at_the_clouds_port_alone(address):
    assert REACHED(address, PORT)
    assert not REACHED(address, PORT + 1)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "2002:a9fe:a9fe::", "fe80::1", "fe80::1%eth0", "0.0.0.0",
     "0.1.2.3", "::", "224.0.0.1", "ff02::1", "fd00:ec2::254", "100.100.100.200"],
)  # fmt: skip
def test_what_is_on_the_link_and_what_is_nobody_is_never_reached(address):
    assert not REACHED(address, 80)
    assert not REACHED(address, PORT)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "10.1.2.3", "192.168.1.1", "2606:2800:220:1::1", "127.66.3.4"]
)
def test_all_else_is_reached(address):
    assert REACHED(address, 80)
