"""Carries out what was decided of runs: orders their tasks, stops them, and hears what becomes of them.

    Order ──▶ TaskRunner.run ──▶ Seen | Refused | Ended      heard ──▶ Seen, Ended
    Stop  ──▶ TaskRunner.stop

An order that was given before a kill is given again with its token, and gives the same task.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from cumulo.base.clock import Clock, millis
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.task_runner import NotPlaced, RanTask, TaskOrder, TaskRunner
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.desk import Desk
from cumulo.services.batch.model import Attempt, ComputeEnvironment, Job, JobStatus
from cumulo.services.batch.plan_events import Ended, Refused, Stop
from cumulo.services.batch.resolution import containers_of, run_properties
from cumulo.services.batch.running.outcomes import LOST, events_of
from cumulo.services.batch.running.task_definitions import TaskDefinitions
from cumulo.services.batch.running.task_orders import order_of
from cumulo.services.batch.running.task_overrides import overrides_of
from cumulo.services.batch.running.tokens import job_of
from cumulo.services.batch.running.variables import variables
from cumulo.state.store import StoreBroken, StoreError

TRIES_MAX: Final = 30  # a second apart
_LIVE = (JobStatus.STARTING, JobStatus.RUNNING)
_HOPELESS: Final = frozenset({"ATTRIBUTE", "RESOURCE:GPU"})
_log = Log("batch")


class Again(Exception):
    """It could not be done now; try again later."""


class Carrier:
    """See above.  `environment`: the compute environment with an ARN, or None."""

    def __init__(
        self,
        runner: TaskRunner,
        desk: Desk,
        definitions: DefinitionRecords,
        tasks: TaskDefinitions,
        *,
        environment: Callable[[str], ComputeEnvironment | None],
        clock: Clock,
    ) -> None:
        self._runner = runner
        self._desk = desk
        self._definitions = definitions
        self._tasks = tasks
        self._environment = environment
        self._clock = clock
        self._ordering: set[str] = set()  # tokens of orders that are queued, or under way
        self._unwanted: dict[str, str] = {}  # of these, those that are to be stopped, and why
        self._tries: dict[str, int] = {}

    # -- hearing ---------------------------------------------------------------------------------------------

    def heard(self, task: RanTask) -> None:
        """See TaskRunner.listen: within the change's own transaction."""
        job = self._desk.records.get(job_of(task.token))
        if job is None or job.run is None or job.run.token != task.token or job.status not in _LIVE:
            return
        self._desk.note(*events_of(task, job, self._essential(job)))

    # -- doing -----------------------------------------------------------------------------------------------

    def queued(self, job_id: str) -> None:
        """An order is going to be carried out."""
        job = self._desk.records.get(job_id)
        if job is not None and job.run is not None:
            self._ordering.add(job.run.token)

    async def order(self, job_id: str) -> None:
        """Order the task of a job (or node) that is STARTING.  Again: it must be tried once more."""
        job = self._desk.records.get(job_id)
        if job is None or job.run is None:
            return
        token = job.run.token
        try:
            await self._order(job)
        except AwsError as error:
            self._failed(job, token, error)
        except StoreBroken:
            raise
        except StoreError as error:
            raise Again(str(error)) from error
        self._ordering.discard(token)
        if token in self._unwanted:
            await self._stop_now(job_id, token, self._unwanted.pop(token))

    async def stop(self, action: Stop) -> None:
        """Stop the task of a run; when there is none yet, it is stopped as soon as it is there."""
        job = self._desk.records.get(action.job)
        if job is None or job.run is None or job.run.token != action.token:
            return
        if job.run.task:
            await self._runner.stop(job.run.task, action.reason)
            if self._runner.task(job.run.task) is None:
                await self._lost(job, action.reason)
        elif action.token in self._ordering:
            self._unwanted[action.token] = action.reason
        else:
            await self._lost(job, action.reason)

    async def find_lost(self) -> None:
        """After a restart: end the runs whose tasks are gone."""
        for status in _LIVE:
            for job in list(self._desk.records.live(status)):
                task = job.run.task if job.run is not None and not job.nodes else ""
                if task and self._runner.task(task) is None:
                    await self._lost(job, LOST)

    def clear(self) -> None:
        """Forget everything."""
        self._ordering.clear()
        self._unwanted.clear()
        self._tries.clear()
        self._tasks.clear()

    # -- small things ----------------------------------------------------------------------------------------

    async def _order(self, job: Job) -> None:
        assert job.run is not None
        token = job.run.token
        if job.status != JobStatus.STARTING or job.run.task or token in self._unwanted:
            return
        told = await self._runner.run(await self._order_for(job))
        now = self._desk.records.get(job.id)
        if isinstance(told, NotPlaced):
            self._not_placed(job, token, told)
        elif now is not None and now.run is not None and now.run.token == token:
            self._desk.note(*events_of(told, now, self._essential(now)))
        self._tries.pop(token, None)

    def _not_placed(self, job: Job, token: str, told: NotPlaced) -> None:
        """There was no room: it waits again, unless no waiting could help."""
        _log.info("there was no room", job=job.id, why=told.reason, detail=told.detail)
        waits = job.is_node and not self._is_main(
            job
        )  # its place is promised, so it waits for it; but not for ever
        if waits and token not in self._unwanted and told.reason not in _HOPELESS and self._may_try(token):
            raise Again(told.reason)
        if waits or told.reason in _HOPELESS:
            why = f"{told.reason} - The container instance {told.detail or 'lacks what the job needs.'}"
            self._desk.note(Ended(job=job.id, token=token, attempt=_unborn(why, millis(self._clock))))
        else:
            self._desk.note(Refused(job.id, token))

    async def _order_for(self, job: Job) -> TaskOrder:
        assert job.run is not None
        definition, environment = (
            self._definitions.by_arn(job.definition),
            self._environment(job.run.environment),
        )
        if definition is None or environment is None:
            raise AwsError("ClientException", "The job definition or the compute environment is gone.")
        whole = self._desk.records.get(job.parent) if job.parent else None
        main = self._desk.records.get(f"{whole.id}#{whole.main_node}") if whole and job.is_node else None
        counted = self._counted(job)
        properties = run_properties(definition, counted)
        fargate = str(environment.resources.get("type", "")).startswith("FARGATE")
        return order_of(
            job,
            definition,
            environment,
            properties=properties,
            overrides=overrides_of(
                self._tasks.base_of(definition, counted),
                properties,
                variables(job, whole, main.run if main else None, environment=environment.name),
                fargate=fargate,
            ),
            task_definition=await self._tasks.arn_of(definition, counted),
            awsvpc=fargate or job.is_node,
        )

    def _failed(self, job: Job, token: str, error: AwsError) -> None:
        """ECS refuses it: for good, or for now."""
        is_passing = error.status >= 500 and error.code != "NotImplemented" and token not in self._unwanted
        if is_passing and self._may_try(token):
            raise Again(error.message) from error
        self._tries.pop(token, None)
        self._desk.note(Ended(job=job.id, token=token, attempt=_unborn(error.message, millis(self._clock))))

    def _may_try(self, token: str) -> bool:
        """Whether an order may be given once more."""
        tries = self._tries[token] = self._tries.get(token, 0) + 1
        return tries < TRIES_MAX

    async def _stop_now(self, job_id: str, token: str, reason: str) -> None:
        """Nobody has wanted it any more since it was ordered."""
        job = self._desk.records.get(job_id)
        if job is None or job.run is None or job.run.token != token:
            return
        if job.run.task:
            await self._runner.stop(job.run.task, reason)
        else:
            await self._lost(job, reason)

    async def _lost(self, job: Job, reason: str) -> None:
        """A run has no task: it ends."""
        assert job.run is not None
        attempt = msgspec.structs.replace(
            _unborn(reason, millis(self._clock)),
            task=job.run.task,
            instance=job.run.instance,
            started_at=job.run.started_at,
            containers=job.run.containers,
            interfaces=job.run.interfaces,
        )
        await self._desk.happened(Ended(job=job.id, token=job.run.token, attempt=attempt))

    def _is_main(self, node: Job) -> bool:
        whole = self._desk.records.get(node.parent)
        return whole is not None and whole.main_node == node.node

    def _counted(self, job: Job) -> Job:
        """A node that knows how many there are: that says what a node range means."""
        whole = self._desk.records.get(job.parent) if job.is_node else None
        return msgspec.structs.replace(job, nodes=whole.nodes) if whole is not None else job

    def _essential(self, job: Job) -> tuple[str, ...]:
        """The containers that decide; empty: all."""
        definition = self._definitions.by_arn(job.definition)
        if definition is None or "containerProperties" in definition.properties:
            return ()
        containers = containers_of(self._tasks.base_of(definition, self._counted(job)))
        return tuple(str(one["name"]) for one in containers if one.get("name") and one.get("essential", True))


def _unborn(reason: str, now: int) -> Attempt:
    """An attempt that came to nothing."""
    return Attempt(stopped_at=now, status_reason=reason)
