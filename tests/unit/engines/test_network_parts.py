"""The pure parts of pods' networks: addresses, names of links, rules, ports, exceptions, records."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines.engine import NetworkMode, Port, StartFailed
from cumulo.engines.local import addresses, firewall, flows, reservations, rules
from cumulo.engines.local.addresses import Addresses
from cumulo.engines.local.network_records import Record, Records
from cumulo.engines.local.reservations import Mapped, Reservations
from cumulo.engines.local.rules import Ruleset
from cumulo.sandbox import network as cells

NFT = shutil.which("nft") or ""


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=60))
def test_no_address_is_given_twice_and_all_can_be_given(steps: list[int | None]) -> None:
    given_, free = Addresses(10), set(range(10))
    for step in steps:
        if step is not None:
            given_.give_back(step)
            free.add(step)
        elif free:
            serial = given_.take()
            assert serial in free
            free.discard(serial)
        else:
            with pytest.raises(OSError, match="in use"):
                given_.take()
    assert {serial for serial in range(10) if not given_.is_used(serial)} == free


def test_an_address_that_was_given_back_is_the_last_to_be_given_again() -> None:
    some = Addresses(4)
    assert [some.take(), some.take()] == [0, 1]
    some.give_back(0)
    assert [some.take(), some.take(), some.take()] == [2, 3, 0]


def test_an_address_that_is_held_is_not_given() -> None:
    some = Addresses(4)
    assert some.hold(1)
    assert not some.hold(1)
    assert not some.hold(4)
    assert not some.hold(-1)
    assert [some.take(), some.take(), some.take()] == [2, 3, 0]


@given(st.text(min_size=1), st.integers(0, cells.HOSTS - 1), st.integers(0, 2**28))
def test_links_have_names_that_the_kernel_takes_and_no_cell_has(
    instance: str, serial: int, cell: int
) -> None:
    name = addresses.link_name(instance, serial)
    assert len(name) <= 15
    assert addresses.is_link(instance, name)
    assert len(addresses.bridge_name(instance)) <= 15
    others = (cells.link_name(instance, cell), cells.bridge_name(instance), addresses.bridge_name(instance))
    assert not any(addresses.is_link(instance, other) for other in others)


@given(st.integers(180, 251), st.integers(0, cells.HOSTS - 1))
def test_no_pod_has_the_address_of_the_gateway_or_of_all(subnet: int, serial: int) -> None:
    address = addresses.pod_address(subnet, serial)
    assert address not in (rules.gateway(subnet), f"10.{subnet}.0.0", f"10.{subnet}.255.255")
    assert len(addresses.hardware(address)) == 6


PORT = st.builds(
    Port,
    container=st.integers(1, 65535),
    host=st.integers(1, 65535),
    protocol=st.sampled_from(["tcp", "udp"]),
    address=st.sampled_from(["0.0.0.0", "127.0.0.1", "192.0.2.1"]),
)


@pytest.mark.skipif(not NFT, reason="no nft on this machine")
@pytest.mark.parametrize("dns_port", [53, 5353])
@pytest.mark.parametrize("host_ports", [frozenset(), frozenset({80, 4566})])
def test_nft_takes_the_rules(dns_port: int, host_ports: frozenset[int]) -> None:
    ports = (
        Port(container=80, host=8080),
        Port(container=53, host=8053, protocol="udp", address="127.0.0.1"),
    )
    for mapped in ({}, {"10.251.0.2": ports}):
        wanted = Ruleset(
            table="cumulo_check_pods", bridge="cucheckpbr", subnet=251, mapped=mapped,
            host_ports=host_ports, dns_port=dns_port,
        )  # fmt: skip
        done = subprocess.run(
            [NFT, "-c", "-f", "-"], input=rules.whole(wanted), text=True, capture_output=True, check=False
        )
        if "Operation not permitted" in done.stderr:
            pytest.skip("only root may ask nft")
        assert done.returncode == 0, done.stderr


@given(st.lists(PORT, unique_by=lambda port: (port.protocol, port.address, port.host), max_size=8))
def test_each_port_is_in_one_map(ports: list[Port]) -> None:
    text = rules.ports_only(
        Ruleset(table="t", bridge="b", subnet=200, mapped={"10.200.0.2": tuple(ports)} if ports else {})
    )
    assert text.count(" : 10.200.0.2 . ") == len(ports)
    assert text.count("flush map") == 2
    for port in ports:
        key = f"{port.protocol} . {port.host} : 10.200.0.2 . {port.container}"
        assert (key if port.address == "0.0.0.0" else f"{port.address} . {key}") in text


def test_ports_of_other_instances_are_read_from_the_maps() -> None:
    text = """{"nftables": [{"metainfo": {"version": "1.0.6"}},
      {"map": {"family": "inet", "name": "ports_any", "table": "cumulo_aaaaaa_pods", "type": ["inet_proto"], "elem":
        [[{"concat": ["tcp", 8080]}, {"concat": ["10.1.0.2", 80]}]]}},
      {"map": {"family": "inet", "name": "ports_at", "table": "cumulo_aaaaaa_pods", "elem":
        [[{"concat": ["127.0.0.1", "udp", 53]}, {"concat": ["10.1.0.2", 53]}]]}},
      {"map": {"family": "inet", "name": "ports_any", "table": "cumulo_bbbbbb_pods"}},
      {"map": {"family": "inet", "name": "ports_any", "table": "cumulo_own000_pods", "elem":
        [[{"concat": ["tcp", 1]}, {"concat": ["10.1.0.2", 80]}]]}},
      {"map": {"family": "inet", "name": "other", "table": "somebody", "elem": [[1, 2]]}}]}"""
    found = reservations.parse_maps(text, "cumulo_own000_pods")
    assert found == {Mapped("tcp", "0.0.0.0", 8080), Mapped("udp", "127.0.0.1", 53)}
    assert reservations.parse_maps("", "x") == frozenset()


def test_all_ports_are_taken_or_none() -> None:
    some = Reservations()
    (first,) = some.take((Port(container=80),), frozenset())
    with pytest.raises(StartFailed, match=f"tcp port {first.host}"):
        some.take((Port(container=1), Port(container=80, host=first.host)), frozenset())
    assert some.take_again((first,)) == []
    some.give_back((first,))
    assert some.take((first,), frozenset()) == (first,)
    some.close()


def test_a_free_port_is_none_that_leads_elsewhere() -> None:
    some = Reservations()
    (first,) = some.take((Port(container=80),), frozenset())
    some.give_back((first,))
    elsewhere = frozenset(Mapped("tcp", "0.0.0.0", port) for port in range(1, 65536))
    with pytest.raises(StartFailed, match="no free tcp port"):
        some.take((Port(container=80),), elsewhere)
    with pytest.raises(StartFailed, match="another Cumulo"):
        some.take((first,), elsewhere)
    some.close()


FORWARD = """table ip filter {
	chain FORWARD { # handle 1
		type filter hook forward priority filter; policy drop;
		counter packets 0 bytes 0 jump DOCKER-USER # handle 7
	}
}"""


def test_exceptions_are_made_where_the_host_drops_and_only_once() -> None:
    user = "chain DOCKER-USER { # handle 3\n counter return # handle 4\n}"
    expected = [
        'insert rule ip filter DOCKER-USER iifname "cuxpbr" counter accept',
        'insert rule ip filter DOCKER-USER oifname "cuxpbr" counter accept',
    ]
    assert firewall.needed({"FORWARD": FORWARD, "DOCKER-USER": user}, "cuxpbr") == expected
    assert firewall.needed({"FORWARD": FORWARD}, "cuxpbr") == [
        line.replace("DOCKER-USER", "FORWARD") for line in expected
    ]
    there = user + '\niifname "cuxpbr" counter accept # handle 8\noifname "cuxpbr" counter accept # handle 9'
    assert firewall.needed({"FORWARD": FORWARD, "DOCKER-USER": there}, "cuxpbr") == []
    assert firewall.needed({"FORWARD": FORWARD.replace("drop", "accept")}, "cuxpbr") == []
    assert firewall.needed({}, "cuxpbr") == []
    assert firewall.needed({"INPUT": "policy drop"}, "cuxpbr") == [
        'insert rule ip filter INPUT iifname "cuxpbr" counter accept'
    ]
    assert firewall.ours({"FORWARD": FORWARD, "DOCKER-USER": there}, "cuxpbr") == [
        "delete rule ip filter DOCKER-USER handle 8",
        "delete rule ip filter DOCKER-USER handle 9",
    ]


def test_records_come_back_and_what_cannot_be_read_does_not(tmp_path: Path) -> None:
    records = Records(tmp_path / "pods")
    assert records.load() == {}
    record = Record(
        pod="a", mode=NetworkMode.BRIDGE, serial=3, names=("web",), ports=(Port(container=80, host=8080),)
    )
    records.save(record)
    records.save(Record(pod="b", mode=NetworkMode.NONE))
    (tmp_path / "pods" / "c.json").write_bytes(b'{"pod":')
    (tmp_path / "pods" / "d.json").write_bytes(b'{"pod":"e","mode":"none"}')
    assert records.load() == {"a": record, "b": Record(pod="b", mode=NetworkMode.NONE)}
    records.drop("a")
    records.drop("a")
    assert list(records.load()) == ["b"]


def test_the_subnet_comes_back(tmp_path: Path) -> None:
    records = Records(tmp_path / "pods")
    assert records.subnet() == 0
    records.save_subnet(201)
    assert records.subnet() == 201
    records.forget_all()
    assert not records.folder.exists()


def test_flows_to_a_mapped_port_are_stale_and_no_others() -> None:
    def flow(
        protocol: int = 17, port: int = 53, replier: str = "127.0.0.1", replied: str = "127.0.0.1"
    ) -> flows.Flow:
        return flows.Flow(protocol, "127.0.0.1", "127.0.0.1", port, replier, replied, b"")

    def stale(what: flows.Flow) -> bool:
        return flows.is_stale(what, {53}, "10.200.0.2")

    assert stale(flow())  # from before there was a mapping
    assert stale(flow(replier="10.200.0.2", replied="10.200.0.1"))  # to the pod
    assert not stale(flow(protocol=6))
    assert not stale(flow(port=54))
    assert not stale(flow(replier="10.200.0.3", replied="10.200.0.1"))  # to another pod
    assert not stale(flow(replied="192.0.2.1"))  # on its way out, as the host


@given(st.binary(max_size=200))
def test_any_bytes_are_a_flow_or_none(data: bytes) -> None:
    found = flows.parse(data)
    assert found is None or found.port < 65536
