"""OpenAPI documents for tests: small ones, and those of 200 operations."""

import json

ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:hello"
FUNCTION_URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/gateway"
INTEGRATION = "x-amazon-apigateway-integration"
METHODS = ("get", "post", "put", "delete")


def swagger(paths, **more):
    """A document of OpenAPI 2.0."""
    return {"swagger": "2.0", "info": {"title": "pets", "version": "1.0"}, "paths": paths} | more


def openapi(paths, **more):
    """A document of OpenAPI 3.0."""
    return {"openapi": "3.0.1", "info": {"title": "pets", "version": "1.0"}, "paths": paths} | more


def mock(**more):
    """An operation that calls nobody."""
    given = {"type": "mock", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
    return {
        "responses": {"200": {"description": "fine"}},
        INTEGRATION: given | {"responses": {"default": {"statusCode": "200"}}},
    } | more


def as_json(document):
    return json.dumps(document).encode()


def as_yaml(document):
    import yaml

    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False).encode()


def big_rest(*, three):
    """200 operations of a REST API, with about everything that such an API can have."""
    at = "#/components/schemas/" if three else "#/definitions/"
    paths = {}
    for number in range(50):
        paths[f"/things{number}/{{id}}" if number % 2 else f"/things{number}"] = {
            method: _rest_operation(number, method, at, three=three) for method in METHODS
        }
    schemas = {
        "Thing": {
            "type": "object",
            "description": "A thing",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "parts": {"type": "array", "items": {"$ref": at + "Thing"}},
                "owner": {"$ref": at + "Owner"},
            },
        },
        "Owner": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}},
    }
    schemes = {
        "token": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "token",
                "authorizerUri": FUNCTION_URI,
                "authorizerCredentials": ROLE,
                "identityValidationExpression": "^Bearer .+$",
                "authorizerResultTtlInSeconds": 60,
            },
        },
        "request": {
            "type": "apiKey",
            "name": "Unused",
            "in": "header",
            "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": {
                "type": "request",
                "authorizerUri": FUNCTION_URI,
                "identitySource": "method.request.header.X-Who, context.stage",
            },
        },
        "pool": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "cognito_user_pools",
            "x-amazon-apigateway-authorizer": {
                "type": "cognito_user_pools",
                "providerARNs": [f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{REGION}_abc"],
            },
        },
        "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
        "signed": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        },
    }
    more = {
        "x-amazon-apigateway-request-validators": {
            "all": {"validateRequestBody": True, "validateRequestParameters": True},
            "body": {"validateRequestBody": True, "validateRequestParameters": False},
        },
        "x-amazon-apigateway-gateway-responses": {
            "THROTTLED": {
                "statusCode": 429,
                "responseParameters": {"gatewayresponse.header.Retry-After": "'1'"},
                "responseTemplates": {"application/json": '{"slow":"down"}'},
            },
            "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.X-Four": "'xx'"}},
        },
        "x-amazon-apigateway-binary-media-types": ["image/png", "application/octet-stream"],
        "x-amazon-apigateway-minimum-compression-size": 1024,
        "x-amazon-apigateway-api-key-source": "HEADER",
        "x-amazon-apigateway-policy": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "execute-api:Invoke",
                    "Resource": "execute-api:/*",
                }
            ],
        },
    }
    if three:
        return openapi(paths, components={"schemas": schemas, "securitySchemes": schemes}, **more)
    return swagger(paths, definitions=schemas, securityDefinitions=schemes, **more)


def _rest_operation(number, method, at, *, three):
    typed = {"schema": {"type": "string"}} if three else {"type": "string"}
    ref = {"$ref": at + "Thing"}
    inline = {"type": "array", "items": ref}
    operation = {
        "operationId": f"{method}Things{number}",
        "parameters": [
            {"name": "page", "in": "query", "required": number % 3 == 0, **typed},
            {"name": "X-Trace", "in": "header", **typed},
        ],
        "x-amazon-apigateway-request-validator": ("all", "body")[number % 2],
    }
    if number % 2:
        operation["parameters"].append({"name": "id", "in": "path", "required": True, **typed})
    answer = {"description": "fine", "headers": {"X-Answer": typed}}
    schema = inline if method == "get" else ref
    if three:
        answer["content"] = {"application/json": {"schema": schema}}
    else:
        answer["schema"] = schema
    operation["responses"] = {"200": answer, "404": {"description": "gone"}}
    if method in ("post", "put"):
        if three:
            operation["requestBody"] = {"content": {"application/json": {"schema": ref}}}
        else:
            operation["parameters"].append({"in": "body", "name": "Thing", "schema": ref})
    operation["security"] = (
        [{"token": []}],
        [{"request": []}, {"key": []}],
        [{"pool": ["email", "openid"]}],
        [{"signed": []}],
        [{"key": []}],
        [],
    )[(number + METHODS.index(method)) % 6]
    operation[INTEGRATION] = _rest_integration(number, method)
    return operation


def _rest_integration(number, method):
    responses = {
        "default": {
            "statusCode": "200",
            "responseParameters": {"method.response.header.X-Answer": "integration.response.header.X-Back"},
            "responseTemplates": {"application/json": "$input.json('$')"},
        },
        "4\\d{2}": {"statusCode": "404", "responseTemplates": {"application/json": "{}"}},
    }
    if method == "delete":
        return {"type": "aws_proxy", "httpMethod": "POST", "uri": FUNCTION_URI, "timeoutInMillis": 5000}
    if number % 4 == 0:
        return {
            "type": "mock",
            "requestTemplates": {"application/json": '{"statusCode": 200}', "text/plain": ""},
            "passthroughBehavior": "never",
            "responses": responses,
        }
    if number % 4 == 1:
        return {
            "type": "http",
            "httpMethod": "POST",
            "uri": "http://backend.example/${stageVariables.version}/things",
            "requestParameters": {"integration.request.header.X-Page": "method.request.querystring.page"},
            "cacheNamespace": "things",
            "cacheKeyParameters": ["method.request.querystring.page"],
            "tlsConfig": {"insecureSkipVerification": True},
            "responses": responses,
        }
    if number % 4 == 2:
        return {
            "type": "aws",
            "httpMethod": "POST",
            "uri": f"arn:aws:apigateway:{REGION}:sqs:path/{ACCOUNT}/queue",
            "credentials": ROLE,
            "contentHandling": "CONVERT_TO_TEXT",
            "passthroughBehavior": "when_no_templates",
            "requestTemplates": {"application/json": "Action=SendMessage&MessageBody=$input.body"},
            "responses": responses,
        }
    return {
        "type": "http_proxy",
        "httpMethod": "ANY",
        "uri": "http://backend.example/{id}",
        "requestParameters": {"integration.request.path.id": "method.request.path.id"},
        "responseTransferMode": "STREAM",
    }


def big_http():
    """200 operations of an HTTP API."""
    paths = {}
    for number in range(50):
        path = f"/things{number}/{{id}}" if number % 2 else f"/things{number}"
        paths[path] = {method: _http_operation(number, method) for method in METHODS}
    paths["/files/{proxy+}"] = {
        "x-amazon-apigateway-any-method": {INTEGRATION: {"$ref": f"#/components/{INTEGRATION}s/backend"}}
    }
    paths["/$default"] = {
        "x-amazon-apigateway-any-method": {
            "isDefaultRoute": True,
            INTEGRATION: {"$ref": f"#/components/{INTEGRATION}s/backend"},
        }
    }
    return openapi(
        paths,
        tags=[{"name": "team", "x-amazon-apigateway-tag-value": "pets"}, {"name": "plain"}],
        components={
            "securitySchemes": {
                "jwt": {
                    "type": "oauth2",
                    "flows": {},
                    "x-amazon-apigateway-authorizer": {
                        "type": "jwt",
                        "identitySource": "$request.header.Authorization",
                        "jwtConfiguration": {"audience": ["pets"], "issuer": "https://issuer.example"},
                    },
                },
                "function": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authorizer": {
                        "type": "request",
                        "identitySource": "$request.header.Authorization, $request.querystring.who",
                        "authorizerUri": FUNCTION_URI,
                        "authorizerPayloadFormatVersion": 2.0,
                        "authorizerResultTtlInSeconds": 300,
                        "enableSimpleResponses": True,
                    },
                },
            },
            f"{INTEGRATION}s": {
                "backend": {
                    "type": "http_proxy",
                    "httpMethod": "ANY",
                    "uri": "http://backend.example",
                    "payloadFormatVersion": "1.0",
                }
            },
        },
        **{
            "x-amazon-apigateway-cors": {
                "allowOrigins": ["https://pets.example"],
                "allowMethods": ["GET", "POST"],
                "allowHeaders": ["content-type"],
                "exposeHeaders": ["date"],
                "maxAge": 300,
                "allowCredentials": True,
            },
            "x-amazon-apigateway-importexport-version": "1.0",
        },
    )


def _http_operation(number, method):
    operation = {"operationId": f"{method}Things{number}", "responses": {"default": {"description": "all"}}}
    security = ([{"jwt": ["read", "write"]}], [{"function": []}], None, [])[
        (number + METHODS.index(method)) % 4
    ]
    if security is None:
        operation["x-amazon-apigateway-auth"] = {"type": "AWS_IAM"}
    else:
        operation["security"] = security
    if number % 3 == 0:
        integration = {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": FUNCTION_URI,
            "payloadFormatVersion": "2.0",
            "timeoutInMillis": 5000,
        }
    elif number % 3 == 1:
        integration = {
            "type": "http_proxy",
            "httpMethod": "GET",
            "uri": "https://backend.example/${stageVariables.version}",
            "payloadFormatVersion": "1.0",
            "requestParameters": {"append:header.x-id": "$context.requestId"},
            "responseParameters": {"404": {"overwrite:statuscode": "200"}},
        }
    else:
        integration = {
            "type": "aws_proxy",
            "integrationSubtype": "SQS-SendMessage",
            "payloadFormatVersion": "1.0",
            "credentials": ROLE,
            "requestParameters": {
                "QueueUrl": f"http://sqs.example/{ACCOUNT}/queue",
                "MessageBody": "$request.body",
            },
        }
    operation[INTEGRATION] = integration
    return operation
