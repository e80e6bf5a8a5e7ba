"""Permissions of other accounts on a registry."""

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.ecr.rules.model import unfit
from cumulo.services.ecr.rules.policy import fault
from cumulo.services.ecr.rules.registries import Registries
from cumulo.services.ecr.rules.settings import REGISTRY_POLICY_SCOPE, setting
from cumulo.wire.service import Values


class RegistryPolicies:
    """The operations on a registry's policy."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutRegistryPolicy."""
        registry = self._registries.of(caller.account, caller.region)
        if fault(values["policyText"], scope=setting(registry, REGISTRY_POLICY_SCOPE)):
            raise unfit("PolicyText", "Invalid registry policy provided")
        await self._registries.put(caller, replace(registry, policy=values["policyText"]))
        return _shown(caller, values["policyText"])

    async def get(self, caller: Caller, values: Values) -> Values | None:  # noqa: ARG002 - it has no parameters
        """GetRegistryPolicy."""
        return _shown(caller, self._text(caller))

    async def delete(self, caller: Caller, values: Values) -> Values | None:  # noqa: ARG002
        """DeleteRegistryPolicy."""
        text = self._text(caller)
        registry = self._registries.of(caller.account, caller.region)
        await self._registries.put(caller, replace(registry, policy=""))
        return _shown(caller, text)

    def _text(self, caller: Caller) -> str:
        text = self._registries.of(caller.account, caller.region).policy
        if not text:
            raise AwsError(
                "RegistryPolicyNotFoundException",
                f"Registry policy does not exist in the registry with id '{caller.account}'",
            )
        return text


def _shown(caller: Caller, text: str) -> Values:
    return {"registryId": caller.account, "policyText": text}
