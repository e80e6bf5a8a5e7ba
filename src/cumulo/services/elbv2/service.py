"""Elastic Load Balancing v2 as the door wants it: every operation that is built, by AWS's name."""

from collections.abc import Mapping
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.services.elbv2.account import describe_limits
from cumulo.services.elbv2.listeners import Listeners
from cumulo.services.elbv2.load_balancers import LoadBalancers
from cumulo.services.elbv2.policies import describe_policies
from cumulo.services.elbv2.rules import Rules
from cumulo.services.elbv2.tags import Tagging
from cumulo.services.elbv2.target_groups import TargetGroupOperations
from cumulo.services.elbv2.targets import Targets
from cumulo.wire.service import Coverage, Operation, Run, Service, Values

_TRUST: Final = "mutual authentication of clients"
_REFUSED: Final[Mapping[str, str]] = {
    "ModifyIpPools": "there are no pools of IPAM",
    "ModifyCapacityReservation": "there is no capacity to reserve",
    "CreateTrustStore": _TRUST,
    "ModifyTrustStore": _TRUST,
    "DeleteTrustStore": _TRUST,
    "DescribeTrustStores": _TRUST,
    "AddTrustStoreRevocations": _TRUST,
    "RemoveTrustStoreRevocations": _TRUST,
    "DescribeTrustStoreRevocations": _TRUST,
    "DescribeTrustStoreAssociations": _TRUST,
    "DeleteSharedTrustStoreAssociation": _TRUST,
    "GetTrustStoreCaCertificatesBundle": _TRUST,
    "GetTrustStoreRevocationContent": _TRUST,
    "GetResourcePolicy": _TRUST,
}
_BALANCER: Final = "gateway load balancers, dual stack, Elastic IP addresses and IP pools are refused; security groups are kept"
_LISTENER: Final = (
    "HTTP, HTTPS, TCP and TLS; UDP and QUIC, authentication, JWT validation, mutual TLS and ALPN are refused; TLS below "
    "1.2 is not spoken"
)
_ATTRIBUTES: Final = (
    "with an effect: deletion_protection, idle_timeout, client_keep_alive, routing.http.xff_*, drop_invalid_header_fields, "
    "preserve_host_header, x_amzn_tls_*; the others are kept; logs to S3 are refused"
)
_GROUP: Final = "HTTP, HTTPS, TCP and TLS; UDP, GENEVE, QUIC, HTTP/2, gRPC and IPv6 are refused"
_GROUP_ATTRIBUTES: Final = (
    "with an effect: deregistration_delay, stickiness, slow_start, load_balancing.algorithm.type, lambda.multi_value_"
    "headers, proxy_protocol_v2; the others are kept (targets never see the client's own address as the source)"
)


def service_of(
    *,
    balancers: LoadBalancers,
    listeners: Listeners,
    rules: Rules,
    groups: TargetGroupOperations,
    targets: Targets,
    tagging: Tagging,
) -> Service:
    """The service."""
    return Service(
        "elbv2",
        {
            **_of_balancers(balancers),
            **_of_listeners(listeners, rules),
            **_of_groups(groups, targets),
            "AddTags": Operation(tagging.add, Coverage.STORED),
            "RemoveTags": Operation(tagging.remove, Coverage.STORED),
            "DescribeTags": Operation(tagging.describe, Coverage.STORED),
            "DescribeAccountLimits": Operation(describe_limits),
            "DescribeSSLPolicies": Operation(describe_policies),
            **{name: Operation(_refuse(name, why), Coverage.REFUSED, why) for name, why in _REFUSED.items()},
        },
    )


def _of_balancers(ours: LoadBalancers) -> dict[str, Operation]:
    return {
        "CreateLoadBalancer": Operation(ours.create, note=_BALANCER),
        "DescribeLoadBalancers": Operation(ours.describe),
        "DeleteLoadBalancer": Operation(ours.delete),
        "DescribeLoadBalancerAttributes": Operation(ours.describe_attributes),
        "ModifyLoadBalancerAttributes": Operation(ours.modify_attributes, note=_ATTRIBUTES),
        "SetSecurityGroups": Operation(ours.set_security_groups, Coverage.STORED),
        "SetSubnets": Operation(ours.set_subnets, Coverage.STORED),
        "SetIpAddressType": Operation(ours.set_address_type, note="ipv4 alone"),
        "DescribeCapacityReservation": Operation(ours.describe_capacity, note="nothing is reserved"),
    }


def _of_listeners(ours: Listeners, rules: Rules) -> dict[str, Operation]:
    return {
        "CreateListener": Operation(ours.create, note=_LISTENER),
        "DescribeListeners": Operation(ours.describe),
        "ModifyListener": Operation(ours.modify),
        "DeleteListener": Operation(ours.delete),
        "DescribeListenerAttributes": Operation(ours.describe_attributes),
        "ModifyListenerAttributes": Operation(ours.modify_attributes),
        "AddListenerCertificates": Operation(ours.add_certificates),
        "RemoveListenerCertificates": Operation(ours.remove_certificates),
        "DescribeListenerCertificates": Operation(ours.describe_certificates),
        "CreateRule": Operation(rules.create, note="regular expressions and transforms are refused"),
        "DescribeRules": Operation(rules.describe),
        "ModifyRule": Operation(rules.modify),
        "DeleteRule": Operation(rules.delete),
        "SetRulePriorities": Operation(rules.set_priorities),
    }


def _of_groups(ours: TargetGroupOperations, targets: Targets) -> dict[str, Operation]:
    return {
        "CreateTargetGroup": Operation(ours.create, note=_GROUP),
        "DescribeTargetGroups": Operation(ours.describe),
        "ModifyTargetGroup": Operation(ours.modify),
        "DeleteTargetGroup": Operation(ours.delete),
        "DescribeTargetGroupAttributes": Operation(ours.describe_attributes),
        "ModifyTargetGroupAttributes": Operation(ours.modify_attributes, note=_GROUP_ATTRIBUTES),
        "RegisterTargets": Operation(targets.register_targets),
        "DeregisterTargets": Operation(
            targets.deregister_targets, note="a target is gone as soon as nothing is under way to it"
        ),
        "DescribeTargetHealth": Operation(targets.describe_health),
    }


def _refuse(name: str, why: str) -> Run:
    async def refuse(caller: Caller, values: Values) -> Values | None:
        del caller, values
        raise not_implemented("elbv2", name, why)

    return refuse
