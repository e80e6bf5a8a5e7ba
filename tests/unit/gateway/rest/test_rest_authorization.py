"""The pipeline together with the real authorizers and resource policies."""

import json
from typing import Any

from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION, World
from tests.rest_kit import LAMBDA_URI, ask, compiled, method, mock, proxy

from cumulo.gateway.definitions.rest import Authorizer
from cumulo.gateway.rest.compile import RestCompiled
from cumulo.gateway.security.compile import rest_authorization

ASKED = f"{FUNCTION}-authorizer"
URI = LAMBDA_URI.replace(FUNCTION, ASKED)


def guarded(world: World, effect: str = "Allow", **settings: Any) -> RestCompiled:
    def says(event: Any) -> Any:
        if event["authorizationToken"] == "nobody":
            raise RuntimeError("unused")
        return {
            "principalId": "me",
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": effect, "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
                ],
            },
            "context": {"tier": "gold", "n": 1},
            "usageIdentifierKey": "plan-key",
        }

    world.invoker.functions[ASKED] = says
    world.invoker.functions[FUNCTION] = lambda _event: {"body": "in"}
    authorizer = Authorizer(
        id="auth01",
        name="a",
        type="TOKEN",
        authorizer_uri=URI,
        identity_source="method.request.header.Authorization",
    )
    get = method(proxy(), authorization_type="CUSTOM", authorizer_id="auth01")
    return compiled(
        world,
        {"/pets": get},
        authorizers={"auth01": authorizer},
        authorization=rest_authorization,
        **settings,
    )


def test_a_token_authorizer_lets_pass_and_tells_the_function() -> None:
    world = World()
    api = guarded(world)
    answer = ask(api, "GET", "/pets", {"Authorization": "token"})
    assert (answer.status, answer.body) == (200, b"in")
    asked, event = (event for _, event in world.invoker.events)
    assert asked == {
        "type": "TOKEN", "authorizationToken": "token",
        "methodArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API}/dev/GET/pets",
    }  # fmt: skip
    said = event["requestContext"]["authorizer"]
    assert {name: said[name] for name in ("principalId", "tier", "n")} == {
        "principalId": "me",
        "tier": "gold",
        "n": "1",
    }
    assert ask(api, "GET", "/pets", {"Authorization": "token"}).status == 200
    assert len(world.invoker.events) == 3  # its answer is kept
    api.flush_authorizers()
    ask(api, "GET", "/pets", {"Authorization": "token"})
    assert len(world.invoker.events) == 5


def test_a_token_authorizer_refuses() -> None:
    answer = ask(guarded(World(), "Deny"), "GET", "/pets", {"Authorization": "token"})
    assert answer.status == 403
    assert "User is not authorized to access this resource" in answer.json["Message"]
    answer = ask(guarded(World()), "GET", "/pets")
    assert (answer.status, answer.body) == (401, b'{"message":"Unauthorized"}')


def test_a_signature_is_asked_for() -> None:
    api = compiled(
        World(), {"/": method(mock({}), authorization_type="AWS_IAM")}, authorization=rest_authorization
    )
    answer = ask(api)
    assert (answer.status, answer.body) == (403, b'{"message":"Missing Authentication Token"}')


def test_a_resource_policy_has_its_say() -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"},
            {
                "Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*",
                "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
            },
        ],
    }  # fmt: skip
    api = compiled(World(), {"/": mock({})}, policy=json.dumps(policy), authorization=rest_authorization)
    answer = ask(api)
    assert answer.status == 403
    assert answer.json["Message"].startswith(
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource:"
    )
