"""Request validators and models."""

import json
from typing import Any

import pytest
from tests.gateway_kit import API, World
from tests.rest_kit import Answered, ask, compiled, method, mock

from cumulo.gateway.definitions.rest import Model, RequestValidator
from cumulo.gateway.rest.models import BASE

PET = {
    "type": "object",
    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    "required": ["a", "b"],
}
MODELS = {
    "Pet": PET,
    "Pets": {"type": "array", "items": {"$ref": f"{BASE}{API}/models/Pet"}},
    "Own": {"definitions": {"x": {"type": "string"}}, "properties": {"x": {"$ref": "#/definitions/x"}}},
    "Bounds": {"properties": {"n": {"type": "number", "minimum": 5, "exclusiveMinimum": True}}},
    "Far": {"$ref": "https://example.com/schema.json"},
    "Gone": {"properties": {"x": {"$ref": f"{BASE}{API}/models/Nobody"}}},
    "Pattern": {"properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}},
    "Wrong": {"type": "nonsense"},
}
VALIDATORS = {
    "both": RequestValidator(
        id="both", name="b", validate_request_body=True, validate_request_parameters=True
    ),
    "none": RequestValidator(id="none", name="n"),
}


def send(
    model: str | None, body: bytes = b"", *, headers: Any = (), target: str = "/issue?qs1=1", **settings: Any
) -> Answered:
    models = {name: Model(id=name, name=name, schema=json.dumps(schema)) for name, schema in MODELS.items()}
    models["Broken"] = Model(id="x", name="Broken", schema="{")
    settings = {
        "request_validator_id": "both",
        "request_models": {"application/json": model} if model else {},
    } | settings
    post = method(mock({}, passthrough_behavior="WHEN_NO_MATCH", request_templates={
        "application/json": '{"statusCode": 200}', "$default": '{"statusCode": 200}'}), "POST", **settings)  # fmt: skip
    api = compiled(World(), {"/{issuer}": post}, models=models, request_validators=VALIDATORS)
    return ask(api, "POST", target, headers, body)


def test_missing_parameters_are_named() -> None:
    # recorded on AWS by LocalStack: test_api_gateway_request_validator
    required = {
        "method.request.querystring.qs1": True,
        "method.request.path.other": True,
        "method.request.header.x-header-param": True,
        "method.request.header.optional": False,
    }
    answer = send(None, target="/x", request_parameters=required)
    assert answer.status == 400
    assert answer.body == b'{"message": "Missing required request parameters: [x-header-param, other, qs1]"}'
    assert answer.header("x-amzn-errortype") == "BadRequestException"
    del required["method.request.path.other"]
    assert send(None, headers={"X-Header-Param": "1"}, request_parameters=required).status == 200


def test_a_validator_that_asks_for_nothing_checks_nothing() -> None:
    required = {"method.request.querystring.q": True}
    assert send("Pet", b"[]", request_parameters=required, request_validator_id="none").status == 200


@pytest.mark.parametrize(
    ("model", "body", "good"),
    [
        ("Pet", b'{"a": 1, "b": 2}', True),
        ("Pet", b'{"a": 1}', False),
        ("Pet", b"", False),
        ("Pet", b"{no", False),
        ("Pet", b"[" * 5000, False),
        ("Pets", b'[{"a": 1, "b": 2}]', True),
        ("Pets", b'[{"a": 1, "b": "2"}]', False),
        ("Own", b'{"x": "y"}', True),
        ("Own", b'{"x": 1}', False),
        ("Bounds", b'{"n": 5}', False),  # exclusiveMinimum is a boolean in draft 4
        ("Bounds", b'{"n": 6}', True),
        ("Far", b"{}", False),
        ("Gone", b"{}", False),
        ("Wrong", b"{}", False),
        ("Broken", b"{}", False),
        ("Nobody", b"{}", False),
        ("Pattern", b'{"x": "' + b"a" * 5000 + b'!"}', False),
    ],
)
def test_bodies_are_checked_by_their_model(model: str, body: bytes, good: bool) -> None:
    answer = send(model, body, headers={"Content-Type": "application/json"})
    assert answer.status == (200 if good else 400)
    if not good:
        assert answer.body == b'{"message": "Invalid request body"}'


def test_a_body_of_a_type_without_a_model_is_not_looked_at() -> None:
    assert send("Pet", b"anything", headers={"Content-Type": "text/plain"}).status == 200
    models = {"$default": "Pet"}
    assert (
        send(None, b"anything", headers={"Content-Type": "text/plain"}, request_models=models).status == 400
    )
    assert send("Pet", b"anything").status == 400  # without a type it is JSON


def test_what_is_wrong_is_in_the_context() -> None:
    world = World()
    models = {"Pet": Model(id="p", name="Pet", schema=json.dumps(PET))}
    post = method(mock({}), "POST", request_validator_id="both", request_models={"application/json": "Pet"})
    ask(
        compiled(world, {"/": post}, models=models, request_validators=VALIDATORS),
        "POST",
        "/",
        {},
        b'{"a": "x"}',
    )
    error = world.observer.seen[0]["visit"].context["error"]
    assert error["responseType"] == "BAD_REQUEST_BODY"
    assert "number" in error["validationErrorString"]
