"""Requests become events, and what functions say becomes answers."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.services.elbv2.function_targets import BODY_BYTES_MAX, BadAnswer, answer_of, event_of


def event(*, multi=False, **more):
    values = {
        "method": "POST",
        "path": "/a%20b",
        "query": "x=1&x=2&y",
        "headers": [("content-type", "text/plain"), ("a", "1"), ("a", "2")],
        "body": b"hello",
    } | more
    return json.loads(event_of("arn:group", multi=multi, **values))


def answer(said, *, multi=False):
    return answer_of(json.dumps(said).encode(), multi=multi)


def test_an_event_has_the_last_of_several_values():
    assert event() == {
        "requestContext": {"elb": {"targetGroupArn": "arn:group"}},
        "httpMethod": "POST",
        "path": "/a%20b",
        "queryStringParameters": {"x": "2", "y": ""},
        "headers": {"content-type": "text/plain", "a": "2"},
        "body": "hello",
        "isBase64Encoded": False,
    }


def test_an_event_has_all_of_them_when_it_is_asked_to():
    got = event(multi=True)
    assert got["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
    assert got["multiValueHeaders"] == {"content-type": ["text/plain"], "a": ["1", "2"]}
    assert "headers" not in got
    assert "queryStringParameters" not in got


@pytest.mark.parametrize(
    "headers",
    [[], [("content-type", "image/png")], [("content-type", "text/plain"), ("content-encoding", "gzip")]],
)
def test_bodies_that_are_no_text_are_base64(headers):
    got = event(headers=headers, body=b"\xff\x00")
    assert (got["isBase64Encoded"], base64.b64decode(got["body"])) == (True, b"\xff\x00")


def test_answers_are_understood():
    got = answer({"statusCode": 201, "headers": {"X-A": "1", "Connection": "close"}, "body": "hé"})
    assert (got.status, got.headers, got.body) == (201, ((b"X-A", b"1"),), "hé".encode())
    got = answer({"statusCode": "200", "multiValueHeaders": {"Set-Cookie": ["a", "b"]}}, multi=True)
    assert got.headers == ((b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"))
    encoded = base64.b64encode(b"\xff").decode()
    assert answer({"statusCode": 200, "body": encoded, "isBase64Encoded": True}).body == b"\xff"
    assert answer({"statusCode": 204, "body": None}).body == b""


@pytest.mark.parametrize(
    "said",
    [
        "text",
        [],
        {},
        {"statusCode": True},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "&", "isBase64Encoded": True},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": {"b": 1}}},
        {"statusCode": 200, "headers": {"a": "x\r\nSet-Cookie: evil=1"}},
        {"statusCode": 200, "headers": {"a b": "x"}},
        {"statusCode": 200, "headers": {"ä": "x"}},
        {"statusCode": 200, "body": "x" * (BODY_BYTES_MAX + 1)},
    ],
)
def test_what_is_no_answer_is_refused(said):
    with pytest.raises(BadAnswer):
        answer(said)


@given(st.binary(max_size=200))
def test_whatever_a_function_says_is_an_answer_or_is_refused(payload):
    try:
        got = answer_of(payload, multi=False)
    except BadAnswer:
        return
    assert 200 <= got.status <= 599
