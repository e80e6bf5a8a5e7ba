"""Access logs' formats: AWS's examples, and every variable that AWS has."""

import json
import xml.etree.ElementTree as ET

import pytest
from tests.gateway_kit import visit

from cumulo.gateway.observing.formats import compile_format
from cumulo.gateway.observing.variables import Ended

CLF = (
    "$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] "
    '"$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength '
    "$context.requestId"
)
JSON = (
    '{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", "caller":"$context.identity.caller", '
    '"status":"$context.status", "responseLength":$context.responseLength }'
)
XML = (
    '<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> '
    "<caller>$context.identity.caller</caller> <status>$context.status</status> </request>"
)
CSV = "$context.identity.sourceIp,$context.identity.caller,$context.httpMethod,$context.status,$context.requestId"


def rendered(form: str, status: int = 200, sent: int = 12, received: int = 3, **context) -> str:
    one = visit("GET", "/pets/1?a=b", {"User-Agent": "curl/8"}, stage="prod")
    facts = context.pop("facts", {})
    one.facts = facts
    one.context |= {"resourcePath": "/pets/{id}"} | context
    return compile_format(form)(Ended(one, status, sent, received, 0.0129))


def test_awss_examples_are_written():
    assert rendered(CLF) == (
        '203.0.113.7 - - [14/Nov/2023:22:13:20 +0000] "GET /pets/{id} HTTP/1.1" 200 12 JKJaXmPLvHcESHA='
    )
    assert json.loads(rendered(JSON)) == {
        "requestId": "JKJaXmPLvHcESHA=", "ip": "203.0.113.7", "caller": "-", "status": "200", "responseLength": 12,
    }  # fmt: skip
    told = ET.fromstring(rendered(XML))
    assert (told.attrib["id"], told.findtext("ip"), told.findtext("caller")) == (
        "JKJaXmPLvHcESHA=", "203.0.113.7", "-",
    )  # fmt: skip
    assert rendered(CSV) == "203.0.113.7,-,GET,200,JKJaXmPLvHcESHA="


@pytest.mark.parametrize(
    ("name", "context", "shown"),
    [
        ("accountId", {}, "123456789012"),
        ("apiId", {}, "abcdef1234"),
        ("authorizer.claims", {"authorizer": {"claims": {"sub": "x"}}}, "-"),
        ("authorizer.claims.sub", {"authorizer": {"claims": {"sub": "x"}}}, "x"),
        ("authorizer.claims.sub", {"authorizer": {"jwt": {"claims": {"sub": "x"}}}}, "x"),
        ("authorizer.error", {"authorizer": {"error": "No"}}, "No"),
        ("authorizer.key", {"authorizer": {"key": True}}, "true"),
        ("authorizer.latency", {"facts": {"latency": 7}}, "7"),
        ("authorizer.numKey", {"authorizer": {"numKey": 1}}, "1"),
        ("authorizer.principalId", {"authorizer": {"principalId": "me"}}, "me"),
        ("awsEndpointRequestId", {"integration": {"requestId": "r"}}, "r"),
        ("customDomain.basePathMatched", {}, "-"),
        ("dataProcessed", {}, "15"),
        ("domainPrefix", {}, "abcdef1234"),
        ("error.message", {"error": {"message": "Unauthorized"}}, "Unauthorized"),
        ("error.messageString", {"error": {"messageString": '"Unauthorized"'}}, '"Unauthorized"'),
        ("error.responseType", {}, "-"),
        ("identity.clientCert.subjectDN", {"identity": {"clientCert": {"subjectDN": "CN=a"}}}, "CN=a"),
        ("identity.userAgent", {}, "curl/8"),
        ("integration.error", {"integration": {"error": "boom"}}, "boom"),
        ("integration.status", {"integration": {"status": 201}}, "201"),
        ("integrationErrorMessage", {"integration": {"error": "boom"}}, "boom"),
        ("integrationLatency", {"integration": {"latency": 0}}, "0"),
        ("integrationStatus", {"integration": {"integrationStatus": 200}}, "200"),
        ("path", {}, "/prod/pets/1"),
        ("requestTimeEpoch", {}, "1700000000000"),
        ("responseLatency", {}, "12"),
        ("routeKey", {"routeKey": "GET /pets/{id}"}, "GET /pets/{id}"),
        ("wafResponseCode", {}, "-"),
        ("nothing.like.it", {}, "-"),
    ],
)
def test_a_variable_is_found(name, context, shown):
    assert rendered(f"<$context.{name}>", **context) == f"<{shown}>"


@pytest.mark.parametrize(
    ("kind", "status", "authenticated", "authorized"),
    [
        ("UNAUTHORIZED", 401, "401 no", "- -"),
        ("INVALID_SIGNATURE", 403, "403 no", "- -"),
        ("ACCESS_DENIED", 403, "200 -", "403 no"),
        ("INTEGRATION_FAILURE", 504, "200 -", "200 -"),
    ],
)
def test_who_was_not_known_and_who_was_not_allowed_are_told_apart(kind, status, authenticated, authorized):
    form = "$context.authenticate.status $context.authenticate.error/$context.authorize.status $context.authorize.error"
    context = {"error": {"responseType": kind, "message": "no"}}
    if authenticated.startswith("200"):
        context["identity"] = {"userArn": "arn:aws:iam::1:user/x"}
    assert rendered(form, status, **context) == f"{authenticated}/{authorized}"


def test_only_context_is_replaced_and_percents_stay():
    assert rendered("100% $input.body $context $context. $stageVariables.x %s") == (
        "100% $input.body $context $context. $stageVariables.x %s"
    )


def test_a_value_cannot_break_the_line():
    assert rendered("$context.authorizer.x", authorizer={"x": "a\r\nb\n"}) == "a b "
