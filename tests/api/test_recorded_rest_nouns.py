"""Answers that AWS gave to the same requests (recorded by LocalStack): APIs, resources, methods, integrations, models."""

import json
from types import SimpleNamespace

import pytest
from tests.recorded_kit import patch, refusal, shown, unchecked

BAD, NOT_FOUND, CONFLICT, INVALID = (
    "BadRequestException", "NotFoundException", "ConflictException", "ValidationException",
)  # fmt: skip
NO_API = "Invalid API identifier specified 000000000000:"
NO_RESOURCE = "Invalid Resource identifier specified"
FAILED = "failed to satisfy constraint: Member must satisfy"
OPS = f"{FAILED} enum value set: [add, remove, move, test, replace, copy]"
STATUS = f"Value 'wrong' at 'statusCode' {FAILED} regular expression pattern: [1-5]\\d\\d"
SCHEMA = json.dumps({"title": "MySchema", "type": "object"})


@pytest.fixture(scope="module")
def aws(cumulo):
    return unchecked(cumulo, "apigateway")


@pytest.fixture
def api(aws):
    """An API whose root has a method ANY without an integration."""
    made = aws.create_rest_api(name="recorded")
    method = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "ANY"}
    aws.put_method(**method, authorizationType="NONE")
    yield SimpleNamespace(id=made["id"], root=made["rootResourceId"], method=method)
    aws.delete_rest_api(restApiId=made["id"])


# -- APIs ---------------------------------------------------------------------------------------------------------


def test_a_new_api_is_shown_without_tags_and_a_read_one_with(aws):
    made = aws.create_rest_api(name="n", description="d", binaryMediaTypes=[])
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = {
        "apiKeySource": "HEADER", "description": "d", "disableExecuteApiEndpoint": False, "name": "n",
        "endpointConfiguration": {"ipAddressType": "ipv4", "types": ["EDGE"]},
    }  # fmt: skip
    assert shown(made, "id", "rootResourceId") == expected
    assert shown(aws.get_rest_api(restApiId=made["id"]), "id", "rootResourceId") == expected | {"tags": {}}


ENDPOINTS = "createRestApiInput.endpointConfiguration"
TYPES = f"Value '[wrong]' at '{ENDPOINTS}.types' {FAILED} constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]"
ADDRESSES = f"Value 'wrong' at '{ENDPOINTS}.ipAddressType' {FAILED} enum value set: [ipv4, dualstack]"


@pytest.mark.parametrize(
    ("members", "code", "sentence"),
    [
        ({"description": ""}, BAD, "Description cannot be an empty string"),
        ({"description": "", "endpointConfiguration": {"types": ["EDGE", "REGIONAL"]}}, BAD, "Description cannot be an empty string"),
        ({"minimumCompressionSize": -1}, BAD, "Invalid minimum compression size, must be between 0 and 10485760"),
        ({"endpointConfiguration": {"types": []}}, BAD, "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED."),
        ({"endpointConfiguration": {"types": ["EDGE", "REGIONAL"]}}, BAD, "Cannot create an api with multiple Endpoint Types."),
        ({"endpointConfiguration": {"types": ["PRIVATE"], "ipAddressType": "ipv4"}}, BAD, "Only dualstack ipAddressType is supported for Private APIs."),
        ({"endpointConfiguration": {"types": ["wrong"]}}, INVALID, f"1 validation error detected: {TYPES}"),
        ({"endpointConfiguration": {"ipAddressType": "wrong", "types": ["wrong"]}}, INVALID, f"2 validation errors detected: {TYPES}; {ADDRESSES}"),
    ],
)  # fmt: skip
def test_an_api_that_cannot_be(aws, members, code, sentence):
    assert refusal(aws.create_rest_api, name="n", **members) == (code, sentence)


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (patch("add", "/binaryMediaTypes", "image/gif"), "Invalid patch path /binaryMediaTypes"),
        (patch("add", "/minimumCompressionSize", "1"), "Invalid patch operation specified. Must be one of: [replace]"),
        (patch("replace", "/minimumCompressionSize", "x"), "Invalid minimum compression size, must be between 0 and 10485760"),
        (patch("copy", "/endpointConfiguration/types/0", "EDGE"), "Invalid patch operation specified. Must be 'add'|'remove'|'replace'"),
        (patch("replace", "/endpointConfiguration/types/EDGE", "wrong"), "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE"),
        (patch("replace", "/endpointConfiguration/ipAddressType", "wrong"), "ipAddressType must be either ipv4 or dualstack."),
    ],
)  # fmt: skip
def test_a_patch_of_an_api_that_cannot_be(aws, api, operation, sentence):
    assert refusal(aws.update_rest_api, restApiId=api.id, patchOperations=[operation]) == (BAD, sentence)


def test_unknown_operations_are_all_told_of(aws, api):
    told = [f"Value 'wrong' at 'updateRestApiInput.patchOperations.{at}.member.op' {OPS}" for at in (1, 2)]
    wrong = [patch("wrong", "/a", "b"), patch("wrong", "/c", "d")]
    assert refusal(aws.update_rest_api, restApiId=api.id, patchOperations=wrong) == (
        INVALID, f"2 validation errors detected: {'; '.join(told)}",
    )  # fmt: skip


# -- resources ----------------------------------------------------------------------------------------------------


def test_where_resources_cannot_be(aws, api):
    def made(parent, part):
        return aws.create_resource(restApiId=api.id, parentId=parent, pathPart=part)["id"]

    pets = made(api.root, "pets")
    inner = made(pets, "inner")
    same = made(inner, "pets")
    greedy = made(api.root, "{proxy+}")

    def moved(resource, op, path, value=None):
        operations = [patch(op, path, value)]
        return refusal(aws.update_resource, restApiId=api.id, resourceId=resource, patchOperations=operations)

    taken = "Another resource with the same parent already has this name: pets"
    assert moved("fake", "replace", "/pathPart", "x") == (NOT_FOUND, NO_RESOURCE)
    assert moved(pets, "replace", "/invalid", "x") == (
        BAD, "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]",
    )  # fmt: skip
    assert moved(pets, "remove", "/pathPart") == (
        BAD, "Invalid patch path  '/pathPart' specified for op 'remove'. Please choose supported operations",
    )  # fmt: skip
    assert moved(same, "replace", "/parentId", api.root) == (CONFLICT, taken)
    assert moved(pets, "replace", "/parentId", inner) == (BAD, "Resources cannot be cyclical.")
    assert moved(api.root, "replace", "/pathPart", "x") == (BAD, "Root resource cannot update its pathPart.")
    for parent, part, sentence in (
        (api.root, "{other}", "A sibling ({proxy+}) of this resource already has a variable path part -- only one is allowed"),
        (greedy, "child", "Cannot create a child of a resource with a greedy path variable: {proxy+}"),
    ):  # fmt: skip
        asked = refusal(aws.create_resource, restApiId=api.id, parentId=parent, pathPart=part)
        assert asked == (BAD, sentence)


# -- methods ------------------------------------------------------------------------------------------------------

NO_AUTHORIZER = (
    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS "
    "requires a valid authorizer."
)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"httpMethod": "WRONG"}, "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY"),
        ({"authorizationType": "CUSTOM"}, NO_AUTHORIZER),
        ({"requestValidatorId": "fake"}, "Invalid Request Validator identifier specified"),
        ({"requestModels": {"application/json": "petModel"}}, "Invalid model identifier specified: petModel"),
        ({"requestParameters": {"method.request.querystring.same": False, "method.request.header.same": False}},
         "Parameter names must be unique across querystring, header and path"),
        ({"requestParameters": {"true": True}},
         "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: true]"),
    ],
)  # fmt: skip
def test_a_method_that_cannot_be(aws, api, members, sentence):
    values = {**api.method, "httpMethod": "GET", "authorizationType": "NONE", **members}
    assert refusal(aws.put_method, **values) == (BAD, sentence)


def test_the_type_of_authorization_is_read_in_any_spelling(aws, api):
    made = aws.put_method(**api.method | {"httpMethod": "PUT"}, authorizationType="none")
    assert made["authorizationType"] == "NONE"


def test_patches_of_a_method(aws, api):
    def changed(*operations):
        return shown(aws.update_method(**api.method, patchOperations=list(operations)))

    plain = {"apiKeyRequired": False, "authorizationType": "NONE", "httpMethod": "ANY"}
    parameter, model = (
        "/requestParameters/method.request.querystring.optional",
        "/requestModels/application~1json",
    )
    assert changed(patch("replace", "/apiKeyRequired", "whatever")) == plain
    assert changed(patch("replace", "/authorizerId", "abc123")) == plain
    assert changed(patch("add", parameter, "true"), patch("add", model, "Empty")) == plain | {
        "requestModels": {"application/json": "Empty"},
        "requestParameters": {"method.request.querystring.optional": True},
    }
    assert changed(patch("remove", parameter, "true"), patch("remove", model, "Empty")) == plain
    for operation, sentence in (
        (patch("add", "/operationName", "x"), "Invalid patch operation specified. Must be one of: [replace]"),
        (patch("add", "/httpMethod", "PUT"), "Invalid patch path /httpMethod"),
        (patch("replace", "/authorizationType", "CUSTOM"), NO_AUTHORIZER),
    ):
        assert refusal(aws.update_method, **api.method, patchOperations=[operation]) == (BAD, sentence)


def test_method_responses(aws, api):
    where = {**api.method, "statusCode": "201"}
    made = aws.put_method_response(**where, responseParameters={}, responseModels={})
    assert shown(made) == {"statusCode": "201", "responseParameters": {}, "responseModels": {}}
    for path, code, sentence in (
        ("/responseParameters/method.response.header.a", NOT_FOUND, "Invalid parameter name specified"),
        ("/responseModels/application~1json", NOT_FOUND, "Content-Type specified was not found"),
        ("/wrong/a", BAD, "Invalid patch path /wrong/a"),
    ):
        operations = [patch("remove", path, "true")]
        assert refusal(aws.update_method_response, **where, patchOperations=operations) == (code, sentence)
    both = refusal(
        aws.update_method_response, **where | {"statusCode": "wrong"}, patchOperations=[patch("wrong", "/a")]
    )
    body = f"Value 'wrong' at 'updateMethodResponseInput.patchOperations.1.member.op' {OPS}"
    assert both == (INVALID, f"2 validation errors detected: {body}; {STATUS}")


# -- integrations -------------------------------------------------------------------------------------------------


def test_what_kinds_of_integrations_are_shown(aws, api):
    common = {
        "cacheKeyParameters": [], "cacheNamespace": api.root, "passthroughBehavior": "WHEN_NO_MATCH",
        "timeoutInMillis": 29000,
    }  # fmt: skip
    uri = "http://example.com"
    mock = aws.put_integration(**api.method, type="MOCK", uri=uri)
    assert shown(mock) == common | {"type": "MOCK"}
    there = aws.put_integration(**api.method, type="HTTP", uri=uri, integrationHttpMethod="POST")
    assert shown(there) == common | {
        "type": "HTTP", "uri": uri, "httpMethod": "POST", "connectionType": "INTERNET",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("members", "code", "sentence"),
    [
        ({"type": "HTTPS"}, INVALID, f"1 validation error detected: Value 'HTTPS' at 'putIntegrationInput.type' {FAILED} enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]"),
        ({"type": "HTTP", "uri": "x", "integrationHttpMethod": "GET"}, BAD, "Invalid HTTP endpoint specified for URI"),
        ({"type": "AWS", "uri": "x", "integrationHttpMethod": "GET"}, BAD, "Invalid ARN specified in the request"),
        ({"type": "AWS", "uri": "arn:aws:iam::0000000000:role/x", "integrationHttpMethod": "GET"}, BAD, "AWS ARN for integration must contain path or action"),
        ({"type": "HTTP", "uri": "http://example.com"}, BAD, "Enumeration value for HttpMethod must be non-empty"),
        ({"type": "HTTP_PROXY", "requestParameters": {"a": True}}, "SerializationException", "class java.lang.Boolean can not be converted to an String"),
        ({"type": "MOCK", "timeoutInMillis": 49}, BAD, "Timeout should be between 50 ms and 29000 ms"),
        ({"type": "AWS_PROXY", "uri": "arn:aws:apigateway:us-east-1:s3:path/b/k", "integrationHttpMethod": "POST", "credentials": "arn:aws:iam::000000000000:role/x"},
         BAD, "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations."),
    ],
)  # fmt: skip
def test_an_integration_that_cannot_be(aws, api, members, code, sentence):
    assert refusal(aws.put_integration, **api.method, **members) == (code, sentence)


@pytest.mark.parametrize("template", ["", None])
def test_an_empty_template_of_an_answer_is_none(aws, api, template):
    aws.put_integration(**api.method, type="MOCK")
    made = aws.put_integration_response(
        **api.method, statusCode="200", responseTemplates={"application/json": template}, selectionPattern=""
    )
    assert shown(made) == {
        "responseTemplates": {"application/json": None}, "selectionPattern": "", "statusCode": "200",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("members", "code", "sentence"),
    [
        ({"responseTemplates": {"application/json": 123}}, "SerializationException",
         "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"),
        ({"responseTemplates": {"123": "{}"}}, BAD, "Validation Result: warnings : [], errors : [Invalid content type specified: 123]"),
        ({"statusCode": "wrong"}, INVALID, f"1 validation error detected: {STATUS}"),
        ({"httpMethod": "wrong-method"}, NOT_FOUND, "Invalid Method identifier specified"),
        ({"resourceId": "wrong"}, NOT_FOUND, NO_RESOURCE),
    ],
)  # fmt: skip
def test_an_answer_of_an_integration_that_cannot_be(aws, api, members, code, sentence):
    aws.put_integration(**api.method, type="MOCK")
    values = {**api.method, "statusCode": "200", **members}
    assert refusal(aws.put_integration_response, **values) == (code, sentence)


# -- models, gateway responses, documentation -----------------------------------------------------------------------


def test_models(aws, api):
    where = {"restApiId": api.id, "contentType": "application/json", "description": ""}
    made = aws.create_model(**where, name="MySchema", schema=SCHEMA)
    assert shown(made, "id") == {
        "contentType": "application/json", "name": "MySchema", "schema": SCHEMA,
    }  # fmt: skip
    asked = refusal(aws.create_model, **where, name="MySchema", schema=SCHEMA)
    assert asked == (CONFLICT, "Model name already exists for this REST API")
    assert refusal(aws.create_model, **where, name="", schema=SCHEMA) == (
        BAD,
        "Model name must be non-empty",
    )
    empty = (BAD, "Model schema must have at least 1 property or array items defined")
    assert refusal(aws.create_model, **where, name="Other", schema="") == empty
    aws.update_method(
        **api.method, patchOperations=[patch("add", "/requestModels/application~1json", "MySchema")]
    )
    assert refusal(aws.delete_model, restApiId=api.id, modelName="MySchema") == (
        CONFLICT, "Cannot delete model 'MySchema', is referenced in method request: //ANY",
    )  # fmt: skip


def test_gateway_responses(aws, api):
    where = {"restApiId": api.id, "responseType": "DEFAULT_4XX"}
    asked = refusal(aws.delete_gateway_response, **where)
    assert asked == (NOT_FOUND, "Gateway response type not defined on api")
    made = aws.update_gateway_response(**where, patchOperations=[patch("replace", "/statusCode", "444")])
    assert shown(made) == {
        "defaultResponse": False, "responseParameters": {}, "responseType": "DEFAULT_4XX", "statusCode": "444",
        "responseTemplates": {"application/json": '{"message":$context.error.messageString}'},
    }  # fmt: skip
    for operation, sentence in (
        ({"op": "add", "value": "x"}, "Invalid patch path null"),
        (patch("add", "/wrong", "x"), "Invalid patch path /wrong"),
        (patch("replace", "/responseTemplates/application~1xml"), "Invalid null or empty value in responseTemplates"),
    ):  # fmt: skip
        assert refusal(aws.update_gateway_response, **where, patchOperations=[operation]) == (BAD, sentence)


def test_choices_stand_in_the_order_that_aws_gives_them(aws, api):
    asked = refusal(
        aws.create_documentation_part, restApiId=api.id, location={"type": "INVALID"}, properties="{}"
    )
    assert asked == (
        INVALID,
        f"1 validation error detected: Value 'INVALID' at 'createDocumentationPartInput.location.type' {FAILED} "
        "enum value set: [RESPONSE_BODY, RESPONSE, METHOD, MODEL, AUTHORIZER, RESPONSE_HEADER, RESOURCE, "
        "PATH_PARAMETER, REQUEST_BODY, QUERY_PARAMETER, API, REQUEST_HEADER]",
    )


def test_what_is_asked_of_an_api_that_is_not_there(aws):
    assert refusal(aws.get_rest_api, restApiId="nope") == (NOT_FOUND, f"{NO_API}nope")
    assert refusal(aws.get_authorizers, restApiId="nope") == (NOT_FOUND, f"{NO_API}nope")
    asked = refusal(aws.get_integration, restApiId="nope", resourceId="x", httpMethod="GET")
    assert asked == (NOT_FOUND, NO_RESOURCE)
    asked = refusal(aws.create_request_validator, restApiId="nope", name="n")
    assert asked == (BAD, "Invalid REST API identifier specified")
