"""A cloud with APIs of two accounts, for enemies: control planes behind one door, stages compiled for real, all else is fake."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
import msgspec
from hostile_forms import NUMBERS, WORDS, Enemy
from tests.door_kit import a_door
from tests.elb_kit import Subnets
from tests.gateway_kit import World, body_of, visit

from cumulo.base.clock import VirtualClock
from cumulo.base.ids import Ids
from cumulo.gateway.http.compile import compile_http
from cumulo.gateway.rest.compile import compile_rest
from cumulo.gateway.stages import Stages
from cumulo.services.apigateway.house import RestHouse
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.state.store import Store
from cumulo.wire.http import BytesBody, Headers, Request

MINE, THEIRS, REGION = "123456789012", "222222222222", "us-east-1"
SESSION = botocore.session.Session()
MODELS = {name: SESSION.get_service_model(name) for name in ("apigateway", "apigatewayv2")}
FUNCTION = f"arn:aws:lambda:{REGION}:{MINE}:function:hello"
INVOKE = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
SCOPE = "AWS4-HMAC-SHA256 Credential={account}/20240101/{region}/apigateway/aws4_request"
TEMPLATES = (
    '{"statusCode": 200}', "#foreach($i in [1..9])$i#end", "$input.json('$')", "#set($x = $input.path('$.a'))$x", "$", "#",
    "#if(", "$util.escapeJavaScript($input.body)", "$context.identity.sourceIp", "$input.params('x')",
    '#set($context.responseOverride.status = 100)#set($context.responseOverride.header.x = "a")',
)  # fmt: skip
MAPPINGS = (
    "method.request.querystring.q", "method.request.header.x", "method.request.path.id", "'literal'", "context.requestId",
    "method.request.body.a", "integration.response.header.x", "stageVariables.v", "integration.response.body.a..b[*]",
    "$request.header.x", "$request.body.a", "$response.header.x", "$context.identity.sourceIp", "${request.path.id}-x", "$",
)  # fmt: skip
KEYS = (
    "method.request.querystring.q", "method.request.header.x", "method.request.path.id", "integration.request.header.X",
    "integration.request.querystring.q", "integration.request.path.id", "method.response.header.X", "gatewayresponse.header.X",
    "append:header.x", "overwrite:path", "overwrite:querystring.q", "remove:header.x", "overwrite:statuscode", "overwrite:header.host",
    "application/json", "text/plain", "$default", "200", "QueueUrl", "MessageBody", "v", "backend", "GET /a", "*/*",
)  # fmt: skip
URIS = (
    INVOKE, FUNCTION, "http://example.com/{id}", "https://${stageVariables.backend}/x", "http://x", "ftp://x", "",
    f"arn:aws:apigateway:{REGION}:sqs:action/SendMessage", f"arn:aws:apigateway:{REGION}:s3:path/b/{{id}}",
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/a/b/c", "http://[::1", "http://a:99999/",
)  # fmt: skip
PATHS = (
    "/name", "/description", "/variables/v", "/variables/a~1b", "/*/*/throttling/rateLimit", "/~1pets/GET/caching/enabled",
    "/*/*/logging/loglevel", "/canarySettings/percentTraffic", "/deploymentId", "/accessLogSettings/format", "/binaryMediaTypes/*~1*",
    "/minimumCompressionSize", "/policy", "/endpointConfiguration/types/EDGE", "/throttle/rateLimit", "/quota/limit", "/quota/period",
    "/apiStages", "/requestParameters/integration.request.header.x", "/requestTemplates/application~1json", "/uri", "/httpMethod",
    "/responseParameters/method.response.header.x", "/selectionPattern", "/statusCode", "/authorizerUri", "/providerARNs", "/enabled",
    "/cacheClusterSize", "/cacheClusterEnabled", "/tracingEnabled", "/disableExecuteApiEndpoint", "/cloudwatchRoleArn", "/tags", "/", "",
    "/pathPart", "/parentId", "/authorizationType", "/apiKeyRequired", "/requestModels/application~1json", "/schema", "/value",
)  # fmt: skip


class Site:
    """The cloud, with something of everything in two accounts, and what an enemy knows of it."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.stages = Stages()
        self.store = Store(folder / "store.db", synchronous="OFF")
        clock = VirtualClock()
        self.rest = RestHouse(
            store=self.store,
            clock=clock,
            ids=Ids(),
            stages=self.stages,
            make=lambda definition, stage, canary: compile_rest(definition, stage, self.world.tools, canary),
        )
        self.v2 = ApiGatewayV2House(
            store=self.store,
            clock=clock,
            ids=Ids(),
            stages=self.stages,
            compilers={"HTTP": lambda definition, stage: compile_http(definition, stage, self.world.tools),
                       "WEBSOCKET": lambda definition, stage: None},  # type: ignore[dict-item,return-value]
            network=Subnets(),
        )  # fmt: skip
        self.rest.start()
        self.loop.run_until_complete(self.v2.start())
        services = {"apigateway": self.rest.service(), "apigatewayv2": self.v2.service()}
        self.door = a_door(services, store=self.store, clock=clock, account=MINE, region=REGION)
        self.mine, self.theirs = self._filled(MINE), self._filled(THEIRS)
        self.known = {name: self._known(name) for name in MODELS}

    def close(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.close()

    # -- asking ------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        account: str = MINE,
        region: str = REGION,
        **headers: str,
    ) -> Any:
        """An answer of the door, with its whole body."""
        path, _, query = target.partition("?")
        lines = [("authorization", SCOPE.format(account=account, region=region)), ("host", "127.0.0.1:4566"),
                 ("content-type", "application/json"), ("content-length", str(len(body))), *headers.items()]  # fmt: skip
        raw = Headers((name.encode(), value.encode("latin-1")) for name, value in lines)
        response = self.loop.run_until_complete(self.door(Request(method, path, query, raw, BytesBody(body))))
        response.body = self.loop.run_until_complete(body_of(response))
        return response

    def do(self, service: str, operation: str, values: dict[str, Any], **where: str) -> Any:
        """An operation's answer, for values that may be of no form at all."""
        method, target, body = wired(service, operation, values)
        return self.send(method, target, body, **where)

    def made(self, service: str, operation: str, values: dict[str, Any], account: str) -> Any:
        answer = self.do(service, operation, values, account=account)
        assert answer.status < 300, (operation, values, answer.body)
        return json.loads(answer.body or b"{}")

    # -- what there is -----------------------------------------------------------------------------------

    def state(self) -> dict[str, dict[str, bytes]]:
        """Everything that is kept, of everybody."""
        return {
            name: {key: msgspec.json.encode(one) for key, one in table.items()}
            for name, table in self.store._tables.items()
        }

    def published(self) -> dict[tuple[str, str], Any]:
        return {
            (api, name): one for api, stages in self.stages._by_api.items() for name, one in stages.items()
        }

    def visit_all(self, chance: random.Random) -> None:
        """Every stage that answers is asked something, and answers."""
        for (api, stage), published in self.published().items():
            if published.place.kind == "WEBSOCKET":
                continue
            for target in ("/", f"/pets/{chance.choice(('1', '%2e%2e', 'a%0d%0ab'))}?q=%0d%0ax", "/a"):
                name = chance.choice(("GET", "POST", "OPTIONS", "DELETE"))
                body = chance.choice((b"", b'{"a": {"b": "x\\r\\ny"}}', b"[[[[", b"\xff"))
                headers = {"x": "\xe9", "accept": chance.choice(("*/*", "text/plain", ""))}
                coming = visit(name, target, headers, body, stage=stage)
                response = self.loop.run_until_complete(published.compiled.answer(coming))
                self.loop.run_until_complete(body_of(response))
                assert 200 <= response.status <= 599, (api, stage, target)
                for key, value in response.headers:
                    assert key and "\r" not in key + value and "\n" not in key + value, (key, value)

    def _filled(self, account: str) -> dict[str, Any]:
        """An API of each kind with one of everything."""
        one = lambda operation, **values: self.made("apigateway", operation, values, account)  # noqa: E731
        two = lambda operation, **values: self.made("apigatewayv2", operation, values, account)  # noqa: E731
        rest = one("CreateRestApi", name="pets")
        api, root = rest["id"], rest["rootResourceId"]
        pets = one("CreateResource", restApiId=api, parentId=root, pathPart="pets")["id"]
        pet = one("CreateResource", restApiId=api, parentId=pets, pathPart="{id}")["id"]
        for resource in (root, pet):
            where = {"restApiId": api, "resourceId": resource, "httpMethod": "GET"}
            one("PutMethod", **where, authorizationType="NONE")
            one(
                "PutIntegration",
                **where,
                type="MOCK",
                requestTemplates={"application/json": '{"statusCode": 200}'},
            )
            one("PutMethodResponse", **where, statusCode="200")
            one("PutIntegrationResponse", **where, statusCode="200")
        deployment = one("CreateDeployment", restApiId=api, stageName="dev")["id"]
        model = one(
            "CreateModel",
            restApiId=api,
            name="Pet",
            contentType="application/json",
            schema='{"type": "object"}',
        )
        validator = one("CreateRequestValidator", restApiId=api, name="v", validateRequestBody=True)["id"]
        authorizer = one("CreateAuthorizer", restApiId=api, name="a", type="TOKEN", authorizerUri=INVOKE,
                         identitySource="method.request.header.Authorization")["id"]  # fmt: skip
        key = one("CreateApiKey", name="k", enabled=True)["id"]
        plan = one("CreateUsagePlan", name="p", apiStages=[{"apiId": api, "stage": "dev"}])["id"]
        one("CreateUsagePlanKey", usagePlanId=plan, keyId=key, keyType="API_KEY")
        part = one("CreateDocumentationPart", restApiId=api, location={"type": "API"}, properties="{}")["id"]
        certificate = one("GenerateClientCertificate")["clientCertificateId"]
        http = two("CreateApi", name="h", protocolType="HTTP")["apiId"]
        socket = two(
            "CreateApi", name="w", protocolType="WEBSOCKET", routeSelectionExpression="$request.body.action"
        )["apiId"]
        integration = two("CreateIntegration", apiId=http, integrationType="HTTP_PROXY", integrationMethod="GET",
                          integrationUri="http://example.com", payloadFormatVersion="1.0")["integrationId"]  # fmt: skip
        route = two(
            "CreateRoute", apiId=http, routeKey="GET /pets/{id}", target=f"integrations/{integration}"
        )["routeId"]
        mock = two("CreateIntegration", apiId=socket, integrationType="MOCK")["integrationId"]
        answer = two(
            "CreateIntegrationResponse", apiId=socket, integrationId=mock, integrationResponseKey="$default"
        )
        message = two("CreateRoute", apiId=socket, routeKey="$default", target=f"integrations/{mock}")[
            "routeId"
        ]
        two("CreateStage", apiId=http, stageName="$default", autoDeploy=True)
        gate = two("CreateAuthorizer", apiId=http, name="j", authorizerType="JWT", identitySource=["$request.header.Authorization"],
                   jwtConfiguration={"issuer": "https://example.com", "audience": ["a"]})["authorizerId"]  # fmt: skip
        link = two("CreateVpcLink", name="l", subnetIds=["subnet-a"])["vpcLinkId"]
        return {
            "restapi": [api], "resource": [root, pets, pet], "deployment": [deployment], "model": [model["name"]],
            "validator": [validator], "authorizer": [authorizer], "key": [key], "plan": [plan], "part": [part],
            "certificate": [certificate], "api": [http, socket], "integration": [integration, mock], "route": [route, message],
            "answer": [answer["integrationResponseId"]], "gate": [gate], "link": [link],
        }  # fmt: skip

    def _known(self, service: str) -> dict[str, list[Any]]:
        def ids(name: str) -> list[str]:
            return self.mine[name] * 8 + self.theirs[name]

        common = {
            "tags": [{"a": "b"}, {"aws:x": "y"}, {}], "tagKeys": [["a"], []], "limit": ["1", "500", "501", "0"],
            "description": ["d", "", "x" * 1025], "stage": ["dev", "$default"],
        }  # fmt: skip
        if service == "apigatewayv2":
            arn = f"arn:aws:apigateway:{REGION}::/apis/{self.mine['api'][0]}"
            return common | {
                "ApiId": ids("api"), "IntegrationId": ids("integration"), "RouteId": ids("route"), "AuthorizerId": ids("gate"),
                "VpcLinkId": ids("link"), "ConnectionId": ids("link"), "IntegrationResponseId": ids("answer"),
                "StageName": ["$default", "dev", "new", "a b", ""], "ResourceArn": [arn, arn + "/stages/$default", arn + "x"],
                "Target": [f"integrations/{one}" for one in ids("integration")] + ["x"],
                "RouteKey": ["GET /a", "ANY /{proxy+}", "$default", "$connect", "GET /pets/{id}", "GET a", "x", "GET /{a}/{a}"],
                "IntegrationUri": list(URIS), "AuthorizerUri": [INVOKE, FUNCTION], "ProtocolType": ["HTTP", "WEBSOCKET"],
                "IntegrationType": ["HTTP_PROXY", "AWS_PROXY", "MOCK", "HTTP", "AWS"], "PayloadFormatVersion": ["1.0", "2.0", "3.0"],
                "IntegrationMethod": ["GET", "ANY", "POST", "x"], "TimeoutInMillis": [50, 30000, 30001, 49, -1],
                "IdentitySource": [["$request.header.x"], ["route.request.header.x"], ["x"], []], "Format": list(TEMPLATES),
                "SubnetIds": [["subnet-a"], ["subnet-nobody"], []], "IntegrationSubtype": ["SQS-SendMessage", "x", ""],
                "DestinationArn": [f"arn:aws:logs:{REGION}:{MINE}:log-group:g", "x"], "Schema": ['{"type": "object"}', "{", "[]"],
                "AllowOrigins": [["*"], ["https://example.com"], ["x"], []], "AllowMethods": [["GET"], ["*"], ["x y"]],
                "CreateApi.RouteSelectionExpression": ["$request.body.action", "${request.method} ${request.path}", "x"],
                "CreateAuthorizer.AuthorizerType": ["REQUEST", "JWT"], "CreateAuthorizer.Name": ["a", "b", "c"],
                "CreateAuthorizer.AuthorizerPayloadFormatVersion": ["1.0", "2.0"], "RequestParameters": [{}],
                "CreateAuthorizer.JwtConfiguration": [{"Issuer": "https://example.com", "Audience": ["a"]}],
                "CreateIntegrationResponse.ApiId": [self.mine["api"][1]], "CreateRouteResponse.ApiId": [self.mine["api"][1]],
                "CreateIntegrationResponse.IntegrationId": [self.mine["integration"][1]], "RouteResponseKey": ["$default", "x"],
                "CreateRouteResponse.RouteId": [self.mine["route"][1]], "IntegrationResponseKey": ["$default", "/200/", "x", "/(a+)+/"],
                "UpdateIntegrationResponse.ApiId": [self.mine["api"][1]], "RequestParameterKey": ["route.request.header.x"],
                "CreateModel.Name": ["A", "B", "a b"], "CreateModel.ContentType": ["application/json", "x"],
                "MaxAge": [0, -1, 86400, 86401], "IdentityValidationExpression": ["a+", "(a+)+$", "("],
            }  # fmt: skip
        arn = f"arn:aws:apigateway:{REGION}::/restapis/{self.mine['restapi'][0]}"
        return common | {
            "restApiId": ids("restapi"), "resourceId": ids("resource"), "parentId": ids("resource"), "deploymentId": ids("deployment"),
            "modelName": [*self.mine["model"], "Empty", "Error", "Nobody"], "requestValidatorId": ids("validator"),
            "authorizerId": ids("authorizer"), "apiKey": ids("key"), "keyId": ids("key"), "usagePlanId": ids("plan"),
            "documentationPartId": ids("part"), "clientCertificateId": ids("certificate"), "cloneFrom": ids("restapi"),
            "stageName": ["dev", "new", "a b", ""], "httpMethod": ["GET", "ANY", "POST", "get", "X"], "statusCode": ["200", "404", "100", "x"],
            "pathPart": ["a", "{id}", "{proxy+}", "{", "a/b", "{a}{b}"], "type": ["MOCK", "HTTP", "HTTP_PROXY", "AWS", "AWS_PROXY", "TOKEN",
            "REQUEST", "COGNITO_USER_POOLS", "API", "METHOD"], "uri": list(URIS), "authorizerUri": [INVOKE, "x"],
            "authorizationType": ["NONE", "CUSTOM", "AWS_IAM", "COGNITO_USER_POOLS", "x"], "resourceArn": [arn, arn + "/stages/dev", arn + "x"],
            "path": [*PATHS, *PATHS, "/pets"], "op": ["replace", "add", "remove", "copy", "move", "test"], "from": list(PATHS),
            "value": ["1", "true", "dev", "x", "-1", "1.5", "{}", self.mine["deployment"][0], f"{self.mine['restapi'][0]}:dev", *TEMPLATES],
            "schema": ['{"type": "object"}', "{", "[]", '{"$ref": "#"}', '{"type": 5}', '{"pattern": "(a+)+$"}'],
            "selectionPattern": ["2..", "(a+)+$", "(", ".*", "\\d{1,99999}"], "timeoutInMillis": [50, 29000, 49, 300001, -1],
            "responseType": ["DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED"], "policy": ["{}", "x", '{"Version": "2012-10-17", "Statement": []}'],
            "connectionType": ["INTERNET", "VPC_LINK"], "contentHandling": ["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"],
            "PutIntegration.type": ["MOCK", "HTTP", "HTTP_PROXY", "AWS", "AWS_PROXY"], "CreateAuthorizer.identitySource":
            ["method.request.header.Authorization", "method.request.header.x,context.accountId", "x"],
            "CreateAuthorizer.type": ["TOKEN", "REQUEST", "COGNITO_USER_POOLS"], "CreateAuthorizer.name": ["a", "b", "c"],
            "CreateAuthorizer.authorizerUri": [INVOKE], "CreateAuthorizer.authorizerResultTtlInSeconds": [0, 300, 3601],
            "CreateUsagePlanKey.keyType": ["API_KEY"], "GetUsage.startDate": ["2024-01-01", "2024-13-01", "x"],
            "GetUsage.endDate": ["2024-01-05", "1999-01-01", "\u0660"], "UpdateUsage.path": ["/remaining"], "UpdateUsage.op": ["replace"],
            "UpdateUsage.value": ["5", "-1", "x", "9" * 40], "ImportApiKeys.body": ["Name,key,description,Enabled,usageplanIds\nA," + "k" * 30 + ",d,true,", "x", "a,b\n,"],
            "UpdateMethodResponse.statusCode": ["200"], "UpdateMethodResponse.path":
            ["/responseParameters/method.response.header.x", "/responseModels/application~1json"], "position": ["0", "1", "x"],
            "cacheClusterSize": ["0.5", "1.6", "x"], "minimumCompressionSize": [0, -1, 10485760, 10485761],
            "identityValidationExpression": ["a+", "(a+)+$", "("], "integrationHttpMethod": ["POST", "GET", "x"],
            "body": ['{"openapi": "3.0.1", "info": {"title": "x"}, "paths": {}}', "{", "x: [", '{"swagger": "2.0"}'],
            "format": ["csv"], "keyType": ["API_KEY", "x"], "percentTraffic": [0.0, 50.0, 101.0, -1.0],
            "responseTemplates": [{"application/json": one} for one in TEMPLATES], "pathWithQueryString": ["/", "/pets/1?q=%", "x"],
            "requestTemplates": [{"application/json": one} for one in TEMPLATES], "passthroughBehavior": ["NEVER", "WHEN_NO_MATCH", "x"],
        }  # fmt: skip


class ApiEnemy(Enemy):
    """Sends what the models know, with maps that mean something; what is known of an operation's own member comes first."""

    asked = ""

    def input(self, operation: str) -> dict[str, Any]:
        self.asked = operation
        return super().input(operation)

    def _value(self, name: str, shape: Any, depth: int) -> Any:
        own = self.known.get(f"{self.asked}.{name}")
        if own is not None and self.chance.random() >= self.madness:
            return self.chance.choice(own)
        return super()._value(name, shape, depth)

    def _by_type(self, name: str, shape: Any, depth: int) -> Any:
        if shape.type_name == "map":
            values = (*MAPPINGS, *TEMPLATES, True, False, "x")
            if shape.value.type_name == "structure":
                return {self.chance.choice(KEYS): self._value("", shape.value, depth + 1)}
            return {
                self.chance.choice(KEYS): self.chance.choice(values)
                for _ in range(self.chance.choice((0, 1, 1, 2)))
            }
        if shape.type_name == "blob":
            return self.chance.choice(
                ('{"openapi": "3.0.1", "info": {"title": "x"}, "paths": {}}', "{", "", "\x00")
            )
        return super()._by_type(name, shape, depth)


def wired(service: str, operation: str, values: dict[str, Any]) -> tuple[str, str, bytes]:
    """Method, target and body of a request with these values, where the model says that they go; odd ones too."""
    model = MODELS[service].operation_model(operation)
    shape = model.input_shape
    members = shape.members if shape is not None else {}
    uri: str = model.http["requestUri"]
    query: list[tuple[str, str]] = []
    body: dict[str, Any] = {}
    payload: Any = None
    for given, value in values.items():
        name = given if given in members else given[:1].upper() + given[1:]
        member = members.get(name)
        told = member.serialization if member is not None else {}
        place, wire_name = told.get("location"), told.get("name", given)
        if place == "uri":
            for pattern in (f"{{{wire_name}}}", f"{{{wire_name}+}}"):
                uri = uri.replace(pattern, quote(text_of(value), safe=""))
        elif place == "querystring":
            pairs = (
                value.items()
                if isinstance(value, dict)
                else [(wire_name, one) for one in (value if isinstance(value, list) else [value])]
            )
            query += [(str(key), text_of(one)) for key, one in pairs]
        elif place is None and shape is not None and shape.serialization.get("payload") == name:
            payload = value
        elif place is None:
            body[wire_name] = renamed(value, member)
    for part in ("{restapi_id}", "{api_id}"):
        uri = uri.replace(part, "x")
    target = uri + (("&" if "?" in uri else "?") + urlencode(query) if query else "")
    if payload is not None:
        return model.http["method"], target, text_of(payload).encode("utf-8", "replace")
    return model.http["method"], target, json.dumps(body).encode() if body else b""


def renamed(value: Any, shape: Any) -> Any:
    """With the names that members have on the wire."""
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            (shape.members[name].serialization.get("name", name) if name in shape.members else name): renamed(
                one, shape.members.get(name)
            )
            for name, one in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [renamed(one, shape.member) for one in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: renamed(one, shape.value) for name, one in value.items()}
    return value


def text_of(value: Any) -> str:
    """A value in a URL."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


HOSTILE = (*WORDS, *NUMBERS)
