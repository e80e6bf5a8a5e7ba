"""AWS services behind HTTP APIs, without a function between."""

import json
from urllib.parse import parse_qsl

import pytest
from tests.gateway_kit import header_of
from tests.unit.gateway.http.http_api import HttpApi, service

from cumulo.gateway.http.subtypes import SUBTYPES
from cumulo.gateway.tools import Answer, CallFailed

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/queue"


def called(subtype, parameters, *args, **options):
    api = HttpApi(service(subtype, **parameters))
    assert api.ask(*args, **options).status == 200
    return api.world.aws.calls[0]


def form_of(call):
    return dict(parse_qsl(call["body"].decode(), keep_blank_values=True))


def test_an_event_is_put():
    parameters = {
        "Detail": "$request.body", "DetailType": "order", "Source": "$request.header.source", "Time": "2024-01-01T00:00:00Z",
        "Resources": "a, b", "EventBusName": "$request.querystring.bus", "Region": "eu-west-1",
    }  # fmt: skip
    call = called("EventBridge-PutEvents", parameters, "POST", "/?bus=b", {"Source": "shop"}, b'{"a": 1}')
    assert (call["service"], call["headers"]["x-amz-target"]) == ("events", "AWSEvents.PutEvents")
    assert (call["caller"].account, call["caller"].region) == ("123456789012", "eu-west-1")
    assert json.loads(call["body"]) == {
        "Entries": [
            {
                "Detail": '{"a": 1}',
                "DetailType": "order",
                "Source": "shop",
                "Time": 1704067200.0,
                "Resources": ["a", "b"],
                "EventBusName": "b",
            }
        ]
    }


def test_a_message_is_sent():
    attributes = '{"colour": {"DataType": "String", "StringValue": "${request.body.colour}"}}'
    parameters = {"QueueUrl": QUEUE, "MessageBody": "$request.body.message", "MessageAttributes": attributes,
                  "DelaySeconds": "$request.body.none"}  # fmt: skip
    call = called("SQS-SendMessage", parameters, "POST", "/", {}, b'{"message": "hi & bye", "colour": "red"}')
    assert (call["service"], call["method"], call["path"]) == ("sqs", "POST", "/123456789012/queue")
    assert form_of(call) == {
        "Action": "SendMessage",
        "Version": "2012-11-05",
        "QueueUrl": QUEUE,
        "MessageBody": "hi & bye",
        "MessageAttribute.1.Name": "colour",
        "MessageAttribute.1.Value.DataType": "String",
        "MessageAttribute.1.Value.StringValue": "red",
    }


def test_messages_are_received_deleted_and_purged():
    parameters = {"QueueUrl": QUEUE, "AttributeNames": '["All", "SentTimestamp"]', "MaxNumberOfMessages": "5"}
    form = form_of(called("SQS-ReceiveMessage", parameters))
    assert (form["AttributeName.1"], form["AttributeName.2"], form["MaxNumberOfMessages"]) == (
        "All",
        "SentTimestamp",
        "5",
    )
    form = form_of(
        called(
            "SQS-DeleteMessage",
            {"QueueUrl": QUEUE, "ReceiptHandle": "$request.querystring.h"},
            "GET",
            "/?h=x",
        )
    )
    assert (form["Action"], form["ReceiptHandle"]) == ("DeleteMessage", "x")
    assert form_of(called("SQS-PurgeQueue", {"QueueUrl": QUEUE}))["Action"] == "PurgeQueue"


def test_a_record_is_put():
    parameters = {"StreamName": "s", "Data": "$request.body", "PartitionKey": "$context.requestId"}
    call = called("Kinesis-PutRecord", parameters, "POST", "/", {}, b"data")
    assert call["headers"]["x-amz-target"] == "Kinesis_20131202.PutRecord"
    assert json.loads(call["body"]) == {
        "StreamName": "s",
        "Data": "ZGF0YQ==",
        "PartitionKey": "JKJaXmPLvHcESHA=",
    }


@pytest.mark.parametrize(
    ("operation", "parameters", "body"),
    [
        (
            "StartExecution",
            {"StateMachineArn": "arn", "Input": "$request.body"},
            {"stateMachineArn": "arn", "input": "{}"},
        ),
        (
            "StartSyncExecution",
            {"StateMachineArn": "arn", "Name": "n"},
            {"stateMachineArn": "arn", "name": "n"},
        ),
        ("StopExecution", {"ExecutionArn": "arn", "Cause": "c"}, {"executionArn": "arn", "cause": "c"}),
    ],
)
def test_executions_are_started_and_stopped(operation, parameters, body):
    call = called(f"StepFunctions-{operation}", parameters, "POST", "/", {}, b"{}")
    assert (call["service"], call["headers"]["x-amz-target"]) == ("states", f"AWSStepFunctions.{operation}")
    assert json.loads(call["body"]) == body


def test_a_configuration_is_got():
    parameters = {"Application": "a b", "Environment": "e", "Configuration": "c", "ClientId": "me"}
    call = called("AppConfig-GetConfiguration", parameters)
    assert (call["method"], call["path"]) == ("GET", "/applications/a%20b/environments/e/configurations/c")
    assert (call["service"], call["query"]) == ("appconfig", "client_id=me")


def test_what_the_service_says_is_the_answer():
    api = HttpApi(service("SQS-PurgeQueue", QueueUrl=QUEUE))
    api.world.aws.answer = Answer(
        status=403, headers=[("content-type", "text/xml"), ("x-amzn-RequestId", "r")], body=b"<Error/>"
    )
    response = api.ask()
    assert (response.status, response.body, header_of(response, "content-type")) == (
        403,
        b"<Error/>",
        "text/xml",
    )
    assert api.visit.context["awsEndpointRequestId"] == "r"


def test_a_service_that_does_not_answer_is_unavailable():
    def fail(call):
        raise CallFailed("gone")

    api = HttpApi(service("SQS-PurgeQueue", QueueUrl=QUEUE))
    api.world.aws.answer = fail
    assert api.ask().status == 503


def test_a_parameter_of_the_wrong_form_is_a_bad_request():
    api = HttpApi(
        service("SQS-SendMessage", QueueUrl=QUEUE, MessageBody="m", MessageAttributes="$request.body")
    )
    assert (api.ask("POST", "/", {}, b"no json").status, api.world.aws.calls) == (400, [])


def test_all_documented_subtypes_are_there():
    assert sorted(SUBTYPES) == [
        "AppConfig-GetConfiguration", "EventBridge-PutEvents", "Kinesis-PutRecord", "SQS-DeleteMessage", "SQS-PurgeQueue",
        "SQS-ReceiveMessage", "SQS-SendMessage", "StepFunctions-StartExecution", "StepFunctions-StartSyncExecution",
        "StepFunctions-StopExecution",
    ]  # fmt: skip
