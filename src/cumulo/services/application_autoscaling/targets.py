"""Scalable targets: what may be scaled, and between which bounds; and their tags."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.base.arn import Arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import ScalableServices
from cumulo.base.ports.metrics import Alarms
from cumulo.services.application_autoscaling.model import (
    ECS,
    ECS_DIMENSION,
    ScalableTarget,
    Subject,
    Suspended,
)
from cumulo.services.application_autoscaling.records import Records, fits, paged, prefix_of, subject_of
from cumulo.services.application_autoscaling.refusals import invalid, no_resource, no_target
from cumulo.state.store import join_key
from cumulo.wire.service import Coverage, Operation, Values

TAGS_MAX = 50
_SERVICE = re.compile(r"service/[^/]+/[^/]+")
_ROLES = {
    "appstream": "AppStreamFleet",
    "cassandra": "CassandraTable",
    "comprehend": "ComprehendEndpoint",
    "dynamodb": "DynamoDBTable",
    "ec2": "EC2SpotFleetRequest",
    "ecs": "ECSService",
    "elasticache": "ElastiCacheRG",
    "kafka": "KafkaCluster",
    "lambda": "LambdaConcurrency",
    "neptune": "NeptuneCluster",
    "rds": "RDSCluster",
    "sagemaker": "SageMakerEndpoint",
    "workspaces": "WorkSpacesPool",
}
_ONLY_ECS = "services of ECS are scaled; targets of other services are kept"


class Targets:
    """The operations on scalable targets."""

    def __init__(
        self, records: Records, clock: Clock, ids: Ids, *, services: ScalableServices, alarms: Alarms
    ) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids
        self._services = services
        self._alarms = alarms

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's name."""
        return {
            "RegisterScalableTarget": Operation(self.register, note=_ONLY_ECS),
            "DeregisterScalableTarget": Operation(self.deregister),
            "DescribeScalableTargets": Operation(self.describe),
            "TagResource": Operation(self.tag, Coverage.STORED),
            "UntagResource": Operation(self.untag, Coverage.STORED),
            "ListTagsForResource": Operation(self.list_tags, Coverage.STORED),
        }

    async def register(self, caller: Caller, values: Values) -> Values | None:
        """RegisterScalableTarget: new, or with new bounds."""
        subject = subject_of(caller, values)
        before = self._records.targets.get(subject.key)
        if before is None and ("MinCapacity" not in values or "MaxCapacity" not in values):
            raise invalid(
                "Both MinCapacity and MaxCapacity must be specified when registering a new scalable target"
            )
        self._check_subject(subject)
        minimum = values.get("MinCapacity", before.minimum if before else 0)
        maximum = values.get("MaxCapacity", before.maximum if before else 0)
        if minimum < 0 or maximum < 0:
            raise invalid("Minimum and maximum capacity must not be negative")
        if minimum > maximum:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        tags = dict(values.get("Tags") or {})
        if before is not None and tags:
            raise invalid("Tags can only be specified when registering a new scalable target")
        _check_tags(tags)
        target = ScalableTarget(
            subject=subject,
            arn=before.arn if before else self._arn(caller),
            minimum=minimum,
            maximum=maximum,
            role_arn=values.get("RoleARN") or (before.role_arn if before else _service_role(subject)),
            suspended=_suspended(values, before),
            created_at=before.created_at if before else self._clock.now(),
            tags=before.tags if before else tags,
        )
        self._records.targets.put(subject.key, target)
        await self._records.store.commit()
        return {"ScalableTargetARN": target.arn}

    def _check_subject(self, subject: Subject) -> None:
        if subject.namespace != ECS:
            if not subject.dimension.startswith(f"{subject.namespace}:"):
                raise _unsupported(subject)
            return
        if subject.dimension != ECS_DIMENSION or not _SERVICE.fullmatch(subject.resource):
            raise _unsupported(subject)
        found = self._services.desired_count(subject.account, subject.region, subject.resource)
        if found is None:
            raise invalid(f"ECS service doesn't exist: {subject.resource}")

    async def deregister(self, caller: Caller, values: Values) -> Values | None:
        """DeregisterScalableTarget: with its policies, their alarms and its scheduled actions."""
        subject = subject_of(caller, values)
        target = self._records.targets.get(subject.key)
        if target is None:
            raise no_target(subject)
        policies = self._records.policies.scan(join_key(subject.key, ""))
        names = [name for policy in policies for name in policy.alarms]
        await self._alarms.delete_alarms(caller.account, caller.region, names)
        self._records.remove_target(target)
        await self._records.store.commit()
        return {}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeScalableTargets."""
        wanted = values.get("ResourceIds")
        found = [
            one
            for one in self._records.targets.scan(prefix_of(caller, values))
            if fits(one.subject, {k: v for k, v in values.items() if k == "ScalableDimension"})
            and (not wanted or one.subject.resource in wanted)
        ]
        return paged("ScalableTargets", found, lambda one: one.subject.key, _view, values)

    async def tag(self, caller: Caller, values: Values) -> Values | None:
        """TagResource."""
        target = self._by_arn(caller, values["ResourceARN"])
        tags = {**target.tags, **values["Tags"]}
        _check_tags(tags)
        self._records.targets.put(target.subject.key, msgspec.structs.replace(target, tags=tags))
        await self._records.store.commit()
        return {}

    async def untag(self, caller: Caller, values: Values) -> Values | None:
        """UntagResource."""
        target = self._by_arn(caller, values["ResourceARN"])
        tags = {key: value for key, value in target.tags.items() if key not in values["TagKeys"]}
        self._records.targets.put(target.subject.key, msgspec.structs.replace(target, tags=tags))
        await self._records.store.commit()
        return {}

    async def list_tags(self, caller: Caller, values: Values) -> Values | None:
        """ListTagsForResource."""
        return {"Tags": dict(self._by_arn(caller, values["ResourceARN"]).tags)}

    def _by_arn(self, caller: Caller, arn: str) -> ScalableTarget:
        for one in self._records.targets.scan(join_key(caller.account, caller.region, "")):
            if one.arn == arn:
                return one
        raise no_resource(arn)

    def _arn(self, caller: Caller) -> str:
        name = f"scalable-target/{self._ids.hex(36)}"
        partition = partition_of(caller.region)
        return str(Arn("application-autoscaling", caller.region, caller.account, name, partition))


def _unsupported(subject: Subject) -> AwsError:
    return invalid(
        "Unsupported service namespace, resource type or scalable dimension: "
        f"{subject.namespace}, {subject.resource}, {subject.dimension}"
    )


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise invalid(f"The number of tags must not be more than {TAGS_MAX}")
    if any(key.lower().startswith("aws:") for key in tags):
        raise invalid("Tag keys must not begin with aws:")


def _suspended(values: Values, before: ScalableTarget | None) -> Suspended:
    old = before.suspended if before else Suspended()
    said = values.get("SuspendedState")
    if said is None:
        return old
    return Suspended(
        bool(said.get("DynamicScalingInSuspended", old.dynamic_in)),
        bool(said.get("DynamicScalingOutSuspended", old.dynamic_out)),
        bool(said.get("ScheduledScalingSuspended", old.scheduled)),
    )


def _service_role(subject: Subject) -> str:
    """The role that AWS makes for itself."""
    role = _ROLES.get(subject.namespace, "CustomResource")
    resource = (
        f"role/aws-service-role/{subject.namespace}.application-autoscaling.amazonaws.com/"
        f"AWSServiceRoleForApplicationAutoScaling_{role}"
    )
    return str(Arn("iam", "", subject.account, resource, partition_of(subject.region)))


def _view(target: ScalableTarget) -> dict[str, Any]:
    return {
        "ServiceNamespace": target.subject.namespace,
        "ResourceId": target.subject.resource,
        "ScalableDimension": target.subject.dimension,
        "MinCapacity": target.minimum,
        "MaxCapacity": target.maximum,
        "RoleARN": target.role_arn,
        "CreationTime": target.created_at,
        "SuspendedState": {
            "DynamicScalingInSuspended": target.suspended.dynamic_in,
            "DynamicScalingOutSuspended": target.suspended.dynamic_out,
            "ScheduledScalingSuspended": target.suspended.scheduled,
        },
        "ScalableTargetARN": target.arn,
    }
