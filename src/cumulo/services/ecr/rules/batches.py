"""BatchGetImage in front of a cache."""

from collections.abc import Awaitable, Callable
from typing import Any

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecr.model import Repository
from cumulo.wire.service import Run, Values

Missing = Callable[[str, str, str, str], Awaitable[Repository | None]]
_CODES = frozenset({"UpstreamAccessDenied", "UpstreamTooManyRequests", "UpstreamUnavailable"})


class CachedBatchGet:
    """Has the images of a BatchGetImage here before it is answered."""

    def __init__(self, batch_get_image: Run, missing: Missing) -> None:
        self._answer = batch_get_image
        self._missing = missing

    async def run(self, caller: Caller, values: Values) -> Values | None:
        """BatchGetImage.  Only the registry's own account causes a fetch."""
        if values.get("registryId", caller.account) != caller.account:
            return await self._answer(caller, values)
        failures, rest = [], []
        for one in values["imageIds"]:
            try:
                reference = one.get("imageDigest") or one.get("imageTag")
                if reference:
                    await self._missing(caller.account, caller.region, values["repositoryName"], reference)
                rest.append(one)
            except AwsError as error:
                if error.code != "UnableToGetUpstreamImageException":
                    raise
                failures.append(_failure(one, error))
        if not rest:
            return {"images": [], "failures": failures}
        answer = await self._answer(caller, {**values, "imageIds": rest}) or {}
        return {**answer, "failures": [*answer.get("failures", []), *failures]}


def _failure(one: Values, error: AwsError) -> dict[str, Any]:
    code = error.fields.get("failureCode", "")
    return {
        "imageId": one,
        "failureCode": code if code in _CODES else "UpstreamUnavailable",
        "failureReason": error.message,
    }
