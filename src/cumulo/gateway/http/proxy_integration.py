"""HTTP_PROXY: the request goes on to a backend on the Internet, or behind a VPC link; the answer streams back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.v2 import Integration, Route, V2Stage
from cumulo.gateway.http.events import Asked
from cumulo.gateway.http.refusals import INTERNAL, PAYLOAD_BYTES_MAX
from cumulo.gateway.http.routes import DEFAULT
from cumulo.gateway.integrations.headers import for_backend, from_backend
from cumulo.gateway.integrations.streams import TimelyBody
from cumulo.gateway.integrations.urls import UrlTemplate, encoded, with_path, with_query
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import CallFailed, Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.wire.http import BytesBody, Request, Response

SMALL_BYTES: Final = 64 * 1024  # bodies up to here are sent whole, so that they can be sent again


class ProxyIntegration:
    """One route's backend."""

    wants_body: Final = False

    def __init__(
        self, stage: V2Stage, place: Place, route: Route, integration: Integration, tools: Tools
    ) -> None:
        self._http = tools.http
        self._private = tools.private
        self._place = place
        self._seconds = integration.timeout_in_millis / 1000
        self._method = "" if integration.integration_method in {"", "ANY"} else integration.integration_method
        self._whole_path = route.route_key == DEFAULT
        self._behind_link = integration.connection_type == "VPC_LINK"
        self._template = UrlTemplate(integration.integration_uri, stage.variables)
        self._server_name = integration.server_name_to_verify

    async def ask(self, visit: Visit, asked: Asked, grant: Grant | None) -> Response:  # noqa: ARG002 - as all do
        """Ask the backend; Refused when nobody answers."""
        request = visit.request
        told: dict[str, Any] = {}
        visit.context["integration"] = told
        began = asyncio.get_running_loop().time()
        try:
            url = await self._url(asked)
            body = await _body(request, asked.body)
            answer = await self._http.send(
                self._method or asked.method,
                url,
                self._headers(visit, asked, body),
                body,
                seconds=self._seconds,
                verify=not self._behind_link,  # listeners of load balancers here show certificates of this cloud's making
                server_name=self._server_name,
                stream=True,
            )
        except CallFailed as failed:
            told["error"] = str(failed)
            raise Refused("INTEGRATION_TIMEOUT" if failed.timed_out else "INTEGRATION_FAILURE") from failed
        told["status"] = told["integrationStatus"] = answer.status
        if not 200 <= answer.status <= 999:
            raise Refused(INTERNAL)
        whole = answer.body
        if not isinstance(whole, bytes):
            whole = TimelyBody(whole, self._seconds - (asyncio.get_running_loop().time() - began))
        return Response(answer.status, from_backend(answer.headers), whole)

    async def _url(self, asked: Asked) -> str:
        url = self._template.url(asked.parameters)
        if self._behind_link:
            url = await self._private.url_of(self._place.account, self._place.region, url)
            if self._server_name:
                url = "https://" + url.partition("://")[2]
            url = with_path(url, asked.path if asked.overwritten is None else asked.overwritten)
        elif asked.overwritten is not None:
            url = with_path(url, asked.overwritten)
        elif self._whole_path:
            base, mark, query = url.partition("?")
            url = base.rstrip("/") + encoded(asked.resource) + mark + query
        if not url.startswith(("http://", "https://")):
            raise CallFailed("The integration's uri is no URL")
        return with_query(url, asked.query)

    def _headers(
        self, visit: Visit, asked: Asked, body: bytes | AsyncIterator[bytes]
    ) -> list[tuple[str, str]]:
        host = visit.request.headers.get("host")
        headers = for_backend(
            asked.headers,
            source=visit.context["identity"]["sourceIp"],
            host=visit.address.domain,
            scheme=visit.request.scheme,
        )
        named = next((value for name, value in asked.headers if name == "host"), "")
        if named and (self._behind_link or named != host):
            headers.append(("host", named))
        if not isinstance(body, bytes):
            length = visit.request.headers.get("content-length")
            if length:
                headers.append(("content-length", length))
        return headers


async def _body(request: Request, read: bytes | None) -> bytes | AsyncIterator[bytes]:
    """The body: whole when it was read or is small, otherwise as it arrives."""
    if read is not None:
        return read
    headers = request.headers
    length = headers.get("content-length")
    if not length and "transfer-encoding" not in headers:
        return b""
    if isinstance(request.body, BytesBody) or (length and int(length) <= SMALL_BYTES):
        try:
            return await request.body.read(PAYLOAD_BYTES_MAX)
        except AwsError as error:
            raise too_large(error) from error
    if length and int(length) > PAYLOAD_BYTES_MAX:
        raise Refused("REQUEST_TOO_LARGE")
    return _bounded(request)


async def _bounded(request: Request) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for piece in request.body.chunks():
            size += len(piece)
            if size > PAYLOAD_BYTES_MAX:
                raise Refused("REQUEST_TOO_LARGE")
            yield piece
    except AwsError as error:
        raise too_large(error) from error


def too_large(error: AwsError) -> Refused:
    """What a body that could not be read whole is refused with."""
    return Refused("REQUEST_TOO_LARGE" if error.status == 413 else "INTEGRATION_FAILURE", error.message)
