"""JWT authorizers of HTTP APIs."""

import asyncio
import base64
import hashlib
import hmac
import json

import pytest
from tests.gateway_kit import World, visit
from tests.gateway_security_kit import (
    ISSUER,
    NOW,
    V2_STAGE,
    Issuer,
    b64,
    claims,
    jwt_authorizer,
    key_set,
    public_jwk,
    route,
    signed,
    v2_api,
)

from cumulo.gateway.security.compile import v2_authorization
from cumulo.gateway.tools import Answer, CallFailed
from cumulo.gateway.visit import Refused


class Api:
    """A route with a JWT authorizer, and its issuer."""

    def __init__(self, *keys, scopes=(), world=None, **authorizer):
        self.world = world or World()
        self.issuer = Issuer(*keys)
        self.world.http.answer = self.issuer
        self.authorize = v2_authorization(
            v2_api(jwt_authorizer(**authorizer)), V2_STAGE, route("JWT", authorization_scopes=scopes), self.world.tools
        )  # fmt: skip
        self.visit = None

    def ask(self, token=None, header="Bearer {}"):
        return asyncio.run(self.aask(token, header))

    async def aask(self, token=None, header="Bearer {}"):
        headers = {} if token is None else {"Authorization": header.format(token)}
        self.visit = visit("GET", "/pets/1", headers)
        return await self.authorize(self.visit)

    def refuse(self, token=None, header="Bearer {}"):
        with pytest.raises(Refused) as caught:
            self.ask(token, header)
        return caught.value

    def why(self, token):
        refused = self.refuse(token)
        assert (refused.kind, refused.message) == ("UNAUTHORIZED", "Unauthorized")
        challenge = refused.headers["www-authenticate"]
        assert challenge.startswith('Bearer scope="" error="invalid_token" error_description="')
        return challenge.partition('description="')[2].removesuffix('"')


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512"])
def test_a_token_that_an_issuer_signed_is_believed(alg):
    grant = Api().ask(signed(alg=alg))
    assert grant.kind == "JWT"
    assert grant.context == {
        "claims": {"iss": ISSUER, "aud": "pets", "sub": "bob", "iat": str(NOW - 10), "exp": str(NOW + 3600)},
        "scopes": None,
    }


@pytest.mark.parametrize("header", ["{}", "Bearer {}", "bearer {}", "BEARER   {}"])
def test_the_word_bearer_may_be_left_out(header):
    assert Api().ask(signed(), header).kind == "JWT"


def test_no_token_is_told_without_a_reason():
    api = Api()
    refused = api.refuse()
    assert refused.headers == {"www-authenticate": "Bearer"}
    assert api.visit.context["authorizer"] == {"error": "missing: token not provided"}
    assert api.issuer.asked == []


def test_a_token_may_come_in_the_query():
    world = World()
    world.http.answer = Issuer()
    authorizer = jwt_authorizer(identity_source=("$request.querystring.token",))
    authorize = v2_authorization(v2_api(authorizer), V2_STAGE, route("JWT"), world.tools)
    assert asyncio.run(authorize(visit("GET", f"/pets/1?token={signed()}"))).kind == "JWT"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://other.example"}, "issuer does not match"),
        ({"iss": f"{ISSUER}/"}, "issuer does not match"),
        ({"iss": ...}, "issuer does not match"),
        ({"aud": "cats"}, "the token does not have a valid audience"),
        ({"aud": ["cats", 7]}, "the token does not have a valid audience"),
        ({"aud": 7}, "the token does not have a valid audience"),
        ({"aud": ...}, "the token does not have a valid audience"),
        ({"aud": "cats", "client_id": "pets"}, "the token does not have a valid audience"),
        ({"exp": NOW}, "the token has expired"),
        ({"exp": ...}, "the token has expired"),
        ({"exp": str(NOW + 10)}, "the exp claim is not a number"),
        ({"exp": True}, "the exp claim is not a number"),
        ({"nbf": NOW + 1}, "the token is not valid yet"),
        ({"iat": NOW + 1}, "the token was used before it was issued"),
        ({"nbf": [1]}, "the nbf claim is not a number"),
    ],
)
def test_claims_that_do_not_suit_are_told(changes, why):
    assert Api().why(signed(claims(**changes))) == why


@pytest.mark.parametrize(
    "changes",
    [{"aud": ["cats", "pets"]}, {"aud": ..., "client_id": "pets"}, {"nbf": NOW}, {"iat": NOW}, {"iat": ...},
     {"exp": NOW + 0.5}, {"exp": 10**400}],
)  # fmt: skip
def test_claims_that_suit_are_taken(changes):
    assert Api().ask(signed(claims(**changes))).kind == "JWT"


def test_claims_are_texts_as_events_have_them():
    told = Api().ask(
        signed(
            claims(groups=["a", "b"], verified=True, half=1.5, none=None, map={"b": 2, "a": [1]}, whole=2.0)
        )
    )
    found = told.context["claims"]
    assert [found[name] for name in ("groups", "verified", "half", "none", "map", "whole")] == [
        "[a b]", "true", "1.5", "<nil>", "map[a:[1] b:2]", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "held", [{"scope": "a b"}, {"scope": "b"}, {"scp": ["b", "c"]}, {"scp": "b x"}, {"scope": "b", "scp": []}]
)
def test_any_one_of_the_routes_scopes_is_enough(held):
    grant = Api(scopes=("b", "d")).ask(signed(claims(**held)))
    assert grant.context["scopes"] == ["b"]


@pytest.mark.parametrize(
    "held", [{}, {"scope": "ab"}, {"scp": [["b"]]}, {"scope": "", "scp": ["b"]}, {"scope": 7}]
)
def test_a_token_without_the_routes_scopes_is_forbidden(held):
    refused = Api(scopes=("b", "d")).refuse(signed(claims(**held)))
    assert (refused.kind, refused.message) == ("ACCESS_DENIED", "Forbidden")
    assert refused.headers["www-authenticate"].startswith('Bearer scope="b d" error="insufficient_scope" ')


def test_a_scope_cannot_write_headers_of_its_own():
    refused = Api(scopes=('a"\r\nx: y',)).refuse(signed())
    assert refused.headers["www-authenticate"].startswith('Bearer scope="ax:y" error=')


# -- attacks ------------------------------------------------------------------------------------------------------


def test_a_token_without_a_signature_is_refused():
    head, body, _ = signed(alg="none").split(".")
    assert Api().why(f"{head}.{body}.") == "signing method none is invalid"
    unsigned = f"{b64(json.dumps({'alg': 'RS256', 'kid': 'one'}).encode())}.{body}."
    assert Api().why(unsigned) == "crypto/rsa: verification error"


@pytest.mark.parametrize(
    "alg", ["HS256", "HS512", "ES256", "PS256", "EdDSA", "rs256", "None", "", 7, None, ...]
)
def test_only_rsa_signatures_are_accepted(alg):
    assert "signing method" in Api().why(_with_alg(alg))


def _with_alg(alg):
    head = {"alg": alg, "kid": "one"}
    if alg is ...:
        del head["alg"]
    body = signed().split(".")[1]
    return f"{b64(json.dumps(head).encode())}.{body}.{b64(b'x' * 256)}"


def test_the_public_key_is_no_secret_for_hmac():
    modulus = base64.urlsafe_b64decode(public_jwk()["n"] + "==")
    body = signed().split(".")[1]
    for secret in (key_set(), modulus):
        text = f"{b64(json.dumps({'alg': 'HS256', 'kid': 'one'}).encode())}.{body}"
        token = f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"
        assert Api().why(token) == "signing method HS256 is invalid"


def test_keys_that_a_token_brings_are_not_used():
    jwk = public_jwk("attacker", kid="one")
    for header in ({"jwk": jwk}, {"jku": "https://attacker.example/keys"}, {"x5u": "https://attacker.example/c"},
                   {"x5c": ["MIIB"]}):  # fmt: skip
        api = Api()
        assert (
            api.why(signed(key="attacker", **({"kid": "one"} | header))) == "crypto/rsa: verification error"
        )
        assert not [url for url in api.issuer.asked if "attacker" in url]


@pytest.mark.parametrize(
    "kid", ["two", "../../keys", "one' OR 1=1", "\u0000", "http://attacker.example/k", "𝓀"]
)
def test_a_kid_is_only_a_name(kid):
    api = Api()
    assert api.why(signed(kid=kid)) == "the token's kid is none of the issuer's keys"
    assert set(api.issuer.asked) == {f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"}


@pytest.mark.parametrize("kid", [..., "", 7, None, ["one"], {"a": 1}])
def test_a_token_must_name_its_key(kid):
    api = Api()
    assert api.why(signed(kid=kid)) == "the token has no kid in its header"
    assert api.issuer.asked == []


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"b64": False}, {"crit": []}]
)
def test_extensions_that_change_what_is_signed_are_refused(extra):
    assert "critical" in Api().why(signed(**extra))


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b",
        "a.b.c.d",
        "..",
        "....",
        "not-a-token",
        "a.b.c",
        "e30.e30.e30",
        "W10.e30.x",
        "é.é.é",
        "a" * 9000,
    ],
)
def test_what_is_no_token_is_refused(token):
    refused = Api().refuse(token)
    assert refused.kind == "UNAUTHORIZED"
    assert refused.headers["www-authenticate"].isascii()


def test_the_words_for_segments_are_aws_s():
    assert Api().why("not-a-token") == "token contains an invalid number of segments"


def test_a_huge_token_is_refused_before_it_is_read():
    api = Api()
    assert api.why("a." + "b" * 200_000 + ".c") == "the token is too large"
    assert api.why(f"{b64(b'[' * 9000)}.e30.e30") == "the token's header cannot be decoded"


@pytest.mark.parametrize("payload", [b"[]", b"1", b"", b"{", b"\xff", b'{"a":' * 2000])
def test_claims_that_are_no_object_are_refused(payload):
    assert Api().why(signed(payload)) == "the token's claims are not a JSON object"


def test_a_changed_token_is_refused_though_the_real_one_was_just_seen():
    api = Api()
    token = signed()
    assert api.ask(token).kind == "JWT"
    head, _, signature = token.split(".")
    forged = f"{head}.{b64(json.dumps(claims(sub='root')).encode())}.{signature}"
    assert api.why(forged) == "crypto/rsa: verification error"


def test_a_key_for_another_algorithm_is_not_used():
    api = Api()
    api.issuer.keys = json.dumps({"keys": [public_jwk(alg="RS512")]}).encode()
    assert api.why(signed()) == "signing method RS256 is invalid"
    assert api.ask(signed(alg="RS512")).kind == "JWT"


def test_a_token_seen_at_one_api_is_nothing_at_another():
    world = World()
    first = Api(world=world)
    second = Api(world=world, jwt_issuer="https://second.example")
    third = Api(world=world, jwt_audience=("cats",))
    token = signed()
    assert first.ask(token).kind == "JWT"
    assert second.why(token) == "issuer does not match"
    assert third.why(token) == "the token does not have a valid audience"


# -- keys of issuers ----------------------------------------------------------------------------------------------


def test_keys_are_fetched_once_in_two_hours():
    api = Api()
    for _ in range(3):
        api.ask(signed(claims(exp=NOW + 100_000)))
    api.world.clock.advance(7_199)
    api.ask(signed(claims(exp=NOW + 100_000)))
    assert api.issuer.fetches == 1
    api.world.clock.advance(1)
    api.ask(signed(claims(exp=NOW + 100_000, sub="eve")))
    assert api.issuer.fetches == 2


def test_a_new_key_is_found_when_a_token_names_it():
    api = Api("one")
    api.ask(signed())
    api.issuer.keys = key_set("one", "two")
    api.world.clock.advance(10)
    assert api.ask(signed(key="two")).kind == "JWT"
    assert api.issuer.fetches == 2


def test_unknown_kids_do_not_make_fetches():
    api = Api()
    for number in range(20):
        api.why(signed(kid=f"k{number}"))
    assert api.issuer.fetches == 1
    api.world.clock.advance(10)
    for number in range(20):
        api.why(signed(kid=f"k{number}"))
    assert api.issuer.fetches == 2


def test_old_keys_are_used_while_the_issuer_is_away_but_not_for_ever():
    api = Api()
    token = signed(claims(exp=NOW + 200_000))
    api.ask(token)
    api.world.http.answer = _fails
    api.world.clock.advance(7_300)
    assert api.ask(token).kind == "JWT"
    api.world.clock.advance(24 * 3600)
    assert api.why(token) == "OIDC discovery endpoint communication error"
    api.world.http.answer = api.issuer
    api.world.clock.advance(1)
    assert api.ask(token).kind == "JWT"


def _fails(_request):
    raise CallFailed("nobody there")


def test_an_issuer_that_does_not_answer_is_told_and_not_asked_all_the_time():
    api = Api()
    asked = []

    def fails(request):
        asked.append(request)
        raise CallFailed("too late", timed_out=True)

    api.world.http.answer = fails
    for _ in range(5):
        assert api.why(signed()) == "OIDC discovery endpoint communication error"
    assert len(asked) == 1
    assert asked[0]["seconds"] == 1.5


def _discovery(text):
    return lambda _request: Answer(status=200, headers=(), body=text)


@pytest.mark.parametrize(
    "found",
    [Answer(status=302, headers=[("location", "https://attacker.example")]), Answer(status=500, headers=()),
     Answer(status=200, headers=(), body=b"<html>"), Answer(status=200, headers=(), body=b"[]"),
     Answer(status=200, headers=(), body=b'{"jwks_uri": 7}'),
     Answer(status=200, headers=(), body=b'{"jwks_uri": "file:///etc/passwd"}'),
     Answer(status=200, headers=(), body=b'{"jwks_uri": "https://"}'),
     Answer(status=200, headers=(), body=b'{"jwks_uri": "http://[::1"}'),
     Answer(status=200, headers=(), body=b'{"a": "' + b"x" * 70_000 + b'"}'),
     Answer(status=200, headers=(), body=b"[" * 50_000)],
)  # fmt: skip
def test_what_is_no_discovery_is_told(found):
    api = Api()
    api.world.http.answer = found
    assert api.why(signed()) == "OIDC discovery endpoint communication error"
    assert len(api.world.http.requests) == 1


@pytest.mark.parametrize(
    "keys",
    [
        b"<html>",
        b"[]",
        b'{"keys": 7}',
        b'{"keys": {}}',
        b"[" * 100_000,
        b'{"keys": "' + b"x" * 600_000 + b'"}',
    ],
)
def test_what_is_no_set_of_keys_is_told(keys):
    api = Api()
    api.issuer.keys = keys
    assert api.why(signed()) == "JWKS communication error"


def test_keys_that_are_not_for_signing_or_out_of_bounds_are_left_out():
    good = public_jwk()
    odd = [
        None, 7, [], {}, {"kty": "oct", "kid": "one", "k": "c2VjcmV0"}, good | {"use": "enc"}, good | {"n": 7},
        good | {"n": "A" * 5000}, good | {"n": "AQAB"}, good | {"e": "A" * 4000}, good | {"n": "!!"}, good | {"kid": 7},
        good | {"kid": "x" * 10_000}, {"kty": "EC", "kid": "one"}, good | {"alg": ["RS256"]},
    ]  # fmt: skip
    api = Api()
    api.issuer.keys = json.dumps({"keys": odd}).encode()
    assert api.why(signed()) == "the token's kid is none of the issuer's keys"
    api.issuer.keys = json.dumps({"keys": [*odd, good]}).encode()
    api.world.clock.advance(10)
    assert api.ask(signed()).kind == "JWT"


def test_more_than_a_hundred_keys_are_not_read():
    api = Api()
    api.issuer.keys = json.dumps({"keys": [{"kty": "EC", "kid": "x"}] * 100 + [public_jwk()]}).encode()
    assert api.why(signed()) == "the token's kid is none of the issuer's keys"


def test_many_requests_at_once_make_one_fetch():
    api = Api()

    async def slowly(request):
        await asyncio.sleep(0)
        return api.issuer(request)

    async def together():
        api.world.http.answer = slowly
        return await asyncio.gather(*(api.aask(signed(claims(sub=f"u{one}"))) for one in range(20)))

    assert {grant.kind for grant in asyncio.run(together())} == {"JWT"}
    assert api.issuer.fetches == 1


def test_one_who_leaves_while_keys_are_fetched_takes_nobody_along():
    api = Api()

    async def scene():
        gate = asyncio.Event()

        async def waits(request):
            await gate.wait()
            return api.issuer(request)

        api.world.http.answer = waits
        first = asyncio.ensure_future(api.aask(signed()))
        second = asyncio.ensure_future(api.aask(signed(claims(sub="eve"))))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        gate.set()
        return await second

    assert asyncio.run(scene()).context["claims"]["sub"] == "eve"


def test_cognitos_keys_are_asked_of_this_clouds_cognito():
    issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC"
    api = Api(jwt_issuer=issuer)
    api.world.aws.answer = Answer(status=200, headers=(), body=key_set())
    assert api.ask(signed(claims(iss=issuer))).kind == "JWT"
    (call,) = api.world.aws.calls
    assert (call["service"], call["path"], call["caller"].region) == (
        "cognito-idp", "/eu-west-1_AbC/.well-known/jwks.json", "eu-west-1",
    )  # fmt: skip
    assert api.issuer.asked == []
