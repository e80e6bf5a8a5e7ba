"""What `cumulo logs NAME` means: a function, a log group, or the containers of a service, task or family."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from cumulo.cli.cloud import Failed, client, error_code

_CLUSTERS_MAX = 100
_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")


class Where(msgspec.Struct, frozen=True):
    """Where output is: a log group, and how the names of its streams begin."""

    group: str
    prefix: str = ""


def find(name: str, cloud: str) -> list[Where]:
    """Where what `name` printed is; a name that nobody has is taken for a group's."""
    if name.startswith("/"):
        return [Where(name)]
    kind, _, rest = name.partition("/")
    if kind in ("service", "task") and rest:
        found = _Ecs(cloud).find(rest, task=kind == "task")
        if not found:
            raise Failed(f"No {kind} {rest} writes to CloudWatch Logs here.")
        return found
    function = _function(name, cloud)
    if function:
        return [Where(function)]
    if name.startswith("arn:") or not _is_group(name, cloud):
        return _Ecs(cloud).find(name) or [Where(name)]
    return [Where(name)]


def _function(name: str, cloud: str) -> str:
    """The log group of a function, by name or ARN; empty when there is none."""
    functions = client("lambda", cloud)
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ClientError as exc:
        codes = ("ResourceNotFoundException", "ValidationException", "InvalidParameterValueException")
        if (name.startswith("arn:aws:lambda:")) or error_code(exc) not in codes:
            raise
        return ""
    return str(found.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{found['FunctionName']}")


def _is_group(name: str, cloud: str) -> bool:
    if not _GROUP.fullmatch(name):
        return False
    groups = client("logs", cloud).describe_log_groups(logGroupNamePrefix=name, limit=1).get("logGroups", ())
    return any(group["logGroupName"] == name for group in groups)


class _Ecs:
    """Services, tasks and families with their streams."""

    def __init__(self, cloud: str) -> None:
        self._ecs = client("ecs", cloud)

    def find(self, name: str, *, task: bool = False) -> list[Where]:
        """Of a service (`web`, `cluster/web`, its ARN), else of a task (its id or ARN), else of a family."""
        resource = name.split(":", 5)[-1] if name.startswith("arn:") else name
        task = task or resource.startswith("task/")
        if resource.startswith("task-definition/"):
            return list(self._streams(resource.removeprefix("task-definition/")))
        cluster, _, last = resource.removeprefix("service/").removeprefix("task/").rpartition("/")
        for one in [cluster] if cluster else self._clusters():
            definition = "" if task else self._of_service(one, last)
            if definition:
                return list(self._streams(definition))
            definition = self._of_task(one, last)
            if definition:
                return list(self._streams(definition, last))
        return [] if task or cluster else list(self._streams(last))

    def _clusters(self) -> list[str]:
        """The default one first."""
        arns = self._ecs.list_clusters(maxResults=_CLUSTERS_MAX)["clusterArns"]
        return sorted((arn.rpartition("/")[2] for arn in arns), key=lambda one: (one != "default", one))

    def _of_service(self, cluster: str, name: str) -> str:
        found = self._asked(self._ecs.describe_services, cluster=cluster, services=[name]).get("services", ())
        return next((str(one["taskDefinition"]) for one in found), "")

    def _of_task(self, cluster: str, id_: str) -> str:
        found = self._asked(self._ecs.describe_tasks, cluster=cluster, tasks=[id_]).get("tasks", ())
        return next((str(one["taskDefinitionArn"]) for one in found), "")

    def _streams(self, definition: str, task: str = "") -> Iterator[Where]:
        """Of the containers of a definition (or of its family's newest); of one task when one is named."""
        asked = self._asked(self._ecs.describe_task_definition, taskDefinition=definition)
        for one in asked.get("taskDefinition", {}).get("containerDefinitions", ()):
            logging = one.get("logConfiguration", {})
            options = logging.get("options", {})
            if logging.get("logDriver") == "awslogs" and "awslogs-group" in options:
                prefix = options.get("awslogs-stream-prefix")
                yield Where(options["awslogs-group"], f"{prefix}/{one['name']}/{task}" if prefix else "")

    def _asked(self, call: Any, **values: Any) -> dict[str, Any]:
        """What a call answers; nothing when what it is about is not there."""
        try:
            return dict(call(**values))
        except self._ecs.exceptions.ClientError as exc:
            gone = ("ClusterNotFoundException", "ClientException", "InvalidParameterException")
            if error_code(exc) not in gone:
                raise
            return {}
