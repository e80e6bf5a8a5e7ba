"""The operations on target groups and targets, and what other services see of them."""

import asyncio

import pytest
from tests.elb_kit import FUNCTION, NETWORK
from tests.unit.elbv2.elb_api import ACCOUNT, Cloud, refused

from cumulo.base.ports.networks import InstanceFact
from cumulo.base.ports.targets import Target


def states(elb, group, **more):
    found = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"], **more)
    return {
        (one["Target"]["Id"], one["Target"].get("Port", 0)): (
            one["TargetHealth"]["State"],
            one["TargetHealth"].get("Reason", ""),
        )
        for one in found["TargetHealthDescriptions"]
    }


def test_a_target_group_has_the_defaults_of_its_kind(it):
    http = it.group()
    assert http == {
        "TargetGroupArn": http["TargetGroupArn"],
        "TargetGroupName": "app",
        "Protocol": "HTTP",
        "Port": 80,
        "VpcId": "vpc-1",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "Matcher": {"HttpCode": "200"},
        "LoadBalancerArns": [],
        "TargetType": "ip",
        "ProtocolVersion": "HTTP1",
        "IpAddressType": "ipv4",
    }
    tcp = it.group("tcp", Protocol="TCP")
    assert (tcp["HealthCheckProtocol"], tcp["HealthCheckTimeoutSeconds"]) == ("TCP", 10)
    assert "HealthCheckPath" not in tcp
    assert "Matcher" not in tcp
    mixed = it.group("mixed", Protocol="TCP", HealthCheckProtocol="HTTP")
    assert (mixed["HealthCheckPath"], mixed["Matcher"]) == ("/", {"HttpCode": "200-399"})
    function = it.group("function", TargetType="lambda", Protocol=None, Port=None, VpcId=None)
    assert (function["HealthCheckEnabled"], function["HealthCheckIntervalSeconds"]) == (False, 35)
    assert "Port" not in function


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"name": "a" * 33}, "ValidationError", "Target group name 'aaa"),
        ({"name": "a_b"}, "ValidationError", "can only contain characters that are alphanumeric"),
        ({"Protocol": None}, "ValidationError", "A protocol must be specified"),
        ({"Port": None}, "ValidationError", "A port must be specified"),
        ({"VpcId": None}, "ValidationError", "A VPC ID must be specified"),
        ({"VpcId": "vpc-no"}, "ValidationError", "The VPC ID 'vpc-no' is not found"),
        ({"TargetType": "lambda"}, "ValidationError", "Protocol cannot be specified for target groups with"),
        ({"Protocol": "UDP"}, "NotImplemented", "UDP"),
        ({"ProtocolVersion": "GRPC"}, "NotImplemented", "GRPC"),
        (
            {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5},
            "ValidationError",
            "must be smaller",
        ),
        ({"HealthCheckPort": "x"}, "ValidationError", "Health check port 'x'"),
        ({"HealthCheckPath": "x"}, "ValidationError", "Health check path 'x'"),
        ({"HealthCheckProtocol": "TCP"}, "InvalidConfigurationRequest", "Health check protocol 'TCP'"),
        ({"Matcher": {"HttpCode": "500"}}, "ValidationError", "must be within '200-499' inclusive"),
        ({"Matcher": {"HttpCode": "a"}}, "ValidationError", "Health check matcher HTTP code 'a'"),
        ({"HealthCheckEnabled": False}, "InvalidConfigurationRequest", "Health check enabled must be true"),
        ({"TargetType": "alb"}, "InvalidConfigurationRequest", "must be TCP"),
    ],
)
def test_what_cannot_be_a_target_group_is_refused(it, elb, values, code, words):
    got = refused(it.group, **values)
    assert got[0] == code
    assert words in got[1]
    assert elb.describe_target_groups()["TargetGroups"] == []


def test_the_same_again_is_the_same_and_another_of_its_name_is_refused(it):
    assert it.group() == it.group()
    assert refused(it.group, Port=81) == (
        "DuplicateTargetGroupName",
        "A target group with the same name 'app' exists, but with different settings",
    )


def test_health_checks_and_attributes_are_changed(it, elb):
    arn = it.group()["TargetGroupArn"]
    elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/up", Matcher={"HttpCode": "200,204"})
    (shown,) = elb.describe_target_groups(Names=["app"])["TargetGroups"]
    assert (shown["HealthCheckPath"], shown["Matcher"]) == ("/up", {"HttpCode": "200,204"})

    def change(**values):
        wanted = [{"Key": key.replace("__", "."), "Value": value} for key, value in values.items()]
        return elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=wanted)

    have = {one["Key"]: one["Value"] for one in change(stickiness__enabled="true")["Attributes"]}
    assert have["stickiness.enabled"] == "true"
    assert have["deregistration_delay.timeout_seconds"] == "300"
    assert refused(change, stickiness__type="source_ip")[0] == "InvalidConfigurationRequest"
    assert refused(change, proxy_protocol_v2__enabled="true")[0] == "ValidationError"
    assert refused(change, stickiness__type="app_cookie") == (
        "InvalidConfigurationRequest",
        "You must set an application cookie name to enable stickiness of type 'app_cookie'",
    )
    slow = {"slow_start__duration_seconds": "30", "load_balancing__algorithm__type": "weighted_random"}
    assert refused(change, **slow)[0] == "InvalidConfigurationRequest"
    assert refused(change, slow_start__duration_seconds="29")[0] == "ValidationError"


def test_targets_are_unused_until_a_listener_forwards_to_them(it, elb):
    group = it.group()
    arn = group["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}, {"Id": "10.0.0.1", "Port": 81}])
    unused = ("unused", "Target.NotInUse")
    assert states(elb, group) == {("10.0.0.1", 80): unused, ("10.0.0.1", 81): unused}
    it.listener(it.balancer(), group)
    assert set(states(elb, group).values()) == {("initial", "Elb.RegistrationInProgress")}
    asked = [{"Id": "10.0.0.9"}]
    assert states(elb, group, Targets=asked) == {("10.0.0.9", 80): ("unused", "Target.NotRegistered")}


def test_a_target_that_is_deregistered_drains_while_in_use_and_comes_back_when_it_is_registered(it, elb):
    group = it.group()
    arn = group["TargetGroupArn"]
    target = [{"Id": "10.0.0.1"}]
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    elb.deregister_targets(TargetGroupArn=arn, Targets=target)
    assert states(elb, group) == {}
    it.listener(it.balancer(), group)
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    elb.deregister_targets(TargetGroupArn=arn, Targets=[*target, {"Id": "10.9.9.9"}])
    assert states(elb, group) == {("10.0.0.1", 80): ("draining", "Target.DeregistrationInProgress")}
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    assert states(elb, group) == {("10.0.0.1", 80): ("initial", "Elb.RegistrationInProgress")}


@pytest.mark.parametrize(
    ("values", "target", "code"),
    [
        ({}, {"Id": "x"}, "ValidationError"),
        ({}, {"Id": "8.8.8.8"}, "InvalidTarget"),
        ({}, {"Id": "::1"}, "ValidationError"),
        ({"TargetType": "instance"}, {"Id": "10.0.0.1"}, "ValidationError"),
        ({"TargetType": "alb", "Protocol": "TCP"}, {"Id": "x"}, "InvalidTarget"),
    ],
)
def test_what_cannot_be_a_target_is_refused(it, elb, values, target, code):
    group = it.group(**values)
    assert refused(elb.register_targets, TargetGroupArn=group["TargetGroupArn"], Targets=[target])[0] == code
    assert states(elb, group) == {}


def test_loopback_addresses_are_targets_only_where_that_is_allowed(tmp_path):
    made = Cloud(tmp_path, loopback=False)
    try:
        arn = made.group()["TargetGroupArn"]
        code, _ = refused(made.client.register_targets, TargetGroupArn=arn, Targets=[{"Id": "127.0.0.1"}])
        assert code == "InvalidTarget"
    finally:
        made.close()


def test_where_many_share_a_cloud_targets_are_the_accounts_own_at_every_moment(tmp_path):
    """An address that has become another's since it was registered leads nowhere."""
    held = {("10.9.0.2", ACCOUNT), ("10.9.0.3", "999999999999"), ("i-here", "999999999999")}
    made = Cloud(tmp_path, owns=lambda account, place: (place, account) in held)
    try:
        arn = made.group()["TargetGroupArn"]
        made.client.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.9.0.2"}])
        for address in ("10.9.0.3", "10.9.0.4", "10.9.0.1", "192.168.1.1", "127.0.0.1"):
            code, _ = refused(made.client.register_targets, TargetGroupArn=arn, Targets=[{"Id": address}])
            assert code == "InvalidTarget", address
        other = made.group("other", TargetType="instance")["TargetGroupArn"]
        assert (
            refused(made.client.register_targets, TargetGroupArn=other, Targets=[{"Id": "i-here"}])[0]
            == "InvalidTarget"
        )
        pools = made.house._checker._pools
        assert [one.address for one in pools.of(arn).pool.backends] == ["10.9.0.2"]
        held.remove(("10.9.0.2", ACCOUNT))
        held.add(("10.9.0.2", "999999999999"))
        pools.refresh()
        assert not pools.of(arn).pool.backends
    finally:
        made.close()


def test_instances_that_do_not_run_here_are_as_ec2_says(it, elb):
    group = it.group(TargetType="instance")
    arn = group["TargetGroupArn"]
    for name in ("i-runs", "i-stops", "i-ends"):
        it.ec2.states[name] = InstanceFact("running", NETWORK)
    targets = [{"Id": name} for name in ("i-here", "i-runs", "i-stops", "i-ends")]
    elb.register_targets(TargetGroupArn=arn, Targets=targets)
    assert states(elb, group)["i-runs", 80] == ("unused", "Target.NotInUse")
    it.listener(it.balancer(), group)
    it.ec2.states["i-stops"] = InstanceFact("stopped", NETWORK)
    it.ec2.states["i-ends"] = InstanceFact("terminated", NETWORK)
    assert states(elb, group) == {
        ("i-here", 80): ("initial", "Elb.RegistrationInProgress"),
        ("i-runs", 80): ("unhealthy", "Target.Timeout"),
        ("i-stops", 80): ("unused", "Target.InvalidState"),
    }
    asked = elb.describe_target_health(TargetGroupArn=arn, Targets=[{"Id": "i-ends"}])
    assert asked["TargetHealthDescriptions"][0]["TargetHealth"]["State"] == "draining"


def test_instances_that_cannot_serve_are_not_registered(it, elb):
    group = it.group(TargetType="instance")
    arn = group["TargetGroupArn"]
    it.ec2.states["i-stopped"] = InstanceFact("stopped", NETWORK)
    it.ec2.states["i-elsewhere"] = InstanceFact("running", "vpc-2")
    for name, why in (
        ("i-gone", "The following instances do not exist: 'i-gone'"),
        (
            "i-stopped",
            "The following targets are not in a running state and cannot be registered: 'i-stopped'",
        ),
        ("i-elsewhere", f"The following targets are not in the target group VPC '{NETWORK}': 'i-elsewhere'"),
    ):
        assert refused(
            elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": "i-here"}, {"Id": name}]
        ) == (
            "InvalidTarget",
            why,
        )
    assert refused(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}]) == (
        "ValidationError",
        "Instance ID '10.0.0.1' is not valid",
    )
    assert states(elb, group) == {}


def test_a_target_that_is_not_registered_is_unused(it, elb):
    group = it.group()
    asked = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": "10.1.2.3"}])
    assert asked["TargetHealthDescriptions"] == [
        {
            "Target": {"Id": "10.1.2.3", "Port": 80},
            "HealthCheckPort": "80",
            "TargetHealth": {
                "State": "unused",
                "Reason": "Target.NotRegistered",
                "Description": "Target is not registered to the target group",
            },
        }
    ]


def test_a_group_takes_one_function(it, elb):
    group = it.group(TargetType="lambda", Protocol=None, Port=None, VpcId=None)
    arn = group["TargetGroupArn"]
    assert refused(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": FUNCTION, "Port": 1}])[0] == (
        "ValidationError"
    )
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": FUNCTION}])
    assert refused(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": FUNCTION + "2"}])[0] == (
        "TooManyTargets"
    )
    it.listener(it.balancer(), group)
    assert states(elb, group) == {(FUNCTION, 0): ("unavailable", "Target.HealthCheckDisabled")}
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": FUNCTION}])
    assert states(elb, group) == {}


def test_an_application_load_balancer_is_a_target_of_a_network_one(it, elb):
    web, app = it.balancer(), it.group()
    group = it.group("front", TargetType="alb", Protocol="TCP")
    arn, target = group["TargetGroupArn"], [{"Id": web["LoadBalancerArn"]}]
    assert (
        "must have a listener on port '80'"
        in refused(elb.register_targets, TargetGroupArn=arn, Targets=target)[1]
    )
    it.listener(web, app)
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    assert refused(elb.delete_load_balancer, LoadBalancerArn=web["LoadBalancerArn"])[0] == "ResourceInUse"


def test_other_services_fill_groups_and_see_their_targets(it, elb):
    group = it.group()
    arn, targets = group["TargetGroupArn"], it.house.targets
    balancer = it.balancer()
    it.listener(balancer, group)
    one, two = Target("10.0.0.1", 8080), Target("10.0.0.2", 8080)

    async def fill():
        await targets.register(arn, [one, two])
        await targets.register(arn, [one])
        await targets.deregister(arn, [two, Target("10.0.0.3", 1)])

    asyncio.run(fill())
    assert targets.health(arn) == {one: "initial", two: "draining"}
    seen = targets.group(arn)
    assert (seen.target_type, seen.network, seen.load_balancers) == (
        "ip",
        "vpc-1",
        (balancer["LoadBalancerArn"],),
    )
    assert targets.group("x") is None
    assert targets.health("x") == {}
    it.reopen()
    assert it.house.targets.health(arn) == {one: "initial", two: "draining"}


def test_a_group_takes_so_many_targets_and_no_more(it, elb):
    arn = it.group()["TargetGroupArn"]
    many = [{"Id": f"10.0.{number // 250}.{number % 250}"} for number in range(1000)]
    elb.register_targets(TargetGroupArn=arn, Targets=many)
    assert (
        refused(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": "10.9.9.9"}])[0] == "TooManyTargets"
    )
    elb.register_targets(TargetGroupArn=arn, Targets=many[:1])


def test_attributes_of_other_kinds_of_groups_are_refused_with_aws_sentences(it, elb):
    groups = {
        "http": it.group("http"),
        "tcp": it.group("tcp", Protocol="TCP"),
        "tls": it.group("tls", Protocol="TLS"),
        "function": it.group("function", TargetType="lambda", Protocol=None, Port=None, VpcId=None),
    }
    wrong = "InvalidConfigurationRequest"
    for name, key, value, said in (
        (
            "http",
            "stickiness.type",
            "source_ip",
            (wrong, "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol"),
        ),
        (
            "tcp",
            "stickiness.type",
            "lb_cookie",
            (wrong, "Stickiness type 'lb_cookie' is not supported for target groups with the TCP protocol"),
        ),
        (
            "tls",
            "stickiness.type",
            "source_ip",
            (wrong, "You cannot enable stickiness on target groups with the TLS protocol"),
        ),
        (
            "function",
            "deregistration_delay.timeout_seconds",
            "5",
            (
                wrong,
                "A target group with target type 'lambda' does not support the attribute deregistration_delay.timeout_seconds",
            ),
        ),
        (
            "http",
            "deregistration_delay.timeout_seconds",
            "3601",
            (
                "ValidationError",
                "'deregistration_delay.timeout_seconds' value '3601' must be between '0-3600' inclusive",
            ),
        ),
        ("http", "nobody", "1", ("ValidationError", "Target group attribute key 'nobody' is not recognized")),
    ):
        arn = groups[name]["TargetGroupArn"]
        asked = {"TargetGroupArn": arn, "Attributes": [{"Key": key, "Value": value}]}
        assert refused(elb.modify_target_group_attributes, **asked) == said
    sticky = [
        {"Key": "stickiness.enabled", "Value": "true"},
        {"Key": "stickiness.type", "Value": "app_cookie"},
    ]
    assert refused(
        elb.modify_target_group_attributes, TargetGroupArn=groups["http"]["TargetGroupArn"], Attributes=sticky
    ) == (wrong, "You must set an application cookie name to enable stickiness of type 'app_cookie'")


def test_a_check_may_take_its_whole_interval_only_where_aws_allows_it(it):
    even = {"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 10}
    it.group("tcp", Protocol="TCP", **even)
    assert refused(it.group, name="http", **even) == (
        "ValidationError",
        "Health check timeout '10' must be smaller than the interval '10'",
    )
    assert refused(it.group, name="tcp2", Protocol="TCP", **(even | {"HealthCheckTimeoutSeconds": 11})) == (
        "ValidationError",
        "Health check timeout '11' must be smaller than or equal to the interval '10'",
    )
