"""Calls of the cloud's own to companions: those that speak JSON 1.1, and what others answer."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.companions import Companions
from cumulo.wire.http import Response

ANSWER_BYTES_MAX: Final = 1024 * 1024
_CODE: Final = re.compile(rb"<Code>([A-Za-z.]{1,64})</Code>")
_MESSAGE: Final = re.compile(rb"<Message>([^<]{0,1024})</Message>")


async def call_json(
    companions: Companions,
    service: str,
    target: str,
    *,
    account: str,
    region: str,
    values: Mapping[str, Any],
    passing: bool = False,
    version: str = "1.1",
) -> dict[str, Any]:
    """Call the operation that `target` names; its answer, or AwsError as the service says it.

    `passing` as in Companions.call; `version` of the JSON protocol.
    """
    answer = await companions.call(
        service,
        "POST",
        "/",
        caller=Caller(account=account, access_key=account, region=region),
        headers={"content-type": f"application/x-amz-json-{version}", "x-amz-target": target},
        body=msgspec.json.encode(values),
        passing=passing,
    )
    body = await small(answer)
    found: Any = None
    with contextlib.suppress(msgspec.DecodeError):
        found = msgspec.json.decode(body)
    if answer.status == 200 and (isinstance(found, dict) or not body.strip()):
        return found or {}  # operations without an output may answer with nothing
    said = found if isinstance(found, dict) else {}
    code = str(said.get("__type", "InternalError")).rpartition("#")[2]
    message = str(said.get("message") or said.get("Message") or f"{service} answered {answer.status}")
    raise AwsError(code, message, status=answer.status if answer.status >= 400 else 500)


def told_in_xml(body: bytes) -> tuple[str, str]:
    """Code and message of an error as the XML protocols write it; empty what is not there."""
    code, message = _CODE.search(body), _MESSAGE.search(body)
    return code[1].decode() if code else "", message[1].decode(errors="replace") if message else ""


async def small(answer: Response, bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
    """The body of an answer, cut off where no honest one is so long."""
    if isinstance(answer.body, bytes):
        return answer.body[:bytes_max]
    pieces = bytearray()
    async for piece in answer.body:
        if len(pieces) < bytes_max:
            pieces += piece
    return bytes(pieces[:bytes_max])
