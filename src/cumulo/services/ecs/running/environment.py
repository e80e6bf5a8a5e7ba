"""What a container finds in its environment: files, its definition, secrets, overrides, and what AWS adds.

environmentFiles < environment < secrets < overrides; what the agent adds is below all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports import ObjectReader, Parameters, Secrets
from cumulo.services.ecs.model import Document, Task
from cumulo.services.ecs.running.refusal import CannotStart

FILE_BYTES_MAX = 1024 * 1024
_RETRIES = 1
_PREFIX = "ResourceInitializationError: "
_SECRETS = f"{_PREFIX}unable to pull secrets or registry auth: execution resource retrieval failed: "


class Sources(msgspec.Struct, frozen=True):
    """Where secrets, parameters and files are read."""

    objects: ObjectReader
    secrets: Secrets
    parameters: Parameters


async def environment_of(
    task: Task, told: Document, given: Mapping[str, str], sources: Sources
) -> dict[str, str]:
    """The environment of one container; `given` is what the agent adds.  CannotStart."""
    files = [await _file(task, one, sources.objects) for one in told.get("environmentFiles", ())]
    names = [str(one["name"]) for one in told.get("secrets", ())]
    values = await asyncio.gather(
        *(secret(task, str(one["valueFrom"]), sources) for one in told.get("secrets", ()))
    )
    found = dict(given)
    for one in files:
        found |= one
    found |= _pairs(told.get("environment", ()))
    found |= dict(zip(names, values, strict=True))
    return found | _pairs(told.get("overridden", ()))


def _pairs(said: Sequence[Document]) -> dict[str, str]:
    return {str(one["name"]): str(one.get("value", "")) for one in said if one.get("name")}


async def secret(task: Task, value_from: str, sources: Sources) -> str:
    """The value of a secret or parameter that a definition names.  CannotStart as AWS says it."""
    arn = parse_arn(value_from)
    if arn is not None and arn.service == "secretsmanager":
        try:
            return await _patiently(lambda: sources.secrets.secret(task.account, task.region, value_from))
        except AwsError as error:
            raise _failed(
                f"{_SECRETS}unable to retrieve secret from asm: service call has been retried {_RETRIES} time(s): "
                f"failed to fetch secret {value_from} from secrets manager: {error.code}: {error.message}"
            ) from error
    region = arn.region if arn is not None and arn.region else task.region
    try:
        return await _patiently(lambda: sources.parameters.parameter(task.account, region, value_from))
    except AwsError as error:
        said = (
            f"invalid ssm parameters: {value_from}"
            if error.code == "ParameterNotFound"
            else f"{error.code}: {error.message}"
        )
        raise _failed(
            f"{_SECRETS}unable to retrieve secrets from ssm: service call has been retried {_RETRIES} time(s): {said}"
        ) from error


async def _patiently(read: Callable[[], Awaitable[str]]) -> str:
    """Read, and once more when the service was at fault."""
    try:
        return await read()
    except AwsError as error:
        if error.status < 500:
            raise
        return await read()


async def _file(task: Task, one: Document, objects: ObjectReader) -> dict[str, str]:
    """The variables of a file in S3: lines of NAME=value, without quotes or expansion."""
    place = str(one.get("value", ""))
    arn = parse_arn(place)
    bucket, _, key = (arn.resource if arn is not None and arn.service == "s3" else "").partition("/")
    if not bucket or not key:
        raise _failed(f"{_PREFIX}failed to download env files: {place} is not the ARN of an object")
    try:
        raw = await objects.read_object(
            Caller(account=task.account, region=task.region), bucket, key, None, bytes_max=FILE_BYTES_MAX
        )
    except AwsError as error:
        raise _failed(
            f"{_PREFIX}failed to download env files: file download command: non empty error stream: "
            f"{error.code}: {error.message}"
        ) from error
    found = {}
    for line in raw.decode(errors="replace").splitlines():
        name, sign, value = line.partition("=")
        if sign and name and not line.startswith("#"):
            found[name] = value
    return found


def _failed(reason: str) -> CannotStart:
    return CannotStart(reason, task_reason=reason)
