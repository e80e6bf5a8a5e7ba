"""Pods in Docker's words, and Docker's words as pods: without Docker."""

import os
import platform
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from cumulo.engines.docker import answers, pause, requests
from cumulo.engines.engine import (
    ContainerSpec,
    ContainerState,
    EngineError,
    Limits,
    Mount,
    MountKind,
    NetworkMode,
    PodSpec,
    Port,
    Unsupported,
)
from cumulo.engines.images import Config

IMAGE = Config(entrypoint=("/entry",), command=("default",))


def pod(*containers: ContainerSpec, **more: object) -> PodSpec:
    containers = containers or (ContainerSpec(name="main", image="sha256:0"),)
    return PodSpec(name="pod", owner="tests", containers=containers, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        ('exec: "nope": executable file not found in $PATH: unknown', "entrypoint", 127),
        ('exec: "/nope": stat /nope: no such file or directory: unknown', "entrypoint", 127),
        ('exec: "/etc": permission denied: unknown', "entrypoint", 126),
        ("unable to find user stranger: no matching entries in passwd file", "user", 128),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", "port", 128),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", "port", 128),
        ('invalid mount config for type "bind": bind source path does not exist: /x', "mount", 128),
        ('error mounting "/x" to rootfs at "/y": no such file or directory', "mount", 128),
        ("the moon is in the wrong place", "engine", 128),
    ],
)  # fmt: skip
def test_why_a_start_failed(message: str, kind: str, code: int) -> None:
    assert answers.fault_of(message) == kind
    assert answers.start_code(message, 0) == code


def test_a_pod_that_docker_cannot_hold_to_its_limits_is_refused() -> None:
    two = (ContainerSpec(name="a", image="i"), ContainerSpec(name="b", image="i"))
    with pytest.raises(Unsupported, match="pod-limits"):
        requests.check(pod(*two, limits=Limits(memory_mib=64)))
    requests.check(pod(limits=Limits(memory_mib=64)))
    with pytest.raises(EngineError, match="ports"):
        requests.check(pod(ports=(Port(container=80),), network=NetworkMode.HOST))
    with pytest.raises(EngineError, match="no containers"):
        requests.check(PodSpec(name="p", owner="o", containers=()))


def test_the_only_container_is_held_to_the_pod_s_limits_too() -> None:
    both = requests.narrower(Limits(memory_mib=64, vcpus=2, pids_max=5), Limits(memory_mib=128, vcpus=1))
    assert both == Limits(memory_mib=64, vcpus=1, pids_max=5)
    assert requests.limits_of(both) == {
        "CpuPeriod": 100_000,
        "CpuQuota": 100_000,
        "Memory": 64 << 20,
        "MemorySwap": 64 << 20,
        "PidsLimit": 5,
    }
    assert requests.limits_of(Limits()) == {}


def test_a_container_s_body_says_all_of_its_spec() -> None:
    spec = ContainerSpec(
        name="main",
        image="sha256:1",
        command=("mine",),
        user="app",
        mounts=(
            Mount(target="/b", kind=MountKind.BIND, source="/host", read_only=True),
            Mount(target="/v", kind=MountKind.VOLUME, source="data"),
            Mount(target="/p", kind=MountKind.POD, source="tmp"),
            Mount(target="/t", kind=MountKind.TMPFS, size_mib=3, options=("noexec",)),
        ),
        labels={"cumulo.pod": "forged"},
    )
    body = requests.container_body("i", pod(spec), spec, IMAGE, log_driver="local")
    assert (body["Entrypoint"], body["Cmd"], body["User"]) == (["/entry"], ["mine"], "app")
    assert "WorkingDir" not in body
    host = body["HostConfig"]
    assert host["NetworkMode"] == "container:cumulo.i.pod"
    assert [m["Source"] for m in host["Mounts"]] == ["/host", "cumulo-i.volume.data", "cumulo-i.pod.pod.tmp"]
    assert host["Tmpfs"] == {"/t": "noexec,size=3m"}
    assert body["Labels"]["cumulo.pod"] == "pod", "a label of the caller's does not hide ours"
    with pytest.raises(EngineError, match="what to run"):
        requests.container_body(
            "i", pod(spec), ContainerSpec(name="x", image="i"), Config(), log_driver="local"
        )


def test_an_infra_container_carries_the_spec() -> None:
    spec = pod(
        ports=(Port(container=80), Port(container=80, host=8080)), names=("db",), hosts={"a": "1.2.3.4"}
    )
    body = requests.infra_body("i", spec, "image")
    assert answers.spec_of({"Config": {"Labels": body["Labels"]}}) == spec
    assert body["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}, {"HostIp": "0.0.0.0", "HostPort": "8080"}]
    }
    assert body["NetworkingConfig"]["EndpointsConfig"]["cumulo-i"]["Aliases"] == ["pod", "db"]
    with pytest.raises(EngineError, match="no pod of ours"):
        answers.spec_of({"Name": "/x", "Config": {"Labels": {"cumulo.spec": "{}"}}})


def inspected(**state: object) -> dict[str, object]:
    base = {"Status": "created", "ExitCode": 0, "Error": "", "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"}
    return {"Id": "f" * 64, "Image": "sha256:1", "Created": "2026-01-01T00:00:00.5Z", "State": base | state}


def test_states() -> None:
    assert answers.container_status("m", inspected()).state is ContainerState.CREATED
    failed = answers.container_status(
        "m", inspected(ExitCode=127, Error='exec: "x": executable file not found')
    )
    assert failed.state is ContainerState.EXITED
    assert failed.exit is not None
    assert (failed.exit.code, failed.exit.finished_at) == (127, 1767225600.5)
    killed = answers.container_status("m", inspected(Status="exited", ExitCode=137, OOMKilled=True))
    assert killed.exit is not None
    assert killed.exit.out_of_memory
    assert answers.container_status("m", inspected(Status="paused", Pid=5)).pid == 5


def test_ports_get_the_host_s_real_ones_each_once() -> None:
    spec = pod(
        ports=(Port(container=80), Port(container=80), Port(container=81, host=99), Port(container=82))
    )
    said = {
        "80/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "1001"},
            {"HostIp": "::", "HostPort": "1001"},
            {"HostIp": "0.0.0.0", "HostPort": "1002"},
        ],
        "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": "99"}],
        "82/tcp": None,
    }
    status = answers.pod_status("i", {"NetworkSettings": {"Ports": said}}, spec, {})
    assert [(p.container, p.host) for p in status.ports] == [(80, 1001), (80, 1002), (81, 99), (82, 0)]


@pytest.mark.parametrize("architecture", pause.architectures())
def test_the_program_that_waits_is_a_whole_executable(architecture: str) -> None:
    raw = pause.program(architecture)
    entry, offset = struct.unpack_from("<QQ", raw, 24)
    start, size = struct.unpack_from("<Q", raw, 64 + 16)[0], struct.unpack_from("<Q", raw, 64 + 32)[0]
    assert raw[:4] == b"\x7fELF"
    assert offset == 64
    assert size == len(raw)
    assert start < entry < start + size


def test_the_program_that_waits_waits(tmp_path: Path) -> None:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    if architecture not in pause.architectures() or platform.system() != "Linux":
        pytest.skip("no code for this processor")
    path = tmp_path / "pause"
    path.write_bytes(pause.program(architecture))
    path.chmod(0o755)
    with subprocess.Popen([path]) as child:
        child.send_signal(signal.SIGWINCH)  # a signal that is ignored does not end it
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
        child.kill()
        assert os.WTERMSIG(child.wait() * -1) == signal.SIGKILL
    assert state == "S", "it sleeps and does not spin"
