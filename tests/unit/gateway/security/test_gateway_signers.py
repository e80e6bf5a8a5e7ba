"""AWS_IAM: signed requests."""

import asyncio
import json

import msgspec
import pytest
from tests.gateway_kit import ACCOUNT, DOMAIN, World, visit
from tests.gateway_security_kit import (
    ARN,
    NOW,
    PETS,
    STAGE,
    V2_STAGE,
    KeyRing,
    aws_headers,
    method,
    policy,
    rest_api,
    route,
    v2_api,
)

from cumulo.gateway.security.compile import rest_authorization, v2_authorization
from cumulo.gateway.visit import Refused
from cumulo.wire.keys import Key

OTHER = "999999999999"
KEY = Key(access_key="AKIDEXAMPLE", secret_key="secret", account=ACCOUNT, name="bob")
STRANGER = Key(access_key="AKIDSTRANGER", secret_key="secret", account=OTHER)
ROLE = Key(access_key="ASIAROLE", secret_key="secret", account=ACCOUNT, name="session",
           role_arn=f"arn:aws:iam::{ACCOUNT}:role/service/reader", session_token="token", expires_at=NOW + 100)  # fmt: skip
URL = f"https://{DOMAIN}/dev/pets/1"


class Api:
    """GET or POST /pets/{id} with AWS_IAM."""

    def __init__(self, *, shared=True, kind="REST", **definition):
        self.world = World(shared=shared)
        self.tools = msgspec.structs.replace(self.world.tools, keys=KeyRing(KEY, STRANGER, ROLE))
        self.kind = kind
        if kind == "REST":
            self.authorize = rest_authorization(
                rest_api(**definition), STAGE, PETS, method("AWS_IAM"), self.tools
            )
        else:
            self.authorize = v2_authorization(v2_api(kind=kind), V2_STAGE, route("AWS_IAM"), self.tools)

    def ask(self, headers, *, url=URL, verb="GET", body=b""):
        target = url.partition(DOMAIN)[2].removeprefix("/dev")
        self.visit = visit(verb, target, headers, body, stage="dev")
        return asyncio.run(self.authorize(self.visit))

    def refuse(self, headers, **options):
        with pytest.raises(Refused) as caught:
            self.ask(headers, **options)
        return caught.value


def signed(**options):
    return aws_headers(URL, **options)[1]


def test_a_signer_is_told():
    grant = Api().ask(signed())
    assert (grant.kind, grant.settled) == ("IAM", True)
    assert grant.identity == {
        "accessKey": "AKIDEXAMPLE", "accountId": ACCOUNT, "caller": "AKIDEXAMPLE", "user": "AKIDEXAMPLE",
        "userArn": f"arn:aws:iam::{ACCOUNT}:user/bob", "principalOrgId": None,
    }  # fmt: skip


def test_a_role_is_told():
    grant = Api().ask(signed(key="ASIAROLE", token="token"))
    assert grant.identity["userArn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/session"


def test_a_presigned_address_is_taken_until_it_expires():
    api = Api()
    url, headers = aws_headers(URL, presigned=True)
    assert api.ask(headers, url=url).kind == "IAM"
    api.world.clock.advance(3601)
    assert "Signature expired" in api.refuse(headers, url=url).message


def test_a_body_is_part_of_what_is_signed():
    api = Api()
    headers = signed(body=b"hello", method="POST")
    assert api.ask(headers, verb="POST", body=b"hello").kind == "IAM"
    assert api.visit.body == b"hello"
    refused = api.refuse(headers, verb="POST", body=b"hullo")
    assert (refused.kind, refused.error_type) == ("INVALID_SIGNATURE", "InvalidSignatureException")


@pytest.mark.parametrize(
    ("options", "kind", "error", "words"),
    [
        ({"secret": "wrong"}, "INVALID_SIGNATURE", "InvalidSignatureException",
         "The request signature we calculated does not match the signature you provided."),
        ({"key": "AKIDUNKNOWN"}, "INVALID_SIGNATURE", "UnrecognizedClientException",
         "The security token included in the request is invalid."),
        ({"key": "ASIAROLE", "token": "wrong"}, "INVALID_SIGNATURE", "UnrecognizedClientException", "invalid."),
        ({"region": "eu-west-1"}, "INVALID_SIGNATURE", "InvalidSignatureException",
         "Credential should be scoped to a valid region, not 'eu-west-1'. "),
        ({"service": "lambda"}, "INVALID_SIGNATURE", "InvalidSignatureException",
         "Credential should be scoped to correct service: 'execute-api'. "),
        ({"at": NOW - 1000}, "INVALID_SIGNATURE", "InvalidSignatureException", "Signature expired: "),
        ({"at": NOW + 1000}, "INVALID_SIGNATURE", "InvalidSignatureException", "Signature not yet current: "),
    ],
)  # fmt: skip
def test_a_wrong_signature_is_told_as_aws_does(options, kind, error, words):
    refused = Api().refuse(signed(**options))
    assert (refused.kind, refused.error_type) == (kind, error)
    assert words in refused.message


def test_a_role_that_has_expired_is_told():
    api = Api()
    api.world.clock.advance(200)
    refused = api.refuse(signed(key="ASIAROLE", token="token", at=NOW + 200))
    assert (refused.kind, refused.error_type) == ("EXPIRED_TOKEN", "ExpiredTokenException")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("header", "kind", "words"),
    [
        (None, "MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token"),
        ("Bearer abc", "INVALID_SIGNATURE", "Invalid key=value pair (missing equal-sign) in Authorization header (hashed"),
        ("Basic Ym9iOmJvYg==", "INVALID_SIGNATURE", ""),
        ("AWS4-HMAC-SHA256 Credential=a/b/c", "INVALID_SIGNATURE", "requires"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x", "INVALID_SIGNATURE", ""),
        ("é", "INVALID_SIGNATURE", ""),
    ],
)  # fmt: skip
def test_there_must_be_a_signature_in_both_modes(shared, header, kind, words):
    refused = Api(shared=shared).refuse({} if header is None else {"Authorization": header})
    assert refused.kind == kind
    assert words in refused.message
    assert "abc'" not in refused.message


def test_any_key_will_do_in_local_mode():
    grant = Api(shared=False).ask(signed(key="whatever", secret="anything"))
    assert grant.identity["accountId"] == ACCOUNT
    assert grant.identity["userArn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_signature_that_was_not_made_for_this_request_holds_for_no_other():
    refused = Api().refuse(signed(), url=f"https://{DOMAIN}/dev/pets/2")
    assert refused.kind == "INVALID_SIGNATURE"


@pytest.mark.parametrize("shared", [True, False])
def test_another_account_needs_the_apis_policy_too(shared):
    headers = signed(key="AKIDSTRANGER" if shared else OTHER)
    refused = Api(shared=shared).refuse(headers)
    assert refused.message == (
        f"User: arn:aws:iam::{OTHER}:root is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:us-east-1:********9012:abcdef1234/dev/GET/pets/1 because no resource-based policy "
        f"allows the execute-api:Invoke action"
    )
    allowed = policy(("Allow", f"{ARN}/*"))
    allowed["Statement"][0]["Principal"] = {"AWS": OTHER}
    assert Api(shared=shared, policy=json.dumps(allowed)).ask(headers).identity["accountId"] == OTHER


def test_ones_own_account_may_be_denied_and_need_not_be_allowed():
    silent = policy(("Allow", f"{ARN}/prod/*"))
    silent["Statement"][0]["Principal"] = "*"
    Api(policy=json.dumps(silent)).ask(signed())
    denied = policy(("Deny", f"{ARN}/dev/*"))
    denied["Statement"][0]["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}
    refused = Api(policy=json.dumps(denied)).refuse(signed())
    assert refused.message.endswith("with an explicit deny in a resource-based policy")
    Api(policy=json.dumps(denied)).ask(signed(key="ASIAROLE", token="token"))


def test_http_apis_say_forbidden_whatever_is_wrong():
    api = Api(kind="HTTP")
    grant = api.ask(signed())
    assert grant.context["userArn"] == f"arn:aws:iam::{ACCOUNT}:user/bob"
    for headers in ({}, {"Authorization": "Bearer x"}, signed(secret="wrong"), signed(key="AKIDSTRANGER")):
        refused = api.refuse(headers)
        assert (refused.kind, refused.message) == ("ACCESS_DENIED", "Forbidden")
        assert api.visit.context["authorizer"]["error"]


def test_websockets_are_like_rest():
    api = Api(kind="WEBSOCKET")
    assert api.ask(signed()).kind == "IAM"
    assert api.refuse({}).kind == "MISSING_AUTHENTICATION_TOKEN"
