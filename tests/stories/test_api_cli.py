"""Every noun of API Gateway by the AWS CLI, made, read, changed, listed and deleted, in one journey for each kind."""

import json
import sys
import time

import pytest
from tests.apps_kit import Site, lambda_uri
from tests.support import deploy

RUNNER = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from awscli.clidriver import create_clidriver
driver = create_clidriver()
for line in sys.stdin:
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = driver.main(json.loads(line))
        except SystemExit as left:
            code = left.code
    told = {"code": code, "out": out.buffer.getvalue().decode(), "err": err.getvalue()}
    print(json.dumps(told), flush=True)
"""


class Cli:
    """`aws ...`, one process for all of them: it takes half a second to start."""

    def __init__(self, endpoint: str, home: str) -> None:
        import os
        import subprocess

        gone = ("AWS_", "CUMULO_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(gone)} | {
            "HOME": home, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_PAGER": "",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint,
        }  # fmt: skip
        self._child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def run(self, *words):
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def close(self):
        self._child.stdin.close()
        self._child.wait(20)
        self._child.stdout.close()


class Service:
    """The commands of one service."""

    def __init__(self, cli, name):
        self._cli, self._name = cli, name

    def __call__(self, command, *words, **options):
        """An answer as JSON; options are given with dashes for underscores."""
        for name, value in options.items():
            several = value if isinstance(value, list) else [value]
            given = [json.dumps(several)] if name == "patch_operations" else several
            words += (f"--{name.replace('_', '-')}", *given)
        done = self._cli.run(self._name, command, *words)
        assert done["code"] == 0, f"aws {self._name} {command} {words}\n{done['err']}"
        return json.loads(done["out"]) if done["out"].strip() else None

    def refused(self, command, **options):
        """What an error says."""
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        done = self._cli.run(self._name, command, *words)
        assert done["code"] != 0
        return done["err"]


@pytest.fixture
def cli(cumulo_empty, tmp_path):
    made = Cli(cumulo_empty.endpoint, str(tmp_path))
    yield made
    made.close()


@pytest.fixture
def function(cumulo_empty):
    source = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hi'}\n"
    return deploy(cumulo_empty.client("lambda"), "api-cli", source)["FunctionArn"]


def change(path, value, op="replace"):
    return {"op": op, "path": path, "value": value} if value else {"op": op, "path": path}


def test_a_rest_api(cumulo_empty, cli, function, tmp_path):
    aws = Service(cli, "apigateway")
    api = aws("create-rest-api", name="shop", description="first", tags="team=a")["id"]
    assert aws("get-rest-api", rest_api_id=api)["tags"] == {"team": "a"}
    changed = aws("update-rest-api", rest_api_id=api, patch_operations=[change("/description", "second"),
                  change("/binaryMediaTypes/image~1png", "", "add")])  # fmt: skip
    assert (changed["description"], changed["binaryMediaTypes"]) == ("second", ["image/png"])
    assert [one["id"] for one in aws("get-rest-apis")["items"]] == [api]
    [root] = aws("get-resources", rest_api_id=api)["items"]

    pets = aws("create-resource", rest_api_id=api, parent_id=root["id"], path_part="pet")["id"]
    moved = aws(
        "update-resource", rest_api_id=api, resource_id=pets, patch_operations=change("/pathPart", "pets")
    )
    assert moved["path"] == "/pets"
    where = {"rest_api_id": api, "resource_id": pets, "http_method": "GET"}

    model = aws("create-model", rest_api_id=api, name="Pet", content_type="application/json",
                schema='{"type": "object", "required": ["name"]}')["id"]  # fmt: skip
    aws("update-model", rest_api_id=api, model_name="Pet", patch_operations=change("/description", "a pet"))
    shown = aws("get-model", rest_api_id=api, model_name="Pet")
    assert (shown["id"], shown["description"]) == (model, "a pet")
    assert {one["name"] for one in aws("get-models", rest_api_id=api)["items"]} >= {"Pet", "Empty", "Error"}
    validator = aws("create-request-validator", "--validate-request-body", rest_api_id=api, name="body")["id"]
    aws("update-request-validator", rest_api_id=api, request_validator_id=validator,
        patch_operations=change("/validateRequestParameters", "true"))  # fmt: skip
    assert aws("get-request-validator", rest_api_id=api, request_validator_id=validator)[
        "validateRequestParameters"
    ]
    assert len(aws("get-request-validators", rest_api_id=api)["items"]) == 1

    gate = aws("create-authorizer", rest_api_id=api, name="gate", type="TOKEN", authorizer_uri=lambda_uri(function),
               identity_source="method.request.header.Authorization")["id"]  # fmt: skip
    aws("update-authorizer", rest_api_id=api, authorizer_id=gate,
        patch_operations=change("/authorizerResultTtlInSeconds", "60"))  # fmt: skip
    assert aws("get-authorizer", rest_api_id=api, authorizer_id=gate)["authorizerResultTtlInSeconds"] == 60
    assert len(aws("get-authorizers", rest_api_id=api)["items"]) == 1

    aws(
        "put-method",
        **where,
        authorization_type="NONE",
        request_parameters="method.request.querystring.q=false",
    )
    aws("update-method", **where, patch_operations=change("/operationName", "ListPets"))
    assert aws("get-method", **where)["operationName"] == "ListPets"
    aws("put-method-response", **where, status_code=200, response_models="application/json=Pet")
    aws("update-method-response", **where, status_code=200,
        patch_operations=change("/responseParameters/method.response.header.X-A", "true", "add"))  # fmt: skip
    assert aws("get-method-response", **where, status_code=200)["responseParameters"] == {
        "method.response.header.X-A": True
    }
    aws(
        "put-integration",
        **where,
        type="MOCK",
        request_templates='{"application/json": "{\\"statusCode\\": 200}"}',
    )
    aws("update-integration", **where, patch_operations=change("/timeoutInMillis", "5000"))
    assert aws("get-integration", **where)["timeoutInMillis"] == 5000
    aws("put-integration-response", **where, status_code=200,
        response_templates='{"application/json": "{\\"pets\\": $input.json(\'$\')}"}')  # fmt: skip
    aws("update-integration-response", **where, status_code=200,
        patch_operations=change("/responseTemplates/application~1json", "nothing"))  # fmt: skip
    assert aws("get-integration-response", **where, status_code=200)["responseTemplates"] == {
        "application/json": "nothing"
    }

    aws(
        "put-gateway-response", rest_api_id=api, response_type="MISSING_AUTHENTICATION_TOKEN", status_code=404
    )
    aws("update-gateway-response", rest_api_id=api, response_type="MISSING_AUTHENTICATION_TOKEN",
        patch_operations=change("/responseParameters/gatewayresponse.header.X-B", "'b'", "add"))  # fmt: skip
    shown = aws("get-gateway-response", rest_api_id=api, response_type="MISSING_AUTHENTICATION_TOKEN")
    assert (shown["statusCode"], shown["defaultResponse"]) == ("404", False)
    assert len(aws("get-gateway-responses", rest_api_id=api)["items"]) > 15

    part = aws("create-documentation-part", rest_api_id=api, location="type=API", properties='{"info": "x"}')[
        "id"
    ]
    aws("update-documentation-part", rest_api_id=api, documentation_part_id=part,
        patch_operations=change("/properties", '{"info": "y"}'))  # fmt: skip
    assert (
        aws("get-documentation-part", rest_api_id=api, documentation_part_id=part)["properties"]
        == '{"info": "y"}'
    )
    assert len(aws("get-documentation-parts", rest_api_id=api)["items"]) == 1
    aws("create-documentation-version", rest_api_id=api, documentation_version="1")
    aws("update-documentation-version", rest_api_id=api, documentation_version="1",
        patch_operations=change("/description", "d"))  # fmt: skip
    assert aws("get-documentation-version", rest_api_id=api, documentation_version="1")["description"] == "d"
    assert len(aws("get-documentation-versions", rest_api_id=api)["items"]) == 1

    tried = aws("test-invoke-method", **where)
    assert (tried["status"], tried["body"]) == (200, "nothing")
    first = aws("create-deployment", rest_api_id=api, stage_name="dev", description="one")["id"]
    aws(
        "update-deployment",
        rest_api_id=api,
        deployment_id=first,
        patch_operations=change("/description", "uno"),
    )
    assert aws("get-deployment", rest_api_id=api, deployment_id=first)["description"] == "uno"
    second = aws("create-deployment", rest_api_id=api)["id"]
    assert {one["id"] for one in aws("get-deployments", rest_api_id=api)["items"]} == {first, second}
    aws("create-stage", rest_api_id=api, stage_name="prod", deployment_id=second, variables="v=1")
    aws("update-stage", rest_api_id=api, stage_name="prod", patch_operations=[
        change("/variables/v", "2"), change("/*/*/throttling/burstLimit", "100")])  # fmt: skip
    assert aws("get-stage", rest_api_id=api, stage_name="prod")["variables"] == {"v": "2"}
    assert {one["stageName"] for one in aws("get-stages", rest_api_id=api)["item"]} == {"dev", "prod"}
    site = Site(cumulo_empty, api, "prod")
    assert (site.get("/pets").status, site.get("/pets").body) == (200, b"nothing")
    assert (site.get("/none").status, site.get("/none").header("x-b")) == (404, "b")
    aws("flush-stage-cache", rest_api_id=api, stage_name="prod")
    aws("flush-stage-authorizers-cache", rest_api_id=api, stage_name="prod")
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api}/stages/prod"
    aws("tag-resource", resource_arn=arn, tags="a=1,b=2")
    aws("untag-resource", resource_arn=arn, tag_keys="a")
    assert aws("get-tags", resource_arn=arn)["tags"] == {"b": "2"}

    key = aws("create-api-key", "--enabled", name="mine", value="a value of twenty or more")["id"]
    aws("update-api-key", api_key=key, patch_operations=change("/name", "ours"))
    assert "value" not in aws("get-api-key", api_key=key)
    assert aws("get-api-key", "--include-value", api_key=key)["value"] == "a value of twenty or more"
    assert [one["name"] for one in aws("get-api-keys")["items"]] == ["ours"]
    (tmp_path / "keys.csv").write_text("name,key,description,enabled\nother,another value of twenty,d,true\n")
    imported = aws("import-api-keys", body=f"fileb://{tmp_path}/keys.csv", format="csv")["ids"]
    plan = aws("create-usage-plan", name="plan", api_stages=f"apiId={api},stage=prod", quota="limit=10,period=DAY",
               throttle="rateLimit=5,burstLimit=9")["id"]  # fmt: skip
    aws("update-usage-plan", usage_plan_id=plan, patch_operations=change("/quota/limit", "20"))
    assert aws("get-usage-plan", usage_plan_id=plan)["quota"] == {"limit": 20, "offset": 0, "period": "DAY"}
    assert len(aws("get-usage-plans")["items"]) == 1
    aws("create-usage-plan-key", usage_plan_id=plan, key_id=key, key_type="API_KEY")
    assert aws("get-usage-plan-key", usage_plan_id=plan, key_id=key)["name"] == "ours"
    assert len(aws("get-usage-plan-keys", usage_plan_id=plan)["items"]) == 1
    today = time.strftime("%Y-%m-%d", time.gmtime())
    aws("update-usage", usage_plan_id=plan, key_id=key, patch_operations=change("/remaining", "5"))
    assert aws("get-usage", usage_plan_id=plan, start_date=today, end_date=today)["items"][key] == [[0, 5]]

    certificate = aws("generate-client-certificate", description="c")["clientCertificateId"]
    aws(
        "update-client-certificate",
        client_certificate_id=certificate,
        patch_operations=change("/description", "d"),
    )
    shown = aws("get-client-certificate", client_certificate_id=certificate)
    assert shown["description"] == "d"
    assert shown["pemEncodedCertificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert len(aws("get-client-certificates")["items"]) == 1
    role = "arn:aws:iam::000000000000:role/logs"
    aws("update-account", patch_operations=change("/cloudwatchRoleArn", role))
    assert aws("get-account")["cloudwatchRoleArn"] == role

    aws("delete-usage-plan-key", usage_plan_id=plan, key_id=key)
    assert "BadRequestException" in aws.refused(
        "delete-usage-plan", usage_plan_id=plan
    )  # a stage is still in it
    aws(
        "update-usage-plan",
        usage_plan_id=plan,
        patch_operations=change("/apiStages", f"{api}:prod", "remove"),
    )
    aws("delete-usage-plan", usage_plan_id=plan)
    for one in (key, *imported):
        aws("delete-api-key", api_key=one)
    aws("delete-client-certificate", client_certificate_id=certificate)
    aws("delete-integration-response", **where, status_code=200)
    aws("delete-integration", **where)
    aws("delete-method-response", **where, status_code=200)
    aws("delete-method", **where)
    assert site.get("/pets").status == 200, "what is deployed stays"
    aws("delete-gateway-response", rest_api_id=api, response_type="MISSING_AUTHENTICATION_TOKEN")
    aws("delete-documentation-version", rest_api_id=api, documentation_version="1")
    aws("delete-documentation-part", rest_api_id=api, documentation_part_id=part)
    aws("delete-authorizer", rest_api_id=api, authorizer_id=gate)
    aws("delete-request-validator", rest_api_id=api, request_validator_id=validator)
    aws("delete-model", rest_api_id=api, model_name="Pet")
    aws("delete-resource", rest_api_id=api, resource_id=pets)
    assert "BadRequestException" in aws.refused("delete-deployment", rest_api_id=api, deployment_id=second)
    aws("delete-stage", rest_api_id=api, stage_name="prod")
    assert site.get("/pets").status == 403
    aws("delete-deployment", rest_api_id=api, deployment_id=second)
    aws("delete-rest-api", rest_api_id=api)
    assert "NotFoundException" in aws.refused("get-rest-api", rest_api_id=api)
    assert aws("get-rest-apis")["items"] == []


def test_http_and_websocket_apis(cumulo_empty, cli, function):
    aws = Service(cli, "apigatewayv2")
    quick = aws("create-api", name="quick", protocol_type="HTTP", target=function, route_key="GET /hi")[
        "ApiId"
    ]
    assert Site(cumulo_empty, quick).get("/hi").body == b"hi"
    aws("delete-api", api_id=quick)

    api = aws("create-api", name="shop", protocol_type="HTTP", tags="team=a",
              cors_configuration="AllowOrigins=https://a.example,AllowMethods=GET")["ApiId"]  # fmt: skip
    assert aws("update-api", api_id=api, description="d")["Description"] == "d"
    aws("delete-cors-configuration", api_id=api)
    shown = aws("get-api", api_id=api)
    assert ("CorsConfiguration" not in shown, shown["Tags"]) == (True, {"team": "a"})
    assert [one["ApiId"] for one in aws("get-apis")["Items"]] == [api]

    integration = aws("create-integration", api_id=api, integration_type="AWS_PROXY", integration_uri=function,
                      payload_format_version="2.0")["IntegrationId"]  # fmt: skip
    aws("update-integration", api_id=api, integration_id=integration, timeout_in_millis=5000)
    assert aws("get-integration", api_id=api, integration_id=integration)["TimeoutInMillis"] == 5000
    assert len(aws("get-integrations", api_id=api)["Items"]) == 1
    gate = aws("create-authorizer", api_id=api, authorizer_type="JWT", name="gate",
               identity_source="$request.header.Authorization",
               jwt_configuration="Issuer=https://issuer.example,Audience=shop")["AuthorizerId"]  # fmt: skip
    aws("update-authorizer", api_id=api, authorizer_id=gate, name="gates")
    assert aws("get-authorizer", api_id=api, authorizer_id=gate)["Name"] == "gates"
    assert len(aws("get-authorizers", api_id=api)["Items"]) == 1
    route = aws("create-route", api_id=api, route_key="GET /pets", target=f"integrations/{integration}")[
        "RouteId"
    ]
    aws("update-route", api_id=api, route_id=route, route_key="GET /pets/{id}", operation_name="Pet")
    assert aws("get-route", api_id=api, route_id=route)["RouteKey"] == "GET /pets/{id}"
    assert len(aws("get-routes", api_id=api)["Items"]) == 1
    aws("create-stage", "--auto-deploy", api_id=api, stage_name="$default", stage_variables="v=1")
    site = Site(cumulo_empty, api)
    assert site.get("/pets/6").body == b"hi"
    aws("update-stage", api_id=api, stage_name="$default", default_route_settings="ThrottlingBurstLimit=5,ThrottlingRateLimit=9",
        route_settings='{"GET /pets/{id}": {"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 0.1}}')  # fmt: skip
    assert (
        aws("get-stage", api_id=api, stage_name="$default")["DefaultRouteSettings"]["ThrottlingBurstLimit"]
        == 5
    )
    assert [site.get("/pets/6").status for _ in range(3)] == [200, 200, 429]
    aws("delete-route-settings", api_id=api, stage_name="$default", route_key="GET /pets/{id}")
    assert site.get("/pets/6").status == 200
    deployment = aws("create-deployment", api_id=api, description="by hand")["DeploymentId"]
    aws("update-deployment", api_id=api, deployment_id=deployment, description="changed")
    assert aws("get-deployment", api_id=api, deployment_id=deployment)["Description"] == "changed"
    assert len(aws("get-deployments", api_id=api)["Items"]) >= 2
    aws("create-stage", api_id=api, stage_name="old", deployment_id=deployment)
    assert {one["StageName"] for one in aws("get-stages", api_id=api)["Items"]} == {"$default", "old"}
    aws("reset-authorizers-cache", api_id=api, stage_name="old")
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api}"
    aws("tag-resource", resource_arn=arn, tags="b=2")
    aws("untag-resource", resource_arn=arn, tag_keys="team")
    assert aws("get-tags", resource_arn=arn)["Tags"] == {"b": "2"}
    assert "ConflictException" in aws.refused("delete-integration", api_id=api, integration_id=integration)
    aws("delete-route", api_id=api, route_id=route)
    aws("delete-integration", api_id=api, integration_id=integration)
    aws("delete-authorizer", api_id=api, authorizer_id=gate)
    aws("delete-stage", api_id=api, stage_name="old")
    aws("delete-deployment", api_id=api, deployment_id=deployment)
    aws("delete-api", api_id=api)
    assert "NotFoundException" in aws.refused("get-api", api_id=api)

    talk = aws("create-api", name="talk", protocol_type="WEBSOCKET",
               route_selection_expression="$request.body.action")["ApiId"]  # fmt: skip
    made = aws("create-integration", api_id=talk, integration_type="MOCK", request_templates='{"200": "{\\"statusCode\\": 200}"}',
               template_selection_expression="200")["IntegrationId"]  # fmt: skip
    key = aws(
        "create-integration-response", api_id=talk, integration_id=made, integration_response_key="$default"
    )
    answer = {"api_id": talk, "integration_id": made, "integration_response_id": key["IntegrationResponseId"]}
    aws("update-integration-response", **answer, response_templates="200=hello")
    assert aws("get-integration-response", **answer)["ResponseTemplates"] == {"200": "hello"}
    assert len(aws("get-integration-responses", api_id=talk, integration_id=made)["Items"]) == 1
    model = aws(
        "create-model", api_id=talk, name="Said", content_type="application/json", schema='{"type":"object"}'
    )
    aws("update-model", api_id=talk, model_id=model["ModelId"], description="d")
    assert aws("get-model", api_id=talk, model_id=model["ModelId"])["Description"] == "d"
    assert aws("get-model-template", api_id=talk, model_id=model["ModelId"])["Value"] is not None
    assert len(aws("get-models", api_id=talk)["Items"]) == 1
    route = aws("create-route", api_id=talk, route_key="$default", target=f"integrations/{made}",
                route_response_selection_expression="$default")["RouteId"]  # fmt: skip
    response = aws("create-route-response", api_id=talk, route_id=route, route_response_key="$default")
    answered = {"api_id": talk, "route_id": route, "route_response_id": response["RouteResponseId"]}
    aws("update-route-response", **answered, model_selection_expression="x")
    assert aws("get-route-response", **answered)["ModelSelectionExpression"] == "x"
    assert len(aws("get-route-responses", api_id=talk, route_id=route)["Items"]) == 1
    aws("delete-route-response", **answered)
    aws("delete-route", api_id=talk, route_id=route)
    aws("delete-model", api_id=talk, model_id=model["ModelId"])
    aws("delete-integration-response", **answer)
    aws("delete-integration", api_id=talk, integration_id=made)
    aws("delete-api", api_id=talk)
    assert aws("get-apis")["Items"] == []


def test_vpc_links_of_both_versions(cumulo_empty, cli):
    ec2 = cumulo_empty.client("ec2")
    subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
    aws = Service(cli, "apigatewayv2")
    link = aws("create-vpc-link", name="inside", subnet_ids=subnets)["VpcLinkId"]
    assert aws("update-vpc-link", vpc_link_id=link, name="within")["Name"] == "within"
    assert aws("get-vpc-link", vpc_link_id=link)["SubnetIds"] == subnets
    assert len(aws("get-vpc-links")["Items"]) == 1
    aws("delete-vpc-link", vpc_link_id=link)

    elb = cumulo_empty.client("elbv2")
    made = elb.create_load_balancer(Name="net", Type="network", Scheme="internal", Subnets=subnets)
    rest = Service(cli, "apigateway")
    old = rest("create-vpc-link", name="old", target_arns=made["LoadBalancers"][0]["LoadBalancerArn"])["id"]
    rest("update-vpc-link", vpc_link_id=old, patch_operations=change("/name", "older"))
    assert rest("get-vpc-link", vpc_link_id=old)["name"] == "older"
    assert len(rest("get-vpc-links")["items"]) == 1
    rest("delete-vpc-link", vpc_link_id=old)


def test_documents_go_in_and_out(cumulo_empty, cli, function, tmp_path):
    rest, v2 = Service(cli, "apigateway"), Service(cli, "apigatewayv2")
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": lambda_uri(function)}
    method = {"responses": {"200": {"description": "ok"}}, "x-amazon-apigateway-integration": integration}
    document = {
        "openapi": "3.0.1",
        "info": {"title": "shop", "version": "1"},
        "paths": {"/pets": {"get": method}},
    }
    given = tmp_path / "api.json"
    given.write_text(json.dumps(document))
    api = rest("import-rest-api", body=f"fileb://{given}")["id"]
    rest("create-deployment", rest_api_id=api, stage_name="dev")
    site = Site(cumulo_empty, api, "dev")
    assert site.get("/pets").body == b"hi"
    document["paths"]["/more"] = {"get": method}
    given.write_text(json.dumps(document))
    rest("put-rest-api", rest_api_id=api, mode="merge", body=f"fileb://{given}")
    rest("create-deployment", rest_api_id=api, stage_name="dev")
    assert (site.get("/pets").status, site.get("/more").status) == (200, 200)
    out = tmp_path / "out.json"
    rest("get-export", str(out), rest_api_id=api, stage_name="dev", export_type="oas30",
         parameters="extensions=integrations")  # fmt: skip
    exported = json.loads(out.read_text())
    assert set(exported["paths"]) == {"/pets", "/more"}
    assert exported["paths"]["/pets"]["get"]["x-amazon-apigateway-integration"]["uri"] == lambda_uri(function)
    given.write_text(out.read_text())
    again = rest("import-rest-api", body=f"fileb://{given}")["id"]
    rest("create-deployment", rest_api_id=again, stage_name="dev")
    assert Site(cumulo_empty, again, "dev").get("/more").body == b"hi"

    integration = {
        "type": "AWS_PROXY",
        "uri": function,
        "payloadFormatVersion": "2.0",
        "connectionType": "INTERNET",
    }
    document["paths"] = {"/pets/{id}": {"get": method | {"x-amazon-apigateway-integration": integration}}}
    http = v2("import-api", body=json.dumps(document))["ApiId"]
    v2("create-stage", "--auto-deploy", api_id=http, stage_name="$default")
    assert Site(cumulo_empty, http).get("/pets/1").body == b"hi"
    v2("export-api", str(out), api_id=http, output_type="JSON", specification="OAS30")
    assert list(json.loads(out.read_text())["paths"]) == ["/pets/{id}"]
    document["paths"]["/others"] = document["paths"].pop("/pets/{id}")
    v2("reimport-api", api_id=http, body=json.dumps(document))
    assert (
        Site(cumulo_empty, http).get("/others").status,
        Site(cumulo_empty, http).get("/pets/1").status,
    ) == (200, 404)


def test_lists_come_in_pages(cumulo_empty):
    rest, v2 = cumulo_empty.client("apigateway"), cumulo_empty.client("apigatewayv2")
    api = rest.create_rest_api(name="many")
    for number in range(30):
        rest.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart=f"r{number}")
        rest.create_api_key(name=f"key {number:02}")
    for operation, member, options, count in (
        ("get_resources", "items", {"restApiId": api["id"]}, 31),
        ("get_api_keys", "items", {}, 30),
        ("get_rest_apis", "items", {}, 1),
    ):
        pages = list(rest.get_paginator(operation).paginate(**options, PaginationConfig={"PageSize": 7}))
        found = [one["id"] for page in pages for one in page.get(member, ())]
        assert len(found) == len(set(found)) == count, operation
        assert all(len(page.get(member, ())) <= 7 for page in pages)
    talk = v2.create_api(Name="many", ProtocolType="HTTP")["ApiId"]
    for number in range(30):
        v2.create_route(ApiId=talk, RouteKey=f"GET /r{number}")
    pages = list(v2.get_paginator("get_routes").paginate(ApiId=talk, PaginationConfig={"PageSize": 7}))
    assert len({one["RouteId"] for page in pages for one in page["Items"]}) == 30
    assert len(pages) == 5
