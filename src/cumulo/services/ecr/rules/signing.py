"""What a registry wants signed.  It is kept and shown; nothing is signed, for there is no signer here."""

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.finding import image_of
from cumulo.services.ecr.rules.model import SigningRule, own_registry
from cumulo.services.ecr.rules.plan import matched
from cumulo.services.ecr.rules.registries import Registries
from cumulo.wire.service import Values


class Signing:
    """The operations on signing."""

    def __init__(self, registries: Registries, catalog: Catalog) -> None:
        self._registries = registries
        self._catalog = catalog

    async def get(self, caller: Caller, values: Values) -> Values | None:  # noqa: ARG002 - it has no parameters
        """GetSigningConfiguration."""
        return {"registryId": caller.account, "signingConfiguration": _shown(self._rules(caller))}

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutSigningConfiguration."""
        rules = tuple(
            SigningRule(
                rule["signingProfileArn"], tuple(f["filter"] for f in rule.get("repositoryFilters", []))
            )
            for rule in values["signingConfiguration"]["rules"]
        )
        registry = self._registries.of(caller.account, caller.region)
        await self._registries.put(caller, replace(registry, signing=rules))
        return {"signingConfiguration": _shown(rules)}

    async def delete(self, caller: Caller, values: Values) -> Values | None:  # noqa: ARG002
        """DeleteSigningConfiguration."""
        rules = self._rules(caller)
        registry = self._registries.of(caller.account, caller.region)
        await self._registries.put(caller, replace(registry, signing=None))
        return {"registryId": caller.account, "signingConfiguration": _shown(rules)}

    async def status(self, caller: Caller, values: Values) -> Values | None:
        """DescribeImageSigningStatus: whoever asks learns that what should be signed is not."""
        own_registry(caller.account, values.get("registryId"))
        repository = self._catalog.repository(caller.account, caller.region, values["repositoryName"])
        asked = values["imageId"]
        image = image_of(self._catalog, repository, asked)
        rules = self._registries.of(caller.account, caller.region).signing or ()
        profiles = {
            rule.profile_arn: None
            for rule in rules
            if not rule.filters or matched(rule.filters, repository.name)
        }
        return {
            "repositoryName": repository.name,
            "imageId": {**asked, "imageDigest": image.digest},
            "registryId": caller.account,
            "signingStatuses": [
                {
                    "signingProfileArn": profile,
                    "status": "FAILED",
                    "failureCode": "SigningNotAvailable",
                    "failureReason": "No signer is configured in this cloud, so images are not signed.",
                }
                for profile in profiles
            ],
        }

    def _rules(self, caller: Caller) -> tuple[SigningRule, ...]:
        rules = self._registries.of(caller.account, caller.region).signing
        if rules is None:
            raise AwsError(
                "SigningConfigurationNotFoundException",
                f"Signing configuration does not exist in the registry with id '{caller.account}'",
            )
        return rules


def _shown(rules: tuple[SigningRule, ...]) -> Values:
    shown = []
    for rule in rules:
        filters = [{"filter": pattern, "filterType": "WILDCARD_MATCH"} for pattern in rule.filters]
        shown.append({"signingProfileArn": rule.profile_arn, "repositoryFilters": filters or None})
    return {"rules": shown}
