"""Asking an integration: in its time, with what it took and came to in `$context.integration`."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.gateway.integrations.functions import FunctionFailed, Why
from cumulo.gateway.rest.call import Call
from cumulo.gateway.rest.failures import Failed, malformed, misconfigured
from cumulo.gateway.tools import CallFailed

T = TypeVar("T")


async def reach(call: Call, clock: Clock, answer: Awaitable[T], *, seconds: float | None = None) -> T:
    """Wait for an integration's answer.  Failed when there is none: 504, or what its refusal means.

    `seconds` is for answers that do not bound themselves.
    """
    began = clock.monotonic()
    try:
        if seconds is None:
            return await answer
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise _told(call, Failed("INTEGRATION_TIMEOUT", log=_TIMED_OUT)) from None
    except CallFailed as failed:
        raise _told(call, _unreachable(failed), str(failed)) from None
    except FunctionFailed as failed:
        note(call, status=failed.status)
        raise _told(call, _uncalled(failed), failed.message) from None
    except AwsError as error:
        raise _told(call, misconfigured(error.message), error.message) from None
    finally:
        call.visit.asked_integration(began, clock.monotonic())
        note(call, latency=call.visit.integration_ms)


_ALSO: Final = {
    "integrationStatus": "integrationStatus",
    "latency": "integrationLatency",
    "requestId": "awsEndpointRequestId",
    "error": "integrationErrorMessage",
}
_TIMED_OUT: Final = "Execution failed due to a timeout error"
_UNREACHABLE: Final = "Execution failed due to a network error communicating with endpoint"


def note(call: Call, **facts: Any) -> None:
    """Put facts into `$context.integration`, and where else access logs look for them."""
    context = call.context
    context.setdefault("integration", {}).update(facts)
    for name, value in facts.items():
        also = _ALSO.get(name)
        if also is not None and value:
            context[also] = value


def _told(call: Call, failed: Failed, why: str = "") -> Failed:
    note(call, error=why or failed.message or failed.log)
    return failed


def _unreachable(failed: CallFailed) -> Failed:
    if failed.timed_out:
        return Failed("INTEGRATION_TIMEOUT", log=_TIMED_OUT)
    return Failed("INTEGRATION_FAILURE", log=_UNREACHABLE)


def _uncalled(failed: FunctionFailed) -> Failed:
    """What a function's refusal means to a client of a REST API."""
    if failed.why is Why.TIMED_OUT:
        return Failed("INTEGRATION_TIMEOUT", log=_TIMED_OUT)
    if failed.why in {Why.NOT_ALLOWED, Why.NOT_FOUND}:
        return misconfigured("Invalid permissions on Lambda function")
    if failed.why is Why.THROTTLED:
        return misconfigured("Rate Exceeded.")
    if failed.why is Why.TOO_LARGE:
        return Failed("REQUEST_TOO_LARGE", "Request Too Long", log=failed.message)
    return malformed(failed.message)
