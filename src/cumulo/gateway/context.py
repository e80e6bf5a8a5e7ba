"""The `$context` that every request has, before any pipeline adds to it; and ids and times in API Gateway's forms."""

import base64
from datetime import UTC, datetime
from typing import Any

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway import traces
from cumulo.gateway.stages import Place
from cumulo.gateway.visit import Address, ClientCertificate, Visit
from cumulo.wire.http import Request

ID_BYTES = 11  # which base64 makes into fifteen characters and a sign of equality, as API Gateway's


class Times:
    """Writes `requestTime`, once for all requests of a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, seconds: float) -> str:
        """04/Mar/2020:19:15:17 +0000."""
        second = int(seconds)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        return self._text


class Visits:
    """Makes the Visit of a request."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._times = Times()

    def make(
        self, request: Request, address: Address, place: Place, certificate: ClientCertificate | None = None
    ) -> Visit:
        """With the context that is known at once; `request.request_id` is the visit's."""
        now = self._clock.now()
        millis = int(now * 1000)
        headers = request.headers
        extended = self.extended_id()
        if not request.request_id:
            request.request_id = self._ids.uuid()
        context: dict[str, Any] = {
            "accountId": place.account,
            "apiId": place.api_id,
            "domainName": address.domain,
            "domainPrefix": address.domain_prefix,
            "extendedRequestId": extended,
            "httpMethod": request.method,
            "identity": {"sourceIp": source_of(request), "userAgent": headers.get("user-agent")},
            "path": address.raw_path,
            "protocol": "HTTP/1.1",
            "requestId": request.request_id,
            "requestTime": self._times.text(now),
            "requestTimeEpoch": millis,
            "stage": address.stage,
        }
        return Visit(
            request,
            address,
            started=self._clock.monotonic(),
            started_ms=millis,
            trace=self._continued(headers.get("x-amzn-trace-id"), now),
            context=context,
            certificate=certificate,
        )

    def extended_id(self) -> str:
        """An id like `JKJaXmPLvHcESHA=`."""
        return base64.urlsafe_b64encode(bytes.fromhex(self._ids.hex(2 * ID_BYTES))).decode()

    def trace(self, now: float) -> str:
        """An X-Ray trace of its own for a request that brings none."""
        return f"Root=1-{int(now):08x}-{self._ids.hex(24)}"

    def _continued(self, header: str, now: float) -> str:
        fresh = self.trace(now)
        return traces.continued(header, fresh.removeprefix("Root=")) if header else fresh


def source_of(request: Request) -> str:
    """The client's address; what comes from inside a sandbox comes from this machine."""
    peer = request.peer
    return peer if peer[:1].isdigit() or ":" in peer else "127.0.0.1"
