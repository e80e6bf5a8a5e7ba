"""Hands events of the cloud's own services to EventBridge through the companions.

They go in by PutEvents, with sources such as `aws.ecr`.  moto takes these; AWS itself, when EventBridge is
pointed at it, keeps them for its own services and refuses (NotAuthorizedForSourceException).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cumulo.base.errors import AwsError
from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions

_AGAIN = ("InternalFailure", "InternalException", "ThrottlingException")


class EventBridge:
    """The EventBus of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def put(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
        *,
        at: float | None = None,
    ) -> None:
        """Deliver one event; AwsError when it is refused, or (5xx) may be tried again.

        Where EventBridge was never told anything there is no rule that could take the event: it is not started.
        Where it has no rules it is not told either, for moto would remember every event that it was told.
        """
        if not await self.listens(account, region):
            return
        entry: dict[str, Any] = {
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(dict(detail)),
            "Resources": list(resources),
        }
        if at is not None:
            entry["Time"] = at
        answer = await self._call("PutEvents", account, region, {"Entries": [entry]})
        for result in answer.get("Entries", []):
            code = result.get("ErrorCode")
            if code:
                status = 503 if code in _AGAIN else 400
                raise AwsError(code, str(result.get("ErrorMessage", "")), status=status)

    async def listens(self, account: str, region: str) -> bool:
        """Whether any rule there could take an event now; AwsError as above."""
        if not self._companions.knows("events"):
            return False
        rules = await self._call("ListRules", account, region, {"Limit": 1})
        return bool(rules.get("Rules"))

    async def _call(
        self, operation: str, account: str, region: str, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        target = f"AWSEvents.{operation}"
        return await call_json(
            self._companions, "events", target, account=account, region=region, values=values
        )
