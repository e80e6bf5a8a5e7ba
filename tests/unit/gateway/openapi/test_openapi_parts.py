"""The small parts: references, base paths, schemas, documents as a whole."""

import json

import pytest
from tests import openapi_kit as kit

from cumulo.base.errors import AwsError
from cumulo.gateway.openapi import base_paths, schemas
from cumulo.gateway.openapi.documents import SCHEMAS_THREE, document_of
from cumulo.gateway.openapi.notes import Notes
from cumulo.gateway.openapi.operations import operations_of
from cumulo.gateway.openapi.references import resolved

URL = "https://apigateway.amazonaws.com/restapis/api/models/"


# -- references ------------------------------------------------------------------------------------------------


def test_a_reference_is_followed():
    root = {"a/b": {"~": [{"$ref": "#/there"}]}, "there": {"it": 1}}
    assert resolved(root, {"$ref": "#/a~1b/~0/0"}, "x", Notes()) == {"it": 1}


@pytest.mark.parametrize(
    "target", ["#/nowhere", "other.json#/a", "http://other/", "#", "#/list/7", "#/text/x"]
)
def test_a_reference_to_nothing_is_a_warning(target):
    notes = Notes()
    assert resolved({"list": [1], "text": "x"}, {"$ref": target}, "here", notes) == {}
    assert notes.warnings == [f"Parse issue: attribute here.{target} is missing"]


def test_references_in_a_circle_are_refused():
    root = {"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}
    with pytest.raises(AwsError) as error:
        resolved(root, {"$ref": "#/a"}, "x", Notes())
    assert error.value.message == "Invalid OpenAPI input. The reference #/a leads back to itself."


def test_a_long_way_of_references_is_refused():
    root = {f"a{n}": {"$ref": f"#/a{n + 1}"} for n in range(100)}
    with pytest.raises(AwsError):
        resolved(root, {"$ref": "#/a0"}, "x", Notes())


# -- base paths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ignored", "prepended", "split"),
    [
        ("/a/b/c", "", "/a/b/c", "/b/c"),
        ("/base", "", "/base", ""),
        ("/base-url/part/", "", "/base-url/part", "/part"),
        ("/", "", "", ""),
        ("", "", "", ""),
    ],
)
def test_a_base_path_is_ignored_prepended_or_split(base, ignored, prepended, split):
    modes = zip(base_paths.MODES, (ignored, prepended, split), strict=True)
    assert all(base_paths.prefix_of(base, mode) == prefix for mode, prefix in modes)


def test_another_mode_is_refused():
    with pytest.raises(AwsError) as error:
        base_paths.prefix_of("/a", "keep")
    assert error.value.code == "BadRequestException"


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ({"url": "https://x.example/base/path"}, "/base/path"),
        ({"url": "/only/path"}, "/only/path"),
        ({"url": "https://x/{basePath}", "variables": {"basePath": {"default": "/dev"}}}, "/dev"),
        ({"url": "https://x/{basePath}", "variables": {"basePath": {"default": "a/b"}}}, "/a/b"),
        ({"url": "http://[bad"}, ""),
        ("no object", ""),
    ],
)
def test_the_base_path_of_openapi_3_is_that_of_its_first_server(server, path):
    assert document_of(kit.openapi({}, servers=[server]), Notes()).base_path == path


def test_only_the_first_server_counts():
    notes = Notes()
    document = document_of(kit.openapi({}, servers=[{"url": "/a"}, {"url": "/b"}]), notes)
    assert document.base_path == "/a"
    assert notes.warnings == [
        "More than one server provided. Ignoring all but the first for defining endpoint configuration"
    ]


# -- documents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "root",
    [
        {},
        {"openapi": "3.1.0", "info": {}, "paths": {}},
        {"swagger": "1.2", "info": {}, "paths": {}},
        {"openapi": ["3.0.1"], "info": {}, "paths": {}},
        {"openapi": "3.0.1", "paths": {}},
        {"openapi": "3.0.1", "info": [], "paths": {}},
        {"openapi": "3.0.1", "info": {}, "paths": []},
        {"openapi": "3.0.1", "info": {}},
    ],
)
def test_what_is_no_openapi_document_is_refused(root):
    with pytest.raises(AwsError) as error:
        document_of(root, Notes())
    assert error.value.message.startswith("Invalid OpenAPI input. ")


def test_numbers_may_stand_for_texts():
    document = document_of({"swagger": 2.0, "info": {"title": 7, "version": 2.0}, "paths": {}}, Notes())
    assert (document.three, document.title, document.version) == (False, "7", "2.0")


def test_a_parameter_of_an_operation_is_over_the_one_of_its_path():
    item = {
        "parameters": [{"in": "query", "name": "a", "required": True}, {"in": "header", "name": "b"}],
        "get": {"parameters": [{"in": "query", "name": "a"}]},
    }
    (one,) = operations_of(document_of(kit.openapi({}), Notes()), "/x", item, Notes())
    assert {(each.place, each.name, each.required) for each in one.parameters} == {
        ("querystring", "a", False),
        ("header", "b", False),
    }


def test_parameters_answers_and_bodies_may_be_references():
    components = {
        "parameters": {"Page": {"in": "query", "name": "page", "required": True}},
        "responses": {"Gone": {"description": "x", "headers": {"X-Gone": {}}}},
        "requestBodies": {"Pet": {"content": {"application/json": {"schema": {"type": "object"}}}}},
    }
    operation = {
        "parameters": [{"$ref": "#/components/parameters/Page"}],
        "requestBody": {"$ref": "#/components/requestBodies/Pet"},
        "responses": {"404": {"$ref": "#/components/responses/Gone"}},
    }
    notes = Notes()
    document = document_of(kit.openapi({}, components=components), notes)
    (one,) = operations_of(document, "/x", {"post": operation}, notes)
    assert [(each.name, each.required) for each in one.parameters] == [("page", True)]
    assert [(each.status, each.headers) for each in one.answers] == [("404", ("X-Gone",))]
    assert [each.content_type for each in one.bodies] == ["application/json"]
    assert not notes.warnings


# -- schemas ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_document", "in_model"),
    [
        ("#/components/schemas/Pet", URL + "Pet"),
        ("#/components/schemas/Pet/properties/name", URL + "Pet#/properties/name"),
        ("#/components/schemas/Own", URL + "Own"),
        ("#/components/schemas/Own/definitions/x", "#/definitions/x"),
        ("http://elsewhere/schema", "http://elsewhere/schema"),
    ],
)
def test_references_are_rewritten_both_ways(in_document, in_model):
    schema = {"type": "object", "properties": {"a": {"items": {"$ref": in_document}}}}
    model = schemas.to_model(schema, "Own", SCHEMAS_THREE, "api")
    assert model["properties"]["a"]["items"]["$ref"] == in_model
    assert schemas.from_model(json.dumps(model), "Own", SCHEMAS_THREE, "api") == schema


@pytest.mark.parametrize("text", ["", "no json", "[]", "1", '{"a":' * 300 + "1" + "}" * 300])
def test_a_model_that_is_no_schema_is_none(text):
    assert schemas.from_model(text, "Own", SCHEMAS_THREE, "api") is None


def test_a_schema_without_a_name_gets_one_of_its_own():
    name = schemas.invented_name({"type": "object", "title": "x"}, SCHEMAS_THREE)
    assert name.startswith("MODEL")
    assert len(name) == 11
    assert name == schemas.invented_name({"title": "x", "type": "object"}, SCHEMAS_THREE)
    assert name != schemas.invented_name({"type": "object", "title": "y"}, SCHEMAS_THREE)
    many = {"type": "array", "items": {"$ref": "#/components/schemas/Error"}}
    assert schemas.invented_name(many, SCHEMAS_THREE) == "ArrayOfError"


# -- notes -----------------------------------------------------------------------------------------------------


def test_errors_are_said_with_the_warnings():
    notes = Notes()
    notes.error("it cannot be")
    notes.error("nor this")
    notes.warn("left out")
    with pytest.raises(AwsError) as error:
        notes.settle(fail_on_warnings=False)
    assert error.value.message == (
        "Errors found during import:\n\tit cannot be\n\tnor this\n"
        "Additionally, these warnings were found:\n\tleft out"
    )


def test_warnings_count_when_they_shall():
    notes = Notes()
    notes.warn("left out")
    notes.settle(fail_on_warnings=False)
    with pytest.raises(AwsError) as error:
        notes.settle(fail_on_warnings=True)
    assert error.value.message == "Warnings found during import:\n\tleft out"


def test_notes_are_bounded():
    notes = Notes()
    for number in range(100_000):
        notes.warn(f"{number}" * 10_000 if number < 3 else str(number))
    assert len(notes.warnings) == 500
    assert max(map(len, notes.warnings)) == 1000
