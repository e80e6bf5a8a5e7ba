"""Calls functions that are targets."""

import asyncio
from typing import TYPE_CHECKING, Final

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.base.ports.functions import Invoker
from cumulo.net.messages import Answer, BodyTooLong, HeaderList, ReadBody, RequestHead
from cumulo.services.elbv2.function_targets import (
    BODY_BYTES_MAX,
    BadAnswer,
    answer_of,
    event_of,
    health_event,
)
from cumulo.services.elbv2.health import FAILED, TIMED_OUT, Outcome, answered
from cumulo.services.elbv2.pools import GroupPool

if TYPE_CHECKING:
    from cumulo.services.elbv2.routing import Manner

_MULTI: Final = "lambda.multi_value_headers.enabled"
_log = Log("elbv2")


class FunctionAnswer(Answer, frozen=True):
    """An answer that a function gave, for those who count: `group` is its target group's ARN."""

    group: str = ""


class FunctionCalls:
    """Asks functions in the name of the account that their target group belongs to."""

    def __init__(self, invoker: Invoker) -> None:
        self._invoker = invoker

    async def answer(
        self,
        found: GroupPool,
        manner: "Manner",
        lines: HeaderList,
        head: RequestHead,
        read: ReadBody,
        add: HeaderList,
        remove: frozenset[bytes],
    ) -> Answer:
        """What the function says to a request; the load balancer's own page when it says nothing sensible."""
        if not found.function:
            return manner.error(503)
        try:
            body = await read(BODY_BYTES_MAX)
        except BodyTooLong:
            return manner.error(413)
        multi = found.attributes[_MULTI] == "true"
        passed = [line for line in head.headers if line[0].lower() not in remove]
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in (*passed, *add)
        ]
        event = event_of(
            found.group.arn,
            method=head.method,
            path=head.path,
            query=head.query,
            headers=headers,
            body=body,
            multi=multi,
        )
        try:
            payload = await self._call(found, event)
            told = answer_of(payload, multi=multi)
        except (AwsError, BadAnswer) as error:
            _log.info("a function that is a target did not answer", group=found.group.arn, why=str(error))
            return manner.error(502)
        return FunctionAnswer(told.status, (*told.headers, *lines), told.body, group=found.group.arn)

    async def check(self, found: GroupPool) -> Outcome:
        """A health check of a group whose target is a function."""
        check = found.group.check
        multi = found.attributes[_MULTI] == "true"
        event = health_event(found.group.arn, check.path, multi=multi)
        try:
            async with asyncio.timeout(check.timeout):
                told = answer_of(await self._call(found, event), multi=multi)
        except TimeoutError:
            return TIMED_OUT
        except (AwsError, BadAnswer):
            return FAILED
        return answered(told.status, check.codes)

    async def _call(self, found: GroupPool, event: bytes) -> bytes:
        group = found.group
        caller = Caller(account=group.account, region=group.region)
        outcome = await self._invoker.invoke(caller, found.function, event)
        if outcome.function_error:
            raise BadAnswer(f"the function failed ({outcome.function_error})")
        return outcome.payload
