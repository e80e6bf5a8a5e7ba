"""The execution log of WebSocket APIs, in AWS's words: what happened to an event, told when it is over.  Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cumulo.gateway.visit import Visit

_BODY_CHARACTERS_MAX: Final = 1024

Lines = Iterator[str]


def lines_of(visit: Visit, status: int, *, level: str, traces: bool) -> Lines:
    """The lines of an event.  `level`: INFO or ERROR (only why it failed);  `traces`: whether messages are shown."""
    context = visit.context
    if level == "INFO":
        yield f"Extended Request Id: {context['extendedRequestId']}"
        yield from _begun(visit, traces=traces)
        yield from _integrated(context)
    yield from _failed(context)
    if level == "INFO":
        yield from _ended(context, status)


def _begun(visit: Visit, *, traces: bool) -> Lines:
    context = visit.context
    api, identity = context["apiId"], context.get("identity") or {}
    event = context.get("eventType")
    if event == "CONNECT":
        agent, source = identity.get("userAgent") or "", identity.get("sourceIp") or ""
        yield (f"Client [UserAgent: {agent}, SourceIp: {source}] is connecting to WebSocket API [{api}].")
    elif event == "DISCONNECT":
        yield (
            f"Client [Connection Id: {context.get('connectionId', '')}] disconnected from WebSocket API [{api}] "
            f"with code {context.get('disconnectStatusCode', '')}: {context.get('disconnectReason', '')}"
        )
    elif context.get("messageDirection") == "OUT":
        yield f"WebSocket API [{api}] sends a message to client [Connection Id: {context.get('connectionId', '')}]."
    else:
        message = f" Message: [{_text(visit.body)}]" if traces else ""
        yield (
            f"WebSocket API [{api}] received message from client "
            f"[Connection Id: {context.get('connectionId', '')}].{message}"
        )
    if context.get("routeKey"):
        yield f"WebSocket Request Route: [{context['routeKey']}]"


def _integrated(context: Mapping[str, Any]) -> Lines:
    told = context.get("integration")
    if told:
        yield f"Starting execution for request: {context['requestId']}"
        if told.get("status") is not None:
            latency = told.get("latency")
            took = f", Integration latency: {latency} ms" if latency is not None else ""
            yield f"Received response. Status: {told['status']}{took}"


def _failed(context: Mapping[str, Any]) -> Lines:
    told, error = context.get("integration") or {}, context.get("error")
    if told.get("error"):
        yield f"Execution failed due to integration error: {told['error']}"
    if error is not None:
        yield f"Execution failed: {error.get('responseType', '')}: {error.get('message') or ''}"


def _ended(context: Mapping[str, Any], status: int) -> Lines:
    event = context.get("eventType")
    if event == "CONNECT" and 200 <= status < 300:
        yield f"Client [Connection Id: {context.get('connectionId', '')}] connected to API [{context['apiId']}] successfully."
    if context.get("error") is None:
        yield "Successfully completed execution"
    if event != "CONNECT" or status != 101:
        yield f"Request completed with status: {status}"


def _text(body: bytes | None) -> str:
    return (body or b"")[:_BODY_CHARACTERS_MAX].decode(errors="replace")
