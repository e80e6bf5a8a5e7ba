"""Execution logs, and TestInvokeMethod."""

import asyncio
import json
from typing import Any

from tests.gateway_kit import API, FUNCTION, World, visit
from tests.rest_kit import OK, STAGE, answered, compiled, definition, method, mock, proxy

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.rest import Integration, IntegrationResponse, MethodSetting
from cumulo.gateway.rest.log import cut
from cumulo.gateway.rest.method_test import MethodTest, MethodTestResult, MethodTests, run_method_test
from cumulo.gateway.tools import Answer

WHERE = f"https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/{FUNCTION}/invocations"


def run(world: World, paths: Any, path: str = "/foo", verb: str = "GET", **request: Any) -> MethodTestResult:
    api = definition(paths)
    resource = next(one for one in api.resources if one.path == path)
    request_of = MethodTest(**request)
    return asyncio.run(run_method_test(api, world.tools, resource, resource.methods[verb], request_of))


def lines(result: MethodTestResult) -> list[str]:
    first, *rest = result.log.splitlines()
    assert first.startswith("Execution log for request ")
    assert all(line.startswith("Tue Nov 14 22:13:20 UTC 2023 : ") for line in rest)
    return [line.partition(" : ")[2] for line in rest]


def test_a_function_is_called_and_all_is_told() -> None:
    # LocalStack recorded the words on AWS: test_apigw_test_invoke_method_api
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: {"body": "hi", "headers": {"X-A": "1"}}
    result = run(world, {"/foo": proxy()})
    assert (result.status, result.body) == (200, "hi")
    assert result.headers.keys() == {"X-Amzn-Trace-Id", "Content-Type", "X-A"}
    assert result.multi_value_headers["X-A"] == ["1"]
    request_id = world.invoker.event["requestContext"]["requestId"]
    told = lines(result)
    assert told[:7] == [
        f"Starting execution for request: {request_id}",
        "HTTP Method: GET, Resource Path: /foo",
        "Method request path: {}",
        "Method request query string: {}",
        "Method request headers: {}",
        "Method request body before transformations: ",
        f"Endpoint request URI: {WHERE}",
    ]
    assert told[7].startswith("Endpoint request body after transformations: {")
    assert told[8:] == [
        f"Sending request to {WHERE}",
        "Received response. Status: 200, Integration latency: 0 ms",
        'Endpoint response body before transformations: {"body": "hi", "headers": {"X-A": "1"}}',
        "Method response body after transformations: hi",
        f"Method response headers: {{X-Amzn-Trace-Id={result.headers['X-Amzn-Trace-Id']}, Content-Type=application/json, X-A=1}}",
        "Successfully completed execution",
        "Method completed with status: 200",
    ]
    context = world.invoker.event["requestContext"]
    assert (context["stage"], context["domainName"]) == ("test-invoke-stage", "testPrefix.testDomainName")
    assert context["identity"]["sourceIp"] == "test-invoke-source-ip"


def test_a_mock_is_run_with_what_is_given() -> None:
    template = (
        '{"id": "$input.params(\'id\')", "q": "$input.params(\'q\')", "h": "$input.params(\'H\')",'
        ' "v": "$stageVariables.v"}'
    )
    integration = mock(
        integration_responses={
            "200": IntegrationResponse(status_code="200", response_templates={"application/json": template})
        }
    )
    result = run(
        World(), {"/pets/{id}": integration}, "/pets/{id}", path_with_query="/pets/7?q=1",
        headers={"H": "2"}, multi_value_headers={"Multi": ("a", "b")}, stage_variables={"v": "3"},
    )  # fmt: skip
    assert json.loads(result.body) == {"id": "7", "q": "1", "h": "2", "v": "3"}
    assert result.headers == {"Content-Type": "application/json"}
    told = lines(result)
    assert "Method request path: {id=7}" in told
    assert "Method request query string: {q=1}" in told
    assert "Method request headers: {H=2, Multi=b}" in told
    assert told[-2:] == ["Successfully completed execution", "Method completed with status: 200"]


def test_a_path_that_does_not_fit_has_no_parameters() -> None:
    result = run(World(), {"/pets/{id}": mock({})}, "/pets/{id}", path_with_query="/other")
    assert "Method request path: {}" in lines(result)
    assert result.status == 200


def test_why_it_failed_is_told() -> None:
    world = World()
    payload = json.dumps({"errorMessage": "no"}).encode()
    world.invoker.functions[FUNCTION] = lambda _event: InvokeResult(
        payload=payload, function_error="Unhandled", request_id="r1"
    )
    result = run(world, {"/foo": proxy()})
    assert (result.status, result.body) == (502, '{"message": "Internal server error"}')
    assert result.headers["x-amzn-ErrorType"] == "InternalServerErrorException"
    told = lines(result)
    assert (
        "Lambda execution failed with status 200 due to customer function error: no. Lambda request id: r1"
        in told
    )
    assert told[-1] == "Method completed with status: 502"


def test_guards_are_not_asked() -> None:
    world = World()
    world.throttles.full.add("GET /foo")
    assert (
        run(world, {"/foo": method(mock({}), api_key_required=True, authorization_type="AWS_IAM")}).status
        == 200
    )


def test_the_operations_values_go_in_and_out() -> None:
    world = World()
    world.invoker.functions[FUNCTION] = lambda event: {"body": event["body"], "headers": {"X": event["path"]}}
    api = definition({"/foo": method(proxy(), "POST")})
    values = {
        "pathWithQueryString": "/foo?a=1", "body": "text", "headers": {"A": "1"},
        "multiValueHeaders": {"B": ["2", "3"]}, "stageVariables": {"v": "4"},
    }  # fmt: skip
    resource = api.resources[0]
    said = asyncio.run(MethodTests(world.tools)(api, resource, resource.methods["POST"], values))
    assert (said["status"], said["body"], said["headers"]["X"]) == (200, "text", "/foo")
    assert said["multiValueHeaders"]["X"] == ["/foo"] and said["latency"] == 0
    event = world.invoker.event
    assert (event["headers"]["A"], event["multiValueHeaders"]["B"]) == ("1", ["2", "3"])
    assert event["stageVariables"] == {"v": "4"}


def logged(level: str, *, trace: bool = False, paths: Any = None, headers: Any = ()) -> list[str] | None:
    world = World()
    world.http.answer = Answer(status=200, headers=(("X-B", "1"),), body=b"answer")
    setting = MethodSetting(logging_level=level, data_trace_enabled=trace)
    http = Integration(type="HTTP", http_method="POST", uri="http://x/", integration_responses=OK)
    api = compiled(world, paths or {"/": http}, stage={"method_settings": {"*/*": setting}})
    coming = visit("GET", "/", headers, stage=STAGE)
    asyncio.run(answered(api, coming))
    return None if coming.log is None else [text for _, text in coming.log]


def test_nothing_is_logged_unless_it_is_asked_for() -> None:
    assert logged("OFF", trace=True) is None


def test_info_tells_what_happens() -> None:
    assert logged("INFO") == [
        "Extended Request Id: JKJaXmPLvHcESHA=",
        f"Verifying Usage Plan for request: JKJaXmPLvHcESHA=. API Key:  API Stage: {API}/dev",
        "API Key authorized because method 'GET /' does not require API Key. "
        "Request will not contribute to throttle or quota limits",
        f"Usage Plan check succeeded for API Key  and API Stage {API}/dev",
        "Starting execution for request: JKJaXmPLvHcESHA=",
        "HTTP Method: GET, Resource Path: /",
        "Endpoint request URI: http://x/",
        "Sending request to http://x/",
        "Received response. Status: 200, Integration latency: 0 ms",
        "Successfully completed execution",
        "Method completed with status: 200",
    ]


def test_a_trace_tells_the_data_but_no_secrets() -> None:
    told = logged("INFO", trace=True, headers={"Authorization": "Bearer mysecretghijkl"})
    assert told is not None
    assert "Endpoint response body before transformations: answer" in told
    assert "Endpoint response headers: {X-B=1}" in told
    joined = "\n".join(told)
    assert "mysecret" not in joined and "*ghijkl" in joined


def test_errors_alone_tell_why_a_request_failed() -> None:
    assert logged("ERROR") == []
    told = logged("ERROR", paths={"/": mock({}, request_templates={"application/json": "{}"})})
    assert told is not None and len(told) == 1
    assert told[0].startswith("Execution failed due to configuration error: Unable to parse statusCode.")


def test_lines_are_no_longer_than_awss() -> None:
    assert len(cut("x" * 5000)) == 1024
    assert cut("x" * 5000).endswith(" [TRUNCATED]")
    assert cut("x" * 1024) == "x" * 1024
