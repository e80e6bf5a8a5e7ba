"""How APIs reach the rest of the house: other AWS services, load balancers, discovered services, permissions."""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokePermissions
from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions
from cumulo.gateway.tools import Answer, CallFailed
from cumulo.wire.http import Response, lines_of
from cumulo.wire.sendfile import FileBody

ANSWER_BYTES_MAX: Final = 10 * 1024 * 1024
PRINCIPAL: Final = "apigateway.amazonaws.com"
_DISCOVERY_TARGET: Final = "Route53AutoNaming_v20170314."


class OurServices(Protocol):
    """The door, for requests of the cloud's own."""

    async def call(
        self,
        caller: Caller,
        service: str,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response | None:
        """The answer, or None when the service is not ours."""
        ...


class ServiceCalls:
    """The AwsCalls of the house: our own services through the door, all others through the companions."""

    def __init__(self, ours: OurServices, companions: Companions) -> None:
        self._ours = ours
        self._companions = companions

    async def call(
        self,
        caller: Caller,
        service: str,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """One request in the name of `caller`.  CallFailed for headers that are none, and an answer that is too long."""
        try:
            lines_of((headers or {}).items())
        except ValueError as fault:
            raise CallFailed(str(fault)) from fault
        response = await self._ours.call(
            caller, service, method, path, query=query, headers=headers, body=body
        )
        if response is None:
            response = await self._companions.call(
                service, method, path, caller=caller, query=query, headers=headers, body=body
            )
        return Answer(status=response.status, headers=response.headers, body=await _whole(response))


class Reachable:
    """The PrivateTargets of the house.

    listener_url   where a load balancer's listener answers, by its ARN; empty when there is none
    link_target    the ARN that a VPC link of REST APIs leads to, by account, region and id; empty when there is none
    """

    def __init__(
        self,
        listener_url: Callable[[str], Awaitable[str]],
        link_target: Callable[[str, str, str], str],
        companions: Companions,
    ) -> None:
        self._listener_url = listener_url
        self._link_target = link_target
        self._companions = companions
        self._turns = itertools.count()

    async def url_of(self, account: str, region: str, target: str) -> str:
        """http(s)://address:port of a listener, a Network Load Balancer or a service of Cloud Map, by ARN; CallFailed.

        An id is that of a REST API's VPC link.
        """
        if not target.startswith("arn:"):
            target = self._link_target(account, region, target)
        arn = parse_arn(target)
        if arn is None:
            raise CallFailed("there is no such VPC link")
        if arn.account != account:
            raise CallFailed(f"{target} is another account's")
        if arn.service == "elasticloadbalancing":
            found = await self._listener_url(target)
        elif arn.service == "servicediscovery":
            found = await self._discovered(account, region, _service_id(arn.resource))
        else:
            raise CallFailed(f"{target} is neither a load balancer nor a service of Cloud Map")
        if not found:
            raise CallFailed(f"nothing answers at {target}")
        return found

    async def _discovered(self, account: str, region: str, service: str) -> str:
        try:
            answer = await call_json(
                self._companions,
                "servicediscovery",
                _DISCOVERY_TARGET + "ListInstances",
                account=account,
                region=region,
                values={"ServiceId": service},
            )
        except AwsError as error:
            raise CallFailed(error.message) from error
        found = [address for one in answer.get("Instances", ()) if (address := _address(one))]
        return f"http://{found[next(self._turns) % len(found)]}" if found else ""


def _address(instance: Mapping[str, Any]) -> str:
    """Where an instance of Cloud Map answers, with the port; empty when it is not healthy."""
    said = instance.get("Attributes") or {}
    address = said.get("AWS_INSTANCE_IPV4")
    if not address or said.get("AWS_INIT_HEALTH_STATUS", "HEALTHY") != "HEALTHY":
        return ""
    return f"{address}:{said.get('AWS_INSTANCE_PORT', 80)}"


class Everybody:
    """Functions may be called: a cloud of one's own does not ask for permissions."""

    async def allowed(self, function_arn: str, *, source_arn: str, source_account: str) -> bool:  # noqa: ARG002
        """Always."""
        return True


class Asked:
    """Functions may be called where their own policies allow it to API Gateway."""

    def __init__(self, permissions: InvokePermissions) -> None:
        self._permissions = permissions

    async def allowed(self, function_arn: str, *, source_arn: str, source_account: str) -> bool:
        """What the function's policy says."""
        return self._permissions.allows(
            function_arn, principal=PRINCIPAL, source_arn=source_arn, source_account=source_account
        )


def _service_id(resource: str) -> str:
    """srv-... of `service/srv-...?stage=prod`."""
    return resource.rpartition("/")[2].partition("?")[0]


async def _whole(response: Response) -> bytes:
    body = response.body
    if isinstance(body, bytes):
        return body
    if isinstance(body, FileBody):
        raise CallFailed("the answer is a file")
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise CallFailed("the answer is too long")
        pieces.append(piece)
    return b"".join(pieces)
