"""Passes requests for services that are not ours to moto, or to a real endpoint that was configured."""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.companions.guards import BODY_BYTES_MAX, Call, Guard, call_of, refusal_of, with_form
from cumulo.companions.headers import (
    ACCOUNT_HEADER,
    INTERNAL,
    OWN_HEADER,
    PASSING_HEADER,
    SERVICE_HEADER,
    UNKNOWN_HEADER,
)
from cumulo.companions.process import CannotStart, MotoProcess
from cumulo.companions.upstream import HEAD_BYTES_MAX, Pairs, Upstream, UpstreamError
from cumulo.wire.http import BytesBody, Headers, Request, Response, lines_of

SMALL_BODY_BYTES_MAX: Final = 64 * 1024
JOURNAL: Final = "companions.jsonl"
JOURNAL_FIRST_LINE_BYTES: Final = 64  # its salt

Heard = Callable[[str, str, str], None]

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_HEADER_KEY: Final = re.compile(r"Credential=([^/,\s]+)/|AWS ([^:\s]+):")
_QUERY_KEY: Final = re.compile(r"(?:^|&)(?:X-Amz-Credential=([^&/%]+)|AWSAccessKeyId=([^&]+))")

_HEADER_REGION: Final = re.compile(r"Credential=[^/,\s]+/[0-9]{8}/([^/,\s]+)/")
_QUERY_REGION: Final = re.compile(r"(?:^|&)X-Amz-Credential=[^&/%]+(?:%2F|/)[0-9]{8}(?:%2F|/)([^&/%]+)")


class Companions:
    """The handler for every AWS service that is not ours.

    `endpoints` names real endpoints (`{"s3": "http://minio:9000"}`); moto answers for everything else.
    `account_of` knows the account of access keys that the cloud itself has issued; a key of twelve digits is
    its own account; moto is asked about keys that it issued; all others belong to `account_default`.
    """

    def __init__(
        self,
        *,
        endpoints: Mapping[str, str],
        account_default: str,
        region_default: str,
        data: Path | None,
        service_of: Callable[[Request], str],
        account_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self._account_default = account_default
        self._region_default = region_default
        self._service_of = service_of
        self._account_of = account_of
        self._journal = None if data is None else data / JOURNAL
        self._process = MotoProcess(account=account_default, journal=self._journal)
        self._moto = Upstream(self._process.connect)
        self._endpoints = {name: Upstream(_connector(url)) for name, url in endpoints.items()}
        self._guards: dict[str, Guard] = {}
        self._heard: dict[str, Heard] = {}

    def listen(self, service: str, heard: Heard) -> None:
        """From now on `heard` is told of each call of clients (not the cloud's own) that a JSON service has accepted:
        operation, account, region.  It must return at once.
        """
        self._heard[service] = heard

    def guard(self, service: str, guard: Guard) -> None:
        """From now on `guard` sees the calls of a service that speaks the query protocol (ec2, autoscaling)."""
        self._guards[service] = guard

    @property
    def started(self) -> bool:
        """Whether moto runs."""
        return self._process.running

    def knows(self, service: str) -> bool:
        """Whether a service may know anything: a real endpoint; or moto, which runs, or once was told something.

        Who only tells it something asks this first, so as not to start moto for nothing.
        """
        if service in self._endpoints or self._process.running:
            return True
        # A journal that holds more than its first line: moto was told something before the last restart.
        return (
            self._journal is not None
            and self._journal.exists()
            and self._journal.stat().st_size > JOURNAL_FIRST_LINE_BYTES
        )

    @property
    def pid(self) -> int | None:
        """The process id of moto while it runs."""
        return self._process.pid

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        service = self._service_of(request)
        answer = await self._pass_on(service, request)
        heard = self._heard.get(service)
        if heard is not None and answer.status < 400:
            operation = request.headers.get("x-amz-target").rpartition(".")[2]
            account = self._account(request) or self._account_default
            heard(operation, account, _region(request) or self._region_default)
        return answer

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        caller: Caller,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        passing: bool = False,
    ) -> Response:
        """Send a request of the cloud's own in the name of `caller`; `service` as in a signature's scope.

        `passing`: what it changes need not outlive the companion's process.
        """
        region = caller.region or self._region_default
        scope = f"{caller.account}/20200101/{region}/{service}/aws4_request"
        wanted = {
            "host": "localhost",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        if body or method in {"POST", "PUT"}:
            wanted["content-length"] = str(len(body))
        raw = Headers(lines_of(wanted.items()))
        request = Request(method, path, query, raw, BytesBody(body))
        marks: Pairs = ((OWN_HEADER, "yes"),)
        return await self._pass_on(service, request, (*marks, (PASSING_HEADER, "yes")) if passing else marks)

    async def reset(self) -> None:
        """Forget everything that moto keeps.  Real endpoints are left alone."""
        await self._process.stop()
        self._moto.close()
        if self._journal is not None:
            self._journal.unlink(missing_ok=True)

    async def close(self) -> None:
        """End moto and close all connections."""
        await self._process.close()
        for upstream in (self._moto, *self._endpoints.values()):
            upstream.close()

    async def _pass_on(self, service: str, request: Request, marks: Pairs = ()) -> Response:
        guard = self._guards.get(service)
        if guard is None:
            return await self._send(service, request, marks)
        # Who the guard is for reads the whole body once; what is too long for a form is passed on unseen.
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or int(length) > BODY_BYTES_MAX:
            return await self._send(service, request, marks)
        body = await request.body.read(BODY_BYTES_MAX)
        request.body = BytesBody(body)
        call = call_of(
            request,
            body,
            account=self._account(request) or self._account_default,
            region=_region(request) or self._region_default,
        )
        if call is None:
            return await self._send(service, request, marks)
        return await self._guarded(service, request, call, guard, marks)

    async def _guarded(
        self, service: str, request: Request, call: Call, guard: Guard, marks: Pairs
    ) -> Response:
        try:
            changed = await guard.before(call)
        except AwsError as error:
            return refusal_of(service, error)
        status = 500
        try:
            if changed is not None:
                request = with_form(request, changed)
            answer = await self._send(service, request, marks)
            status = answer.status
        finally:
            guard.after(call, done=status < 400)
        return answer

    async def _send(self, service: str, request: Request, marks: Pairs) -> Response:
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" not in request.headers and int(length) <= SMALL_BODY_BYTES_MAX:
            request.body = BytesBody(await request.body.read(SMALL_BODY_BYTES_MAX))
        try:
            endpoint = self._endpoints.get(service)
            if endpoint is not None:
                return await endpoint.send(request, (), INTERNAL)
            extra: Pairs = ((ACCOUNT_HEADER, self._account(request)), (SERVICE_HEADER, service), *marks)
            answer = await self._ask_moto(request, extra)
        except (CannotStart, UpstreamError) as fault:
            why = f"The companion for {service} is not available: {fault}"
            return _refusal(service, request, 503, "ServiceUnavailable", why)
        if any(name.lower() == UNKNOWN_HEADER for name, _ in answer.headers):
            why = f"nobody answers for {service} here: name an endpoint with --companions {service}=URL"
            return _refusal(service, request, 501, "NotImplemented", why)
        return answer

    async def _ask_moto(self, request: Request, extra: Pairs) -> Response:
        try:
            return await self._moto.send(request, extra, INTERNAL)
        except UpstreamError:
            if not isinstance(request.body, BytesBody) or not await self._process.has_died():
                raise
        return await self._moto.send(request, extra, INTERNAL)

    def _account(self, request: Request) -> str:
        """The account of a request's key; empty when only moto can know it."""
        found = _HEADER_KEY.search(request.headers.get("authorization")) or _QUERY_KEY.search(request.query)
        if found is None:
            return self._account_default
        key = found[1] or found[2]
        if _ACCOUNT.fullmatch(key):
            return key
        known = self._account_of(key) if self._account_of is not None else None
        return known or ""


def _region(request: Request) -> str:
    """The region of a signature's scope; empty when there is none."""
    found = _HEADER_REGION.search(request.headers.get("authorization")) or _QUERY_REGION.search(request.query)
    return found[1] if found else ""


def _connector(url: str) -> Callable[[], "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]"]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no endpoint: http://host:port is expected")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)

    def connect() -> "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]":
        opening = asyncio.open_connection(parts.hostname, port, ssl=secure or None, limit=HEAD_BYTES_MAX)
        return asyncio.ensure_future(opening)

    return connect


def _refusal(service: str, request: Request, status: int, code: str, message: str) -> Response:
    """Say that a companion does not answer, in the form that the service's clients read."""
    content_type = request.headers.get("content-type")
    if "x-amz-target" in request.headers or "json" in content_type:
        body = msgspec.json.encode({"__type": code, "message": message})
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)]
        return Response(status, headers, body)
    text = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    inner = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    whole = inner if service == "s3" else f"<ErrorResponse>{inner}</ErrorResponse>"
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}'.encode()
    return Response(status, [("Content-Type", "text/xml"), ("x-amzn-ErrorType", code)], xml)
