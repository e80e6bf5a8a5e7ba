"""The registry's handler: from a request under /v2/ to a part that answers it, and from its errors to answers."""

from collections.abc import Awaitable, Callable, Mapping

from cumulo.base.errors import AwsError
from cumulo.base.log import Log
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.registry.access import Access, Authorize, Visit
from cumulo.services.ecr.registry.answers import RegistryError, answer, as_registry_error, error_answer
from cumulo.services.ecr.registry.desk import Desk, Listed, Missing, OnPush
from cumulo.services.ecr.registry.lists import Lists
from cumulo.services.ecr.registry.pulls import Pulls
from cumulo.services.ecr.registry.pushes import Needs, Pushes
from cumulo.services.ecr.registry.routes import Query, Route, find_route
from cumulo.services.ecr.registry.uploads import Mounts, Sources, Uploads
from cumulo.state.store import StoreBroken, StoreError
from cumulo.wire.http import Request, Response

Part = Callable[[Visit, Request, Route, Query], Awaitable[Response]]


class Registry:
    """Answers everything under /v2/.

    authorize   who may do what to a repository
    missing     what a pull does not find (pull-through cache); on_push: a repository that a push does not find
    needs       whether an image needs a layer;  sources: who in a registry has one
    mounts      whether a registry takes layers of its other repositories; None: each does
    """

    def __init__(
        self,
        *,
        catalog: Listed,
        layers: Layers,
        access: Access,
        authorize: Authorize,
        needs: Needs,
        sources: Sources,
        missing: Missing | None = None,
        on_push: OnPush | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        desk = Desk(catalog, authorize=authorize, missing=missing, on_push=on_push)
        self._access = access
        self._settled = desk.settled
        self._log = Log("ecr")
        self._parts = _parts(
            Pulls(desk, layers),
            Uploads(desk, layers, sources, mounts),
            Pushes(desk, layers, needs),
            Lists(desk),
        )

    def wants(self, request: Request) -> bool:
        """Whether a request is for the registry: under /v2/, and not signed, as other services' calls to such paths are."""
        path = request.path
        if not path.startswith("/v2") or path[3:4] not in {"", "/"}:
            return False
        signed = (
            request.headers.get("authorization").startswith("AWS4-") or "X-Amz-Signature=" in request.query
        )
        return not signed

    async def __call__(self, request: Request, /) -> Response:
        """Answer a request."""
        try:
            return await self._answer(request)
        except RegistryError as error:
            return error_answer(error)
        except AwsError as error:
            return error_answer(as_registry_error(error))
        except StoreBroken:
            self._log.exception("store_broken")
            return error_answer(RegistryError(500, "UNKNOWN", "the store is broken"))
        except StoreError as error:
            self._log.warning("not_kept", error=str(error))
            return error_answer(RegistryError(507, "UNAVAILABLE", "The store cannot keep this now."))
        except Exception:  # noqa: BLE001 - whatever it is, clients get an answer of the specification
            self._log.exception("failed", method=request.method, path=request.path)
            return error_answer(RegistryError(500, "UNKNOWN", "Internal server error"))

    async def _answer(self, request: Request) -> Response:
        visit = self._access.visit(request)
        route = find_route(request.path)
        if route is None:
            raise RegistryError(404, "UNSUPPORTED", f"there is nothing at {request.path[:300]}")
        parts = self._parts[route.kind]
        part = parts.get(request.method)
        if part is None:
            raise RegistryError(
                405,
                "UNSUPPORTED",
                f"{request.method} is not possible here",
                headers=[("Allow", ", ".join(parts))],
            )
        try:
            query = Query(request.query)
        except ValueError:
            raise RegistryError(400, "UNSUPPORTED", "the query has too many parameters") from None
        return await part(self._settled(visit, route.name), request, route, query)


async def _version(_visit: Visit, _request: Request, _route: Route, _query: Query) -> Response:
    return answer(200, [("Content-Type", "application/json")], b"{}")


def _parts(pulls: Pulls, uploads: Uploads, pushes: Pushes, lists: Lists) -> Mapping[str, Mapping[str, Part]]:
    """Who answers which method of which resource."""
    manifest: Part = lambda v, r, at, _: pulls.manifest(v, r, at.name, at.what)  # noqa: E731 - a table
    blob: Part = lambda v, r, at, _: pulls.blob(v, r, at.name, at.what)  # noqa: E731
    tags: Part = lambda v, _, at, q: lists.tags(v, at.name, q)  # noqa: E731
    catalog: Part = lambda v, _, _at, q: lists.repositories(v, q)  # noqa: E731
    referrers: Part = lambda v, _, at, q: lists.referrers(v, at.name, at.what, q)  # noqa: E731
    return {
        "version": {"GET": _version, "HEAD": _version},
        "catalog": {"GET": catalog, "HEAD": catalog},
        "tags": {"GET": tags, "HEAD": tags},
        "referrers": {"GET": referrers, "HEAD": referrers},
        "manifest": {
            "GET": manifest,
            "HEAD": manifest,
            "PUT": lambda v, r, at, _: pushes.manifest(v, r, at.name, at.what),
            "DELETE": lambda v, _, at, _q: pushes.delete_manifest(v, at.name, at.what),
        },
        "blob": {
            "GET": blob,
            "HEAD": blob,
            "DELETE": lambda v, _, at, _q: pushes.delete_blob(v, at.name, at.what),
        },
        "uploads": {"POST": lambda v, r, at, q: uploads.begin(v, r, at.name, q)},
        "upload": {
            "GET": lambda v, _, at, _q: uploads.status(v, at.name, at.what),
            "PATCH": lambda v, r, at, _: uploads.chunk(v, r, at.name, at.what),
            "PUT": lambda v, r, at, q: uploads.end(v, r, at.name, at.what, q),
            "DELETE": lambda v, _, at, _q: uploads.cancel(v, at.name, at.what),
        },
    }
