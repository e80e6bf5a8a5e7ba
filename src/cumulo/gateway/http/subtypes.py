"""AWS services that HTTP APIs call without a function: each subtype's parameters, and the request that they become.  Pure.

AWS_PROXY with `SQS-SendMessage` and {"QueueUrl": ..., "MessageBody": "$request.body.message"} ──▶ ServiceRequest
"""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

Values = Mapping[str, str]


class ServiceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an AWS service is asked; `service` as in a signature's scope."""

    service: str
    method: str = "POST"
    path: str = "/"
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class BadParameter(ValueError):
    """A parameter's value is not of the form that the service wants."""


class Subtype(msgspec.Struct, frozen=True, kw_only=True):
    """One of them: parameters that must be there and may be there, and what they become."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    request: Callable[[Values], ServiceRequest]


def _json(service: str, target: str, version: str, values: Mapping[str, Any]) -> ServiceRequest:
    return ServiceRequest(
        service=service,
        headers={"content-type": f"application/x-amz-json-{version}", "x-amz-target": target},
        body=msgspec.json.encode(values),
    )


def _put_events(values: Values) -> ServiceRequest:
    entry: dict[str, Any] = {name: text for name, text in values.items() if name != "Region"}
    if "Time" in entry:
        entry["Time"] = _epoch(entry["Time"])
    if "Resources" in entry:
        entry["Resources"] = _listed(entry["Resources"])
    return _json("events", "AWSEvents.PutEvents", "1.1", {"Entries": [entry]})


def _queue(action: str) -> Callable[[Values], ServiceRequest]:
    """SQS is asked in its query protocol, so that its answers are XML, as AWS's are here."""

    def request(values: Values) -> ServiceRequest:
        form = {"Action": action, "Version": "2012-11-05"}
        for name, text in values.items():
            if name in {"MessageAttributes", "MessageSystemAttributes"}:
                form |= _attributes(name.removesuffix("s"), text)
            elif name in {"AttributeNames", "AttributeName", "MessageAttributeNames"}:
                form |= _numbered(name.removesuffix("s"), _listed(text))
            elif name != "Region":
                form[name] = text
        return ServiceRequest(
            service="sqs",
            path=urlsplit(values.get("QueueUrl", "")).path or "/",
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        )

    return request


def _put_record(values: Values) -> ServiceRequest:
    record: dict[str, Any] = {name: text for name, text in values.items() if name != "Region"}
    record["Data"] = base64.b64encode(values.get("Data", "").encode()).decode()
    return _json("kinesis", "Kinesis_20131202.PutRecord", "1.1", record)


def _execution(operation: str) -> Callable[[Values], ServiceRequest]:
    def request(values: Values) -> ServiceRequest:
        named = {name[0].lower() + name[1:]: text for name, text in values.items() if name != "Region"}
        return _json("states", f"AWSStepFunctions.{operation}", "1.0", named)

    return request


def _configuration(values: Values) -> ServiceRequest:
    application, environment, configuration = (
        quote(values.get(name, ""), safe="") for name in ("Application", "Environment", "Configuration")
    )
    query = {"client_id": values.get("ClientId", "")}
    if "ClientConfigurationVersion" in values:
        query["client_configuration_version"] = values["ClientConfigurationVersion"]
    return ServiceRequest(
        service="appconfig",
        method="GET",
        path=f"/applications/{application}/environments/{environment}/configurations/{configuration}",
        query=urlencode(query),
    )


SUBTYPES: Final[Mapping[str, Subtype]] = {
    "EventBridge-PutEvents": Subtype(
        required=("Detail", "DetailType", "Source"),
        optional=("Time", "EventBusName", "Resources", "Region", "TraceHeader"),
        request=_put_events,
    ),
    "SQS-SendMessage": Subtype(
        required=("QueueUrl", "MessageBody"),
        optional=("DelaySeconds", "MessageAttributes", "MessageDeduplicationId", "MessageGroupId",
                  "MessageSystemAttributes", "Region"),
        request=_queue("SendMessage"),
    ),
    "SQS-ReceiveMessage": Subtype(
        required=("QueueUrl",),
        optional=("AttributeNames", "MaxNumberOfMessages", "MessageAttributeNames", "ReceiveRequestAttemptId",
                  "VisibilityTimeout", "WaitTimeSeconds", "Region"),
        request=_queue("ReceiveMessage"),
    ),
    "SQS-DeleteMessage": Subtype(
        required=("ReceiptHandle", "QueueUrl"), optional=("Region",), request=_queue("DeleteMessage")
    ),
    "SQS-PurgeQueue": Subtype(required=("QueueUrl",), optional=("Region",), request=_queue("PurgeQueue")),
    "AppConfig-GetConfiguration": Subtype(
        required=("Application", "Environment", "Configuration", "ClientId"),
        optional=("ClientConfigurationVersion", "Region"),
        request=_configuration,
    ),
    "Kinesis-PutRecord": Subtype(
        required=("StreamName", "Data", "PartitionKey"),
        optional=("SequenceNumberForOrdering", "ExplicitHashKey", "Region"),
        request=_put_record,
    ),
    "StepFunctions-StartExecution": Subtype(
        required=("StateMachineArn",), optional=("Name", "Input", "Region"), request=_execution("StartExecution")
    ),
    "StepFunctions-StartSyncExecution": Subtype(
        required=("StateMachineArn",),
        optional=("Name", "Input", "Region", "TraceHeader"),
        request=_execution("StartSyncExecution"),
    ),
    "StepFunctions-StopExecution": Subtype(
        required=("ExecutionArn",), optional=("Cause", "Error", "Region"), request=_execution("StopExecution")
    ),
}  # fmt: skip


def _epoch(text: str) -> float | str:
    """A time as JSON 1.1 wants it: seconds since the epoch, from those or from ISO 8601."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise BadParameter(f"{text} is no time") from None


def _listed(text: str) -> list[str]:
    """A list from JSON, or of what stands between commas."""
    if text.lstrip().startswith("["):
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.DecodeError:
            raise BadParameter(f"{text} is no list") from None
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbered(name: str, values: list[str]) -> dict[str, str]:
    return {f"{name}.{at}": value for at, value in enumerate(values, 1)}


class _Attribute(msgspec.Struct, frozen=True):
    """A message attribute in JSON."""

    DataType: str = "String"
    StringValue: str | None = None
    BinaryValue: str | None = None


def _attributes(name: str, text: str) -> dict[str, str]:
    """{"colour": {"DataType": "String", "StringValue": "red"}} as the query protocol has it."""
    try:
        given = msgspec.json.decode(text, type=dict[str, _Attribute])
    except (msgspec.DecodeError, RecursionError):
        raise BadParameter(f"{name}s are no JSON of attributes") from None
    form: dict[str, str] = {}
    for at, (key, attribute) in enumerate(given.items(), 1):
        form[f"{name}.{at}.Name"] = key
        form[f"{name}.{at}.Value.DataType"] = attribute.DataType
        if attribute.StringValue is not None:
            form[f"{name}.{at}.Value.StringValue"] = attribute.StringValue
        if attribute.BinaryValue is not None:
            form[f"{name}.{at}.Value.BinaryValue"] = attribute.BinaryValue
    return form
