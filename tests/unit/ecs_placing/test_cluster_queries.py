"""The cluster query language: what expressions mean, and what is none."""

import time

import pytest
from placing_kit import an_instance

from cumulo.services.ecs.placement.ledger import Host
from cumulo.services.ecs.placement.query import DEPTH_MAX, LENGTH_MAX, QueryError, compile_query


def holds(expression, *, groups=(), running=0, **fields):
    attributes = (
        ("ecs.instance-type", "t2.small"),
        ("ecs.availability-zone", "us-east-1a"),
        ("stack", "prod"),
        ("racks", "12"),
        ("path/x", "a:b"),
        ("gpu", ""),
    )
    host = Host()
    host.become(an_instance(1, attributes=attributes, **({"registered_at": 1529360908.0} | fields)))
    host.running = running
    for group in groups:
        host.groups[group] += 1
    return compile_query(expression, agent_version="1.99.0")(host)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("attribute:stack == prod", True),
        ("attribute:stack equals prod", True),
        ("attribute:stack==prod", True),
        ("attribute:stack == 'prod'", True),
        ('attribute:stack == "test"', False),
        ("attribute:stack != test", True),
        ("attribute:stack not_equals prod", False),
        ("attribute:missing == x", False),
        ("attribute:missing != x", False),  # as AWS has it: only not_exists finds what is not there
        ("attribute:missing !~ x", False),
        ("attribute:missing !in [x]", False),
        ("not (attribute:missing == x)", True),
        ("attribute:stack exists", True),
        ("attribute:gpu exists", True),
        ("attribute:stack !exists", False),
        ("attribute:missing not_exists", True),
        ("attribute:missing !exists", True),
        ("attribute:ecs.instance-type =~ t2.*", True),
        ("attribute:ecs.instance-type matches g2.*", False),
        ("attribute:ecs.instance-type =~ t2", False),
        ("attribute:ecs.instance-type !~ (m4|t2)[.]small", False),
        ("(attribute:ecs.instance-type =~ (m4|t2)[.]small)", True),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", True),
        ("attribute:ecs.availability-zone not_in [us-east-1a,us-east-1b]", False),
        ("attribute:ecs.availability-zone !in [us-east-1c]", True),
        ("attribute:path/x == a:b", True),
        ("attribute:racks > 9", True),
        ("attribute:racks <= 12", True),
        ("attribute:racks greater_than_equal 13", False),
        ("attribute:stack < test", True),
        ("attribute:stack == prod and attribute:racks == 12", True),
        ("attribute:stack == prod && attribute:racks == 13", False),
        ("attribute:stack == test || attribute:racks == 12", True),
        ("attribute:stack == prod or attribute:missing exists and attribute:gpu !exists", True),
        ("(attribute:stack == prod or attribute:gpu exists) and attribute:missing exists", False),
        ("not attribute:stack == prod", False),
        ("!(attribute:stack == test)", True),
        ("not not attribute:stack == prod", True),
        ("agentConnected == true", True),
        ("agentConnected in [false]", False),
        ("agentVersion >= 1.98.5", True),
        ("agentVersion < 1.100.0", True),
        ("ec2InstanceId == i-00000000000000001", True),
        ("ec2InstanceId =~ i-0+1", True),
        ("registeredAt >= 2018-06-18T22:28:28+00:00", True),
        ("registeredAt > 2018-06-18T22:28:28Z", False),
        ("registeredAt < 2018-06-18T22:28:29", True),
        ("registeredAt > 2018-06-18", True),
        ("runningTasksCount == 2", True),
        ("runningTasksCount > 2", False),
        ("runningTasksCount less_than_equal 2", True),
        ("task:group == service:shop", True),
        ("task:group != service:shop", False),
        ("task:group == database", False),
        ("not(task:group == database)", True),
        ("task:group =~ family:.*", True),
        ("task:group in [a, family:web]", True),
    ],
)
def test_an_expression_chooses_an_instance(expression, expected):
    assert holds(expression, groups=("service:shop", "family:web"), running=2) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "what?",
        "attribute:stack",
        "attribute:stack ==",
        "attribute:stack = prod",
        "attribute:stack == prod extra",
        "attribute:stack == prod and",
        "and attribute:stack == prod",
        "(attribute:stack == prod",
        "attribute:stack == prod)",
        "attribute:stack in prod",
        "attribute:stack in []",
        "attribute:stack in [a",
        "attribute:stack in [a b]",
        "attribute:stack =~ (",
        "attribute:stack =~ [a",
        "attribute:stack =~ a**",
        "attribute: == x",
        "agentConnected > true",
        "agentVersion =~ 1.*",
        "agentVersion > new",
        "registeredAt > yesterday",
        "registeredAt exists",
        "runningTasksCount in [1]",
        "runningTasksCount > few",
        "task:group exists",
        "colour == red",
        "x" * (LENGTH_MAX + 1),
        "(" * (DEPTH_MAX + 2) + "attribute:a exists" + ")" * (DEPTH_MAX + 2),
        "not " * (DEPTH_MAX + 2) + "attribute:a exists",
    ],
)
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(QueryError):
        compile_query(expression, agent_version="1.0.0")


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "(.*)*x", "(a|aa){1,99}b", "a*a*a*a*b", "((a*)b)*c"]
)
def test_patterns_that_could_keep_us_busy_are_refused(pattern):
    with pytest.raises(QueryError):
        compile_query(f"attribute:x =~ {pattern}", agent_version="1.0.0")


def test_the_worst_pattern_that_is_allowed_ends_soon():
    host = Host()
    host.become(an_instance(1, attributes=(("x", "a" * 256),)))
    test = compile_query("attribute:x =~ a*a*a*b", agent_version="1.0.0")
    began = time.perf_counter()
    assert not test(host)
    assert time.perf_counter() - began < 2.0
