"""Meters instances: seconds of running, by type, a minute at least; the price of spot when it is one."""

from msgspec.structs import replace

from cumulo.base.clock import Clock
from cumulo.base.ports import Usage, UsageLedger
from cumulo.services.ec2.kinds import Kinds
from cumulo.services.ec2.model import Instance
from cumulo.services.ec2.plan import billed_seconds

SERVICE = "ec2"


class InstanceMeter:
    """Records what was used since the last time.  Types that the price book does not know are not metered.

    The record goes into the store's transaction of this moment: it must be the one that the instance is put in, so that
    after a kill nothing counts twice, and nothing is lost.
    """

    def __init__(self, usages: UsageLedger, clock: Clock, kinds: Kinds) -> None:
        self._usages = usages
        self._clock = clock
        self._kinds = kinds

    def charge(self, instance: Instance, *, ends: bool = False) -> Instance:
        """Record a running instance's seconds up to now; the instance as it is to be kept."""
        if instance.state != "running" or self._kinds.get(instance.kind) is None:
            return instance
        now = self._clock.now()
        seconds = billed_seconds(instance.started_at, instance.metered_at, now, ends=ends)
        if seconds <= 0:
            return instance
        until = instance.metered_at + seconds
        self._usages.keep(
            Usage(
                account=instance.account,
                region=instance.region,
                service=SERVICE,
                kind=f"{instance.kind}:spot" if instance.spot else instance.kind,
                resource=instance.id,
                quantity=seconds,
                start_ms=int(instance.metered_at * 1000),
                end_ms=int(until * 1000),
            )
        )
        return replace(instance, metered_at=until)
