"""A task as pods."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.ecs_running.running_kit import a_task, container, definition

from cumulo.engines.engine import Capability, Limits, MountKind, NetworkMode, PodSpec, Port, Ulimit
from cumulo.engines.images import Config, Image, Platform
from cumulo.services.ecs.model import TaskDefinition
from cumulo.services.ecs.running.overrides import containers_of
from cumulo.services.ecs.running.pods import PIDS_MAX, Place, PodPlan, bindings, pods_of, refuse
from cumulo.services.ecs.running.refusal import CannotStart
from cumulo.services.ecs.running.volumes import volumes_of

ALL = frozenset(Capability)
EFS = Path("/efs")


@dataclasses.dataclass
class Setting:
    able: frozenset[Capability] = ALL
    place: Place = dataclasses.field(default_factory=Place)
    image_volumes: tuple[str, ...] = ()


def plans(of: TaskDefinition, setting: Setting | None = None, **changes: Any) -> list[PodPlan]:
    it = setting or Setting()
    task = a_task(of, **changes)
    containers = containers_of(task, of)
    refuse(task, of, containers, it.able, it.place)
    image = Image(
        id="sha256:i",
        digest="sha256:d",
        platform=Platform("amd64"),
        config=Config(volumes=it.image_volumes),
    )
    names = [str(one["name"]) for one in containers]
    return pods_of(
        task,
        of,
        containers,
        images=dict.fromkeys(names, image),
        env={name: {"NAME": name} for name in names},
        volumes=volumes_of(
            task, of, containers, efs=EFS, image_volumes=dict.fromkeys(names, it.image_volumes)
        ),
        place=it.place,
        hosts={"db.local": "10.0.0.9"},
        able=it.able,
    )


def only(of: TaskDefinition, setting: Setting | None = None, **changes: Any) -> PodSpec:
    [plan] = plans(of, setting, **changes)
    return plan.spec


def test_every_field_of_a_container_reaches_the_engine() -> None:
    told = container(
        "main",
        "serve",
        entryPoint=["/init"],
        user="app:staff",
        workingDirectory="/srv",
        pseudoTerminal=True,
        readonlyRootFilesystem=True,
        privileged=True,
        cpu=256,
        memory=512,
        memoryReservation=128,
        ulimits=[{"name": "core", "softLimit": 0, "hardLimit": 1}],
        systemControls=[{"namespace": "net.core.somaxconn", "value": "2048"}],
        dockerSecurityOptions=["no-new-privileges"],
        dockerLabels={"team": "blue"},
        linuxParameters={
            "capabilities": {"add": ["SYS_PTRACE"], "drop": ["NET_RAW"]},
            "devices": [{"hostPath": "/dev/fuse"}],
            "tmpfs": [{"containerPath": "/fast", "size": 16, "mountOptions": ["noexec"]}],
            "sharedMemorySize": 128,
            "initProcessEnabled": True,
        },
        logConfiguration={"logDriver": "json-file", "options": {"max-size": "2m", "max-file": "3"}},
    )
    spec = only(definition(told, mode="none"), launch_type="EC2")
    [one] = spec.containers
    assert spec.network is NetworkMode.NONE
    assert (one.entrypoint, one.command) == (("/init",), ("serve",))
    assert (one.user, one.cwd, one.terminal, one.read_only, one.privileged, one.init) == (
        "app:staff",
        "/srv",
        True,
        True,
        True,
        True,
    )
    assert one.limits == Limits(cpu_shares=256, memory_mib=512, reserve_mib=128)
    assert one.ulimits == (Ulimit("core", 0, 1),)
    assert one.sysctls == {"net.core.somaxconn": "2048"}
    assert one.no_new_privileges
    assert (one.add, one.drop, one.devices, one.shm_mib) == (
        ("SYS_PTRACE",),
        ("NET_RAW",),
        ("/dev/fuse",),
        128,
    )
    assert one.labels["team"] == "blue"
    assert one.labels["com.amazonaws.ecs.container-name"] == "main"
    [mount] = one.mounts
    assert (mount.kind, mount.target, mount.size_mib, mount.options) == (
        MountKind.TMPFS,
        "/fast",
        16,
        ("noexec",),
    )
    assert one.log_bytes_max == 6 << 20


def test_fargate_bounds_the_whole_and_opens_many_files() -> None:
    spec = only(definition(container(), cpu="512", memory="1024"), Setting(place=Place(files_max=20_000)))
    assert spec.limits == Limits(vcpus=0.5, memory_mib=1024, pids_max=PIDS_MAX)
    assert spec.containers[0].ulimits == (Ulimit("nofile", 20_000, 20_000),)


def test_where_pods_cannot_be_bounded_each_container_is() -> None:
    setting = Setting(able=ALL - {Capability.POD_LIMITS})
    spec = only(definition(container("a"), container("b", memory=64), cpu="512", memory="1024"), setting)
    assert spec.limits == Limits()
    assert [(one.limits.vcpus, one.limits.memory_mib) for one in spec.containers] == [(0.5, 1024), (0.5, 64)]


def test_overrides_take_the_place_of_the_definition() -> None:
    overrides = {
        "containerOverrides": [{"name": "main", "command": ["other"], "memory": 99, "cpu": 7}],
        "cpu": "1024",
        "memory": "3072",
    }
    spec = only(
        definition(container("main", "serve", memory=10), cpu="256", memory="512"), overrides=overrides
    )
    assert spec.limits == Limits(vcpus=1, memory_mib=3072, pids_max=PIDS_MAX)
    assert spec.containers[0].command == ("other",)
    assert spec.containers[0].limits == Limits(cpu_shares=7, memory_mib=99)


def test_tasks_of_an_instance_live_in_its_slice_and_its_ports_are_its_own() -> None:
    told = container(
        portMappings=[
            {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
            {"containerPort": 53, "hostPort": 0, "protocol": "udp"},
            {"containerPortRange": "7000-7002", "protocol": "tcp"},
        ]
    )
    setting = Setting(place=Place(slice="i-1", address="10.1.2.3"))
    spec = only(definition(told, mode="bridge"), setting, launch_type="EC2")
    assert spec.slice == "i-1"
    assert {one.address for one in spec.ports} == {"10.1.2.3"}
    assert [(one.container, one.host, one.protocol) for one in spec.ports] == [
        (80, 8080, "tcp"),
        (53, 0, "udp"),
        (7000, 0, "tcp"),
        (7001, 0, "tcp"),
        (7002, 0, "tcp"),
    ]


def test_bindings_show_the_ports_that_there_really_are() -> None:
    told = container(portMappings=[{"containerPort": 80, "hostPort": 80}])
    port = Port(container=80, host=41_000, address="10.1.2.3")
    assert bindings(told, "bridge", [port]) == (
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 41_000, "protocol": "tcp"},
    )
    assert bindings(told, "host", []) == (
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 80, "protocol": "tcp"},
    )
    assert bindings(told, "awsvpc", []) == ()


def test_in_bridge_mode_each_container_is_alone_and_comes_after_those_it_links_to() -> None:
    of = definition(
        container("web", links=["db:database"]),
        container("db", extraHosts=[{"hostname": "x", "ipAddress": "1.2.3.4"}]),
        mode="bridge",
    )
    first, second = plans(of, launch_type="EC2")
    assert [one.name for one in first.spec.containers] == ["db"]
    assert first.spec.hosts == {"db.local": "10.0.0.9", "x": "1.2.3.4"}
    assert second.links == (("database", "db"), ("db", "db"))
    assert first.spec.name != second.spec.name


def test_in_bridge_mode_a_container_can_do_without_a_network() -> None:
    mapped = [{"containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]
    of = definition(
        container("alone", disableNetworking=True, portMappings=mapped),
        container("web", portMappings=mapped),
        mode="bridge",
    )
    alone, web = (one.spec for one in plans(of, launch_type="EC2"))
    assert (alone.network, alone.ports) == (NetworkMode.NONE, ())
    assert (web.network, len(web.ports)) == (NetworkMode.BRIDGE, 1)


def test_a_ring_of_links_is_refused() -> None:
    of = definition(container("a", links=["b"]), container("b", links=["a"]), mode="bridge")
    with pytest.raises(CannotStart, match="ring"):
        plans(of, launch_type="EC2")


def test_names_that_engines_do_not_take_are_made_to_fit() -> None:
    long = "x" * 255
    spec = only(definition(container("Web_1"), container("web-1"), container(long)))
    found = [one.name for one in spec.containers]
    assert found[1] == "web-1"
    assert len(set(found)) == 3
    assert all(len(name) <= 63 and name == name.lower() and "_" not in name for name in found)


def mounts(told: Mapping[str, Any], *volumes: Mapping[str, Any], mode: str = "awsvpc") -> Any:
    of = definition(told, container("other"), mode=mode, volumes=list(volumes))
    task = a_task(of, launch_type="EC2")
    return volumes_of(task, of, containers_of(task, of), efs=EFS, image_volumes={})


@pytest.mark.parametrize(
    ("volume", "mode", "kind", "source"),
    [
        ({"host": {}}, "awsvpc", MountKind.POD, "v"),
        ({"host": {"sourcePath": "/srv/data"}}, "bridge", MountKind.BIND, "/srv/data"),
        ({"dockerVolumeConfiguration": {"scope": "task"}}, "awsvpc", MountKind.POD, "v"),
        (
            {"efsVolumeConfiguration": {"fileSystemId": "fs-12345678", "rootDirectory": "/a/b"}},
            "awsvpc",
            MountKind.BIND,
            "/efs/fs-12345678/a/b",
        ),
    ],
)
def test_kinds_of_volumes(volume: Mapping[str, Any], mode: str, kind: MountKind, source: str) -> None:
    told = container(mountPoints=[{"sourceVolume": "v", "containerPath": "/v", "readOnly": True}])
    found = mounts(told, {"name": "v"} | volume, mode=mode)
    [mount] = found.mounts["main"]
    assert (mount.kind, mount.source, mount.target, mount.read_only) == (kind, source, "/v", True)
    assert found.own == ()


def test_a_volume_of_several_pods_is_removed_with_the_task() -> None:
    told = container(mountPoints=[{"sourceVolume": "V_1", "containerPath": "/v"}])
    found = mounts(told, {"name": "V_1"}, mode="bridge")
    [mount] = found.mounts["main"]
    assert mount.kind is MountKind.VOLUME
    assert found.own == (mount.source,)


def test_a_shared_volume_is_the_same_for_all_tasks_of_an_instance() -> None:
    told = container(mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}])
    of = definition(
        told, volumes=[{"name": "v", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}}]
    )
    found = [
        volumes_of(
            a_task(of, number, instance_arn=instance),
            of,
            of.containers,
            efs=EFS,
            image_volumes={},
        )
        .mounts["main"][0]
        .source
        for number, instance in ((1, "i"), (2, "i"), (3, "j"))
    ]
    assert found[0] == found[1] != found[2]


def test_volumes_from_another_container_are_the_same_folders() -> None:
    of = definition(
        container("data", mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}]),
        container("main", volumesFrom=[{"sourceContainer": "data", "readOnly": True}]),
        volumes=[{"name": "v"}],
    )
    spec = only(of, Setting(image_volumes=("/var/lib",)))
    lent, borrowed = (one.mounts for one in spec.containers)
    assert {(one.target, one.source) for one in lent} == {(one.target, one.source) for one in borrowed}
    assert {one.target for one in lent} == {"/v", "/var/lib"}
    assert all(one.read_only for one in borrowed)
    assert not any(one.read_only for one in lent)


@pytest.mark.parametrize(
    "volume",
    [
        {"efsVolumeConfiguration": {"fileSystemId": "fs-12345678", "rootDirectory": "/../../etc"}},
        {"efsVolumeConfiguration": {"fileSystemId": "../etc"}},
        {"host": {"sourcePath": "/a/../etc"}},
        {"dockerVolumeConfiguration": {"driver": "rexray/ebs"}},
        {"dockerVolumeConfiguration": {"driverOpts": {"type": "nfs"}}},
    ],
)
def test_volumes_that_lead_elsewhere_are_refused(volume: Mapping[str, Any]) -> None:
    told = container(mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}])
    with pytest.raises(CannotStart):
        mounts(told, {"name": "v"} | volume)


@pytest.mark.parametrize(
    ("changes", "document"),
    [
        ({"privileged": True}, {}),
        ({"linuxParameters": {"devices": [{"hostPath": "/dev/sda"}]}}, {}),
        ({"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}}, {}),
        ({}, {"mode": "host"}),
        ({}, {"volumes": [{"name": "v", "host": {"sourcePath": "/"}}]}),
    ],
)
def test_a_shared_cloud_gives_nobody_the_machine(
    changes: Mapping[str, Any], document: Mapping[str, Any]
) -> None:
    of = definition(container(**changes), **document)
    plans(of, launch_type="EC2")
    with pytest.raises(CannotStart, match="shared cloud"):
        plans(of, Setting(place=Place(trusted=False)), launch_type="EC2")
