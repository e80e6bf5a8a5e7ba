"""First-class integrations: the AWS operations that an HTTP API calls without a function, and their parameters."""

from collections.abc import Mapping
from typing import Final

import msgspec


class Subtype(msgspec.Struct, frozen=True):
    """What an operation must be told, and what it may be told besides."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_REGION: Final = "Region"

SUBTYPES: Final[Mapping[str, Subtype]] = {
    "EventBridge-PutEvents": Subtype(
        ("Detail", "DetailType", "Source"),
        ("Time", "EventBusName", "Resources", _REGION, "TraceHeader"),
    ),
    "SQS-SendMessage": Subtype(
        ("QueueUrl", "MessageBody"),
        (
            "DelaySeconds",
            "MessageAttributes",
            "MessageDeduplicationId",
            "MessageGroupId",
            "MessageSystemAttributes",
            _REGION,
        ),
    ),
    "SQS-ReceiveMessage": Subtype(
        ("QueueUrl",),
        (
            "AttributeNames",
            "MaxNumberOfMessages",
            "MessageAttributeNames",
            "ReceiveRequestAttemptId",
            "VisibilityTimeout",
            "WaitTimeSeconds",
            _REGION,
        ),
    ),
    "SQS-DeleteMessage": Subtype(("ReceiptHandle", "QueueUrl"), (_REGION,)),
    "SQS-PurgeQueue": Subtype(("QueueUrl",), (_REGION,)),
    "AppConfig-GetConfiguration": Subtype(
        ("Application", "Environment", "Configuration", "ClientId"),
        ("ClientConfigurationVersion", _REGION),
    ),
    "Kinesis-PutRecord": Subtype(
        ("StreamName", "Data", "PartitionKey"),
        ("SequenceNumberForOrdering", "ExplicitHashKey", _REGION),
    ),
    "StepFunctions-StartExecution": Subtype(("StateMachineArn",), ("Name", "Input", _REGION)),
    "StepFunctions-StartSyncExecution": Subtype(
        ("StateMachineArn",), ("Name", "Input", _REGION, "TraceHeader")
    ),
    "StepFunctions-StopExecution": Subtype(("ExecutionArn",), ("Cause", "Error", _REGION)),
}
