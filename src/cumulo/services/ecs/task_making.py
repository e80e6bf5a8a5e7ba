"""Makes tasks: what a request and a definition say of them, then one by one as they find their place."""

import hashlib
from typing import Final

import msgspec
from msgspec.structs import replace

from cumulo.base.ids import Ids
from cumulo.services.ecs import arns
from cumulo.services.ecs.model import EXEC_AGENT, Document, Task, TaskContainer, TaskDefinition, TaskStatus
from cumulo.services.ecs.seams import LaunchRequest
from cumulo.services.ecs.sizes import Sizes, overridden, sizes_of

CAPACITY: Final = "capacity"
_ARCHITECTURES: Final = {"ARM64": "arm64", "X86_64": "x86_64"}


def template_of(
    request: LaunchRequest, *, launch_type: str, platform: str, architecture: str, now: float
) -> Task:
    """What all tasks of a launch have in common; without ids, place and provider.  AwsError for wrong overrides.

    architecture   this machine's, in AWS's words (X86_64, ARM64), for definitions that name none
    """
    definition = request.definition
    sizes = sizes_of(definition, request.overrides)
    fargate = launch_type == "FARGATE"
    wanted = (definition.document.get("runtimePlatform") or {}).get("cpuArchitecture") or architecture
    return Task(
        account=request.account,
        region=request.region,
        id="",
        arn="",
        cluster_arn=request.cluster_arn,
        definition_arn=definition.arn,
        family=definition.family,
        group=request.group or f"family:{definition.family}",
        service=request.service,
        deployment=request.deployment,
        started_by=request.started_by,
        reference_id=request.reference_id,
        owner=request.owner,
        client_token=request.client_token,
        request=fingerprint(request) if request.client_token else "",
        launch_type=launch_type,
        platform_version=platform,
        platform_family="Linux" if fargate else "",
        attributes=({"name": "ecs.cpu-architecture", "value": _ARCHITECTURES.get(wanted, wanted.lower())},),
        cpu_units=sizes.cpu_units,
        memory_mib=sizes.memory_mib,
        own_cpu=sizes.own_cpu,
        own_memory=sizes.own_memory,
        ephemeral_gib=sizes.ephemeral_gib if fargate else 0,
        host_ports=host_ports(definition),
        overrides=_in_units(request.overrides, sizes),
        network=request.network,
        volumes=tuple(request.volumes),
        service_connect=request.service_connect,
        execute_command=request.execute_command,
        tags=request.tags,
        created_at=now,
    )


def born(template: Task, definition: TaskDefinition, ids: Ids, provider: str) -> Task:
    """One task, with ids of its own; it has no place yet."""
    id_ = ids.hex(32)
    cluster = arns.last_part(template.cluster_arn)
    region, account = template.region, template.account
    containers = tuple(
        _container(
            arns.arn(region, account, "container", cluster, id_, ids.uuid()),
            overridden(one, template.overrides),
            entered=template.execute_command,
        )
        for one in definition.containers
    )
    own_network = definition.network_mode == "awsvpc"
    return replace(
        template,
        id=id_,
        arn=arns.arn(region, account, "task", cluster, id_),
        capacity_provider=provider,
        containers=containers,
        eni=f"eni-{ids.hex(17)}" if own_network else "",
        attachment_id=ids.uuid() if own_network else "",
    )


def placed(task: Task, *, instance_arn: str, zone: str, subnet: str) -> Task:
    """The task in its place: it waits for its network (awsvpc), or is PENDING at once."""
    status = TaskStatus.PROVISIONING if task.attachment_id else TaskStatus.PENDING
    return replace(
        task,
        instance_arn=instance_arn,
        availability_zone=zone,
        subnet=subnet if task.attachment_id else "",
        last_status=status,
        waits="",
        placement={},
    )


def waiting(task: Task, request: LaunchRequest) -> Task:
    """The task while no instance of its provider has room for it."""
    placement = {"constraints": list(request.constraints), "strategies": list(request.strategies)}
    return replace(task, last_status=TaskStatus.PROVISIONING, waits=CAPACITY, placement=placement)


def host_ports(definition: TaskDefinition) -> tuple[tuple[int, str], ...]:
    """The fixed ports that a task takes on its instance."""
    mode = definition.network_mode
    if mode not in {"bridge", "host"}:
        return ()
    found: dict[tuple[int, str], None] = {}
    for container in definition.containers:
        for mapping in container.get("portMappings", ()):
            port = mapping.get("hostPort") or (mapping.get("containerPort") if mode == "host" else 0)
            if port:
                found[int(port), str(mapping.get("protocol") or "tcp")] = None
    return tuple(found)


def fingerprint(request: LaunchRequest) -> str:
    """The same for two requests that ask for the same."""
    fields = msgspec.structs.asdict(request) | {"definition": request.definition.arn, "client_token": ""}
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


def _in_units(overrides: Document, sizes: Sizes) -> Document:
    """Overrides with CPU units and MiB in place of `1 vCPU` and `2 GB`."""
    own = {"cpu": sizes.own_cpu, "memory": sizes.own_memory}
    return {**overrides, **{name: figure for name, figure in own.items() if overrides.get(name)}}


def _container(arn: str, definition: Document, *, entered: bool) -> TaskContainer:
    def text(key: str) -> str:
        return str(definition[key]) if definition.get(key) else ""

    return TaskContainer(
        name=str(definition["name"]),
        arn=arn,
        image=str(definition["image"]),
        essential=bool(definition.get("essential", True)),
        cpu=text("cpu") or "0",
        memory=text("memory"),
        memory_reservation=text("memoryReservation"),
        managed_agents=({"name": EXEC_AGENT, "lastStatus": "PENDING"},) if entered else (),
    )
