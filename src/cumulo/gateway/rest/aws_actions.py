"""How AWS's services want an action to be said: `arn:aws:apigateway:<region>:dynamodb:action/PutItem`.

JSON services take it from X-Amz-Target; query services as `Action`, and answer in XML, which API Gateway's own way of
asking (Accept: application/json) turns into JSON.
"""

import xml.etree.ElementTree as ET
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec


class Said(NamedTuple):
    """What a service wants: X-Amz-Target's prefix and JSON version, or (empty) a query API of this version."""

    target: str
    version: str


_SERVICES: Final = {
    "cognito-idp": Said("AWSCognitoIdentityProviderService", "1.1"),
    "dynamodb": Said("DynamoDB_20120810", "1.0"),
    "events": Said("AWSEvents", "1.1"),
    "firehose": Said("Firehose_20150804", "1.1"),
    "kinesis": Said("Kinesis_20131202", "1.1"),
    "kms": Said("TrentService", "1.1"),
    "logs": Said("Logs_20140328", "1.1"),
    "secretsmanager": Said("secretsmanager", "1.1"),
    "ssm": Said("AmazonSSM", "1.1"),
    "states": Said("AWSStepFunctions", "1.0"),
    "sns": Said("", "2010-03-31"),
    "sqs": Said("", "2012-11-05"),
    "sts": Said("", "2011-06-15"),
    "iam": Said("", "2010-05-08"),
    "cloudformation": Said("", "2010-05-15"),
    "ses": Said("", "2010-12-01"),
    "email": Said("", "2010-12-01"),
    "monitoring": Said("", "2010-08-01"),
    "autoscaling": Said("", "2011-01-01"),
    "ec2": Said("", "2016-11-15"),
    "rds": Said("", "2014-10-31"),
}
_AS_QUERY: Final = frozenset(
    {"ssm"}
)  # JSON services that API Gateway still asks in the old way, and answers so
_SIGNED_AS: Final = {"email": "ses"}
_LISTS: Final = frozenset({"member", "entry"})


def signed_as(service: str) -> str:
    """The service's name in a signature's scope."""
    return _SIGNED_AS.get(service, service)


def said_as(service: str) -> Said | None:
    """How a service wants its actions said; None when nobody here knows."""
    return _SERVICES.get(service)


def asked_as_query(service: str) -> bool:
    """Whether a JSON service takes its parameters from the query string alone, and answers wrapped as query APIs do."""
    return service in _AS_QUERY


def wrapped(action: str, body: bytes, request_id: str) -> bytes:
    """A JSON service's answer as the query API of old would have given it."""
    try:
        result = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        return body
    said = {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}}
    return msgspec.json.encode({f"{action}Response": said})


def json_of_fields(query: str) -> bytes:
    """Fields of a query string as a JSON object, for a JSON service that is asked by GET."""
    return msgspec.json.encode(dict(parse_qsl(query, keep_blank_values=True)))


def json_of_xml(body: bytes) -> bytes | None:
    """A query service's XML as it answers in JSON; None when it is no XML."""
    try:
        root = ET.fromstring(body)  # noqa: S314 - from AWS's services; expat bounds what entities grow to
    except ET.ParseError:
        return None
    return msgspec.json.encode({_name(root): _value(root)})


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _value(element: ET.Element) -> Any:
    children = list(element)
    if not children:
        return element.text
    names = [_name(child) for child in children]
    if all(name in _LISTS for name in names):
        return [_value(child) for child in children]
    found: dict[str, Any] = {}
    for name, child in zip(names, children, strict=True):
        value = _value(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
