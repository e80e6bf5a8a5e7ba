"""The page behind `cumulo trace`: requests found by every id that anybody knows of them."""

import asyncio
import json

import pytest
from tests.gateway_kit import request

from cumulo.base.recent import FunctionRun, Recent
from cumulo.gateway.observing.passages import Passage
from cumulo.traces import Traces, find

ROOT = "1-65536f80-0123456789abcdef01234567"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hello"


def passage(**changes) -> Passage:
    whole = {
        "request_id": "req1", "extended_id": "ext1=", "trace": f"Root={ROOT}", "kind": "REST", "api_id": "abc",
        "stage": "prod", "route": "GET /pets", "method": "GET", "path": "/prod/pets", "status": 200,
        "started_ms": 1_700_000_000_000, "seconds": 0.5, "authorizer": (0.01, 0.1), "integration": (0.12, 0.3),
        "function_id": "run2", "authorizer_id": "run1", "error": "",
    }  # fmt: skip
    return Passage(**(whole | changes))


def run(
    request_id: str, ended: float = 1_700_000_000.4, trace: str = f"Root={ROOT};Parent=1;Sampled=0"
) -> FunctionRun:
    return FunctionRun(request_id, trace, FUNCTION, ended, 1.5, None, 20.0, "")


@pytest.mark.parametrize("wanted", ["req1", "ext1=", ROOT, "run1", "run2"])
def test_a_request_is_found_by_each_of_its_ids(wanted):
    (found,) = find(wanted, [passage()], [run("run1"), run("run2")])
    assert (found["what"], found["route"], found["ms"]) == ("REST", "GET /pets", 500.0)
    authorizer, integration = found["spans"]
    assert (authorizer["what"], authorizer["after_ms"], authorizer["ms"]) == ("authorizer", 10.0, 100.0)
    assert (authorizer["function"]["request_id"], integration["function"]["request_id"]) == ("run1", "run2")
    assert (integration["function"]["waited_ms"], integration["function"]["run_ms"]) == (1.5, 20.0)


def test_a_function_that_did_not_answer_in_time_is_found_by_the_trace():
    late = passage(function_id="", authorizer=None, authorizer_id="")
    (found,) = find("req1", [late], [run("run9"), run("run8", ended=1_600_000_000.0)])
    assert found["spans"][0]["function"]["request_id"] == "run9"


def test_a_function_that_was_called_directly_is_found():
    (found,) = find("run7", [passage()], [run("run7", trace="Root=1-0-0")])
    assert (found["what"], found["ms"], found["spans"][0]["function"]["function"]) == (
        "FUNCTION",
        21.5,
        FUNCTION,
    )


def test_without_an_id_the_latest_are_shown_and_each_once():
    passages = [
        passage(request_id=f"r{n}", started_ms=1_700_000_000_000 + n, function_id=f"f{n}") for n in range(40)
    ]
    runs = [run(f"f{n}") for n in range(40)] + [run("alone", trace="")]
    found = find("", reversed(passages), runs)
    assert len(found) == 20
    assert [one["request_id"] for one in found[:3]] == ["alone", "r39", "r38"]


def test_what_nobody_knows_is_not_found():
    async def ask(query):
        page = Traces(Recent(3), lambda: iter([passage()]))
        return await page.handle(request("GET", f"/_cumulo/trace{query}"))

    assert asyncio.run(ask("?id=nothing")).status == 404
    answer = asyncio.run(ask("?id=ext1%3D"))
    assert (answer.status, len(json.loads(answer.body)["found"])) == (200, 1)


def test_only_the_last_are_kept():
    kept = Recent(2)
    for number in range(5):
        kept.add(number)
    assert list(kept) == [4, 3]
    kept.clear()
    assert len(kept) == 0
