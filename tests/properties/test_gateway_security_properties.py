"""Token buckets against a model, and whatever clients and authorizers may send."""

import asyncio
import json

import hypothesis.strategies as st
from hypothesis import example, given
from tests.gateway_kit import World, visit
from tests.gateway_security_kit import (
    ARN,
    V2_STAGE,
    Issuer,
    answer,
    claims,
    jwt_authorizer,
    route,
    signed,
    v2_api,
)

from cumulo.base.policy import Decision
from cumulo.gateway.security.arns import path_parameters, request_arns
from cumulo.gateway.security.authorizer_answers import AnswerFault, read_policy_answer, read_simple_answer
from cumulo.gateway.security.compile import v2_authorization
from cumulo.gateway.security.key_sets import SetFault, read_keys
from cumulo.gateway.security.quota import OFFSETS_MAX, period
from cumulo.gateway.security.throttle import TokenBucket
from cumulo.gateway.security.tokens import TokenFault, read_claims, take_apart
from cumulo.gateway.visit import Refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.floats(0, 100),
    st.integers(0, 50),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 20)), max_size=30),
)
def test_a_bucket_never_gives_more_than_burst_and_rate(rate, burst, steps):
    bucket, now, given_in_all = TokenBucket(rate, burst), 0.0, 0
    for pause, asked in steps:
        now += pause
        given_in_all += sum(bucket.take(now) for _ in range(asked))
        assert given_in_all <= burst + rate * now + 1e-6


@given(st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_who_asks_no_more_than_the_rate_is_never_refused(rate, burst, pauses):
    bucket, now = TokenBucket(rate, burst), 0.0
    for pause in pauses:
        now += (1.0 + pause) / rate
        assert bucket.take(now + 1e-9)


@given(st.sampled_from(sorted(OFFSETS_MAX)), st.data(), st.integers(0, 4_000_000_000))
def test_periods_have_no_gaps_and_no_overlaps(kind, data, now):
    offset = data.draw(st.integers(0, OFFSETS_MAX[kind]))
    begin, end = period(kind, offset, now)
    assert begin <= now < end
    assert period(kind, offset, begin) == (begin, end)
    assert period(kind, offset, end)[0] == end
    assert 1 <= (end - begin) / 86_400 <= 31


@given(st.text() | st.lists(st.text("abcXYZ019-_=.", max_size=30), max_size=4).map(".".join))
@example("eyJhbGciOiJSUzI1NiJ9.e30.")
@example("..")
def test_any_text_is_a_token_or_a_fault(text):
    try:
        take_apart(text)
    except TokenFault as fault:
        assert fault.description.isascii()


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_claims_keys_and_answers_or_faults(raw):
    for read, fault in (
        (read_claims, TokenFault),
        (read_keys, SetFault),
        (read_simple_answer, AnswerFault),
        (lambda text: read_policy_answer(text, nested=True), AnswerFault),
        (lambda text: read_policy_answer(text, nested=False), AnswerFault),
    ):
        try:
            read(raw)
        except fault:
            continue


@given(st.sampled_from(["principalId", "policyDocument", "context", "usageIdentifierKey"]), JSON)
def test_answers_with_odd_members_are_read_or_faults(name, value):
    raw = json.dumps(answer(**{name: value})).encode()
    try:
        said = read_policy_answer(raw, nested=False)
    except AnswerFault:
        return
    assert isinstance(said.principal, str) and said.principal
    assert all(isinstance(one, str) for one in said.context.values())


@given(st.text())
def test_no_resource_of_another_api_is_meant_by_a_policy_of_this_one(path):
    said = read_policy_answer(json.dumps(answer("Allow", f"{ARN}/*")).encode(), nested=False)
    other = ARN.replace("abcdef1234", "zzzzzz1234")
    assert said.decide(request_arns(ARN, "dev", "GET", f"/{path}")[0], {}) is Decision.ALLOW
    assert said.decide(request_arns(other, "dev", "GET", f"/{path}")[0], {}) is Decision.IMPLICIT_DENY


@given(st.text("/{}+ab%2F"), st.text("/ab%2F"))
def test_any_path_has_parameters(template, path):
    assert all(isinstance(value, str) for value in path_parameters(template, path).values())


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_token_with_any_other_bit_is_refused_or_the_same(at, flip):
    token = signed(claims())
    at %= len(token)
    changed = token[:at] + chr(ord(token[at]) ^ flip) + token[at + 1 :]
    world = World()
    world.http.answer = Issuer()
    authorize = v2_authorization(v2_api(jwt_authorizer()), V2_STAGE, route("JWT"), world.tools)
    try:
        grant = asyncio.run(authorize(visit("GET", "/pets/1", {"Authorization": changed})))
    except Refused as refused:
        assert refused.kind == "UNAUTHORIZED"
    else:
        assert grant.context["claims"]["sub"] == "bob"
