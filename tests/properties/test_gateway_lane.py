"""HTTP APIs' short cut: byte for byte what the ordinary way answers, the same event, the same things observed."""

import asyncio
import copy
import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway_kit import FUNCTION, REGION, World, visit

from cumulo.base.errors import AwsError
from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.v2 import Cors, Integration, Route, RouteSetting, V2Definition, V2Stage
from cumulo.gateway.http.compile import compile_http
from cumulo.wire.answers import Answers

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=12)
LATIN = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=12)
NAMES = st.sampled_from(["x", "cookie", "content-type", "accept", "origin", "user-agent", "x-forwarded-for", "connection", "host2",
                         "access-control-request-method", "x-amzn-trace-id", "content-encoding"])  # fmt: skip
TARGETS = st.builds(
    lambda path, query: path + query,
    st.sampled_from(["/", "/pets", "/pets/1", "/pets/a%20b", "/pets/%2F", "/pets//", "/none", "/%ff", "/all/a/b/../c", "/OPTIONS"]),
    st.sampled_from(["", "?", "?a=1", "?a=1&a=2&b", "?%ff=%00", "?a=%0d%0a", "?" + "a=1&" * 50]),
)  # fmt: skip
BODIES = st.one_of(st.just(b""), st.binary(max_size=40), TEXTS.map(str.encode))
ANSWERS = st.one_of(
    st.builds(
        lambda status, headers, more, body, encoded, cookies: {
            "statusCode": status, "headers": headers, "multiValueHeaders": more, "body": body, "isBase64Encoded": encoded,
            "cookies": cookies,
        },
        st.sampled_from([200, 201, 204, 304, 404, 500, 599, 100, "200", "x", None, 200.5, True]),
        st.none() | st.dictionaries(st.sampled_from(["X", "content-type", "Content-Length", "access-control-allow-origin", "a b", ""]),
                                    TEXTS | st.integers() | st.none(), max_size=3),
        st.none() | st.dictionaries(st.sampled_from(["X", "Y"]), st.lists(TEXTS, max_size=2), max_size=2),
        st.none() | TEXTS | st.just("aGVsbG8="),
        st.booleans(),
        st.none() | st.lists(TEXTS, max_size=2),
    ),
    TEXTS, st.integers(), st.none(), st.dictionaries(TEXTS, TEXTS, max_size=2), st.just(["a"]),
)  # fmt: skip
FAULTS = st.sampled_from(
    [None, None, None, "error", "throttled", "missing", "large", "bytes", "empty", "gone", "broken"]
)


class Starter:
    """Begins what the fake invoker does."""

    def __init__(self, world, outcome):
        self.world = world
        self.outcome = outcome

    def begin(self, caller, function, event, done, *, trace_id=""):
        self.world.invoker.events.append((function, json.loads(event)))
        given_ = self.outcome()
        done(given_)


def outcome_of(said, fault):
    """What a function comes to: a result, or the error that an Invoke is refused with."""
    if fault == "error":
        return InvokeResult(payload=b'{"errorMessage": "x"}', function_error="Unhandled")
    refused = {
        "throttled": AwsError("TooManyRequestsException", "Rate Exceeded.", status=429),
        "missing": AwsError("ResourceNotFoundException", "no function", status=404),
        "large": AwsError("RequestEntityTooLargeException", "too large", status=413),
        "gone": AwsError("ServiceException", "gone", status=500),
    }
    if fault in refused:
        return refused[fault]
    raw = {"bytes": b"\xff\xfe", "empty": b"", "broken": b'{"statusCode": '}
    return InvokeResult(payload=raw[fault] if fault in raw else json.dumps(said).encode())


def world_of(said, fault, full):
    world = World()
    outcome = lambda: outcome_of(said, fault)  # noqa: E731

    async def invoke(caller, function, payload, **options):
        world.invoker.events.append((function, json.loads(payload)))
        given_ = outcome()
        if isinstance(given_, AwsError):
            raise given_
        return given_

    world.invoker.invoke = invoke
    world.throttles.full = full
    world.tools = msgspec.structs.replace(world.tools, starter=Starter(world, outcome))
    return world


def stage_of(world, version, cors):
    integration = Integration(
        id="i",
        integration_type="AWS_PROXY",
        integration_uri=FUNCTION,
        payload_format_version=version,
        timeout_in_millis=30000,
    )
    keys = ("GET /pets", "ANY /pets/{id}", "POST /all/{proxy+}", "OPTIONS /OPTIONS", "$default")
    routes = tuple(Route(id=f"r{at}", route_key=key, target="integrations/i") for at, key in enumerate(keys))
    definition = V2Definition(
        api_id="abcdef1234", account="123456789012", region=REGION, name="n", protocol_type="HTTP", routes=routes,
        integrations={"i": integration},
        cors=Cors(allow_origins=("https://example.com",), allow_methods=("GET",), allow_credentials=True) if cors else None,
    )  # fmt: skip
    settings_ = RouteSetting(throttling_rate_limit=1.0, throttling_burst_limit=1)
    stage = V2Stage(stage_name="$default", variables={"v": "1"}, default_route_settings=settings_)
    return compile_http(definition, stage, world.tools)


def written(response):
    return Answers(0.0).head(response, len(response.body), "") + response.body


def observed(world):
    seen = copy.deepcopy(
        [
            {"status": one["status"], "bytes": one["bytes"], "context": one["visit"].context}
            for one in world.observer.seen
        ]
    )
    for one in seen:
        for name in ("integrationLatency",):
            one["context"].pop(name, None)
    return seen


@settings(max_examples=1500)
@given(
    st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "DELETE"]),
    TARGETS,
    st.lists(st.tuples(NAMES, LATIN | st.just("https://example.com")), max_size=6),
    BODIES,
    ANSWERS,
    FAULTS,
    st.sampled_from(["1.0", "2.0"]),
    st.booleans(),
    st.booleans(),
)
def test_the_lane_says_what_the_ordinary_way_says(
    method, target, headers, body, said, fault, version, cors, full
):
    scopes = {"GET /pets", "ANY /pets/{id}", "POST /all/{proxy+}", "$default"} if full else set()
    ordinary, quick = world_of(said, fault, scopes), world_of(said, fault, scopes)
    answer = asyncio.run(stage_of(ordinary, version, cors).answer(visit(method, target, headers, body)))
    coming = visit(method, target, headers, body)

    async def down():
        stage = stage_of(quick, version, cors)
        match = stage.takes(coming.request, coming.address.path, body)
        if match is None:
            return None
        replies = []
        stage.begin(coming, match, body, replies.append)
        assert len(replies) == 1
        return replies[0]

    reply = asyncio.run(down())
    if reply is None:
        assert not quick.invoker.events, "what is not taken was not begun"
        assert not quick.observer.seen
        return
    assert (reply.status, reply.headers, reply.body) == (answer.status, answer.headers, answer.body)
    assert written(reply) == written(answer)
    assert quick.invoker.events == ordinary.invoker.events
    assert observed(quick) == observed(ordinary)
    assert quick.throttles.asked == ordinary.throttles.asked


def test_the_lane_takes_what_it_is_for():
    stage = stage_of(world_of("x", None, set()), "2.0", cors=True)
    taken = [("GET", "/pets"), ("HEAD", "/pets/1"), ("POST", "/all/a/b"), ("GET", "/any")]
    assert all(stage.takes(visit(*one).request, one[1], b"") is not None for one in taken)
