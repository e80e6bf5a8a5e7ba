"""Targets: register, deregister, and how they are; for clients and for other services."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports import targets as ports
from cumulo.base.ports.networks import NetworkFacts
from cumulo.services.elbv2 import attributes, refusals
from cumulo.services.elbv2.finding import group_of
from cumulo.services.elbv2.health import DRAINING, TIMED_OUT, UNUSED, Told, told
from cumulo.services.elbv2.model import Document, Group, Registration, Standing
from cumulo.services.elbv2.pools import Owns
from cumulo.services.elbv2.records import Records, target_key
from cumulo.wire.service import Values

TARGETS_MAX: Final = 1000  # of a target group
_PRIVATE: Final = tuple(
    ipaddress.ip_network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_LOOPBACK: Final = ipaddress.ip_network("127.0.0.0/8")
_STOPPED = ("unused", "Target.InvalidState", "Target is in the stopped state")
_ENDED: Final = frozenset({"shutting-down", "terminated", ""})
_RUNS: Final = frozenset({"pending", "running"})


class Targets:
    """The operations on targets, and the TargetGroups of the house.

    loopback   whether addresses of 127.0.0.0/8 may be targets: programs beside the cloud on a developer's machine
    owns       whether an address or instance is an account's; None: every private address may be a target
    """

    def __init__(
        self,
        records: Records,
        clock: Clock,
        instances: ports.InstanceAddresses,
        facts: NetworkFacts,
        *,
        loopback: bool,
        owns: Owns | None = None,
    ) -> None:
        self._records = records
        self._clock = clock
        self._instances = instances
        self._facts = facts
        self._loopback = loopback
        self._owns = owns

    # -- for clients -------------------------------------------------------------------------------------

    async def register_targets(self, caller: Caller, values: Values) -> Values | None:
        """RegisterTargets."""
        group = group_of(self._records, caller, values["TargetGroupArn"])
        wanted = [self._checked(group, one) for one in values["Targets"]]
        if not wanted:
            raise refusals.invalid("At least one target must be specified")
        if group.target_type == "instance":
            await self._check_instances(caller, group, [one.id for one in wanted])
            group = group_of(self._records, caller, group.arn)  # it may be gone since
        self._add(group, wanted)
        await self._records.store.commit()
        return {}

    async def deregister_targets(self, caller: Caller, values: Values) -> Values | None:
        """DeregisterTargets: harmless for those that are not there."""
        group = group_of(self._records, caller, values["TargetGroupArn"])
        for one in values["Targets"]:
            self._let_go(group, one["Id"], one.get("Port", group.port))
        await self._records.store.commit()
        return {}

    async def describe_health(self, caller: Caller, values: Values) -> Values | None:
        """DescribeTargetHealth."""
        group = group_of(self._records, caller, values["TargetGroupArn"])
        asked = values.get("Targets")
        found = sorted(self._records.targets.by("group", group.arn), key=lambda one: (one.id, one.port))
        strange = await self._strangers(caller, group, [one.id for one in found])
        if not asked:
            shown = [one for one in found if strange.get(one.id, "running") not in _ENDED]
            return {"TargetHealthDescriptions": [self._view(group, one, strange) for one in shown]}
        return {"TargetHealthDescriptions": [self._asked_view(group, one, strange) for one in asked]}

    # -- for other services ------------------------------------------------------------------------------

    def group(self, arn: str) -> ports.TargetGroup | None:
        """The target group, or None."""
        found = self._records.groups.get(arn)
        if found is None:
            return None
        return ports.TargetGroup(
            arn=arn,
            account=found.account,
            target_type=found.target_type,
            protocol=found.protocol,
            port=found.port,
            network=found.network,
            load_balancers=tuple(self._records.balancers_of(arn)),
        )

    async def register(self, arn: str, targets: Sequence[ports.Target]) -> None:
        """Add targets; committed when it returns.  AwsError TargetGroupNotFound, InvalidTarget, TooManyTargets."""
        group = self._records.groups.get(arn)
        if group is None:
            raise refusals.no_group()
        self._add(group, [self._checked(group, {"Id": one.id, "Port": one.port}) for one in targets])
        await self._records.store.commit()

    async def deregister(self, arn: str, targets: Sequence[ports.Target]) -> None:
        """Let targets drain and leave; committed when it returns."""
        group = self._records.groups.get(arn)
        if group is None:
            return
        for one in targets:
            self._let_go(group, one.id, one.port)
        await self._records.store.commit()

    def health(self, arn: str) -> Mapping[ports.Target, str]:
        """The state of every target of a group."""
        group = self._records.groups.get(arn)
        if group is None:
            return {}
        return {
            ports.Target(one.id, one.port): self.state(group, one).state
            for one in self._records.targets.by("group", arn)
        }

    def state(self, group: Group, one: Registration, ec2_state: str = "running") -> Told:
        """A target's state, its reason and what to say of it.

        ec2_state   of an instance that does not run on this machine: nothing answers its health checks
        """
        in_use = bool(self._records.balancers_of(group.arn))
        stranger = group.target_type == "instance" and not self._is_here(group, one.id)
        if not stranger or one.is_draining:
            return told(one, group, in_use=in_use)
        if ec2_state in _ENDED:
            return DRAINING
        if ec2_state not in _RUNS:
            return Told(*_STOPPED)
        return Told("unhealthy", TIMED_OUT.reason, TIMED_OUT.description) if in_use else UNUSED

    # -- parts -------------------------------------------------------------------------------------------

    def _is_here(self, group: Group, instance: str) -> bool:
        """Whether an instance of the group's account runs on this machine."""
        own = self._owns is None or self._owns(group.account, instance)
        return own and bool(self._instances.address_of(instance))

    async def _check_instances(self, caller: Caller, group: Group, ids: Sequence[str]) -> None:
        """AwsError unless EC2 has all of them running in the group's network; those that run here are known to."""
        strange = [one for one in dict.fromkeys(ids) if not self._is_here(group, one)]
        facts = await self._facts.instances(caller, strange)
        missing = [one for one in strange if one not in facts or facts[one].state == "terminated"]
        if missing:
            raise AwsError("InvalidTarget", f"The following instances do not exist: {_quoted(missing)}")
        stopped = [one for one in strange if facts[one].state not in _RUNS]
        if stopped:
            raise AwsError(
                "InvalidTarget",
                "The following targets are not in a running state and cannot be registered: "
                f"{_quoted(stopped)}",
            )
        elsewhere = [one for one in strange if facts[one].network not in ("", group.network)]
        if elsewhere:
            raise AwsError(
                "InvalidTarget",
                f"The following targets are not in the target group VPC '{group.network}': "
                f"{_quoted(elsewhere)}",
            )

    async def _strangers(self, caller: Caller, group: Group, ids: Sequence[str]) -> Mapping[str, str]:
        """What EC2 says of a group's instances that do not run on this machine: their states, empty for none."""
        if group.target_type != "instance":
            return {}
        strange = [one for one in dict.fromkeys(ids) if not self._is_here(group, one)]
        facts = await self._facts.instances(caller, strange)
        return {one: facts[one].state if one in facts else "" for one in strange}

    def _add(self, group: Group, wanted: Sequence[Registration]) -> None:
        have = {target_key(one.group, one.id, one.port): one for one in self._in(group)}
        new = [one for one in wanted if target_key(one.group, one.id, one.port) not in have]
        most = 1 if group.target_type in ("lambda", "alb") else TARGETS_MAX
        if len(have) + len({(one.id, one.port) for one in new}) > most:
            raise AwsError(
                "TooManyTargets",
                f"The maximum number of targets per target group has been reached; the limit is '{most}'",
            )
        for one in wanted:
            before = have.get(target_key(one.group, one.id, one.port))
            if before is None or before.is_draining:
                self._records.targets.put(one)

    def _let_go(self, group: Group, identifier: str, port: int) -> None:
        found = self._records.targets.get(target_key(group.arn, identifier, port))
        if found is None or found.is_draining:
            return
        delay = int(attributes.of_group(group).get("deregistration_delay.timeout_seconds", "0"))
        if not delay or not self._records.balancers_of(group.arn):
            self._records.targets.delete(found)
            return
        self._records.targets.put(msgspec.structs.replace(found, drains_until=self._clock.now() + delay))

    def _in(self, group: Group) -> list[Registration]:
        return self._records.targets.by("group", group.arn)

    def _checked(self, group: Group, one: Document) -> Registration:
        identifier, port = one["Id"], one.get("Port", group.port)
        if group.target_type == "ip":
            self._check_address(group, identifier)
        elif group.target_type == "instance":
            if not identifier.startswith("i-"):
                raise refusals.invalid(f"Instance ID '{identifier}' is not valid")
        elif group.target_type == "lambda":
            if one.get("Port"):
                raise refusals.invalid("A port cannot be specified for targets of type 'lambda'")
            arn = parse_arn(identifier)
            if arn is None or arn.service != "lambda" or not arn.resource.startswith("function:"):
                raise AwsError("InvalidTarget", f"'{identifier}' is not a valid Lambda function ARN")
            port = 0
        else:
            self._check_balancer(group, identifier, port)
        if one.get("QuicServerId"):
            raise refusals.invalid("A QUIC server ID cannot be specified for this target group")
        return Registration(
            group=group.arn,
            id=identifier,
            port=port,
            registered_at=self._clock.now(),
            zone=one.get("AvailabilityZone", ""),
            standing=Standing(),
        )

    def _check_address(self, group: Group, text: str) -> None:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            raise refusals.invalid(f"The IP address '{text}' is not a valid IPv4 address") from None
        allowed = any(address in block for block in _PRIVATE) or (self._loopback and address in _LOOPBACK)
        if not allowed or (self._owns is not None and not self._owns(group.account, text)):
            raise AwsError(
                "InvalidTarget",
                f"The IP address '{text}' is not within the VPC or in one of the private address ranges "
                "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16",
            )

    def _check_balancer(self, group: Group, arn: str, port: int) -> None:
        balancer = self._records.balancers.get(arn)
        if balancer is None or not balancer.is_application or balancer.account != group.account:
            raise AwsError("InvalidTarget", f"'{arn}' is not an Application Load Balancer of this account")
        if balancer.network != group.network:
            raise AwsError("InvalidTarget", "The following targets are not in the target group VPC")
        if port != group.port:
            raise AwsError("InvalidTarget", f"The port of a target of type 'alb' must be '{group.port}'")
        if not any(one.port == port for one in self._records.listeners.by("balancer", arn)):
            raise AwsError(
                "InvalidTarget",
                f"The Application Load Balancer '{arn}' must have a listener on port '{port}'",
            )

    def _view(self, group: Group, one: Registration, strange: Mapping[str, str]) -> Values:
        state = self.state(group, one, strange.get(one.id, "running"))
        target: Values = {"Id": one.id, "AvailabilityZone": one.zone or None}
        if group.target_type != "lambda":
            target["Port"] = one.port
        checked = group.check.port
        return {
            "Target": target,
            "HealthCheckPort": (str(one.port) if checked == "traffic-port" else checked)
            if group.target_type != "lambda"
            else None,
            "TargetHealth": {
                "State": state.state,
                "Reason": state.reason or None,
                "Description": state.description or None,
            },
        }

    def _asked_view(self, group: Group, asked: Document, strange: Mapping[str, str]) -> Values:
        port = asked.get("Port", group.port)
        found = self._records.targets.get(target_key(group.arn, asked["Id"], port))
        if found is not None:
            return self._view(group, found, strange)
        checked = str(port) if group.check.port == "traffic-port" else group.check.port
        return {
            "Target": {"Id": asked["Id"], "Port": port or None},
            "HealthCheckPort": checked if group.target_type != "lambda" else None,
            "TargetHealth": {
                "State": "unused",
                "Reason": "Target.NotRegistered",
                "Description": "Target is not registered to the target group",
            },
        }


def _quoted(ids: Sequence[str]) -> str:
    return ", ".join(f"'{one}'" for one in ids)
