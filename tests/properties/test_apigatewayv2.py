"""HTTP and WebSocket APIs: whatever is sent is kept or refused, and never a fault of ours."""

import asyncio
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway_kit import World
from tests.unit.wire.wire_door import MODELS

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.v2 import Integration, Route, V2Definition
from cumulo.gateway.http.compile import compile_http
from cumulo.gateway.stages import Stages
from cumulo.services.apigatewayv2 import identifiers, paging, route_rules
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.services.apigatewayv2.model_templates import sample
from cumulo.services.apigatewayv2.publishing import decode, encode
from cumulo.state.store import Store

CALLER = Caller(account="123456789012", region="us-east-1", endpoint="http://127.0.0.1:4566")
WORDS = st.sampled_from(
    [
        "",
        "$default",
        "$connect",
        "GET /a/{b}",
        "ANY /{proxy+}",
        "integrations/x",
        "$request.header.x-api-key",
        "$request.header.X",
        "route.request.header.X",
        "1.0",
        "2.0",
        "POST",
        "https://example.com",
        "append:header.x",
        "overwrite:statuscode",
        "200",
        "/2/",
        "{}",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:iam::123456789012:role/r",
        "arn:aws:logs:us-east-1:123456789012:log-group:g",
        "arn:aws:apigateway:us-east-1::/apis/x",
        "SQS-PurgeQueue",
        "QueueUrl",
        "$context.requestId",
    ]
)
TEXT = WORDS | st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
MODEL = MODELS.service("apigatewayv2")


def strategy(shape, depth=0):
    """Values as the door hands them over."""
    if shape.enum:
        return st.sampled_from(list(shape.enum))
    if shape.type == "structure":
        members = {
            name: strategy(member, depth + 1)
            for name, member in MODEL.members(shape).items()
            if name not in shape.required
        }
        needed = {
            name: strategy(member, depth + 1)
            for name, member in MODEL.members(shape).items()
            if name in shape.required
        }
        return st.fixed_dictionaries(needed, optional=members)
    if shape.type == "list":
        return st.lists(strategy(MODEL.shape(shape.member), depth + 1), max_size=3)
    if shape.type == "map":
        return st.dictionaries(TEXT, strategy(MODEL.shape(shape.value), depth + 1), max_size=3)
    plain = {
        "string": TEXT,
        "boolean": st.booleans(),
        "integer": st.integers(shape.min or -(2**31), shape.max or 2**31 - 1),
        "double": st.floats(allow_nan=True, allow_infinity=True),
    }
    return plain[shape.type]


@pytest.fixture(scope="module")
def store():
    with tempfile.TemporaryDirectory() as folder:
        made = Store(Path(folder) / "store.db", synchronous="OFF")
        yield made
        asyncio.run(made.close())


def fresh_house(store, stages):
    """A house without anything in it, whose ids are always the same, before the real data plane of HTTP APIs."""
    tools = World().tools
    return ApiGatewayV2House(
        store=store,
        clock=VirtualClock(),
        ids=Ids(Random(0)),
        stages=stages,
        compilers={
            "HTTP": lambda definition, stage: compile_http(definition, stage, tools),
            "WEBSOCKET": lambda definition, _stage: definition,
        },
    )


@given(st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
def test_whatever_is_sent_is_answered_or_refused(store, data):
    stages = Stages()
    house = fresh_house(store, stages)
    operations = house.service().operations

    async def go():
        await house.reset()
        api = await operations["CreateApi"].run(
            CALLER,
            {"Name": "a", "ProtocolType": "HTTP"}
            if data.draw(st.booleans())
            else {"Name": "a", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.a"},
        )
        known = {"ApiId": [api["ApiId"]], "StageName": ["there"]}
        await operations["CreateStage"].run(
            CALLER, {"ApiId": api["ApiId"], "StageName": "there", "AutoDeploy": True}
        )
        for _ in range(6):
            name = data.draw(st.sampled_from(sorted(operations)))
            shape = MODEL.shape(MODEL.operations[name].input)
            values = data.draw(strategy(shape))
            for member in values:
                if member in known and data.draw(st.integers(0, 9)):
                    values[member] = data.draw(st.sampled_from(known[member]))
            try:
                answer = await operations[name].run(CALLER, values)
            except AwsError as error:
                assert error.status < 500 or error.code == "NotImplemented"
            else:
                for member, value in (answer or {}).items():
                    if member.endswith("Id") and isinstance(value, str):
                        known.setdefault(member, []).append(value)
            for published in stages.of(api["ApiId"]):
                assert published.compiled is not None, "what is kept can be compiled"

    asyncio.run(go())


@given(TEXT)
def test_a_route_key_is_right_or_refused(key):
    try:
        route_rules.check_http_key(key)
    except AwsError as error:
        assert error.code == "BadRequestException"
    else:
        assert key == "$default" or key.split(" ")[1].startswith("/")


@given(st.lists(TEXT.filter(bool), unique=True, max_size=40), st.integers(1, 9))
def test_pages_show_everything_once(names, size):
    seen, token = [], None
    for _ in range(len(names) + 1):
        answer = paging.page(
            names, lambda one: one, lambda one: one, {"MaxResults": str(size), "NextToken": token}
        )
        seen += answer["Items"]
        token = answer.get("NextToken")
        if token is None:
            break
    assert seen == sorted(names)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "a"]) | st.text(max_size=3), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_every_schema_has_a_sample(schema):
    assert sample(schema).startswith("#set($inputRoot")


@given(TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.lists(TEXT, max_size=3))
def test_a_snapshot_is_what_was_snapped(name, parameters, keys):
    definition = V2Definition(
        api_id="a",
        account="1",
        region="r",
        protocol_type="HTTP",
        name=name,
        integrations={"i": Integration(id="i", integration_type="HTTP_PROXY", request_parameters=parameters)},
        routes=tuple(Route(id=str(n), route_key=key) for n, key in enumerate(keys)),
    )
    assert decode(encode(definition)) == definition


@given(st.integers(1, 12))
def test_ids_are_letters_and_digits_of_the_length_that_was_asked_for(length):
    made = identifiers.new_id(Ids(), length)
    assert len(made) == length
    assert made.isascii()
    assert made == made.lower()
    assert made.isalnum()
