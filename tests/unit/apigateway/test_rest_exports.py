"""REST APIs as OpenAPI documents, as AWS's answers to the same were recorded (LocalStack's snapshots)."""

import json

import pytest
import yaml
from tests import openapi_kit as kit
from tests.unit.apigateway.rest_kit import ACCOUNT, FUNCTION_URI, REGION, refused

from cumulo.base.caller import Caller
from cumulo.gateway.openapi.texts import read

ALL = {"extensions": "apigateway"}
CALLER = Caller(account=ACCOUNT, region=REGION)


def deployed(cloud, document, **more):
    """The id of an API that a document makes, with a stage `dev`."""
    api_id = cloud.client.import_rest_api(body=kit.as_json(document), failOnWarnings=True)["id"]
    cloud.client.create_deployment(restApiId=api_id, stageName="dev", **more)
    return api_id


def exported(cloud, api_id, kind="oas30", **more):
    """The document of a stage."""
    answer = cloud.client.get_export(restApiId=api_id, stageName="dev", exportType=kind, **more)
    return json.loads(answer["body"].read())


PETS = {
    "/pets": {
        "get": kit.mock(
            produces=["application/json"],
            parameters=[
                {"name": "type", "in": "query", "required": False, "type": "string"},
                {"name": "page", "in": "query", "type": "string"},
            ],
            responses={
                "200": {
                    "description": "fine",
                    "schema": {"$ref": "#/definitions/Pets"},
                    "headers": {"Access-Control-Allow-Origin": {"type": "string"}},
                }
            },
            **{
                kit.INTEGRATION: {
                    "type": "http",
                    "httpMethod": "GET",
                    "uri": "http://petstore.example/pets",
                    "passthroughBehavior": "when_no_match",
                    "requestParameters": {
                        "integration.request.querystring.page": "method.request.querystring.page"
                    },
                    "responses": {"default": {"statusCode": "200"}},
                }
            },
        ),
        "post": kit.mock(
            operationId="CreatePet",
            parameters=[
                {"in": "body", "name": "Pet", "required": True, "schema": {"$ref": "#/definitions/Pet"}}
            ],
        ),
    },
    "/pets/{petId}": {"get": kit.mock()},
}
MODELS = {
    "Pets": {"type": "array", "items": {"$ref": "#/definitions/Pet"}},
    "Pet": {"type": "object", "properties": {"id": {"type": "integer"}}},
}


def test_a_swagger_document_is_what_aws_writes(cloud):
    api_id = deployed(cloud, kit.swagger(PETS, definitions=MODELS))
    document = exported(cloud, api_id, "swagger")
    assert document["swagger"] == "2.0"
    assert document["info"] == {"title": "pets", "version": "1.0"}
    assert document["basePath"] == "/dev"
    assert document["host"].startswith(f"{api_id}.execute-api.")
    assert document["schemes"] == ["http"]
    assert document["paths"]["/pets"]["get"] == {
        "produces": ["application/json"],
        "parameters": [
            {"name": "page", "in": "query", "required": False, "type": "string"},
            {"name": "type", "in": "query", "required": False, "type": "string"},
        ],
        "responses": {
            "200": {
                "description": "200 response",
                "schema": {"$ref": "#/definitions/Pets"},
                "headers": {"Access-Control-Allow-Origin": {"type": "string"}},
            }
        },
    }
    post = document["paths"]["/pets"]["post"]
    assert post["operationId"] == "CreatePet"
    assert post["consumes"] == ["application/json"]
    assert post["parameters"] == [
        {"in": "body", "name": "Pet", "required": True, "schema": {"$ref": "#/definitions/Pet"}}
    ]
    assert document["definitions"] == MODELS


def test_an_openapi_3_document_is_what_aws_writes(cloud):
    api_id = deployed(cloud, kit.swagger(PETS, definitions=MODELS))
    document = exported(cloud, api_id)
    assert document["openapi"] == "3.0.1"
    (server,) = document["servers"]
    assert server["url"].endswith("/{basePath}")
    assert server["variables"] == {"basePath": {"default": "dev"}}
    assert document["paths"]["/pets"]["get"] == {
        "parameters": [
            {"name": "page", "in": "query", "schema": {"type": "string"}},
            {"name": "type", "in": "query", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "200 response",
                "headers": {"Access-Control-Allow-Origin": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pets"}}},
            }
        },
    }
    assert document["paths"]["/pets"]["post"]["requestBody"] == {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}},
        "required": True,
    }
    assert document["paths"]["/pets/{petId}"]["get"] == {
        "parameters": [{"name": "petId", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "200 response", "content": {}}},
    }
    assert document["components"]["schemas"]["Pets"]["items"] == {"$ref": "#/components/schemas/Pet"}


def test_integrations_are_shown_when_they_are_asked_for(cloud):
    api_id = deployed(cloud, kit.swagger(PETS, definitions=MODELS))
    for wanted in ("integrations", "apigateway", "authorizers,integrations"):
        document = exported(cloud, api_id, parameters={"extensions": wanted})
        assert document["paths"]["/pets"]["get"][kit.INTEGRATION] == PETS["/pets"]["get"][kit.INTEGRATION]
    document = exported(cloud, api_id, parameters={"extensions": "authorizers"})
    assert kit.INTEGRATION not in document["paths"]["/pets"]["get"]


def test_authorizers_are_shown_when_they_are_asked_for(cloud):
    schemes = kit.big_rest(three=True)["components"]["securitySchemes"]
    operation = kit.mock(security=[{"token": []}, {"key": []}])
    signed = kit.mock(security=[{"signed": []}])
    document = kit.openapi({"/": {"get": operation, "put": signed}}, components={"securitySchemes": schemes})
    api_id = deployed(cloud, document)
    plain = exported(cloud, api_id)["components"]["securitySchemes"]
    assert plain["token"] == {"type": "apiKey", "name": "Authorization", "in": "header"}
    written = exported(cloud, api_id, parameters=ALL)
    shown = written["components"]["securitySchemes"]
    assert shown["token"] == schemes["token"]
    assert shown["request"] == schemes["request"]
    assert shown["pool"] == schemes["pool"]
    assert shown["api_key"] == schemes["key"]
    assert shown["sigv4"] == schemes["signed"]
    assert written["paths"]["/"]["get"]["security"] == [{"token": []}, {"api_key": []}]
    assert written["paths"]["/"]["put"]["security"] == [{"sigv4": []}]


def test_a_stage_is_exported_as_it_was_deployed(cloud):
    api_id = deployed(cloud, kit.openapi({"/a": {"get": kit.mock()}}))
    body = kit.as_json(kit.openapi({"/b": {"get": kit.mock()}}))
    cloud.client.put_rest_api(restApiId=api_id, mode="overwrite", body=body)
    assert list(exported(cloud, api_id)["paths"]) == ["/a"]


def test_the_answer_is_a_file(cloud):
    api_id = deployed(cloud, kit.openapi({"/": {"get": kit.mock()}}))
    given = {"restApiId": api_id, "stageName": "dev"}
    answer = cloud.client.get_export(**given, exportType="swagger")
    assert answer["contentType"] == "application/octet-stream"
    assert answer["contentDisposition"] == 'attachment; filename="swagger_1.0.json"'
    answer = cloud.client.get_export(**given, exportType="oas30", accepts="application/yaml")
    assert answer["contentDisposition"] == 'attachment; filename="oas30_1.0.yaml"'
    text = answer["body"].read()
    assert yaml.safe_load(text) == read(text) == exported(cloud, api_id)


def test_an_api_without_a_version_has_its_time(cloud):
    api_id, root = cloud.api()
    cloud.mock(api_id, root)
    cloud.client.create_deployment(restApiId=api_id, stageName="dev")
    assert exported(cloud, api_id)["info"]["version"] == "2023-11-14T22:13:20Z"


def test_documentation_is_that_of_the_version_which_the_stage_names(cloud):
    parts = [
        {"location": {"type": "METHOD", "path": "/", "method": "GET"}, "properties": {"description": "it"}}
    ]
    given = {"x-amazon-apigateway-documentation": {"documentationParts": parts}}
    api_id = deployed(cloud, kit.openapi({"/": {"get": kit.mock()}}, **given))
    assert "x-amazon-apigateway-documentation" not in exported(cloud, api_id, parameters=ALL)
    cloud.client.create_documentation_version(restApiId=api_id, documentationVersion="v1", stageName="dev")
    written = exported(cloud, api_id, parameters=ALL)["x-amazon-apigateway-documentation"]
    assert written == {"version": "v1", "createdDate": written["createdDate"], "documentationParts": parts}


def test_resources_without_methods_are_not_lost(cloud):
    api_id = deployed(cloud, kit.openapi({"/a/b": {}, "/c": {"get": kit.mock()}}))
    assert list(exported(cloud, api_id)["paths"]) == ["/a/b", "/c"]


def test_swagger_cannot_say_that_a_body_is_no_json(cloud):
    content = {"application/xml": {"schema": {"$ref": "#/components/schemas/Pet"}}}
    operation = kit.mock(responses={"200": {"description": "x", "content": content}})
    components = {"schemas": {"Pet": {"type": "object"}}}
    api_id = deployed(cloud, kit.openapi({"/pets": {"get": operation}}, components=components))
    assert exported(cloud, api_id)["paths"]["/pets"]["get"]["responses"]["200"]["content"] == content
    code, message = refused(cloud.client.get_export, restApiId=api_id, stageName="dev", exportType="swagger")
    assert code == "BadRequestException"
    assert message.startswith("JSON body models are not found for method 'GET /pets'")


def test_a_model_that_is_no_json_schema_cannot_be_exported_when_it_is_used(cloud):
    api_id, root = cloud.api()
    cloud.client.create_model(restApiId=api_id, name="Xml", contentType="application/xml", schema="<xml/>")
    cloud.mock(api_id, root)
    cloud.client.create_deployment(restApiId=api_id, stageName="dev")
    assert "Xml" not in exported(cloud, api_id)["components"]["schemas"]
    cloud.mock(api_id, root, "PUT", requestModels={"application/xml": "Xml"})
    cloud.client.create_deployment(restApiId=api_id, stageName="dev")
    code, message = refused(cloud.client.get_export, restApiId=api_id, stageName="dev", exportType="oas30")
    assert code == "BadRequestException"
    assert "Xml" in message


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"exportType": "raml"}, "BadRequestException"),
        ({"accepts": "text/html"}, "BadRequestException"),
        ({"parameters": {"extensions": "everything"}}, "BadRequestException"),
        ({"parameters": {"extensions": "postman"}}, "NotImplemented"),
        ({"stageName": "prod"}, "NotFoundException"),
        ({"restApiId": "none"}, "NotFoundException"),
    ],
)
def test_what_cannot_be_exported_is_refused(cloud, more, code):
    api_id = deployed(cloud, kit.openapi({"/": {"get": kit.mock()}}))
    given = {"restApiId": api_id, "stageName": "dev", "exportType": "oas30"} | more
    assert refused(cloud.client.get_export, **given)[0] == code


def test_an_api_made_by_hand_is_exported_and_imported(cloud):
    api_id, root = cloud.api(description="by hand", apiKeySource="AUTHORIZER")
    aws = cloud.client
    authorizer = aws.create_authorizer(
        restApiId=api_id,
        name="sigv4",  # the name that the scheme of signatures has else
        type="REQUEST",
        authorizerUri=FUNCTION_URI,
        identitySource="method.request.header.A,method.request.querystring.b",
    )["id"]
    cloud.method(api_id, root, "GET", authorizationType="CUSTOM", authorizerId=authorizer)
    aws.put_integration(restApiId=api_id, resourceId=root, httpMethod="GET", type="MOCK")
    aws.put_method_response(restApiId=api_id, resourceId=root, httpMethod="GET", statusCode="200")
    aws.put_integration_response(
        restApiId=api_id, resourceId=root, httpMethod="GET", statusCode="200", selectionPattern=""
    )
    cloud.mock(api_id, root, "PUT", authorizationType="AWS_IAM")
    aws.create_deployment(restApiId=api_id, stageName="dev")
    before = cloud.house.contents.definition_of(CALLER, api_id)
    document = exported(cloud, api_id, parameters=ALL)
    assert set(document["components"]["securitySchemes"]) == {"sigv4", "sigv4_"}
    aws.put_rest_api(restApiId=api_id, mode="overwrite", body=kit.as_json(document), failOnWarnings=True)
    after = cloud.house.contents.definition_of(CALLER, api_id)
    assert after.resources == before.resources
    assert after.authorizers == before.authorizers
    assert after.api_key_source == before.api_key_source
    assert set(after.models) == set(before.models)
