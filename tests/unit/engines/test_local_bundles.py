"""From a spec to the runtime's config.json: the rules, without a container."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.engines.engine import ContainerSpec, EngineError, ExecSpec, Limits, PodSpec, Ulimit
from cumulo.engines.images import Config
from cumulo.engines.local import bundle, hostfiles, probe, seccomp
from cumulo.engines.local.bundle import Bound, Device, Surroundings
from cumulo.engines.local.capabilities import DEFAULT, KNOWN, BadCapability, granted, names_of
from cumulo.engines.local.needs import Connection
from cumulo.engines.local.preparing import clean
from cumulo.engines.local.runtime import exit_code, failure
from cumulo.engines.local.users import UnknownUser, User, look_up
from cumulo.engines.local.volumes import check_name

PASSWD = "# comment\nroot:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\nbroken\nodd:x:x:1::/:\n12:x:55:55::/twelve:\n"
GROUP = "root:x:0:\nanna:x:1000:\nwheel:x:10:anna,bob\nextra:x:77:anna,root\nbad:x:zz:anna\n"


def around(**changes):
    values = {
        "image": Config(),
        "rootfs": "/r",
        "hostname": "h",
        "namespace": "/ns",
        "cgroup": "/g/p/c",
        "user": User(),
        "capabilities": DEFAULT,
        "architecture": "amd64",
    } | changes
    return Surroundings(**values)


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (None, None, ("e", "1", "c")),
        (None, ("x",), ("e", "1", "x")),
        (("n",), None, ("n",)),
        (("n",), ("x",), ("n", "x")),
        ((), ("x",), ("x",)),
        ((), None, ()),
    ],
)
def test_entrypoint_and_command_follow_docker(entrypoint, command, expected) -> None:
    image = Config(entrypoint=("e", "1"), command=("c",))
    assert (
        bundle.argv(ContainerSpec(name="c", image="", entrypoint=entrypoint, command=command), image)
        == expected
    )


def test_the_environment_in_its_order() -> None:
    spec = ContainerSpec(name="c", image="", env={"A": "spec", "PATH": "/p"})
    image = Config(env={"A": "image", "B": "image", "HOME": "/h"})
    merged = dict(
        pair.split("=", 1) for pair in bundle.environment(spec, image, "host", "/root", {"B": "exec"})
    )
    assert merged == {"PATH": "/p", "HOSTNAME": "host", "HOME": "/h", "A": "spec", "B": "exec"}


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        ("", User(0, 0, (77,), "/root")),
        ("anna", User(1000, 1000, (10, 77), "/home/anna")),
        ("1000", User(1000, 1000, (10, 77), "/home/anna")),
        ("anna:wheel", User(1000, 10, (), "/home/anna")),
        ("anna:5", User(1000, 5, (), "/home/anna")),
        ("5:6", User(5, 6, (), "/")),
        (":wheel", User(0, 10, (), "/root")),
        ("12", User(55, 55, (), "/twelve")),  # a name of digits comes before a number
    ],
)
def test_users(wanted: str, user: User) -> None:
    assert look_up(wanted, PASSWD, GROUP) == user


@pytest.mark.parametrize("wanted", ["nobody", "odd", "anna:none", "-1", "99999999999", "1e3"])
def test_unknown_users(wanted: str) -> None:
    with pytest.raises(UnknownUser):
        look_up(wanted, PASSWD, GROUP)


@given(st.text(max_size=20), st.text(max_size=200), st.text(max_size=200))
def test_no_image_can_break_the_lookup(wanted: str, passwd: str, group: str) -> None:
    try:
        user = look_up(wanted, passwd, group)
    except UnknownUser:
        return
    assert 0 <= user.uid < 2**31
    assert 0 <= user.gid < 2**31


@given(st.text(alphabet="/.a", max_size=30))
def test_targets_are_clean(target: str) -> None:
    cleaned = clean(target)
    assert cleaned.startswith("/")
    assert ".." not in cleaned.split("/")
    assert clean(cleaned) == cleaned


def test_capabilities() -> None:
    held = frozenset(KNOWN - {"SYS_RESOURCE"})
    assert granted((), (), privileged=False, held=held) == DEFAULT
    assert granted(("ALL",), ("CHOWN",), privileged=False, held=held) == held - {"CHOWN"}
    assert granted(("cap_net_admin",), ("all",), privileged=False, held=held) == {"NET_ADMIN"}
    assert granted((), (), privileged=True, held=held) == held
    for add, drop in ((("SYS_RESOURCE",), ()), (("NOT_ONE",), ()), ((), ("NOT_ONE",))):
        with pytest.raises(BadCapability):
            granted(add, drop, privileged=False, held=held)
    assert names_of(0xA80425FB) == DEFAULT


def test_the_profile_of_system_calls() -> None:
    plain = seccomp.profile(DEFAULT, "amd64")
    allowed = {
        name
        for rule in plain["syscalls"]
        if rule["action"].endswith("ALLOW") and "args" not in rule
        for name in rule["names"]
    }
    assert plain["defaultAction"] == "SCMP_ACT_ERRNO"
    refused = {
        "mount", "umount2", "unshare", "setns", "bpf", "init_module", "kexec_load", "reboot", "swapon", "keyctl",
        "add_key", "perf_event_open", "userfaultfd", "io_uring_setup", "open_by_handle_at", "settimeofday", "clone",
        "clone3", "iopl", "acct", "quotactl", "pivot_root", "syslog", "personality", "socket", "uselib", "ustat",
    }  # fmt: skip
    assert not refused & allowed
    assert {
        "read",
        "openat",
        "execve",
        "futex",
        "epoll_wait",
        "chroot",
        "ptrace",
        "ioctl",
        "statx",
        "io_setup",
    } <= allowed
    admin = seccomp.profile({*DEFAULT, "SYS_ADMIN"}, "386")
    assert {"mount", "clone", "clone3", "bpf", "setns"} <= set(admin["syscalls"][0]["names"])
    assert not [rule for rule in admin["syscalls"] if rule["names"] == ["clone3"]]
    assert admin["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]


def test_limits_become_resources() -> None:
    spec = ContainerSpec(
        name="c", image="", limits=Limits(vcpus=2, cpu_shares=1, memory_mib=8, reserve_mib=4, pids_max=9)
    )
    made = bundle.config(spec, around(pod=Limits(vcpus=0.5)))["linux"]["resources"]
    assert made["cpu"] == {"quota": 50_000, "period": 100_000, "shares": 2}
    assert made["memory"] == {"limit": 8 << 20, "swap": 8 << 20, "reservation": 4 << 20}
    assert made["pids"] == {"limit": 9}
    assert "swap" not in bundle.config(spec, around(swap=False))["linux"]["resources"]["memory"]
    assert bundle.quota_us(0.001) == 1_000


def test_privileged_has_no_guards() -> None:
    linux = bundle.config(ContainerSpec(name="c", image="", privileged=True), around())["linux"]
    assert not {"seccomp", "maskedPaths", "readonlyPaths"} & set(linux)
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert {"type": "cgroup"} in bundle.config(ContainerSpec(name="c", image=""), around(unified=True))[
        "linux"
    ]["namespaces"]


def test_outer_mounts_come_first_and_the_init_last() -> None:
    mounts = (Bound("/a/b", "/2"), Bound("/a", "/1"), Bound("/t", kind="tmpfs", options=("size=1m",)))
    made = bundle.config(
        ContainerSpec(name="c", image="", command=("x",), ulimits=(Ulimit("nofile", 1, 2),)),
        around(mounts=mounts, init="/i", devices=(Device("/dev/x", "c", 1, 2),), namespace=""),
    )
    ours = [mount["destination"] for mount in made["mounts"]][7:]
    assert ours == ["/a", "/t", "/a/b", "/dev/init"]
    assert made["process"]["args"] == ["/dev/init", "--", "x"]
    assert made["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]
    assert not [one for one in made["linux"]["namespaces"] if one["type"] == "network"]


def test_an_exec_has_the_containers_surroundings() -> None:
    spec = ContainerSpec(name="c", image="", env={"A": "1"}, cwd="/w", no_new_privileges=True)
    made = bundle.exec_process(
        spec, Config(), "h", User(5, 6, (7,), "/home/x"), (), ExecSpec(argv=("y",), terminal=True)
    )
    assert made["cwd"] == "/w"
    assert made["user"] == {"uid": 5, "gid": 6, "additionalGids": [7]}
    assert {"A=1", "HOME=/home/x", "TERM=xterm"} <= set(made["env"])
    assert made["noNewPrivileges"]
    assert made["consoleSize"] == {"height": 24, "width": 80}


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        (
            'runc create failed: unable to start container process: exec: "x": executable file not found in $PATH',
            "entrypoint",
            127,
        ),
        ("executable file `x` not found in $PATH: No such file or directory", "entrypoint", 127),
        ('unable to start container process: exec: "/notes": permission denied', "entrypoint", 126),
        ("open executable: Operation not permitted", "entrypoint", 126),
        ('error mounting "/x" to rootfs at "/y": no such file or directory', "mount", 128),
        ("something else", "engine", 128),
        ("", "engine", 128),
    ],
)
def test_what_runtimes_say(message: str, kind: str, code: int) -> None:
    error = failure(message)
    assert (error.kind, exit_code(error)) == (kind, code)


def test_names_in_files_of_the_pod() -> None:
    spec = PodSpec(name="p", owner="o", containers=(), names=("n",), hosts={"db": "1.2.3.4"}, hostname="h")
    assert "10.0.0.2\th p n\n" in hostfiles.hosts(spec, Connection(address="10.0.0.2"))
    assert hostfiles.resolver(spec, Connection(), "nameserver 9.9.9.9\n") == "nameserver 9.9.9.9\n"
    assert hostfiles.resolver(spec, Connection(dns=("10.0.0.1",)), "x").startswith("nameserver 10.0.0.1\n")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".new-x", "-x", "a" * 201, "a\n"])
def test_bad_names_of_volumes(name: str) -> None:
    with pytest.raises(EngineError):
        check_name(name)


def test_only_a_static_program_is_an_init(tmp_path: Path) -> None:
    assert not probe.is_static(Path("/bin/sh"))
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert not probe.is_static(tmp_path / "script")
    assert not probe.is_static(tmp_path / "none")
    assert stat.S_ISREG((tmp_path / "script").stat().st_mode)
