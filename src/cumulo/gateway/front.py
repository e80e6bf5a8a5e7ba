"""Where requests to APIs come in: finds API and stage, by host name or by path, and lets the compiled stage answer.

<api>.execute-api.<anything>/<stage>/pets          host names, as AWS's; `localhost` in place of amazonaws.com
api.example.com/base/pets                          custom domain names
/_aws/execute-api/<api>/<stage>/pets               for clients without such names
/restapis/<api>/<stage>/_user_request_/pets        LocalStack's form
/execute-api/<api>/<stage>/pets                    floci's form, of APIs that there are
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from cumulo.gateway.context import Visits
from cumulo.gateway.lane import Quick
from cumulo.gateway.stages import Published, Stages
from cumulo.gateway.visit import Address, ClientCertificate
from cumulo.wire.http import Headers, Request, Response, Secured

TOKEN_HEADER: Final = "x-cumulo-token"  # noqa: S105 - a name, of the cloud's own pages
DEFAULT: Final = "$default"
OWN_PATH: Final = "/_aws/execute-api/"
_API_HOST: Final = re.compile(r"([a-z0-9]+)\.execute-api\.[a-z0-9.-]+")
OTHERS_PATH: Final = "/execute-api/"
_STRANGER_PATH: Final = re.compile(r"/restapis/([a-z0-9]+)/([^/]+)/_user_request_(/.*)?")

Found = tuple[Published, Address]


class Mapped(Protocol):
    """What a custom domain's mapping leads to: base path without slashes."""

    @property
    def api_id(self) -> str:
        """The API."""
        ...

    @property
    def stage(self) -> str:
        """Its stage."""
        ...

    @property
    def base_path(self) -> str:
        """What is taken off the path."""
        ...


class Domains(Protocol):
    """Custom domain names."""

    def knows(self, host: str) -> bool:
        """Whether this is one (lower case, without a port)."""
        ...

    def find(self, host: str, path: str) -> Mapped | None:
        """The mapping with the longest base path that `path` begins with."""
        ...

    def mutual(self, host: str) -> bool:
        """Whether clients of this host have to show a certificate."""
        ...

    def client(self, host: str, secured: Secured | None) -> ClientCertificate | None:
        """Whom a client of such a host showed to be; None when it may not come in."""
        ...


class NoDomains:
    """There are none."""

    def knows(self, host: str) -> bool:  # noqa: ARG002 - the port's
        """No."""
        return False

    def find(self, host: str, path: str) -> None:  # noqa: ARG002 - the port's
        """Nothing."""
        return

    def mutual(self, host: str) -> bool:  # noqa: ARG002 - the port's
        """No."""
        return False

    def client(self, host: str, secured: Secured | None) -> None:  # noqa: ARG002 - the port's
        """Nobody."""
        return


class Front:
    """Finds who answers."""

    def __init__(self, stages: Stages, visits: Visits, domains: Domains | None = None) -> None:
        self._stages = stages
        self._visits = visits
        self.domains: Domains = domains or NoDomains()

    def wants(self, host: str, path: str, headers: Headers) -> bool:
        """Whether a request is for an API: by its Host header, or its path.

        Who calls another service of AWS, or shows the cloud its token, reaches them, whoever has made a domain name of
        the cloud's own host name.
        """
        host = host.lower()
        if ".execute-api." in host or path.startswith(OWN_PATH):
            return True
        if path.startswith("/restapis/") and "/_user_request_" in path:
            return True
        if path.startswith(OTHERS_PATH) and self._stages.knows(path.split("/", 3)[2]):
            return True  # of any other it is a bucket's name
        return self.domains.knows(_name(host)) and not _for_the_cloud(headers)

    async def answer(self, request: Request) -> Response:
        """Answer a request that this wants."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        published, address = found
        visit = self._visits.make(request, address, published.place, self._certificate(request, address))
        return await published.compiled.answer(visit)

    def begin(self, request: Request, body: bytes, reply: Callable[[Response], None]) -> bool:
        """Begin to answer a request whose body is all here, without a coroutine; False: `answer` must."""
        found = self._find(request)
        if isinstance(found, Response) or found[0].place.kind != "HTTP":
            return False
        published, address = found
        if address.custom and self.domains.mutual(address.domain):
            return False
        quick: Quick = published.compiled  # type: ignore[assignment]  # those of HTTP APIs are
        match = quick.takes(request, address.path, body)
        if match is None:
            return False
        quick.begin(self._visits.make(request, address, published.place), match, body, reply)
        return True

    def _find(self, request: Request) -> "Found | Response":
        path, name = request.path, _name(request.headers.get("host"))
        by_host = _API_HOST.fullmatch(name) if ".execute-api." in name else None
        if by_host is not None:  # all paths at an API's own host are its own
            return self._by_path(by_host[1], "/" + path.lstrip("/") if path[1:2] == "/" else path, name)
        if self.domains.knows(name):
            strange = self.domains.mutual(name) and self.domains.client(name, request.secured) is None
            return forbidden() if strange else self._mapped(name, path)
        for start in (OWN_PATH, OTHERS_PATH):
            if path.startswith(start):
                api, _, rest = path[len(start) :].partition("/")
                return self._by_path(api, "/" + rest, name)
        stranger = _STRANGER_PATH.fullmatch(path) if "/_user_request_" in path else None
        if stranger is not None:
            api, stage, rest = stranger.groups()
            return self._at(api, stage, rest or "/", f"/{stage}{rest or '/'}", _domain(api, name))
        return forbidden()

    def _certificate(self, request: Request, address: Address) -> ClientCertificate | None:
        """What the client showed, where it was asked to."""
        if not address.custom or not self.domains.mutual(address.domain):
            return None
        return self.domains.client(address.domain, request.secured)

    def _by_path(self, api: str, path: str, name: str) -> "Found | Response":
        """The stage is the path's first segment; `$default` has none."""
        first, slash, rest = path[1:].partition("/")
        domain = _domain(api, name)
        stages = self._stages
        if first and stages.find(api, first) is not None:
            whole = "/" + rest if slash else "/"
            raw = path if first != DEFAULT else whole
            return self._at(api, first, whole, raw, domain)
        return self._at(api, DEFAULT, path, path, domain)

    def _mapped(self, name: str, path: str) -> "Found | Response":
        mapping = self.domains.find(name, path)
        if mapping is None:
            return forbidden()
        base = mapping.base_path
        rest = path[len(base) + 1 :] if base else path
        address = Address(
            api_id=mapping.api_id,
            stage=mapping.stage,
            path=rest or "/",
            raw_path=path,
            domain=name,
            base_path=base,
            custom=True,
        )
        published = self._stages.find(mapping.api_id, mapping.stage)
        return (published, address) if published is not None else forbidden()

    def _at(self, api: str, stage: str, path: str, raw: str, domain: str) -> "Found | Response":
        published = self._stages.find(api, stage)
        if published is None:
            return not_found() if self._stages.is_http(api) else forbidden()
        if published.place.disable_execute_api_endpoint:
            return not_found() if published.place.kind == "HTTP" else forbidden()
        return published, Address(api_id=api, stage=stage, path=path, raw_path=raw, domain=domain)


def forbidden() -> Response:
    """What AWS says where there is no such API, stage or mapping."""
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", "ForbiddenException")]
    return Response(403, headers, b'{"message":"Forbidden"}')


def not_found() -> Response:
    """What HTTP APIs say where there is nothing."""
    return Response(404, [("Content-Type", "application/json")], b'{"message":"Not Found"}')


def _name(host: str) -> str:
    """A Host header in small letters, without its port and the dot of the root."""
    name = host.lower()
    if ":" in name and not name.endswith("]"):
        name = name.rpartition(":")[0]
    return name.removesuffix(".")


def _for_the_cloud(headers: Headers) -> bool:
    """Whether a request is signed for a service of AWS other than APIs, or has the token of the cloud's own pages."""
    if TOKEN_HEADER in headers:
        return True
    authorization = headers.get("authorization")
    return authorization.startswith("AWS4-") and "/execute-api/aws4_request" not in authorization


def _domain(api: str, name: str) -> str:
    """The domain that events show: a request by path has none of the API's own."""
    return name if ".execute-api." in name else f"{api}.execute-api.localhost"
