"""Calls of the cloud's own to companions that speak JSON 1.1."""

import contextlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.companions import Companions
from cumulo.wire.http import Response

ANSWER_BYTES_MAX: Final = 1024 * 1024


async def call_json(
    companions: Companions,
    service: str,
    target: str,
    *,
    account: str,
    region: str,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """Call the operation that `target` names; its answer, or AwsError as the service says it."""
    answer = await companions.call(
        service,
        "POST",
        "/",
        caller=Caller(account=account, access_key=account, region=region),
        headers={"content-type": "application/x-amz-json-1.1", "x-amz-target": target},
        body=msgspec.json.encode(values),
    )
    body = await _read(answer)
    found: Any = None
    with contextlib.suppress(msgspec.DecodeError):
        found = msgspec.json.decode(body)
    if answer.status == 200 and isinstance(found, dict):
        return found
    said = found if isinstance(found, dict) else {}
    code = str(said.get("__type", "InternalError")).rpartition("#")[2]
    message = str(said.get("message") or said.get("Message") or f"{service} answered {answer.status}")
    raise AwsError(code, message, status=answer.status if answer.status >= 400 else 500)


async def _read(answer: Response) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body[:ANSWER_BYTES_MAX]
    pieces = bytearray()
    async for piece in answer.body:
        if len(pieces) < ANSWER_BYTES_MAX:
            pieces += piece
    return bytes(pieces[:ANSWER_BYTES_MAX])
