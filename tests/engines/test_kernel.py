"""The contract: what the kernel holds a container to, and what it lets it see."""

import asyncio
from pathlib import Path

import pytest

from cumulo.engines.engine import (
    Busy,
    Capability,
    EngineError,
    ExecSpec,
    Limits,
    Mount,
    MountKind,
    Ulimit,
)
from tests.engines.kit import Lab

# The figure of a controller, in whichever place this kernel's cgroups have it.
CGROUP = "cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}"


async def test_a_root_file_system_that_is_read_only(lab: Lab) -> None:
    ran = await lab.sh(
        "touch /x || echo refused; touch /t/x && echo written",
        read_only=True,
        mounts=(Mount(target="/t", kind=MountKind.TMPFS),),
    )
    assert ran.out.split() == ["refused", "written"]


async def test_tmpfs_has_its_size_and_its_options(lab: Lab) -> None:
    mount = Mount(target="/t", kind=MountKind.TMPFS, size_mib=4, options=("mode=0711", "noexec"))
    ran = await lab.sh(
        "stat -c %a /t; grep ' /t ' /proc/mounts; dd if=/dev/zero of=/t/x bs=1M count=8 2>/dev/null || echo full",
        mounts=(mount,),
    )
    mode, mounted, full = ran.out.splitlines()
    assert mode == "711"
    assert "noexec" in mounted
    assert "size=4096k" in mounted
    assert full == "full"


async def test_shared_memory_has_its_size(lab: Lab) -> None:
    ran = await lab.sh("grep ' /dev/shm ' /proc/mounts", shm_mib=8)
    assert "size=8192k" in ran.out
    ran = await lab.sh("grep ' /dev/shm ' /proc/mounts")
    assert "size=65536k" in ran.out


async def test_folders_and_files_of_the_host(lab: Lab) -> None:
    lab.needs_kernel()
    place = lab.folder_for("shared")
    place.chmod(0o777)
    (place / "in").write_text("from the host\n")
    mounts = (
        Mount(target="/there", kind=MountKind.BIND, source=str(place)),
        Mount(target="/one-file", kind=MountKind.BIND, source=str(place / "in"), read_only=True),
    )
    ran = await lab.sh(
        "cat /one-file; echo back > /there/out; echo no > /one-file || echo refused", mounts=mounts
    )
    assert ran.out.splitlines() == ["from the host", "refused"]
    assert (place / "out").read_text() == "back\n"


async def test_a_folder_of_the_host_that_is_not_there(lab: Lab) -> None:
    lab.needs_kernel()
    mount = Mount(target="/there", kind=MountKind.BIND, source=str(lab.folder / "missing"))
    with pytest.raises(EngineError, match="missing"):
        await lab.run("true", mounts=(mount,))
    assert not (lab.folder / "missing").exists()


async def test_a_volume_outlives_its_pods_until_it_is_removed(lab: Lab) -> None:
    lab.needs_kernel()
    mounts = (Mount(target="/keep", kind=MountKind.VOLUME, source="kept"),)
    first = await lab.sh("echo once > /keep/x", mounts=mounts)
    assert first.exit.code == 0
    await lab.engine.remove(first.pod)
    second = await lab.sh("cat /keep/x", mounts=mounts)
    assert second.out == "once\n"
    with pytest.raises(Busy):
        await lab.engine.remove_volume("kept")
    await lab.engine.remove(second.pod)
    await lab.engine.remove_volume("kept")
    await lab.engine.remove_volume("kept")
    third = await lab.sh("cat /keep/x || echo gone", mounts=mounts)
    assert third.out == "gone\n"
    await lab.engine.remove(third.pod)
    await lab.engine.remove_volume("kept")


async def test_a_pod_s_folder_is_shared_and_goes_with_it(lab: Lab) -> None:
    lab.needs_kernel()
    mounts = (Mount(target="/pod", kind=MountKind.POD, source="scratch"),)
    writer = lab.container("sh", "-c", "echo shared > /pod/x", name="writer", mounts=mounts)
    reader = lab.container(
        "sh", "-c", "until test -s /pod/x; do sleep 0.05; done; cat /pod/x", name="reader", mounts=mounts
    )
    for _ in range(2):
        pod = await lab.up(reader, writer, name="folders")
        assert (await lab.engine.wait(pod.name, "reader")).code == 0
        assert [line.text for line in await lab.logs(pod.name, "reader")] == [b"shared"]
        await lab.engine.remove(pod.name)
    empty = await lab.sh("ls /pod | wc -l", mounts=mounts, pod={"name": "folders"})
    assert empty.out.strip() == "0", "a new pod of that name has a new folder"


async def test_a_volume_of_the_image_starts_with_what_the_image_has_there(lab: Lab) -> None:
    ran = await lab.sh(
        "cat /data/of-the-image; echo w > /data/x && echo written", image=lab.dressed.id, entrypoint=()
    )
    assert ran.out.split() == ["first", "written"]


async def test_memory_has_a_bound_and_what_breaks_it_is_killed(lab: Lab) -> None:
    hog = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"
    ran = await lab.sh(hog, limits=Limits(memory_mib=32))
    assert ran.exit.code == 137
    assert ran.exit.out_of_memory
    status = (await lab.engine.inspect(ran.pod)).containers["main"]
    assert status.exit is not None
    assert status.exit.out_of_memory


async def test_the_limits_are_the_kernel_s(lab: Lab) -> None:
    limits = Limits(memory_mib=64, vcpus=0.5, pids_max=50)
    ran = await lab.sh(
        "; ".join(
            [
                CGROUP.format(v1="memory/memory.limit_in_bytes", v2="memory.max"),
                CGROUP.format(v1="pids/pids.max", v2="pids.max"),
                CGROUP.format(v1="cpu/cpu.cfs_quota_us", v2="cpu.max"),
            ]
        ),
        limits=limits,
    )
    memory, pids, quota = ran.out.splitlines()
    assert int(memory) == 64 * 1024 * 1024
    assert int(pids) == 50
    assert quota.split()[0] == "50000"


async def test_shares_of_the_processor(lab: Lab) -> None:
    ran = await lab.sh(CGROUP.format(v1="cpu/cpu.shares", v2="cpu.weight"), limits=Limits(cpu_shares=512))
    assert ran.out.strip() in {"512", "20", "59"}, "shares of v1, or their weight of v2"


async def test_processes_have_a_bound(lab: Lab) -> None:
    ran = await lab.sh(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all of them", limits=Limits(pids_max=6)
    )
    assert "all of them" not in ran.out or "fork" in ran.err


async def test_limits_of_the_pod_as_a_whole(lab: Lab) -> None:
    lab.needs(Capability.POD_LIMITS)
    hog = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}"
    ran = await lab.sh(hog, pod={"limits": Limits(memory_mib=48)})
    assert ran.exit.code == 137
    assert ran.exit.out_of_memory


async def test_ulimits(lab: Lab) -> None:
    ran = await lab.sh("ulimit -Sn; ulimit -Hn", ulimits=(Ulimit("nofile", 100, 200),))
    assert ran.out.split() == ["100", "200"]


def _capabilities(line: str) -> int:
    return int(line.rsplit(maxsplit=1)[-1], 16)


NET_RAW, CHOWN, SYS_ADMIN, NET_ADMIN = 1 << 13, 1 << 0, 1 << 21, 1 << 12
DOCKERS_SET = 0xA80425FB


async def test_capabilities_are_docker_s_and_can_be_changed(lab: Lab) -> None:
    show = "grep CapBnd /proc/self/status"
    assert _capabilities((await lab.sh(show)).out) == DOCKERS_SET
    changed = _capabilities((await lab.sh(show, add=("NET_ADMIN",), drop=("NET_RAW",))).out)
    assert changed == DOCKERS_SET & ~NET_RAW | NET_ADMIN
    assert _capabilities((await lab.sh(show, drop=("ALL",), add=("CHOWN",))).out) == CHOWN


async def test_a_privileged_container_has_them_all(lab: Lab) -> None:
    lab.needs_kernel()
    own = int(Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    if own != (1 << last + 1) - 1:
        pytest.skip("this machine's root lacks capabilities itself")
    ran = await lab.sh("grep CapEff /proc/self/status; ls /dev | wc -l", privileged=True)
    assert _capabilities(ran.out.splitlines()[0]) & SYS_ADMIN


async def test_no_new_privileges(lab: Lab) -> None:
    show = "grep NoNewPrivs /proc/self/status"
    assert (await lab.sh(show)).out.split()[-1] == "0"
    assert (await lab.sh(show, no_new_privileges=True)).out.split()[-1] == "1"


async def test_a_seccomp_filter_is_on(lab: Lab) -> None:
    assert (await lab.sh("grep Seccomp: /proc/self/status")).out.split()[-1] == "2"


async def test_an_init_is_pid_1_and_reaps(lab: Lab) -> None:
    pod = await lab.started("sh", "-c", "(sleep 0.1 &); echo ready; sleep 600", init=True)
    lab.needs_kernel()
    await lab.prints(pod, "ready")
    code, out, _ = await lab.execute(pod, ExecSpec(argv=("cat", "/proc/1/comm")))
    assert code == 0
    assert out.strip() not in {"sh", "sleep"}
    await asyncio.sleep(0.3)
    _, out, _ = await lab.execute(
        pod, ExecSpec(argv=("sh", "-c", "grep -l 'State:.*zombie' /proc/[0-9]*/status | wc -l"))
    )
    assert out.strip() == "0"


async def test_sysctls(lab: Lab) -> None:
    ran = await lab.sh(
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        sysctls={"net.ipv4.ip_unprivileged_port_start": "77"},
    )
    assert ran.out.strip() == "77"


async def test_devices_of_the_host(lab: Lab) -> None:
    lab.needs_kernel()
    if not Path("/dev/loop-control").exists():
        pytest.skip("this machine has no /dev/loop-control")
    assert (
        await lab.sh("test -c /dev/loop-control && echo there", devices=("/dev/loop-control",))
    ).out == "there\n"
    assert (await lab.sh("test -e /dev/loop-control || echo hidden")).out == "hidden\n"


async def test_what_a_container_must_not_see(lab: Lab) -> None:
    ran = await lab.sh(
        "cat /proc/kcore | head -c1 | wc -c; ls /sys/firmware | wc -l; echo $$; ls -d /proc/[0-9]* | wc -l"
    )
    kcore, firmware, pid, processes = ran.out.split()
    assert (kcore, firmware, pid) == ("0", "0", "1")
    assert int(processes) < 8


async def test_usage_tells_what_is_used(lab: Lab) -> None:
    lab.needs(Capability.USAGE)
    pod = await lab.started(
        "sh",
        "-c",
        "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo ready; sleep 600",
        limits=Limits(memory_mib=64),
    )
    await lab.prints(pod, "ready")
    used = (await lab.engine.usage(pod))["main"]
    assert used.cpu_seconds > 0.005
    assert 0 < used.memory_bytes < 64 * 1024 * 1024
    assert used.memory_limit_bytes == 64 * 1024 * 1024
    assert used.pids >= 1
