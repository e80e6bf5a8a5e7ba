"""COGNITO_USER_POOLS authorizers of REST APIs."""

import asyncio
import json

import pytest
from tests.gateway_kit import ACCOUNT, World, visit
from tests.gateway_security_kit import (
    NOW,
    PETS,
    POOL,
    POOL_ARN,
    POOL_ISSUER,
    STAGE,
    claims,
    key_set,
    method,
    rest_api,
    signed,
    token_authorizer,
)

from cumulo.gateway.security.compile import rest_authorization
from cumulo.gateway.tools import Answer
from cumulo.gateway.visit import Refused

SECOND = "us-east-1_Second"
SECOND_ISSUER = f"https://cognito-idp.us-east-1.amazonaws.com/{SECOND}"


class Api:
    """A method with a user pool's authorizer."""

    def __init__(self, *, scopes=(), policy="", arns=(POOL_ARN,), **authorizer):
        self.world = World()
        self.world.aws.answer = self.answer
        definition = rest_api(
            token_authorizer(type="COGNITO_USER_POOLS", provider_arns=arns, **authorizer), policy=policy
        )
        self.authorize = rest_authorization(
            definition, STAGE, PETS, method("COGNITO_USER_POOLS", authorization_scopes=scopes), self.world.tools
        )  # fmt: skip

    def answer(self, call):
        pools = {f"/{POOL}/.well-known/jwks.json": "one", f"/{SECOND}/.well-known/jwks.json": "two"}
        return Answer(status=200, headers=(), body=key_set(pools[call["path"]]))

    def ask(self, token=None, header="{}"):
        headers = {} if token is None else {"Authorization": header.format(token)}
        self.visit = visit("GET", "/pets/1", headers, stage="dev")
        return asyncio.run(self.authorize(self.visit))

    def refuse(self, token=None):
        with pytest.raises(Refused) as caught:
            self.ask(token)
        return caught.value.kind, caught.value.message


def mine(**more):
    return claims(**({"iss": POOL_ISSUER, "token_use": "id", "aud": "client"} | more))


@pytest.mark.parametrize("header", ["{}", "Bearer {}"])
def test_an_identity_token_is_believed_and_told_in_texts(header):
    api = Api()
    token = signed(
        mine(email_verified=True, auth_time=NOW, custom={"a": 1}, **{"cognito:groups": ["a", "b"]})
    )
    grant = api.ask(token, header)
    assert (grant.kind, grant.settled) == ("COGNITO", True)
    assert grant.context["claims"] == {
        "iss": POOL_ISSUER, "aud": "client", "sub": "bob", "token_use": "id", "iat": "Tue Nov 14 22:13:10 UTC 2023",
        "exp": "Tue Nov 14 23:13:20 UTC 2023", "email_verified": "true", "auth_time": str(NOW), "custom": '{"a":1}',
        "cognito:groups": "a,b",
    }  # fmt: skip
    (call,) = api.world.aws.calls
    assert (call["service"], call["caller"].account, call["caller"].region) == (
        "cognito-idp",
        ACCOUNT,
        "us-east-1",
    )


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", "a.e30.c", "e30.W10.x", f"a.{'W' * 20_000}.c"])
def test_what_is_no_token_is_unauthorized(token):
    assert Api().refuse(token) == ("UNAUTHORIZED", "Unauthorized")


@pytest.mark.parametrize(
    "changes",
    [{"token_use": "access"}, {"token_use": ...}, {"iss": "https://issuer.example"}, {"iss": SECOND_ISSUER}, {"iss": 7},
     {"nbf": NOW + 1}, {"iat": NOW + 1}],
)  # fmt: skip
def test_a_token_of_another_kind_is_unauthorized(changes):
    assert Api().refuse(signed(mine(**changes))) == ("UNAUTHORIZED", "Unauthorized")


def test_an_expired_token_is_told_as_that():
    assert Api().refuse(signed(mine(exp=NOW))) == ("UNAUTHORIZED", "The incoming token has expired")


def test_an_issuer_that_is_not_the_authorizers_is_not_even_asked():
    api = Api()
    api.refuse(signed(mine(iss="https://attacker.example")))
    assert (api.world.http.requests, api.world.aws.calls) == ([], [])


def test_each_pool_has_keys_of_its_own():
    api = Api(arns=(POOL_ARN, POOL_ARN.replace(POOL, SECOND)))
    api.ask(signed(mine()))
    api.ask(signed(mine(iss=SECOND_ISSUER), key="two"))
    assert api.refuse(signed(mine(iss=SECOND_ISSUER)))[0] == "UNAUTHORIZED"
    assert api.refuse(signed(mine(), key="two", kid="one"))[0] == "UNAUTHORIZED"


def test_with_scopes_an_access_token_is_wanted():
    api = Api(scopes=("read", "write"))
    access = mine(token_use="access", aud=..., client_id="client", scope="openid write")
    assert api.ask(signed(access)).kind == "COGNITO"
    assert api.refuse(signed(mine(scope="write")))[0] == "UNAUTHORIZED"
    assert api.refuse(signed(access | {"scope": "openid"}))[0] == "UNAUTHORIZED"


def test_the_audience_must_fit_the_expression():
    api = Api(identity_validation_expression="client|other")
    api.ask(signed(mine()))
    assert api.refuse(signed(mine(aud="clients")))[0] == "UNAUTHORIZED"


def test_the_policy_must_allow_too():
    def policy(resource):
        return json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke",
                                         "Resource": resource}})  # fmt: skip

    assert Api(policy=policy("execute-api:/dev/*")).ask(signed(mine())).kind == "COGNITO"
    kind, message = Api(policy=policy("execute-api:/prod/*")).refuse(signed(mine()))
    assert kind == "ACCESS_DENIED"
    assert message.startswith("User: anonymous is not authorized")


def test_an_authorizer_without_pools_lets_nobody_in():
    assert Api(arns=("arn:aws:iam::1:role/x", "garbage")).refuse(signed(mine()))[0] == "UNAUTHORIZED"
