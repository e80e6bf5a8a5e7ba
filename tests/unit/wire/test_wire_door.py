"""The whole way through the door, with botocore's own clients and with raw requests."""

import asyncio
import gzip
import json
import logging

import pytest
from botocore.exceptions import ClientError
from wire_door import SIGNED, cloud, request

from cumulo.base.errors import AwsError
from cumulo.state.store import StoreError
from cumulo.wire.http import BodyCutShort, Headers, Request

FUNCTION = {"FunctionName": "f", "Runtime": "python3.12", "Timeout": 3, "LastModified": "now", "Surprise": 1}


def test_a_client_is_answered_and_the_operation_knows_who_asks(tmp_path):
    with cloud(tmp_path, {"lambda": {"GetFunctionConfiguration": FUNCTION}}) as c:
        got = c.client("lambda").get_function_configuration(FunctionName="f", Qualifier="3")
        (name, caller, values) = c.seen[0]
    assert (name, values) == ("GetFunctionConfiguration", {"FunctionName": "f", "Qualifier": "3"})
    assert (caller.account, caller.region, caller.access_key) == ("123456789012", "eu-west-1", "123456789012")
    assert caller.endpoint == "http://127.0.0.1:4566"
    assert got["ResponseMetadata"]["RequestId"] == caller.request_id
    assert (got["Runtime"], got["Timeout"]) == ("python3.12", 3)
    assert "Surprise" not in got


@pytest.mark.parametrize(
    ("service", "operation", "call", "sent", "answer"),
    [
        ("logs", "DescribeLogGroups", {"limit": 5}, {"limit": 5}, {"logGroups": [{"logGroupName": "a", "creationTime": 5}]}),
        ("ecs", "ListClusters", {}, {}, {"clusterArns": ["arn:x"]}),
        ("batch", "DescribeJobQueues", {"jobQueues": ["q"]}, {"jobQueues": ["q"]}, {"jobQueues": []}),
        ("apigateway", "GetRestApi", {"restApiId": "x"}, {"restApiId": "x"}, {"id": "x", "name": "n"}),
        ("sts", "GetCallerIdentity", {}, {}, {"Account": "1", "Arn": "arn:aws:iam::1:root"}),
        ("ec2", "DescribeInstances", {"InstanceIds": ["i-1"]}, {"InstanceIds": ["i-1"]}, {"Reservations": [{"OwnerId": "1"}]}),
        ("sqs", "ListQueues", {}, {}, {"QueueUrls": ["http://q"]}),
    ],
)  # fmt: skip
def test_every_protocol_goes_there_and_back(tmp_path, service, operation, call, sent, answer):
    with cloud(tmp_path, {service: {operation: answer}}) as c:
        client = c.client(service)
        got = client._make_api_call(operation, call)
        assert c.seen[0][2] == sent
    assert got.pop("ResponseMetadata")["RequestId"] == c.seen[0][1].request_id
    assert got == answer


def test_apigateway_and_its_second_version_share_a_signing_name(tmp_path):
    services = {"apigateway": {"GetRestApis": {"items": []}}, "apigatewayv2": {"GetApis": {"Items": []}}}
    with cloud(tmp_path, services) as c:
        c.client("apigateway").get_rest_apis()
        c.client("apigatewayv2").get_apis()
        assert [name for name, _, _ in c.seen] == ["GetRestApis", "GetApis"]


def test_what_is_not_ours_goes_to_the_companions_unread(tmp_path):
    class Unread:
        async def read(self, _bytes_max):
            raise AssertionError("the body was read")

        def chunks(self):
            raise AssertionError("the body was read")

    with cloud(tmp_path, {"lambda": {}}) as c:
        for lines in ([(b"authorization", SIGNED.format(key="x", service="s3").encode())], []):
            asked = Request(
                "PUT", "/bucket/key", "", Headers([(b"host", b"localhost:4566"), *lines]), Unread()
            )
            assert asyncio.run(c.door(asked)).status == 299
            assert c.passed[-1] is asked


@pytest.mark.parametrize(
    ("path", "headers", "service", "ours"),
    [
        ("/2015-03-31/functions", [], "", True),
        ("/2015-03-31/functions", [], "s3", False),
        ("/2099-01-01/functions", [], "", False),
        ("/functions", [("host", "lambda.us-east-1.amazonaws.com")], "", True),
        ("/functions", [("host", "mybucket.s3.amazonaws.com")], "", False),
        ("/", [("X-Amz-Target", "Logs_20140328.DescribeLogGroups")], "", True),
        ("/", [("X-Amz-Target", "DynamoDB_20120810.ListTables")], "", False),
        ("/?X-Amz-Credential=A%2F20240101%2Fus-east-1%2Flogs%2Faws4_request", [], "", True),
        ("/?Action=DescribeInstances&Version=2016-11-15", [], "", True),
        ("/?Action=ListUsers&Version=2010-05-08", [], "", False),
        ("/", [("authorization", "nonsense")], "", False),
        ("/", [("authorization", "AWS4-HMAC-SHA256 Credential=////")], "", False),
    ],
)
def test_a_request_finds_its_service(tmp_path, path, headers, service, ours):
    services = {"lambda": {}, "logs": {}, "ec2": {}}
    with cloud(tmp_path, services) as c:
        host = dict(headers).pop("host", None)
        asked = request("GET", path, headers=[h for h in headers if h[0] != "host"], service=service)
        if host:
            asked.headers = Headers([(b"host", host.encode()), *asked.headers.raw[1:]])
        asyncio.run(c.door(asked))
        assert (c.passed == []) is ours


def test_an_unsigned_form_is_routed_by_its_version_and_reaches_companions_whole(tmp_path):
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    with cloud(tmp_path, {"ec2": {"DescribeInstances": {}}}) as c:
        answer = c.ask("POST", "/", b"Action=DescribeInstances&Version=2016-11-15", headers=form, service="")
        assert answer.status == 200
        other = b"Action=ListUsers&Version=2010-05-08"
        assert c.ask("POST", "/", other, headers=form, service="").status == 299
        assert asyncio.run(c.passed[0].body.read(1000)) == other


def test_an_operation_of_the_model_that_is_not_built_says_so(tmp_path):
    with cloud(tmp_path, {"lambda": {}, "logs": {}}) as c:
        for service, operation, call in (
            ("lambda", "GetFunction", {"FunctionName": "f"}),
            ("logs", "DescribeLogGroups", {}),
        ):
            with pytest.raises(ClientError, match=f"{service} {operation} is not implemented") as caught:
                c.client(service)._make_api_call(operation, call)
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
            assert caught.value.response["Error"]["Code"] == "NotImplemented"


@pytest.mark.parametrize(
    ("service", "method", "path", "body", "headers", "status", "code"),
    [
        ("lambda", "PATCH", "/2015-03-31/functions", b"", [], 403, "AccessDeniedException"),
        ("lambda", "GET", "/nothing/here", b"", [], 403, "AccessDeniedException"),
        ("lambda", "GET", "/2015-03-31/functions/%ff", b"", [], 400, "SerializationException"),
        ("lambda", "POST", "/2015-03-31/functions", b"{", [], 400, "InvalidRequestContentException"),
        ("lambda", "POST", "/2015-03-31/functions", b"[" * 10_000, [], 400, "InvalidRequestContentException"),
        ("lambda", "POST", "/2015-03-31/functions", b'{"a":' * 900 + b"1" + b"}" * 900, [], 400, None),
        ("lambda", "POST", "/2015-03-31/functions", b'{"FunctionName": NaN}', [], 400, None),
        ("lambda", "POST", "/2015-03-31/functions", b'{"Timeout": 1' + b"0" * 400 + b"}", [], 400, None),
        ("lambda", "POST", "/2015-03-31/functions", b'{"Timeout": 99999999999}', [], 400, "SerializationException"),
        ("lambda", "POST", "/2015-03-31/functions", b'{"FunctionName": "\xff"}', [], 400, None),
        ("lambda", "POST", "/2015-03-31/functions", b'"text"', [], 400, "SerializationException"),
        ("lambda", "POST", "/2015-03-31/functions", b'{"Code": {"ZipFile": "!"}}', [], 400, "SerializationException"),
        ("lambda", "GET", "/2015-03-31/functions?MaxItems=x", b"", [], 400, "SerializationException"),
        ("lambda", "GET", "/2015-03-31/functions?MaxItems=%ff", b"", [], 400, "SerializationException"),
        ("lambda", "POST", "/2015-03-31/functions", b"xx", [("Content-Encoding", "gzip")], 400, None),
        ("lambda", "POST", "/2015-03-31/functions", b"xx", [("Content-Encoding", "aws-chunked")], 400, None),
        ("logs", "POST", "/", b"{}", [], 404, "UnknownOperationException"),
        ("logs", "POST", "/", b"{}", [("X-Amz-Target", "Logs_20140328.Nothing")], 404, "UnknownOperationException"),
        ("logs", "POST", "/", b"{}", [("X-Amz-Target", "Other.DescribeLogGroups")], 404, "UnknownOperationException"),
        ("logs", "POST", "/", b"{}", [("X-Amz-Target", "Logs_20140328.DescribeLogGroups"), ("Content-Type", "text/xml")], 404, "UnknownOperationException"),
        ("logs", "POST", "/", b"{", [("X-Amz-Target", "Logs_20140328.DescribeLogGroups")], 400, "SerializationException"),
        ("logs", "POST", "/", b"[]", [("X-Amz-Target", "Logs_20140328.DescribeLogGroups")], 400, "SerializationException"),
        ("sts", "POST", "/", b"Action=Nothing&Version=2011-06-15", [], 400, "InvalidAction"),
        ("sts", "POST", "/", b"", [], 400, "MissingAction"),
        ("sts", "POST", "/", b"\xff\xfe", [], 400, "MalformedQueryString"),
        ("ec2", "POST", "/", b"Action=Nothing", [], 400, "InvalidAction"),
        ("ec2", "POST", "/", b"Action=DescribeInstances&MaxResults=x", [], 400, "InvalidParameterValue"),
        ("ec2", "POST", "/", b"Action=DescribeInstances&InstanceId.x=1", [], 400, "InvalidParameterValue"),
        ("ec2", "POST", "/", b"Action=DescribeInstances&" + b"a." * 60 + b"=1", [], 400, "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_nonsense_is_a_4xx_of_the_protocols_shape(
    tmp_path, service, method, path, body, headers, status, code
):
    services = {
        "lambda": {"CreateFunction": {}, "ListFunctions": {}, "GetFunction": {}},
        "logs": {"DescribeLogGroups": {}},
        "sts": {},
        "ec2": {"DescribeInstances": {}},
    }
    with cloud(tmp_path, services) as c:
        answer = c.ask(method, path, body, headers=headers, service=service)
    assert answer.status == status
    headers = {name.lower(): value for name, value in answer.headers}
    assert headers["x-amzn-requestid"]
    assert c.seen == []
    if service == "lambda":
        assert headers["x-amzn-errortype"] == (code or headers["x-amzn-errortype"])
        assert json.loads(answer.body)["message"]
    elif service == "logs":
        assert json.loads(answer.body)["__type"] == code
    else:
        assert f"<Code>{code}</Code>".encode() in answer.body


def test_a_body_over_the_limit_is_refused_in_lambdas_words(tmp_path):
    with cloud(tmp_path, {"lambda": {"CreateFunction": {}}}) as c:
        answer = c.ask("POST", "/2015-03-31/functions", b" " * 70_167_212)
    assert answer.status == 413
    assert ("x-amzn-ErrorType", "RequestEntityTooLargeException") in answer.headers
    assert b"Request must be smaller than 70167211 bytes for the CreateFunction operation" in answer.body


def test_a_gzip_bomb_is_refused(tmp_path):
    bomb = gzip.compress(b"\0" * (81 * 1024 * 1024), 9)
    with cloud(tmp_path, {"logs": {"PutLogEvents": {}}}) as c:
        headers = [("X-Amz-Target", "Logs_20140328.PutLogEvents"), ("Content-Encoding", "gzip")]
        answer = c.ask("POST", "/", bomb, headers=headers, service="logs")
    assert answer.status == 413


def test_a_gzipped_body_is_read(tmp_path):
    with cloud(tmp_path, {"logs": {"DescribeLogGroups": {}}}) as c:
        headers = [("X-Amz-Target", "Logs_20140328.DescribeLogGroups"), ("Content-Encoding", "gzip")]
        c.ask("POST", "/", gzip.compress(b'{"limit": 7}'), headers=headers, service="logs")
        assert c.seen[0][2] == {"limit": 7}


def test_a_body_that_is_cut_short_is_a_400(tmp_path):
    class Cut:
        async def read(self, _bytes_max):
            raise BodyCutShort

        def chunks(self):
            raise AssertionError

    with cloud(tmp_path, {"lambda": {"CreateFunction": {}}}) as c:
        asked = request("POST", "/2015-03-31/functions")
        asked.body = Cut()
        answer = asyncio.run(c.door(asked))
    assert answer.status == 400
    assert ("x-amzn-ErrorType", "IncompleteBody") in answer.headers


@pytest.mark.parametrize("fault", [RuntimeError("secret detail"), StoreError("disk full"), RecursionError()])
def test_a_bug_and_a_full_disk_are_a_500_without_details(tmp_path, caplog, fault):
    caplog.set_level(logging.ERROR)
    with cloud(tmp_path, {"lambda": {"ListFunctions": fault}, "sts": {"GetCallerIdentity": fault}}) as c:
        answer = c.ask("GET", "/2015-03-31/functions")
        assert answer.status == 500
        assert ("x-amzn-ErrorType", "ServiceException") in answer.headers
        assert b"secret" not in answer.body
        assert b"disk" not in answer.body
        answer = c.ask("POST", "/", b"Action=GetCallerIdentity", service="sts")
        assert answer.status == 500
        assert b"<Code>InternalFailure</Code>" in answer.body
    assert "request" in caplog.text


def test_an_error_of_a_service_reaches_the_client_as_modelled(tmp_path):
    fault = AwsError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        fields={"Reason": "CallerRateLimitExceeded", "retryAfterSeconds": "3"},
    )
    with cloud(tmp_path, {"lambda": {"Invoke": fault}}) as c, pytest.raises(ClientError) as caught:
        c.client("lambda").invoke(FunctionName="f")
    response = caught.value.response
    assert response["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"
    assert (response["Reason"], response["Type"]) == ("CallerRateLimitExceeded", "User")


def test_idempotency_tokens_are_filled_in(tmp_path):
    with cloud(tmp_path, {"lambda": {"CreateCapacityProvider": {}}, "ecs": {"RunTask": {}}}) as c:
        c.ask("POST", "/", b'{"taskDefinition":"a"}', service="ecs",
              headers=[("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.RunTask")])  # fmt: skip
        assert len(c.seen[0][2]["clientToken"]) == 36


def test_a_named_member_may_have_its_enum_unchecked(tmp_path):
    body = json.dumps(
        {"FunctionName": "f", "Runtime": "cobol", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}}
    )
    with cloud(tmp_path, {"lambda": {"CreateFunction": {}}}) as c:
        answer = c.ask("POST", "/2015-03-31/functions", body.encode())
        assert b"1 validation error detected: Value 'cobol' at 'runtime'" in answer.body
    lenient = [("lambda", "CreateFunction", "Runtime")]
    (tmp_path / "b").mkdir()
    with cloud(tmp_path / "b", {"lambda": {"CreateFunction": {}}}, lenient=lenient) as c:
        assert c.ask("POST", "/2015-03-31/functions", body.encode()).status == 201
        assert c.seen[0][2]["Runtime"] == "cobol"


def test_a_streamed_answer_streams(tmp_path):
    async def events():
        yield {"PayloadChunk": {"Payload": b"hi"}}
        raise AwsError("ServiceException", "broken")

    with cloud(tmp_path, {"lambda": {"InvokeWithResponseStream": {"EventStream": events()}}}) as c:
        answer = c.ask("POST", "/2021-11-15/functions/f/response-streaming-invocations")
    assert b"PayloadChunk" in answer.body
    assert b"ServiceException" in answer.body
