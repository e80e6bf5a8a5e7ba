"""Compiled rules choose what a plain reading of the conditions chooses."""

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.elbv2.conditions import checked_conditions
from cumulo.services.elbv2.matching import Matcher, Seen, wildcard
from cumulo.services.elbv2.model import Rule


def plain_wildcard(pattern: str, text: str) -> bool:
    """Character by character, trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(plain_wildcard(pattern[1:], text[at:]) for at in range(len(text) + 1))
    if pattern[0] == "?":
        return bool(text) and plain_wildcard(pattern[1:], text[1:])
    if pattern[0] == "\\" and pattern[1:2] in ("*", "?", "\\"):
        return text[:1] == pattern[1] and plain_wildcard(pattern[2:], text[1:])
    return text[:1] == pattern[0] and plain_wildcard(pattern[1:], text[1:])


def plain_condition(condition, seen: Seen) -> bool:
    field = condition["Field"]
    if field == "path-pattern":
        return any(plain_wildcard(one, seen.path) for one in condition["PathPatternConfig"]["Values"])
    if field == "host-header":
        values = condition["HostHeaderConfig"]["Values"]
        return any(plain_wildcard(one.lower(), seen.host.lower()) for one in values)
    if field == "http-request-method":
        return seen.method in condition["HttpRequestMethodConfig"]["Values"]
    if field == "http-header":
        config = condition["HttpHeaderConfig"]
        name = config["HttpHeaderName"].lower()
        have = [value.lower() for key, value in seen.headers if key == name]
        return any(plain_wildcard(one.lower(), value) for one in config["Values"] for value in have)
    if field == "query-string":
        if not seen.query:
            return False
        pairs = [part.partition("=")[::2] for part in seen.query.lower().split("&")]
        for one in condition["QueryStringConfig"]["Values"]:
            for name, value in pairs:
                key = one.get("Key")
                if (not key or plain_wildcard(key.lower(), name)) and plain_wildcard(
                    one["Value"].lower(), value
                ):
                    return True
        return False
    blocks = condition["SourceIpConfig"]["Values"]
    return any(ipaddress.ip_address(seen.peer) in ipaddress.ip_network(one) for one in blocks)


texts = st.text("aA*?\\./b", min_size=1, max_size=6)
plain = st.text("aAb./*?\\", max_size=8)
few = st.lists(texts, min_size=1, max_size=2)
methods = st.sampled_from(["GET", "POST", "PATCH"])
conditions = st.one_of(
    few.map(lambda v: {"Field": "path-pattern", "PathPatternConfig": {"Values": v}}),
    few.map(lambda v: {"Field": "host-header", "HostHeaderConfig": {"Values": v}}),
    st.lists(methods, min_size=1, max_size=2).map(
        lambda v: {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": v}}
    ),
    st.tuples(st.sampled_from(["X-A", "x-b"]), few).map(
        lambda v: {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": v[0], "Values": v[1]}}
    ),
    st.lists(
        st.one_of(
            texts.map(lambda v: {"Value": v}),
            st.tuples(texts, texts).map(lambda v: {"Key": v[0], "Value": v[1]}),
        ),
        min_size=1,
        max_size=2,
    ).map(lambda v: {"Field": "query-string", "QueryStringConfig": {"Values": v}}),
    st.sampled_from(["10.0.0.0/8", "10.1.2.3/32", "::/0", "0.0.0.0/0"]).map(
        lambda v: {"Field": "source-ip", "SourceIpConfig": {"Values": [v]}}
    ),
)
requests = st.builds(
    Seen,
    method=methods,
    host=plain,
    path=plain,
    query=st.one_of(st.just(""), st.lists(st.text("aA=b*?", max_size=5), max_size=3).map("&".join)),
    headers=st.lists(st.tuples(st.sampled_from(["x-a", "x-b", "x-c"]), plain), max_size=3),
    peer=st.sampled_from(["10.0.0.1", "10.1.2.3", "192.168.0.1", "::1"]),
)


def rule(priority, *given_conditions):
    return Rule(arn=f"rule-{priority}", listener="l", priority=priority, conditions=given_conditions)


@given(texts, plain)
def test_a_wildcard_matches_what_trying_everything_matches(pattern, text):
    assert wildcard(pattern)(text) == plain_wildcard(pattern, text)


@given(
    st.dictionaries(st.integers(1, 50), st.lists(conditions, min_size=1, max_size=3), max_size=6), requests
)
def test_the_matcher_takes_the_first_rule_whose_conditions_all_hold(rules, seen):
    matcher = Matcher([rule(priority, *ones) for priority, ones in rules.items()] + [rule(0)])
    expected = next(
        (
            priority
            for priority, ones in sorted(rules.items())
            if all(plain_condition(one, seen) for one in ones)
        ),
        None,
    )
    found = matcher.first(seen)
    assert (found.priority if found else None) == expected


def test_a_hostile_pattern_takes_no_time():
    fits = wildcard("*a*a*a*a*a*ab")
    began = time.process_time()
    assert not fits("a" * 5000)
    assert time.process_time() - began < 1.0


def test_paths_keep_their_case_and_hosts_do_not():
    matcher = Matcher(
        [
            rule(1, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/Img/?.PNG"]}}),
            rule(2, {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.Example.com"]}}),
        ]
    )
    assert matcher.first(Seen("GET", "x", "/Img/a.PNG")).priority == 1
    assert matcher.first(Seen("GET", "x", "/img/a.png")) is None
    assert matcher.first(Seen("GET", "WWW.example.COM", "/img/a.png")).priority == 2
    assert matcher.first(Seen("GET", "example.com", "/")) is None


def sentence(*given_conditions):
    with pytest.raises(AwsError) as caught:
        checked_conditions(given_conditions)
    return caught.value.message


def test_conditions_are_refused_with_aws_sentences():
    path = {"Field": "path-pattern"}
    assert sentence({"Field": "nose"}).startswith("Condition field 'nose' must be one of '[path-pattern,")
    assert sentence(path) == "A condition value must be specified"
    assert (
        sentence(path | {"Values": ["x" * 129]}) == "The 'path-pattern' value is too long; the limit is '128'"
    )
    assert sentence(path | {"Values": ["a", "b"]}) == (
        "The 'path-pattern' field contains too many values; the limit is '1'"
    )
    assert sentence(path | {"PathPatternConfig": {"Values": list("abcdef")}}) == (
        "A rule can only have '5' condition values"
    )
    assert sentence({"Field": "source-ip", "SourceIpConfig": {"Values": []}}) == (
        "A 'source-ip' value must be specified"
    )
    assert sentence(path | {"Values": ["*" * 7]}) == "A rule can only have '6' condition wildcards"
    assert sentence(path | {"Values": ["a"], "PathPatternConfig": {"Values": ["a"]}}) == (
        "You cannot provide both Values and 'PathPatternConfig' for a condition of type 'path-pattern'"
    )
    assert sentence({"Field": "query-string", "Values": ["a"]}) == (
        "The 'Values' field is not compatible with 'query-string'"
    )
    assert sentence({"Field": "source-ip"}) == "A 'SourceIpConfig' must be specified with 'source-ip'"
    assert sentence({"Field": "http-header"}) == "A 'HttpHeaderConfig' must be specified with 'http-header'"
    assert sentence(
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}
    ).startswith("The 'http-request-method' value is invalid")
    assert sentence({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}) == (
        "The 'source-ip' value '10.0.0.1' is not a valid CIDR block"
    )
    assert sentence(path | {"Values": ["a"]}, path | {"Values": ["b"]}) == (
        "A rule can only have one 'path-pattern' condition"
    )


def test_bare_values_and_a_configuration_come_out_alike():
    bare = checked_conditions([{"Field": "host-header", "Values": ["a.b"]}])
    assert bare == checked_conditions([{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.b"]}}])
