"""Gateway responses: AWS's own, and those of an API's owner."""

import json
from typing import Any

import pytest
from tests.gateway_kit import visit

from cumulo.gateway.definitions.rest import GatewayResponse
from cumulo.gateway.refusals import KINDS
from cumulo.gateway.rest.gateway_responses import GatewayResponses
from cumulo.gateway.visit import Refused


def answer(
    refused: Refused, *own: GatewayResponse, headers: Any = (), target: str = "/x?q=1"
) -> tuple[int, dict[str, str], Any]:
    responses = GatewayResponses({one.response_type: one for one in own})
    coming = visit("GET", target, headers)
    status, pairs, body = responses.answer(refused, coming, {"color": "green"}, {"id": "7"})
    return status, dict(pairs), body.decode()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_default(kind: str) -> None:
    status, headers, body = answer(Refused(kind))
    assert status == KINDS[kind].status
    assert headers == {"Content-Type": "application/json", "x-amzn-ErrorType": KINDS[kind].error_type}
    assert list(json.loads(body).values()) == [KINDS[kind].message]


def test_denied_access_is_said_with_a_capital() -> None:
    assert (
        answer(Refused("ACCESS_DENIED"))[2] == '{"Message":"User is not authorized to access this resource"}'
    )


def test_an_authorizer_that_failed_has_no_message() -> None:
    assert answer(Refused("AUTHORIZER_CONFIGURATION_ERROR"))[2] == '{"message":null}'


def test_a_refusal_may_say_more_than_its_kind() -> None:
    refused = Refused("INVALID_SIGNATURE", error_type="UnrecognizedClientException", headers={"X-More": "1"})
    _, headers, _ = answer(refused)
    assert (headers["x-amzn-ErrorType"], headers["X-More"]) == ("UnrecognizedClientException", "1")


def test_a_kind_that_nobody_knows_is_an_internal_error() -> None:
    assert answer(Refused("NOBODY_KNOWS"))[0] == 500


def test_an_owner_says_it_otherwise() -> None:
    own = GatewayResponse(
        response_type="MISSING_AUTHENTICATION_TOKEN",
        status_code="404",
        response_parameters={
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.X-Path": "method.request.path.id",
            "gatewayresponse.header.X-Query": "method.request.querystring.q",
            "gatewayresponse.header.X-Header": "method.request.header.X-Given",
            "gatewayresponse.header.X-Request": "context.requestId",
            "gatewayresponse.header.X-Color": "stageVariables.color",
            "gatewayresponse.header.X-None": "method.request.header.Nope",
        },
        response_templates={
            "application/json": '{"m":$context.error.messageString,"t":"$context.error.responseType","s":"${context.stage}",'
            '"c":"$stageVariables.color","u":"$context.nothing.here","v":"$unknown"}'
        },
    )
    status, headers, body = answer(Refused("MISSING_AUTHENTICATION_TOKEN"), own, headers={"X-Given": "g\tv"})
    assert status == 404
    assert headers == {
        "Content-Type": "application/json", "x-amzn-ErrorType": "MissingAuthenticationTokenException",
        "Access-Control-Allow-Origin": "*", "X-Path": "7", "X-Query": "1", "X-Header": "g\tv",
        "X-Request": "JKJaXmPLvHcESHA=", "X-Color": "green",
    }  # fmt: skip
    assert json.loads(body) == {
        "m": "Missing Authentication Token", "t": "MISSING_AUTHENTICATION_TOKEN", "s": "$default", "c": "green",
        "u": "", "v": "$unknown",
    }  # fmt: skip


def test_the_defaults_of_a_class_serve_kinds_without_their_own() -> None:
    four = GatewayResponse(response_type="DEFAULT_4XX", response_templates={"application/json": "four"})
    five = GatewayResponse(
        response_type="DEFAULT_5XX", status_code="503", response_templates={"application/json": "five"}
    )
    assert answer(Refused("UNAUTHORIZED"), four, five)[::2] == (401, "four")
    assert answer(Refused("INTEGRATION_TIMEOUT"), four, five)[::2] == (503, "five")
    own = GatewayResponse(response_type="UNAUTHORIZED", response_templates={"application/json": "own"})
    assert answer(Refused("UNAUTHORIZED"), four, own)[::2] == (401, "own")


def test_the_template_fits_the_clients_accept_header() -> None:
    own = GatewayResponse(
        response_type="THROTTLED", response_templates={"application/json": "json", "text/html": "<p>slow</p>"}
    )
    assert (
        answer(Refused("THROTTLED"), own, headers={"Accept": "text/html;q=0.9, */*"})[1]["Content-Type"]
        == "text/html"
    )
    assert answer(Refused("THROTTLED"), own, headers={"Accept": "image/png"})[2] == "json"


def test_what_is_too_large_cannot_be_said_otherwise() -> None:
    own = GatewayResponse(response_type="REQUEST_TOO_LARGE", status_code="400")
    assert answer(Refused("REQUEST_TOO_LARGE"), own)[0] == 413


def test_validation_errors_can_be_shown() -> None:
    own = GatewayResponse(
        response_type="BAD_REQUEST_BODY",
        response_templates={"application/json": "$context.error.validationErrorString"},
    )
    refused = Refused("BAD_REQUEST_BODY", fields={"validationErrorString": "[no]"})
    assert answer(refused, own)[2] == "[no]"


def test_values_are_not_looked_into_for_references_and_cannot_split_heads() -> None:
    own = GatewayResponse(
        response_type="THROTTLED",
        response_parameters={"gatewayresponse.header.X-Q": "method.request.querystring.q"},
        response_templates={"application/json": "${method.request.querystring.q}"},
    )
    _, headers, body = answer(Refused("THROTTLED"), own, target="/?q=%24context.requestId%0D%0AX:1")
    assert body == "$context.requestId\r\nX:1"
    assert headers["X-Q"] == "$context.requestIdX:1"
