"""Golden answers: every protocol's error, byte for byte."""

import logging

import pytest
from wire_door import MODELS

from cumulo.base.errors import AwsError
from cumulo.wire.errors import Errors
from cumulo.wire.protocols.registry import codec
from cumulo.wire.validate import Fault

JSON = ("Content-Type", "application/json")
XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def answer(service, error, protocol=None):
    model = MODELS.service(service)
    protocol = protocol or model.metadata.protocol
    response = Errors(model, protocol, codec(model, protocol)).answer(error, "id-1")
    return response.status, response.headers, response.body.decode()


def test_rest_json_spells_the_message_as_the_shape_does():
    assert answer("lambda", AwsError("ResourceNotFoundException", "Function not found: x", status=404)) == (
        404,
        [("x-amzn-RequestId", "id-1"), ("x-amzn-ErrorType", "ResourceNotFoundException"), JSON],
        '{"Type":"User","Message":"Function not found: x"}',
    )
    assert answer("lambda", AwsError("ResourceConflictException", "busy"))[0::2] == (
        409,
        '{"Type":"User","message":"busy"}',
    )


def test_rest_json_puts_bound_members_in_headers():
    error = AwsError("TooManyRequestsException", "m", fields={"retryAfterSeconds": "7", "Reason": "R"})
    status, headers, body = answer("lambda", error)
    assert (status, body) == (429, '{"Type":"User","Reason":"R","message":"m"}')
    assert ("Retry-After", "7") in headers


def test_an_errors_own_headers_cannot_be_split():
    error = AwsError("ResourceConflictException", "m", headers={"X-Extra": "a\r\nSet-Cookie: b"})
    assert ("X-Extra", "a  Set-Cookie: b") in answer("lambda", error)[1]


def test_json_names_the_type_in_the_body_and_in_a_header():
    assert answer("logs", AwsError("ResourceNotFoundException", "no such group")) == (
        400,
        [
            ("x-amzn-RequestId", "id-1"),
            ("x-amzn-ErrorType", "ResourceNotFoundException"),
            ("Content-Type", "application/x-amz-json-1.1"),
        ],
        '{"__type":"ResourceNotFoundException","message":"no such group"}',
    )
    assert answer("ecs", AwsError("UnknownOperationException", "", status=404))[0::2] == (
        404,
        '{"__type":"UnknownOperationException"}',
    )


def test_json_that_was_query_keeps_the_old_code_in_a_header():
    status, headers, body = answer("cloudwatch", AwsError("DashboardNotFoundError", "gone"), "json")
    assert status == 404
    assert ("x-amzn-query-error", "ResourceNotFound;Sender") in headers
    assert body == '{"__type":"DashboardNotFoundError","message":"gone"}'


def test_query_ec2_and_rest_xml():
    assert answer("sts", AwsError("ExpiredTokenException", "a<b"))[0::2] == (
        400,
        (
            f'{XML}<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            "<Code>ExpiredTokenException</Code><Message>a&lt;b</Message></Error>"
            "<RequestId>id-1</RequestId></ErrorResponse>"
        ),
    )
    assert answer("ec2", AwsError("InvalidInstanceID.NotFound", "gone"))[0::2] == (
        400,
        (
            f"{XML}<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>gone</Message></Error>"
            "</Errors><RequestID>id-1</RequestID></Response>"
        ),
    )
    status, headers, body = answer("s3", AwsError("NoSuchKey", "gone", status=404))
    assert (status, body) == (
        404,
        f"{XML}<Error><Code>NoSuchKey</Code><Message>gone</Message><RequestId>id-1</RequestId></Error>",
    )
    assert ("x-amz-request-id", "id-1") in headers
    assert "<ErrorResponse" in answer("route53", AwsError("NoSuchHostedZone", "gone", status=404))[2]


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("lambda", "ServiceException", 500),
        ("ecs", "ServerException", 500),
        ("logs", "InternalServerException", 500),
        ("sts", "InternalFailure", 500),
        ("ec2", "InternalError", 500),
        ("s3", "InternalError", 500),
    ],
)
def test_a_bug_is_hidden_behind_the_services_own_word(service, code, status, caplog):
    caplog.set_level(logging.ERROR)
    try:
        raise ZeroDivisionError("secret")
    except ZeroDivisionError as exc:
        got, headers, body = answer(service, exc)
    assert got == status
    assert code in body + str(headers)
    assert "secret" not in body
    assert "ZeroDivisionError" in caplog.text
    assert "id-1" in caplog.text


def test_application_auto_scaling_lists_choices_by_the_alphabet():
    model = MODELS.service("application-autoscaling")
    errors = Errors(model, "json", codec(model, "json"))
    fault = Fault("policyType", "Value 'X' at 'policyType' failed to satisfy constraint: "
                  "Member must satisfy enum value set: [StepScaling, TargetTrackingScaling, PredictiveScaling]")  # fmt: skip
    assert errors.validation([fault]).message == (
        "1 validation error detected: Value 'X' at 'policyType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [PredictiveScaling, StepScaling, TargetTrackingScaling]"
    )
