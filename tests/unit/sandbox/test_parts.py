"""The parts of the launcher that decide without doing: names, subnets, filters, findings, messages."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from cumulo.sandbox import cell, filters, messages, network, rootfs, syscalls, volumes
from cumulo.sandbox.contract import Isolation, SandboxSpec, StartError
from cumulo.sandbox.launcher import CellLauncher, Limits
from cumulo.sandbox.opening import claim, open_launcher
from cumulo.sandbox.plain import PlainLauncher
from cumulo.sandbox.probe import Finding, Report, judge, probe

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_routes_are_read_with_their_bytes_the_right_way_round():
    networks, ways = network.parse_routes(ROUTES)
    assert networks == [(0xC0A80200, 0xFFFFFF00)]
    assert ways == ["eth0"]


def test_a_subnet_that_is_taken_is_passed_over():
    first = network.free_subnet("i", [])
    second = network.free_subnet("i", [((10 << 24) | (first << 16) | (5 << 8), 0xFFFFFF00)])
    assert first != second
    assert {first, second} <= set(network.SUBNETS)


def test_when_all_of_10_is_taken_there_is_no_subnet():
    with pytest.raises(OSError, match="no 10"):
        network.free_subnet("i", [(10 << 24, 0xFF000000)])


def test_addresses_never_meet_the_gateway_or_the_broadcast():
    addresses = {network.address(200, serial) for serial in range(network.HOSTS + 10)}
    assert len(addresses) == network.HOSTS
    assert not addresses & {"10.200.0.0", "10.200.0.1", "10.200.255.255"}


def test_link_names_fit():
    assert len(network.link_name("a-long-instance-name", 2**40)) <= 15
    assert len(network.bridge_name("a-long-instance-name")) <= 15


def test_no_call_is_both_allowed_and_refused():
    assert not set(syscalls.ALLOWED) & set(syscalls.REFUSED)
    assert len(set(syscalls.ALLOWED)) == len(syscalls.ALLOWED)
    by_argument = {"clone", "socket", "socketpair", "personality", "ioctl", "clone3"}
    assert not by_argument & (set(syscalls.ALLOWED) | set(syscalls.REFUSED))


def test_the_filter_is_a_program_of_whole_instructions():
    try:
        program = filters.build()
    except filters.FilterError as error:
        pytest.skip(str(error))
    assert len(program) % 8 == 0
    assert 100 < len(program) // 8 < 4096  # the kernel takes no more


def test_messages_carry_descriptors():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    with ours, theirs:
        messages.send(ours, messages.encode({"a": ["ü", 1]}), (writing,))
        os.close(writing)
        raw, fds = messages.receive(theirs)
        assert messages.decode(raw) == {"a": ["ü", 1]}
        assert not os.get_inheritable(fds[0])
        os.write(fds[0], b"through")
        messages.close_all(fds)
        assert os.read(reading, 100) == b"through"
        os.close(reading)
        ours.close()
        assert messages.receive(theirs) == (b"", [])


def test_a_message_too_long_is_refused_before_it_is_sent():
    with pytest.raises(ValueError, match="too long"):
        messages.encode({"a": "x" * messages.MESSAGE_BYTES_MAX})


def test_a_sparse_copy_has_the_same_bytes_and_the_same_holes(tmp_path: Path):
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        for at in (0, 10 << 20, (64 << 20) - 5):
            file.seek(at)
            file.write(b"bytes")
    volumes.copy_sparse(str(source), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert (tmp_path / "target").stat().st_blocks * 512 < 1 << 20


def test_an_image_has_room_for_what_was_asked():
    assert volumes.image_mib(512) == 512 + 17 + 8


def test_the_last_words_of_pid_1_are_understood():
    raw = cell.EXITED + b"\x03\0\0\0\0\0\0\0\1\2"
    assert cell.parse_exit(raw) == (3, 0, True, 2)


def test_name_servers_on_loopback_are_of_no_use_inside():
    assert "nameserver 127." not in rootfs.resolver_text()


@pytest.mark.parametrize(
    ("good", "expected"),
    [
        ({"namespaces", "users", "limits", "seccomp"}, Isolation.FULL),
        ({"namespaces", "users", "limits"}, Isolation.PARTIAL),
        ({"namespaces"}, Isolation.PARTIAL),
        ({"users", "limits", "seccomp"}, Isolation.NONE),
    ],
)
def test_findings_amount_to_a_level(good: set[str], expected: Isolation):
    findings = [
        Finding(name, name in good, "") for name in ("namespaces", "users", "limits", "seccomp", "tmp")
    ]
    assert judge(findings) == expected


def test_every_finding_that_is_bad_says_how_to_fix_it():
    report = probe()
    assert report.findings
    for finding in report.findings:
        assert finding.detail
        assert finding.ok or finding.fix


def test_where_nothing_is_possible_plain_processes_must_do(tmp_path: Path):
    nothing = Report(
        Isolation.NONE, privileged=False, findings=(Finding("namespaces", False, "no", "get some"),)
    )

    async def opened(kind: str):
        return await open_launcher(data=tmp_path, instance="i", cloud_port=1, kind=kind, report=nothing)

    launcher = asyncio.run(opened("auto"))
    assert isinstance(launcher, PlainLauncher)
    asyncio.run(launcher.close())
    with pytest.raises(OSError, match="no"):
        asyncio.run(opened("namespaces"))


def test_an_instance_is_locked_once(tmp_path: Path):
    lock = claim(tmp_path, "one")
    with pytest.raises(Exception, match="is running"):
        claim(tmp_path, "one", seconds_max=0.05)
    os.close(claim(tmp_path, "two"))
    os.close(lock)
    os.close(claim(tmp_path, "one"))


def test_without_a_command_nothing_is_started(tmp_path: Path):
    async def never():
        raise AssertionError

    launcher = CellLauncher(
        connect=never, cloud_port=1, isolation=Isolation.FULL, limits=Limits(), reap=lambda: None
    )
    given = SandboxSpec(
        name="n", argv=(), env={}, code=tmp_path, memory_mib=1, vcpus=1, tmp_name="t", tmp_mib=1
    )
    with pytest.raises(StartError) as caught:
        asyncio.run(launcher.start(given))
    assert caught.value.kind == "Runtime.InvalidEntrypoint"


def test_a_warden_that_cannot_start_is_a_start_error(tmp_path: Path):
    async def refused():
        raise OSError("not here")

    launcher = CellLauncher(
        connect=refused, cloud_port=1, isolation=Isolation.FULL, limits=Limits(), reap=lambda: None
    )
    given = SandboxSpec(
        name="n", argv=("x",), env={}, code=tmp_path, memory_mib=1, vcpus=1, tmp_name="t", tmp_mib=1
    )
    with pytest.raises(StartError, match="no warden: not here"):
        asyncio.run(launcher.start(given))
