"""IAM's policy documents: what they allow, and which are none."""

import json

import pytest

from cumulo.base.policy import Decision, Element, PolicyError, Question, Who, compile_policy

API = "arn:aws:execute-api:us-east-1:111122223333:abcdef1234"
ROLE = "arn:aws:iam::111122223333:role/worker"
SESSION = "arn:aws:sts::111122223333:assumed-role/worker/i-0"
ALLOW, DENY, NOTHING = Decision.ALLOW, Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY


def statement(**changes):
    made = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "execute-api:Invoke",
        "Resource": f"{API}/*",
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def decide(*statements, version="2012-10-17", **changes):
    asked = {"action": "execute-api:Invoke", "resource": f"{API}/prod/GET/pets"} | changes
    return compile_policy({"Version": version, "Statement": list(statements)}).decide(Question(**asked))


def holds(condition, **keys):
    keys = {name.replace("_", ":").lower(): value for name, value in keys.items()}
    return decide(statement(Condition=condition), keys=keys) is ALLOW


def test_a_denial_wins_and_silence_is_one():
    assert decide(statement()) is ALLOW
    assert decide(statement(), statement(Effect="Deny")) is DENY
    assert decide(statement(Effect="Deny"), statement()) is DENY
    assert decide(statement(Action="execute-api:ManageConnections")) is NOTHING
    assert decide() is NOTHING


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({"Action": "*"}, ALLOW),
        ({"Action": ["lambda:*", "EXECUTE-API:inv*"]}, ALLOW),
        ({"Action": "execute-api:Invok?"}, ALLOW),
        ({"Action": "execute-api:Invoke?"}, NOTHING),
        ({"Action": None, "NotAction": "execute-api:Invoke"}, NOTHING),
        ({"Action": None, "NotAction": ["lambda:*"]}, ALLOW),
        ({"Resource": "*"}, ALLOW),
        ({"Resource": "arn:aws:execute-api"}, ALLOW),
        ({"Resource": "arn:aws:lambda"}, NOTHING),
        ({"Resource": "arn:aws:execute-api:*:*:*"}, ALLOW),
        ({"Resource": "arn:aws:execute-api:*/GET/pets"}, NOTHING),
        ({"Resource": f"{API}/prod/GET/pet?"}, ALLOW),
        ({"Resource": f"{API}/prod/get/pets"}, NOTHING),
        ({"Resource": f"{API}/prod/GET/pet"}, NOTHING),
        ({"Resource": [f"{API}/x", f"{API}/*/pets"]}, ALLOW),
        ({"Resource": None}, ALLOW),
        ({"Resource": None, "NotResource": f"{API}/prod/*"}, NOTHING),
        ({"Resource": None, "NotResource": f"{API}/test/*"}, ALLOW),
        ({"Principal": None}, ALLOW),
    ],
)
def test_actions_and_resources(changes, decision):
    assert decide(statement(**changes)) is decision


@pytest.mark.parametrize(
    ("principal", "who", "meant"),
    [
        ("*", Who(), True),
        ({"AWS": "*"}, Who(), True),
        ({"AWS": "111122223333"}, Who("111122223333", SESSION), True),
        ({"AWS": "arn:aws:iam::111122223333:root"}, Who("111122223333", SESSION), True),
        ({"AWS": "arn:aws:iam::111122223333:root"}, Who("444455556666"), False),
        ({"AWS": ROLE}, Who("111122223333", SESSION), True),
        ({"AWS": ROLE}, Who("111122223333", ROLE), True),
        ({"AWS": SESSION}, Who("111122223333", SESSION), True),
        ({"AWS": [ROLE + "s"]}, Who("111122223333", SESSION), False),
        ({"AWS": "AROAABCDEFGHIJKLMNOP"}, Who("111122223333", "", user_id="AROAABCDEFGHIJKLMNOP:i-0"), True),
        ({"AWS": "111122223333"}, Who("111122223333", service="lambda.amazonaws.com"), False),
        ({"Service": "lambda.amazonaws.com"}, Who(service="lambda.amazonaws.com"), True),
        ({"Service": "lambda.amazonaws.com"}, Who(service="s3.amazonaws.com"), False),
        ({"Service": "lambda.amazonaws.com"}, Who(), False),
        ({"Federated": "accounts.google.com"}, Who(federated="accounts.google.com"), True),
        ({"AWS": ROLE, "Service": ["a.b", "c.d"]}, Who(service="c.d"), True),
    ],
)
def test_principals_and_their_opposites(principal, who, meant):
    assert decide(statement(Principal=principal), who=who) is (ALLOW if meant else NOTHING)
    opposite = statement(Principal=None, NotPrincipal=principal)
    assert decide(opposite, who=who) is (NOTHING if meant else ALLOW)


@pytest.mark.parametrize(
    ("condition", "value", "held"),
    [
        ({"StringEquals": {"aws:K": ["a", "b"]}}, "b", True),
        ({"StringEquals": {"AWS:k": "b*"}}, "bc", False),
        ({"StringEquals": {"aws:k": 1}}, "1", True),
        ({"StringEquals": {"aws:k": True}}, "true", True),
        ({"StringNotEquals": {"aws:k": ["a", "b"]}}, "b", False),
        ({"StringNotEquals": {"aws:k": ["a", "b"]}}, "c", True),
        ({"StringEqualsIgnoreCase": {"aws:k": "Aa"}}, "aA", True),
        ({"StringNotEqualsIgnoreCase": {"aws:k": "Aa"}}, "aA", False),
        ({"StringLike": {"aws:k": "a*c?"}}, "abbcd", True),
        ({"StringLike": {"aws:k": "a*c?"}}, "abbc", False),
        ({"StringLike": {"aws:k": "A*"}}, "abbc", False),
        ({"StringNotLike": {"aws:k": "a*"}}, "b", True),
        ({"ArnLike": {"aws:k": "arn:aws:s3:::b*"}}, "arn:aws:s3:::bucket", True),
        ({"ArnEquals": {"aws:k": "arn:*:s3:*:*:b"}}, "arn:aws:s3:::b", True),
        ({"ArnLike": {"aws:k": "arn:aws:execute-api:*/GET"}}, "arn:aws:execute-api:r:1:a/p/GET", False),
        ({"ArnLike": {"aws:k": "arn:aws:execute-api:*:1:*/GET"}}, "arn:aws:execute-api:r:1:a/p/GET", True),
        ({"ArnLike": {"aws:k": "arn:aws:sns:*:*:a:*"}}, "arn:aws:sns:r:1:a:b:c", True),
        ({"ArnLike": {"aws:k": "*"}}, "no arn", False),
        ({"ArnNotLike": {"aws:k": "arn:aws:s3:::b*"}}, "arn:aws:s3:::c", True),
        ({"ArnNotEquals": {"aws:k": "arn:aws:s3:::b*"}}, "arn:aws:s3:::b", False),
        ({"IpAddress": {"aws:k": ["10.0.0.0/8", "2001:db8::/32"]}}, "10.1.2.3", True),
        ({"IpAddress": {"aws:k": ["10.0.0.0/8", "2001:db8::/32"]}}, "2001:db8::1", True),
        ({"IpAddress": {"aws:k": "203.0.113.7"}}, "203.0.113.8", False),
        ({"IpAddress": {"aws:k": "203.0.113.7"}}, "nonsense", False),
        ({"NotIpAddress": {"aws:k": "10.0.0.0/8"}}, "11.0.0.1", True),
        ({"NumericEquals": {"aws:k": 10}}, "10.0", True),
        ({"NumericNotEquals": {"aws:k": "10"}}, "11", True),
        ({"NumericLessThan": {"aws:k": "10"}}, "9", True),
        ({"NumericLessThanEquals": {"aws:k": "10"}}, "10", True),
        ({"NumericGreaterThan": {"aws:k": "10"}}, "9", False),
        ({"NumericGreaterThanEquals": {"aws:k": "10"}}, "ten", False),
        ({"DateLessThan": {"aws:k": "2026-01-01T00:00:00Z"}}, "2025-12-31T23:59:59Z", True),
        ({"DateGreaterThan": {"aws:k": "2026-01-01"}}, "1767225601", True),
        ({"DateEquals": {"aws:k": "2026-01-01T01:00:00+01:00"}}, "2026-01-01T00:00:00Z", True),
        ({"DateNotEquals": {"aws:k": "2026-01-01"}}, "2026-01-01", False),
        ({"Bool": {"aws:k": "true"}}, "TRUE", True),
        ({"Bool": {"aws:k": False}}, "true", False),
        ({"BinaryEquals": {"aws:k": "AQI="}}, "AQI=", True),
        ({"Null": {"aws:k": "true"}}, "x", False),
        ({"Null": {"aws:k": False}}, "x", True),
        ({"StringEquals": {"aws:k": "a"}, "StringLike": {"aws:k": "b*"}}, "a", False),
        ({"StringEquals": {"aws:k": "a", "aws:other": "b"}}, "a", False),
    ],
)
def test_conditions(condition, value, held):
    assert holds(condition, aws_k=value) is held


@pytest.mark.parametrize(
    ("operator", "held"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("ArnNotLike", True),
        ("StringEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
    ],
)
def test_a_key_that_is_not_there(operator, held):
    assert holds({operator: {"aws:k": "a"}}) is held
    assert holds({operator: {"aws:k": "a"}}, aws_k=()) is held
    assert holds({"Null": {"aws:k": "true"}})
    assert not holds({"Null": {"aws:k": "false"}})


@pytest.mark.parametrize(
    ("operator", "values", "held"),
    [
        ("ForAllValues:StringLike", ("a1", "a2"), True),
        ("ForAllValues:StringLike", ("a1", "b"), False),
        ("ForAnyValue:StringLike", ("a1", "b"), True),
        ("ForAnyValue:StringLike", ("b",), False),
        ("ForAllValues:StringNotLike", ("a1", "b"), False),
        ("ForAnyValue:StringNotLike", ("a1", "b"), True),
        ("ForAllValues:StringLikeIfExists", ("a",), True),
        ("StringLike", ("a1", "b"), True),
        ("StringNotLike", ("a1", "b"), False),
    ],
)
def test_a_key_with_several_values(operator, values, held):
    assert holds({operator: {"aws:k": "a*"}}, aws_k=values) is held


def test_variables_are_values_of_the_request():
    mine = statement(Resource=f"{API}/${{aws:UserName}}/*")
    where = {"resource": f"{API}/bob/GET/"}
    assert decide(mine, keys={"aws:username": "bob"}, **where) is ALLOW
    assert decide(mine, keys={"aws:username": "eve"}, **where) is NOTHING
    assert decide(mine, keys={"aws:username": "*"}, **where) is NOTHING
    assert decide(mine, keys={"aws:username": ("bob", "eve")}, **where) is NOTHING
    assert decide(mine, **where) is NOTHING
    assert decide(mine, version="2008-10-17", keys={"aws:username": "bob"}, **where) is NOTHING
    other = statement(Resource=f"{API}/${{aws:username, 'bob'}}/*")
    assert decide(other, **where) is ALLOW
    assert decide(other, keys={"aws:username": "eve"}, **where) is NOTHING
    assert holds({"StringEquals": {"aws:k": "${aws:l}-1"}}, aws_k="a-1", aws_l="a")
    assert not holds({"StringNotLike": {"aws:k": "${aws:l}*"}}, aws_k="a-1", aws_l="a")
    assert holds({"StringLike": {"aws:k": "${*}${?}${$}*"}}, aws_k="*?$x")
    assert not holds({"StringLike": {"aws:k": "${*}"}}, aws_k="x")
    assert holds({"ArnLike": {"aws:k": "${aws:l}/*"}}, aws_k="arn:aws:s3:::b/x", aws_l="arn:aws:s3:::b")


def test_an_exception_without_a_value_says_nothing():
    but_mine = statement(Effect="Deny", Resource=None, NotResource=f"{API}/${{aws:username}}/*")
    assert decide(but_mine, keys={"aws:username": "bob"}) is DENY
    assert decide(but_mine) is NOTHING


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "The policy is not JSON"),
        ("[]", "The policy is not an object"),
        ({"Statements": []}, "A policy has no element Statements"),
        ({"Version": "2013", "Statement": []}, "The Version must be 2012-10-17 or 2008-10-17"),
        ({}, "A policy needs a Statement, which is an object or a list of them"),
        ({"Statement": [statement(Effect="allow")]}, "The Effect of a statement must be Allow or Deny"),
        ({"Statement": statement(Actions="a:b")}, "A statement has no element Actions"),
        ({"Statement": statement(Action=None)}, "A statement needs a Action or a NotAction"),
        ({"Statement": statement(NotAction="a:b")}, "A statement cannot have both Action and NotAction"),
        ({"Statement": statement(Action=[])}, "An Action must be a text or a list of texts"),
        ({"Statement": statement(Action="Invoke")}, "The action Invoke must be * or begin with a service and a colon"),
        ({"Statement": statement(Resource=[7])}, "A Resource must be a text or a list of texts"),
        ({"Statement": statement(Principal={"Aws": "*"})}, "The kind of principal Aws is not known"),
        ({"Statement": statement(Principal="me")}, "A Principal must be * or name principals by their kind"),
        ({"Statement": statement(Principal={"AWS": []})}, "The principals of the kind AWS must be texts"),
        ({"Statement": statement(Condition=[])}, "A Condition must be an object"),
        ({"Statement": statement(Condition={"Bool": {}})}, "The condition Bool must have condition keys"),
        ({"Statement": statement(Condition={"Is": {"a": "b"}})}, "The condition operator Is is not known"),
        ({"Statement": statement(Condition={"Bool": {"a": None}})}, "A value of the condition Bool must be a text, a number or a truth value"),
        ({"Statement": statement(Condition={"Bool": {"a": "yes"}})}, "The value yes does not suit the condition Bool"),
        ({"Statement": statement(Condition={"IpAddress": {"a": "10.0.0.0/99"}})}, "The value 10.0.0.0/99 does not suit the condition IpAddress"),
        ({"Statement": statement(Condition={"Null": {"a": "x"}})}, "The condition Null takes true or false"),
        ({"Statement": [statement(Sid="a"), statement(Sid="a")]}, "Statement IDs (SID) in a single policy must be unique"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused_with_a_sentence(document, why):
    with pytest.raises(PolicyError) as refused:
        compile_policy(document)
    assert str(refused.value) == why


def test_a_kind_of_policy_may_want_or_forbid_principals_and_resources():
    text = json.dumps({"Statement": statement()})
    bare = json.dumps({"Statement": statement(Principal=None, Resource=None)})
    compile_policy(text, principals=Element.REQUIRED, resources=Element.REQUIRED)
    compile_policy(bare, principals=Element.FORBIDDEN, resources=Element.FORBIDDEN)
    for refused, elements in [
        (text, {"principals": Element.FORBIDDEN}),
        (text, {"resources": Element.FORBIDDEN}),
        (bare, {"principals": Element.REQUIRED}),
        (bare, {"resources": Element.REQUIRED}),
    ]:
        with pytest.raises(PolicyError):
            compile_policy(refused, **elements)


def test_a_pattern_of_stars_is_quick():
    long = statement(Resource="*a" * 200 + "b")
    assert decide(long, resource="a" * 20_000) is NOTHING
    assert decide(statement(Resource="*?a" * 100 + "*b"), resource="a" * 5_000) is NOTHING
