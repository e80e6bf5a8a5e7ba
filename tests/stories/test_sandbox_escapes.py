"""Attempts to get out of a sandbox, or at another one.  Each must fail."""

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest
from tests.sandbox_kit import launcher, needs_python, needs_root, python, read_until, run, run_once, shell

from cumulo.sandbox.contract import Exit
from cumulo.sandbox.probe import probe

pytestmark = [needs_root, needs_python]

CTYPES = """
import ctypes, os, sys, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *args)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
def tried(what):
    try: return what()
    except OSError as error: return errno.errorcode.get(error.errno, str(error))
"""
X86 = os.uname().machine == "x86_64"
only_x86 = pytest.mark.skipif(not X86, reason="the numbers of these calls are x86_64's")


def said(folder: Path, script: str, **more) -> str:
    output, ended = run_once(folder, python(folder, CTYPES + script, **more))
    assert ended == Exit(), output
    return output.strip()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/gshadow",
        "/root",
        "/home/nobody",
        "/etc/ssl/private",
        "/boot",
        "/var/lib",
        "/sys/kernel",
        "/sys/fs",
    ],
)
def test_the_host_s_files_are_not_there(tmp_path: Path, path: str):
    assert said(tmp_path, f"print(tried(lambda: os.stat({path!r})))") == "ENOENT"


def test_the_data_folder_and_other_code_are_not_there(tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.py").write_text("KEY = 1")
    script = f"""
print(os.path.exists({str(tmp_path / "data")!r}), os.path.exists({str(other)!r}), os.path.exists({str(tmp_path / "code")!r}))
print(sorted(os.listdir("/")))
print(sorted(os.listdir("/var")), os.listdir("/tmp"), os.listdir("/home"))
"""
    lines = said(tmp_path, script).splitlines()
    assert lines[0] == "False False False"
    assert "root" not in lines[1]
    assert lines[2] == "['run', 'runtime', 'task', 'tmp'] [] []"


def test_nothing_but_tmp_and_shm_can_be_written(tmp_path: Path):
    script = """
for top in ("/", "/dev", "/etc", "/home", "/mnt", "/opt", "/run", "/sys", "/usr", "/usr/bin", "/var", "/var/task", "/proc/sys/kernel"):
    print(top, tried(lambda: open(top + "/new", "w")))
for file in ("/usr/bin/env", "/etc/passwd", "/etc/resolv.conf", "/var/task/code.py"):
    print(file, tried(lambda: open(file, "a")), tried(lambda: os.unlink(file)), tried(lambda: os.chmod(file, 0o777)))
open("/tmp/fine", "w"), open("/dev/shm/fine", "w")
"""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text("x")
    (tmp_path / "code" / "code.py").chmod(0o666)
    (tmp_path / "code").chmod(0o777)
    for line in said(tmp_path, script).splitlines():
        assert set(line.split()[1:]) <= {"EROFS", "EACCES", "EPERM", "ENOENT", "EBUSY"}, line


def test_shared_memory_is_bounded_and_not_executable(tmp_path: Path):
    script = """
import shutil
shutil.copy("/usr/bin/true", "/dev/shm/true"); os.chmod("/dev/shm/true", 0o755)
print(tried(lambda: os.execv("/dev/shm/true", ["true"])), os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize >> 20)
"""
    assert said(tmp_path, script) == "EACCES 64"


def test_pid_1_cannot_be_read_traced_or_signalled(tmp_path: Path):
    script = """
import signal
for name in ("environ", "mem", "maps", "fd", "cwd", "root", "exe", "cmdline", "status"):
    path = "/proc/1/" + name
    print(name, tried(lambda: os.listdir(path) if name == "fd" else os.readlink(path) if name in ("cwd", "root", "exe") else open(path).read(10)))
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGUSR1, signal.SIGTERM):
    print(number, tried(lambda: os.kill(1, number)))
print("ptrace", tried(lambda: None), call(101, 16, 1, 0, 0))
print("vm", call(310, 1, 0, 0, 0, 0, 0))
"""
    for line in said(tmp_path, script).splitlines():
        assert line.split()[-1] in {"ENOENT", "EACCES", "EPERM"}, line


@only_x86
@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("mount", 'call(165, b"none", b"/tmp", b"tmpfs", 0, 0)'),
        ("umount", 'call(166, b"/tmp", 2)'),
        ("pivot_root", 'call(155, b"/tmp", b"/tmp")'),
        ("chroot", 'call(161, b"/tmp")'),
        ("unshare user", "call(272, 0x10000000)"),
        ("unshare mount", "call(272, 0x00020000)"),
        ("setns", "call(308, 0, 0)"),
        ("clone user", "call(56, 0x10000000 | 17, 0, 0, 0, 0)"),
        ("clone pid", "call(56, 0x20000000 | 17, 0, 0, 0, 0)"),
        ("fsopen", 'call(430, b"tmpfs", 0)'),
        ("open_tree", 'call(428, -100, b"/", 1)'),
        ("move_mount", 'call(429, 0, b"", 0, b"", 4)'),
        ("mount_setattr", 'call(442, -100, b"/", 0, 0, 0)'),
        ("open_by_handle_at", "call(304, -100, 0, 0)"),
        ("name_to_handle_at", 'call(303, -100, b"/", 0, 0, 0)'),
        ("bpf", "call(321, 0, 0, 0)"),
        ("perf_event_open", "call(298, 0, 0, 0, 0, 0)"),
        ("keyctl", "call(250, 0, -3, 0)"),
        ("add_key", 'call(248, b"user", b"x", b"y", 1, -3)'),
        ("request_key", 'call(249, b"user", b"x", 0, -3)'),
        ("kexec_load", "call(246, 0, 0, 0, 0)"),
        ("init_module", 'call(175, b"", 0, b"")'),
        ("finit_module", 'call(313, 0, b"", 0)'),
        ("userfaultfd", "call(323, 0)"),
        ("io_uring_setup", "call(425, 1, 0)"),
        ("process_vm_writev", "call(311, 1, 0, 0, 0, 0, 0)"),
        ("process_madvise", "call(440, 0, 0, 0, 0, 0)"),
        ("pidfd_getfd", "call(438, 0, 0, 0)"),
        ("reboot", "call(169, 0, 0, 0, 0)"),
        ("swapon", 'call(167, b"/tmp/x", 0)'),
        ("settimeofday", "call(164, 0, 0)"),
        ("clock_settime", "call(227, 0, 0)"),
        ("sethostname", 'call(170, b"x", 1)'),
        ("syslog", "call(103, 3, 0, 0)"),
        ("acct", "call(163, 0)"),
        ("iopl", "call(172, 3)"),
        ("seccomp", "call(317, 1, 0, 0)"),
    ],
)
def test_calls_that_could_open_a_way_out_are_refused(shared, name: str, attempt: str):
    assert shared(f"print({attempt})") == "EPERM", name


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One launcher for many short programs."""
    folder = tmp_path_factory.mktemp("shared")
    folder.parent.chmod(0o755)
    loop = asyncio.new_event_loop()
    context = launcher(folder, spare_cells=2)
    opened = loop.run_until_complete(context.__aenter__())

    def ask(script: str, **more) -> str:
        output, ended = loop.run_until_complete(run(opened, python(folder, CTYPES + script, **more)))
        assert ended == Exit(), output
        return output.strip()

    yield ask
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


@only_x86
def test_clone3_and_calls_unknown_are_not_implemented(shared):
    assert shared("print(call(435, 0, 0), call(9999))") == "ENOSYS ENOSYS"


@only_x86
def test_address_randomization_stays(shared):
    assert shared("print(call(135, 0x0040000), call(135, 0xFFFFFFFF))") == "ENOSYS 0"


@only_x86
def test_another_architecture_s_calls_end_the_process(tmp_path: Path):
    _, ended = run_once(tmp_path, python(tmp_path, CTYPES + "call(0x40000000 + 39)"))
    assert ended.signal == 31  # SIGSYS


@only_x86
def test_a_terminal_cannot_be_fed_whatever_the_upper_bits_say(shared):
    assert shared(
        "print(call(16, 0, 0x5412, 0), call(16, 0, ctypes.c_ulong(0xAB00005412), 0), call(16, 0, 0x5413, 0))"
    ) == ("ENOSYS ENOSYS ENOTTY")


def test_only_plain_sockets_can_be_made(shared):
    script = """
refused = [("raw", 2, 3, 1), ("raw6", 10, 3, 58), ("packet", 17, 3, 768), ("packet dgram", 17, 2, 768), ("alg", 38, 5, 0), ("vsock", 40, 1, 0),
           ("netfilter", 16, 3, 12), ("audit", 16, 3, 9), ("uevent", 16, 2, 15), ("bluetooth", 31, 3, 1), ("icmp", 2, 2, 1), ("sctp", 2, 1, 132)]
for name, *arguments in refused:
    print(name, tried(lambda: socket.socket(*arguments)))
for arguments in ((2, 1, 0), (2, 2, 17), (10, 1, 6), (1, 1, 0), (1, 2, 0), (1, 5, 0), (16, 3, 0)):
    socket.socket(*arguments).close()
socket.socketpair()
"""
    for line in shared(script).splitlines():
        assert line.split()[-1] in {"ENOSYS", "EPERM"}, line


def test_privileges_are_gone_and_cannot_come_back(shared):
    script = """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
print({status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, status["NoNewPrivs"], status["Seccomp"], status["Groups"].split() == [str(os.getgid())] or status["Groups"].split())
print(tried(lambda: os.setuid(0)), tried(lambda: os.setgid(0)), tried(lambda: os.setgroups([0])), tried(lambda: os.chown("/tmp", 0, 0)), os.getuid() > 1 << 30)
print(tried(lambda: os.mknod("/tmp/disk", 0o660 | 0o060000, os.makedev(254, 0))), tried(lambda: os.nice(-5)))
"""
    lines = shared(script).splitlines()
    assert lines[0] in {"{''} 1 2 []", "{''} 1 2 True"}
    assert lines[1] == "EPERM EPERM EPERM EPERM True"
    assert lines[2] == "EPERM EPERM"


def test_set_user_id_programs_give_nothing(shared):
    script = """
import subprocess, stat
found = [p for p in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/bin/ping") if os.path.exists(p) and os.stat(p).st_mode & stat.S_ISUID]
print(len(found) > 0, os.statvfs(found[0]).f_flag & os.ST_NOSUID > 0 if found else True)
done = subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "x", "/tmp"], capture_output=True)
print(done.returncode != 0)
"""
    assert shared(script).splitlines()[1:] == ["True"] or shared(script).splitlines() == ["True True", "True"]


def test_devices_are_harmless(shared):
    output = shared(
        'print(sorted(os.listdir("/dev")), tried(lambda: os.open("/dev/tty", 2)), len(os.listdir("/dev/shm")))'
    )
    names = "['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero']"
    assert output == f"{names} ENXIO 0"


def test_the_kernel_s_settings_cannot_be_changed_and_its_secrets_not_read(shared):
    script = """
for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/net/ipv4/ip_forward", "/proc/1/oom_score_adj", "/proc/irq/default_smp_affinity"):
    print(path, tried(lambda: open(path, "w")))
for path in ("/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/timer_list", "/proc/kmsg", "/proc/sched_debug"):
    print(path, tried(lambda: open(path).read(10)) or "EMPTY")
"""
    for line in shared(script).splitlines():
        assert line.split()[-1] in {"EROFS", "EACCES", "EPERM", "ENOENT", "EMPTY", "EINVAL"}, line


def test_control_groups_cannot_be_reached(shared):
    script = 'print(os.path.exists("/sys/fs/cgroup"), {line.split(":", 2)[2].strip() for line in open("/proc/self/cgroup")} <= {"/", "/.."} )'
    assert shared(script) == "False True"


def test_only_its_own_processes_are_in_proc(shared):
    assert (
        shared('print([name for name in os.listdir("/proc") if name.isdigit()] == [str(os.getpid())])')
        == "True"
    )


def test_no_descriptor_but_its_own_is_open(shared):
    script = 'print([(n, os.readlink(f"/proc/self/fd/{n}").split(":")[0]) for n in sorted(map(int, os.listdir("/proc/self/fd"))) if os.path.exists(f"/proc/self/fd/{n}")])'
    assert shared(script) == "[(0, '/dev/null'), (1, 'pipe'), (2, 'pipe'), (3, 'pipe')]"


def test_the_host_s_loopback_and_its_other_addresses_are_out_of_reach(tmp_path: Path):
    """A service of the host on every address can be reached by none of them."""
    with socket.socket() as service:
        service.bind(("0.0.0.0", 0))
        service.listen()
        port = service.getsockname()[1]
        script = f"""
addresses = ["127.0.0.1", "169.254.169.254"]
for line in open("/proc/net/route").read().splitlines()[1:]:
    gateway = bytes.fromhex(line.split()[2])[::-1]
    if any(gateway): addresses.append(".".join(map(str, gateway)))
for address in addresses + {host_addresses()!r}:
    with socket.socket() as s:
        s.settimeout(0.5)
        try: s.connect((address, {port})); print("reached", address)
        except OSError as error: print("no", address)
"""
        lines = said(tmp_path, script).splitlines()
    assert len(lines) >= 2
    assert not [line for line in lines if line.startswith("reached")]


def host_addresses() -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.200", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


def test_one_sandbox_cannot_reach_another(tmp_path: Path):
    """Neither its Runtime API, nor a port it listens on, nor its files, processes, shared memory or queues."""
    victim = """
import socket, os, time
s = socket.socket(); s.bind(("0.0.0.0", 7777)); s.listen()
u = socket.socket(socket.AF_UNIX); u.bind("\\0name"); u.listen()
open("/tmp/secret", "w").write("x"); open("/dev/shm/secret", "w").write("x")
libc.shmget(4242, 4096, 0o1666)
import fcntl, struct
try: print(socket.inet_ntoa(fcntl.ioctl(s, 0x8915, struct.pack("256s", b"eth0"))[20:24]))
except OSError: print("none")
time.sleep(1000)
"""
    attacker = """
address = sys.argv[1]
for target in (("127.0.0.1", 7777), (address, 7777), (address, 9001), (address, 4566)):
    with socket.socket() as s:
        s.settimeout(0.5)
        try: s.connect(target); print("reached", target)
        except OSError: pass
with socket.socket(socket.AF_UNIX) as s: print(tried(lambda: s.connect("\\0name")))
print(os.listdir("/tmp"), os.listdir("/dev/shm"), [n for n in os.listdir("/proc") if n.isdigit()] == [str(os.getpid())])
ctypes.set_errno(0); print(libc.shmget(4242, 4096, 0o666))
"""

    async def main():
        async with launcher(tmp_path, spare_cells=2) as opened:
            one = await opened.start(python(tmp_path, CTYPES + victim))
            address = (await read_until(one, b"\n")).decode().strip()
            given = python(tmp_path, CTYPES + attacker)
            output, _ = await run(opened, given.__class__(**fields(given) | {"argv": (*given.argv, address)}))
            await one.close()
            return output

    assert asyncio.run(main()).splitlines() == ["ECONNREFUSED", "[] [] True", "-1"]


def fields(given):
    return {name: getattr(given, name) for name in given.__struct_fields__}


def test_every_sandbox_has_a_user_id_of_its_own(tmp_path: Path):
    async def main():
        async with launcher(tmp_path) as opened:
            return {(await run(opened, shell(tmp_path, "id -u")))[0] for _ in range(3)}

    assert len(asyncio.run(main())) == 3


def test_the_network_is_reached_when_the_machine_has_one(tmp_path: Path):
    """A service in another network namespace of this machine stands for the world."""

    async def main():
        async with launcher(tmp_path) as opened:
            await opened.warm()
            if "network" in opened.problems or not probe().ok("network"):
                pytest.skip("no nft here: loopback only")
            with World() as world:
                return await run(
                    opened,
                    python(
                        tmp_path,
                        f"import socket; s = socket.create_connection(({world.address!r}, 7000), 5); print(s.recv(100).decode())",
                    ),
                )

    output, ended = asyncio.run(main())
    assert ended == Exit()
    assert output == "hello from the world\n"


class World:
    """A machine at the other end of a link, made of a network namespace."""

    address = "198.51.100.2"

    def __enter__(self):
        self.name = f"w{os.getpid() % 100000}"
        ip = lambda *words: os.spawnvp(os.P_WAIT, "ip", ["ip", *words])  # noqa: E731
        self.ip = ip
        assert ip("netns", "add", self.name) == 0
        ip("link", "add", self.name, "type", "veth", "peer", "name", "far", "netns", self.name)
        ip("addr", "add", "198.51.100.1/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        ip("-n", self.name, "addr", "add", "198.51.100.2/24", "dev", "far")
        ip("-n", self.name, "link", "set", "far", "up")
        Path(f"/proc/sys/net/ipv4/conf/{self.name}/forwarding").write_text("1")
        self.thread = threading.Thread(target=self.serve)
        self.ready = threading.Event()
        self.thread.start()
        self.ready.wait(5)
        return self

    def serve(self):
        from cumulo.sandbox import kernel

        here = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        kernel.setns(here, kernel.CLONE_NEWNET)  # this thread only
        os.close(here)
        with socket.socket() as service:
            service.bind((self.address, 7000))
            service.listen()
            service.settimeout(10)
            self.ready.set()
            try:
                connection, _ = service.accept()
            except TimeoutError:
                return
            with connection:
                connection.sendall(b"hello from the world")

    def __exit__(self, *_):
        self.thread.join()
        self.ip("link", "del", self.name)
        self.ip("netns", "del", self.name)
