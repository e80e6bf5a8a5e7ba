"""What is imported answers: requests through the gateway to APIs that were made of documents."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from tests import openapi_kit as kit
from tests.support import deploy

HELLO = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["pathParameters"])}
"""


@pytest.fixture
def ask(cumulo_empty):
    """Asks an API: status and body."""
    port = urlsplit(cumulo_empty.endpoint).port

    def ask(api_id, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest(method, path, skip_host=True)
        sent = {"Host": f"{api_id}.execute-api.localhost", "Content-Length": str(len(body or b"")), **headers}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    return ask


def person():
    """A body whose schema leads back to itself, as in the recorded test of AWS's validation."""
    at = "#/components/schemas/"
    house = {
        "type": "object",
        "properties": {"contains": {"type": "array", "minItems": 1, "items": {"$ref": at + "Person"}}},
    }
    who = {
        "type": "object",
        "required": ["name", "b"],
        "properties": {"name": {"type": "string"}, "b": {"type": "number"}, "house": {"$ref": at + "House"}},
    }
    operation = kit.mock(
        requestBody={"content": {"application/json": {"schema": {"$ref": at + "Person"}}}, "required": True}
    )
    return kit.openapi(
        {"/person": {"post": operation}},
        components={"schemas": {"Person": who, "House": house}},
        **{
            "x-amazon-apigateway-request-validator": "basic",
            "x-amazon-apigateway-request-validators": {
                "basic": {"validateRequestBody": True, "validateRequestParameters": True}
            },
        },
    )


@pytest.mark.parametrize("again", [False, True])
def test_models_in_circles_are_validated(cumulo_empty, ask, again):
    aws = cumulo_empty.client("apigateway")
    api_id = aws.import_rest_api(body=kit.as_json(person()), failOnWarnings=True)["id"]
    aws.create_deployment(restApiId=api_id, stageName="dev")
    if again:  # as another API, from what the first is exported as
        given = {"restApiId": api_id, "stageName": "dev", "exportType": "oas30"}
        document = aws.get_export(**given, parameters={"extensions": "apigateway"})["body"].read()
        api_id = aws.import_rest_api(body=document, failOnWarnings=True)["id"]
        aws.create_deployment(restApiId=api_id, stageName="dev")

    def post(body):
        return ask(
            api_id, "/dev/person", "POST", json.dumps(body).encode(), **{"Content-Type": "application/json"}
        )

    inner = {"name": "Person2", "b": 3}
    assert post({"name": "Person1", "b": 2, "house": {"contains": [inner]}})[0] == 200
    for wrong in ({"random": "x"}, {"name": "Person1", "b": 2, "house": {"contains": [{"other": 1}]}}):
        status, text = post(wrong)
        assert (status, json.loads(text)) == (400, {"message": "Invalid request body"})


def test_a_function_answers_for_both_kinds(cumulo_empty, ask):
    function = deploy(cumulo_empty.client("lambda"), "hello", HELLO)["FunctionArn"]
    uri = f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/{function}/invocations"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, "payloadFormatVersion": "2.0"}
    document = kit.openapi({"/pets/{id}": {"get": {"responses": {}, kit.INTEGRATION: integration}}})
    rest, http_apis = cumulo_empty.client("apigateway"), cumulo_empty.client("apigatewayv2")
    api_id = rest.import_rest_api(body=kit.as_yaml(document), failOnWarnings=True)["id"]
    rest.create_deployment(restApiId=api_id, stageName="dev")
    assert ask(api_id, "/dev/pets/7") == (200, '{"id": "7"}')
    api_id = http_apis.import_api(Body=kit.as_yaml(document).decode(), FailOnWarnings=True)["ApiId"]
    http_apis.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    assert ask(api_id, "/pets/8") == (200, '{"id": "8"}')
    assert ask(api_id, "/nothing")[0] == 404
