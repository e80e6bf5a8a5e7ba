"""Calls of companions as guards see them, and as they are passed on."""

import asyncio

import pytest
from botocore.parsers import create_parser

from cumulo.base.errors import AwsError
from cumulo.companions.guards import call_of, refusal_of, with_form
from cumulo.wire.http import BytesBody, Headers, Request


def posted(body: bytes) -> Request:
    headers = Headers(
        [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-length", str(len(body)).encode()),
            (b"x-other", b"kept"),
        ]
    )
    return Request("POST", "/", "", headers, BytesBody(body))


def seen(request: Request, body: bytes):
    return call_of(request, body, account="1", region="r")


def test_a_form_is_a_call():
    body = b"Action=RunInstances&UserData=a%2Bb%3D%3D&Empty=&Name=%C3%A4"
    call = seen(posted(body), body)
    assert call is not None
    assert (call.account, call.region, call.action) == ("1", "r", "RunInstances")
    assert call.form == {"Action": "RunInstances", "UserData": "a+b==", "Empty": "", "Name": "ä"}


def test_a_query_is_a_call_too():
    request = Request("GET", "/", "Action=DescribeVpcs&X=1", Headers([]), BytesBody(b""))
    call = seen(request, b"")
    assert call is not None
    assert call.action == "DescribeVpcs"
    assert with_form(request, {"Action": "A", "X": "2 3"}).query == "Action=A&X=2+3"


@pytest.mark.parametrize("body", [b"", b"{}", b"no action", b"\xff\xfe=\x00", b"Action="])
def test_what_is_no_form_is_no_call(body):
    assert seen(posted(body), body) is None


def test_changed_parameters_are_passed_on_with_their_own_length():
    body = b"Action=RunInstances&MinCount=1&Data=%FF%C3%A4"
    call = seen(posted(body), body)
    assert call is not None
    changed = with_form(posted(body), {**call.form, "MinCount": "12"})
    whole = asyncio.run(changed.body.read(1000))
    assert whole == b"Action=RunInstances&MinCount=12&Data=%FF%C3%A4"
    assert changed.headers.get("content-length") == str(len(whole))
    assert changed.headers.get("x-other") == "kept"


@pytest.mark.parametrize(("service", "protocol"), [("ec2", "ec2"), ("autoscaling", "query")])
def test_clients_read_a_refusal_as_the_services_own(service, protocol):
    answer = refusal_of(service, AwsError("InsufficientInstanceCapacity", "no <room> & more", status=500))
    assert isinstance(answer.body, bytes)
    told = create_parser(protocol).parse(
        {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}, None
    )
    assert told["Error"]["Code"] == "InsufficientInstanceCapacity"
    assert told["Error"]["Message"] == "no <room> & more"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 500
