"""What Invoke answers through the front door, as AWS was seen to answer."""

import base64
import json
import re

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support import call, deploy, package, until

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
ECHO = "def handler(event, context):\n    print('seen', event)\n    return event\n"
SOURCE = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
TOKENS = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def aws(cumulo_empty):
    return cumulo_empty.client(
        "lambda",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=60),
    )


def refusal(client, **values):
    with pytest.raises(ClientError) as error:
        client.invoke(**values)
    answer = error.value.response
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == answer["Error"]["Code"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def failed(answer):
    assert (answer["StatusCode"], answer["FunctionError"], answer["ExecutedVersion"]) == (
        200,
        "Unhandled",
        "$LATEST",
    )
    return json.loads(answer["Payload"].read())


def test_a_call_answers_with_status_version_and_payload(aws):
    deploy(aws, "f", ECHO)
    answer = aws.invoke(FunctionName="f", Payload=b'{"a": [1, null]}')
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert not {"FunctionError", "LogResult"} & answer.keys()
    assert json.loads(answer["Payload"].read()) == {"a": [1, None]}
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(UUID, headers["x-amzn-requestid"])
    assert aws.invoke(FunctionName="f", Payload=b"null")["Payload"].read() == b"null"
    assert aws.invoke(FunctionName="f")["Payload"].read() == b"{}"


@pytest.mark.parametrize("name", ["f", "f:$LATEST", "000000000000:function:f", ARN + "f", ARN + "f:$LATEST"])
def test_a_function_is_called_by_any_of_its_names(aws, name):
    deploy(aws, "f", "def handler(event, context):\n    return context.invoked_function_arn\n")
    assert call(aws, name) == (ARN + "f:$LATEST" if name.endswith("$LATEST") else ARN + "f")


def test_a_version_keeps_its_code_and_says_which_it_is(aws):
    source = "def handler(event, context):\n    return [{}, context.function_version, context.invoked_function_arn]\n"
    deploy(aws, "f", source.format(1))
    aws.publish_version(FunctionName="f")
    aws.update_function_code(FunctionName="f", ZipFile=package(source.format(2)))
    aws.get_waiter("function_updated_v2").wait(
        FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
    )
    answer = aws.invoke(FunctionName="f", Qualifier="1")
    assert answer["ExecutedVersion"] == "1"
    assert json.loads(answer["Payload"].read()) == [1, "1", ARN + "f:1"]
    assert call(aws, "f:1") == [1, "1", ARN + "f:1"]
    assert call(aws, "f") == [2, "$LATEST", ARN + "f"]


def test_the_log_comes_along_when_asked_for(aws):
    deploy(aws, "f", ECHO)
    first = aws.invoke(FunctionName="f", LogType="Tail", Payload=b'"x"')
    second = aws.invoke(FunctionName="f", LogType="Tail", Payload=b'"x"')
    request_id = second["ResponseMetadata"]["RequestId"]
    assert re.fullmatch(
        rf"START RequestId: {request_id} Version: \$LATEST\n"
        r"seen x\n"
        rf"END RequestId: {request_id}\n"
        rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB"
        r"\tMax Memory Used: \d+ MB\t\n",
        base64.b64decode(second["LogResult"]).decode(),
    )
    assert re.search(r"\tInit Duration: \d+\.\d\d ms\t\n$", base64.b64decode(first["LogResult"]).decode())


def test_an_event_is_accepted_and_a_dry_run_only_looks(aws, cumulo_empty):
    deploy(aws, "f", ECHO)
    accepted = aws.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"later": 1}')
    assert (accepted["StatusCode"], accepted["Payload"].read()) == (202, b"")
    assert not {"ExecutedVersion", "FunctionError", "LogResult"} & accepted.keys()
    looked = aws.invoke(FunctionName="f", InvocationType="DryRun", Payload=b'{"never": 1}')
    assert (looked["StatusCode"], looked["Payload"].read()) == (204, b"")
    assert aws.invoke_async(FunctionName="f", InvokeArgs=b'{"old": 1}')["Status"] == 202
    logs = cumulo_empty.client("logs")

    def messages():
        try:
            events = logs.filter_log_events(logGroupName="/aws/lambda/f")["events"]
        except ClientError:
            return []
        said = [event["message"] for event in events if event["message"].startswith("seen")]
        return said if len(said) == 2 else []

    assert sorted(until(messages, "both events ran")) == ["seen {'later': 1}\n", "seen {'old': 1}\n"]


def test_a_client_context_reaches_the_function(aws):
    deploy(aws, "f", "def handler(event, context):\n    return context.client_context.custom\n")
    context = base64.b64encode(json.dumps({"custom": {"foo": "bar"}}).encode()).decode()
    assert call(aws, "f", ClientContext=context) == {"foo": "bar"}


PARSE = "Could not parse request body into json: Could not parse payload into json: "


@pytest.mark.parametrize(
    ("payload", "said", "column"),
    [
        (b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87", 3),
        (
            b"\x99\xeb,j\x07\xa1zYh",
            f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {TOKENS}",
            1,
        ),
        (
            b"{'a': 1}",
            "Unexpected character (''' (code 39)): was expecting double-quote to start field name",
            2,
        ),
        (b"abc", f"Unrecognized token 'abc': was expecting {TOKENS}", 4),
        (b"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 4),
    ],
)
def test_a_payload_that_is_no_json_is_explained(aws, payload, said, column):
    deploy(aws, "f", ECHO)
    told = refusal(aws, FunctionName="f", Payload=payload)
    assert told == (
        400,
        "InvalidRequestContentException",
        f"{PARSE}{said}\n at [Source: {SOURCE}; line: 1, column: {column}]",
    )


def test_a_payload_has_a_limit_by_the_way_it_is_called(aws):
    deploy(aws, "f", ECHO)
    for kind, limit in (("RequestResponse", 6_291_456), ("Event", 1_048_576)):
        told = refusal(aws, FunctionName="f", InvocationType=kind, Payload=b'"' + b"x" * limit + b'"')
        said = f"{limit + 2} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        assert told == (413, "RequestEntityTooLargeException", said)


def test_bad_parameters_are_named(aws):
    deploy(aws, "f", ECHO)
    said = (
        "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: Member must satisfy "
    )
    kind = refusal(aws, FunctionName="f", InvocationType="x")
    assert kind == (
        400,
        "ValidationException",
        said.format("x", "invocationType") + "enum value set: [Event, RequestResponse, DryRun]",
    )
    log = refusal(aws, FunctionName="f", LogType="x")
    assert log == (400, "ValidationException", said.format("x", "logType") + "enum value set: [None, Tail]")
    name = "arn:aws:lambda:us-east-1:123400000000@function:myfn"
    status, code, told = refusal(aws, FunctionName=name, Payload=b"{}")
    assert (status, code) == (400, "ValidationException")
    assert told.startswith(said.format(name, "functionName") + "regular expression pattern: (arn:")


ERRORS = {
    "raises": (
        "raise Exception('Handler fails')",
        {"errorMessage": "Handler fails", "errorType": "Exception"},
    ),
    "exits": (
        "import sys; sys.exit(0)",
        {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited without providing a reason"},
    ),
    "dies": (
        "import os; os._exit(3)",
        {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited with error: exit status 3"},
    ),
    "sleeps": (
        "import time; time.sleep(9)",
        {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 1.00 seconds"},
    ),
    "is too large": (
        "return 'a' * 7_340_032",
        {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        },
    ),
}


@pytest.mark.parametrize("way", ERRORS)
def test_a_call_that_fails_says_how_and_the_next_one_works(aws, way):
    body, expected = ERRORS[way]
    source = f"def handler(event, context):\n    if event:\n        {body}\n    return 'well'\n"
    deploy(aws, "f", source, Timeout=1, MemorySize=512)
    for _ in range(2):
        answer = aws.invoke(FunctionName="f", Payload=b"1")
        request_id = answer["ResponseMetadata"]["RequestId"]
        payload = failed(answer)
        assert payload["errorType"] == expected["errorType"]
        message = payload["errorMessage"]
        assert message.removeprefix(f"RequestId: {request_id} Error: ") == expected["errorMessage"]
        if way == "raises":
            assert payload["requestId"] == request_id
            assert payload["stackTrace"][0].startswith('  File "/var/task/app.py", line 3, in handler\n')
        elif way != "is too large":
            assert message.startswith(f"RequestId: {request_id} Error: ")
    assert call(aws, "f", 0) == "well"


@pytest.mark.parametrize(
    ("source", "handler", "kind", "said"),
    [
        ("raise Exception('Runtime startup fails')", "app.handler", "Exception", "Runtime startup fails"),
        ("x = 1", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        (
            "x = 1",
            "none.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'none': No module named 'none'",
        ),
    ],
)
def test_a_function_that_does_not_load_says_why(aws, source, handler, kind, said):
    deploy(aws, "f", source, Handler=handler)
    payload = failed(aws.invoke(FunctionName="f"))
    assert (payload["errorType"], payload["errorMessage"], payload["requestId"]) == (kind, said, "")


def test_an_answer_may_be_six_megabytes(aws):
    deploy(aws, "f", "def handler(event, context):\n    return 'a' * event\n", MemorySize=512)
    assert call(aws, "f", 6 * 1024 * 1024) == "a" * (6 * 1024 * 1024)


def test_a_function_that_may_not_run_is_throttled_with_the_reason(aws):
    deploy(aws, "f", ECHO)
    aws.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as error:
        aws.invoke(FunctionName="f")
    answer = error.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["Type"] == "User"
    assert int(answer["retryAfterSeconds"]) >= 1
    aws.delete_function_concurrency(FunctionName="f")
    assert call(aws, "f", "again") == "again"


def test_what_is_not_built_says_so_by_name(aws):
    deploy(aws, "f", ECHO)
    with pytest.raises(ClientError) as error:
        aws.create_function_url_config(FunctionName="f", AuthType="NONE")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "CreateFunctionUrlConfig is not implemented by Cumulo" in error.value.response["Error"]["Message"]
    for operation in (aws.invoke, aws.invoke_with_response_stream):
        with pytest.raises(ClientError) as error:
            operation(FunctionName="f", TenantId="t")
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_streamed_call_is_throttled_like_any_other(aws):
    deploy(aws, "f", ECHO)
    aws.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as error:
        aws.invoke_with_response_stream(FunctionName="f")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
