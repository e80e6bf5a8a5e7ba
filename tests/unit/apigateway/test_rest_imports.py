"""REST APIs from OpenAPI documents, as AWS's answers to the same were recorded (LocalStack's snapshots)."""

import json

import pytest
from tests import openapi_kit as kit
from tests.unit.apigateway.rest_kit import ACCOUNT, FUNCTION_URI, REGION, plain, refused

INTEGRATION = kit.INTEGRATION


def imported(cloud, document, **more):
    """The id of an API that a document makes."""
    body = document if isinstance(document, bytes) else kit.as_json(document)
    return cloud.client.import_rest_api(body=body, failOnWarnings=True, **more)["id"]


def paths(cloud, api_id):
    """Paths to the names of their methods."""
    items = cloud.client.get_resources(restApiId=api_id, limit=500)["items"]
    return {one["path"]: sorted(one.get("resourceMethods", ())) for one in items}


def method(cloud, api_id, path, name="GET"):
    items = cloud.client.get_resources(restApiId=api_id, limit=500)["items"]
    resource_id = next(one["id"] for one in items if one["path"] == path)
    return plain(cloud.client.get_method(restApiId=api_id, resourceId=resource_id, httpMethod=name))


def models(cloud, api_id):
    return {one["name"]: one for one in cloud.client.get_models(restApiId=api_id, limit=500)["items"]}


# -- the API ---------------------------------------------------------------------------------------------------


def test_an_api_is_made_of_a_document(cloud):
    document = kit.swagger({"/pets": {"get": kit.mock()}})
    document["info"]["description"] = "all pets"
    made = plain(cloud.client.import_rest_api(body=kit.as_json(document)))
    assert made == plain(made) | {
        "name": "pets",
        "version": "1.0",
        "description": "all pets",
        "apiKeySource": "HEADER",
        "disableExecuteApiEndpoint": False,
        "endpointConfiguration": {"types": ["EDGE"], "ipAddressType": "ipv4"},
    }
    assert "warnings" not in made
    assert paths(cloud, made["id"]) == {"/": [], "/pets": ["GET"]}
    assert models(cloud, made["id"]) == {}  # not even AWS's Empty and Error


def test_what_is_imported_survives_and_answers(cloud):
    api_id = imported(cloud, kit.openapi({"/pets": {"get": kit.mock()}}))
    cloud.client.create_deployment(restApiId=api_id, stageName="dev")
    cloud.reopen()
    assert paths(cloud, api_id) == {"/": [], "/pets": ["GET"]}
    assert cloud.compiled(api_id, "dev").definition.name == "pets"


def test_settings_come_from_extensions(cloud):
    document = kit.openapi(
        {},
        servers=[
            {
                "url": "/",
                "x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": True},
            }
        ],
        tags=[{"name": "team", "x-amazon-apigateway-tag-value": "pets"}, {"name": "other"}],
        **{
            "x-amazon-apigateway-binary-media-types": ["*/*"],
            "x-amazon-apigateway-minimum-compression-size": 0,
            "x-amazon-apigateway-api-key-source": "AUTHORIZER",
            "x-amazon-apigateway-security-policy": "TLS_1_2",
        },
    )
    made = cloud.client.import_rest_api(body=kit.as_json(document), failOnWarnings=True)
    assert made["binaryMediaTypes"] == ["*/*"]
    assert made["minimumCompressionSize"] == 0
    assert made["apiKeySource"] == "AUTHORIZER"
    assert made["disableExecuteApiEndpoint"] is True
    assert made["securityPolicy"] == "TLS_1_2"
    assert made["tags"] == {"team": "pets"}


def test_endpoints_come_from_parameters(cloud):
    given = {"endpointConfigurationTypes": "REGIONAL"}
    made = cloud.client.import_rest_api(body=kit.as_json(kit.openapi({})), parameters=given)
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    code, message = refused(
        cloud.client.import_rest_api,
        body=kit.as_json(kit.openapi({})),
        parameters={"endpointConfigurationTypes": "LOCAL"},
    )
    assert code == "BadRequestException"
    assert message.startswith("Invalid EndpointTypes")


def test_a_policy_is_kept_with_its_short_arns_written_out(cloud):
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "execute-api:Invoke",
        "Resource": "execute-api:/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    made = cloud.client.import_rest_api(
        body=kit.as_json(kit.swagger({}, **{"x-amazon-apigateway-policy": policy}))
    )
    kept = json.loads(json.loads(f'"{made["policy"]}"'))
    assert kept["Statement"][0]["Resource"] == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{made['id']}/*"


def test_variables_of_aws_are_filled_in(cloud):
    uri = (
        "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:hello/invocations"
    )
    operation = {"responses": {}, INTEGRATION: {"type": "aws_proxy", "httpMethod": "post", "uri": uri}}
    api_id = imported(cloud, kit.openapi({"/": {"get": operation}}))
    integration = method(cloud, api_id, "/")["methodIntegration"]
    assert integration["uri"] == FUNCTION_URI
    assert integration["httpMethod"] == "POST"


# -- paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "path"), [("ignore", "/test"), ("prepend", "/base/part/test"), ("split", "/part/test")]
)
@pytest.mark.parametrize(
    "document",
    [
        kit.swagger({"/test": {"get": kit.mock()}}, basePath="/base/part"),
        kit.openapi({"/test": {"get": kit.mock()}}, servers=[{"url": "https://x.example/base/part/"}]),
    ],
)
def test_the_base_path_is_ignored_prepended_or_split(cloud, document, mode, path):
    api_id = imported(cloud, document, parameters={"basepath": mode})
    assert paths(cloud, api_id)[path] == ["GET"]


def test_all_methods_and_any_are_taken(cloud):
    names = ("get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method")
    api_id = imported(cloud, kit.openapi({"/a/{proxy+}": {name: kit.mock() for name in names}}))
    assert paths(cloud, api_id) == {
        "/": [],
        "/a": [],
        "/a/{proxy+}": ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
    }


def test_variables_of_the_path_are_parameters_though_nobody_says_so(cloud):
    api_id = imported(cloud, kit.swagger({"/a/{id}/{proxy+}": {"get": kit.mock()}}))
    assert method(cloud, api_id, "/a/{id}/{proxy+}")["requestParameters"] == {
        "method.request.path.id": True,
        "method.request.path.proxy": True,
    }


def test_paths_that_cannot_be_together_are_refused(cloud):
    given = {"/pets/{id}": {"get": kit.mock()}, "/pets/{name}/x": {"get": kit.mock()}}
    code, message = refused(cloud.client.import_rest_api, body=kit.as_json(kit.openapi(given)))
    assert code == "BadRequestException"
    assert message == (
        "Errors found during import:\n\tUnable to create resource at path '/pets/{name}': A sibling ({id}) of this "
        "resource already has a variable path part -- only one is allowed"
    )
    assert cloud.client.get_rest_apis()["items"] == []


def test_too_many_paths_are_refused(cloud):
    given = {f"/p{number}": {} for number in range(301)}
    code, message = refused(cloud.client.import_rest_api, body=kit.as_json(kit.openapi(given)))
    assert code == "LimitExceededException"
    assert message.startswith("Maximum number of resources")


# -- methods ---------------------------------------------------------------------------------------------------


def test_a_method_has_its_parameters_answers_and_name(cloud):
    operation = kit.mock(
        operationId="listPets",
        parameters=[
            {"in": "query", "name": "page", "schema": {"type": "string"}},
            {"in": "header", "name": "X-Who", "required": True, "schema": {"type": "string"}},
        ],
        responses={
            "200": {
                "description": "fine",
                "headers": {"X-Next": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pets"}}},
            },
            "default": {"description": "whatever"},
        },
    )
    schemas = {"Pets": {"type": "array"}}
    api_id = imported(cloud, kit.openapi({"/": {"get": operation}}, components={"schemas": schemas}))
    found = method(cloud, api_id, "/")
    assert found["operationName"] == "listPets"
    assert found["requestParameters"] == {
        "method.request.querystring.page": False,
        "method.request.header.X-Who": True,
    }
    assert found["methodResponses"] == {
        "200": {
            "statusCode": "200",
            "responseParameters": {"method.response.header.X-Next": False},
            "responseModels": {"application/json": "Pets"},
        }
    }


def test_an_integration_is_read_as_aws_reads_it(cloud):
    operation = kit.mock()
    operation[INTEGRATION] = {
        "type": "mock",
        "httpMethod": "POST",
        "passthroughBehavior": "when_no_templates",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {
            "default": {"statusCode": 200, "responseTemplates": {"application/json": "{}\n"}},
            "5\\d{2}": {"statusCode": "500", "contentHandling": "CONVERT_TO_TEXT"},
        },
    }
    document = {
        "openapi": "3.0.1",
        "info": {"title": "x", "version": 2.0},
        "paths": {"/test": {"get": operation}},
    }
    api_id = imported(cloud, kit.as_yaml(document))
    integration = method(cloud, api_id, "/test")["methodIntegration"]
    items = cloud.client.get_resources(restApiId=api_id)["items"]
    assert integration == {
        "type": "MOCK",  # and no method: there is nobody to call
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "passthroughBehavior": "WHEN_NO_TEMPLATES",
        "timeoutInMillis": 29000,
        "cacheNamespace": next(one["id"] for one in items if one["path"] == "/test"),
        "cacheKeyParameters": [],
        "integrationResponses": {
            "200": {"statusCode": "200", "responseTemplates": {"application/json": "{}\n"}},
            "500": {
                "statusCode": "500",
                "selectionPattern": "5\\d{2}",
                "contentHandling": "CONVERT_TO_TEXT",
            },
        },
    }


def test_a_mapping_that_is_no_text_is_a_warning(cloud):
    operation = kit.mock()
    operation[INTEGRATION]["requestParameters"] = {
        "integration.request.header.nothing": True,
        "integration.request.header.good": "'True'",
    }
    body = kit.as_json(kit.openapi({"/test": {"get": operation}}))
    made = cloud.client.import_rest_api(body=body)
    sentence = (
        "Invalid format for 'requestParameters'. Expected type string for property "
        "'integration.request.header.nothing' of resource '/test' and method 'GET' but got 'true'"
    )
    assert made["warnings"] == [sentence]
    found = method(cloud, made["id"], "/test")["methodIntegration"]["requestParameters"]
    assert found == {"integration.request.header.good": "'True'"}
    code, message = refused(cloud.client.import_rest_api, body=body, failOnWarnings=True)
    assert (code, message) == ("BadRequestException", f"Warnings found during import:\n\t{sentence}")


@pytest.mark.parametrize(
    "given", ["text", [], {}, {"type": 7}, {"type": "smtp"}, {"type": "http", "uri": {"Fn::Sub": "x"}}]
)
def test_an_integration_that_is_none_is_refused(cloud, given):
    document = kit.openapi({"/pets": {"get": {"responses": {}, INTEGRATION: given}}})
    code, message = refused(cloud.client.import_rest_api, body=kit.as_json(document))
    assert code == "BadRequestException"
    assert message == "Unable to parse API definition because of a malformed integration at path /pets."


def test_every_integration_that_cannot_be_is_named(cloud):
    def calling(uri):
        return {"responses": {}, INTEGRATION: {"type": "http_proxy", "httpMethod": "GET", "uri": uri}}

    given = {"/": {"get": calling("nowhere")}, "/{proxy+}": {"x-amazon-apigateway-any-method": calling("")}}
    _, message = refused(cloud.client.import_rest_api, body=kit.as_json(kit.swagger(given)))
    assert message == (
        "Errors found during import:"
        "\n\tUnable to put integration on 'GET' for resource at path '/': Invalid HTTP endpoint specified for URI"
        "\n\tUnable to put integration on 'ANY' for resource at path '/{proxy+}': Invalid HTTP endpoint specified for URI"
    )


def test_a_mapping_from_what_is_not_declared_is_refused(cloud):
    operation = kit.mock()
    operation[INTEGRATION]["requestParameters"] = {"integration.request.header.A": "method.request.header.A"}
    _, message = refused(
        cloud.client.import_rest_api, body=kit.as_json(kit.openapi({"/": {"get": operation}}))
    )
    assert message == (
        "Errors found during import:\n\tUnable to put integration on 'GET' for resource at path '/': Invalid mapping "
        "expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter "
        "specified: method.request.header.A]"
    )


def test_validators_are_those_of_the_operation_or_of_all(cloud):
    document = kit.openapi(
        {
            "/a": {"get": kit.mock()},
            "/b": {"get": kit.mock(**{"x-amazon-apigateway-request-validator": "params"})},
        },
        **{
            "x-amazon-apigateway-request-validator": "all",
            "x-amazon-apigateway-request-validators": {
                "all": {"validateRequestBody": True, "validateRequestParameters": True},
                "params": {"validateRequestParameters": True},
            },
        },
    )
    api_id = imported(cloud, document)
    items = cloud.client.get_request_validators(restApiId=api_id)["items"]
    ids = {one["name"]: one["id"] for one in items}
    assert method(cloud, api_id, "/a")["requestValidatorId"] == ids["all"]
    assert method(cloud, api_id, "/b")["requestValidatorId"] == ids["params"]
    assert next(one for one in items if one["name"] == "params")["validateRequestBody"] is False


def test_gateway_responses_are_completed(cloud):
    given = {
        "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.X": "'a'"}},
        "THROTTLED": {"statusCode": 503},
    }
    api_id = imported(cloud, kit.swagger({}, **{"x-amazon-apigateway-gateway-responses": given}))
    found = plain(cloud.client.get_gateway_response(restApiId=api_id, responseType="THROTTLED"))
    assert found["statusCode"] == "503"
    assert found["responseTemplates"] == {"application/json": '{"message":$context.error.messageString}'}
    assert found["defaultResponse"] is False
    code, message = refused(
        cloud.client.import_rest_api,
        body=kit.as_json(kit.swagger({}, **{"x-amazon-apigateway-gateway-responses": {"NONE": {}}})),
    )
    assert code == "BadRequestException"
    assert "Unable to put gateway response 'NONE'" in message


# -- models ----------------------------------------------------------------------------------------------------


def test_models_refer_to_one_another_in_circles(cloud):
    at = "#/components/schemas/"
    schemas = {
        "Person": {"type": "object", "description": "who", "properties": {"house": {"$ref": at + "House"}}},
        "House": {
            "type": "object",
            "properties": {"who": {"type": "array", "items": {"$ref": at + "Person"}}},
        },
    }
    operation = kit.mock(
        requestBody={"content": {"application/json": {"schema": {"$ref": at + "Person"}}}, "required": True}
    )
    api_id = imported(cloud, kit.openapi({"/": {"post": operation}}, components={"schemas": schemas}))
    found = models(cloud, api_id)
    assert set(found) == {"Person", "House"}
    assert found["Person"]["description"] == "who"
    assert found["Person"]["contentType"] == "application/json"
    assert json.loads(found["Person"]["schema"])["properties"]["house"] == {
        "$ref": f"https://apigateway.amazonaws.com/restapis/{api_id}/models/House"
    }
    assert method(cloud, api_id, "/", "POST")["requestModels"] == {"application/json": "Person"}


def test_schemas_without_a_name_become_models(cloud):
    inline = {"type": "object", "properties": {"a": {"type": "string"}}}
    many = {"type": "array", "items": {"$ref": "#/definitions/Pet"}}
    operation = kit.mock(
        parameters=[{"in": "body", "name": "it", "schema": inline}],
        responses={
            "200": {"description": "x", "schema": many},
            "201": {"description": "x", "schema": inline},
        },
    )
    api_id = imported(cloud, kit.swagger({"/": {"post": operation}}, definitions={"Pet": {"type": "object"}}))
    found = method(cloud, api_id, "/", "POST")
    (name,) = found["requestModels"].values()
    assert name.startswith("MODEL")
    assert found["methodResponses"]["200"]["responseModels"] == {"application/json": "ArrayOfPet"}
    assert found["methodResponses"]["201"]["responseModels"] == {"application/json": name}
    assert set(models(cloud, api_id)) == {"Pet", "ArrayOfPet", name}


def test_what_is_no_model_is_left_out_with_a_warning(cloud):
    def answering(schema):
        return kit.mock(
            responses={"201": {"description": "x", "content": {"application/json": {"schema": schema}}}}
        )

    given = {
        "/events": {
            "post": answering({"type": "string"}),
            "get": answering({"$ref": "#/components/schemas/No"}),
        }
    }
    made = cloud.client.import_rest_api(body=kit.as_json(kit.openapi(given)))
    assert made["warnings"] == [
        "Unsupported model type 'StringSchema' in 201 response to method 'POST /events'. Ignoring.",
        "Reference to model 'No' not found. Ignoring.",
    ]


def test_a_model_that_cannot_be_is_refused(cloud):
    body = kit.as_json(kit.swagger({}, definitions={"My_Pet": {"type": "object"}}))
    _, message = refused(cloud.client.import_rest_api, body=body)
    assert message == (
        "Errors found during import:\n\tUnable to create model for 'My_Pet': Model name must be alphanumeric: My_Pet"
    )


# -- security --------------------------------------------------------------------------------------------------


def scheme(kind, *, name="Authorization", place="header", authtype="custom", **more):
    given = {"type": kind, **more}
    return {
        "type": "apiKey",
        "name": name,
        "in": place,
        "x-amazon-apigateway-authtype": authtype,
        "x-amazon-apigateway-authorizer": given,
    }


def test_authorizers_are_made_of_schemes_used_or_not(cloud):
    schemes = {
        "token": scheme(
            "token", authtype="oauth2", authorizerUri=FUNCTION_URI, authorizerResultTtlInSeconds=60
        ),
        "query": scheme("request", name="auth", place="query", authorizerUri=FUNCTION_URI),
        "unused": scheme("token", authorizerUri=FUNCTION_URI),
    }
    api_id = imported(
        cloud,
        kit.swagger({"/": {"get": kit.mock(security=[{"token": []}])}}, securityDefinitions=schemes),
    )
    items = {one["name"]: one for one in cloud.client.get_authorizers(restApiId=api_id)["items"]}
    assert set(items) == {"token", "query", "unused"}
    assert items["token"] == {
        "id": items["token"]["id"],
        "name": "token",
        "type": "TOKEN",
        "authType": "oauth2",
        "authorizerUri": FUNCTION_URI,
        "identitySource": "method.request.header.Authorization",
        "authorizerResultTtlInSeconds": 60,
    }
    assert items["query"]["identitySource"] == "method.request.querystring.auth"
    found = method(cloud, api_id, "/")
    assert (found["authorizationType"], found["authorizerId"]) == ("CUSTOM", items["token"]["id"])


def test_the_security_of_all_is_under_that_of_an_operation(cloud):
    arn = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{REGION}_ABC123"
    pool = scheme("cognito_user_pools", name="Who", authtype="cognito_user_pools", providerARNs=[arn])
    document = kit.openapi(
        {
            "/pets": {"get": kit.mock()},
            "/no-scope": {"get": kit.mock(security=[{"pool": []}])},
            "/scopes": {"get": kit.mock(security=[{"pool": ["email", "openid"]}])},
            "/open": {"get": kit.mock(security=[])},
        },
        components={"securitySchemes": {"pool": pool}},
        security=[{"pool": ["email"]}],
    )
    api_id = imported(cloud, document)
    found = {path: method(cloud, api_id, path) for path in ("/pets", "/no-scope", "/scopes", "/open")}
    assert {path: one["authorizationType"] for path, one in found.items()} == {
        "/pets": "COGNITO_USER_POOLS",
        "/no-scope": "COGNITO_USER_POOLS",
        "/scopes": "COGNITO_USER_POOLS",
        "/open": "NONE",
    }
    assert found["/pets"]["authorizationScopes"] == ["email"]
    assert "authorizationScopes" not in found["/no-scope"]
    assert found["/scopes"]["authorizationScopes"] == ["email", "openid"]


def test_keys_and_signatures(cloud):
    schemes = {
        "key": {"type": "apiKey", "name": "X-Api-Key", "in": "header"},
        "sigv4": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        },
    }
    document = kit.openapi(
        {
            "/key": {"get": kit.mock(security=[{"key": []}])},
            "/both": {"get": kit.mock(security=[{"sigv4": []}, {"key": []}])},
            "/auth": {"get": kit.mock(**{"x-amazon-apigateway-auth": {"type": "AWS_IAM"}})},
        },
        components={"securitySchemes": schemes},
    )
    api_id = imported(cloud, document)
    found = [method(cloud, api_id, path) for path in ("/key", "/both", "/auth")]
    assert [(one["authorizationType"], one["apiKeyRequired"]) for one in found] == [
        ("NONE", True),
        ("AWS_IAM", True),
        ("AWS_IAM", False),
    ]


def test_a_scheme_that_there_is_not_opens_nothing(cloud):
    body = kit.as_json(kit.openapi({"/": {"get": kit.mock(security=[{"who": []}])}}))
    code, message = refused(cloud.client.import_rest_api, body=body)
    assert code == "BadRequestException"
    assert "Security scheme 'who' is not defined" in message


def test_schemes_that_aws_does_not_have_are_warnings(cloud):
    schemes = {"basic": {"type": "http", "scheme": "basic"}, "oauth": {"type": "oauth2", "flows": {}}}
    made = cloud.client.import_rest_api(
        body=kit.as_json(kit.openapi({"/": {"get": kit.mock()}}, components={"securitySchemes": schemes}))
    )
    assert made["warnings"] == [
        "Unsupported security definition type 'http' for 'basic'. Ignoring.",
        "Unsupported security definition type 'oauth2' for 'oauth'. Ignoring.",
    ]


# -- put -------------------------------------------------------------------------------------------------------


def test_overwriting_leaves_nothing_but_the_ids(cloud):
    api_id, root = cloud.api(binaryMediaTypes=["image/heif"])
    old = cloud.client.create_resource(restApiId=api_id, parentId=root, pathPart="old")["id"]
    pets = cloud.client.create_resource(restApiId=api_id, parentId=root, pathPart="pets")["id"]
    cloud.mock(api_id, pets)
    document = kit.openapi(
        {"/pets": {"post": kit.mock()}}, **{"x-amazon-apigateway-binary-media-types": ["image/png"]}
    )
    document["info"]["title"] = "new"
    made = plain(cloud.client.put_rest_api(restApiId=api_id, mode="overwrite", body=kit.as_json(document)))
    assert (made["id"], made["rootResourceId"], made["name"]) == (api_id, root, "new")
    assert made["binaryMediaTypes"] == ["image/png"]
    assert made["tags"] == {}
    assert paths(cloud, api_id) == {"/": [], "/pets": ["POST"]}
    items = cloud.client.get_resources(restApiId=api_id)["items"]
    assert next(one["id"] for one in items if one["path"] == "/pets") == pets
    assert old not in {one["id"] for one in items}
    assert models(cloud, api_id) == {}


@pytest.mark.parametrize("mode", [{}, {"mode": "merge"}])
def test_merging_keeps_what_the_document_does_not_say(cloud, mode):
    api_id, root = cloud.api(binaryMediaTypes=["image/heif"], description="old")
    pets = cloud.client.create_resource(restApiId=api_id, parentId=root, pathPart="pets")["id"]
    cloud.mock(api_id, pets)
    cloud.mock(api_id, pets, "PUT", apiKeyRequired=True)
    operation = kit.mock(
        requestBody={"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    )
    document = kit.openapi(
        {"/pets": {"put": operation}, "/more": {"get": kit.mock()}},
        **{"x-amazon-apigateway-binary-media-types": ["image/png", "image/jpg"]},
    )
    made = cloud.client.put_rest_api(
        restApiId=api_id, body=kit.as_json(document), failOnWarnings=True, **mode
    )
    assert made["binaryMediaTypes"] == ["image/heif", "image/png", "image/jpg"]
    assert made["description"] == "old"
    assert paths(cloud, api_id) == {"/": [], "/more": ["GET"], "/pets": ["GET", "PUT"]}
    found = method(cloud, api_id, "/pets", "PUT")
    assert found["apiKeyRequired"] is False
    assert found["requestModels"] == {"application/json": "Error"}  # a model that the API had already
    assert set(models(cloud, api_id)) == {"Empty", "Error"}


@pytest.mark.parametrize("mode", ["merge", "overwrite"])
def test_a_document_that_is_refused_changes_nothing(cloud, mode):
    api_id, root = cloud.api()
    cloud.mock(api_id, root)
    before = plain(cloud.client.get_rest_api(restApiId=api_id))
    bad = kit.openapi({"/pets": {"get": {"responses": {}, INTEGRATION: {"type": "http", "uri": "x"}}}})
    assert refused(cloud.client.put_rest_api, restApiId=api_id, mode=mode, body=kit.as_json(bad))
    assert refused(cloud.client.put_rest_api, restApiId=api_id, mode=mode, body=b"no document")
    assert plain(cloud.client.get_rest_api(restApiId=api_id)) == before
    assert paths(cloud, api_id) == {"/": ["GET"]}


def test_an_api_that_is_not_there_cannot_be_put(cloud):
    code, message = refused(cloud.client.put_rest_api, restApiId="none", body=b"{}")
    assert (code, message) == ("NotFoundException", f"Invalid API identifier specified {ACCOUNT}:none")


# -- documentation ---------------------------------------------------------------------------------------------


def documented(*descriptions):
    parts = [
        {
            "location": {"type": "METHOD", "path": f"/{number}", "method": "GET"},
            "properties": {"description": text},
        }
        for number, text in enumerate(descriptions)
    ]
    return {"x-amazon-apigateway-documentation": {"version": "1", "documentationParts": parts}}


def said(cloud, api_id):
    items = cloud.client.get_documentation_parts(restApiId=api_id)["items"]
    return sorted(
        (one["location"].get("path"), json.loads(one["properties"])["description"]) for one in items
    )


def test_documentation_is_imported_unless_it_shall_not(cloud):
    document = kit.openapi({}, **documented("first", "second"))
    assert said(cloud, imported(cloud, document)) == [("/0", "first"), ("/1", "second")]
    assert said(cloud, imported(cloud, document, parameters={"ignore": "documentation"})) == []


def test_documentation_is_merged_or_overwritten(cloud):
    api_id = imported(cloud, kit.openapi({}, **documented("first", "second")))
    body = kit.as_json(kit.openapi({}, **documented("new")))
    made = cloud.client.import_documentation_parts(restApiId=api_id, mode="merge", body=body)
    assert len(made["ids"]) == 1
    assert said(cloud, api_id) == [("/0", "new"), ("/1", "second")]
    again = cloud.client.import_documentation_parts(restApiId=api_id, mode="overwrite", body=body)
    assert again["ids"] == made["ids"]
    assert said(cloud, api_id) == [("/0", "new")]


def test_documentation_that_is_none_is_a_warning(cloud):
    api_id, _ = cloud.api()
    parts = [
        {"location": {"type": "NOTHING"}, "properties": {}},
        7,
        {"location": {"type": "API"}, "properties": "x"},
    ]
    body = kit.as_json({"x-amazon-apigateway-documentation": {"documentationParts": parts}})
    made = cloud.client.import_documentation_parts(restApiId=api_id, body=body)
    assert made["ids"] == []
    assert len(made["warnings"]) == 3
    assert refused(cloud.client.import_documentation_parts, restApiId=api_id, body=body, failOnWarnings=True)
