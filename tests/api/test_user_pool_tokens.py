"""Tokens of the cloud's own Cognito, as authorizers of APIs read them."""

import asyncio

import aiohttp
import msgspec
import pytest
from tests.gateway_kit import World, visit
from tests.gateway_security_kit import (
    PETS,
    STAGE,
    V2_STAGE,
    jwt_authorizer,
    method,
    rest_api,
    route,
    token_authorizer,
    v2_api,
)
from tests.support import Process, client

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.gateway.security.compile import rest_authorization, v2_authorization
from cumulo.gateway.tools import Answer
from cumulo.gateway.visit import Refused

ACCOUNT = "123456789012"
PASSWORD = "Passw0rd!long"


class Cloud:
    """AwsCalls over the cloud's own door."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    async def call(self, caller: Caller, service: str, method: str, path: str, **_: object) -> Answer:
        scope = f"{caller.account}/20200101/{caller.region}/{service}/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
        async with aiohttp.ClientSession() as session:
            async with session.request(method, self._endpoint + path, headers=headers) as answer:
                return Answer(status=answer.status, headers=(), body=await answer.read())


def test_tokens_of_a_user_pool_are_believed(server: Process):
    cognito = client(server.endpoint, "cognito-idp", account=ACCOUNT)
    pool = cognito.create_user_pool(PoolName="people")["UserPool"]
    app = cognito.create_user_pool_client(
        UserPoolId=pool["Id"], ClientName="app", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]  # fmt: skip
    cognito.admin_create_user(UserPoolId=pool["Id"], Username="bob", TemporaryPassword=PASSWORD)
    cognito.admin_set_user_password(UserPoolId=pool["Id"], Username="bob", Password=PASSWORD, Permanent=True)
    tokens = cognito.admin_initiate_auth(
        UserPoolId=pool["Id"], ClientId=app, AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "bob", "PASSWORD": PASSWORD},
    )["AuthenticationResult"]  # fmt: skip
    tools = msgspec.structs.replace(World().tools, aws=Cloud(server.endpoint), clock=SystemClock())

    def ask(authorize, token):
        return asyncio.run(
            authorize(visit("GET", "/pets/1", {"Authorization": f"Bearer {token}"}, stage="dev"))
        )

    authorizer = token_authorizer(type="COGNITO_USER_POOLS", provider_arns=(pool["Arn"],))
    rest = rest_authorization(rest_api(authorizer), STAGE, PETS, method("COGNITO_USER_POOLS"), tools)
    assert ask(rest, tokens["IdToken"]).context["claims"]["cognito:username"] == "bob"
    with pytest.raises(Refused):
        ask(rest, tokens["AccessToken"])
    issuer = f"https://cognito-idp.us-east-1.amazonaws.com/{pool['Id']}"
    http = v2_authorization(
        v2_api(jwt_authorizer(jwt_issuer=issuer, jwt_audience=(app,))), V2_STAGE, route("JWT"), tools
    )
    assert ask(http, tokens["IdToken"]).context["claims"]["token_use"] == "id"
    assert ask(http, tokens["AccessToken"]).context["claims"]["client_id"] == app
