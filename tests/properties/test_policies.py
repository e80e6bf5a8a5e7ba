"""IAM's policy documents against what they are meant to mean, and against nonsense."""

import copy
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from cumulo.base import policy_texts as texts
from cumulo.base.policy import Decision, PolicyError, Question, Who, compile_policy

SIGNS = st.text("ab:*?", max_size=10)
VALUES = st.text("ab:\n", max_size=10)
DOCUMENT = {
    "Version": "2012-10-17",
    "Id": "x",
    "Statement": [
        {
            "Sid": "one",
            "Effect": "Allow",
            "Principal": {"AWS": ["111122223333", "arn:aws:iam::111122223333:role/r"], "Service": "a.b"},
            "Action": ["lambda:Invoke*", "s3:Get?bject"],
            "Resource": ["arn:aws:lambda:*:*:function:${aws:username, 'x'}", "*"],
            "Condition": {
                "ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["a*", "${aws:k}"]},
                "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]},
                "DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"},
                "NumericLessThanEquals": {"s3:max-keys": 10},
                "Bool": {"aws:SecureTransport": True},
                "Null": {"aws:k": "false"},
                "ArnNotLike": {"aws:SourceArn": "arn:aws:sns:*:*:x"},
                "BinaryEquals": {"a:b": "AQI="},
            },
        },
        {"Effect": "Deny", "NotPrincipal": "*", "NotAction": "*", "NotResource": "*"},
    ],
}
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.sampled_from([[[]], [{}], [None], ["*"], {"x": 1}, {"AWS": "*"}, "*", "Deny", "${", "${a:b}", "a:b", "9" * 400]),
)  # fmt: skip


def expression(pattern):
    return "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)


def places(value, path=()):
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from places(one, (*path, key))


@st.composite
def spoiled(draw):
    made = copy.deepcopy(DOCUMENT)
    for _ in range(draw(st.integers(0, 3))):
        paths = list(places(made))
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(draw(ATOMS))
    return made


KEYS = st.dictionaries(
    st.sampled_from(
        [
            "aws:username",
            "aws:tagkeys",
            "aws:k",
            "aws:sourceip",
            "aws:currenttime",
            "s3:max-keys",
            "aws:securetransport",
            "aws:sourcearn",
            "a:b",
        ]
    ),
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(["10.1.1.1", "true", "5", "2025-01-01", "AQI=", "a1"]),
        st.lists(st.sampled_from(["a", "b", ""]), max_size=3).map(tuple),
    ),
)
QUESTIONS = st.builds(
    Question,
    action=st.sampled_from(["lambda:InvokeFunction", "s3:GetObject", "x", ""]),
    resource=st.sampled_from(["arn:aws:lambda:r:1:function:x", "*", ""]),
    who=st.sampled_from(
        [Who(), Who("111122223333"), Who(service="a.b"), Who("1", "arn:aws:sts::1:assumed-role/r/s")]
    ),
    keys=KEYS,
)


@given(SIGNS, VALUES)
def test_wildcards_match_as_a_regular_expression_would(pattern, value):
    known = texts.resolve(texts.parse(pattern, variables=True), {})
    assert texts.glob(known)(value) == bool(re.fullmatch(expression(pattern), value, re.DOTALL))


@given(
    st.lists(st.text("a*?", max_size=3), min_size=6, max_size=6),
    st.lists(st.text("ab", max_size=3), min_size=6, max_size=6),
)
def test_the_parts_of_an_arn_match_each_for_itself(patterns, parts):
    known = texts.resolve(texts.parse(":".join(patterns), variables=False), {})
    each = all(re.fullmatch(expression(pattern), part) for pattern, part in zip(patterns, parts, strict=True))
    assert texts.arn(known)(":".join(parts)) == each


@given(st.text("ab*?${}':, ", max_size=12), st.text(max_size=5))
def test_what_a_variable_stands_for_is_literal(around, value):
    parsed = texts.parse("<${aws:k}>", variables=True)
    resolved = texts.resolve(parsed, {"aws:k": around})
    assert texts.glob(resolved)(f"<{value}>") == (value == around)
    texts.parse(around, variables=True)


@given(spoiled(), QUESTIONS)
def test_any_document_decides_or_is_refused_with_a_sentence(document, question):
    for form in (document, json.dumps(document)):
        try:
            policy = compile_policy(form)
        except PolicyError as error:
            assert str(error)
            continue
        assert policy.decide(question) in Decision


@given(spoiled(), QUESTIONS)
def test_a_denial_of_everything_wins_over_any_document(document, question):
    statements = document.get("Statement")
    if not isinstance(statements, list):
        return
    denied = document | {"Statement": [*statements, {"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    try:
        policy = compile_policy(denied)
    except PolicyError:
        return
    assert policy.decide(question) is Decision.EXPLICIT_DENY


@given(
    st.lists(st.sampled_from(["a", "ab", "b", "c"]), max_size=4),
    st.lists(st.sampled_from(["a*", "b", "?"]), min_size=1, max_size=3),
)
def test_quantifiers_are_those_of_logic(values, patterns):
    def decides(operator):
        condition = {operator: {"aws:k": patterns}}
        statement = {"Effect": "Allow", "Action": "*", "Condition": condition}
        asked = Question(action="a:b", keys={"aws:k": tuple(values)})
        return compile_policy({"Statement": statement}).decide(asked) is Decision.ALLOW

    fits = [any(re.fullmatch(expression(pattern), value) for pattern in patterns) for value in values]
    assert decides("ForAllValues:StringLike") == all(fits)
    assert decides("ForAnyValue:StringLike") == any(fits)
    assert decides("ForAllValues:StringNotLike") == (not any(fits))
    assert decides("ForAnyValue:StringNotLike") == (not all(fits))
    assert decides("StringNotLike") == (not any(fits))
