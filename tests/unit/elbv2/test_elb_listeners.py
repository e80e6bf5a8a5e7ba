"""The operations on listeners, their certificates, and rules."""

import pytest
from tests.unit.elbv2.elb_api import refused

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/{}"


@pytest.fixture
def web(it):
    return it.balancer()


@pytest.fixture
def app(it):
    return it.group()


def forward(*groups, **more):
    return [
        {
            "Type": "forward",
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups],
                **more,
            },
        }
    ]


def test_a_listener_shows_what_it_was_told_and_what_aws_adds(it, elb, web, app):
    made = it.listener(web, app)
    group = app["TargetGroupArn"]
    assert made["DefaultActions"] == [
        {
            "Type": "forward",
            "TargetGroupArn": group,
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }
    ]
    assert "Certificates" not in made
    (default,) = elb.describe_rules(ListenerArn=made["ListenerArn"])["Rules"]
    assert (default["Priority"], default["IsDefault"]) == ("default", True)
    assert default["Actions"] == made["DefaultActions"]
    assert default["RuleArn"].startswith(made["ListenerArn"].replace(":listener/", ":listener-rule/"))


def test_the_same_listener_again_is_the_same_and_another_on_its_port_is_refused(it, web, app):
    made = it.listener(web, app)
    assert it.listener(web, app) == made
    other = it.group("other")
    arn = web["LoadBalancerArn"]
    assert refused(it.listener, balancer=web, group=other) == (
        "DuplicateListener",
        f"A listener already exists on this port for this load balancer '{arn}'",
    )


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"Protocol": "TCP"}, "ValidationError", "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'"),
        ({"Protocol": "HTTPS"}, "ValidationError", "A certificate must be specified for HTTPS listeners"),
        (
            {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": CERTIFICATE.format("missing")}]},
            "CertificateNotFound",
            f"Certificate '{CERTIFICATE.format('missing')}' not found",
        ),
        ({"SslPolicy": "ELBSecurityPolicy-2016-08"}, "ValidationError", "SSL policy cannot be"),
        (
            {
                "Protocol": "HTTPS",
                "Certificates": [{"CertificateArn": CERTIFICATE.format("a.b")}],
                "SslPolicy": "x",
            },
            "SSLPolicyNotFound",
            "SSL policy 'x' not found",
        ),
        (
            {"DefaultActions": [{"Type": "forward", "TargetGroupArn": "x"}]},
            "TargetGroupNotFound",
            "Target group 'x' not found",
        ),
        (
            {
                "DefaultActions": [
                    {"Type": "authenticate-cognito", "Order": 1},
                ]
            },
            "NotImplemented",
            "authenticate-cognito",
        ),
        (
            {"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]},
            "InvalidLoadBalancerAction",
            "creates a loop",
        ),
        (
            {
                "DefaultActions": [
                    {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Path": "x"}}
                ]
            },
            "InvalidLoadBalancerAction",
            "The Path parameter must be a valid path",
        ),
        (
            {
                "DefaultActions": [
                    {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {"StatusCode": "200", "ContentType": "a/b"},
                    }
                ]
            },
            "InvalidLoadBalancerAction",
            "The ContentType must be one of:",
        ),
        (
            {"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "300"}}]},
            "ValidationError",
            "Member must satisfy regular expression pattern",
        ),
    ],
)
def test_what_cannot_be_a_listener_is_refused(it, elb, web, app, values, code, words):
    got = refused(it.listener, balancer=web, group=app, **values)
    assert got[0] == code
    assert words in got[1]
    assert elb.describe_listeners(LoadBalancerArn=web["LoadBalancerArn"])["Listeners"] == []


def test_a_target_group_belongs_to_one_load_balancer(it, web, app):
    it.listener(web, app)
    other = it.balancer("other")
    assert refused(it.listener, balancer=other, group=app) == (
        "TargetGroupAssociationLimit",
        "The following target groups cannot be associated with more than one load balancer: "
        + app["TargetGroupArn"],
    )


def test_protocols_must_go_together(it, web):
    tcp = it.group("tcp", Protocol="TCP")
    assert refused(it.listener, balancer=web, group=tcp)[0] == "IncompatibleProtocols"
    net = it.balancer("net", Type="network")
    assert refused(it.listener, balancer=net, group=it.group("http"), Protocol="TCP")[0] == (
        "IncompatibleProtocols"
    )
    assert it.listener(net, tcp, Protocol="TCP")["Protocol"] == "TCP"
    assert refused(it.listener, balancer=net, group=tcp, Protocol="UDP", Port=81)[0] == "NotImplemented"


def test_a_listener_is_changed_in_place(it, elb, web, app):
    arn = it.listener(web, app)["ListenerArn"]
    it.listener(web, app, Port=81)
    assert refused(elb.modify_listener, ListenerArn=arn, Port=81)[0] == "DuplicateListener"
    secure = elb.modify_listener(
        ListenerArn=arn,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": CERTIFICATE.format("a.b")}],
    )["Listeners"][0]
    assert secure["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert secure["Certificates"] == [{"CertificateArn": CERTIFICATE.format("a.b")}]
    assert secure["MutualAuthentication"] == {"Mode": "off"}
    only_policy = elb.modify_listener(ListenerArn=arn, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")
    assert only_policy["Listeners"][0]["Certificates"] == secure["Certificates"]
    plain = elb.modify_listener(ListenerArn=arn, Protocol="HTTP")["Listeners"][0]
    assert "Certificates" not in plain
    assert "SslPolicy" not in plain
    assert plain["Port"] == 443


def test_certificates_for_other_names_are_added_and_removed(it, elb, web, app):
    first, second = CERTIFICATE.format("a.b"), CERTIFICATE.format("c.d")
    listener = it.listener(web, app, Protocol="HTTPS", Certificates=[{"CertificateArn": first}])[
        "ListenerArn"
    ]
    elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    shown = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert shown == [
        {"CertificateArn": first, "IsDefault": True},
        {"CertificateArn": second, "IsDefault": False},
    ]
    code, _ = refused(
        elb.remove_listener_certificates, ListenerArn=listener, Certificates=[{"CertificateArn": first}]
    )
    assert code == "OperationNotPermitted"
    elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    assert len(elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]) == 1


def test_weighted_target_groups_are_read_back_as_they_were_written(it, elb, web, app):
    other = it.group("other")["TargetGroupArn"]
    actions = forward(
        (app["TargetGroupArn"], 3),
        (other, 0),
        TargetGroupStickinessConfig={"Enabled": True, "DurationSeconds": 60},
    )
    made = it.listener(web, app, DefaultActions=actions)
    assert made["DefaultActions"] == actions
    used = elb.describe_target_groups(LoadBalancerArn=web["LoadBalancerArn"])["TargetGroups"]
    assert {one["TargetGroupArn"] for one in used} == {app["TargetGroupArn"], other}
    arn = made["ListenerArn"]
    for bad in (
        forward((other, 1000)),
        forward((other, 1), (other, 1)),
        forward((other, 1), TargetGroupStickinessConfig={"Enabled": True}),
    ):
        assert refused(elb.modify_listener, ListenerArn=arn, DefaultActions=bad)[0] == "ValidationError"


def test_redirects_are_shown_with_what_stays_the_same(it, web, app):
    action = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_302"},
    }
    made = it.listener(web, app, DefaultActions=[action])
    assert made["DefaultActions"][0]["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_302",
    }


def test_rules_come_by_priority_and_are_moved_all_or_none(it, elb, web, app):
    listener = it.listener(web, app)
    arns = {priority: it.rule(listener, app, priority)["RuleArn"] for priority in (30, 1, 20)}
    shown = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert [one["Priority"] for one in shown] == ["1", "20", "30", "default"]
    assert refused(it.rule, listener=listener, group=app, priority=20) == (
        "PriorityInUse",
        "Priority '20' is currently in use",
    )
    swapped = [{"RuleArn": arns[1], "Priority": 20}, {"RuleArn": arns[20], "Priority": 1}]
    elb.set_rule_priorities(RulePriorities=swapped)
    shown = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert [one["RuleArn"] for one in shown[:3]] == [arns[20], arns[1], arns[30]]
    taken = [{"RuleArn": arns[1], "Priority": 2}, {"RuleArn": arns[20], "Priority": 30}]
    assert refused(elb.set_rule_priorities, RulePriorities=taken)[0] == "PriorityInUse"
    assert elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"] == shown
    twice = [{"RuleArn": arns[1], "Priority": 2}, {"RuleArn": arns[20], "Priority": 2}]
    assert refused(elb.set_rule_priorities, RulePriorities=twice) == (
        "ValidationError",
        "Priority '2' was provided multiple times",
    )
    pages = elb.get_paginator("describe_rules").paginate(
        ListenerArn=listener["ListenerArn"], PaginationConfig={"PageSize": 3}
    )
    assert [len(page["Rules"]) for page in pages] == [3, 1]


def test_a_rule_is_changed_and_deleted_and_the_default_one_is_not(it, elb, web, app):
    listener = it.listener(web, app)
    arn = it.rule(listener, app)["RuleArn"]
    changed = elb.modify_rule(
        RuleArn=arn, Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.b"]}}]
    )["Rules"][0]
    assert changed["Conditions"] == [
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.b"]}, "Values": ["a.b"]}
    ]
    assert changed["Actions"][0]["TargetGroupArn"] == app["TargetGroupArn"]
    assert refused(elb.modify_rule, RuleArn=arn)[1] == "Either conditions or actions must be specified"
    default = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"][-1]["RuleArn"]
    assert refused(elb.delete_rule, RuleArn=default)[0] == "OperationNotPermitted"
    assert refused(elb.modify_rule, RuleArn=default, Actions=forward((app["TargetGroupArn"], 1)))[0] == (
        "OperationNotPermitted"
    )
    elb.delete_rule(RuleArn=arn)
    assert refused(elb.delete_rule, RuleArn=arn) == ("RuleNotFound", "One or more rules not found")


def test_there_are_so_many_rules_and_listeners_and_no_more(it, elb, web, app):
    listener = it.listener(web, app)
    for priority in range(1, 101):
        it.rule(listener, app, priority)
    assert refused(it.rule, listener=listener, group=app, priority=101)[0] == "TooManyRules"
    for port in range(81, 130):
        it.listener(web, app, Port=port)
    assert refused(it.listener, balancer=web, group=app, Port=130)[0] == "TooManyListeners"


def test_rules_are_for_application_load_balancers(it):
    net, tcp = it.balancer("net", Type="network"), it.group("tcp", Protocol="TCP")
    listener = it.listener(net, tcp, Protocol="TCP")
    assert refused(it.rule, listener=listener, group=tcp)[0] == "UnsupportedProtocol"


def test_listener_attributes(it, elb, web, app):
    arn = it.listener(web, app)["ListenerArn"]
    have = {
        one["Key"]: one["Value"] for one in elb.describe_listener_attributes(ListenerArn=arn)["Attributes"]
    }
    assert have["routing.http.response.server.enabled"] == "true"
    key = "routing.http.response.x_frame_options.header_value"
    after = elb.modify_listener_attributes(ListenerArn=arn, Attributes=[{"Key": key, "Value": "DENY"}])
    assert {"Key": key, "Value": "DENY"} in after["Attributes"]
    bad = [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]
    assert refused(elb.modify_listener_attributes, ListenerArn=arn, Attributes=bad)[0] == "ValidationError"
