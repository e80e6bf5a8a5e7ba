"""The nouns of ECS, frozen.  What AWS keeps as a document (overrides, network configuration, ...) stays one.

Times are seconds since the epoch; 0 means not yet.  Documents have the names and shapes of the API (camelCase).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

Document = Mapping[str, Any]
Tags = Mapping[str, str]
MIB_PER_GIB = 1024
CPU_UNITS = 1024  # of one vCPU
AGENT_VERSION = "1.99.0"
FARGATE_PLATFORM = "1.4.0"
EXEC_AGENT = "ExecuteCommandAgent"  # lives in the containers of tasks that one may enter


class TaskStatus(StrEnum):
    """Where a task is in its life, as `lastStatus` says it."""

    PROVISIONING = "PROVISIONING"  # waits for capacity, or for its network
    PENDING = "PENDING"  # placed; images are pulled
    ACTIVATING = "ACTIVATING"  # is registered with load balancers and discovery
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"  # leaves load balancers and discovery
    STOPPING = "STOPPING"  # containers are told to end
    DEPROVISIONING = "DEPROVISIONING"  # its network is given back
    STOPPED = "STOPPED"


class StopCode(StrEnum):
    """Why a task stopped."""

    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    SPOT_INTERRUPTION = "SpotInterruption"
    TERMINATION_NOTICE = "TerminationNotice"


class Health(StrEnum):
    """Of a container, and of a task over its essential containers."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster.  `status` is ACTIVE, PROVISIONING, DEPROVISIONING, FAILED or INACTIVE."""

    account: str
    region: str
    name: str
    arn: str
    status: str = "ACTIVE"
    created_at: float = 0.0
    deleted_at: float = 0.0
    settings: tuple[Document, ...] = ()  # {name, value}
    configuration: Document = {}
    capacity_providers: tuple[str, ...] = ()
    default_strategy: tuple[Document, ...] = ()  # {capacityProvider, weight, base}
    service_connect_namespace: str = ""  # its ARN
    tags: Tags = {}


class TaskDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of a family.

    document  everything a client registered, validated, with AWS's defaults filled in (`essential`, `cpu` of containers,
              `mountPoints`, `environment`, `networkMode`, `requiresAttributes`, `compatibilities`, ...) as
              DescribeTaskDefinition shows it, without the members that have a field here
    """

    account: str
    region: str
    family: str
    revision: int
    arn: str
    status: str = "ACTIVE"  # INACTIVE, DELETE_IN_PROGRESS
    registered_at: float = 0.0
    registered_by: str = ""
    deregistered_at: float = 0.0
    delete_requested_at: float = 0.0
    document: Document = {}
    tags: Tags = {}

    @property
    def containers(self) -> tuple[Document, ...]:
        """Its container definitions."""
        return tuple(self.document.get("containerDefinitions", ()))

    @property
    def network_mode(self) -> str:
        """Which network: awsvpc, bridge, host or none."""
        return str(self.document.get("networkMode", "bridge"))

    @property
    def cpu_units(self) -> int:
        """What the task needs of a processor: its own figure, or the sum of its containers'."""
        own = self.document.get("cpu")
        return int(own) if own else sum(int(one.get("cpu", 0)) for one in self.containers)

    @property
    def memory_mib(self) -> int:
        """What the task needs of memory: its own figure, or the sum of reservations (else limits) of its containers."""
        own = self.document.get("memory")
        if own:
            return int(own)
        return sum(int(one.get("memoryReservation") or one.get("memory") or 0) for one in self.containers)


class TaskContainer(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a task.

    status  PENDING, PULLED, CREATED, RUNNING, RESOURCES_PROVISIONED or STOPPED
    pod     name of the engine's pod that holds it; empty before there is one
    started, created, finished   seconds since the epoch
    """

    name: str
    arn: str
    image: str
    essential: bool = True
    image_digest: str = ""
    runtime_id: str = ""
    pod: str = ""
    status: str = "PENDING"
    exit_code: int | None = None
    reason: str = ""
    health: Health = Health.UNKNOWN
    bindings: tuple[Document, ...] = ()  # networkBindings
    interfaces: tuple[Document, ...] = ()  # networkInterfaces
    managed_agents: tuple[Document, ...] = ()
    cpu: str = "0"
    memory: str = ""
    memory_reservation: str = ""
    restarts: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task: an instance of a task definition.

    definition_arn    with its revision
    group             family:<name> or service:<name>, or what the client said
    service           name of the service that started it; empty for standalone tasks
    deployment        ecs-svc/<19 digits>, of the deployment that started it; also its `startedBy`
    launch_type       EC2, FARGATE or EXTERNAL
    instance_arn      of the container instance; empty on Fargate
    waits             what a task in PROVISIONING waits for: empty, or `capacity`
    owner             which other service of this cloud has ordered it, and is told of it: `batch`; mostly empty
    request           fingerprint of the RunTask that `client_token` stands for
    placement         of a task that waits: the constraints and strategies it was asked for with
    private_ip        of an awsvpc task, once it has one; `eni` and `mac` with it
    version           grows with every event
    """

    account: str
    region: str
    id: str
    arn: str
    cluster_arn: str
    definition_arn: str
    family: str = ""
    group: str = ""
    service: str = ""
    deployment: str = ""
    started_by: str = ""
    reference_id: str = ""
    owner: str = ""
    client_token: str = ""
    request: str = ""
    placement: Document = {}  # {constraints, strategies}
    launch_type: str = "EC2"
    capacity_provider: str = ""
    platform_version: str = ""
    platform_family: str = ""
    instance_arn: str = ""
    availability_zone: str = ""
    attributes: tuple[Document, ...] = ()
    waits: str = ""
    last_status: TaskStatus = TaskStatus.PROVISIONING
    desired_status: str = "RUNNING"
    health: Health = Health.UNKNOWN
    version: int = 1
    cpu_units: int = 0
    memory_mib: int = 0
    own_cpu: str = ""  # when the definition or an override says how large the whole task is
    own_memory: str = ""
    ephemeral_gib: int = 0  # Fargate
    host_ports: tuple[tuple[int, str], ...] = ()  # fixed ones that it takes on its instance: port, protocol
    overrides: Document = {}
    network: Document = {}  # networkConfiguration
    volumes: tuple[Document, ...] = ()  # volumeConfigurations
    service_connect: Document = {}
    subnet: str = ""
    eni: str = ""
    attachment_id: str = ""
    private_ip: str = ""
    mac: str = ""
    execute_command: bool = False
    connectivity: str = ""
    containers: tuple[TaskContainer, ...] = ()
    tags: Tags = {}
    created_at: float = 0.0
    pull_started_at: float = 0.0
    pull_stopped_at: float = 0.0
    connectivity_at: float = 0.0
    started_at: float = 0.0
    stopping_at: float = 0.0
    execution_stopped_at: float = 0.0
    stopped_at: float = 0.0
    stop_code: str = ""
    stopped_reason: str = ""
    protected_until: float = 0.0  # 0: not protected

    @property
    def is_live(self) -> bool:
        """Whether it holds resources: all but STOPPED."""
        return self.last_status is not TaskStatus.STOPPED

    @property
    def is_fargate(self) -> bool:
        """Whether this machine carries it directly, and no container instance."""
        return self.launch_type == "FARGATE"


class ContainerInstance(msgspec.Struct, frozen=True, kw_only=True):
    """A container instance: capacity of one cluster.

    status      REGISTERING, ACTIVE, DRAINING, DEREGISTERING, INACTIVE or REGISTRATION_FAILED
    slice       name of the engine's slice that its pods live in; empty when it is none of this machine's
    address     under which the machine and pods reach its host ports
    cpu_units, memory_mib, ports   registered: what it has; remaining is derived from the tasks on it
    """

    account: str
    region: str
    id: str
    arn: str
    cluster_arn: str
    ec2_id: str = ""
    instance_type: str = ""
    capacity_provider: str = ""
    status: str = "ACTIVE"
    status_reason: str = ""
    agent_connected: bool = True
    slice: str = ""
    address: str = ""
    availability_zone: str = ""
    cpu_units: int = 0
    memory_mib: int = 0
    ports_tcp: tuple[int, ...] = (22, 2375, 2376, 51678, 51679)  # reserved for the agent, as AWS shows
    ports_udp: tuple[int, ...] = ()
    attributes: tuple[Document, ...] = ()  # {name, value}
    registered_at: float = 0.0
    inactive_at: float = 0.0
    version: int = 1
    spot: bool = False
    tags: Tags = {}


class CapacityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A capacity provider of an account: an Auto Scaling group with what is done to it."""

    account: str
    region: str
    name: str
    arn: str
    status: str = "ACTIVE"
    update_status: str = ""
    update_reason: str = ""
    auto_scaling_group: Document = {}  # autoScalingGroupProvider, with defaults
    tags: Tags = {}
    created_at: float = 0.0

    @property
    def group_name(self) -> str:
        """The name of its Auto Scaling group."""
        return str(self.auto_scaling_group.get("autoScalingGroupArn", "")).rpartition("/")[2]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service: so many tasks of a definition, kept running.  Its deployments and events are records of their own.

    strategy        capacityProviderStrategy; empty when a launch type was given
    document        the rest of what the client said, by AWS's names: deploymentConfiguration, networkConfiguration,
                    loadBalancers, serviceRegistries, placementConstraints, placementStrategy,
                    healthCheckGracePeriodSeconds, deploymentController, serviceConnectConfiguration, ...
    """

    account: str
    region: str
    name: str
    arn: str
    cluster_arn: str
    status: str = "ACTIVE"  # DRAINING, INACTIVE
    definition_arn: str = ""
    desired_count: int = 0
    launch_type: str = ""
    strategy: tuple[Document, ...] = ()
    platform_version: str = ""
    scheduling: str = "REPLICA"  # DAEMON
    document: Document = {}
    execute_command: bool = False
    propagate_tags: str = "NONE"
    managed_tags: bool = False
    tags: Tags = {}
    created_at: float = 0.0
    created_by: str = ""
    role_arn: str = ""
    client_token: str = ""
    fingerprint: str = ""  # of the CreateService that made it, as long as no UpdateService followed
