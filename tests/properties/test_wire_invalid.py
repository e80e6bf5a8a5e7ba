"""Hundreds of invalid requests made from the models: each a 4xx that botocore's parser of errors understands."""

import asyncio
import json
import random
import tempfile
from pathlib import Path

import pytest
from botocore.awsrequest import HeadersDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_oracle import Side, structures

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.http import BytesBody, Headers, Request, Response
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models
from cumulo.wire.service import Operation, Service

QUICK = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
NAMES = ("lambda", "logs", "ecs", "batch", "ec2", "sts")


async def companion(_request):
    return Response(599)


async def succeed(_caller, _values):
    return {}


@pytest.fixture(scope="module")
def world():
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "s.db", synchronous="OFF")
        models, ids, clock = Models(), Ids(random.Random(1)), VirtualClock()
        sides = {name: Side(name) for name in NAMES}
        services = {
            name: Service(name, {operation: Operation(succeed) for operation in sides[name].names()})
            for name in NAMES
        }
        keys = Keys(store=store, clock=clock, ids=ids)
        door = Door(
            services, companion, models=models, keys=keys, ids=ids, clock=clock, verify=False, account="0" * 12, region="r"
        )  # fmt: skip
        loop = asyncio.new_event_loop()
        yield door, sides, loop
        loop.run_until_complete(store.close())
        loop.close()


def ask(door, loop, service, method, path, query, headers, body):
    scope = f"AWS4-HMAC-SHA256 Credential=1/2/r/{service}/aws4_request".encode()
    asked = Request(method, path, query, Headers([*headers.raw, (b"authorization", scope)]), BytesBody(body))
    return loop.run_until_complete(door(asked))


def understood(side, name, response):
    """What botocore's parser of errors makes of an answer."""
    parsed = side.reader.parse(
        {
            "status_code": response.status,
            "headers": HeadersDict(dict(response.headers)),
            "body": response.body,
            "context": {"operation_name": name},
        },
        side.theirs.operation_model(name).output_shape,
    )
    assert parsed["Error"]["Code"]
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == response.status
    return parsed


@pytest.mark.parametrize("service", NAMES)
@QUICK
@given(data=st.data())
def test_input_that_breaks_the_model_is_a_4xx_that_botocore_understands(world, service, data):
    """Inputs drawn without regard to constraints: most break some; none may do worse than a 4xx."""
    door, sides, loop = world
    side = sides[service]
    name = data.draw(st.sampled_from(side.names()))
    shape = side.theirs.operation_model(name).input_shape
    params = data.draw(structures(shape, side.protocol)) if shape is not None else {}
    response = ask(door, loop, service, *side.send(name, params))
    assert response.status < 500
    if response.status >= 400:
        error = understood(side, name, response)["Error"]
        assert "validation error" in error["Message"] or "parameter" in error["Message"]
    elif shape is not None:
        assert set(shape.required_members) <= set(params) | {"ContentLength"} | {
            m
            for m, s in shape.members.items()
            if s.serialization.get("location") == "uri" or s.type_name == "blob"
        } | {m for m, s in shape.members.items() if s.metadata.get("idempotencyToken")}


@pytest.mark.parametrize("service", NAMES)
@QUICK
@given(data=st.data())
def test_a_mangled_request_is_never_worse_than_a_4xx(world, service, data):
    door, sides, loop = world
    side = sides[service]
    name = data.draw(st.sampled_from(side.names()))
    shape = side.theirs.operation_model(name).input_shape
    params = data.draw(structures(shape, side.protocol)) if shape is not None else {}
    method, path, query, headers, body = side.send(name, params)
    start = data.draw(st.integers(0, len(body)))
    stop = data.draw(st.integers(start, min(len(body), start + 6)))
    body = body[:start] + data.draw(st.binary(max_size=6)) + body[stop:]
    query += data.draw(st.sampled_from(["", "&", "%", "&%ff", "&=", "&a=%", "&MaxItems=x"]))
    response = ask(door, loop, service, method, path, query, headers, body)
    assert response.status < 500, response.body
    if response.status >= 400:
        understood(side, name, response)


WRONG = st.sampled_from(
    [1, 1.5, True, "text", [], {}, [1], {"a": 1}, 2**70, -1, "", "\u0000", [[[]]], {"": None}]
)


@pytest.mark.parametrize("service", ["lambda", "logs", "ecs", "batch"])
@QUICK
@given(data=st.data())
def test_json_of_the_wrong_types_is_a_4xx(world, service, data):
    door, sides, loop = world
    side = sides[service]
    names = [
        name
        for name in side.names()
        if (shape := side.theirs.operation_model(name).input_shape) is not None
        and not shape.serialization.get("payload")
        and any("location" not in m.serialization for m in shape.members.values())
    ]
    name = data.draw(st.sampled_from(names))
    shape = side.theirs.operation_model(name).input_shape
    uri = {
        key: "x" if m.type_name == "string" else 1
        for key, m in shape.members.items()
        if m.serialization.get("location") == "uri"
    }
    method, path, query, headers, _ = side.send(name, uri)
    members = [
        m.serialization.get("name", key)
        for key, m in shape.members.items()
        if "location" not in m.serialization
    ]
    value = data.draw(st.dictionaries(st.sampled_from(members), WRONG, min_size=1, max_size=3))
    response = ask(door, loop, service, method, path, query, headers, json.dumps(value).encode())
    assert response.status < 500, response.body
    if response.status >= 400:
        understood(side, name, response)
