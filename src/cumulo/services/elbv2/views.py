"""Load balancers, listeners, rules and target groups as AWS shows them."""

from typing import Any

from cumulo.services.elbv2.arns import hosted_zone
from cumulo.services.elbv2.model import Group, HealthCheck, Listener, LoadBalancer, Rule
from cumulo.wire.service import Values


def balancer_view(one: LoadBalancer) -> Values:
    """A LoadBalancer."""
    return {
        "LoadBalancerArn": one.arn,
        "DNSName": one.dns_name,
        "CanonicalHostedZoneId": hosted_zone(one.kind, one.region),
        "CreatedTime": one.created_at,
        "LoadBalancerName": one.name,
        "Scheme": one.scheme,
        "VpcId": one.network,
        "State": {"Code": one.state, "Reason": one.state_reason or None},
        "Type": one.kind,
        "AvailabilityZones": zones_view(one),
        "SecurityGroups": list(one.security_groups) if one.is_application or one.security_groups else None,
        "IpAddressType": one.ip_address_type,
        "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": one.enforce_private_link or None,
        "EnablePrefixForIpv6SourceNat": one.source_nat or (None if one.is_application else "off"),
    }


def zones_view(one: LoadBalancer) -> list[Values]:
    """Its AvailabilityZones."""
    return [
        {
            "ZoneName": zone.name,
            "SubnetId": zone.subnet,
            "LoadBalancerAddresses": [dict(zone.mapping)] if zone.mapping else [],
        }
        for zone in one.zones
    ]


def listener_view(one: Listener) -> Values:
    """A Listener."""
    secure = one.protocol in ("HTTPS", "TLS")
    return {
        "ListenerArn": one.arn,
        "LoadBalancerArn": one.load_balancer,
        "Port": one.port,
        "Protocol": one.protocol,
        "Certificates": [{"CertificateArn": one.certificate}] if secure else None,
        "SslPolicy": one.ssl_policy if secure else None,
        "DefaultActions": [dict(action) for action in one.actions],
        "AlpnPolicy": list(one.alpn) if one.alpn else None,
        "MutualAuthentication": dict(one.mutual) if one.protocol == "HTTPS" else None,
    }


def rule_view(one: Rule, listener: Listener) -> Values:
    """A Rule; a default one shows its listener's actions."""
    actions = listener.actions if one.is_default else one.actions
    return {
        "RuleArn": one.arn,
        "Priority": "default" if one.is_default else str(one.priority),
        "Conditions": [dict(condition) for condition in one.conditions],
        "Actions": [dict(action) for action in actions],
        "IsDefault": one.is_default,
        "Transforms": [],
    }


def group_view(one: Group, balancers: list[str]) -> Values:
    """A TargetGroup."""
    is_lambda = one.target_type == "lambda"
    return {
        "TargetGroupArn": one.arn,
        "TargetGroupName": one.name,
        "Protocol": one.protocol or None,
        "Port": None if is_lambda else one.port,
        "VpcId": one.network or None,
        **_check_view(one.check, is_lambda=is_lambda),
        "LoadBalancerArns": balancers,
        "TargetType": one.target_type,
        "ProtocolVersion": one.protocol_version or None,
        "IpAddressType": None if is_lambda else one.ip_address_type,
    }


def _check_view(check: HealthCheck, *, is_lambda: bool) -> Values:
    http = check.protocol in ("HTTP", "HTTPS")
    shown: dict[str, Any] = {
        "HealthCheckProtocol": None if is_lambda else check.protocol,
        "HealthCheckPort": None if is_lambda else check.port,
        "HealthCheckEnabled": check.enabled,
        "HealthCheckIntervalSeconds": check.interval,
        "HealthCheckTimeoutSeconds": check.timeout,
        "HealthyThresholdCount": check.healthy,
        "UnhealthyThresholdCount": check.unhealthy,
        "HealthCheckPath": check.path if http or is_lambda else None,
        "Matcher": {"HttpCode": check.codes} if http or is_lambda else None,
    }
    return shown
