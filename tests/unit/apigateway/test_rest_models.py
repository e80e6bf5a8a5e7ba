import json

import pytest
from tests.unit.apigateway.rest_kit import patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"
SCHEMA = json.dumps({"title": "Pet", "type": "object"})
EMPTY = "Model schema must have at least 1 property or array items defined"


def create(cloud, api_id, name="Pet", schema=SCHEMA, **more):
    wanted = {"contentType": "application/json"} | more
    return plain(cloud.client.create_model(restApiId=api_id, name=name, schema=schema, **wanted))


def reference(api_id, name):
    return f"https://apigateway.amazonaws.com/restapis/{api_id}/models/{name}"


def test_every_api_has_two_models(cloud):
    api_id, _ = cloud.api()
    create(cloud, api_id, "CalcOutput")
    items = cloud.client.get_models(restApiId=api_id)["items"]
    assert [one["name"] for one in items] == ["CalcOutput", "Empty", "Error"]
    assert json.loads(items[1]["schema"]) == {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "Empty Schema",
        "type": "object",
    }
    assert items[2]["description"] == "This is a default error schema model"


def test_a_model_is_made_changed_and_deleted(cloud):
    api_id, _ = cloud.api()
    at = {"restApiId": api_id, "modelName": "Pet"}
    made = create(cloud, api_id)
    assert made.pop("id")
    assert made == {"name": "Pet", "contentType": "application/json", "schema": SCHEMA}
    new = json.dumps({"title": "Updated schema", "type": "object"})
    changed = cloud.client.update_model(**at, patchOperations=[patch("replace", "/schema", new)])
    assert changed["schema"] == cloud.client.get_model(**at)["schema"] == new
    gone = cloud.client.delete_model(**at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    for call in (cloud.client.get_model, cloud.client.delete_model):
        assert refused(call, **at) == (MISSING, "Invalid model name specified: Pet")


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ({"name": "Empty"}, (CONFLICT, "Model name already exists for this REST API")),
        ({"name": ""}, (BAD, "Model name must be non-empty")),
        ({"name": "a-b"}, (BAD, "Model name must be alphanumeric: a-b")),
        ({"schema": ""}, (BAD, EMPTY)),
        ({"schema": "", "contentType": "application/xml"}, (BAD, EMPTY)),
    ],
)
def test_what_is_no_model_is_refused(cloud, model, answer):
    api_id, _ = cloud.api()
    wanted = {"name": "Pet", "schema": SCHEMA, "contentType": "application/json"} | model
    assert refused(cloud.client.create_model, restApiId=api_id, **wanted) == answer


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        "3",
        '{"type": "thing"}',
        '{"properties": {"a": {"type": "thing"}}}',
        '{"$ref": "Pet"}',
        '{"items": {"$ref": "https://example.com/Pet"}}',
        '{"allOf": [{"$ref": "https://apigateway.amazonaws.com/restapis/other/models/Empty"}]}',
        "[" * 100_000,
        '{"not":' * 500 + "{}" + "}" * 500,
    ],
)
def test_what_is_no_schema_is_refused(cloud, schema):
    api_id, _ = cloud.api()
    code, message = refused(
        cloud.client.create_model,
        restApiId=api_id,
        name="Pet",
        contentType="application/json",
        schema=schema,
    )
    assert code == BAD
    assert message.startswith(
        "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified"
    )


def test_the_sentences_name_the_paths_that_can_be_patched(cloud):
    api_id, _ = cloud.api()
    create(cloud, api_id)
    at = {"restApiId": api_id, "modelName": "Pet"}

    def sentence(*operation):
        return refused(cloud.client.update_model, **at, patchOperations=[patch(*operation)])[1]

    assert sentence("add", "/wrong-path", "x") == (
        "Invalid patch path  '/wrong-path' specified for op 'add'. Please choose supported operations"
    )
    assert sentence("replace", "/name", "x") == (
        "Invalid patch path  '/name' specified for op 'replace'. Must be one of: [/description, /schema]"
    )
    assert sentence("replace", "/schema", "") == EMPTY


def test_a_model_in_use_stays(cloud):
    api_id, root = cloud.api()
    create(cloud, api_id)
    create(cloud, api_id, "PetTwo")
    at = {"restApiId": api_id, "resourceId": root, "httpMethod": "ANY"}
    cloud.method(api_id, root, "ANY", requestModels={"application/json": "Pet"})
    delete = cloud.client.delete_model
    assert refused(delete, restApiId=api_id, modelName="Pet") == (
        CONFLICT,
        "Cannot delete model 'Pet', is referenced in method request: //ANY",
    )
    cloud.client.update_method(
        **at, patchOperations=[patch("replace", "/requestModels/application~1json", "PetTwo")]
    )
    delete(restApiId=api_id, modelName="Pet")
    cloud.client.update_method(**at, patchOperations=[patch("remove", "/requestModels/application~1json")])
    cloud.client.put_method_response(**at, statusCode="200", responseModels={"application/json": "PetTwo"})
    assert refused(delete, restApiId=api_id, modelName="PetTwo")[0] == CONFLICT
    cloud.client.delete_method(**at)
    delete(restApiId=api_id, modelName="PetTwo")


def test_models_refer_to_one_another_and_are_flattened(cloud):
    api_id, _ = cloud.api()
    create(cloud, api_id)
    pets = {"type": "array", "items": {"$ref": reference(api_id, "Pet")}}
    create(cloud, api_id, "Pets", json.dumps(pets))
    whole = cloud.client.get_model(restApiId=api_id, modelName="Pets", flatten=True)["schema"]
    assert json.loads(whole) == {
        "type": "array",
        "items": {"$ref": "#/definitions/Pet"},
        "definitions": {"Pet": {"title": "Pet", "type": "object"}},
    }
    assert refused(cloud.client.delete_model, restApiId=api_id, modelName="Pet") == (
        CONFLICT,
        "Cannot delete model 'Pet', is referenced in model: Pets",
    )


def test_a_model_may_refer_to_itself(cloud):
    api_id, _ = cloud.api()
    node = {"type": "object", "properties": {"next": {"$ref": reference(api_id, "Node")}}}
    create(cloud, api_id, "Node", json.dumps(node))
    whole = cloud.client.get_model(restApiId=api_id, modelName="Node", flatten=True)["schema"]
    assert "Node" in json.loads(whole)["definitions"]
    cloud.client.delete_model(restApiId=api_id, modelName="Node")
