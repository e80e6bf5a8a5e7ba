"""The data plane of REST APIs, by properties: routes against an oracle, answers of any shape, bodies of any bytes."""

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway_kit import FUNCTION, World, visit
from tests.rest_kit import ask, compiled, method, mock, proxy, resources

from cumulo.gateway.definitions.rest import MethodSetting
from cumulo.gateway.rest.caches import ENTRY_BYTES_EXTRA, Kept, ResponseCache
from cumulo.gateway.rest.failures import Failed
from cumulo.gateway.rest.gateway_responses import GatewayResponses
from cumulo.gateway.rest.headers import returned
from cumulo.gateway.rest.payloads import (
    as_text,
    binary_types,
    compress,
    decompress,
    request_body,
    response_body,
)
from cumulo.gateway.rest.proxy_answer import answer_of, prelude_of
from cumulo.gateway.rest.routes import Routes, parts_of
from cumulo.gateway.visit import Refused

VERBS = ("GET", "POST", "ANY")
PART = st.sampled_from(("a", "b", "c"))
VARIABLE = st.sampled_from(("{x}", "{y}"))


@st.composite
def trees(draw: Any) -> dict[str, dict[str, Any]]:
    """Resources as AWS allows them: one variable part among siblings, {proxy+} last."""
    paths: dict[str, dict[str, Any]] = {}
    variable_of: dict[str, str] = {}
    for _ in range(draw(st.integers(1, 10))):
        path = ""
        for _ in range(draw(st.integers(0, 4))):
            part = draw(st.one_of(PART, VARIABLE, st.just("{proxy+}")))
            if part.startswith("{"):
                part = variable_of.setdefault(path, part)
            path += f"/{part}"
            if part.endswith("+}"):
                break
        verbs = draw(st.sets(st.sampled_from(VERBS), max_size=2))
        paths[path or "/"] = {verb: method(mock(), verb) for verb in verbs}
    return paths


def fits(pattern: list[str], parts: list[str]) -> tuple[int, ...] | None:
    """How specifically a resource's parts fit a path's: smaller is more specific; None: not at all."""
    ranks = []
    for at, part in enumerate(pattern):
        if part.endswith("+}"):
            return (*ranks, 2) if len(parts) > at else None
        if at >= len(parts):
            return None
        if part.startswith("{"):
            ranks.append(1)
        elif part == parts[at]:
            ranks.append(0)
        else:
            return None
    return tuple(ranks) if len(parts) == len(pattern) else None


@given(
    trees(), st.lists(st.sampled_from(("a", "b", "z")), max_size=5), st.sampled_from(("GET", "POST", "PUT"))
)
def test_the_most_specific_resource_with_the_method_is_found(
    tree: dict[str, dict[str, Any]], parts: list[str], verb: str
) -> None:
    found = Routes(resources(tree)).find(verb, "/" + "/".join(parts))
    ranked = [
        (rank, path)
        for path, methods in tree.items()
        if (verb in methods or "ANY" in methods) and (rank := fits(parts_of(path), parts)) is not None
    ]
    if not ranked:
        assert found is None
        return
    assert found is not None
    best = min(rank for rank, _ in ranked)
    assert fits(parts_of(found.resource.path), parts) == best
    assert found.method.http_method == (verb if verb in tree[found.resource.path] else "ANY")
    filled = found.resource.path
    for name, value in found.parameters.items():
        filled = filled.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
    if set(filled) and "{" not in filled:
        assert parts_of(filled) == parts or len(found.parameters) < found.resource.path.count("{")


@given(st.text(max_size=40), st.sampled_from(("GET", "POST")))
def test_no_path_breaks_the_routes(path: str, verb: str) -> None:
    table = Routes(resources({"/": mock(), "/a/{x}": mock(), "/{proxy+}": mock()}))
    found = table.find(verb, "/" + path)
    assert found is None or found.resource.path in {"/", "/a/{x}", "/{proxy+}"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "statusCode",
                    "headers",
                    "multiValueHeaders",
                    "body",
                    "isBase64Encoded",
                    "cookies",
                    "x",
                    "Set-Cookie",
                )
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_a_function_may_answer_anything(value: Any) -> None:
    payload = json.dumps(value).encode()
    try:
        answer = answer_of(payload, "*/*", binary_types(("*/*",)))
    except Failed as failed:
        assert failed.status == 502
    else:
        assert 100 <= answer.status <= 599
        assert isinstance(answer.body, bytes)
        assert all("\r" not in name + value and "\n" not in name + value for name, value in answer.headers)


@given(st.binary(max_size=64))
def test_a_stream_may_begin_with_anything(text: bytes) -> None:
    try:
        status, _ = prelude_of(text)
    except Failed as failed:
        assert failed.status == 500
    else:
        assert 100 <= status <= 599


@given(
    st.binary(max_size=64),
    st.booleans(),
    st.booleans(),
    st.sampled_from(("", "CONVERT_TO_TEXT", "CONVERT_TO_BINARY")),
)
def test_conversions_keep_what_can_be_kept(body: bytes, binary: bool, wanted: bool, handling: str) -> None:
    coded = base64.b64encode(body)
    assert request_body(coded, binary=False, handling="CONVERT_TO_BINARY") == body
    assert request_body(body, binary=True, handling="CONVERT_TO_TEXT") == coded
    try:
        converted = response_body(body, binary=binary, wanted=wanted, handling=handling)
    except Refused as refused:
        assert refused.kind == "API_CONFIGURATION_ERROR"
    else:
        assert converted in (body, coded, as_text(body)) or base64.b64encode(converted) == body


@given(st.binary(max_size=300), st.sampled_from(("gzip", "deflate")))
def test_compression_goes_both_ways(body: bytes, coding: str) -> None:
    assert decompress(compress(body, coding), coding) == body


@given(st.binary(max_size=100), st.sampled_from(("gzip", "deflate")))
def test_garbage_is_refused_as_such(body: bytes, coding: str) -> None:
    try:
        decompress(body, coding)
    except Refused as refused:
        assert refused.kind in {"BAD_REQUEST_BODY", "REQUEST_TOO_LARGE"}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 300), st.integers(0, 3)), max_size=40))
def test_a_cache_never_outgrows_its_bound(steps: list[tuple[str, int, int]]) -> None:
    bound = 3 * ENTRY_BYTES_EXTRA
    cache = ResponseCache(bytes_max=bound)
    kept: dict[str, int] = {}
    for now, (key, size, action) in enumerate(steps):
        if action == 0:
            found = cache.get((key,), float(now))
            assert found is None or len(found.body) == kept[key]
        else:
            cache.put((key,), Kept(200, (), b"x" * size, until=now + 10.0))
            kept[key] = size
        assert len(cache) * ENTRY_BYTES_EXTRA <= bound


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("Date", "X-A", "authorization", "Transfer-Encoding", "Server")),
            st.text(max_size=5),
        )
    )
)
def test_remapped_headers_lose_nothing(headers: list[tuple[str, str]]) -> None:
    names = [name for name, _ in returned(headers)]
    assert len(names) == sum(name != "Transfer-Encoding" for name, _ in headers)
    assert not {"date", "authorization", "server"} & {name.lower() for name in names}


@given(st.text(max_size=60), st.text(alphabet="abc$.{}", max_size=10))
def test_templates_of_gateway_responses_never_fail(template: str, message: str) -> None:
    from cumulo.gateway.definitions.rest import GatewayResponse

    own = GatewayResponse(
        response_type="THROTTLED",
        response_templates={"application/json": template + "$context.error.message"},
    )
    responses = GatewayResponses({"THROTTLED": own})
    _, _, body = responses.answer(Refused("THROTTLED", message), visit(), {}, {})
    assert body.decode("utf-8", "surrogatepass").endswith(message) or "$" in template or "{" in template


@settings(max_examples=40, deadline=None)
@given(
    st.text(alphabet=st.characters(codec="ascii", exclude_categories=("Cc", "Cs")), max_size=30).filter(lambda text: " " not in text and "?" not in text and "#" not in text),
    st.text(alphabet="ab=&%+c1;", max_size=20),
    st.dictionaries(st.sampled_from(("x-a", "accept", "content-type", "cache-control", "content-encoding")), st.text(alphabet="abc/*;,=0", max_size=10)),
    st.binary(max_size=50),
)  # fmt: skip
def test_no_request_makes_the_gateway_stumble(
    path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    world = World()
    world.invoker.functions[FUNCTION] = lambda event: {"body": event["body"] or "", "headers": {"X": "y"}}
    api = compiled(
        world,
        {"/{proxy+}": {"ANY": method(proxy(), "ANY")}, "/a": mock({})},
        stage={"cache_size": "0.5", "method_settings": {"*/*": MethodSetting(caching_enabled=True, logging_level="INFO", data_trace_enabled=True)}},
        minimum_compression_size=0,
        binary_media_types=("a/*",),
    )  # fmt: skip
    answer = ask(api, "POST", f"/{path}?{query}", headers, body)
    assert answer.status in {200, 400, 403, 413, 415}
