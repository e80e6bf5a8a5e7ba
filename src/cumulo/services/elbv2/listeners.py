"""Listeners: create, describe, change, delete; and their further certificates."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError, not_implemented
from cumulo.base.ids import Ids
from cumulo.base.ports import Certificates
from cumulo.services.elbv2 import arns, attributes, refusals
from cumulo.services.elbv2.actions import checked_actions
from cumulo.services.elbv2.finding import balancer_of, listener_of, one_page
from cumulo.services.elbv2.forwarding import check_groups
from cumulo.services.elbv2.model import DEFAULT_PRIORITY, Listener, LoadBalancer, Rule
from cumulo.services.elbv2.policies import POLICY_DEFAULT, check_policy
from cumulo.services.elbv2.records import Records
from cumulo.services.elbv2.tags import checked_tags
from cumulo.services.elbv2.views import listener_view
from cumulo.wire.service import Values

LISTENERS_MAX: Final = 50  # of a load balancer
CERTIFICATES_MAX: Final = 25  # of a load balancer, beside default ones
_APPLICATION: Final = ("HTTP", "HTTPS")
_NETWORK: Final = ("TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC")
_SECURE: Final = ("HTTPS", "TLS")

Settled = Callable[[str], Awaitable[None]]


class Listeners:
    """The operations on listeners.

    settled   returns when the data plane has taken up what was committed for a load balancer (its ARN), or has failed
              to; so that a client that was answered can connect
    """

    def __init__(
        self, records: Records, certificates: Certificates, clock: Clock, ids: Ids, settled: Settled
    ) -> None:
        self._records = records
        self._certificates = certificates
        self._clock = clock
        self._ids = ids
        self._settled = settled

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateListener."""
        arn = values["LoadBalancerArn"]
        balancer_of(self._records, caller, arn)
        fields = await self._fields(caller, values)
        balancer = balancer_of(self._records, caller, arn)  # again: it may be gone since
        settings = self._checked(caller, balancer, fields)
        settings["tags"] = checked_tags(values.get("Tags", ()), {})
        others = self._records.listeners.by("balancer", arn)
        same = next((one for one in others if one.port == settings["port"]), None)
        if same is not None:
            if all(getattr(same, name) == value for name, value in settings.items()):
                return {"Listeners": [listener_view(same)]}
            raise _duplicate(arn)
        if len(others) >= LISTENERS_MAX:
            raise AwsError(
                "TooManyListeners",
                f"The maximum number of listeners per load balancer has been reached; the limit is '{LISTENERS_MAX}'",
            )
        made = Listener(
            arn=arns.below(arn, "listener", self._ids.hex(16)),
            load_balancer=arn,
            created_at=self._clock.now(),
            **settings,
        )
        self._records.listeners.put(made)
        self._records.rules.put(
            Rule(
                arn=arns.below(made.arn, "listener-rule", self._ids.hex(16)),
                listener=made.arn,
                priority=DEFAULT_PRIORITY,
            )
        )
        await self._records.store.commit()
        await self._settled(arn)
        return {"Listeners": [listener_view(made)]}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeListeners."""
        asked, balancer = values.get("ListenerArns", ()), values.get("LoadBalancerArn")
        if bool(asked) == bool(balancer):
            raise refusals.invalid("You must specify either listener ARNs or a load balancer ARN")
        if asked:
            found = [listener_of(self._records, caller, arn)[0] for arn in dict.fromkeys(asked)]
            return {"Listeners": [listener_view(one) for one in found]}
        balancer_of(self._records, caller, str(balancer))
        items = self._records.listeners.by("balancer", str(balancer))
        found, marker = one_page(items, lambda one: one.arn, values)
        return {"Listeners": [listener_view(one) for one in found], "NextMarker": marker}

    async def modify(self, caller: Caller, values: Values) -> Values | None:
        """ModifyListener."""
        arn = values["ListenerArn"]
        before, _ = listener_of(self._records, caller, arn)
        fields = await self._fields(caller, values)
        before, balancer = listener_of(self._records, caller, arn)
        have = {
            "Protocol": before.protocol,
            "Port": before.port,
            "DefaultActions": before.actions,
            "SslPolicy": before.ssl_policy,
            "AlpnPolicy": before.alpn,
            "certificate": before.certificate,
        }
        merged = {key: value for key, value in {**have, **fields}.items() if value or key in fields}
        if merged["Protocol"] not in _SECURE:  # what it had of TLS goes
            for name in ("SslPolicy", "AlpnPolicy", "certificate"):
                if name not in fields:
                    merged.pop(name, None)
        settings = self._checked(caller, balancer, merged)
        others = self._records.listeners.by("balancer", balancer.arn)
        if any(one.port == settings["port"] and one.arn != arn for one in others):
            raise _duplicate(balancer.arn)
        if settings["protocol"] not in _SECURE:
            settings["certificates"] = ()
        after = self._records.listeners.put(msgspec.structs.replace(before, **settings))
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {"Listeners": [listener_view(after)]}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteListener: its rules go with it."""
        found, balancer = listener_of(self._records, caller, values["ListenerArn"])
        for rule in self._records.rules.by("listener", found.arn):
            self._records.rules.delete(rule)
        self._records.listeners.delete(found)
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {}

    async def describe_attributes(self, caller: Caller, values: Values) -> Values | None:
        """DescribeListenerAttributes."""
        found, _ = listener_of(self._records, caller, values["ListenerArn"])
        return {"Attributes": attributes.view(attributes.of_listener(found))}

    async def modify_attributes(self, caller: Caller, values: Values) -> Values | None:
        """ModifyListenerAttributes."""
        found, balancer = listener_of(self._records, caller, values["ListenerArn"])
        changed = attributes.changed_listener(found, values["Attributes"])
        after = self._records.listeners.put(msgspec.structs.replace(found, attributes=changed))
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {"Attributes": attributes.view(attributes.of_listener(after))}

    # -- certificates ------------------------------------------------------------------------------------

    async def add_certificates(self, caller: Caller, values: Values) -> Values | None:
        """AddListenerCertificates: for clients that name a host (SNI)."""
        arn = values["ListenerArn"]
        _secure(listener_of(self._records, caller, arn)[0])
        wanted = [_certificate_arn(one) for one in values["Certificates"]]
        for one in wanted:
            await self._check_certificate(caller, one)
        found, balancer = listener_of(self._records, caller, arn)
        after = tuple(dict.fromkeys((*found.certificates, *wanted)))
        others = sum(
            len(one.certificates)
            for one in self._records.listeners.by("balancer", balancer.arn)
            if one.arn != arn
        )
        if others + len(after) > CERTIFICATES_MAX:
            raise AwsError(
                "TooManyCertificates",
                f"You've reached the limit on the number of certificates per load balancer; the limit is "
                f"'{CERTIFICATES_MAX}'",
            )
        self._records.listeners.put(msgspec.structs.replace(found, certificates=after))
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {"Certificates": [{"CertificateArn": one, "IsDefault": False} for one in wanted]}

    async def remove_certificates(self, caller: Caller, values: Values) -> Values | None:
        """RemoveListenerCertificates: harmless for those that are not there."""
        found, balancer = listener_of(self._records, caller, values["ListenerArn"])
        _secure(found)
        gone = {_certificate_arn(one) for one in values["Certificates"]}
        if found.certificate in gone and found.certificate not in found.certificates:
            raise AwsError("OperationNotPermitted", "The default certificate of a listener cannot be removed")
        after = tuple(one for one in found.certificates if one not in gone)
        self._records.listeners.put(msgspec.structs.replace(found, certificates=after))
        await self._records.store.commit()
        await self._settled(balancer.arn)
        return {}

    async def describe_certificates(self, caller: Caller, values: Values) -> Values | None:
        """DescribeListenerCertificates: the default one too."""
        found, _ = listener_of(self._records, caller, values["ListenerArn"])
        shown = [(found.certificate, True)] if found.certificate else []
        shown += [(one, False) for one in found.certificates]
        chosen, marker = one_page(shown, lambda one: f"{int(not one[1])}{one[0]}", values)
        return {
            "Certificates": [{"CertificateArn": arn, "IsDefault": default} for arn, default in chosen],
            "NextMarker": marker,
        }

    # -- parts -----------------------------------------------------------------------------------------

    async def _fields(self, caller: Caller, values: Values) -> dict[str, Any]:
        """What was sent, with the certificate looked up."""
        names = ("Protocol", "Port", "SslPolicy", "DefaultActions", "AlpnPolicy", "MutualAuthentication")
        fields = {name: values[name] for name in names if name in values}
        certificates = values.get("Certificates")
        if certificates is not None:
            if len(certificates) > 1:
                raise refusals.invalid("Only one certificate can be specified as the default certificate")
            if certificates:
                fields["certificate"] = _certificate_arn(certificates[0])
                await self._check_certificate(caller, fields["certificate"])
        return fields

    async def _check_certificate(self, caller: Caller, arn: str) -> None:
        if not arn.startswith("arn:"):
            raise refusals.invalid(f"Certificate ARN '{arn}' is not valid")
        if await self._certificates.certificate(caller, arn) is None:
            raise AwsError("CertificateNotFound", f"Certificate '{arn}' not found")

    def _checked(self, caller: Caller, balancer: LoadBalancer, fields: dict[str, Any]) -> dict[str, Any]:
        if "Port" not in fields:
            raise refusals.invalid("A listener port must be specified")
        if "Protocol" not in fields:
            raise refusals.invalid("A listener protocol must be specified")
        protocol = fields["Protocol"]
        valid = _APPLICATION if balancer.is_application else _NETWORK
        if protocol not in valid:
            raise refusals.invalid(f"Listener protocol '{protocol}' must be one of '{', '.join(valid)}'")
        if protocol not in (*_APPLICATION, "TCP", "TLS"):
            raise not_implemented("elbv2", "CreateListener", f"listeners of protocol {protocol}")
        actions = checked_actions(fields["DefaultActions"], kind=balancer.kind, protocol=protocol)
        check_groups(self._records, caller, actions, balancer, protocol)
        return {
            "protocol": protocol,
            "port": fields["Port"],
            "actions": actions,
            **_security(protocol, fields),
        }


def _security(protocol: str, fields: dict[str, Any]) -> dict[str, Any]:
    secure = protocol in _SECURE
    certificate = fields.get("certificate", "")
    if secure and not certificate:
        raise refusals.invalid(f"A certificate must be specified for {protocol} listeners")
    if not secure:
        for name, what in (("certificate", "Certificates"), ("SslPolicy", "An SSL policy")):
            if fields.get(name):
                raise refusals.invalid(f"{what} cannot be specified for {protocol} listeners")
    policy = fields.get("SslPolicy") or POLICY_DEFAULT
    check_policy(policy)
    alpn = tuple(fields.get("AlpnPolicy", ()))
    if alpn and protocol != "TLS":
        raise refusals.invalid("An ALPN policy can only be specified for TLS listeners")
    if alpn and alpn != ("None",):
        raise not_implemented("elbv2", "CreateListener", f"the ALPN policy {alpn[0]}")
    mutual = fields.get("MutualAuthentication", {})
    if mutual.get("Mode", "off") != "off":
        raise not_implemented("elbv2", "CreateListener", "mutual authentication")
    if mutual and protocol != "HTTPS":
        raise refusals.invalid("Mutual authentication can only be specified for HTTPS listeners")
    return {
        "certificate": certificate if secure else "",
        "ssl_policy": policy if secure else "",
        "alpn": alpn,
        "mutual": {"Mode": "off"} if protocol == "HTTPS" else {},
    }


def _certificate_arn(one: Values) -> str:
    if "IsDefault" in one:
        raise refusals.invalid("You cannot set the isDefault parameter for a certificate")
    if not one.get("CertificateArn"):
        raise refusals.invalid("A certificate ARN must be specified")
    return str(one["CertificateArn"])


def _secure(listener: Listener) -> None:
    if listener.protocol not in _SECURE:
        raise refusals.invalid(f"Certificates cannot be specified for {listener.protocol} listeners")


def _duplicate(arn: str) -> AwsError:
    return AwsError(
        "DuplicateListener", f"A listener already exists on this port for this load balancer '{arn}'"
    )
