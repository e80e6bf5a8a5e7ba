"""Resource policies of REST APIs, alone and with other authorization."""

import asyncio
import json

import pytest
from tests.gateway_kit import FUNCTION, World, visit
from tests.gateway_security_kit import ARN, PETS, STAGE, answer, method, rest_api, token_authorizer

from cumulo.base.policy import Decision
from cumulo.gateway.security.arns import masked, path_parameters, request_arns
from cumulo.gateway.security.compile import resource_policy, rest_authorization
from cumulo.gateway.security.resource_policy import together
from cumulo.gateway.visit import Grant, Refused

ANONYMOUS = (
    "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
    "arn:aws:execute-api:us-east-1:********9012:abcdef1234/dev/GET/pets/1"
)
IMPLICIT = f"{ANONYMOUS} because no resource-based policy allows the execute-api:Invoke action"
EXPLICIT = f"{ANONYMOUS} with an explicit deny in a resource-based policy"


def statement(effect="Allow", resource="execute-api:/*", **more):
    return {"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": resource} | more


def text(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Api:
    """A method with an authorization type, behind a policy."""

    def __init__(self, policy, kind="NONE", said=None):
        self.world = World()
        self.world.invoker.functions[FUNCTION] = lambda _event: said
        self.definition = rest_api(token_authorizer(ttl=0), policy=policy)
        self.authorize = rest_authorization(self.definition, STAGE, PETS, method(kind), self.world.tools)

    def ask(self, **headers):
        self.visit = visit("GET", "/pets/1", {"Authorization": "x"} | headers, stage="dev")
        return asyncio.run(self.authorize(self.visit))

    def refuse(self, **headers):
        with pytest.raises(Refused) as caught:
            self.ask(**headers)
        assert caught.value.kind == "ACCESS_DENIED"
        return caught.value.message


@pytest.mark.parametrize(
    "resource",
    ["execute-api:/*", "execute-api:/dev/*", "execute-api:/dev/GET/pets/*", "execute-api:/*/GET/*", f"{ARN}/*", "*",
     "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/*/GET/pets/1"],
)  # fmt: skip
def test_an_open_method_must_be_allowed(resource):
    assert Api(text(statement(resource=resource))).ask().settled


@pytest.mark.parametrize(
    "resource", ["execute-api:/prod/*", "execute-api:/dev/POST/*", f"{ARN}/dev/GET/pets"]
)
def test_silence_denies_an_open_method(resource):
    assert Api(text(statement(resource=resource))).refuse() == IMPLICIT


def test_a_denial_is_told_as_one():
    assert Api(text(statement(), statement("Deny"))).refuse() == EXPLICIT


@pytest.mark.parametrize("policy", ["{}", "garbage", "[]", '{"Statement": 7}', '{"Statement": [7]}', "[" * 5000,
                                    text({"Effect": "Allow"})])  # fmt: skip
def test_a_policy_that_cannot_be_read_lets_nobody_in(policy):
    assert Api(policy).refuse() == IMPLICIT


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "10.0.0.0/8"]}}, True),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.8"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, False),
        ({"StringLike": {"aws:UserAgent": "curl/*"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2023-11-14T00:00:00Z"}}, True),
        ({"NumericLessThan": {"aws:EpochTime": "1700000000"}}, False),
        ({"StringEquals": {"aws:PrincipalType": "Anonymous"}}, True),
    ],
)
def test_conditions_are_asked(condition, allowed):
    api = Api(text(statement(Condition=condition)))
    headers = {"User-Agent": "curl/8", "X-Forwarded-For": "10.1.1.1"}
    if allowed:
        api.ask(**headers)
    else:
        assert api.refuse(**headers) == IMPLICIT


def test_an_endpoint_of_a_network_is_told_by_the_front():
    api = Api(text(statement(Condition={"StringEquals": {"aws:SourceVpce": "vpce-1"}})))
    asked = visit("GET", "/pets/1", stage="dev")
    asked.context["identity"]["vpceId"] = "vpce-1"
    asyncio.run(api.authorize(asked))


A, D, N = Decision.ALLOW, Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY
TABLE_A = {(A, A): A, (A, N): A, (A, D): D, (N, A): A, (N, N): N, (N, D): D, (D, A): D, (D, N): D, (D, D): D}
TABLE_B = {(A, A): A, (A, N): N, (A, D): D, (N, A): N, (N, N): N, (N, D): D, (D, A): D, (D, N): D, (D, D): D}


def test_the_tables_are_aws_s():
    for (identity, resource), outcome in TABLE_A.items():
        assert together(identity, resource) is outcome
    for (identity, resource), outcome in TABLE_B.items():
        assert together(identity, resource, same_account=False) is outcome


POLICIES = {
    A: text(statement()),
    N: text(statement(resource="execute-api:/prod/*")),
    D: text(statement("Deny")),
}
ANSWERS = {A: answer(), N: answer("Allow", f"{ARN}/prod/*"), D: answer("Deny")}


@pytest.mark.parametrize(("own", "resource"), list(TABLE_A))
def test_a_lambda_authorizer_and_the_policy_come_together(own, resource):
    api = Api(POLICIES[resource], "CUSTOM", ANSWERS[own])
    outcome = TABLE_A[own, resource]
    if outcome is A:
        assert api.ask().context["principalId"] == "bob"
    elif resource is D:
        assert api.refuse() == EXPLICIT
    else:
        told = "User is not authorized to access this resource"
        assert api.refuse() == (f"{told} with an explicit deny" if outcome is D else told)
    assert len(api.world.invoker.events) == (resource is not D), "a denial by the policy asks nobody"


def test_a_policy_by_itself_passes_what_is_settled():
    api = Api(text(statement("Deny")))
    check = resource_policy(api.definition, api.world.tools)
    asked = visit("GET", "/pets/1", stage="dev")
    with pytest.raises(Refused):
        check(asked, None)
    with pytest.raises(Refused):
        check(asked, Grant())
    check(asked, Grant(settled=True))
    resource_policy(rest_api(), api.world.tools)(asked, None)


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [("/pets/{id}", "/pets/1", {"id": "1"}), ("/pets/{id}", "/pets/a%2Fb/", {"id": "a/b"}), ("/", "/", {}),
     ("/{proxy+}", "/a/b/c", {"proxy": "a/b/c"}), ("/a/{x}/{y+}", "/a/1/2/3", {"x": "1", "y": "2/3"}),
     ("$default", "/a", {}), ("/{a}/{b}", "/1", {"a": "1"})],
)  # fmt: skip
def test_paths_have_parameters(template, path, found):
    assert path_parameters(template, path) == found


def test_arns_are_written_as_policies_mean_them():
    assert request_arns(ARN, "dev", "GET", "/") == (f"{ARN}/dev/GET/",)
    assert request_arns(ARN, "dev", "GET", "/%7euser/%2f/%c3%a4") == (
        f"{ARN}/dev/GET/~user/%2F/%C3%A4", f"{ARN}/dev/GET/~user///\u00e4",
    )  # fmt: skip
    assert request_arns(ARN, "dev", "GET", "//a/") == (f"{ARN}/dev/GET//a/", f"{ARN}/dev/GET/a")
    assert request_arns(ARN, "dev", "GET", "/a%40b", decoded=True) == (f"{ARN}/dev/GET/a@b",)
    assert masked(f"{ARN}/x:y") == "arn:aws:execute-api:us-east-1:********9012:abcdef1234/x:y"
