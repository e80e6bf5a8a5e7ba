"""The pools of backends that target groups are for the data plane; kept in step with the records.

targets, groups ──heard──▶ Pools ──marks──▶ net.Pool ◀──picks── fronts
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.ports.targets import InstanceAddresses
from cumulo.net.pool import Algorithm, Backend, Mark, Pool
from cumulo.net.tls import trusting
from cumulo.services.elbv2 import attributes, cookies
from cumulo.services.elbv2.health import may_serve
from cumulo.services.elbv2.model import Group, LoadBalancer, Registration
from cumulo.services.elbv2.records import Records, target_key

Owns = Callable[[str, str], bool]
"""Whether an address, or the id of an instance, belongs to an account."""
_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "round_robin": Algorithm.ROUND_ROBIN,
    "least_outstanding_requests": Algorithm.LEAST_OUTSTANDING,
    "weighted_random": Algorithm.WEIGHTED_RANDOM,
}


class GroupPool:
    """One target group for the data plane.

    function    the target of a group of type lambda: its ARN, and whether it takes requests; empty when none does
    attributes  all of them
    """

    def __init__(self, group: Group, pool: Pool) -> None:
        self.group = group
        self.pool = pool
        self.attributes = attributes.of_group(group)
        self.function = ""
        self.backends: dict[str, Backend] = {}
        self.by_token: dict[str, Backend] = {}

    def token_of(self, backend: Backend) -> str:
        """What stands for a backend in cookies."""
        return cookies.token(self.group.arn, str(backend.key))

    @property
    def is_sticky(self) -> bool:
        """Whether clients come back to the same target."""
        return self.attributes.get("stickiness.enabled") == "true"


class Pools:
    """Every target group's pool.

    owns   see Targets: what has become another's since it was registered has no address any more
    """

    def __init__(
        self,
        records: Records,
        instances: InstanceAddresses,
        clock: Clock,
        source: random.Random,
        owns: Owns | None = None,
    ) -> None:
        self._records = records
        self._instances = instances
        self._owns = owns
        self._clock = clock
        self._random = source
        self._pools: dict[str, GroupPool] = {}
        self._tls = trusting()  # certificates of targets are not looked at, as AWS does not
        for group in records.groups.all():
            self._group_changed(None, group)
        for target in records.targets.all():
            self._target_changed(None, target)
        records.groups.listeners.append(self._group_changed)
        records.targets.listeners.append(self._target_changed)
        records.balancers.listeners.append(self._balancer_changed)

    def of(self, arn: str) -> GroupPool | None:
        """A target group's pool."""
        return self._pools.get(arn)

    def backend(self, target: Registration) -> Backend | None:
        """The backend that a target is; None when it has no address."""
        found = self._pools.get(target.group)
        key = target_key(target.group, target.id, target.port)
        return found.backends.get(key) if found is not None else None

    def refresh(self, identifier: str = "") -> None:
        """Look again where instances are: all, or the one with this id."""
        for target in (
            self._records.targets.by("id", identifier) if identifier else self._records.targets.all()
        ):
            found = self._pools.get(target.group)
            if found is not None and (found.group.target_type == "instance" or self._owns is not None):
                self._target_changed(target, target)

    def address_of(self, group: Group, target: Registration) -> str:
        """Where a target is; empty when nobody knows."""
        if (
            self._owns is not None
            and group.target_type in ("ip", "instance")
            and not self._owns(group.account, target.id)
        ):
            return ""
        if group.target_type == "ip":
            return target.id
        if group.target_type == "instance":
            return self._instances.address_of(target.id)
        balancer = self._records.balancers.get(target.id)
        return balancer.address if balancer is not None else ""

    # -- what the records say ----------------------------------------------------------------------------

    def _group_changed(self, before: Group | None, after: Group | None) -> None:
        if after is None:
            if before is not None and (gone := self._pools.pop(before.arn, None)) is not None:
                for backend in gone.pool.backends:
                    gone.pool.remove(backend)
            return
        found = self._pools.get(after.arn)
        if found is None:
            pool = Pool(random=self._random, now=self._clock.monotonic, name=after.arn)
            found = self._pools[after.arn] = GroupPool(after, pool)
        had = found.group.check.enabled
        found.group = after
        found.attributes = attributes.of_group(after)
        found.pool.algorithm = _ALGORITHMS[
            found.attributes.get("load_balancing.algorithm.type", "round_robin")
        ]
        found.pool.configure(
            slow_start_seconds=float(found.attributes.get("slow_start.duration_seconds", "0"))
        )
        if had != after.check.enabled:
            for target in self._records.targets.by("group", after.arn):
                self._target_changed(target, target)

    def _target_changed(self, before: Registration | None, after: Registration | None) -> None:
        one = after or before
        found = self._pools.get(one.group) if one is not None else None
        if found is None or one is None:
            return
        if found.group.target_type == "lambda":
            found.function = "" if after is None or after.is_draining else after.id
            return
        key = target_key(one.group, one.id, one.port)
        address = self.address_of(found.group, one) if after is not None else ""
        backend = found.backends.get(key)
        if backend is not None and (backend.address != address or after is None):
            found.pool.remove(found.backends.pop(key))
            found.by_token.pop(found.token_of(backend), None)
            backend = None
        if after is None or not address:
            return
        mark = _mark(after, found.group)
        if backend is not None:
            found.pool.mark(backend, mark)
            return
        secure = found.group.protocol in ("HTTPS", "TLS")
        backend = Backend(address, one.port, tls=self._tls if secure else None, key=key, mark=mark)
        found.backends[key] = backend
        found.by_token[found.token_of(backend)] = backend
        found.pool.add(backend)

    def _balancer_changed(self, before: LoadBalancer | None, after: LoadBalancer | None) -> None:
        one = after or before
        if one is not None:
            for target in self._records.targets.by("id", one.arn):
                self._target_changed(target, target)


def _mark(target: Registration, group: Group) -> Mark:
    if target.is_draining:
        return Mark.DRAINING
    return Mark.UP if may_serve(target, group) else Mark.DOWN
