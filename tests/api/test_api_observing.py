"""Observed by clients: access and execution logs in CloudWatch Logs, metrics in CloudWatch, the bill, the last requests."""

import http.client
import json
import subprocess
from urllib.parse import urlsplit

import pytest
from tests.support import CUMULO, deploy, until
from websockets.sync.client import connect

HELLO = """
def handler(event, context):
    return {"statusCode": 200, "body": "hello", "headers": {"x-function": context.aws_request_id}}
"""
JSON = '{"id":"$context.requestId","route":"$context.routeKey","status":$context.status,"bytes":$context.responseLength,"agent":"$context.identity.userAgent","integration":"$context.integration.status","latency":$context.integrationLatency}'
CLF = '$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength $context.requestId'


@pytest.fixture(scope="module")
def hello(cumulo):
    return deploy(cumulo.client("lambda"), "observed-hello", HELLO)["FunctionArn"]


def ask(cumulo, host: str, target: str, method: str = "GET", **headers: str):
    """Status, headers and body."""
    where = urlsplit(cumulo.endpoint)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(
            method, target, None, named | {"Host": f"{host}.execute-api.us-east-1.amazonaws.com"}
        )
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def http_api(cumulo, function: str, **stage) -> str:
    apis = cumulo.client("apigatewayv2")
    api = apis.create_api(Name="observed", ProtocolType="HTTP", Target=function)["ApiId"]
    apis.create_route(
        ApiId=api, RouteKey="GET /pets/{id}", Target=apis.get_routes(ApiId=api)["Items"][0]["Target"]
    )
    if stage:
        apis.update_stage(ApiId=api, StageName="$default", **stage)
    return api


def rest_api(cumulo, function: str, patches=(), cache: str = "") -> str:
    apis = cumulo.client("apigateway")
    api = apis.create_rest_api(name="observed-rest", tags={"team": "zoo"})["id"]
    root = apis.get_resources(restApiId=api)["items"][0]["id"]
    pets = apis.create_resource(restApiId=api, parentId=root, pathPart="pets")["id"]
    apis.put_method(restApiId=api, resourceId=pets, httpMethod="GET", authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    apis.put_integration(
        restApiId=api,
        resourceId=pets,
        httpMethod="GET",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=uri,
    )
    options = {"cacheClusterEnabled": True, "cacheClusterSize": cache} if cache else {}
    apis.create_deployment(restApiId=api, stageName="prod", **options)
    if patches:
        apis.update_stage(restApiId=api, stageName="prod", patchOperations=list(patches))
    return api


def lines(cumulo, group: str, many: int) -> list[str]:
    logs = cumulo.client("logs")

    def found():
        try:
            told = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return told if len(told) >= many else None

    return until(found, f"{many} events in {group}")


def uses(cumulo, kind: str, resource: str) -> float:
    status, _, body = page(cumulo, "/_cumulo/bill?service=apigateway&group=resource&explain=1")
    assert status == 200
    return sum(
        float(row["quantity"])
        for row in json.loads(body)["lines"]
        if (row["kind"], row["resource"]) == (kind, resource)
    )


def page(cumulo, path: str):
    where = urlsplit(cumulo.endpoint)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_access_logs_of_http_apis_lie_in_their_group(cumulo, hello):
    cumulo.client("logs").create_log_group(logGroupName="observed-http")
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:observed-http"
    api = http_api(cumulo, hello, AccessLogSettings={"DestinationArn": arn, "Format": JSON})
    status, headers, _ = ask(cumulo, api, "/pets/1", user_agent="tester")
    assert status == 200
    told = json.loads(lines(cumulo, "observed-http", 1)[0])
    assert told.pop("latency") >= 0
    assert told == {
        "id": headers["apigw-requestid"], "route": "GET /pets/{id}", "status": 200, "bytes": 5, "agent": "tester",
        "integration": "200",
    }  # fmt: skip


def test_access_and_execution_logs_of_rest_apis(cumulo, hello):
    cumulo.client("logs").create_log_group(logGroupName="observed-rest")
    cumulo.client("apigateway").update_account(
        patchOperations=[
            {"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::000000000000:role/logs"}
        ]
    )
    patches = [
        {"op": "replace", "path": "/accessLogSettings/destinationArn",
         "value": "arn:aws:logs:us-east-1:000000000000:log-group:observed-rest"},
        {"op": "replace", "path": "/accessLogSettings/format", "value": CLF},
        {"op": "replace", "path": "/*/*/logging/loglevel", "value": "INFO"},
        {"op": "replace", "path": "/*/*/logging/dataTrace", "value": "true"},
    ]  # fmt: skip
    api = rest_api(cumulo, hello, patches)
    status, headers, _ = ask(cumulo, api, "/prod/pets")
    assert status == 200
    request_id = headers["x-amzn-requestid"]
    (told,) = lines(cumulo, "observed-rest", 1)
    assert told.startswith("127.0.0.1 - - [")
    assert told.endswith(f'"GET /pets HTTP/1.1" 200 5 {request_id}')
    execution = lines(cumulo, f"API-Gateway-Execution-Logs_{api}/prod", 5)
    assert all(line.startswith(f"({request_id}) ") for line in execution)
    assert any("Method completed with status: 200" in line for line in execution)
    streams = cumulo.client("logs").describe_log_streams(
        logGroupName=f"API-Gateway-Execution-Logs_{api}/prod"
    )
    assert [len(stream["logStreamName"]) for stream in streams["logStreams"]] == [32]


def test_traces_go_to_functions_and_back_to_clients(cumulo, hello):
    api = rest_api(cumulo, hello)
    root = "1-5759e988-bd862e3fe1be46a994272793"
    _, headers, _ = ask(cumulo, api, "/prod/pets", x_amzn_trace_id=f"Root={root}")
    told = dict(part.split("=") for part in headers["x-amzn-trace-id"].split(";"))
    assert told["Root"] == root
    assert (set(told), told["Sampled"]) == ({"Root", "Parent", "Sampled", "Lineage"}, "0")


def test_the_bill_has_requests_and_caches_but_nobody_who_was_turned_away(cumulo, hello):
    http_id, rest_id = http_api(cumulo, hello), rest_api(cumulo, hello, cache="0.5")
    for _ in range(3):
        ask(cumulo, http_id, "/pets/1")
        ask(cumulo, rest_id, "/prod/pets")
    ask(cumulo, rest_id, "/prod/none")
    cumulo._run(
        cumulo.cloud.apis.built.observing.close()
    )  # which writes down what its loops would within a minute
    assert uses(cumulo, "http_requests", http_id) == 3
    assert uses(cumulo, "rest_requests", rest_id) == 3, "nobody pays for what no method is for"
    assert uses(cumulo, "cache:0.5", rest_id) > 0
    assert page(cumulo, "/_cumulo/bill?service=apigateway&group=tag:team")[2].find(b"zoo") > 0, (
        "the tags of REST APIs are known"
    )
    cumulo.client("apigateway").delete_rest_api(restApiId=rest_id)


def test_metrics_are_in_cloudwatch(cumulo, hello):
    watch = cumulo.client("cloudwatch")
    watch.list_metrics(Namespace="AWS/ApiGateway")  # from now on somebody asks for metrics
    api = http_api(cumulo, hello, DefaultRouteSettings={"DetailedMetricsEnabled": True})
    ask(cumulo, api, "/pets/1")
    cumulo._run(cumulo.cloud.apis.built.observing.publish())  # its loop would wait for the minute's end
    found = watch.list_metrics(Namespace="AWS/ApiGateway", Dimensions=[{"Name": "ApiId", "Value": api}])[
        "Metrics"
    ]
    names = {(metric["MetricName"], len(metric["Dimensions"])) for metric in found}
    assert {("Count", 1), ("Count", 2), ("Count", 4), ("4xx", 2), ("5xx", 1), ("Latency", 2), ("DataProcessed", 4),
            ("IntegrationLatency", 1)} <= names  # fmt: skip


def test_a_request_can_be_looked_at_by_every_id(cumulo, hello):
    api = http_api(cumulo, hello)
    _, headers, _ = ask(cumulo, api, "/pets/1")
    for wanted in (headers["apigw-requestid"], headers["x-function"]):
        said = subprocess.run(
            [*CUMULO, "trace", wanted, "--json", "--endpoint", cumulo.endpoint],
            capture_output=True,
            text=True,
            check=True,
        )
        (found,) = json.loads(said.stdout)
        assert (found["what"], found["route"], found["status"]) == ("HTTP", "GET /pets/{id}", 200)
        (span,) = found["spans"]
        assert span["function"]["request_id"] == headers["x-function"]
        assert 0 < span["function"]["run_ms"] <= span["ms"] <= found["ms"]


def test_a_direct_invoke_can_be_looked_at(cumulo, hello):
    answer = cumulo.client("lambda").invoke(FunctionName=hello)
    status, _, body = page(cumulo, f"/_cumulo/trace?id={answer['ResponseMetadata']['RequestId']}")
    (found,) = json.loads(body)["found"]
    assert (status, found["what"], found["spans"][0]["function"]["function"]) == (200, "FUNCTION", hello)


def test_gauges_tell_of_apis_and_stages(cumulo, hello):
    http_api(cumulo, hello)
    told = page(cumulo, "/_cumulo/metrics")[2].decode()
    figures = dict(line.rsplit(" ", 1) for line in told.splitlines() if line.startswith("cumulo_"))
    assert float(figures["cumulo_api_stages"]) >= 1
    assert float(figures["cumulo_http_and_websocket_apis"]) >= 1
    assert "cumulo_open_websockets" in figures


def test_messages_and_connections_are_counted_charged_and_logged(cumulo, hello):
    apis = cumulo.client("apigatewayv2")
    api = apis.create_api(
        Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
    )["ApiId"]
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{hello}/invocations"
    integration = apis.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=uri)[
        "IntegrationId"
    ]
    for key in ("$connect", "$default"):
        options = {"RouteResponseSelectionExpression": "$default"} if key == "$default" else {}
        route = apis.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{integration}", **options)[
            "RouteId"
        ]
        if options:
            apis.create_route_response(ApiId=api, RouteId=route, RouteResponseKey="$default")
    settings = {"LoggingLevel": "INFO", "DataTraceEnabled": True, "DetailedMetricsEnabled": True}
    apis.create_stage(ApiId=api, StageName="prod", AutoDeploy=True, DefaultRouteSettings=settings)
    where = urlsplit(cumulo.endpoint)
    address = f"ws://{where.hostname}:{where.port}/_aws/execute-api/{api}/prod"
    watch = cumulo.client("cloudwatch")
    watch.list_metrics(Namespace="AWS/ApiGateway")
    with connect(address) as client:
        client.send("hi")
        assert client.recv(10) == "hello"
    group = f"/aws/apigateway/{api}/prod"
    told = until(
        lambda: [line for line in lines(cumulo, group, 1) if "disconnected" in line], "the end, in the log"
    )
    assert api in told[0]
    text = "\n".join(lines(cumulo, group, 1))
    assert "is connecting to WebSocket API" in text
    assert "Message: [hi]" in text
    cumulo._run(cumulo.cloud.apis.built.observing.publish())
    assert uses(cumulo, "websocket_messages", api) == 2
    assert 0 < uses(cumulo, "connection_minutes", api) < 1
    found = watch.list_metrics(Namespace="AWS/ApiGateway", Dimensions=[{"Name": "ApiId", "Value": api}])[
        "Metrics"
    ]
    names = {(metric["MetricName"], len(metric["Dimensions"])) for metric in found}
    assert {("ConnectCount", 1), ("MessageCount", 2), ("IntegrationLatency", 3), ("ClientError", 1)} <= names
