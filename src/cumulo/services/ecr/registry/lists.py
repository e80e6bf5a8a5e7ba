"""Content discovery: tags, repositories, referrers."""

import asyncio
from bisect import bisect_right
from itertools import islice
from urllib.parse import quote

import msgspec

from cumulo.services.ecr.model import OCI_INDEX, Image
from cumulo.services.ecr.registry.access import Visit
from cumulo.services.ecr.registry.answers import VERSION, RegistryError, bad_digest, json_answer
from cumulo.services.ecr.registry.desk import Desk, checked, nominal
from cumulo.services.ecr.registry.routes import Query
from cumulo.state.content import is_digest
from cumulo.wire.http import Response

PAGE_MAX = 1000
REPOSITORIES_PAGE = 100
SORTED_AT_ONCE = 2000  # more tags are sorted outside the event loop
REFERRERS_BYTES_MAX = 4 * 1024 * 1024  # an index is a manifest


class Lists:
    """GET of lists, in pages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tags(self, visit: Visit, name: str, query: Query) -> Response:
        """GET /v2/<name>/tags/list: in lexical order, upper and lower case alike."""
        repository = self._desk.known(visit, name, "ecr:ListImages")
        count = _count(query, PAGE_MAX)
        tags = self._desk.catalog.tags(repository)
        if len(tags) <= SORTED_AT_ONCE:
            tags = sorted(tags, key=_order)
        else:
            tags = await asyncio.to_thread(sorted, tags, key=_order)
        last = query.get("last")
        start = bisect_right(tags, _order(last), key=_order) if last else 0
        page = tags[start : start + count]
        more = bool(page) and start + count < len(tags)
        headers = _next(f"/v2/{name}/tags/list", page[-1], count) if more else []
        return json_answer({"name": name, "tags": page}, headers)

    async def repositories(self, visit: Visit, query: Query) -> Response:
        """GET /v2/_catalog."""
        self._desk.authorize(visit.caller, "ecr:DescribeRepositories", nominal(visit, "*"))
        count = _count(query, REPOSITORIES_PAGE)
        found = self._desk.catalog.repositories(visit.account, visit.region, query.get("last") or "")
        names = [one.name for one in islice(found, count + 1)]
        page = names[:count]
        headers = _next("/v2/_catalog", page[-1], count) if page and len(names) > count else []
        return json_answer({"repositories": page}, headers)

    async def referrers(self, visit: Visit, name: str, digest: str, query: Query) -> Response:
        """GET /v2/<name>/referrers/<digest>: an index of what is about an image, whether the image is here or not.

        It is never a 404, as the specification wants it, so a repository that is not here has no referrers.
        """
        if not is_digest(digest):
            raise bad_digest(digest)
        repository = self._desk.catalog.find(visit.account, visit.region, checked(name)) or nominal(
            visit, name
        )
        self._desk.authorize(visit.caller, "ecr:BatchGetImage", repository)
        kind = query.get("artifactType")
        known = repository.created_at > 0
        found = self._desk.catalog.referrers(repository, digest, kind or "") if known else []
        headers = [VERSION, ("Content-Type", OCI_INDEX)]
        if kind:
            headers.append(("OCI-Filters-Applied", "artifactType"))
        return _referrers(name, digest, kind or "", query.get("last") or "", found, headers)


def _referrers(
    name: str, digest: str, kind: str, last: str, images: list[Image], headers: list[tuple[str, str]]
) -> Response:
    """A page of descriptors that stays within the size of a manifest."""
    start = next((at + 1 for at, image in enumerate(images) if image.digest == last), 0)
    page: list[bytes] = []
    size = 1000
    for at in range(start, len(images)):
        one = msgspec.json.encode(_descriptor(images[at]))
        if page and size + len(one) > REFERRERS_BYTES_MAX:
            url = f"/v2/{name}/referrers/{digest}?last={quote(images[at - 1].digest)}"
            url += f"&artifactType={quote(kind, safe='')}" if kind else ""
            headers.append(("Link", f'<{url}>; rel="next"'))
            break
        page.append(one)
        size += len(one) + 1
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [msgspec.Raw(one) for one in page]}
    return Response(200, headers, msgspec.json.encode(index))


def _descriptor(image: Image) -> dict[str, object]:
    found: dict[str, object] = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": image.manifest_bytes,
    }
    if image.artifact_type:
        found["artifactType"] = image.artifact_type
    if image.annotations:
        found["annotations"] = image.annotations
    return found


def _order(tag: str) -> tuple[str, str]:
    return tag.lower(), tag


def _count(query: Query, otherwise: int) -> int:
    """How many a page may have.  RegistryError when `n` is no number."""
    said = query.get("n")
    if said is None or said == "":
        return otherwise
    if not (said.isascii() and said.isdigit() and len(said) <= 18):
        raise RegistryError(
            400, "PAGINATION_NUMBER_INVALID", f"invalid number of results requested: {said[:50]}"
        )
    return min(int(said), PAGE_MAX)


def _next(path: str, last: str, count: int) -> list[tuple[str, str]]:
    return [("Link", f'<{path}?last={quote(last, safe="")}&n={count}>; rel="next"')]
