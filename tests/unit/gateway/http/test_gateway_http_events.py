"""The events that requests become for functions."""

import pytest
from tests.gateway_kit import API, DOMAIN
from tests.unit.gateway.http.http_api import HttpApi, function

from cumulo.gateway.definitions.v2 import Authorizer, Route, V2Stage
from cumulo.gateway.visit import ClientCertificate, Grant

CERTIFICATE = ClientCertificate(
    pem="PEM", subject="CN=me", issuer="CN=ca", serial="a1", not_before="May 28 12:30:02 2019 GMT",
    not_after="Aug  5 09:36:04 2021 GMT",
)  # fmt: skip
SHOWN = {
    "clientCertPem": "PEM",
    "subjectDN": "CN=me",
    "issuerDN": "CN=ca",
    "serialNumber": "a1",
    "validity": {"notBefore": "May 28 12:30:02 2019 GMT", "notAfter": "Aug  5 09:36:04 2021 GMT"},
}
STAGE = V2Stage(stage_name="prod", variables={"v": "1"})


def test_the_whole_event_of_format_2():
    api = HttpApi(function(), "POST /pets/{id}", stage=STAGE)
    event = api.event(
        "POST",
        "/pets/6%207?a=1&a=2&b=x+y&c",
        [("User-Agent", "agent"), ("X-Two", "1"), ("X-Two", "2"), ("Cookie", "c1=1; c2=2"), ("Cookie", "c3=3"),
         ("Content-Type", "application/json; charset=utf-8"), ("Connection", "keep-alive")],
        b'{"a": "\xc3\xa4"}',
        certificate=CERTIFICATE,
    )  # fmt: skip
    assert event == {
        "version": "2.0",
        "routeKey": "POST /pets/{id}",
        "rawPath": "/prod/pets/6 7",
        "rawQueryString": "a=1&a=2&b=x+y&c",
        "cookies": ["c1=1", "c2=2", "c3=3"],
        "headers": {
            "host": DOMAIN,
            "user-agent": "agent",
            "x-two": "1,2",
            "content-type": "application/json; charset=utf-8",
            "content-length": "11",
            "x-amzn-trace-id": "Root=1-65536f80-0123456789abcdef01234567",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "80",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"a": "1,2", "b": "x y", "c": ""},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": API,
            "authentication": {"clientCert": SHOWN},
            "domainName": DOMAIN,
            "domainPrefix": API,
            "http": {
                "method": "POST",
                "path": "/prod/pets/6 7",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "agent",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /pets/{id}",
            "stage": "prod",
            "time": "14/Nov/2023:22:13:20 +0000",
            "timeEpoch": 1700000000000,
        },
        "body": '{"a": "ä"}',
        "pathParameters": {"id": "6 7"},
        "isBase64Encoded": False,
        "stageVariables": {"v": "1"},
    }


def test_format_2_leaves_out_what_is_empty():
    event = HttpApi(function()).event("GET", "/")
    assert sorted(event) == [
        "headers", "isBase64Encoded", "rawPath", "rawQueryString", "requestContext", "routeKey", "version"
    ]  # fmt: skip
    assert event["headers"]["content-length"] == "0"
    assert sorted(event["requestContext"]) == [
        "accountId", "apiId", "domainName", "domainPrefix", "http", "requestId", "routeKey", "stage", "time", "timeEpoch"
    ]  # fmt: skip


def test_the_whole_event_of_format_1():
    api = HttpApi(function(payload_format_version="1.0"), "ANY /pets/{proxy+}", stage=STAGE)
    event = api.event(
        "PUT", "/pets/a/b?q=1&q=2", [("X-Two", "1"), ("X-Two", "2"), ("Content-Type", "image/png"), ("Cookie", "a=b")],
        b"\x89PNG",
    )  # fmt: skip
    assert event == {
        "version": "1.0",
        "resource": "/pets/{proxy+}",
        "path": "/prod/pets/a/b",
        "httpMethod": "PUT",
        "headers": {
            "Host": DOMAIN,
            "x-two": "2",
            "Content-Type": "image/png",
            "cookie": "a=b",
            "Content-Length": "4",
            "X-Amzn-Trace-Id": "Root=1-65536f80-0123456789abcdef01234567",
            "X-Forwarded-For": "203.0.113.7",
            "X-Forwarded-Port": "80",
            "X-Forwarded-Proto": "http",
        },
        "multiValueHeaders": {
            "Host": [DOMAIN],
            "x-two": ["1", "2"],
            "Content-Type": ["image/png"],
            "cookie": ["a=b"],
            "Content-Length": ["4"],
            "X-Amzn-Trace-Id": ["Root=1-65536f80-0123456789abcdef01234567"],
            "X-Forwarded-For": ["203.0.113.7"],
            "X-Forwarded-Port": ["80"],
            "X-Forwarded-Proto": ["http"],
        },
        "queryStringParameters": {"q": "2"},
        "multiValueQueryStringParameters": {"q": ["1", "2"]},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": API,
            "domainName": DOMAIN,
            "domainPrefix": API,
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "httpMethod": "PUT",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "203.0.113.7",
                "user": None,
                "userAgent": "",
                "userArn": None,
            },
            "path": "/prod/pets/a/b",
            "protocol": "HTTP/1.1",
            "requestId": "JKJaXmPLvHcESHA=",
            "requestTime": "14/Nov/2023:22:13:20 +0000",
            "requestTimeEpoch": 1700000000000,
            "resourceId": "ANY /pets/{proxy+}",
            "resourcePath": "/pets/{proxy+}",
            "stage": "prod",
        },
        "pathParameters": {"proxy": "a/b"},
        "stageVariables": {"v": "1"},
        "body": "iVBORw==",
        "isBase64Encoded": True,
    }


def test_format_1_has_null_for_what_is_empty():
    event = HttpApi(function(payload_format_version="1.0")).event("GET", "/", certificate=CERTIFICATE)
    names = (
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
    )
    assert [event[name] for name in names] == [None] * 5
    assert event["resource"] == "$default"
    assert event["requestContext"]["identity"]["clientCert"] == SHOWN


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("text/html", False),
        ("text/plain; charset=utf-8", False),
        ("application/json", False),
        ("application/xml", False),
        ("application/javascript", False),
        ("APPLICATION/JSON", False),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", True),
        ("application/vnd.api+json", True),
        ("multipart/form-data; boundary=x", True),
        ("", True),
    ],
)
def test_bodies_that_are_no_text_are_base64(content_type, encoded):
    headers = {"Content-Type": content_type} if content_type else {}
    event = HttpApi(function()).event("POST", "/", headers, b"a=1")
    assert (event["isBase64Encoded"], event["body"]) == (encoded, "YT0x" if encoded else "a=1")


def test_text_that_is_no_utf_8_is_base64():
    event = HttpApi(function()).event("POST", "/", {"Content-Type": "text/plain"}, b"\xff")
    assert (event["isBase64Encoded"], event["body"]) == (True, "/w==")


def test_a_custom_domain_shows_its_base_path_in_format_1_alone():
    for version, name, path in (("2.0", "rawPath", "/prod/pets"), ("1.0", "path", "/base/pets")):
        api = HttpApi(function(payload_format_version=version), "GET /pets", stage=STAGE)
        event = api.event("GET", "/pets", {"Host": "api.example.com"}, base_path="base", custom=True)
        assert event[name] == path
        assert event["requestContext"]["domainName"] == "api.example.com"


def test_who_came_before_is_kept_in_x_forwarded_for():
    headers = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "gopher", "Host": "localhost:4566"}
    event = HttpApi(function()).event("GET", "/", headers)
    assert event["headers"]["x-forwarded-for"] == "198.51.100.1, 203.0.113.7"
    assert (event["headers"]["x-forwarded-proto"], event["headers"]["x-forwarded-port"]) == ("http", "4566")


def authorized(kind: str, grant: Grant, version: str = "2.0", *, simple: bool = False):
    async def authorize(visit):
        return grant

    route = Route(
        id="r", route_key="GET /", target="integrations/i", authorization_type=kind, authorizer_id="a"
    )
    authorizer = Authorizer(id="a", name="a", authorizer_type="REQUEST", enable_simple_responses=simple)
    return HttpApi(
        function(payload_format_version=version),
        routes=(route,),
        authorizers={"a": authorizer},
        authorization=lambda *given: authorize,
    ).event("GET", "/")["requestContext"]


def test_claims_of_tokens_are_in_events():
    grant = Grant(context={"claims": {"sub": "me"}, "scopes": ["a"]})
    shown = {"claims": {"sub": "me"}, "scopes": ["a"]}
    assert authorized("JWT", grant)["authorizer"] == {"jwt": shown}
    assert authorized("JWT", grant, "1.0")["authorizer"] == shown


def test_the_context_of_lambda_authorizers_is_in_events():
    grant = Grant(context={"principalId": "me", "key": "value"})
    assert authorized("CUSTOM", grant)["authorizer"] == {"lambda": {"key": "value"}}
    assert authorized("CUSTOM", grant, simple=True)["authorizer"] == {"lambda": grant.context}
    assert authorized("CUSTOM", grant, "1.0")["authorizer"] == {"principalId": "me", "key": "value"}


def test_iam_callers_are_in_events():
    identity = {
        "accessKey": "AKIA",
        "accountId": "1",
        "caller": "AIDA",
        "user": "AIDA",
        "userArn": "arn:aws:iam::1:user/u",
    }
    context = authorized("AWS_IAM", Grant(identity=identity))
    assert context["authorizer"] == {
        "iam": {
            "accessKey": "AKIA",
            "accountId": "1",
            "callerId": "AIDA",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": "arn:aws:iam::1:user/u",
            "userId": "AIDA",
        }
    }
    assert (
        authorized("AWS_IAM", Grant(identity=identity), "1.0")["identity"]["userArn"]
        == "arn:aws:iam::1:user/u"
    )
