"""Who may call: authorizers with real functions, tokens of a real issuer, and keys with quotas, from boto3 to an answer."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.apps_kit import Site, lambda_uri
from tests.gateway_security_kit import key_set, signed
from tests.support import deploy, until

from cumulo.base.clock import SystemClock

ECHO = """
import json
def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"].get("authorizer"))}
"""
GATE = """
import json, time
calls = 0

def policy(effect, resource, **more):
    return {"principalId": "ada", "policyDocument": {"Version": "2012-10-17", "Statement": [
        {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}]}, **more}

def handler(event, context):
    global calls
    calls += 1
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    said = event.get("authorizationToken") or headers.get("x-who") or (event.get("identitySource") or [""])[0]
    arn = event.get("methodArn") or event.get("routeArn")
    everything = arn.split("/")[0] + "/*"
    if said == "raise":
        raise Exception("Unauthorized")
    if said == "crash":
        raise ValueError("what now")
    if said == "nonsense":
        return {"yes": True}
    if said.startswith("key:"):
        return policy("Allow", everything, usageIdentifierKey=said[4:])
    if context.function_name.endswith("simple"):
        return {"isAuthorized": said == "good", "context": {"calls": calls, "version": event["version"]}}
    if said == "narrow":
        return policy("Allow", arn, context={"calls": calls})
    told = {"calls": calls, "flag": True, "text": "x"}
    return policy("Allow" if said == "good" else "Deny", everything, context=told)
"""


@pytest.fixture(scope="module")
def functions(cumulo) -> dict[str, str]:
    """ARNs by name."""
    sources = {"echo": ECHO, "gate": GATE, "simple": GATE}
    made = cumulo.client("lambda")
    return {name: deploy(made, f"api-auth-{name}", source)["FunctionArn"] for name, source in sources.items()}


class Rest:
    """A REST API with two resources behind one authorizer."""

    def __init__(
        self, cloud: Any, functions: dict[str, str], method: dict[str, Any], **authorizer: Any
    ) -> None:
        self.aws = rest = cloud.client("apigateway")
        api = rest.create_rest_api(name="guarded")
        self.site = Site(cloud, api["id"], "dev")
        settings = dict(method)
        if authorizer:
            settings["authorizerId"] = rest.create_authorizer(
                restApiId=api["id"], name="gate", authorizerUri=lambda_uri(functions["gate"]), **authorizer
            )["id"]
        for part in ("one", "two"):
            resource = rest.create_resource(
                restApiId=api["id"], parentId=api["rootResourceId"], pathPart=part
            )["id"]
            where = {"restApiId": api["id"], "resourceId": resource, "httpMethod": "GET"}
            rest.put_method(**where, **settings)
            uri = lambda_uri(functions["echo"])
            rest.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        rest.create_deployment(restApiId=api["id"], stageName="dev")

    def key(self, value: str = "", **plan: Any) -> tuple[str, str, str]:
        """A key in a plan of its own: the key's value, the plan's id, the key's id."""
        stages = [{"apiId": self.site.id, "stage": "dev"}]
        made = self.aws.create_usage_plan(name=f"plan {value}", apiStages=stages, **plan)["id"]
        key = self.aws.create_api_key(name="key", enabled=True, **({"value": value} if value else {}))
        self.aws.create_usage_plan_key(usagePlanId=made, keyId=key["id"], keyType="API_KEY")
        return key["value"], made, key["id"]


def said(answer: Any) -> tuple[int, str]:
    told = answer.json
    return answer.status, told.get("message", told.get("Message"))


def test_a_token_authorizer(cumulo, functions):
    site = Rest(
        cumulo, functions, {"authorizationType": "CUSTOM"}, type="TOKEN",
        identitySource="method.request.header.Authorization", identityValidationExpression="[a-z]+",
    ).site  # fmt: skip
    assert said(site.get("/one")) == (401, "Unauthorized")
    assert said(site.get("/one", Authorization="DIGITS 1")) == (401, "Unauthorized")
    first = site.get("/one", Authorization="good").json
    assert (first["principalId"], first["flag"], first["text"]) == ("ada", "true", "x")
    assert site.get("/two", Authorization="good").json["calls"] == first["calls"], "the policy is kept"
    assert said(site.get("/one", Authorization="bad")) == (
        403, "User is not authorized to access this resource with an explicit deny"
    )  # fmt: skip
    assert said(site.get("/one", Authorization="raise")) == (401, "Unauthorized")
    assert said(site.get("/one", Authorization="crash")) == (500, None)
    assert said(site.get("/one", Authorization="nonsense")) == (500, None)
    assert site.get("/one", Authorization="narrow").status == 200
    assert said(site.get("/two", Authorization="narrow")) == (
        403,
        "User is not authorized to access this resource",
    )


def test_a_request_authorizer_and_what_it_is_asked_by(cumulo, functions):
    site = Rest(
        cumulo, functions, {"authorizationType": "CUSTOM"}, type="REQUEST", authorizerResultTtlInSeconds=300,
        identitySource="method.request.header.X-Who, method.request.querystring.q",
    ).site  # fmt: skip
    assert said(site.get("/one?q=1")) == (401, "Unauthorized")
    assert said(site.get("/one", X_Who="good")) == (401, "Unauthorized")
    first = site.get("/one?q=1", X_Who="good").json["calls"]
    assert site.get("/two?q=1", X_Who="good").json["calls"] == first
    assert site.get("/one?q=2", X_Who="good").json["calls"] != first
    assert site.get("/one?q=1", X_Who="bad").status == 403


def test_keys_of_usage_plans(cumulo, functions):
    api = Rest(cumulo, functions, {"authorizationType": "NONE", "apiKeyRequired": True})
    value, plan, key = api.key(quota={"limit": 3, "period": "DAY"})
    site = api.site
    assert said(site.get("/one")) == (403, "Forbidden")
    assert said(site.get("/one", X_API_Key="nobody has this key at all")) == (403, "Forbidden")
    assert [site.get("/one", X_API_Key=value).status for _ in range(4)] == [200, 200, 200, 429]
    assert said(site.get("/two", X_API_Key=value)) == (429, "Limit Exceeded")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    used = api.aws.get_usage(usagePlanId=plan, keyId=key, startDate=today, endDate=today)
    assert used["items"][key] == [[3, 0]]
    api.aws.update_usage(usagePlanId=plan, keyId=key, patchOperations=[
        {"op": "replace", "path": "/remaining", "value": "1"}])  # fmt: skip
    assert [site.get("/one", X_API_Key=value).status for _ in range(2)] == [200, 429]
    api.aws.update_api_key(
        apiKey=key, patchOperations=[{"op": "replace", "path": "/enabled", "value": "false"}]
    )
    assert said(site.get("/one", X_API_Key=value)) == (403, "Forbidden")
    slow, _, _ = api.key("a slow key of twenty or more", throttle={"rateLimit": 0.5, "burstLimit": 2})
    answers = [site.get("/one", X_API_Key=slow) for _ in range(4)]
    assert [one.status for one in answers] == [200, 200, 429, 429]
    assert said(answers[-1]) == (429, "Too Many Requests")


def test_an_authorizer_may_bring_the_key(cumulo, functions):
    api = Rest(
        cumulo, functions, {"authorizationType": "CUSTOM", "apiKeyRequired": True}, type="TOKEN",
        identitySource="method.request.header.Authorization",
    )  # fmt: skip
    source = [{"op": "replace", "path": "/apiKeySource", "value": "AUTHORIZER"}]
    api.aws.update_rest_api(restApiId=api.site.id, patchOperations=source)
    api.aws.create_deployment(restApiId=api.site.id, stageName="dev")
    value, _, _ = api.key()
    assert api.site.get("/one", Authorization=f"key:{value}").status == 200
    assert said(api.site.get("/one", Authorization="good")) == (403, "Forbidden")
    assert said(api.site.get("/one", Authorization="good", X_API_Key=value)) == (403, "Forbidden")


def test_stages_and_methods_throttle(cumulo, functions):
    api = Rest(cumulo, functions, {"authorizationType": "NONE"})
    assert {api.site.get("/one").status for _ in range(20)} == {200}
    api.aws.update_stage(restApiId=api.site.id, stageName="dev", patchOperations=[
        {"op": "replace", "path": "/~1one/GET/throttling/rateLimit", "value": "0.1"},
        {"op": "replace", "path": "/~1one/GET/throttling/burstLimit", "value": "2"},
    ])  # fmt: skip
    assert [api.site.get("/one").status for _ in range(4)] == [200, 200, 429, 429]
    assert {api.site.get("/two").status for _ in range(10)} == {200}


def test_resource_policies(cumulo, functions):
    api = Rest(cumulo, functions, {"authorizationType": "NONE"})
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"},
        {"Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/dev/GET/two",
         "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}},
    ]  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    change = [{"op": "replace", "path": "/policy", "value": policy}]
    api.aws.update_rest_api(restApiId=api.site.id, patchOperations=change)
    assert api.site.get("/two").status == 200, "not before it is deployed"
    api.aws.create_deployment(restApiId=api.site.id, stageName="dev")
    assert api.site.get("/one").status == 200
    status, message = said(api.site.get("/two"))
    assert status == 403
    assert message.startswith(
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
    )
    assert "with an explicit deny" in message


class Http:
    """An HTTP API with two routes behind one authorizer."""

    def __init__(
        self, cloud: Any, functions: dict[str, str], route: dict[str, Any], **authorizer: Any
    ) -> None:
        self.aws = v2 = cloud.client("apigatewayv2")
        api = v2.create_api(Name="guarded", ProtocolType="HTTP")["ApiId"]
        self.site = Site(cloud, api)
        integration = v2.create_integration(
            ApiId=api,
            IntegrationType="AWS_PROXY",
            IntegrationUri=functions["echo"],
            PayloadFormatVersion="2.0",
        )["IntegrationId"]
        settings = dict(route)
        if authorizer:
            settings["AuthorizerId"] = v2.create_authorizer(ApiId=api, Name="gate", **authorizer)[
                "AuthorizerId"
            ]
        for path in ("one", "two"):
            v2.create_route(
                ApiId=api, RouteKey=f"GET /{path}", Target=f"integrations/{integration}", **settings
            )
        v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)


def test_simple_answers_of_an_http_apis_authorizer(cumulo, functions):
    api = Http(
        cumulo, functions, {"AuthorizationType": "CUSTOM"}, AuthorizerType="REQUEST",
        AuthorizerUri=lambda_uri(functions["simple"]), AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True, IdentitySource=["$request.header.X-Who"], AuthorizerResultTtlInSeconds=60,
    )  # fmt: skip
    assert said(api.site.get("/one")) == (401, "Unauthorized")
    first = api.site.get("/one", X_Who="good").json["lambda"]
    assert first["version"] == "2.0"
    assert api.site.get("/two", X_Who="good").json["lambda"]["calls"] == first["calls"]
    assert said(api.site.get("/one", X_Who="bad")) == (403, "Forbidden")
    assert said(api.site.get("/one", X_Who="crash")) == (500, "Internal Server Error")
    assert said(api.site.get("/one", X_Who="nonsense")) == (500, "Internal Server Error")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_policies_of_an_http_apis_authorizer(cumulo, functions, version):
    api = Http(
        cumulo, functions, {"AuthorizationType": "CUSTOM"}, AuthorizerType="REQUEST",
        AuthorizerUri=lambda_uri(functions["gate"]), AuthorizerPayloadFormatVersion=version,
        IdentitySource=["$request.header.X-Who"], AuthorizerResultTtlInSeconds=0,
    )  # fmt: skip
    told = api.site.get("/one", X_Who="good").json["lambda"]
    assert (told["flag"], told["text"]) == (True, "x")
    assert api.site.get("/one", X_Who="good").json["lambda"]["calls"] > told["calls"], "nothing is kept"
    assert said(api.site.get("/one", X_Who="bad")) == (403, "Forbidden")
    assert api.site.get("/two", X_Who="narrow").status == 200


class Issuer(BaseHTTPRequestHandler):
    """Discovery and keys of one who issues tokens."""

    def do_GET(self) -> None:
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        answers = {
            "/.well-known/openid-configuration": json.dumps(
                {"issuer": url, "jwks_uri": f"{url}/keys"}
            ).encode(),
            "/keys": key_set("one", "two"),
        }
        body = answers.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def issuer() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tokens_of_an_issuer(cumulo, functions, issuer):
    api = Http(
        cumulo, functions, {"AuthorizationType": "JWT", "AuthorizationScopes": ["pets.read"]}, AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"], JwtConfiguration={"Issuer": issuer, "Audience": ["shop"]},
    )  # fmt: skip
    now = int(SystemClock().now())

    def claims(**more: Any) -> dict[str, Any]:
        found = {
            "iss": issuer,
            "aud": "shop",
            "sub": "ada",
            "iat": now - 5,
            "exp": now + 300,
            "scope": "pets.read x",
        }
        return found | more

    def ask(token: str) -> Any:
        return api.site.get("/one", Authorization=f"Bearer {token}")

    good = ask(signed(claims()))
    assert good.json["jwt"]["claims"]["sub"] == "ada"
    assert ask(signed(claims(), key="two")).status == 200
    for bad in (
        signed(claims(exp=now - 60)), signed(claims(aud="other")), signed(claims(iss="http://evil.example")),
        signed(claims(nbf=now + 300)), signed(claims(), key="three"), signed(claims(), key="three", kid="one"),
        signed(claims(), alg="none"), "nonsense", "",
    ):  # fmt: skip
        refused = ask(bad)
        assert said(refused) == (401, "Unauthorized"), bad
        assert refused.header("www-authenticate").startswith("Bearer")
    assert said(ask(signed(claims(scope="pets.write")))) == (403, "Forbidden")
    assert said(api.site.get("/one")) == (401, "Unauthorized")


def test_an_authorizer_that_is_gone_lets_nobody_in(cumulo, functions):
    lambdas = cumulo.client("lambda")
    own = functions | {"gate": deploy(lambdas, "api-auth-short", GATE)["FunctionArn"]}
    source = "method.request.header.Authorization"
    api = Rest(cumulo, own, {"authorizationType": "CUSTOM"}, type="TOKEN", identitySource=source,
               authorizerResultTtlInSeconds=0)  # fmt: skip
    assert api.site.get("/one", Authorization="good").status == 200
    lambdas.delete_function(FunctionName="api-auth-short")
    until(lambda: said(api.site.get("/one", Authorization="good")) == (500, None), "nobody is let in", 10)
