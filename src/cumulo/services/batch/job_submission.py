"""SubmitJob.

request ──▶ queue, definition, overrides, dependencies: all as they must be ──▶ a Job ──▶ Desk ──▶ committed ──▶ its id
"""

from collections.abc import Mapping

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock, millis
from cumulo.base.ids import Ids
from cumulo.services.batch.definition_records import DefinitionRecords, parse_reference
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.errors import client, wrapped
from cumulo.services.batch.job_rules import (
    check_overrides,
    check_queue,
    check_request,
    check_result,
    check_share,
    checked_dependencies,
    node_count,
)
from cumulo.services.batch.model import Dependency, Job, JobDefinition, JobQueue, JobStatus
from cumulo.services.batch.plan_events import Submitted
from cumulo.services.batch.retry_rules import checked_retry, checked_timeout
from cumulo.services.batch.world import Queues
from cumulo.wire.service import Operation, Values

_OVERRIDES = ("containerOverrides", "ecsPropertiesOverride", "nodeOverrides")


class JobSubmission:
    """The operation."""

    def __init__(
        self, desk: Desk, definitions: DefinitionRecords, queues: Queues, *, clock: Clock, ids: Ids
    ) -> None:
        self._desk = desk
        self._definitions = definitions
        self._queues = queues
        self._clock = clock
        self._ids = ids

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        note = "50 a second are not enforced; EKS and consumable resources are refused by name"
        return wrapped({"SubmitJob": Operation(self.submit, note=note)})

    async def submit(self, caller: Caller, values: Values) -> Values | None:
        """SubmitJob: durable when it answers."""
        check_request(values)
        queue = check_queue(
            self._queues.find(caller.account, caller.region, values["jobQueue"]), values["jobQueue"]
        )
        definition = self._definition(caller, values["jobDefinition"])
        platform = definition.platforms[0]
        if platform not in self._queues.platforms(queue):
            raise client(
                f"Job Queue is attached to Compute Environment that can not run Jobs with capability {platform}"
            )
        check_share(values, queue)
        check_overrides(values, definition)
        depends = checked_dependencies(values)
        self._check_targets(caller, values, depends)
        job = self._made(caller, values, queue, definition, depends)
        check_result(job, definition)
        await self._desk.records.store.ready()
        await self._desk.happened(Submitted(job))
        return {"jobArn": job.arn, "jobName": job.name, "jobId": job.id}

    def _definition(self, caller: Caller, text: str) -> JobDefinition:
        reference = parse_reference(caller.account, caller.region, text)
        found = self._definitions.find(caller.account, caller.region, reference) if reference else None
        if found is not None and found.status == "ACTIVE":
            return found
        kind = "name" if reference is not None and reference.revision is None else "arn"
        name = reference.name if reference is not None and kind == "name" else text
        raise client(f"JobDefinition {kind} {name} does not exist or is not in ACTIVE status")

    def _check_targets(self, caller: Caller, values: Values, depends: tuple[Dependency, ...]) -> None:
        size = values.get("arrayProperties", {}).get("size", 0)
        for one in depends:
            if not one.job_id:
                continue
            target = self._desk.records.get(one.job_id)
            if target is None or (target.account, target.region) != (caller.account, caller.region):
                raise client(f"Job dependency {one.job_id} does not exist.")
            if one.kind == "N_TO_N" and target.array_size != size:
                raise client(
                    f"N_TO_N dependency {one.job_id} must be an array job of size {size}, "
                    f"and has size {target.array_size}."
                )

    def _made(
        self,
        caller: Caller,
        values: Values,
        queue: JobQueue,
        definition: JobDefinition,
        depends: tuple[Dependency, ...],
    ) -> Job:
        size = values.get("arrayProperties", {}).get("size", 0)
        nodes = node_count(values, definition)
        now = millis(self._clock)
        return Job(
            account=caller.account,
            region=caller.region,
            id=self._ids.uuid(),
            name=values["jobName"],
            queue=queue.arn,
            definition=definition.arn,
            share=values.get("shareIdentifier", ""),
            priority=values.get("schedulingPriorityOverride", definition.scheduling_priority),
            array_size=size,
            counts={JobStatus.SUBMITTED: size} if size else {},
            counted_at=now if size else 0,
            nodes=nodes,
            main_node=definition.properties["nodeProperties"]["mainNode"] if nodes else 0,
            depends=depends,
            parameters=values.get("parameters", {}),
            overrides={name: values[name] for name in _OVERRIDES if values.get(name)},
            retry=checked_retry(values.get("retryStrategy")) or definition.retry,
            timeout=checked_timeout(values.get("timeout")) or definition.timeout,
            propagate_tags=values.get("propagateTags", definition.propagate_tags),
            tags=values.get("tags", {}),
            created_at=now,
            platform=definition.platforms[0],
        )
