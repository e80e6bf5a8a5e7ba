"""TestInvokeAuthorizer."""

import asyncio
import json

import pytest
from tests.gateway_kit import FUNCTION, World
from tests.gateway_security_kit import (
    ARN,
    POOL_ARN,
    POOL_ISSUER,
    answer,
    claims,
    key_set,
    rest_api,
    signed,
    token_authorizer,
)

from cumulo.base.ports.functions import InvokeResult
from cumulo.gateway.security.authorizer_trial import try_authorizer
from cumulo.gateway.tools import Answer


def attempt(world, said=None, *, headers=(("Authorization", "secret-token"),), **options):
    world.invoker.functions[FUNCTION] = lambda _event: said
    path = options.pop("path", "/")
    variables = options.pop("variables", {})
    authorizer = token_authorizer(**options)
    return asyncio.run(
        try_authorizer(rest_api(authorizer), authorizer, world.tools, headers=headers, path_with_query=path,
                       stage_variables=variables)
    )  # fmt: skip


def test_a_policy_is_shown_with_a_log():
    world = World()
    trial = attempt(world, answer(context={"a": 1}))
    assert (trial.client_status, trial.principal_id, trial.authorization) == (200, "bob", {"a": ("1",)})
    assert json.loads(trial.policy) == answer()["policyDocument"]
    assert world.invoker.event == {
        "type": "TOKEN", "methodArn": f"{ARN}/ESTestInvoke-stage/GET/", "authorizationToken": "secret-token",
    }  # fmt: skip
    first, *lines = trial.log.splitlines()
    assert first.startswith("Execution log for request ")
    request_id = first.split()[-1]
    assert lines[0] == f"Tue Nov 14 22:13:20 UTC 2023 : Starting authorizer: auth01 for request: {request_id}"
    assert lines[1].endswith(" : Incoming identity: ******-token")
    assert lines[-1].endswith(" : Successfully completed authorizer execution")


def test_a_denial_is_a_policy_like_others():
    assert attempt(World(), answer("Deny")).client_status == 200


@pytest.mark.parametrize(
    ("said", "headers", "status", "last"),
    [
        (answer(), (), 401, "Unauthorized"),
        (b"null", (("Authorization", "x"),), 500, "AuthorizerConfigurationException"),
        (InvokeResult(payload=b'{"errorMessage": "Unauthorized"}', function_error="Unhandled"),
         (("Authorization", "x"),), 401, "Unauthorized"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told(said, headers, status, last):
    trial = attempt(World(), said, headers=headers)
    assert (trial.client_status, trial.policy) == (status, "")
    assert trial.log.splitlines()[-1].endswith(f" : {last}")


def test_an_unknown_member_is_told_as_aws_does():
    trial = attempt(World(), {"errorType": "E"})
    assert 'Invalid JSON in response: Unrecognized field "errorType" , not marked as ignorable' in trial.log


def test_a_request_authorizer_gets_the_made_up_request():
    world = World()
    trial = attempt(
        world, answer(), type="REQUEST", path="/pets?k=1", headers=(("Hash", "aaaaaaaaaaaaaa"), ("X", "1"), ("X", "2")),
        identity_source="method.request.header.Hash,method.request.querystring.k,stageVariables.v", variables={"v": "w"},
    )  # fmt: skip
    assert trial.client_status == 200
    event = world.invoker.event
    assert event["requestContext"]["resourceId"] == "test-invoke-resource-id"
    assert event["multiValueHeaders"]["X"] == ["1", "2"]
    assert event["queryStringParameters"] == {"k": "1"}
    assert "Incoming identity: {method.request.header.Hash=********aaaaaa, " in trial.log


def test_nothing_is_kept_of_it():
    world = World()
    attempt(world, answer())
    attempt(world, answer())
    assert len(world.invoker.events) == 2


def test_claims_of_a_user_pools_token_are_shown():
    world = World()
    world.aws.answer = Answer(status=200, headers=(), body=key_set())
    token = signed(claims(iss=POOL_ISSUER, token_use="id"))
    pool = {"type": "COGNITO_USER_POOLS", "provider_arns": (POOL_ARN,)}
    trial = attempt(world, headers=(("Authorization", token),), **pool)
    assert (trial.client_status, trial.claims["sub"]) == (200, "bob")
    assert token not in trial.log
    for headers in ((), (("Authorization", "x"),)):
        refused = attempt(world, headers=headers, **pool)
        assert (refused.client_status, refused.claims) == (401, {})
