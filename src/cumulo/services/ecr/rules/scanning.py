"""What a registry wants scanned.  It is kept and shown; nothing is scanned, for there is no scanner."""

from typing import Any

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.rules.model import Registry, ScanRule, unfit
from cumulo.services.ecr.rules.plan import matched
from cumulo.services.ecr.rules.registries import Registries
from cumulo.wire.service import Values

_FREQUENCIES = {"BASIC": ("SCAN_ON_PUSH", "MANUAL"), "ENHANCED": ("SCAN_ON_PUSH", "CONTINUOUS_SCAN")}


class Scanning:
    """The operations on scanning configurations."""

    def __init__(self, registries: Registries, catalog: Catalog) -> None:
        self._registries = registries
        self._catalog = catalog

    async def get(self, caller: Caller, values: Values) -> Values | None:  # noqa: ARG002 - it has no parameters
        """GetRegistryScanningConfiguration."""
        registry = self._registries.of(caller.account, caller.region)
        return {"registryId": caller.account, "scanningConfiguration": _shown(registry)}

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutRegistryScanningConfiguration."""
        kind, rules = values.get("scanType", "BASIC"), values.get("rules", [])
        for rule in rules:
            if rule["scanFrequency"] not in _FREQUENCIES[kind]:
                raise unfit(
                    "rules",
                    f"The scan frequency {rule['scanFrequency']} is not supported for {kind} scanning",
                )
        if len({rule["scanFrequency"] for rule in rules}) != len(rules):
            raise unfit("rules", "Scan frequencies must be unique")
        registry = replace(
            self._registries.of(caller.account, caller.region),
            scan_type=kind,
            scan_rules=tuple(
                ScanRule(rule["scanFrequency"], tuple(f["filter"] for f in rule["repositoryFilters"]))
                for rule in rules
            ),
        )
        await self._registries.put(caller, registry)
        return {"registryScanningConfiguration": _shown(registry)}

    async def repositories(self, caller: Caller, values: Values) -> Values | None:
        """BatchGetRepositoryScanningConfiguration."""
        registry = self._registries.of(caller.account, caller.region)
        found, failures = [], []
        for name in values["repositoryNames"]:
            repository = self._catalog.find(caller.account, caller.region, name)
            if repository is None:
                failures.append(_failure(name))
            else:
                found.append(_of_repository(registry, repository))
        return {"scanningConfigurations": found, "failures": failures}


def _failure(name: str) -> Values:
    code = "REPOSITORY_NOT_FOUND"
    return {"repositoryName": name, "failureCode": code, "failureReason": code}


def _of_repository(registry: Registry, repository: Repository) -> Values:
    """The first rule that fits: continuous before on push, as AWS prefers them."""
    order = ("CONTINUOUS_SCAN", "SCAN_ON_PUSH", "MANUAL")
    frequency, filters = ("SCAN_ON_PUSH", []) if repository.scan_on_push else ("MANUAL", list[str]())
    for rule in sorted(registry.scan_rules, key=lambda rule: order.index(rule.frequency)):
        hits = matched(rule.filters, repository.name)
        if hits:
            frequency, filters = rule.frequency, hits
            break
    return {
        "repositoryArn": repository.arn,
        "repositoryName": repository.name,
        "scanOnPush": frequency == "SCAN_ON_PUSH" or repository.scan_on_push,
        "scanFrequency": frequency,
        "appliedScanFilters": _filters(filters),
    }


def _shown(registry: Registry) -> Values:
    return {
        "scanType": registry.scan_type,
        "rules": [
            {"scanFrequency": rule.frequency, "repositoryFilters": _filters(rule.filters)}
            for rule in registry.scan_rules
        ],
    }


def _filters(filters: tuple[str, ...] | list[str]) -> list[dict[str, Any]]:
    return [{"filter": pattern, "filterType": "WILDCARD"} for pattern in filters]
