"""What a job runs: its definition, with what its submission overrides, and its parameters in place.  Pure.

    definition ──▶ containerOverrides, ecsPropertiesOverride, nodeOverrides ──▶ Ref::name ──▶ what ECS is asked for

An amount in an override's resourceRequirements wins over the definition's; then comes the definition's, then an override's
`vcpus` and `memory`, then the definition's: as with AWS.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cumulo.services.batch.model import Document, Job, JobDefinition
from cumulo.services.batch.node_rules import NODES_MAX, Range, check_cover, parse_range, range_of

REFERENCE = "Ref::"
_PLAIN = ("command", "instanceType")
_LEGACY = {"vcpus": "VCPU", "memory": "MEMORY"}


def run_properties(definition: JobDefinition, job: Job) -> Mapping[str, Any]:
    """`{"containerProperties": ...}` or `{"ecsProperties": ...}` of a job, a child or a node.

    Of a multi-node job as a whole: those of its main node.
    """
    parameters = {**definition.parameters, **job.parameters}
    if definition.kind == "multinode":
        number = job.node if job.is_node else job.main_node
        return _substituted(_node(definition, job, number), parameters)
    overrides = job.overrides
    if "ecsProperties" in definition.properties:
        task = _task(definition.properties["ecsProperties"], overrides.get("ecsPropertiesOverride", {}))
        return _substituted({"ecsProperties": task}, parameters)
    container = _container(
        definition.properties["containerProperties"], overrides.get("containerOverrides", {})
    )
    return _substituted({"containerProperties": container}, parameters)


def node_properties(definition: JobDefinition, job: Job) -> dict[str, Any]:
    """The nodeProperties of a multi-node job as DescribeJobs shows them: overridden, node range by node range."""
    kept = definition.properties["nodeProperties"]
    over = job.overrides.get("nodeOverrides", {})
    parameters = {**definition.parameters, **job.parameters}
    ranges = [
        {**one, **_shown(_substituted(_ranged(one, _override_at(over, one["targetNodes"])), parameters))}
        for one in kept["nodeRangeProperties"]
    ]
    return {"numNodes": job.nodes, "mainNode": job.main_node, "nodeRangeProperties": ranges}


def node_ranges(definition: JobDefinition, nodes: int) -> list[Range]:
    """The ranges of a definition in a job of so many nodes, each within it.  AwsError when they do not fit."""
    kept = definition.properties["nodeProperties"]["nodeRangeProperties"]
    ranges = [parse_range(one["targetNodes"], nodes) for one in kept]
    check_cover(ranges, nodes)
    return ranges


def instance_types(definition: JobDefinition, job: Job) -> tuple[str, ...]:
    """The instance types that a job may run on; empty: any."""
    if definition.kind != "multinode":
        return ()
    node = _node(definition, job, job.node if job.is_node else job.main_node)
    types = node.get("instanceTypes") or [node.get("containerProperties", {}).get("instanceType", "")]
    return tuple(one for one in types if one)


def missing_parameter(properties: Mapping[str, Any]) -> str | None:
    """A parameter that a command still asks for, after all are in place; None: there is none."""
    for container in containers_of(properties):
        for word in container.get("command", ()):
            if word.startswith(REFERENCE):
                return str(word).removeprefix(REFERENCE)
    return None


def containers_of(properties: Mapping[str, Any]) -> Sequence[Document]:
    """The containers of what `run_properties` gives."""
    if "ecsProperties" in properties:
        found: Sequence[Document] = properties["ecsProperties"]["taskProperties"][0]["containers"]
        return found
    return (properties["containerProperties"],)


# -- overriding ----------------------------------------------------------------------------------------------


def _node(definition: JobDefinition, job: Job, number: int) -> dict[str, Any]:
    kept = definition.properties["nodeProperties"]["nodeRangeProperties"]
    ranges = [parse_range(one["targetNodes"], NODES_MAX) for one in kept]
    one = kept[range_of(ranges, number)]
    return _ranged(one, _override_at(job.overrides.get("nodeOverrides", {}), one["targetNodes"]))


def _ranged(one: Document, override: Document) -> dict[str, Any]:
    """A node range with its override, as run properties; and its instance types, if it has any."""
    types = override.get("instanceTypes") or one.get("instanceTypes")
    made: dict[str, Any] = {"instanceTypes": types} if types else {}
    if "ecsProperties" in one:
        made["ecsProperties"] = _task(one["ecsProperties"], override.get("ecsPropertiesOverride", {}))
    else:
        made["containerProperties"] = _container(one["container"], override.get("containerOverrides", {}))
    return made


def _override_at(over: Document, target: str) -> Document:
    """Overrides name the node ranges of the definition as it does."""
    for one in over.get("nodePropertyOverrides", ()):
        if one["targetNodes"] == target:
            return dict(one)
    return {}


def _shown(properties: Mapping[str, Any]) -> dict[str, Any]:
    names = {"containerProperties": "container"}
    return {names.get(name, name): value for name, value in properties.items()}


def _task(kept: Document, override: Document) -> dict[str, Any]:
    task = kept["taskProperties"][0]
    tasks = override.get("taskProperties", ())
    by_name = {one.get("name", "default"): one for one in (tasks[0].get("containers", ()) if tasks else ())}
    containers = [_container(one, by_name.get(one["name"], {})) for one in task["containers"]]
    return {"taskProperties": [{**task, "containers": containers}]}


def _container(kept: Document, override: Document) -> dict[str, Any]:
    made = dict(kept)
    made |= {name: override[name] for name in _PLAIN if name in override}
    if "environment" in override:
        made["environment"] = _merged(kept.get("environment", ()), override["environment"], "name")
    required = {one["type"]: one for one in kept.get("resourceRequirements", ())}
    for member, kind in _LEGACY.items():
        if member in override and kind not in required:
            made[member] = override[member]
    for one in override.get("resourceRequirements", ()):
        required[one["type"]] = one
        made.pop({kind: member for member, kind in _LEGACY.items()}.get(one["type"], ""), None)
    return made | ({"resourceRequirements": list(required.values())} if required else {})


def _merged(kept: Iterable[Document], more: Iterable[Document], key: str) -> list[Document]:
    by = {one.get(key): one for one in kept} | {one.get(key): one for one in more}
    return list(by.values())


# -- parameters ----------------------------------------------------------------------------------------------


def _substituted(properties: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    made = dict(properties)
    if "containerProperties" in made:
        made["containerProperties"] = _filled(made["containerProperties"], parameters)
    if "ecsProperties" in made:
        task = made["ecsProperties"]["taskProperties"][0]
        containers = [_filled(one, parameters) for one in task["containers"]]
        made["ecsProperties"] = {"taskProperties": [{**task, "containers": containers}]}
    return made


def _filled(container: Document, parameters: Mapping[str, str]) -> dict[str, Any]:
    """A word of a command that is `Ref::name` is the parameter's value; a word that only contains it is left alone."""
    words = [parameters.get(_name(word), word) if _name(word) else word for word in container["command"]]
    return {**container, "command": words}


def _name(word: str) -> str:
    return word.removeprefix(REFERENCE) if word.startswith(REFERENCE) else ""
