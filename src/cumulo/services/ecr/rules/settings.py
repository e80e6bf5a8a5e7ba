"""Account settings: BASIC_SCAN_TYPE_VERSION, REGISTRY_POLICY_SCOPE and BLOB_MOUNTING.

The last two have effect: on which policies a registry takes, and on whether layers are mounted across repositories.
"""

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.services.ecr.rules.model import Registry, unfit
from cumulo.services.ecr.rules.plan import account_settings
from cumulo.services.ecr.rules.registries import Registries
from cumulo.wire.service import Values

REGISTRY_POLICY_SCOPE = "REGISTRY_POLICY_SCOPE"
BLOB_MOUNTING = "BLOB_MOUNTING"


def setting(registry: Registry, name: str) -> str:
    """The value of a setting that there is."""
    return registry.settings.get(name) or account_settings()[name][1]


class AccountSettings:
    """The operations on account settings."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    def blob_mounting(self, account: str, region: str) -> bool:
        """Whether layers may be mounted across repositories of an account: unless somebody has said no.

        AWS mounts only where it was switched on.  Here a mount costs nothing and saves a push, so silence is a yes.
        """
        return self._registries.of(account, region).settings.get(BLOB_MOUNTING) != "DISABLED"

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetAccountSetting."""
        name = _known(values["name"])
        return {"name": name, "value": setting(self._registries.of(caller.account, caller.region), name)}

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutAccountSetting."""
        name, value = _known(values["name"]), values["value"]
        allowed = account_settings()[name][0]
        if value not in allowed:
            raise unfit("value", f"Value of {name} must be one of: {', '.join(allowed)}")
        registry = self._registries.of(caller.account, caller.region)
        await self._registries.put(caller, replace(registry, settings={**registry.settings, name: value}))
        return {"name": name, "value": value}


def _known(name: str) -> str:
    if name not in account_settings():
        raise unfit("name", f"Account setting must be one of: {', '.join(account_settings())}")
    return name
