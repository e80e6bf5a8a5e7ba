"""What a container's spec says is what the container finds, for real."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulo.engines.engine import (
    Busy,
    EngineError,
    ExecSpec,
    Limits,
    Mount,
    MountKind,
    NetworkMode,
    StartFailed,
    Ulimit,
)
from cumulo.engines.images import Config
from tests.engines.local_kit import (
    RUNTIMES,
    Lab,
    container,
    finish,
    needs_local,
    output,
    pod,
    script,
    until_printed,
)

pytestmark = needs_local


@pytest.fixture(params=RUNTIMES)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, request.param)
    yield made
    made.give_up()


def prints(lab: Lab, text: str, *, pod_changes=None, image=None, **changes) -> str:
    """What a script prints under this spec."""
    said = []

    async def story(engine):
        if image is not None:
            changes["image"] = lab.images.add("sha256:" + "c" * 64, image)
        code, printed = await finish(engine, pod("p", script(text, **changes), **(pod_changes or {})))
        said.append(f"{printed}" if code == 0 else f"{printed}({code})")

    lab.tell(story)
    return said[0].strip()


def refuses(lab: Lab, kind: str, **changes) -> str:
    """Why it cannot be started under this spec."""
    said = []

    async def story(engine):
        await engine.create(pod("p", script("true", **changes)))
        with pytest.raises(StartFailed) as failed:
            await engine.start("p", "main")
        assert failed.value.kind == kind, failed.value
        said.append(str(failed.value))

    lab.tell(story)
    return said[0]


def test_the_environment_is_the_images_and_the_specs(lab: Lab) -> None:
    text = prints(
        lab, "echo $FROM $OWN $HOME $HOSTNAME $(hostname)", env={"OWN": "x=1"}, pod_changes={"hostname": "h1"}
    )
    assert text == "image x=1 /root h1 h1"


def test_the_image_says_entrypoint_command_folder_and_user(lab: Lab) -> None:
    async def story(engine):
        image = lab.images.add(
            "sha256:" + "d" * 64,
            Config(
                entrypoint=("/bin/sh", "-c"),
                command=("pwd; id -u; id -g; id -G",),
                cwd="/made/for it",
                user="anna",
            ),
        )
        assert await finish(engine, pod("a", container("main", image=image))) == (
            0,
            "/made/for it\n1000\n1000\n1000 10 77\n",
        )
        assert await finish(engine, pod("b", container("main", "echo other", image=image))) == (0, "other\n")
        given = container("main", image=image, entrypoint=("/bin/echo",))
        assert await finish(engine, pod("c", given)) == (0, "\n")
        nothing = container("main", image=lab.images.add("sha256:" + "e" * 64, Config()))
        await engine.create(pod("d", nothing))
        with pytest.raises(StartFailed, match="no command"):
            await engine.start("d", "main")

    lab.tell(story)


@pytest.mark.parametrize(
    ("user", "printed"),
    [
        ("anna", "1000 1000 1000 10 77"),
        ("1000:77", "1000 77 77"),
        ("4242", "4242 0 0"),
        ("root:wheel", "0 10 10"),
    ],
)
def test_users_are_looked_up_in_the_image(lab: Lab, user: str, printed: str) -> None:
    assert prints(lab, "echo $(id -u) $(id -g) $(id -G)", user=user) == printed


def test_an_unknown_user_is_refused(lab: Lab) -> None:
    assert "nobody-here" in refuses(lab, "user", user="nobody-here")


def test_passwd_is_never_the_hosts(lab: Lab, tmp_path: Path) -> None:
    async def story(engine):
        outside = tmp_path / "outside"
        outside.write_text("evil:x:77:77::/:/bin/sh\n")
        layer = lab.images.folder("")
        (layer / "etc" / "passwd").unlink()
        (layer / "etc" / "passwd").symlink_to(f"../../../../../..{outside}")
        await engine.create(pod("p", script("id", user="evil")))
        with pytest.raises(StartFailed) as failed:
            await engine.start("p", "main")
        assert failed.value.kind == "user"

    lab.tell(story)


def test_the_root_can_be_read_only(lab: Lab) -> None:
    mounts = (Mount(target="/scratch", kind=MountKind.TMPFS, size_mib=1),)
    text = prints(
        lab,
        "touch /x 2>&1; touch /scratch/y && ls /scratch; df /scratch | tail -1 | awk '{print $2}'",
        read_only=True,
        mounts=mounts,
    )
    assert text.splitlines() == ["touch: /x: Read-only file system", "y", "1024"]


def test_mounts_of_the_host(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "a, b:c"
    folder.mkdir()
    (folder / "f").write_text("host\n")
    mounts = (
        Mount(target="/in", kind=MountKind.BIND, source=str(folder)),
        Mount(target="/ro", kind=MountKind.BIND, source=str(folder), read_only=True),
        Mount(target="/etc/one", kind=MountKind.BIND, source=str(folder / "f")),
    )
    text = prints(lab, "cat /in/f /etc/one; touch /in/new; touch /ro/no 2>&1", mounts=mounts)
    assert text.splitlines()[:2] == ["host", "host"]
    assert "Read-only" in text
    assert sorted(os.listdir(folder)) == ["f", "new"]
    assert "cannot be bound" in refuses(
        lab, "mount", mounts=(Mount(target="/x", kind=MountKind.BIND, source="/not/here"),)
    )


def test_volumes_begin_with_what_the_image_has_and_stay(lab: Lab) -> None:
    async def story(engine):
        mount = Mount(target="/seed", kind=MountKind.VOLUME, source="vol-1")
        code, text = await finish(
            engine,
            pod(
                "a", script("cat /seed/file; stat -c %u /seed/file; echo more > /seed/more", mounts=(mount,))
            ),
        )
        assert (code, text) == (0, "from the image\n1000\n")
        with pytest.raises(Busy):
            await engine.remove_volume("vol-1")
        await engine.remove("a")
        assert await finish(engine, pod("b", script("ls /seed", mounts=(mount,)))) == (0, "file\nmore\n")
        await engine.remove("b")
        await engine.remove_volume("vol-1")
        await engine.remove_volume("vol-1")
        assert await finish(engine, pod("c", script("ls /seed", mounts=(mount,)))) == (0, "file\n")
        for bad in ("../x", "", "a/b"):
            with pytest.raises(EngineError):
                await engine.create(
                    pod("d", script("", mounts=(Mount(target="/x", kind=MountKind.VOLUME, source=bad),)))
                )

    lab.tell(story)


def test_containers_of_a_pod_share_its_folders(lab: Lab) -> None:
    async def story(engine):
        shared = (Mount(target="/shared", kind=MountKind.POD, source="s"),)
        reader = container("reader", "sh", "-c", "cat /shared/x; hostname", mounts=shared)
        await engine.create(pod("p", script("echo hi > /shared/x", mounts=shared), reader))
        await engine.start("p", "main")
        await engine.wait("p", "main")
        await engine.start("p", "reader")
        assert (await engine.wait("p", "reader")).code == 0
        assert await output(engine, "p", "reader") == "hi\np\n"

    lab.tell(story)


def test_an_images_volume_is_a_folder_of_the_pods(lab: Lab) -> None:
    text = prints(lab, "grep -c ' /seed ' /proc/mounts; cat /seed/file", image=Config(volumes=("/seed/",)))
    assert text.splitlines() == ["1", "from the image"]


def test_hosts_and_name_servers(lab: Lab) -> None:
    changes = {"names": ("other",), "hosts": {"db.local": "10.1.2.3"}, "dns": ("10.9.9.9",)}
    text = prints(lab, "cat /etc/hosts /etc/resolv.conf /etc/hostname", pod_changes=changes)
    assert "10.1.2.3\tdb.local" in text
    assert "p other" in text
    assert "nameserver 10.9.9.9" in text
    assert text.endswith("p")


def test_limits_of_memory_processes_and_processor(lab: Lab) -> None:
    async def story(engine):
        hungry = "tail /dev/zero"
        await engine.create(
            pod("p", script(hungry, limits=Limits(memory_mib=16, vcpus=0.5, pids_max=50, cpu_shares=512)))
        )
        await engine.start("p", "main")
        end = await engine.wait("p", "main")
        assert (end.code, end.out_of_memory) == (137, True)
        assert (await engine.usage("p"))["main"].memory_limit_bytes == 16 << 20
        calm = script("sleep 0.05", limits=Limits(memory_mib=64))
        await engine.create(pod("calm", calm))
        await engine.start("calm", "main")
        assert not (await engine.wait("calm", "main")).out_of_memory
        forks = script(
            "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; echo all", limits=Limits(pids_max=5)
        )
        _, text = await finish(engine, pod("forks", forks))
        assert "all" not in text
        usage = await engine.usage("forks")
        assert usage["main"].cpu_seconds > 0
        assert (usage["main"].received_bytes, usage["main"].sent_bytes) == (11, 22)

    lab.tell(story)


def test_limits_of_the_pod_as_a_whole(lab: Lab) -> None:
    async def story(engine):
        own = Limits(vcpus=2)  # more than the pod has
        spec = pod(
            "p", script("tail /dev/zero", limits=own), limits=Limits(memory_mib=16, vcpus=0.5, pids_max=64)
        )
        await engine.create(spec)
        await engine.start("p", "main")
        end = await engine.wait("p", "main")
        assert (end.code, end.out_of_memory) == (137, True)

    lab.tell(story)


def test_ulimits_within_what_the_host_allows(lab: Lab) -> None:
    assert prints(lab, "ulimit -n; ulimit -Hn", ulimits=(Ulimit("nofile", 100, 200),)) == "100\n200"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY:
        said = refuses(lab, "engine", ulimits=(Ulimit("nofile", 100, hard + 1),))
        assert "hard limit" in said


def capabilities(lab: Lab, **changes) -> int:
    return int(prints(lab, "grep CapEff /proc/self/status", **changes).split()[1], 16)


def test_capabilities_are_relative_to_dockers(lab: Lab) -> None:
    assert capabilities(lab) == 0xA80425FB  # what `docker run` gives
    assert capabilities(lab, drop=("ALL",)) == 0
    assert capabilities(lab, drop=("ALL",), add=("NET_ADMIN",)) == 1 << 12
    assert capabilities(lab, add=("CAP_SYS_PTRACE",)) == 0xA80425FB | 1 << 19
    assert capabilities(lab, user="anna") == 0
    assert capabilities(lab, privileged=True) & 1 << 21
    assert "no capability" in refuses(lab, "engine", add=("NONSENSE",))


def test_system_calls_are_filtered(lab: Lab) -> None:
    text = prints(
        lab,
        "grep Seccomp: /proc/self/status; mount -t tmpfs none /tmp 2>&1; unshare -U true 2>&1; date -s 2020-01-01 2>&1 | head -1",
    )
    lines = text.splitlines()
    assert lines[0].split() == ["Seccomp:", "2"]
    assert "denied" in lines[1] or "permitted" in lines[1]
    assert "Operation not permitted" in lines[2]
    assert "Operation not permitted" in text.splitlines()[3]
    assert prints(lab, "mount -t tmpfs none /tmp && echo mounted", add=("SYS_ADMIN",)) == "mounted"
    assert (
        prints(
            lab, "grep Seccomp: /proc/self/status; grep NoNewPrivs /proc/self/status", privileged=True
        ).split()[1]
        == "0"
    )
    assert prints(lab, "grep NoNewPrivs /proc/self/status", no_new_privileges=True).split()[1] == "1"


def test_every_container_has_its_whole_filter_and_so_has_what_is_started_inside(lab: Lab) -> None:
    """The second one with a profile gets what the runtime compiled for the first."""
    tries = "grep Seccomp: /proc/self/status; unshare -U true 2>&1"

    async def story(engine):
        filters = []
        for name, changes in (("a", {}), ("b", {}), ("free", {"add": ("SYS_ADMIN",)}), ("c", {})):
            await engine.create(pod(name, script(f"{tries}; echo tried; sleep 60", **changes)))
            await engine.start(name, "main")
            await until_printed(engine, name, "tried")
            kept = list(lab.run.glob(f"*/runtime/{name}.main.1/seccomp.bpf"))
            filters.append(kept[0].read_bytes() if kept else b"")
            session = await engine.exec(name, "main", ExecSpec(argv=("/bin/sh", "-c", tries)))
            inside = b""
            while (piece := await session.read()) is not None:
                inside += piece[1]
            await session.close()
            for text in (await output(engine, name), inside.decode()):
                assert text.split()[:2] == ["Seccomp:", "2"]
                assert ("Operation not permitted" in text) == (name != "free"), text
            await engine.remove(name)
        assert filters[0] == filters[1] == filters[3]
        assert (filters[2] != filters[0]) == bool(filters[0])

    lab.tell(story)


def test_the_kernels_files_are_guarded(lab: Lab) -> None:
    tries = "for f in /proc/sysrq-trigger /proc/sys/kernel/panic /sys/power/state; do (echo 1 > $f) 2>/dev/null && echo $f; done"
    assert prints(lab, f"{tries}; ls /sys/firmware | wc -l; wc -c < /proc/keys") == "0\n0"


def test_sysctls_devices_and_shared_memory(lab: Lab) -> None:
    text = prints(
        lab,
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; df /dev/shm | tail -1 | awk '{print $2}'; ls /dev/loop-control; od -An -N1 -c /dev/kmsg 2>&1 | wc -l",
        sysctls={"net.ipv4.ip_unprivileged_port_start": "81", "kernel.msgmax": "9000"},
        devices=("/dev/loop-control",) if Path("/dev/loop-control").exists() else (),
        shm_mib=3,
    )
    assert text.split()[:3] == ["81", "9000", "3072"]
    assert "there is no device" in refuses(lab, "mount", devices=("/dev/not-here",))
    assert "not a device" in refuses(lab, "mount", devices=("/etc/passwd",))


def test_an_init_reaps_and_forwards(lab: Lab) -> None:
    if not lab.tools.init:
        pytest.skip("no static init is installed")
    text = prints(lab, "cat /proc/1/comm; echo $$", init=True)
    assert text.split()[0] in {"init", "tini", "tini-static", "catatonit"}
    assert text.split()[1] != "1"


def test_a_terminal(lab: Lab) -> None:
    assert prints(lab, "tty; echo $TERM", terminal=True).split() == ["/dev/pts/0", "xterm"]


def test_the_hosts_network(lab: Lab) -> None:
    text = prints(lab, "ls -l /proc/self/ns/net | sed 's/.*-> //'", pod_changes={"network": NetworkMode.HOST})
    assert text == os.readlink("/proc/self/ns/net")


def test_a_privileged_container_has_the_hosts_devices(lab: Lab) -> None:
    assert prints(
        lab, "ls /dev/kmsg; echo 1 > /proc/sys/net/ipv4/ip_forward && echo wrote", privileged=True
    ).split() == ["/dev/kmsg", "wrote"]


def test_containers_do_not_see_or_reach_each_other(lab: Lab) -> None:
    async def story(engine):
        await engine.create(pod("a", container("main", "sleep", "100")))
        await engine.start("a", "main")
        code, text = await finish(
            engine,
            pod("b", script("ls -d /proc/[0-9]* | wc -l")),
        )
        assert code == 0
        assert int(text) <= 4
        session = await engine.exec(
            "a",
            "main",
            ExecSpec(
                argv=("sh", "-c", "id -u; pwd; cat /proc/self/status | grep Seccomp:"),
                user="anna",
                cwd="/tmp",
            ),
        )
        got = b""
        while (piece := await session.read()) is not None:
            got += piece[1]
        assert got.split() == [b"1000", b"/tmp", b"Seccomp:", b"2"]
        await session.close()

    lab.tell(story)


def test_bad_specs_change_nothing(lab: Lab) -> None:
    async def story(engine):
        twice = (Mount(target="/a", kind=MountKind.TMPFS), Mount(target="/a/", kind=MountKind.TMPFS))
        for bad in (
            pod("Bad Name", container()),
            pod("p"),
            pod("p", container(), container()),
            pod("p", container("../x")),
            pod("p", container(mounts=twice)),
            pod("p", container(mounts=(Mount(target="relative", kind=MountKind.TMPFS),))),
            pod("p", container(env={"A=B": ""})),
        ):
            with pytest.raises(EngineError):
                await engine.create(bad)
        assert await engine.pods() == []
        assert lab.leftovers() == []

    lab.tell(story)
