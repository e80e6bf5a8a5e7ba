"""The task definitions of ECS behind job definitions: registered when they are first needed, and remembered.

A job definition has one, a multi-node one as many as it has node ranges.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.task_runner import TaskRunner
from cumulo.services.batch.model import Job, JobDefinition
from cumulo.services.batch.node_rules import range_of
from cumulo.services.batch.resolution import node_ranges, run_properties
from cumulo.services.batch.running.task_documents import document_of
from cumulo.state.store import Store


class Registered(msgspec.Struct, frozen=True):
    """The ARN of a task definition."""

    arn: str


class TaskDefinitions:
    """See above.  `host`: tasks on instances have the network of their instance."""

    def __init__(self, store: Store, runner: TaskRunner, *, host: bool) -> None:
        self._store = store
        self._table = store.table("batch_task_definitions", Registered)
        self._runner = runner
        self._host = host
        self._turn = asyncio.Lock()

    def base_of(self, definition: JobDefinition, job: Job) -> Mapping[str, Any]:
        """What all jobs of this definition (or nodes of this node range) have in common, as `run_properties` gives it."""
        return run_properties(definition, msgspec.structs.replace(job, overrides={}, parameters={}))

    async def arn_of(self, definition: JobDefinition, job: Job) -> str:
        """The task definition that a job (or node) runs by.  AwsError when ECS refuses it."""
        key = _key(definition, job)
        known = self._table.get(key)
        if known is not None:
            return known.arn
        async with self._turn:
            known = self._table.get(key)
            if known is None:
                known = Registered(await self._define(definition, job))
                self._table.put(key, known)
                await self._store.commit()
        return known.arn

    def clear(self) -> None:
        """Forget everything."""
        self._table.clear()

    async def _define(self, definition: JobDefinition, job: Job) -> str:
        document = document_of(
            definition.name,
            self.base_of(definition, job),
            region=definition.region,
            fargate="FARGATE" in definition.platforms,
            nodes=definition.kind == "multinode",
            host=self._host,
        )
        caller = Caller(account=definition.account, region=definition.region)
        return await self._runner.define(caller, document)


def _key(definition: JobDefinition, job: Job) -> str:
    if definition.kind != "multinode":
        return definition.arn
    # A range is what the definition says of the numbers that a job of so many nodes has.
    number = range_of(node_ranges(definition, job.nodes or _count(definition)), max(job.node, 0))
    return f"{definition.arn} {number}"


def _count(definition: JobDefinition) -> int:
    return int(definition.properties["nodeProperties"]["numNodes"])
