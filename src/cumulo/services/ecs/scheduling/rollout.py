"""What becomes of deployments when something is decided about them.  Pure: records in, records out."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from cumulo.services.ecs.model import Document, Service
from cumulo.services.ecs.scheduling import sentences
from cumulo.services.ecs.scheduling.model import Backoff, Deployment, Progress, Rollout

_UNDER_WAY = frozenset({Progress.PENDING, Progress.IN_PROGRESS})
OF_REVISION = (
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
)


def begin(
    service: Service,
    number: int,
    digits: str,
    history_arn: str,
    revision_arn: str,
    *,
    sources: Sequence[Document] = (),
    images: Sequence[Document] = (),
    platform_family: str = "",
    now: float,
) -> Deployment:
    """A new PRIMARY deployment of a service as it is now."""
    deployment_id = f"ecs-svc/{digits}"
    return Deployment(
        service_arn=service.arn,
        id=deployment_id,
        arn=history_arn,
        revision_arn=revision_arn,
        number=number,
        definition_arn=service.definition_arn,
        reason=sentences.DEPLOYMENT_RUNS.format(id=deployment_id),
        launch_type=service.launch_type,
        strategy=service.strategy,
        platform_version=service.platform_version,
        platform_family=platform_family,
        document={name: service.document[name] for name in OF_REVISION if name in service.document},
        images=tuple(images),
        managed_tags=service.managed_tags,
        propagate_tags=service.propagate_tags,
        progress=Progress.IN_PROGRESS,
        sources=tuple(sources),
        configuration=service.document.get("deploymentConfiguration", {}),
        created_at=now,
        started_at=now,
        updated_at=now,
    )


def supersede(deployment: Deployment, now: float) -> Deployment:
    """Another deployment begins: this one is not PRIMARY any more, and stops if it was not complete."""
    stopped = deployment.progress in _UNDER_WAY
    return replace(
        deployment,
        status="ACTIVE",
        progress=Progress.STOPPED if stopped else deployment.progress,
        progress_reason="A new service deployment has started." if stopped else deployment.progress_reason,
        stopped_at=now if stopped else deployment.stopped_at,
        finished_at=now if stopped else deployment.finished_at,
        updated_at=now,
    )


def complete(deployment: Deployment, now: float) -> Deployment:
    """It has what it wants."""
    done = deployment.progress in _UNDER_WAY
    return replace(
        deployment,
        rollout=Rollout.COMPLETED,
        reason=sentences.DEPLOYMENT_COMPLETED.format(id=deployment.id),
        progress=Progress.SUCCESSFUL if done else deployment.progress,
        finished_at=now if done else deployment.finished_at,
        rollback_of="",
        failed=0,
        completed_at=now,
        updated_at=now,
    )


def fail(deployment: Deployment, threshold: int, now: float, *, wanted_back: bool) -> Deployment:
    """The circuit breaker tripped, and nothing takes it back, although (`wanted_back`) that was wanted."""
    ended = Progress.ROLLBACK_FAILED if wanted_back else Progress.STOPPED
    return replace(
        deployment,
        rollout=Rollout.FAILED,
        reason=sentences.BREAKER_FAILED,
        progress=ended if deployment.progress in _UNDER_WAY else deployment.progress,
        progress_reason=sentences.NO_CANDIDATE if wanted_back else sentences.THRESHOLD_STOPPED,
        tripped=True,
        threshold=threshold,
        stopped_at=now,
        finished_at=now,
        updated_at=now,
    )


def abort(deployment: Deployment, now: float) -> Deployment:
    """A client stopped it: it stays as it is, and launches nothing any more."""
    reason = sentences.USER_STOPPED.format(id=deployment.id)
    return replace(
        deployment,
        rollout=Rollout.FAILED,
        reason=reason,
        progress=Progress.STOPPED,
        progress_reason="Service deployment was stopped by the user.",
        stopped_at=now,
        finished_at=now,
        updated_at=now,
    )


def roll_back(
    failed: Deployment, to: Deployment, *, why: str, tripped: bool, threshold: int, now: float
) -> tuple[Deployment, Deployment]:
    """Take a deployment back to an earlier one, whose tasks (if it still has some) stay.  Both as they are then."""
    reason = sentences.BREAKER_ROLLS_BACK if tripped else sentences.USER_ROLLS_BACK
    document: Document = {"reason": why, "startedAt": now, "serviceRevisionArn": to.revision_arn}
    loser = replace(
        failed,
        status="ACTIVE",
        rollout=Rollout.FAILED,
        reason=sentences.BREAKER_FAILED if tripped else sentences.USER_STOPPED.format(id=failed.id),
        progress=Progress.ROLLBACK_IN_PROGRESS,
        progress_reason=why,
        rollback=document,
        tripped=tripped,
        threshold=threshold,
        updated_at=now,
    )
    winner = replace(
        to,
        status="PRIMARY",
        rollout=Rollout.IN_PROGRESS,
        reason=reason.format(id=to.id),
        rollback_of=failed.id,
        failed=0,
        tripped=False,
        backoff=Backoff(),
        baking_since=0.0,
        steady_at=0.0,
        updated_at=now,
    )
    return loser, winner


def rolled_back(failed: Deployment, *, well: bool, now: float) -> Deployment:
    """How the way back of a failed deployment ended."""
    if failed.progress is not Progress.ROLLBACK_IN_PROGRESS:
        return failed
    progress = Progress.ROLLBACK_SUCCESSFUL if well else Progress.ROLLBACK_FAILED
    return replace(failed, progress=progress, finished_at=now, updated_at=now)


def retire(deployment: Deployment, now: float) -> Deployment:
    """It has no tasks any more."""
    progress = deployment.progress
    stopped = progress in _UNDER_WAY
    return replace(
        deployment,
        status="INACTIVE",
        progress=Progress.STOPPED if stopped else progress,
        stopped_at=now if stopped else deployment.stopped_at,
        finished_at=deployment.finished_at or now,
        updated_at=now,
    )


def applied(service: Service, deployment: Deployment) -> Service:
    """The service as a deployment that is taken back to has it."""
    document = {name: value for name, value in service.document.items() if name not in OF_REVISION}
    merged: Mapping[str, object] = {**document, **deployment.document}
    return replace(
        service,
        definition_arn=deployment.definition_arn,
        launch_type=deployment.launch_type,
        strategy=deployment.strategy,
        platform_version=deployment.platform_version,
        managed_tags=deployment.managed_tags,
        propagate_tags=deployment.propagate_tags,
        document=merged,
    )
