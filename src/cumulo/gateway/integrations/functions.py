"""Calling Lambda functions for integrations and authorizers.

uri (with stage variables) ──function_arn, once──▶ FunctionCall ──invoke, every request──▶ payload, or FunctionFailed
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult, InvokeStream
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools

_VARIABLE: Final = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
_INVOCATION: Final = re.compile(
    r"arn:[a-z-]+:apigateway:[a-z0-9-]+:lambda:path/[0-9]{4}-[0-9]{2}-[0-9]{2}/functions/"
    r"(?P<function>.+)/(?:invocations|response-streaming-invocations)"
)


class Why(StrEnum):
    """Why a function gave no answer."""

    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    THROTTLED = "throttled"
    TOO_LARGE = "too_large"
    TIMED_OUT = "timed_out"
    FAILED = "failed"


class FunctionFailed(Exception):
    """A function was not called, or did not answer in time.

    status   that Lambda's API would have answered (`$context.integration.integrationStatus`); 0: nobody was asked
    message  for `$context.integration.error`; clients do not get to see it
    """

    def __init__(self, why: Why, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.why = why
        self.message = message
        self.status = status


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """The text with each ${stageVariables.name} replaced; one that the stage has not becomes nothing."""
    if "${stageVariables." not in text:
        return text
    return _VARIABLE.sub(lambda found: variables.get(found[1], ""), text)


def function_arn(uri: str, variables: Mapping[str, str]) -> str | None:
    """The function (maybe with a qualifier) that an integration's or authorizer's uri means; None when it means none."""
    text = with_variables(uri, variables)
    path = _INVOCATION.fullmatch(text)
    if path is not None:
        text = path["function"]
    arn = parse_arn(text)
    if arn is None or arn.service != "lambda" or not arn.resource.startswith("function:"):
        return None
    return text.rstrip(":")


Ended = Callable[["InvokeResult | FunctionFailed"], None]


class FunctionCall:
    """One function as an integration or authorizer calls it.

    arn          as `function_arn` gives it
    source_arn   what calls, for the function's permissions: arn:aws:execute-api:<region>:<account>:<api>/<stage>/GET/pets,
                 or .../authorizers/<id>
    credentials  the role that is taken on, in place of the function's own permissions; empty: none
    """

    __slots__ = ("_account", "_allowed", "_caller_account", "_credentials", "_invoker", "_region", "_shared",
                 "_source_arn", "_starter", "arn")  # fmt: skip

    def __init__(
        self, arn: str, *, source_arn: str, place: Place, tools: Tools, credentials: str = ""
    ) -> None:
        parsed = parse_arn(arn)
        assert parsed is not None, "function_arn gave it"
        self.arn = arn
        self._account = parsed.account
        self._region = parsed.region
        self._caller_account = place.account
        self._credentials = credentials
        self._source_arn = source_arn
        self._invoker = tools.invoker
        self._allowed = tools.functions.allowed
        self._shared = tools.shared
        self._starter = tools.starter

    @property
    def is_quick(self) -> bool:
        """Whether `begin` may be used: there is who begins calls, and no permission has to be asked for."""
        return self._starter is not None and (not self._shared or bool(self._credentials))

    def begin(
        self, event: bytes, done: Ended, *, seconds: float, request_id: str = "", trace_id: str = ""
    ) -> None:
        """The same as `invoke` without a coroutine: `done` is called once, now or later."""
        assert self._starter is not None, "is_quick says so"
        pending = True

        def end(result: InvokeResult | AwsError) -> None:
            nonlocal pending
            if pending:
                pending = False
                timer.cancel()
                done(failed(result) if isinstance(result, AwsError) else result)

        def expire() -> None:
            nonlocal pending
            if pending:
                pending = False
                done(FunctionFailed(Why.TIMED_OUT, "The function did not answer in time"))

        timer = asyncio.get_running_loop().call_later(seconds, expire)
        caller = Caller(account=self._account, region=self._region, request_id=request_id)
        self._starter.begin(caller, self.arn, event, end, trace_id=trace_id)

    async def invoke(
        self, payload: bytes, *, seconds: float, request_id: str = "", trace_id: str = ""
    ) -> InvokeResult:
        """Run the function; FunctionFailed when it was not run, or took longer than `seconds`.

        A function that raised has answered: see `function_error` of the result.  `request_id` becomes the function's
        own (`$context.integration.requestId`).
        """
        if self._shared and not self._credentials:
            await self._check()
        caller = Caller(account=self._account, region=self._region, request_id=request_id)
        try:
            async with asyncio.timeout(seconds):
                return await self._invoker.invoke(caller, self.arn, payload, trace_id=trace_id)
        except TimeoutError:
            raise FunctionFailed(Why.TIMED_OUT, "The function did not answer in time") from None
        except AwsError as error:
            raise failed(error) from error

    async def stream(self, payload: bytes, *, request_id: str = "", trace_id: str = "") -> InvokeStream:
        """Run the function, and return when its answer begins; FunctionFailed when it was not run.

        How long to wait is the caller's business; so is closing the stream.
        """
        if self._shared and not self._credentials:
            await self._check()
        caller = Caller(account=self._account, region=self._region, request_id=request_id)
        try:
            return await self._invoker.invoke_stream(caller, self.arn, payload, trace_id=trace_id)
        except AwsError as error:
            raise failed(error) from error

    async def _check(self) -> None:
        if not await self._allowed(
            self.arn, source_arn=self._source_arn, source_account=self._caller_account
        ):
            message = (
                f"The IAM role configured on the integration or API Gateway doesn't have permissions to call "
                f"the integration. Check the permissions of {self.arn} and try again."
            )
            raise FunctionFailed(Why.NOT_ALLOWED, message, status=403)


def failed(error: AwsError) -> FunctionFailed:
    """What Lambda's refusal of an Invoke means for who wanted the function's answer."""
    return FunctionFailed(_reason(error), error.message, status=error.status)


def _reason(error: AwsError) -> Why:
    if error.code == "TooManyRequestsException" or error.status == 429:
        return Why.THROTTLED
    if error.code == "ResourceNotFoundException":
        return Why.NOT_FOUND
    if error.status == 413:
        return Why.TOO_LARGE
    return Why.FAILED
