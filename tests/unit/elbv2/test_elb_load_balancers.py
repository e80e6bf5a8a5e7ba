"""The operations on load balancers, their attributes and tags."""

import pytest
from tests.elb_kit import NETWORK
from tests.unit.elbv2.elb_api import REGION, Cloud, refused


def test_a_load_balancer_is_made_and_shown_as_aws_shows_it(it, elb):
    made = it.balancer(SecurityGroups=["sg-1"], Tags=[{"Key": "a", "Value": "b"}])
    assert made["State"] == {"Code": "provisioning"}
    assert made["LoadBalancerArn"].startswith(
        f"arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/app/web/"
    )
    assert made["DNSName"].startswith("web-")
    assert made["DNSName"].endswith(f".{REGION}.elb.localhost")
    assert made["CanonicalHostedZoneId"] == "Z35SXDOTRQ7X7K"
    assert [zone["ZoneName"] for zone in made["AvailabilityZones"]] == ["us-east-1a", "us-east-1b"]
    assert made["VpcId"] == "vpc-1"
    assert made["SecurityGroups"] == ["sg-1"]
    assert elb.describe_load_balancers(Names=["web"])["LoadBalancers"] == [made]


def test_names_of_network_and_internal_load_balancers_have_their_forms(it):
    net = it.balancer("net", Type="network", Subnets=["subnet-a"])
    assert net["DNSName"] == f"net-{net['LoadBalancerArn'].rpartition('/')[2]}.elb.{REGION}.localhost"
    assert "/net/net/" in net["LoadBalancerArn"]
    assert it.balancer("in", Scheme="internal")["DNSName"].startswith("internal-in-")


def test_the_same_request_again_gives_the_same_load_balancer_and_another_is_refused(it, elb):
    made = it.balancer()
    assert it.balancer() == made
    assert refused(it.balancer, Subnets=["subnet-a", "subnet-c"]) == (
        "DuplicateLoadBalancerName",
        "A load balancer with the same name 'web' exists, but with different settings",
    )
    assert len(elb.describe_load_balancers()["LoadBalancers"]) == 1


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"name": "a" * 33}, "ValidationError", "cannot be longer than '32' characters"),
        ({"name": "a_b"}, "ValidationError", "can only contain characters that are alphanumeric"),
        ({"name": "-a"}, "ValidationError", "cannot begin or end with '-'"),
        ({"name": "internal-a"}, "ValidationError", "cannot begin with 'internal-'"),
        ({"Subnets": ["subnet-a"]}, "ValidationError", "At least two subnets in two different"),
        (
            {"Subnets": ["subnet-a", "subnet-no"]},
            "SubnetNotFound",
            "The subnet ID 'subnet-no' does not exist",
        ),
        ({"Subnets": ["subnet-a", "subnet-x"]}, "InvalidConfigurationRequest", "to the same VPC"),
        (
            {"Subnets": ["subnet-b", "subnet-b2"]},
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        ),
        ({"SecurityGroups": ["x"]}, "ValidationError", "Security group 'x' is not valid"),
        ({"SecurityGroups": ["sg-missing"]}, "InvalidSecurityGroup", "'sg-missing' does not exist"),
        ({"Type": "gateway"}, "NotImplemented", "gateway"),
        ({"IpAddressType": "dualstack"}, "NotImplemented", "dualstack"),
        ({"Type": "bus"}, "ValidationError", "Member must satisfy enum value set"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys", "a"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(it, elb, values, code, words):
    got = refused(it.balancer, **values)
    assert got[0] == code
    assert words in got[1]
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_what_is_not_there_is_said_to_be(elb, it):
    arn = it.balancer()["LoadBalancerArn"]
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    one = ("LoadBalancerNotFound", "One or more load balancers not found")
    assert refused(elb.describe_load_balancers, LoadBalancerArns=[arn]) == one
    assert refused(elb.describe_load_balancers, Names=["x"]) == (
        "LoadBalancerNotFound",
        "Load balancers '[x]' not found",
    )
    assert refused(elb.describe_load_balancer_attributes, LoadBalancerArn="x") == (
        "ValidationError",
        "'x' is not a valid load balancer ARN",
    )
    elsewhere = arn.replace(REGION, "eu-west-1")
    assert refused(elb.describe_load_balancers, LoadBalancerArns=[elsewhere])[0] == "ValidationError"


def test_accounts_and_regions_do_not_see_each_other(it, elb):
    arn = it.balancer()["LoadBalancerArn"]
    other = it.client_of("999999999999")
    assert other.describe_load_balancers()["LoadBalancers"] == []
    assert refused(other.describe_load_balancers, LoadBalancerArns=[arn])[0] == "LoadBalancerNotFound"
    assert it.client_of("123456789012", "eu-west-1").describe_load_balancers()["LoadBalancers"] == []
    other.delete_load_balancer(LoadBalancerArn=arn)
    assert len(elb.describe_load_balancers()["LoadBalancers"]) == 1


def test_lists_come_page_by_page(it, elb):
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        it.balancer(name)
    pages = list(elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["LoadBalancers"]) for page in pages] == [2, 2, 1]
    assert sorted(one["LoadBalancerName"] for page in pages for one in page["LoadBalancers"]) == names
    assert refused(elb.describe_load_balancers, Marker="nonsense")[0] == "ValidationError"


def test_attributes_have_aws_defaults_and_are_checked(it, elb):
    arn = it.balancer()["LoadBalancerArn"]

    def have():
        found = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        return {one["Key"]: one["Value"] for one in found}

    def change(key, value):
        return elb.modify_load_balancer_attributes(
            LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}]
        )

    before = have()
    assert before["idle_timeout.timeout_seconds"] == "60"
    assert before["routing.http.desync_mitigation_mode"] == "defensive"
    assert before["load_balancing.cross_zone.enabled"] == "true"
    change("idle_timeout.timeout_seconds", "120")
    assert have() == before | {"idle_timeout.timeout_seconds": "120"}
    assert refused(change, key="idle_timeout.timeout_seconds", value="4001")[0] == "ValidationError"
    assert refused(change, key="nose", value="1") == (
        "ValidationError",
        "Load balancer attribute key 'nose' is not recognized",
    )
    assert refused(change, key="access_logs.s3.enabled", value="true")[0] == "NotImplemented"
    assert have() == before | {"idle_timeout.timeout_seconds": "120"}


def test_deletion_protection_protects(it, elb):
    arn = it.balancer()["LoadBalancerArn"]
    key = "deletion_protection.enabled"
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": "true"}])
    assert refused(elb.delete_load_balancer, LoadBalancerArn=arn) == (
        "OperationNotPermitted",
        f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
    )
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": "false"}])
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_subnets_and_security_groups_are_changed(it, elb):
    arn = it.balancer(SecurityGroups=["sg-1"])["LoadBalancerArn"]
    zones = elb.set_subnets(LoadBalancerArn=arn, Subnets=["subnet-c", "subnet-a"])["AvailabilityZones"]
    assert [zone["SubnetId"] for zone in zones] == ["subnet-a", "subnet-c"]
    assert elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=["sg-2"])["SecurityGroupIds"] == [
        "sg-2"
    ]
    (shown,) = elb.describe_load_balancers()["LoadBalancers"]
    assert shown["SecurityGroups"] == ["sg-2"]
    assert [zone["SubnetId"] for zone in shown["AvailabilityZones"]] == ["subnet-a", "subnet-c"]
    assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
    net = it.balancer("net", Type="network")["LoadBalancerArn"]
    assert refused(elb.set_security_groups, LoadBalancerArn=net, SecurityGroups=["sg-2"])[0] == (
        "InvalidConfigurationRequest"
    )


def test_tags_are_kept_on_everything(it, elb):
    balancer, group = it.balancer(), it.group(Tags=[{"Key": "made", "Value": "1"}])
    listener = it.listener(balancer, group)
    rule = it.rule(listener, group)
    arns = [
        balancer["LoadBalancerArn"],
        group["TargetGroupArn"],
        listener["ListenerArn"],
        rule["RuleArn"],
    ]
    elb.add_tags(ResourceArns=arns, Tags=[{"Key": "team", "Value": "shop"}])
    elb.remove_tags(ResourceArns=arns[1:2], TagKeys=["made"])
    found = elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [one["ResourceArn"] for one in found] == arns
    assert all(one["Tags"] == [{"Key": "team", "Value": "shop"}] for one in found)
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    assert refused(elb.add_tags, ResourceArns=arns, Tags=many)[0] == "TooManyTags"
    assert (
        refused(elb.add_tags, ResourceArns=arns, Tags=[{"Key": "aws:x", "Value": ""}])[0] == "ValidationError"
    )
    assert refused(elb.describe_tags, ResourceArns=["x"])[0] == "ValidationError"


def test_deleting_takes_listeners_and_rules_along_and_frees_target_groups(it, elb):
    balancer, group = it.balancer(), it.group()
    listener = it.listener(balancer, group)
    it.rule(listener, group)
    assert refused(elb.delete_target_group, TargetGroupArn=group["TargetGroupArn"]) == (
        "ResourceInUse",
        f"Target group '{group['TargetGroupArn']}' is currently in use by a listener or a rule",
    )
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    assert refused(elb.describe_listeners, ListenerArns=[listener["ListenerArn"]]) == (
        "ListenerNotFound",
        "One or more listeners not found",
    )
    elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
    assert elb.describe_target_groups()["TargetGroups"] == []


def test_everything_is_there_after_a_restart(it, elb):
    balancer, group = it.balancer(), it.group()
    listener = it.listener(balancer, group)
    rule = it.rule(listener, group)
    elb.register_targets(TargetGroupArn=group["TargetGroupArn"], Targets=[{"Id": "10.0.0.1"}])
    it.reopen()
    assert elb.describe_load_balancers()["LoadBalancers"] == [balancer]
    assert elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"] == [listener]
    assert elb.describe_rules(RuleArns=[rule["RuleArn"]])["Rules"] == [rule]
    (shown,) = elb.describe_target_groups()["TargetGroups"]
    assert shown == group | {"LoadBalancerArns": [balancer["LoadBalancerArn"]]}
    (target,) = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    assert target["TargetHealth"]["State"] == "initial"


def test_what_is_not_built_is_refused_by_name(it, elb):
    for call, values in (
        (
            elb.create_trust_store,
            {"Name": "a", "CaCertificatesBundleS3Bucket": "b", "CaCertificatesBundleS3Key": "k"},
        ),
        (elb.modify_ip_pools, {"LoadBalancerArn": "x"}),
        (elb.modify_capacity_reservation, {"LoadBalancerArn": "x"}),
    ):
        code, message = refused(call, **values)
        assert code == "NotImplemented"
        assert "is not implemented by Cumulo: " in message
    balancer = it.balancer()["LoadBalancerArn"]
    assert elb.describe_capacity_reservation(LoadBalancerArn=balancer)["CapacityReservationState"] == []


def test_limits_and_policies_are_told(elb):
    limits = {one["Name"]: one["Max"] for one in elb.describe_account_limits()["Limits"]}
    assert limits["rules-per-application-load-balancer"] == "100"
    policies = elb.describe_ssl_policies(Names=["ELBSecurityPolicy-2016-08"])["SslPolicies"]
    assert policies[0]["SslProtocols"] == ["TLSv1.2", "TLSv1.1", "TLSv1"]
    assert refused(elb.describe_ssl_policies, Names=["x"]) == (
        "SSLPolicyNotFound",
        "SSL policy 'x' not found",
    )


def test_a_reset_forgets_everything(tmp_path):
    made = Cloud(tmp_path)
    try:
        made.listener(made.balancer(), made.group())
        import asyncio

        asyncio.run(made.house.reset())
        assert made.client.describe_load_balancers()["LoadBalancers"] == []
        made.reopen()
        assert made.client.describe_target_groups()["TargetGroups"] == []
    finally:
        made.close()


def test_a_load_balancer_without_security_groups_has_its_networks_default(it):
    assert it.balancer()["SecurityGroups"] == [f"sg-default-{NETWORK}"]
    assert "SecurityGroups" not in it.balancer("nlb", Type="network")
