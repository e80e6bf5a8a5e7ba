"""Clusters: the operations, and how everybody else finds one."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.services.ecs.arns import arn
from cumulo.services.ecs.cluster_views import REGISTERED, Contents, cluster_view
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.model import CapacityProvider, Cluster, Document
from cumulo.services.ecs.records import Records
from cumulo.services.ecs.refusals import invalid, no_cluster
from cumulo.services.ecs.strategies import checked_providers, checked_strategy
from cumulo.services.ecs.tagging import checked_tags
from cumulo.state.store import join_key
from cumulo.wire.service import Coverage, Operation, Values

DEFAULT_CLUSTER = "default"
SHOWN_SECONDS = 3600.0  # a deleted cluster, as INACTIVE
DESCRIBED_AT_ONCE_MAX = 100
INSIGHTS = ("enabled", "disabled", "enhanced")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,255}")
_WHEN_MADE = ("CONFIGURATIONS", "SETTINGS", "TAGS")  # what answers show beside the cluster itself
_WHEN_CHANGED = ("ATTACHMENTS", "CONFIGURATIONS", "SETTINGS")
_WHEN_DELETED = ("CONFIGURATIONS", "SETTINGS")
Namespaces = Callable[[Caller, str], Awaitable[str]]
_INCONSISTENT = (
    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
)


def find_cluster(
    records: Records, caller: Caller, name_or_arn: str | None, *, active: bool = True
) -> Cluster:
    """The cluster that a client means; without a name, `default`.

    AwsError ClusterNotFoundException when it is not there (or was deleted, when `active`),
    InvalidParameterException for an ARN of somebody else.
    """
    found = records.clusters.get(_arn_of(caller, name_or_arn))
    if found is None:
        raise no_cluster()
    if active and found.status == "INACTIVE":
        raise AwsError("ClusterNotFoundException", "The referenced cluster was inactive.")
    return found


def _arn_of(caller: Caller, name_or_arn: str | None) -> str:
    text = name_or_arn or DEFAULT_CLUSTER
    parsed = parse_arn(text)
    if parsed is None:
        return arn(caller.region, caller.account, "cluster", text)
    kind, _, name = parsed.resource.partition("/")
    if parsed.service != "ecs" or kind != "cluster" or not name:
        raise invalid("Invalid identifier: Expected a cluster's name or ARN.")
    if parsed.account != caller.account:
        raise invalid(f"Identifier is for {parsed.account}. Your accountId is {caller.account}")
    return text if parsed.region == caller.region else ""


async def as_said(_caller: Caller, namespace: str) -> str:
    """A namespace by the name or ARN that the client gave."""
    return namespace


class Clusters:
    """The operations.

    insights     says what containerInsights is for a caller's new clusters
    namespaces   the ARN of the Cloud Map namespace that a name or ARN means
    """

    def __init__(
        self,
        records: Records,
        clock: Clock,
        insights: Callable[[Caller], str],
        namespaces: Namespaces = as_said,
    ) -> None:
        self._records = records
        self._clock = clock
        self._insights = insights
        self._namespaces = namespaces

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return {
            "CreateCluster": Operation(
                self.create, note="containerInsights and encryption are kept and shown"
            ),
            "DescribeClusters": Operation(self.describe),
            "ListClusters": Operation(self.list_),
            "DeleteCluster": Operation(self.delete),
            "UpdateCluster": Operation(self.update, note="containerInsights is kept and shown"),
            "UpdateClusterSettings": Operation(
                self.update_settings, Coverage.STORED, "nothing collects Container Insights"
            ),
            "PutClusterCapacityProviders": Operation(self.put_providers),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateCluster: once more with the same arguments is harmless."""
        name = values.get("clusterName") or DEFAULT_CLUSTER
        if not _NAME.fullmatch(name):
            raise invalid(r"ClusterName must match ^[a-zA-Z0-9\-_]{1,255}$")
        namespace = await self._namespace(caller, values)
        asked = self._asked(caller, values) | namespace
        self._tidy()
        have = self._records.clusters.get(arn(caller.region, caller.account, "cluster", name))
        if have is not None and have.status != "INACTIVE":
            if any(getattr(have, member) != value for member, value in asked.items()):
                raise invalid(_INCONSISTENT)
            return self._answer(have, _WHEN_MADE)
        cluster = Cluster(
            account=caller.account,
            region=caller.region,
            name=name,
            arn=arn(caller.region, caller.account, "cluster", name),
            created_at=self._clock.now(),
            **({"settings": (self._insight(caller),)} | asked),
        )
        return await self._kept(cluster, _WHEN_MADE)

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeClusters."""
        asked = values.get("clusters") or [DEFAULT_CLUSTER]
        if len(asked) > DESCRIBED_AT_ONCE_MAX:
            raise invalid(f"clusters can have at most {DESCRIBED_AT_ONCE_MAX} entries.")
        found: list[Values] = []
        failures: list[Values] = []
        for wanted in dict.fromkeys(_arn_of(caller, one) or one for one in asked):
            cluster = self._records.clusters.get(wanted)
            if cluster is None:
                failures.append({"arn": wanted, "reason": "MISSING"})
            else:
                found.append(self._view(cluster, values.get("include", ())))
        return {"clusters": found, "failures": failures}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListClusters: those that are not deleted."""
        found = [
            one
            for one in self._records.clusters.by("place", join_key(caller.account, caller.region))
            if one.status != "INACTIVE"
        ]
        taken, token = one_page(sorted(found, key=lambda one: one.arn), lambda one: one.arn, values)
        return {"clusterArns": [one.arn for one in taken], "nextToken": token}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteCluster: it must be empty; it is INACTIVE from now on."""
        cluster = find_cluster(self._records, caller, values["cluster"], active=False)
        records = self._records
        if any(one.status in REGISTERED for one in records.instances.by("cluster", cluster.arn)):
            raise _contains("ContainerInstances", "Container Instances are active or draining")
        if any(one.status != "INACTIVE" for one in records.services.by("cluster", cluster.arn)):
            raise _contains("Services", "Services are active")
        # Those that were told to stop end by themselves: a service is INACTIVE before its last task is STOPPED.
        if any(
            one.is_live and one.desired_status != "STOPPED"
            for one in records.tasks.by("cluster", cluster.arn)
        ):
            raise _contains("Tasks", "Tasks are active")
        if cluster.status == "INACTIVE":
            return self._answer(cluster, _WHEN_DELETED)
        return await self._kept(
            msgspec.structs.replace(cluster, status="INACTIVE", deleted_at=self._clock.now()), _WHEN_DELETED
        )

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateCluster."""
        changes = await self._namespace(caller, values)
        cluster = find_cluster(self._records, caller, values["cluster"])
        if "settings" in values:
            changes["settings"] = _settings(values["settings"])
        if "configuration" in values:
            changes["configuration"] = {**cluster.configuration, **_configuration(values["configuration"])}
        return await self._kept(msgspec.structs.replace(cluster, **changes))

    async def update_settings(self, caller: Caller, values: Values) -> Values | None:
        """UpdateClusterSettings."""
        cluster = find_cluster(self._records, caller, values["cluster"])
        return await self._kept(msgspec.structs.replace(cluster, settings=_settings(values["settings"])))

    async def put_providers(self, caller: Caller, values: Values) -> Values | None:
        """PutClusterCapacityProviders: what is given takes the place of what was there."""
        cluster = find_cluster(self._records, caller, values["cluster"])
        providers = checked_providers(values["capacityProviders"], self._known(caller))
        strategy = checked_strategy(values["defaultCapacityProviderStrategy"], providers)
        gone = set(cluster.capacity_providers) - set(providers)
        if gone and self._in_use(cluster, gone):
            raise AwsError(
                "ResourceInUseException", "The specified capacity provider is in use and cannot be removed."
            )
        return await self._kept(
            msgspec.structs.replace(cluster, capacity_providers=providers, default_strategy=strategy)
        )

    def _asked(self, caller: Caller, values: Values) -> dict[str, Any]:
        """What a client says of a new cluster, by the members of Cluster; only what it says."""
        asked: dict[str, Any] = {}
        if "settings" in values:
            asked["settings"] = _settings(values["settings"]) or (self._insight(caller),)
        if "configuration" in values:
            asked["configuration"] = _configuration(values["configuration"])
        if "capacityProviders" in values:
            asked["capacity_providers"] = checked_providers(values["capacityProviders"], self._known(caller))
        if "defaultCapacityProviderStrategy" in values:
            asked["default_strategy"] = checked_strategy(
                values["defaultCapacityProviderStrategy"], asked.get("capacity_providers", ())
            )
        if "tags" in values:
            asked["tags"] = checked_tags(values["tags"], {})
        return asked

    async def _namespace(self, caller: Caller, values: Values) -> dict[str, Any]:
        if "serviceConnectDefaults" not in values:
            return {}
        text = values["serviceConnectDefaults"]["namespace"]
        return {"service_connect_namespace": await self._namespaces(caller, text) if text else ""}

    def _insight(self, caller: Caller) -> Document:
        return {"name": "containerInsights", "value": self._insights(caller)}

    def _known(self, caller: Caller) -> set[str]:
        own = self._records.providers.by("place", join_key(caller.account, caller.region))
        return {one.name for one in own if one.status == "ACTIVE"}

    def _in_use(self, cluster: Cluster, providers: set[str]) -> bool:
        for service in self._records.services.by("cluster", cluster.arn):
            names = {item["capacityProvider"] for item in service.strategy}
            if service.status != "INACTIVE" and names & providers:
                return True
        tasks = self._records.tasks.by("cluster", cluster.arn)
        return any(one.is_live and one.capacity_provider in providers for one in tasks)

    async def _kept(self, cluster: Cluster, shown: tuple[str, ...] = _WHEN_CHANGED) -> Values:
        self._records.clusters.put(cluster)
        await self._records.store.commit()
        return self._answer(cluster, shown)

    def _answer(self, cluster: Cluster, shown: tuple[str, ...]) -> Values:
        if cluster.capacity_providers and cluster.status != "INACTIVE":
            shown = (*shown, "ATTACHMENTS")
        return {"cluster": self._view(cluster, shown)}

    def _view(self, cluster: Cluster, include: Iterable[str]) -> Values:
        records = self._records
        contents = Contents(
            records.tasks.by("cluster", cluster.arn),
            records.services.by("cluster", cluster.arn),
            records.instances.by("cluster", cluster.arn),
        )
        return cluster_view(cluster, contents, tuple(include), self._providers_of(cluster))

    def _providers_of(self, cluster: Cluster) -> list[CapacityProvider]:
        keys = [join_key(cluster.account, cluster.region, name) for name in cluster.capacity_providers]
        return [one for one in map(self._records.providers.get, keys) if one is not None]

    def _tidy(self) -> None:
        """Forget clusters that were deleted long ago."""
        before = self._clock.now() - SHOWN_SECONDS
        for one in self._records.clusters.all():
            if one.status == "INACTIVE" and one.deleted_at <= before:
                self._records.clusters.delete(one)


def _settings(asked: Iterable[Document]) -> tuple[Document, ...]:
    for setting in asked:
        if setting.get("name") != "containerInsights":
            raise invalid("Invalid setting 'name'")
        if setting.get("value") not in INSIGHTS:
            raise invalid("Invalid setting 'value'")
    return tuple(asked)


def _configuration(asked: Document) -> dict[str, Any]:
    command = asked.get("executeCommandConfiguration", {})
    logging, target = command.get("logging", "DEFAULT"), command.get("logConfiguration")
    if target is not None and logging != "OVERRIDE":
        raise invalid("You must set logging to 'OVERRIDE' when you supply a log configuration.")
    has_target = target and (target.get("cloudWatchLogGroupName") or target.get("s3BucketName"))
    if logging == "OVERRIDE" and not has_target:
        raise invalid(
            "A CloudWatch log group name or S3 bucket name must be specified when overriding the default "
            "log configuration."
        )
    return dict(asked)


def _contains(what: str, sentence: str) -> AwsError:
    return AwsError(f"ClusterContains{what}Exception", f"The Cluster cannot be deleted while {sentence}.")
