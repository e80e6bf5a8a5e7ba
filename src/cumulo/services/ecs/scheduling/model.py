"""What the scheduler keeps besides services: their deployments and events, frozen."""

from enum import StrEnum

import msgspec

from cumulo.services.ecs.model import Document


class Rollout(StrEnum):
    """How far a deployment has come: `rolloutState`."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Progress(StrEnum):
    """The same, as the history of service deployments tells it: `status`."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESSFUL = "SUCCESSFUL"
    STOP_REQUESTED = "STOP_REQUESTED"
    STOPPED = "STOPPED"
    ROLLBACK_REQUESTED = "ROLLBACK_REQUESTED"
    ROLLBACK_IN_PROGRESS = "ROLLBACK_IN_PROGRESS"
    ROLLBACK_SUCCESSFUL = "ROLLBACK_SUCCESSFUL"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is launched for a while: tasks that never ran, or that had no place.

    step      how many rounds of tasks in a row never reached RUNNING
    since     when the last of these rounds was counted: tasks from before do not count again
    until     nothing is launched before this moment
    place_step, place_until   the same for tasks that had no place
    """

    step: int = 0
    since: float = 0.0
    until: float = 0.0
    place_step: int = 0
    place_until: float = 0.0


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a service: what its tasks are made of (AWS's service revision), and how its rollout went.

    id            ecs-svc/<19 digits>; the revision's ARN ends with the same digits
    arn           of the service deployment, as the history knows it
    revision_arn  of the service revision
    number        counts a service's deployments, from 1
    status        PRIMARY (what the service wants), ACTIVE (has tasks, to be replaced) or INACTIVE
    document      networkConfiguration, loadBalancers, serviceRegistries, serviceConnectConfiguration,
                  volumeConfigurations, as they were when it began
    rollback_of   id of the deployment that failed and that this one takes back
    failed        tasks in a row that failed
    sources       revisions (ARNs) that had tasks when it began, with their counts
    configuration deploymentConfiguration when it began
    rollback      reason, startedAt, serviceRevisionArn; when it was rolled back
    baking_since  since when only the bake time keeps it from being complete
    evened_at     when a task was last started to even out the zones
    steady_at     when it was last said that the service is in a steady state; 0 while it is not
    """

    service_arn: str
    id: str
    arn: str
    revision_arn: str
    number: int
    definition_arn: str
    status: str = "PRIMARY"
    rollout: Rollout = Rollout.IN_PROGRESS
    reason: str = ""
    launch_type: str = ""
    strategy: tuple[Document, ...] = ()
    platform_version: str = ""
    platform_family: str = ""
    document: Document = {}
    images: tuple[Document, ...] = ()  # containerImages
    managed_tags: bool = False
    propagate_tags: str = "NONE"
    rollback_of: str = ""
    failed: int = 0
    backoff: Backoff = Backoff()
    progress: Progress = Progress.PENDING
    progress_reason: str = ""
    sources: tuple[Document, ...] = ()
    configuration: Document = {}
    rollback: Document = {}
    tripped: bool = False
    threshold: int = 0
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    stopped_at: float = 0.0
    updated_at: float = 0.0
    completed_at: float = 0.0  # when it last was in a steady state, whole
    baking_since: float = 0.0
    evened_at: float = 0.0
    steady_at: float = 0.0

    @property
    def is_live(self) -> bool:
        """Whether DescribeServices shows it."""
        return self.status != "INACTIVE"

    @property
    def target_groups(self) -> tuple[Document, ...]:
        """Its load balancers: {targetGroupArn, containerName, containerPort}."""
        return tuple(self.document.get("loadBalancers", ()))


class ServiceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a service's story.  `number` counts them."""

    service_arn: str
    number: int
    id: str
    at: float
    message: str


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What EventBridge is told: an "ECS Service Action" or an "ECS Deployment State Change".

    kind   INFO, WARN or ERROR
    name   SERVICE_STEADY_STATE, SERVICE_DEPLOYMENT_FAILED, ...
    """

    detail_type: str
    kind: str
    name: str
    at: float
    deployment: str = ""
    reason: str = ""
    providers: tuple[str, ...] = ()
