"""What a registry replicates, and how far it is."""

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.finding import image_of
from cumulo.services.ecr.rules.model import Destination, Registry, ReplicationRule, own_registry, unfit
from cumulo.services.ecr.rules.registries import Registries
from cumulo.services.ecr.rules.replicator import Replicator
from cumulo.wire.service import Values

RULES_MAX = 10
DESTINATIONS_MAX = 25  # of all rules together, each counted once
_PARAMETER = "replicationConfiguration"


class Replications:
    """The operations on replication."""

    def __init__(
        self, registries: Registries, clock: Clock, catalog: Catalog, replicator: Replicator
    ) -> None:
        self._registries = registries
        self._clock = clock
        self._catalog = catalog
        self._replicator = replicator

    async def describe(self, caller: Caller, values: Values) -> Values | None:  # noqa: ARG002 - it has no parameters
        """DescribeRegistry."""
        registry = self._registries.of(caller.account, caller.region)
        return {"registryId": caller.account, "replicationConfiguration": _shown(registry)}

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutReplicationConfiguration: for pushes from now on."""
        rules = tuple(_rule(given) for given in values["replicationConfiguration"]["rules"])
        _check(rules, Destination(caller.account, caller.region))
        registry = replace(
            self._registries.of(caller.account, caller.region),
            replication=rules,
            replication_since=self._clock.now(),
        )
        await self._registries.put(caller, registry)
        return {"replicationConfiguration": _shown(registry)}

    async def status(self, caller: Caller, values: Values) -> Values | None:
        """DescribeImageReplicationStatus."""
        own_registry(caller.account, values.get("registryId"))
        repository = self._catalog.repository(caller.account, caller.region, values["repositoryName"])
        asked = values["imageId"]
        image = image_of(self._catalog, repository, asked)
        return {
            "repositoryName": repository.name,
            "imageId": {**asked, "imageDigest": image.digest},
            "replicationStatuses": [
                {
                    "region": found.to.region,
                    "registryId": found.to.account,
                    "status": found.status,
                    "failureCode": found.failure or None,
                }
                for found in self._replicator.of_image(image)
            ],
        }


def _rule(given: Values) -> ReplicationRule:
    return ReplicationRule(
        tuple(Destination(to["registryId"], to["region"]) for to in given["destinations"]),
        tuple(found["filter"] for found in given.get("repositoryFilters", [])),
    )


def _check(rules: tuple[ReplicationRule, ...], home: Destination) -> None:
    if len(rules) > RULES_MAX:
        raise unfit(_PARAMETER, f"Replication configuration can have at most {RULES_MAX} rules")
    found: set[Destination] = set()
    for rule in rules:
        if not rule.destinations:
            raise unfit(_PARAMETER, "Replication rule must have at least one destination")
        if len(set(rule.destinations)) != len(rule.destinations):
            raise unfit(_PARAMETER, "Replication destinations of a rule must be unique")
        if home in rule.destinations:
            raise unfit(_PARAMETER, "Replication destination cannot be the same as the source registry")
        found.update(rule.destinations)
    if len(found) > DESTINATIONS_MAX:
        raise unfit(
            _PARAMETER, f"Replication configuration can have at most {DESTINATIONS_MAX} unique destinations"
        )


def _shown(registry: Registry) -> Values:
    rules = []
    for rule in registry.replication:
        filters = [{"filter": prefix, "filterType": "PREFIX_MATCH"} for prefix in rule.prefixes]
        rules.append(
            {
                "destinations": [{"region": to.region, "registryId": to.account} for to in rule.destinations],
                "repositoryFilters": filters or None,
            }
        )
    return {"rules": rules}
