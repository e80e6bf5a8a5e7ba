"""What a container instance tells of itself."""

from cumulo.base.instances import Host
from cumulo.services.ecs.capacity.instance_attributes import (
    attribute,
    custom_count,
    is_custom,
    located,
    registered_attributes,
)


def a_host(**fields):
    return Host(account="1", region="r", id="i-1", kind="t3.small", vcpus=2, memory_mib=2048, **fields)


def value_of(attributes, name):
    return next((one.get("value") for one in attributes if one["name"] == name), None)


def test_it_tells_where_its_host_ports_are_reached():
    assert value_of(registered_attributes(a_host(address="10.0.0.9"), ()), "cumulo.address") == "10.0.0.9"
    assert value_of(registered_attributes(a_host(), ()), "cumulo.address") is None


def test_a_new_address_takes_the_place_of_the_old_one():
    before = registered_attributes(a_host(address="10.0.0.9"), ("can.do",))
    after = located(before, "10.0.0.7")
    assert value_of(after, "cumulo.address") == "10.0.0.7"
    assert len(after) == len(before)
    assert value_of(located(after, ""), "cumulo.address") is None


def test_it_is_none_of_the_users_own():
    assert not is_custom("cumulo.address")
    assert custom_count([attribute("cumulo.address", "x"), attribute("stack", "blue")]) == 1
