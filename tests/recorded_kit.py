"""For tests that compare with answers recorded on AWS: clients that check nothing, and answers without what changes."""

import http.client
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHANGES = frozenset({"ResponseMetadata", "createdDate", "lastUpdatedDate"})
WAIT_SECONDS = 40


def unchecked(cloud: Any, service: str) -> Any:
    """A client that sends what it is given, wrong or not."""
    return boto3.client(
        service, endpoint_url=cloud.endpoint, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )  # fmt: skip


def shown(answer: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """An answer without its times, its metadata and these members."""
    return {name: value for name, value in answer.items() if name not in CHANGES and name not in names}


def refusal(call: Callable[..., Any], **values: Any) -> tuple[str, str]:
    """The code and the sentence of the error that a call has to end in."""
    try:
        call(**values)
    except ClientError as error:
        said = error.response["Error"]
        return said["Code"], said["Message"]
    raise AssertionError("it was not refused")


def patch(op: str, path: str, value: str | None = None, **more: str) -> dict[str, str]:
    """One patch operation."""
    return {"op": op, "path": path, **({} if value is None else {"value": value}), **more}


def ask(
    cloud: Any, api_id: str, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] = {}
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body that an API answers, byte for byte as it was asked."""
    address = urlsplit(cloud.endpoint)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=WAIT_SECONDS)
    connection.request(method, path, body, {"Host": f"{api_id}.execute-api.localhost", **headers})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), read
