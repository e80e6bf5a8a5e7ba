"""What a function must not reach: tried by real functions, through the front door."""

from pathlib import Path

import pytest
from tests.support import call, deploy

TRY = """
import ctypes, os, socket, subprocess, glob
libc = ctypes.CDLL(None, use_errno=True)

def outcome(action):
    try:
        return ["reached", repr(action())[:200]]
    except BaseException as error:
        return ["refused", f"{type(error).__name__}: {error}"[:200]]

def syscall(name, *args):
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

def connect(host, port):
    socket.create_connection((host, port), timeout=1).close()

def handler(event, context):
    what = event["what"]
    actions = {
        "shadow": lambda: open("/etc/shadow").read(),
        "root home": lambda: open(event["home"] + "/.bashrc").read(),
        "data": lambda: os.listdir(event["data"]),
        "write code": lambda: open("/var/task/new", "w"),
        "write root": lambda: open("/new", "w"),
        "write usr": lambda: open("/usr/new", "w"),
        "mount": lambda: syscall("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "umount": lambda: syscall("umount2", b"/var/task", 2),
        "ptrace": lambda: syscall("ptrace", 16, 1, 0, 0),
        "unshare": lambda: syscall("unshare", 0x10000000),
        "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "packet socket": lambda: socket.socket(17, socket.SOCK_RAW, 3),
        "setuid": lambda: os.setuid(0),
        "chroot": lambda: os.chroot("/tmp"),
        "device": lambda: os.mknod("/tmp/sda", 0o60600, os.makedev(8, 0)),
        "init environment": lambda: open("/proc/1/environ").read(),
        "init memory": lambda: open("/proc/1/mem", "rb"),
        "kill init": lambda: os.kill(1, 9),
        "host name": lambda: syscall("sethostname", b"x", 1),
        "sysrq": lambda: open("/proc/sysrq-trigger", "w"),
        "core pattern": lambda: open("/proc/sys/kernel/core_pattern", "w"),
        "cgroup": lambda: open(glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True)[0], "w"),
        "host loopback": lambda: connect("127.0.0.1", event["port"]),
        "metadata": lambda: connect("169.254.169.254", 80),
    }
    if what == "processes":
        return ["pids", sorted(int(p) for p in os.listdir("/proc") if p.isdigit())]
    if what == "identity":
        status = open("/proc/self/status").read().split("\\n")
        return {line.split(":")[0]: line.split(":")[1].split() for line in status if ":" in line}
    if what == "cumulo":
        import importlib.util
        return importlib.util.find_spec("cumulo") is None and importlib.util.find_spec("msgspec") is None
    return outcome(actions[what])
"""
FORBIDDEN = [
    "shadow", "root home", "data", "write code", "write root", "write usr", "mount", "umount", "ptrace", "unshare",
    "raw socket", "packet socket", "setuid", "chroot", "device", "init environment", "init memory", "host name", "sysrq",
    "core pattern", "cgroup", "host loopback", "metadata",
]  # fmt: skip


@pytest.fixture(scope="module")
def prisoner(cumulo):
    if cumulo.cloud.isolation != "full":
        pytest.skip("no full isolation on this machine")
    cumulo.reset()
    aws = cumulo.client("lambda")
    deploy(aws, "prisoner", TRY)
    return aws


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_function_cannot_reach(prisoner, cumulo, what):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as host_service:
        event = {
            "what": what,
            "home": str(Path.home()),
            "data": str(cumulo.cloud.data),
            "port": host_service.getsockname()[1],
        }
        verdict, detail = call(prisoner, "prisoner", event)
    assert verdict == "refused", detail


def test_a_function_sees_only_its_own_processes(prisoner):
    _, pids = call(prisoner, "prisoner", {"what": "processes"})
    assert len(pids) <= 4


def test_a_function_has_no_capabilities_and_no_new_privileges(prisoner):
    status = call(prisoner, "prisoner", {"what": "identity"})
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert "0" not in status["Uid"]


def test_a_function_does_not_see_our_packages(prisoner):
    assert call(prisoner, "prisoner", {"what": "cumulo"}) is True


def test_two_functions_cannot_see_each_other(prisoner):
    deploy(prisoner, "secret", {"app.py": "def handler(e, c):\n    open('/tmp/mine', 'w').write('x')\n    return 1",
                                "secret.txt": "s3cr3t"}, Environment={"Variables": {"KEY": "s3cr3t"}})  # fmt: skip
    deploy(prisoner, "spy", """
import os, glob
def handler(event, context):
    found = [p for top in ('/var', '/tmp', '/opt', '/home', '/mnt', '/srv') for p in glob.glob(top + '/**/secret.txt', recursive=True)]
    tmp = os.listdir('/tmp')
    env = [p for p in glob.glob('/proc/*/environ') if b's3cr3t' in (open(p, 'rb').read() if os.access(p, os.R_OK) else b'')]
    return [found, tmp, env]
""", Timeout=30)  # fmt: skip
    assert call(prisoner, "secret") == 1
    assert call(prisoner, "spy") == [[], [], []]
