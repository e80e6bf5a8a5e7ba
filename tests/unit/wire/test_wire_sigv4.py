"""Signatures: botocore's verify, nobody else's do, and AWS's words say why."""

import asyncio
import datetime as dt

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from wire_door import Cloud, cloud, from_botocore, request

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.wire.http import Headers

SERVICES = {
    "lambda": {"ListFunctions": {"Functions": []}, "CreateFunction": {}},
    "logs": {"DescribeLogGroups": {}},
}


def keyed(c: Cloud):
    key = asyncio.run(c.keys.create("111122223333", "me"))
    return key, {"access_key": key.access_key, "secret_key": key.secret_key}


def test_a_signed_client_is_let_in_and_is_who_its_key_says(tmp_path):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        key, credentials = keyed(c)
        c.client("lambda", **credentials).list_functions(Marker="a/b c+é&=~*")
        c.client("logs", **credentials).describe_log_groups()
        assert c.seen[0][2] == {"Marker": "a/b c+é&=~*"}
        assert {caller.account for _, caller, _ in c.seen} == {"111122223333"}
        assert {caller.access_key for _, caller, _ in c.seen} == {key.access_key}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"secret_key": "wrong"}, "InvalidSignatureException"),
        ({"access_key": "AKIAUNKNOWN"}, "UnrecognizedClientException"),
        ({"session_token": "stray"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_key_is_refused_with_403(tmp_path, change, code):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        _, credentials = keyed(c)
        with pytest.raises(ClientError) as caught:
            c.client("lambda", **{**credentials, **change}).list_functions()
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert c.seen == []


def test_a_deleted_key_is_unknown(tmp_path):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        key, credentials = keyed(c)
        assert asyncio.run(c.keys.delete(key.access_key)) is True
        with pytest.raises(ClientError, match="The security token included in the request is invalid"):
            c.client("lambda", **credentials).list_functions()


@pytest.mark.parametrize("service", ["lambda", "dynamodb", "s3"])
def test_an_unsigned_request_is_refused_ours_and_companions(tmp_path, service):
    paths = {"lambda": "/2015-03-31/functions", "dynamodb": "/", "s3": "/bucket/key"}
    with cloud(tmp_path, SERVICES, verify=True) as c:
        answer = c.ask("GET", paths[service], service="")
        assert answer.status == 403
        assert c.seen == c.passed == []


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("AWS4-HMAC-SHA256 Credential=A/20240101/r/lambda/aws4_request", "requires 'Signature' parameter"),
        ("AWS4-HMAC-SHA256 Credential=A/r/lambda/aws4_request, SignedHeaders=host, Signature=0", "exactly 5"),
        ("Basic Zm9v", "Unsupported AWS 'algorithm'"),
        (
            "AWS4-HMAC-SHA256 Credential=A/20240101/r/lambda/aws4_request, SignedHeaders=host, Signature=0",
            "Date",
        ),
    ],
)
def test_an_incomplete_signature_says_what_is_missing(tmp_path, header, text):
    dated = [] if text == "Date" else [("x-amz-date", "20240101T000000Z")]
    with cloud(tmp_path, SERVICES, verify=True) as c:
        asked = request(
            "GET", "/2015-03-31/functions", service="", headers=[("authorization", header), *dated]
        )
        answer = asyncio.run(c.answer(asked))
    assert answer.status == 400
    assert text in answer.body.decode()
    assert ("x-amzn-ErrorType", "IncompleteSignatureException") in answer.headers


def test_local_mode_takes_any_key_and_any_nonsense(tmp_path):
    with cloud(tmp_path, SERVICES) as c:
        for header in (
            "",
            "Basic Zm9v",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=" + "/" * 9,
            "Credential=é",
        ):
            asked = request("GET", "/2015-03-31/functions", service="")
            asked.headers = Headers([*asked.headers.raw, (b"authorization", header.encode())])
            assert asyncio.run(c.answer(asked)).status == 200
        assert {(caller.account, caller.region) for _, caller, _ in c.seen} == {("000000000000", "us-east-1")}


def signed(
    method, url, *, signer=SigV4Auth, service="lambda", data=b"", headers=(), credentials=None, **options
):
    made = AWSRequest(method, url, data=data, headers=dict(headers))
    signer(credentials or Credentials("AKIA", "secret"), service, "eu-west-1", **options).add_auth(made)
    return from_botocore(made.prepare())


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_a_clock_that_is_off_by_more_than_15_minutes_is_refused(tmp_path, seconds):
    clock = VirtualClock(SystemClock().now() + seconds)
    with cloud(tmp_path, SERVICES, verify=True, clock=clock) as c:
        _, credentials = keyed(c)
        words = (
            "Signature not yet current"
            if seconds < 0
            else "Signature expired: .* is now earlier than .* - 15 min"
        )
        with pytest.raises(ClientError, match=words):
            c.client("lambda", **credentials).list_functions()


@pytest.mark.parametrize("seconds", [-800, 800])
def test_a_clock_that_is_off_by_less_is_let_in(tmp_path, seconds):
    clock = VirtualClock(SystemClock().now() + seconds)
    with cloud(tmp_path, SERVICES, verify=True, clock=clock) as c:
        _, credentials = keyed(c)
        c.client("lambda", **credentials).list_functions()


def test_a_presigned_url_holds_until_it_expires(tmp_path):
    clock = VirtualClock(SystemClock().now())
    with cloud(tmp_path, SERVICES, verify=True, clock=clock) as c:
        key, _ = keyed(c)
        asked = signed(
            "GET",
            "http://127.0.0.1:4566/2015-03-31/functions?MaxItems=3&Marker=a%20b%2Fc",
            signer=SigV4QueryAuth,
            credentials=Credentials(key.access_key, key.secret_key),
            expires=3600,
        )
        assert asyncio.run(c.answer(asked)).status == 200
        assert c.seen[0][2] == {"MaxItems": 3, "Marker": "a b/c"}
        clock.advance(3599)
        assert asyncio.run(c.answer(asked)).status == 200
        clock.advance(10)
        answer = asyncio.run(c.answer(asked))
        assert answer.status == 403
        assert b"Signature expired" in answer.body


def test_a_roles_session_works_until_it_ends_and_needs_its_token(tmp_path):
    clock = VirtualClock(SystemClock().now())
    with cloud(tmp_path, SERVICES, verify=True, clock=clock) as c:
        issued = c.keys.issue("111122223333", "arn:aws:iam::111122223333:role/r", "s")
        credentials = {"access_key": issued.access_key, "secret_key": issued.secret_key}
        with pytest.raises(ClientError, match="security token included in the request is invalid"):
            c.client("lambda", **credentials).list_functions()
        c.client("lambda", **credentials, session_token=issued.session_token).list_functions()
        assert c.seen[0][1].account == "111122223333"
        clock.advance(issued.expires_at - clock.now())
        with pytest.raises(ClientError, match="security token included in the request is expired"):
            c.client("lambda", **credentials, session_token=issued.session_token).list_functions()


def test_a_body_that_was_changed_on_the_way_is_refused(tmp_path):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        key, _ = keyed(c)
        asked = signed(
            "POST",
            "http://127.0.0.1:4566/2015-03-31/functions",
            data=b'{"FunctionName":"a"}',
            credentials=Credentials(key.access_key, key.secret_key),
        )
        asked.body._data = b'{"FunctionName":"b"}'
        answer = asyncio.run(c.answer(asked))
    assert answer.status == 403
    assert b"does not match the signature you provided" in answer.body


@pytest.mark.parametrize("path", ["/bucket/a%20b/%E4%BD%A0//x/../y", "/bucket/k?uploads&prefix=a%2Fb", "/"])
def test_s3_signs_its_paths_once_encoded_and_not_normalised(tmp_path, path):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        key, _ = keyed(c)
        asked = signed(
            "PUT",
            "http://127.0.0.1:4566" + path,
            signer=S3SigV4Auth,
            service="s3",
            data=b"data",
            credentials=Credentials(key.access_key, key.secret_key),
        )
        assert asyncio.run(c.answer(asked)).status == 299
        assert c.passed == [asked]
        wrong = asked.headers.get("authorization")[:-1] + (
            "0" if not asked.headers.get("authorization").endswith("0") else "1"
        )
        asked.headers = Headers(
            [(k, v) if k != b"authorization" else (k, wrong.encode()) for k, v in asked.headers.raw]
        )
        answer = asyncio.run(c.answer(asked))
        assert answer.status == 403
        assert b"<Code>SignatureDoesNotMatch</Code>" in answer.body


def test_a_companions_request_is_checked_with_its_body_and_handed_on_whole(tmp_path):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        key, _ = keyed(c)
        asked = signed(
            "POST",
            "http://127.0.0.1:4566/",
            service="dynamodb",
            data=b"{}",
            headers={"X-Amz-Target": "DynamoDB_20120810.ListTables"},
            credentials=Credentials(key.access_key, key.secret_key),
        )
        assert asyncio.run(c.answer(asked)).status == 299
        assert asyncio.run(c.passed[0].body.read(10)) == b"{}"
        asked.body._data = b"{ }"
        answer = asyncio.run(c.answer(asked))
        assert b'"__type":"InvalidSignatureException"' in answer.body


def test_an_amz_header_added_on_the_way_is_refused(tmp_path):
    with cloud(tmp_path, SERVICES, verify=True) as c:
        key, _ = keyed(c)
        asked = signed(
            "GET",
            "http://127.0.0.1:4566/2015-03-31/functions",
            credentials=Credentials(key.access_key, key.secret_key),
        )
        asked.headers = Headers([*asked.headers.raw, (b"x-amz-invocation-type", b"Event")])
        answer = asyncio.run(c.answer(asked))
    assert answer.status == 403
    assert b"must be a 'SignedHeader'" in answer.body


def test_an_unknown_caller_is_turned_away_before_its_body_is_read(tmp_path):
    class Unread:
        async def read(self, _bytes_max):
            raise AssertionError("the body was read")

    with cloud(tmp_path, SERVICES, verify=True) as c:
        asked = request(
            "POST", "/2015-03-31/functions", key="AKIAUNKNOWN", headers=[("X-Amz-Date", "20240101T000000Z")]
        )
        asked.body = Unread()
        assert asyncio.run(c.door(asked)).status == 403


def test_botocore_signs_by_the_machines_clock():
    assert abs(SystemClock().now() - dt.datetime.now(dt.UTC).timestamp()) < 5  # noqa: TID251
