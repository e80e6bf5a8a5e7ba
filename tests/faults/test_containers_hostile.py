"""Hostile images and hostile functions in images, through the front door: the host and the others stay untouched."""

import contextlib
import hashlib
import json
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import (
    Shot,
    a_cloud,
    base_layer,
    create_from,
    image_of,
    make_repository,
    needs_local,
    pods,
    port_of,
    push_all,
    registry,
    scripted,
    settled,
)
from tests.leftovers import processes
from tests.oci_kit import hard_link, member, symlink, tarred
from tests.support import Process, call, until

from cumulo.base.folders import instance_of
from cumulo.sandbox.network import short

pytestmark = needs_local
SECRET = "s3cr3t-of-the-neighbour"
# The event is a line of the shell: whoever writes the function is the attacker.
SHELL = r"""
handler() {
  line=$($b printf '%s' "$1" | $b sed -e 's/^"//' -e 's/"$//' -e 's/\\"/"/g' -e 's/\\\\/\\/g')
  out=$($b timeout 8 $b sh -c "$line" 2>&1); code=$?
  $b printf '{"code":%s,"out":"%s"}' "$code" "$($b printf '%s' "$out" | $b tail -c 3000 | $b base64 | $b tr -d '\n')"
}
"""


class Prison:
    """A cloud with a function that runs what it is told, and a neighbour."""

    def __init__(self, cloud: Process, uri: str) -> None:
        self.cloud = cloud
        self.uri = uri
        self.aws = cloud.client("lambda")

    def tell(self, line: str, name: str = "prisoner") -> tuple[int, str]:
        """The exit code and output of a line of the shell."""
        import base64

        answer = call(self.aws, name, line)
        assert "code" in answer, answer
        return answer["code"], base64.b64decode(answer["out"]).decode(errors="replace")

    def neighbour(self) -> None:
        """The others are well."""
        assert self.tell("echo fine", "neighbour") == (0, "fine")


@pytest.fixture(scope="module")
def prison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prison]:
    with a_cloud(tmp_path_factory.mktemp("hostile") / "data") as cloud:
        uri = make_repository(cloud, "app")
        image, layers = scripted(SHELL)
        with registry(cloud) as client:
            push_all(client, "app", "shell", image, layers)
        made = Prison(cloud, uri)
        create_from(made.aws, "prisoner", f"{uri}:shell", MemorySize=256, Timeout=30)
        create_from(made.aws, "neighbour", f"{uri}:shell", Environment={"Variables": {"KEY": SECRET}})
        assert settled(made.aws, "prisoner")["State"] == settled(made.aws, "neighbour")["State"] == "Active"
        made.tell("echo mine > /tmp/mine", "neighbour")
        yield made
        assert "Traceback" not in cloud.log.read_text()


# -- images ----------------------------------------------------------------------------------------------------

OUTSIDE = "escaped-from-a-layer"


def hostile_layers() -> dict[str, tuple[list[bytes], list[str]]]:
    """By name: uncompressed layers, and diff ids when they lie."""
    up = "../" * 12
    device = tarfile.TarInfo("dev-sda")
    device.type, device.devmajor, device.devminor, device.mode = tarfile.BLKTYPE, 7, 0, 0o666
    base = base_layer()
    return {
        "path up": ([base, tarred(member(f"{up}tmp/{OUTSIDE}", b"x"))], []),
        "absolute path": ([base, tarred(member(f"/tmp/{OUTSIDE}", b"x"))], []),
        "through a link": ([base, tarred(symlink("out", "/tmp"), member(f"out/{OUTSIDE}", b"x"))], []),
        "through a link up": ([base, tarred(symlink("out", f"{up}tmp"), member(f"out/{OUTSIDE}", b"x"))], []),
        "through an earlier layer": ([base, tarred(symlink("out", f"{up}tmp")), tarred(member(f"out/{OUTSIDE}", b"x"))], []),
        "hard link out": ([base, tarred(hard_link("shadow", f"{up}etc/shadow"))], []),
        "device": ([base, tarred((device, b""))], []),
        "whiteout up": ([base, tarred(member(f"{up}tmp/.wh.canary", b""))], []),
        "wrong diff id": ([base, tarred(member("a", b"1"))], ["sha256:" + hashlib.sha256(base).hexdigest(), "sha256:" + "0" * 64]),
        "half a tar": ([base, tarred(member("a", b"1" * 5000))[:2000]], []),
        "no tar": ([base, os.urandom(3000)], []),
        "long name": ([base, tarred(member("a/" * 3000 + "b", b"1"))], []),
    }  # fmt: skip


@pytest.mark.parametrize("what", hostile_layers())
def test_a_hostile_image_is_refused_or_harmless(prison: Prison, what: str, tmp_path: Path):
    canary = Path("/tmp/canary")
    had = canary.exists()
    canary.touch()
    tag = what.replace(" ", "-")
    layers, diff_ids = hostile_layers()[what]
    image, packed = image_of(layers, diff_ids=diff_ids, Entrypoint=["/bootstrap"])
    with registry(prison.cloud) as client:
        push_all(client, "app", tag, image, packed)  # a registry takes what it cannot look into
    try:
        create_from(prison.aws, tag, f"{prison.uri}:{tag}")
        shown = settled(prison.aws, tag)
        if shown["State"] == "Failed":
            assert shown["StateReasonCode"] == "InvalidImage", shown
            assert len(shown["StateReason"]) > 10
        else:
            assert what in {"path up", "absolute path", "through a link", "through a link up", "through an earlier layer", "device", "whiteout up", "long name"}, shown  # fmt: skip
            call(prison.aws, tag)
        assert not Path("/tmp", OUTSIDE).exists()
        assert canary.exists()
        assert os.stat("/etc/shadow").st_nlink == 1
    finally:
        prison.aws.delete_function(FunctionName=tag)
        if not had:
            canary.unlink(missing_ok=True)
    prison.neighbour()


def test_a_device_in_an_image_cannot_be_opened_by_a_function(prison: Prison):
    device = tarfile.TarInfo("disk")
    device.type, device.devmajor, device.devminor, device.mode = tarfile.BLKTYPE, 7, 0, 0o666
    setuid = member("bin/root", b"", mode=0o4755)
    image, layers = scripted(SHELL, (device, b""), setuid)
    with registry(prison.cloud) as client:
        push_all(client, "app", "device2", image, layers)
    try:
        create_from(prison.aws, "device2", f"{prison.uri}:device2")
        if settled(prison.aws, "device2")["State"] == "Active":
            code, output = prison.tell("head -c 1 /disk", "device2")
            assert code != 0, output
        order = {
            "image": "app:device2",
            "entrypoint": "/bin/busybox",
            "command": ["head", "-c", "1", "/disk"],
        }
        shot = Shot(prison.cloud, order)
        _, last = shot.rest()
        shot.close()
        assert last.get("refused") or last["exit"] != 0
    finally:
        prison.aws.delete_function(FunctionName="device2")


def test_a_bomb_is_refused_and_its_folder_is_gone(prison: Prison):
    """Layers that say they are larger than they are, and files larger than all bounds."""
    sparse = tarfile.TarInfo("huge")
    sparse.size = 80 << 30  # beyond what one layer may have
    layer = sparse.tobuf() + b"\0" * 4096
    image, packed = image_of([base_layer(), layer], Entrypoint=["/bootstrap"])
    with registry(prison.cloud) as client:
        push_all(client, "app", "bomb", image, packed)
    create_from(prison.aws, "bomb", f"{prison.uri}:bomb")
    shown = settled(prison.aws, "bomb")
    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidImage"), shown
    with pytest.raises(ClientError):
        call(prison.aws, "bomb")
    prison.aws.delete_function(FunctionName="bomb")
    prison.neighbour()


@pytest.mark.parametrize(
    "spoil",
    [
        {"config": {"digest": "sha256:" + "1" * 64}},
        {"layers": "many"},
        {"layers": []},
        {"config": {"mediaType": "application/x-unknown"}},
    ],
    ids=["config is not there", "layers are no list", "no layers", "unknown kind"],
)
def test_a_manifest_that_lies_is_refused_or_makes_a_failed_function(prison: Prison, spoil: dict[str, Any]):
    image, _ = scripted(SHELL)
    manifest = json.loads(image.manifest)
    for key, value in spoil.items():
        manifest[key] = manifest[key] | value if isinstance(value, dict) else value
    body = json.dumps(manifest).encode()
    with registry(prison.cloud) as client:
        answer = client.ask("PUT", "/v2/app/manifests/lies", body, {"Content-Type": manifest["mediaType"]})
    if answer.status != 201:
        assert 400 <= answer.status < 500, answer.body
        assert answer.message
        return
    try:
        create_from(prison.aws, "lies", f"{prison.uri}:lies")
    except ClientError as error:
        told = error.response
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 400, told
        return
    shown = settled(prison.aws, "lies")
    prison.aws.delete_function(FunctionName="lies")
    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidImage"), shown


# -- functions -------------------------------------------------------------------------------------------------

FORBIDDEN = {
    "mount": "mount -t tmpfs none /tmp",
    "bind": "mount -o bind /bin /tmp",
    "unmount": "umount /tmp",
    "remount": "mount -o remount,rw /",
    "write the root": "touch /here",
    "device": "mknod /tmp/sda b 8 0",
    "namespaces": "unshare -m true",
    "user namespace": "unshare -U true",
    "join another": "nsenter -t 1 -n true && nsenter -t 1 -m touch /here",
    "chroot": "chroot /tmp /bin/busybox",
    "sysrq": "echo s > /proc/sysrq-trigger",
    "core pattern": "echo x > /proc/sys/kernel/core_pattern",
    "host name": "hostname evil",
    "kernel memory": "head -c 1 /proc/kcore",
    "kernel log": "dmesg",
    "load a module": "insmod /bin/busybox",
    "clock": "date -s 2001-01-01 2>&1 | grep -q permitted && exit 1",
    "raise a limit": "ulimit -n 100000",
    "control groups": "ls /sys/fs/cgroup/memory/* && echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
    "freezer": "echo THAWED > /sys/fs/cgroup/freezer/freezer.state",
    "devices": "echo a > /sys/fs/cgroup/devices/devices.allow",
    "become root": "su -c true",
    "raw sockets": "ping -c 1 127.0.0.1",
    "links": "ip link set lo down",
    "firewall": "iptables -L",
    "mask of proc": "cat /proc/keys | grep .",
    "timer list": "cat /proc/timer_list | grep .",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_function_in_an_image_cannot(prison: Prison, what: str):
    code, output = prison.tell(FORBIDDEN[what])
    assert code != 0, output


def test_a_function_in_an_image_sees_no_one_else(prison: Prison):
    _, output = prison.tell(
        "cd /proc; for p in [0-9]*; do cat $p/environ $p/cmdline 2>/dev/null | tr '\\\\0' ' '; done"
    )
    assert SECRET not in output
    assert "cumulo" not in output.replace("CUMULO", "")
    _, numbers = prison.tell("ls /proc | grep -c '^[0-9]'")
    assert int(numbers) < 40  # each `timeout` of earlier lines has left a process that waits
    _, output = prison.tell("ls /tmp; cat /tmp/mine")
    assert "mine\n" not in output
    _, output = prison.tell("cat /proc/self/mountinfo")
    assert SECRET not in output
    status = prison.tell("cat /proc/self/status")[1]
    facts = {line.split(":")[0]: line.split(":")[1].split() for line in status.splitlines() if ":" in line}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(facts[name][0], 16) == 0, name
    assert facts["NoNewPrivs"] == ["1"]
    assert facts["Seccomp"] == ["2"]
    assert "0" not in facts["Uid"]
    prison.neighbour()


def test_a_function_in_an_image_reaches_no_service_of_the_host(prison: Prison):
    with socket.create_server(("0.0.0.0", 0)) as service:
        port = service.getsockname()[1]
        _, route = prison.tell("ip route")
        gateway = route.split("default via ")[1].split()[0]
        assert gateway.startswith("10.")
        mine = _address()
        hosts = ("127.0.0.1", gateway, mine, "169.254.169.254", "169.254.170.2")
        ports = {port, port_of(prison.cloud), 80, 22}
        tries = " ".join(
            f"(echo | timeout 2 nc -w 1 {host} {one} && echo REACHED {host} {one}) &"
            for host in hosts
            for one in ports
        )
        _, output = prison.tell(f"{tries} wait")
        assert "REACHED" not in output
        _, output = prison.tell("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 1 127.0.0.1 9001")
        assert "HTTP/1" in output, "what is its own can be reached like that"
        service.settimeout(0.1)
        with pytest.raises(TimeoutError):
            service.accept()


def _address() -> str:
    """This machine's own, as it is seen from outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def test_a_function_in_an_image_reaches_no_other_function(prison: Prison):
    _, output = prison.tell("ip -4 addr show eth0", "neighbour")
    address = output.split("inet ")[1].split("/")[0]
    _, mine = prison.tell("ip -4 addr show eth0")
    assert address not in mine
    for port in (9001, 4566):
        code, output = prison.tell(f"echo | timeout 1 nc -w 1 {address} {port}")
        assert code != 0, output
    code, output = prison.tell(
        f"(echo secret | timeout 3 nc -l -p 7777 -s {address}) & sleep 0.2; echo up", "neighbour"
    )
    assert code == 0, output
    code, output = prison.tell(
        "wget -q -O - http://127.0.0.1:9001/2018-06-01/runtime/init/error --post-data x"
    )
    prison.neighbour()


GREED = {
    "forks": ("f() { f | f & }; f; sleep 2; echo survived", 256),
    "memory": ("tail -c 900m /dev/zero", 256),
    "tmp": ("dd if=/dev/zero of=/tmp/big bs=1M count=2000; ls -l /tmp/big; rm /tmp/big", 256),
    "shared memory": ("dd if=/dev/zero of=/dev/shm/big bs=1M count=2000; rm -f /dev/shm/big", 256),
    "output": ("yes | head -c 3000000 >&2", 256),
    "processor": (
        "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; sleep 2; kill %1 %2 %3 %4 %5 %6 %7 %8",
        256,
    ),
    "suicide": ("kill -9 -1", 256),
    "runtime api": ("for i in $(seq 300); do wget -q -O /dev/null http://127.0.0.1:9001/x; done", 256),
}


@pytest.mark.parametrize("what", GREED)
def test_a_greedy_function_in_an_image_hurts_only_itself(prison: Prison, what: str):
    line, memory = GREED[what]
    name = "greedy-" + what.replace(" ", "-")
    create_from(prison.aws, name, f"{prison.uri}:shell", MemorySize=memory, Timeout=12)
    settled(prison.aws, name)
    answer = call(prison.aws, name, line)
    assert "code" in answer or answer["errorType"] in {"Runtime.ExitError", "Sandbox.Timedout"}, answer
    prison.neighbour()
    assert pods_of(prison.cloud, "neighbour")
    prison.aws.delete_function(FunctionName=name)
    until(lambda: not pods_of(prison.cloud, name), "its pods are gone", 25)
    until(lambda: len(processes(prison.cloud.data)) < 150, "its processes are gone", 10)


def pods_of(cloud: Process, function: str) -> list[str]:
    """The pods of a function."""
    found = []
    for name in pods(cloud.data):
        with contextlib.suppress(OSError):
            record = (cloud.data / "engine" / "pods" / name / "pod.json").read_text()
            if f'"AWS_LAMBDA_FUNCTION_NAME":"{function}"' in record:
                found.append(name)
    return found


def test_names_of_the_machine_do_not_leak(prison: Prison):
    _, output = prison.tell("env; cat /etc/hosts /etc/resolv.conf; hostname")
    assert socket.gethostname() not in output.split()
    assert str(prison.cloud.data) not in output
    assert short(instance_of(prison.cloud.data)) not in output
