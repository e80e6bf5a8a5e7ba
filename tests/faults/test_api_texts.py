"""Texts of APIs that want to escape, to loop or to grow: templates, schemas, patterns, paths.  Others are served meanwhile."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.api_torture_kit import HOST, Attacked, Others, json_of, statuses

ANSWER_SECONDS_MAX = 20.0


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("texts"))
    yield made
    made.close()


class Api:
    """A REST API with one resource."""

    def __init__(self, attacked: Attacked) -> None:
        self._attacked = attacked
        self.gateway = attacked.rest
        made = self.gateway.create_rest_api(name="texts")
        self.id = made["id"]
        self.resource = self.gateway.create_resource(
            restApiId=self.id, parentId=made["rootResourceId"], pathPart="x"
        )["id"]
        self.where = {"restApiId": self.id, "resourceId": self.resource, "httpMethod": "POST"}

    def mock(self, template: str = "{}", *, asked: str = '{"statusCode": 200}', **method: Any) -> None:
        self.method({"200": {"responseTemplates": {"application/json": template}}}, method,
                    type="MOCK", requestTemplates={"application/json": asked})  # fmt: skip

    def method(self, responses: dict[str, Any], method: dict[str, Any], **integration: Any) -> None:
        with contextlib.suppress(ClientError):
            self.gateway.delete_method(**self.where)
        self.gateway.put_method(**self.where, **({"authorizationType": "NONE"} | method))
        self.gateway.put_integration(**self.where, **integration)
        for status, response in responses.items():
            self.gateway.put_method_response(**self.where, statusCode=status)
            self.gateway.put_integration_response(**self.where, statusCode=status, **response)
        self.deploy()

    def deploy(self) -> None:
        self.gateway.create_deployment(restApiId=self.id, stageName="dev")

    def ask(self, body: bytes = b"{}", *lines: str) -> bytes:
        began = time.monotonic()
        got = self._attacked.ask(
            HOST.format(api=self.id), "/dev/x", *lines, method="POST", body=body, seconds=60
        )
        assert time.monotonic() - began < ANSWER_SECONDS_MAX
        assert len(statuses(got)) == 1, got[:300]
        assert b"InternalFailure" not in got, got[:300]
        assert b"Traceback" not in got
        return got


@pytest.fixture
def api(attacked: Attacked) -> Api:
    return Api(attacked)


ENDLESS = {
    "loops in loops": "#foreach($a in [1..1000])#foreach($b in [1..1000])#foreach($c in [1..1000])$c#end#end#end",
    "a range without an end": "#foreach($a in [1..2000000000])x#end",
    "a range that is negative": "#foreach($a in [-2000000000..2000000000])#end",
    "a text that doubles": "#set($a = 'aaaaaaaaaaaaaaaa')#foreach($i in [1..60])#set($a = $a + $a)#end$a.length()",
    "a text in quotes that doubles": '#set($a = "aaaaaaaaaaaaaaaa")#foreach($i in [1..60])#set($a = "$a$a")#end$a.length()',
    "a list that holds itself": "#set($a = [])#set($x = $a.add($a))#foreach($i in [1..9])#set($x = $a.addAll($a))#end$a",
    "a map that holds itself": "#set($a = {})#set($x = $a.put('a', $a))$a $util.toJson($a)",
    "a list that doubles": "#set($a = [1])#foreach($i in [1..60])#set($x = $a.addAll($a))#end$a.size()",
    "a list that grows while it is read": "#set($a = [1])#foreach($i in $a)#set($x = $a.add($i))#end",
    "a number that grows": "#set($a = 9)#foreach($i in [1..1000])#set($a = $a * $a)#end$a",
    "a macro that calls itself": "#macro(a)#a()#end#a()",
    "a macro that calls itself twice": "#macro(a)#a()#a()#end#a()",
    "defines that call themselves": "#define($a)$a$a#end$a",
    "parentheses": "#set($a = " + "(" * 20_000 + "1" + ")" * 20_000 + ")",
    "brackets": "#set($a = " + "[" * 20_000 + "]" * 20_000 + ")",
    "conditions": "#if(true)" * 20_000 + "#end" * 20_000,
    "negations": "#if(" + "!" * 100_000 + "true)x#end",
    "sums": "#set($a = 1" + "+1" * 50_000 + ")$a",
    "references": "$input" + ".a" * 50_000,
    "indexes": "#set($a = [1])$a" + "[0]" * 50_000,
    "a regular expression": "$input.body.replaceAll('(a+)+$', 'b')",
    "a regular expression that matches": "#if($input.body.matches('(a|a)*b'))x#end",
    "a split by a regular expression": "$input.body.split('(x+x+)+y').size()",
    "a replacement that grows": "#set($a = $input.body)#foreach($i in [1..20])#set($a = $a.replace('a', 'aaaa'))#end$a.length()",
    "a repetition": "$input.body.repeat(2000000000).length()",
    "JSON that is parsed and written": "#foreach($i in [1..1000])#set($a = $util.parseJson($input.body))$util.toJson($a)#end",
    "a path that looks everywhere": "$input.json('$..*..*..*..*')",
    "a path that filters everything": "$input.path('$..[?(@..a == @..b)]')",
    "a path with brackets": "$input.path('$" + "[0]" * 20_000 + "')",
    "a path with parentheses": "$input.path('$[?(" + "(" * 5_000 + "@.a" + ")" * 5_000 + ")]')",
    "a path with a pattern": "$input.path('$[?(@.a =~ /(a+)+$/)]')",
    "a substring": "$input.body.substring(-1) $input.body.substring(9999999999999999999)",
    "a division by nothing": "#set($a = 1 / 0)#set($b = 1 % 0)$a",
    "an escape": "$util.escapeJavaScript($util.escapeJavaScript($input.body))",
    "base64": "#set($a = $input.body)#foreach($i in [1..200])#set($a = $util.base64Encode($a))#end$a.length()",
    "URLs": "#set($a = $input.body)#foreach($i in [1..200])#set($a = $util.urlEncode($a))#end$a.length()",
    "formats": "$input.body.format('%2000000000d', 1) $String.format('%2000000000s', 'a')",
}  # fmt: skip


@pytest.mark.parametrize("template", list(ENDLESS.values()), ids=list(ENDLESS))
def test_templates_end(attacked: Attacked, api: Api, template: str) -> None:
    body = json.dumps({"a": "a" * 5000 + "!", "b": [[[1, 2]] * 30] * 30}).encode()
    with Others(attacked):
        for place in ("response", "request"):
            try:
                if place == "response":
                    api.mock(template)
                else:
                    api.mock(asked=template)
            except ClientError as refused:
                assert refused.response["Error"]["Code"] == "BadRequestException"
                continue
            got = api.ask(body)
            assert statuses(got)[0] in (200, 500), got[:300]
            assert len(got) < 12 * 1024 * 1024
            assert statuses(api.ask(b"a" * 30_000 + b"!"))[0] in (200, 400, 500)


ESCAPES = (
    "$input.getClass()", "$input.class.forName('java.lang.Runtime')", "$util.getClass().getClassLoader()", "$input.__class__",
    "$input.__init__.__globals__", "$input.body.__class__.__mro__", "$context.__dict__", "$input._body", "$util._x", "$self",
    "$input.body.encode", "$input.params().__class__", "$stageVariables.__getattribute__('x')", "$util.parseJson('{}').__class__",
    "#include('/etc/passwd')", "#parse('/etc/passwd')", "#evaluate('$input.body')", "$velocityCount $foreach.__class__",
    "#set($input.body = 'x')$input.body", "#set($util = 'x')$util.escapeJavaScript('y')", "$input.body.format_map('x')",
    "$input.path('$').__class__", "$input.body.join.__self__", "${input.body.__doc__}", "$!{input.mro}", "$context.identity.class.name",
)  # fmt: skip


def test_templates_reach_nothing_but_their_data(attacked: Attacked, api: Api) -> None:
    for template in ESCAPES:
        try:
            api.mock("<<" + template + ">>")
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "BadRequestException"
            continue
        got = api.ask(b'{"a": 1}')
        for secret in (
            b"root:",
            b"<class",
            b"0x7f",
            b"<function",
            b"<built-in",
            b"<bound method",
            b"object at",
            b"java.lang",
        ):
            assert secret not in got, (template, got)
    attacked.alive()


REF = "https://apigateway.amazonaws.com/restapis/{api}/models/{name}"
DOUBLING = {f"d{at}": {"allOf": [{"$ref": f"#/definitions/d{at + 1}"}] * 2} for at in range(60)} | {
    "d60": {"type": "object"}
}
SCHEMAS: dict[str, Any] = {
    "itself": {"$ref": "#"},
    "each other": {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}, "$ref": "#/definitions/a"},
    "itself among all": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "itself, but not": {"not": {"$ref": "#"}},
    "doubling": {"definitions": DOUBLING, "allOf": [{"$ref": "#/definitions/d0"}]},
    "doubling, one of": {
        "definitions": json.loads(json.dumps(DOUBLING).replace("allOf", "oneOf")), "oneOf": [{"$ref": "#/definitions/d0"}]},
    "a tree in a tree": {"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "additionalProperties": {"$ref": "#"}},
    "a pattern": {"properties": {"a": {"pattern": "(a+)+$"}}},
    "a pattern that looks around": {"properties": {"a": {"pattern": "^(?=(a+)+$)(a|a)*\\1b$"}}},
    "patterns of names": {"patternProperties": {"(a*)*b": {"type": "string"}, "(.*a){25}": {}}},
    "a pattern that is huge": {"properties": {"a": {"pattern": "((a{1,1000}){1,1000}){1,1000}"}}},
    "a pattern that is wrong": {"properties": {"a": {"pattern": "("}}},
    "a pattern of letters": {"properties": {"a": {"pattern": "(\\p{L}{1,500}){1,500}$"}}},
    "unlike items": {"properties": {"b": {"uniqueItems": True}}},
    "many values": {"enum": [{"a": [at] * 10} for at in range(2000)]},
    "deep": json.loads('{"properties":{"a":' * 60 + "{}" + "}}" * 60),
    "a number": {"properties": {"a": {"multipleOf": 1e-300}, "b": {"minItems": 10**30}}},
}  # fmt: skip


@pytest.mark.parametrize("schema", list(SCHEMAS.values()), ids=list(SCHEMAS))
def test_schemas_end(attacked: Attacked, api: Api, schema: dict[str, Any]) -> None:
    with Others(attacked):
        try:
            api.gateway.create_model(
                restApiId=api.id, name="Bomb", contentType="application/json", schema=json.dumps(schema)
            )
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "BadRequestException"
            return
        validator = api.gateway.create_request_validator(
            restApiId=api.id, name="v", validateRequestBody=True
        )["id"]
        api.mock(requestValidatorId=validator, requestModels={"application/json": "Bomb"})
        tree: Any = {"x": 1}
        for _ in range(14):
            tree = {"a": tree, "b": tree}
        for body in (
            {"a": "a" * 60 + "!"}, {"a": "a" * 100_000 + "!"}, {"a" * 5000 + "!": 1}, {"b": [[at] for at in range(3000)]}, tree, [], 1,
        ):  # fmt: skip
            got = api.ask(json.dumps(body).encode())
            assert statuses(got)[0] in (200, 400, 413), got[:300]
        for raw in (
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"9" * 100_000,
            b"nul",
            b'"\\ud800"',
            b"\xff",
            b"1e99999",
        ):
            assert statuses(api.ask(raw))[0] in (200, 400)


def test_models_fetch_nothing(attacked: Attacked, api: Api) -> None:
    asked: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(30)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                asked.append(connection.recv(1000))
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    validator = api.gateway.create_request_validator(restApiId=api.id, name="v", validateRequestBody=True)[
        "id"
    ]
    for at, uri in enumerate(
        (
            f"http://127.0.0.1:{server.getsockname()[1]}/x",
            "file:///etc/passwd",
            REF.format(api="other", name="X"),
            "json-schema:///x",
        )
    ):
        for schema in (
            {"$ref": uri},
            {"id": uri, "$ref": "y"},
            {"$schema": uri, "type": "string"},
            {"properties": {"a": {"id": uri, "$ref": "#/x"}}},
        ):
            try:
                api.gateway.create_model(
                    restApiId=api.id, name=f"M{at}", contentType="application/json", schema=json.dumps(schema)
                )
            except ClientError as refused:
                assert refused.response["Error"]["Code"] in ("BadRequestException", "ConflictException")
                continue
            api.mock(requestValidatorId=validator, requestModels={"application/json": f"M{at}"})
            assert statuses(api.ask(b'{"a": 1}'))[0] in (200, 400)
            api.mock()
            api.gateway.delete_model(restApiId=api.id, modelName=f"M{at}")
    server.close()
    assert not asked
    attacked.alive()


def test_models_that_refer_to_one_another_in_circles_end(attacked: Attacked, api: Api) -> None:
    gateway = api.gateway
    for name in ("A", "B"):
        gateway.create_model(
            restApiId=api.id, name=name, contentType="application/json", schema='{"type": "object"}'
        )
    for name, other in (("A", "B"), ("B", "A")):
        schema = json.dumps({"allOf": [{"$ref": REF.format(api=api.id, name=other)}] * 2})
        with contextlib.suppress(ClientError):
            gateway.update_model(
                restApiId=api.id,
                modelName=name,
                patchOperations=[{"op": "replace", "path": "/schema", "value": schema}],
            )
    validator = gateway.create_request_validator(restApiId=api.id, name="v", validateRequestBody=True)["id"]
    with Others(attacked):
        api.mock(requestValidatorId=validator, requestModels={"application/json": "A"})
        assert statuses(api.ask(b'{"a": 1}'))[0] in (200, 400)
        with contextlib.suppress(ClientError):
            gateway.get_model(restApiId=api.id, modelName="A", flatten=True)
        with contextlib.suppress(ClientError):
            gateway.get_model_template(restApiId=api.id, modelName="A")


PATTERNS = (
    "(a+)+$",
    "(a|a)*b",
    "(a|aa)+$",
    "(.*)*x",
    "([a-zA-Z]+)*$",
    "(?=(a+)+$)b",
    "(a{1,100}){1,100}!b",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_selection_patterns_end(attacked: Attacked, api: Api, pattern: str) -> None:
    """Of errors that a function raises: a text that the client writes."""
    with Others(attacked):
        api.method(
            {"200": {}, "400": {"selectionPattern": pattern}},
            {},
            type="AWS",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{raising(attacked)}/invocations",
        )
        for said in ("a" * 30 + "!", "a" * 50_000 + "!", "a" * 50_000, "aA" * 5000):
            got = api.ask(json.dumps({"raise": said}).encode())
            assert statuses(got)[0] in (200, 400, 500, 502), got[:300]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_expressions_that_tokens_must_match_end(attacked: Attacked, api: Api, pattern: str) -> None:
    with Others(attacked):
        try:
            gate = api.gateway.create_authorizer(
                restApiId=api.id,
                name="a",
                type="TOKEN",
                authorizerUri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{raising(attacked)}/invocations",
                identitySource="method.request.header.Authorization",
                identityValidationExpression=pattern,
            )["id"]
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "BadRequestException"
            return
        api.mock(authorizationType="CUSTOM", authorizerId=gate)
        for token in ("a" * 30 + "!", "a" * 9000 + "!", "aA" * 4000):
            got = api.ask(b"{}", f"Authorization: {token}")
            assert statuses(got)[0] in (401, 403, 500), got[:300]


def raising(attacked: Attacked) -> str:
    """The ARN of a function that raises what it is told."""
    from tests.support import deploy

    aws = attacked.process.client("lambda")
    with contextlib.suppress(ClientError):
        return str(aws.get_function(FunctionName="raising")["Configuration"]["FunctionArn"])
    code = "def handler(event, context):\n    raise ValueError(event.get('raise', 'x'))\n"
    return str(deploy(aws, "raising", code)["FunctionArn"])


def test_gateway_responses_are_filled_in_once(attacked: Attacked, api: Api) -> None:
    template = (
        '{"path": "$context.path", "x": "$method.request.header.x", "y": "$method.request.querystring.y"}'
    )
    api.gateway.put_gateway_response(
        restApiId=api.id,
        responseType="MISSING_AUTHENTICATION_TOKEN",
        responseTemplates={"application/json": template * 200},
        responseParameters={"gatewayresponse.header.X-Said": "method.request.header.x", "gatewayresponse.header.Y": "method.request.querystring.y"},
    )  # fmt: skip
    api.mock()
    host = HOST.format(api=api.id)
    with Others(attacked):
        got = attacked.ask(
            host, "/dev/none?y=%0d%0aSet-Cookie:%20evil=1$context.path", "X: $context.path" * 300
        )
        assert statuses(got) == [403]
        head, _, body = got.partition(b"\r\n\r\n")
        assert b"\r\nset-cookie" not in head.lower()
        assert b"$context.path" in body, "what a client says is no template"


def test_mappings_of_paths_in_bodies_end(attacked: Attacked) -> None:
    """HTTP APIs' own paths, and REST APIs' JSONPath in parameters."""
    for at, expression in enumerate(
        (
            "$request.body.a.b.c",
            "$request.body" + ".a" * 3000,
            "$request.body[0]" * 1,
            "${request.body.a}" * 500,
        )
    ):
        try:
            attacked.route(
                f"POST /mapped{at}",
                IntegrationUri=attacked.backend.url,
                RequestParameters={"append:header.x-said": expression},
            )
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "BadRequestException"
            continue
        with Others(attacked):
            for body in (
                b'{"a":' * 20_000,
                b'{"a": "' + b"\\r\\nX-Evil: 1" * 100 + b'"}',
                b"[" * 90_000,
                b'{"a": {"b": [1]}}',
            ):
                attacked.backend.reset()
                got = attacked.ask(attacked.http_host, f"/mapped{at}", method="POST", body=body)
                assert statuses(got)[0] in (200, 500, 503), (expression[:40], got[:300])
                assert not attacked.backend.faults
                assert not [head for head in attacked.backend.heads if b"\r\nx-evil" in head.lower()]
    assert json_of(attacked.ask(attacked.rest_host, "/dev/mock")) == {"mock": True}
