"""Everything that load balancing keeps, by its key and by what it is looked for by."""

from collections.abc import Iterable

from cumulo.services.elbv2.actions import groups_of
from cumulo.services.elbv2.model import Group, Listener, LoadBalancer, Registration, Rule
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store, join_key


def target_key(group: str, identifier: str, port: int) -> str:
    """Of a registration."""
    return join_key(group, identifier, str(port))


class Records:
    """The shelves; the key is the ARN, `target_key` for targets."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.balancers = Shelf(
            store,
            "elbv2_load_balancers",
            LoadBalancer,
            lambda one: one.arn,
            place=_place,
            named=lambda one: join_key(one.account, one.region, one.name),
            dns=lambda one: one.dns_name.lower(),
        )
        self.listeners = Shelf(
            store,
            "elbv2_listeners",
            Listener,
            lambda one: one.arn,
            balancer=lambda one: one.load_balancer,
        )
        self.rules = Shelf(store, "elbv2_rules", Rule, lambda one: one.arn, listener=lambda one: one.listener)
        self.groups = Shelf(
            store,
            "elbv2_target_groups",
            Group,
            lambda one: one.arn,
            place=_place,
            named=lambda one: join_key(one.account, one.region, one.name),
        )
        self.targets = Shelf(
            store,
            "elbv2_targets",
            Registration,
            lambda one: target_key(one.group, one.id, one.port),
            group=lambda one: one.group,
            id=lambda one: one.id,
            draining=lambda one: "yes" if one.is_draining else "",
        )
        self._users: dict[str, dict[str, int]] = {}
        for listener in self.listeners.all():
            self._count(listener.load_balancer, groups_of(listener.actions), 1)
        for rule in self.rules.all():
            self._count_rule(rule, 1)
        self.rules.listeners.append(self._rule_changed)
        self.listeners.listeners.append(self._listener_changed)

    def balancers_of(self, group: str) -> list[str]:
        """The ARNs of the load balancers whose listeners and rules forward to a target group."""
        return list(self._users.get(group, ()))

    def groups_of_balancer(self, balancer: str) -> set[str]:
        """The ARNs of the target groups that a load balancer forwards to."""
        return {group for group, users in self._users.items() if balancer in users}

    def rules_of(self, listener: str) -> list[Rule]:
        """A listener's rules by priority, the default rule last."""
        found = self.rules.by("listener", listener)
        return sorted(found, key=lambda one: (one.is_default, one.priority))

    def clear(self) -> None:
        """Remove everything."""
        for shelf in (self.targets, self.rules, self.listeners, self.groups, self.balancers):
            shelf.clear()

    def _listener_changed(self, before: Listener | None, after: Listener | None) -> None:
        if before is not None:
            self._count(before.load_balancer, groups_of(before.actions), -1)
        if after is not None:
            self._count(after.load_balancer, groups_of(after.actions), 1)

    def _rule_changed(self, before: Rule | None, after: Rule | None) -> None:
        if before is not None:
            self._count_rule(before, -1)
        if after is not None:
            self._count_rule(after, 1)

    def _count_rule(self, rule: Rule, by: int) -> None:
        self._count(_balancer_of(rule.listener), groups_of(rule.actions), by)

    def _count(self, balancer: str, groups: Iterable[str], by: int) -> None:
        for group in groups:
            users = self._users.setdefault(group, {})
            users[balancer] = users.get(balancer, 0) + by
            if users[balancer] <= 0:
                del users[balancer]
            if not users:
                del self._users[group]


def _balancer_of(listener: str) -> str:
    """A listener's ARN has its load balancer's in it."""
    head, _, resource = listener.rpartition(":")
    parts = resource.split("/")
    return f"{head}:loadbalancer/{'/'.join(parts[1:4])}"


def _place(one: LoadBalancer | Group) -> str:
    return join_key(one.account, one.region)
