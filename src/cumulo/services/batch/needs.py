"""What a job takes of a place, as the scheduler wants to know it.  Pure."""

import msgspec

from cumulo.services.batch.model import Job, JobDefinition
from cumulo.services.batch.resolution import containers_of, instance_types, node_ranges, run_properties
from cumulo.services.batch.resource_rules import amounts_of, together
from cumulo.services.batch.scheduling.facts import Need


def need_of(definition: JobDefinition, job: Job) -> Need:
    """The need of a job or a child; of a multi-node job what the greediest of its nodes takes, so many times."""
    if not job.nodes:
        return _need(definition, job, 1)
    firsts = {one.first for one in node_ranges(definition, job.nodes)}
    nodes = [msgspec.structs.replace(job, node=number) for number in sorted(firsts | {job.main_node})]
    every = [_need(definition, node, job.nodes) for node in nodes]
    return Need(
        vcpus=max(one.vcpus for one in every),
        memory=max(one.memory for one in every),
        gpus=max(one.gpus for one in every),
        nodes=job.nodes,
        kinds=instance_types(definition, job),
    )


def _need(definition: JobDefinition, job: Job, nodes: int) -> Need:
    amounts = together(amounts_of(one) for one in containers_of(run_properties(definition, job)))
    kinds = instance_types(definition, job)
    return Need(amounts.vcpus or 0, amounts.memory or 0, amounts.gpus, nodes, kinds)
