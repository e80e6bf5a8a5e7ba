"""AWS integrations: functions with mapped events, and other services."""

import json
from typing import Any

import pytest
from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION, World
from tests.rest_kit import LAMBDA_URI, OK, Answered, ask, compiled, method

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.definitions.rest import Integration, IntegrationResponse
from cumulo.gateway.rest.aws_actions import json_of_xml
from cumulo.gateway.rest.uris import AwsUri, aws_uri
from cumulo.gateway.tools import Answer


def aws(uri: str, **settings: Any) -> Integration:
    if not uri.startswith("arn:"):
        uri = f"arn:aws:apigateway:{REGION}:{uri}"
    return Integration(
        **({"type": "AWS", "http_method": "POST", "uri": uri, "integration_responses": OK} | settings)
    )


def send(
    integration: Integration, *request: Any, answer: Any = None, given: Any = None
) -> tuple[Answered, World]:
    world = World()
    world.invoker.functions[FUNCTION] = lambda _event: given
    if answer is not None:
        world.aws.answer = answer
    api = compiled(world, {"/{id}": {"ANY": method(integration, "ANY")}})
    return ask(api, *request), world


def test_a_function_gets_the_mapped_event_and_its_answer_goes_back() -> None:
    integration = aws(
        LAMBDA_URI,
        request_templates={"application/json": '{"id": "$input.params(\'id\')", "body": $input.json("$.a")}'},
    )
    answer, world = send(integration, "POST", "/7", {}, b'{"a": [1]}', given={"statusCode": 400})
    assert world.invoker.event == {"id": "7", "body": [1]}
    assert (answer.status, answer.json) == (200, {"statusCode": 400})
    assert answer.header("x-amzn-trace-id") is not None


def test_without_a_body_a_function_gets_an_empty_event() -> None:
    _, world = send(aws(LAMBDA_URI), "GET", "/1", given={})
    assert world.invoker.event == {}


def test_an_event_must_be_json() -> None:
    answer, world = send(aws(LAMBDA_URI), "POST", "/1", {"Content-Type": "text/plain"}, b"no json")
    assert (answer.status, world.invoker.events) == (502, [])


def test_error_messages_select_the_answer() -> None:
    # recorded on AWS by LocalStack: test_lambda_selection_patterns
    responses = {
        "200": IntegrationResponse(status_code="200"),
        "405": IntegrationResponse(status_code="405", selection_pattern=".*400.*"),
        "502": IntegrationResponse(
            status_code="502",
            selection_pattern=".*5\\d\\d.*",
            response_templates={"application/json": "$input.path('$.errorType')"},
        ),
    }
    integration = aws(LAMBDA_URI, integration_responses=responses)

    def failing(message: str) -> InvokeResult:
        payload = json.dumps({"errorMessage": message, "errorType": "Exception"}).encode()
        return InvokeResult(payload=payload, function_error="Unhandled")

    answer, _ = send(integration, "GET", "/1", given=failing("Error: 400 raised"))
    assert (answer.status, answer.json["errorMessage"]) == (405, "Error: 400 raised")
    answer, _ = send(integration, "GET", "/1", given=failing("Error: 503"))
    assert (answer.status, answer.body) == (502, b"Exception")
    assert send(integration, "GET", "/1", given="Pass")[0].status == 200
    assert (
        send(integration, "GET", "/1", given=failing("two\nlines 400"))[0].status == 200
    )  # `.` is no line's end


def test_a_function_can_be_called_for_later() -> None:
    integration = aws(
        LAMBDA_URI, request_parameters={"integration.request.header.X-Amz-Invocation-Type": "'Event'"}
    )
    answer, world = send(integration, "POST", "/1", {}, b'{"a":1}', answer=Answer(status=202, headers=()))
    assert (answer.status, world.invoker.events) == (200, [])
    call = world.aws.calls[0]
    assert (call["service"], call["method"], call["body"]) == ("lambda", "POST", b'{"a":1}')
    assert call["path"] == f"/2015-03-31/functions/{FUNCTION}/invocations"
    assert call["headers"]["X-Amz-Invocation-Type"] == "Event"


def test_a_path_of_a_service_is_asked_with_mapped_parameters() -> None:
    integration = aws(
        f"sqs:path/{ACCOUNT}/{{queue}}",
        request_parameters={
            "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'",
            "integration.request.path.queue": "method.request.path.id",
        },
        request_templates={"application/json": "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"},
    )
    xml = (
        b'<?xml version="1.0"?><SendMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageResult>'
        b"<MessageId>m1</MessageId></SendMessageResult></SendMessageResponse>"
    )
    backend = Answer(status=200, headers=(("Content-Type", "text/xml"),), body=xml)
    answer, world = send(
        integration, "POST", "/q1", {"Content-Type": "application/json"}, b'{"a": 1}', answer=backend
    )
    call = world.aws.calls[0]
    assert (call["service"], call["path"], call["query"]) == ("sqs", f"/{ACCOUNT}/q1", "")
    assert call["body"] == b"Action=SendMessage&MessageBody=%7B%22a%22%3A+1%7D"
    assert call["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert call["headers"]["User-Agent"] == f"AmazonAPIGateway_{API}"
    assert (call["caller"].account, call["caller"].region) == (ACCOUNT, REGION)
    assert answer.json == {"SendMessageResponse": {"SendMessageResult": {"MessageId": "m1"}}}


def test_an_action_of_a_json_service_names_its_target() -> None:
    _, world = send(
        aws("dynamodb:action/PutItem"),
        "POST",
        "/1",
        {"Content-Type": "application/json"},
        b'{"TableName":"t"}',
    )
    call = world.aws.calls[0]
    assert call["headers"]["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
    assert call["headers"]["Content-Type"] == "application/x-amz-json-1.0"
    assert (call["path"], call["query"], call["body"]) == ("/", "", b'{"TableName":"t"}')


def test_a_json_service_that_is_asked_by_get_gets_its_fields_as_a_body() -> None:
    integration = aws(
        "kinesis:action/ListStreams", http_method="GET",
        request_parameters={"integration.request.querystring.NextToken": "method.request.path.id"},
    )  # fmt: skip
    _, world = send(integration, "GET", "/p")
    assert json.loads(world.aws.calls[0]["body"]) == {"NextToken": "p"}


def test_parameters_are_asked_for_in_the_old_way() -> None:
    # recorded on AWS by LocalStack: test_ssm_aws_integration
    integration = aws(
        "ssm:action/GetParameter",
        request_parameters={"integration.request.querystring.Name": "method.request.path.id"},
    )
    backend = Answer(status=200, headers=(), body=b'{"Parameter":{"Value":"123"}}')
    answer, world = send(integration, "POST", "/p", {}, b'{"ignored": 1}', answer=backend)
    assert json.loads(world.aws.calls[0]["body"]) == {"Name": "p"}
    assert answer.json["GetParameterResponse"]["GetParameterResult"] == {"Parameter": {"Value": "123"}}


def test_bytes_are_not_given_to_templates() -> None:
    # recorded on AWS by LocalStack: test_apigw_s3_binary_support_request_convert_to_binary_with_request_template
    integration = aws(
        "s3:path/b/k",
        content_handling="CONVERT_TO_BINARY",
        request_templates={"application/json": "$input.body"},
    )
    answer, world = send(integration, "PUT", "/1", {"Content-Type": "application/json"}, b"H4sI")
    assert (answer.status, world.aws.calls) == (500, [])
    _, world = send(integration, "PUT", "/1", {"Content-Type": "image/png"}, b"H4sI")
    assert world.aws.calls[0]["body"] == b"\x1f\x8b\x08"


def test_an_action_of_a_query_service_is_part_of_the_query() -> None:
    integration = aws(
        "sns:action/Publish",
        request_parameters={"integration.request.querystring.Message": "method.request.path.id"},
    )
    _, world = send(integration, "POST", "/hi")
    assert world.aws.calls[0]["query"] == "Action=Publish&Message=hi&Version=2010-03-31"


def test_buckets_may_be_subdomains() -> None:
    integration = aws(
        "{bucket}.s3:path/{key}", http_method="ANY",
        request_parameters={"integration.request.path.key": "method.request.path.id"},
    )  # fmt: skip
    assert send(integration, "GET", "/k")[0].status == 500  # the host has no parameters
    integration = aws(
        "pets.s3:path/{key}?versionId=1",
        http_method="ANY",
        request_parameters=integration.request_parameters,
    )
    _, world = send(integration, "PUT", "/k%2Fl", {}, b"data")
    call = world.aws.calls[0]
    assert (call["service"], call["method"], call["path"], call["query"]) == (
        "s3",
        "PUT",
        "/pets/k%2Fl",
        "versionId=1",
    )


@pytest.mark.parametrize("name", ["Authorization", "connection", "Expect", "TE", "Proxy-Authenticate"])
def test_some_headers_must_not_be_mapped_to_services(name: str) -> None:
    # recorded on AWS by LocalStack: test_apigateway_header_remapping_aws
    integration = aws(
        "dynamodb:action/PutItem", request_parameters={f"integration.request.header.{name}": "'x'"}
    )
    assert send(integration, "POST", "/1")[0].status == 500


def test_statuses_of_services_select_the_answer() -> None:
    responses = {
        "200": IntegrationResponse(status_code="200"),
        "400": IntegrationResponse(
            status_code="400",
            selection_pattern="400",
            response_templates={"application/json": "$input.path('$.__type')"},
        ),
    }
    backend = Answer(status=400, headers=(), body=b'{"__type":"ValidationException"}')
    answer, _ = send(
        aws("dynamodb:action/GetItem", integration_responses=responses), "POST", "/1", answer=backend
    )
    assert (answer.status, answer.body) == (400, b"ValidationException")


def test_uris_of_services() -> None:
    where = "arn:aws:apigateway:eu-west-1:"
    assert aws_uri(f"{where}s3:path/b/{{k}}", {"k": "a%2Fb c"}, {}) == AwsUri(
        "eu-west-1", "s3", "", "", "/b/a%2Fb%20c", ""
    )
    assert aws_uri(f"{where}s3:action/GetObject&Bucket={{b}}&Key=k", {"b": "x"}, {}) == AwsUri(
        "eu-west-1", "s3", "", "GetObject", "/", "Bucket=x&Key=k"
    )
    assert aws_uri(f"{where}s3:path/b/{{k}}", {"k": "a?versions"}, {}).path == "/b/a%3Fversions"
    assert aws_uri(f"{where}${{stageVariables.s}}:path//", {}, {"s": "sqs"}).service == "sqs"


def test_xml_becomes_json() -> None:
    xml = b'<R xmlns="u"><A><member>1</member><member><B/></member></A><C>x</C><D>1</D><D>2</D><E/></R>'
    told = json_of_xml(xml)
    assert told is not None
    assert json.loads(told) == {"R": {"A": ["1", {"B": None}], "C": "x", "D": ["1", "2"], "E": None}}
    assert json_of_xml(b"no") is None
