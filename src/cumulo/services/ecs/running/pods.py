"""A task as pods of the engine.  Pure.

awsvpc, host, none   one pod with every container
bridge               a pod for each container, found by its links as lines of /etc/hosts
"""

from collections.abc import Mapping, Sequence

import msgspec

from cumulo.engines.engine import Capability, ContainerSpec, Limits, NetworkMode, PodSpec, Port
from cumulo.engines.images import Image
from cumulo.services.ecs.model import CPU_UNITS, Document, Task, TaskDefinition
from cumulo.services.ecs.running import names, order
from cumulo.services.ecs.running.container_spec import FARGATE_FILES, container_spec
from cumulo.services.ecs.running.overrides import own_limits
from cumulo.services.ecs.running.refusal import cannot_create
from cumulo.services.ecs.running.volumes import Volumes

ANYWHERE = "0.0.0.0"  # noqa: S104 - the host's addresses, as ECS maps ports
PIDS_MAX = 8192  # processes and threads of a task: a machine has no more than some ten thousands
_PRIORITY = frozenset({"rtprio", "nice"})  # with them a process comes before everybody else's
CARRIED_DRIVERS = frozenset({"", "awslogs", "json-file", "none"})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the task lives: its container instance's slice and address; both empty on Fargate.

    trusted   whether tasks may have the machine itself: its paths, devices, network, privileges
    files_max the most open files that this machine allows a process
    """

    slice: str = ""
    address: str = ""
    trusted: bool = True
    files_max: int = FARGATE_FILES


class PodPlan(msgspec.Struct, frozen=True):
    """A pod to be made, after those that it links to: `links` are names and the containers that they lead to."""

    spec: PodSpec
    links: tuple[tuple[str, str], ...] = ()


def refuse(
    task: Task,
    definition: TaskDefinition,
    containers: Sequence[Document],
    able: frozenset[Capability],
    place: Place,
) -> None:
    """CannotStart when the engine, or this cloud, cannot carry what the task asks for."""
    mode = definition.network_mode
    for field in ("pidMode", "ipcMode"):
        if definition.document.get(field) not in {None, "", "none"}:
            raise cannot_create(f"{field} {definition.document[field]} is not carried")
    if definition.document.get("inferenceAccelerators"):
        raise cannot_create("inference accelerators are not carried")
    if mode in {"awsvpc", "bridge"} and Capability.ADDRESS not in able:
        raise cannot_create(f"the container engine has no addresses for tasks in network mode {mode}")
    mapped = mode == "bridge" and any(one.get("portMappings") for one in containers)
    if mapped and Capability.PORTS not in able:
        raise cannot_create("the container engine cannot map ports of the host")
    if place.slice and Capability.SLICES not in able:
        raise cannot_create("the container engine has no slices to hold a container instance's tasks")
    for one in containers:
        _refuse_container(one, task)
    if not place.trusted:
        _refuse_untrusted(definition, containers)


def _refuse_container(one: Document, task: Task) -> None:
    name = str(one["name"])
    driver = str((one.get("logConfiguration") or {}).get("logDriver") or "")
    if driver not in CARRIED_DRIVERS:
        raise cannot_create(f"the log driver {driver} is not carried; awslogs, json-file and none are", name)
    if driver == "awslogs" and not (one["logConfiguration"].get("options") or {}).get("awslogs-group"):
        raise cannot_create("must specify a value for log opt 'awslogs-group'", name)
    for need in one.get("resourceRequirements", ()):
        raise cannot_create(f"{need.get('type')} is not carried", name)
    if task.is_fargate and one.get("privileged"):
        raise cannot_create("Fargate has no privileged containers", name)


def _refuse_untrusted(definition: TaskDefinition, containers: Sequence[Document]) -> None:
    """In a cloud that many people share, nobody gets the machine itself."""
    if definition.network_mode == "host":
        raise cannot_create("a shared cloud does not give tasks the machine's own network")
    for volume in definition.document.get("volumes", ()):
        if (volume.get("host") or {}).get("sourcePath"):
            raise cannot_create(f"a shared cloud does not give tasks the machine's files ({volume['name']})")
    for one in containers:
        linux = one.get("linuxParameters") or {}
        added = (linux.get("capabilities") or {}).get("add", ())
        if one.get("privileged") or linux.get("devices") or set(added) - {"SYS_PTRACE"}:
            raise cannot_create("a shared cloud gives containers no privileges", str(one["name"]))
        urgent = {str(it["name"]) for it in one.get("ulimits", ())} & _PRIORITY
        if urgent:
            raise cannot_create(f"a shared cloud gives containers no ulimit {min(urgent)}", str(one["name"]))


def pods_of(
    task: Task,
    definition: TaskDefinition,
    containers: Sequence[Document],
    *,
    images: Mapping[str, Image],
    env: Mapping[str, Mapping[str, str]],
    volumes: Volumes,
    place: Place,
    hosts: Mapping[str, str],
    able: frozenset[Capability],
) -> list[PodPlan]:
    """The pods, in the order in which they are to be made.  CannotStart.

    images, env   by container
    hosts         further lines of /etc/hosts
    """
    built = {
        str(one["name"]): container_spec(
            one,
            inner=names.inner_name(definition, str(one["name"])),
            image=images[str(one["name"])].id,
            env=env[str(one["name"])],
            mounts=volumes.mounts[str(one["name"])],
            labels=_labels(task, one),
            files=min(FARGATE_FILES, place.files_max) if task.is_fargate else 0,
            trusted=place.trusted,
        )
        for one in containers
    }
    bounds = _bounds(task, definition)
    if Capability.POD_LIMITS not in able:
        # What is not bounded together is bounded one by one.
        built = {name: _bounded(one, bounds) for name, one in built.items()}
        bounds = Limits()
    base = PodSpec(
        name=names.pod_name(task, definition, str(containers[0]["name"])),
        owner=names.OWNER,
        containers=tuple(built.values()),
        labels={names.TASK_LABEL: task.arn},
        hosts=hosts,
        limits=bounds,
        slice=place.slice,
    )
    if definition.network_mode != "bridge":
        return [_whole(base, definition, containers)]
    return [
        PodPlan(
            msgspec.structs.replace(
                base,
                name=names.pod_name(task, definition, str(one["name"])),
                containers=(built[str(one["name"])],),
                network=NetworkMode.NONE if one.get("disableNetworking") else base.network,
                hostname=str(one.get("hostname") or ""),
                hosts={**hosts, **_extra_hosts([one])},
                dns=tuple(str(it) for it in one.get("dnsServers", ())),
                ports=() if one.get("disableNetworking") else ports(one, place.address),
            ),
            _links(one),
        )
        for one in _linked_first(containers)
    ]


def _whole(base: PodSpec, definition: TaskDefinition, containers: Sequence[Document]) -> PodPlan:
    """One pod for everything."""
    modes = {"host": NetworkMode.HOST, "none": NetworkMode.NONE}
    network = modes.get(definition.network_mode, NetworkMode.BRIDGE)
    servers = dict.fromkeys(str(it) for one in containers for it in one.get("dnsServers", ()))
    hostname = next((str(one["hostname"]) for one in containers if one.get("hostname")), "")
    spec = msgspec.structs.replace(
        base,
        network=network,
        hostname="" if network is NetworkMode.HOST else hostname,
        hosts={**base.hosts, **_extra_hosts(containers)},
        dns=tuple(servers),
    )
    return PodPlan(spec)


def _bounds(task: Task, definition: TaskDefinition) -> Limits:
    cpu, memory = own_limits(task, definition)
    return Limits(vcpus=cpu / CPU_UNITS, memory_mib=memory, pids_max=PIDS_MAX)


def _bounded(one: ContainerSpec, bounds: Limits) -> ContainerSpec:
    own = one.limits
    kept = msgspec.structs.replace(
        own,
        vcpus=own.vcpus or bounds.vcpus,
        memory_mib=own.memory_mib or bounds.memory_mib,
        pids_max=bounds.pids_max,
    )
    return msgspec.structs.replace(one, limits=kept)


def _labels(task: Task, one: Document) -> dict[str, str]:
    revision = task.definition_arn.rpartition(":")[2]
    return {
        "com.amazonaws.ecs.cluster": task.cluster_arn,
        "com.amazonaws.ecs.container-name": str(one["name"]),
        "com.amazonaws.ecs.task-arn": task.arn,
        "com.amazonaws.ecs.task-definition-family": task.family,
        "com.amazonaws.ecs.task-definition-version": revision,
    }


def ports(one: Document, address: str) -> tuple[Port, ...]:
    """The host's ports that lead into a container of bridge mode; 0 takes a free one."""
    found = []
    for mapping in one.get("portMappings", ()):
        protocol = str(mapping.get("protocol") or "tcp")
        span = mapping.get("containerPortRange")
        if span:
            first, _, last = str(span).partition("-")
            found += [
                Port(container=port, protocol=protocol, address=address or ANYWHERE)
                for port in range(int(first), int(last or first) + 1)
            ]
        else:
            found.append(
                Port(
                    container=int(mapping["containerPort"]),
                    host=int(mapping.get("hostPort") or 0),
                    protocol=protocol,
                    address=address or ANYWHERE,
                )
            )
    return tuple(found)


def bindings(one: Document, mode: str, mapped: Sequence[Port]) -> tuple[Document, ...]:
    """What AWS shows as a container's `networkBindings`."""
    if mode == "host":
        return tuple(
            {
                "bindIP": ANYWHERE,
                "containerPort": port.container,
                "hostPort": port.container,
                "protocol": port.protocol,
            }
            for port in ports(one, "")
        )
    if mode != "bridge":
        return ()
    return tuple(  # AWS speaks of the instance's addresses as all there are
        {
            "bindIP": ANYWHERE,
            "containerPort": port.container,
            "hostPort": port.host,
            "protocol": port.protocol,
        }
        for port in mapped
    )


def _extra_hosts(containers: Sequence[Document]) -> dict[str, str]:
    return {
        str(line["hostname"]): str(line["ipAddress"])
        for one in containers
        for line in one.get("extraHosts", ())
    }


def _links(one: Document) -> tuple[tuple[str, str], ...]:
    found = []
    for link in one.get("links", ()):
        target, _, alias = str(link).partition(":")
        found += [(alias or target, target), (target, target)]
    return tuple(dict.fromkeys(found))


def _linked_first(containers: Sequence[Document]) -> list[Document]:
    """The containers, each after those that it links to; a ring of links is refused.  CannotStart."""
    by_name = {str(one["name"]): one for one in containers}
    done: dict[str, Document] = {}
    todo = list(by_name)
    while todo:
        ready = [
            name
            for name in todo
            if all(
                target in done or target not in by_name
                for target, condition in order.dependencies({"links": by_name[name].get("links", ())})
            )
        ]
        if not ready:
            raise cannot_create(f"the containers {', '.join(todo)} link to one another in a ring")
        done |= {name: by_name[name] for name in ready}
        todo = [name for name in todo if name not in done]
    return list(done.values())
