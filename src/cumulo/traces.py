"""The page behind `cumulo trace`: GET /_cumulo/trace says where the time of the last requests went.

?id=...   those with this id: a request's to an API (x-amzn-RequestId, x-amz-apigw-id, apigw-requestid), a function's, a
          trace's (1-...); without it the latest of all

Nothing is kept but in memory, and only the last of them.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cumulo.base.recent import FunctionRun, Recent
from cumulo.wire.http import Request, Response

if TYPE_CHECKING:
    from cumulo.gateway.observing.passages import Passage

LATEST: Final = 20
FOUND_MAX: Final = 100
_SLACK_SECONDS: Final = 1.0  # an answer's moment is noted before what came after it
_JSON: Final = ("content-type", "application/json")

Found = dict[str, Any]


def _rooted(trace: str) -> str:
    """`1-...` of a header that begins with its root."""
    return trace.removeprefix("Root=").partition(";")[0]


def find(wanted: str, passages: Iterable["Passage"], runs: Iterable[FunctionRun]) -> list[Found]:
    """What is known of an id, the latest first; of an empty id, the latest of all.  Pure."""
    known = list(runs)
    by_id = {run.request_id: run for run in known}
    found: list[Found] = []
    shown: set[str] = set()
    most = FOUND_MAX if wanted else LATEST
    for passage in passages:
        own = _runs_of(passage, by_id, known) if wanted else _named(passage, by_id)
        ids = {
            passage.request_id,
            passage.extended_id,
            _rooted(passage.trace),
            *(run.request_id for run in own),
        }
        if (not wanted or wanted in ids) and len(found) < most:
            found.append(_request(passage, own))
        shown.update(run.request_id for run in own)
    alone = (run for run in known if run.request_id not in shown)
    matching = (run for run in alone if not wanted or wanted in (run.request_id, _rooted(run.trace)))
    found += [_alone(run) for run in islice(matching, most)]
    return sorted(found, key=lambda one: float(one["started_ms"]), reverse=True)[:most]


def _named(passage: "Passage", by_id: dict[str, FunctionRun]) -> list[FunctionRun]:
    return [by_id[one] for one in (passage.authorizer_id, passage.function_id) if one in by_id]


def _runs_of(
    passage: "Passage", by_id: dict[str, FunctionRun], known: list[FunctionRun]
) -> list[FunctionRun]:
    """The functions that were called for a request: those it names, and those of its trace while it was there."""
    named = _named(passage, by_id)
    root = _rooted(passage.trace)
    began = passage.started_ms / 1000
    until = began + passage.seconds + _SLACK_SECONDS
    others = [
        run
        for run in known
        if run not in named and _rooted(run.trace) == root and began <= run.ended <= until
    ]
    return named + others


def _request(passage: "Passage", runs: list[FunctionRun]) -> Found:
    spans: list[Found] = []
    if passage.authorizer is not None:
        spans.append(_span("authorizer", passage.authorizer, passage.authorizer_id, runs))
    if passage.integration is not None:
        taken = {one["function"]["request_id"] for one in spans if "function" in one}
        rest = [run for run in runs if run.request_id not in taken]
        spans.append(_span("integration", passage.integration, passage.function_id, rest))
    return {
        "what": passage.kind,
        "request_id": passage.request_id,
        "extended_request_id": passage.extended_id,
        "trace": passage.trace,
        "api": passage.api_id,
        "stage": passage.stage,
        "route": passage.route,
        "method": passage.method,
        "path": passage.path,
        "status": passage.status,
        "error": passage.error,
        "started_ms": passage.started_ms,
        "ms": _ms(passage.seconds),
        "spans": spans,
    }


def _span(what: str, span: tuple[float, float], run_id: str, runs: list[FunctionRun]) -> Found:
    after, took = span
    found: Found = {"what": what, "after_ms": _ms(after), "ms": _ms(took)}
    run = next((one for one in runs if one.request_id == run_id), None)
    if run is None and what == "integration" and len(runs) == 1:
        run = runs[0]  # that did not come to an end in time, so that nobody noted its id
    if run is not None:
        found["function"] = _function(run)
    return found


def _function(run: FunctionRun) -> Found:
    return {
        "function": run.function,
        "request_id": run.request_id,
        "waited_ms": round(run.waited_ms, 3),
        "init_ms": None if run.init_ms is None else round(run.init_ms, 3),
        "run_ms": round(run.duration_ms, 3),
        "error": run.error,
    }


def _alone(run: FunctionRun) -> Found:
    took = run.waited_ms + run.duration_ms
    return {
        "what": "FUNCTION",
        "request_id": run.request_id,
        "trace": run.trace,
        "error": run.error,
        "started_ms": round(run.ended * 1000 - took),
        "ms": round(took, 3),
        "spans": [{"what": "function", "after_ms": 0.0, "ms": round(took, 3), "function": _function(run)}],
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Traces:
    """Looks into what is kept.  `passages` gives the requests to APIs, none while there are no APIs."""

    def __init__(self, runs: Recent[FunctionRun], passages: Callable[[], Iterator["Passage"]]) -> None:
        self._runs = runs
        self._passages = passages

    async def handle(self, request: Request, /) -> Response:
        """Answer GET /_cumulo/trace."""
        from urllib.parse import parse_qs

        wanted = parse_qs(request.query).get("id", [""])[0].strip()
        found = find(wanted.removeprefix("Root="), self._passages(), self._runs)
        if wanted and not found:
            message = (
                f"nothing is known of {wanted}: only the last requests are kept, and none from before a start"
            )
            return Response(404, [_JSON], msgspec.json.encode({"message": message}))
        return Response(200, [_JSON], msgspec.json.encode({"found": found}))
