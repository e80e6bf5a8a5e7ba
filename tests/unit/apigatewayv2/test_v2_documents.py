"""HTTP APIs from OpenAPI documents, and as such."""

import json

import pytest
import yaml
from botocore.exceptions import ClientError
from tests import openapi_kit as kit
from tests.unit.apigatewayv2.v2_api import ACCOUNT, INVOKE, REGION, ROLE

from cumulo.gateway.openapi.texts import read

INTEGRATION = kit.INTEGRATION
BACKEND = {
    "type": "http_proxy",
    "httpMethod": "GET",
    "uri": "https://backend.example",
    "payloadFormatVersion": "1.0",
}


def calling(**more):
    """An operation that calls a backend."""
    return {"responses": {"default": {"description": "all"}}, INTEGRATION: BACKEND | more}


def text(document):
    return kit.as_json(document).decode()


def imported(aws, document, **more):
    return aws.import_api(Body=text(document), FailOnWarnings=True, **more)["ApiId"]


def routes(aws, api_id):
    return {one["RouteKey"]: one for one in aws.get_routes(ApiId=api_id, MaxResults="500")["Items"]}


def integrations(aws, api_id):
    items = aws.get_integrations(ApiId=api_id, MaxResults="500")["Items"]
    return {one["IntegrationId"]: one for one in items}


def exported(aws, api_id, **more):
    given = {"ApiId": api_id, "Specification": "OAS30", "OutputType": "JSON"} | more
    return json.loads(aws.export_api(**given)["body"].read())


def refused(call, **values):
    with pytest.raises(ClientError) as error:
        call(**values)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


# -- import ----------------------------------------------------------------------------------------------------


def test_an_api_is_made_of_a_document(aws):
    document = kit.openapi(
        {"/pets/{id}": {"get": calling() | {"operationId": "getPet"}}},
        tags=[{"name": "team", "x-amazon-apigateway-tag-value": "pets"}],
        servers=[
            {"url": "/", "x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": True}}
        ],
        **{"x-amazon-apigateway-cors": {"allowOrigins": ["*"], "maxAge": 5}},
    )
    document["info"]["description"] = "all pets"
    made = aws.import_api(Body=text(document), FailOnWarnings=True)
    assert made == made | {
        "Name": "pets",
        "Version": "1.0",
        "Description": "all pets",
        "ProtocolType": "HTTP",
        "Tags": {"team": "pets"},
        "DisableExecuteApiEndpoint": True,
        "RouteSelectionExpression": "$request.method $request.path",
        "CorsConfiguration": {"AllowOrigins": ["*"], "MaxAge": 5},
    }
    assert "Warnings" not in made
    (route,) = routes(aws, made["ApiId"]).values()
    (integration,) = integrations(aws, made["ApiId"]).values()
    assert (route["RouteKey"], route["OperationName"]) == ("GET /pets/{id}", "getPet")
    assert route["Target"] == f"integrations/{integration['IntegrationId']}"
    assert integration == integration | {
        "ConnectionType": "INTERNET",
        "IntegrationMethod": "GET",
        "IntegrationType": "HTTP_PROXY",
        "IntegrationUri": "https://backend.example",
        "PayloadFormatVersion": "1.0",
        "TimeoutInMillis": 30000,
    }


def test_any_method_and_the_default_route(aws):
    any_method = "x-amazon-apigateway-any-method"
    document = kit.openapi(
        {
            "/files/{proxy+}": {any_method: calling()},
            "/$default": {any_method: calling() | {"isDefaultRoute": True}},
        }
    )
    assert set(routes(aws, imported(aws, document))) == {"ANY /files/{proxy+}", "$default"}


@pytest.mark.parametrize(
    ("mode", "key"), [("ignore", "GET /x"), ("prepend", "GET /a/b/x"), ("split", "GET /b/x")]
)
def test_the_base_path_is_ignored_prepended_or_split(aws, mode, key):
    document = kit.openapi({"/x": {"get": calling()}}, servers=[{"url": "https://api.example/a/b"}])
    assert set(routes(aws, imported(aws, document, Basepath=mode))) == {key}


def test_an_integration_among_the_components_is_shared(aws):
    shared = {"$ref": f"#/components/{INTEGRATION}s/backend"}
    document = kit.openapi(
        {"/a": {"get": {INTEGRATION: shared}}, "/b": {"get": {INTEGRATION: shared}}},
        components={f"{INTEGRATION}s": {"backend": BACKEND, "idle": BACKEND}},
    )
    api_id = imported(aws, document)
    assert len({one["Target"] for one in routes(aws, api_id).values()}) == 1
    assert len(integrations(aws, api_id)) == 2


def test_every_member_of_an_integration_is_read(aws):
    given = {
        "type": "AWS_PROXY",
        "uri": INVOKE,
        "credentials": ROLE,
        "payloadFormatVersion": 2.0,
        "timeoutInMillis": 5000,
        "requestParameters": {"append:header.x": "$context.requestId"},
        "responseParameters": {"200": {"overwrite:statuscode": "201"}},
    }
    private = BACKEND | {
        "connectionType": "VPC_LINK",
        "connectionId": "abc123",
        "uri": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/a/1/2",
        "tlsConfig": {"serverNameToVerify": "backend.example"},
    }
    document = kit.openapi({"/a": {"get": {INTEGRATION: given}}, "/b": {"get": {INTEGRATION: private}}})
    found = {one["IntegrationType"]: one for one in integrations(aws, imported(aws, document)).values()}
    assert found["AWS_PROXY"] == found["AWS_PROXY"] | {
        "IntegrationUri": INVOKE,
        "IntegrationMethod": "POST",
        "CredentialsArn": ROLE,
        "PayloadFormatVersion": "2.0",
        "TimeoutInMillis": 5000,
        "RequestParameters": {"append:header.x": "$context.requestId"},
        "ResponseParameters": {"200": {"overwrite:statuscode": "201"}},
    }
    assert found["HTTP_PROXY"] == found["HTTP_PROXY"] | {
        "ConnectionType": "VPC_LINK",
        "ConnectionId": "abc123",
        "TlsConfig": {"ServerNameToVerify": "backend.example"},
    }


def test_authorizers_are_made_of_schemes(aws):
    schemes = kit.big_http()["components"]["securitySchemes"]
    schemes["discovered"] = {
        "type": "openIdConnect",
        "openIdConnectUrl": "https://issuer.example/.well-known/openid-configuration",
        "x-amazon-apigateway-authorizer": {"type": "jwt", "jwtConfiguration": {"audience": ["a"]}},
    }
    document = kit.openapi(
        {
            "/jwt": {"get": calling() | {"security": [{"jwt": ["read"]}]}},
            "/function": {"get": calling() | {"security": [{"function": []}]}},
            "/iam": {"get": calling() | {"x-amazon-apigateway-auth": {"type": "AWS_IAM"}}},
            "/open": {"get": calling() | {"security": []}},
        },
        components={"securitySchemes": schemes},
        security=[{"jwt": []}],
    )
    api_id = imported(aws, document)
    authorizers = {one["Name"]: one for one in aws.get_authorizers(ApiId=api_id)["Items"]}
    assert authorizers["jwt"]["JwtConfiguration"] == {
        "Audience": ["pets"],
        "Issuer": "https://issuer.example",
    }
    assert authorizers["discovered"]["JwtConfiguration"]["Issuer"] == "https://issuer.example"
    assert authorizers["discovered"]["IdentitySource"] == ["$request.header.Authorization"]
    assert authorizers["function"] == authorizers["function"] | {
        "AuthorizerType": "REQUEST",
        "AuthorizerPayloadFormatVersion": "2.0",
        "AuthorizerResultTtlInSeconds": 300,
        "EnableSimpleResponses": True,
        "IdentitySource": ["$request.header.Authorization", "$request.querystring.who"],
    }
    found = routes(aws, api_id)
    assert {key: one["AuthorizationType"] for key, one in found.items()} == {
        "GET /jwt": "JWT",
        "GET /function": "CUSTOM",
        "GET /iam": "AWS_IAM",
        "GET /open": "NONE",
    }
    assert found["GET /jwt"]["AuthorizationScopes"] == ["read"]
    assert found["GET /jwt"]["AuthorizerId"] == authorizers["jwt"]["AuthorizerId"]


def test_a_reference_to_no_schema_is_a_warning_in_aws_words(aws):
    # The sentence is AWS's own, as the tests of moto recorded it.
    operation = calling()
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ModelThatDoesNotExist"}}}
    operation["responses"] = {"200": {"description": "x", "content": content}}
    body = text(kit.openapi({"/update": {"get": operation}}))
    sentence = (
        "Parse issue: attribute paths.'/update'(get).responses.200.content.schema."
        "#/components/schemas/ModelThatDoesNotExist is missing"
    )
    assert aws.import_api(Body=body)["Warnings"] == [sentence]
    assert refused(aws.import_api, Body=body, FailOnWarnings=True) == (
        "BadRequestException",
        f"Warnings found during import:\n\t{sentence}",
    )


def test_an_integration_that_cannot_be_is_a_warning(aws):
    body = text(kit.openapi({"/a": {"get": calling(type="AWS", uri=INVOKE)}}))
    made = aws.import_api(Body=body)
    assert made["Warnings"] == [
        "Unable to create Integration for route 'GET /a': Currently, an API with a protocol type of HTTP may only be "
        "associated with proxy integrations (AWS_PROXY, HTTP_PROXY)"
    ]
    (route,) = routes(aws, made["ApiId"]).values()
    assert "Target" not in route
    assert refused(aws.import_api, Body=body, FailOnWarnings=True)[0] == "BadRequestException"


@pytest.mark.parametrize(
    "schemes",
    [
        {},
        {"who": {"type": "oauth2", "flows": {}, "x-amazon-apigateway-authorizer": {"type": "jwt"}}},
        {
            "who": {
                "type": "apiKey",
                "x-amazon-apigateway-authorizer": {"type": "request", "authorizerUri": "x"},
            }
        },
    ],
)
def test_nothing_is_open_that_its_document_closes(aws, schemes):
    document = kit.openapi(
        {"/closed": {"get": calling() | {"security": [{"who": []}]}}, "/open": {"get": calling()}},
        components={"securitySchemes": schemes},
    )
    made = aws.import_api(Body=text(document))
    assert made["Warnings"]
    assert set(routes(aws, made["ApiId"])) == {"GET /open"}


def test_what_http_apis_do_not_have_is_information(aws):
    operation = calling(passthroughBehavior="never") | {
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "parameters": [{"in": "query", "name": "a", "schema": {"type": "string"}}],
    }
    made = aws.import_api(
        Body=text(kit.openapi({"/": {"post": operation}}, **{"x-amazon-apigateway-policy": {}})),
        FailOnWarnings=True,
    )
    assert made["ImportInfo"] == [
        "requestBody is not supported for HTTP APIs. Ignoring.",
        "Parameters that are not in the path are not supported for HTTP APIs. Ignoring.",
        "passthroughBehavior of integrations is not supported for HTTP APIs. Ignoring.",
        "x-amazon-apigateway-policy is not supported for HTTP APIs. Ignoring.",
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "Invalid OpenAPI input."),
        ("[]", "Invalid OpenAPI input."),
        (text(kit.swagger({})), "Invalid OpenAPI input. HTTP APIs are imported from OpenAPI 3.0 alone."),
        (
            text(kit.openapi({}, **{"x-amazon-apigateway-importexport-version": "2.0"})),
            "Invalid OpenAPI input.",
        ),
        (text(kit.openapi({}) | {"info": {}}), "The title of the document"),
        (text(kit.openapi({}) | {"info": {"title": "x" * 129}}), "Name must have length"),
    ],
)
def test_what_is_no_document_is_refused(aws, body, why):
    code, message = refused(aws.import_api, Body=body)
    assert code == "BadRequestException"
    assert message.startswith(why)
    assert aws.get_apis()["Items"] == []


def test_an_unknown_base_path_mode_and_too_many_paths_are_refused(aws):
    body = text(kit.openapi({}))
    assert refused(aws.import_api, Body=body, Basepath="keep")[0] == "BadRequestException"
    many = text(kit.openapi({f"/{number}": {} for number in range(301)}))
    assert refused(aws.import_api, Body=many)[0] == "TooManyRequestsException"


# -- reimport --------------------------------------------------------------------------------------------------


def test_reimport_puts_a_document_in_place_and_deploys_it(it, aws):
    cors = {"x-amazon-apigateway-cors": {"allowOrigins": ["*"]}}
    api_id = imported(aws, kit.openapi({"/a": {"get": calling()}, "/b": {"get": calling()}}, **cors))
    aws.create_stage(ApiId=api_id, StageName="$default", AutoDeploy=True)
    before = routes(aws, api_id)
    made = aws.reimport_api(
        ApiId=api_id, Body=text(kit.openapi({"/b": {"get": calling()}, "/c": {"get": calling()}}))
    )
    assert made["ApiId"] == api_id
    assert "CorsConfiguration" not in made
    after = routes(aws, api_id)
    assert set(after) == {"GET /b", "GET /c"}
    assert after["GET /b"] == before["GET /b"]  # what is named as before keeps its ids
    assert {one.route_key for one in it.compiled(api_id).definition.routes} == set(after)


def test_reimport_that_is_refused_changes_nothing(aws):
    api_id = imported(aws, kit.openapi({"/a": {"get": calling()}}))
    before = aws.get_api(ApiId=api_id)
    bad = text(kit.openapi({"/a": {"get": calling(uri="nowhere")}}))
    assert refused(aws.reimport_api, ApiId=api_id, Body=bad, FailOnWarnings=True)[0] == "BadRequestException"
    after = aws.get_api(ApiId=api_id)
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}


def test_only_http_apis_have_documents(aws):
    api_id = aws.create_api(Name="ws", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.a")[
        "ApiId"
    ]
    body = text(kit.openapi({}))
    assert refused(aws.reimport_api, ApiId=api_id, Body=body)[0] == "BadRequestException"
    given = {"ApiId": api_id, "Specification": "OAS30", "OutputType": "JSON"}
    assert refused(aws.export_api, **given)[0] == "BadRequestException"
    assert refused(aws.reimport_api, ApiId="none", Body=body)[0] == "NotFoundException"


# -- export ----------------------------------------------------------------------------------------------------


def test_a_document_is_what_aws_writes(aws):
    api_id = imported(
        aws, kit.openapi({"/pets/{id}": {"get": calling()}}, **{"x-amazon-apigateway-cors": {"maxAge": 5}})
    )
    assert exported(aws, api_id) == {
        "openapi": "3.0.1",
        "info": {"title": "pets", "version": "1.0"},
        "servers": [
            {
                "url": f"http://{api_id}.execute-api.localhost:4566/{{basePath}}",
                "variables": {"basePath": {"default": ""}},
            }
        ],
        "paths": {
            "/pets/{id}": {
                "get": {
                    "responses": {"default": {"description": "Default response for GET /pets/{id}"}},
                    INTEGRATION: BACKEND | {"connectionType": "INTERNET"},
                },
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "description": "Generated path parameter for id",
                        "required": True,
                        "schema": {"type": "string"},
                    }
                ],
            }
        },
        "x-amazon-apigateway-cors": {"maxAge": 5},
        "x-amazon-apigateway-importexport-version": "1.0",
    }


def test_extensions_are_left_out_when_they_shall_be(aws):
    document = exported(aws, imported(aws, kit.big_http()), IncludeExtensions=False)
    extensions = json.dumps(document).count("x-amazon-apigateway-")
    assert extensions == json.dumps(document).count("x-amazon-apigateway-any-method") == 2
    assert document["components"]["securitySchemes"]["jwt"] == {"type": "oauth2", "flows": {}}
    assert len(document["paths"]) == 52


def test_yaml_says_what_json_says(aws):
    api_id = imported(aws, kit.big_http())
    answer = aws.export_api(ApiId=api_id, Specification="OAS30", OutputType="YAML")["body"].read()
    assert yaml.safe_load(answer) == read(answer) == exported(aws, api_id)


def test_a_stage_is_exported_as_it_was_deployed(aws):
    api_id = imported(aws, kit.openapi({"/a": {"get": calling()}}))
    aws.create_stage(ApiId=api_id, StageName="prod")
    given = {"ApiId": api_id, "Specification": "OAS30", "OutputType": "JSON", "StageName": "prod"}
    assert refused(aws.export_api, **given)[0] == "NotFoundException"
    aws.create_deployment(ApiId=api_id, StageName="prod")
    aws.reimport_api(ApiId=api_id, Body=text(kit.openapi({"/b": {"get": calling()}})))
    staged = exported(aws, api_id, StageName="prod")
    assert list(staged["paths"]) == ["/a"]
    assert staged["servers"][0]["variables"]["basePath"]["default"] == "prod"
    assert list(exported(aws, api_id)["paths"]) == ["/b"]
    assert refused(aws.export_api, **given | {"StageName": "none"})[0] == "NotFoundException"


def test_another_version_of_exports_is_refused(aws):
    api_id = imported(aws, kit.openapi({}))
    given = {"ApiId": api_id, "Specification": "OAS30", "OutputType": "JSON"}
    assert aws.export_api(**given, ExportVersion="1.0")["body"].read()
    assert refused(aws.export_api, **given, ExportVersion="2.0")[0] == "BadRequestException"
