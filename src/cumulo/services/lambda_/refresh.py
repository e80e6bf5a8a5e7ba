"""What Terraform and others read of a function on every refresh, about things that cannot be made here yet.

Nothing here is invented: what cannot be created does not exist, so lists are empty and lookups find nothing.
"""

from collections.abc import Awaitable, Callable

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.model import LATEST
from cumulo.services.lambda_.names import Target, target
from cumulo.services.lambda_.registry import Registry
from cumulo.wire.service import Coverage, Operation, Values

_EMPTY = "nothing of the kind can be created yet, so there is none"


class Refresh:
    """Reads of what every function has by default, or has not."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        default = "the default, which nothing can change yet"
        return {
            "GetFunctionCodeSigningConfig": Operation(
                self.get_function_code_signing_config, Coverage.STORED, _EMPTY
            ),
            "GetRuntimeManagementConfig": Operation(
                self.get_runtime_management_config, Coverage.STORED, default
            ),
            "GetFunctionRecursionConfig": Operation(
                self.get_function_recursion_config, Coverage.STORED, default
            ),
            "GetFunctionEventInvokeConfig": Operation(
                self.get_function_event_invoke_config, Coverage.STORED, _EMPTY
            ),
            "GetFunctionUrlConfig": Operation(
                self._of_function("GetFunctionUrlConfig"), Coverage.STORED, _EMPTY
            ),
            "GetAlias": Operation(self.get_alias, Coverage.STORED, _EMPTY),
            "GetEventSourceMapping": Operation(self.get_nothing, Coverage.STORED, _EMPTY),
            "GetLayerVersion": Operation(self.get_nothing, Coverage.STORED, _EMPTY),
            "GetProvisionedConcurrencyConfig": Operation(
                self.get_provisioned_concurrency_config, Coverage.STORED, _EMPTY
            ),
            "ListAliases": self._empty("ListAliases", "Aliases"),
            "ListFunctionUrlConfigs": self._empty("ListFunctionUrlConfigs", "FunctionUrlConfigs"),
            "ListFunctionEventInvokeConfigs": self._empty(
                "ListFunctionEventInvokeConfigs", "FunctionEventInvokeConfigs"
            ),
            "ListProvisionedConcurrencyConfigs": self._empty(
                "ListProvisionedConcurrencyConfigs", "ProvisionedConcurrencyConfigs"
            ),
            "ListEventSourceMappings": Operation(_nothing("EventSourceMappings"), Coverage.STORED, _EMPTY),
            "ListLayers": Operation(_nothing("Layers"), Coverage.STORED, _EMPTY),
            "ListLayerVersions": Operation(_nothing("LayerVersions"), Coverage.STORED, _EMPTY),
            "ListCodeSigningConfigs": Operation(_nothing("CodeSigningConfigs"), Coverage.STORED, _EMPTY),
        }

    async def get_function_code_signing_config(self, caller: Caller, values: Values) -> Values | None:
        """No configuration: only the function's name."""
        found = self._existing(caller, values, "GetFunctionCodeSigningConfig")
        if self._registry.get(Target(found.account, found.region, found.name)).latest.from_image:
            raise errors.invalid(errors.NO_CODE_SIGNING)
        return {"FunctionName": found.name}

    async def get_runtime_management_config(self, caller: Caller, values: Values) -> Values | None:
        """Runtimes are those of the machine, updated when the machine is."""
        found = self._existing(caller, values, "GetRuntimeManagementConfig")
        if self._registry.get(Target(found.account, found.region, found.name)).latest.from_image:
            raise errors.invalid(
                f"Lambda couldn't get a runtime management configuration because {found.name} is a container"
                " image function."
            )
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{found.function_arn}:{found.version}"}

    async def get_function_recursion_config(self, caller: Caller, values: Values) -> Values | None:
        """AWS's default."""
        self._existing(caller, values, "GetFunctionRecursionConfig")
        return {"RecursiveLoop": "Terminate"}

    async def get_function_event_invoke_config(self, caller: Caller, values: Values) -> Values | None:
        """None exists."""
        found = self._existing(caller, values, "GetFunctionEventInvokeConfig")
        raise errors.not_found(
            f"The function {found.function_arn}:{found.version} doesn't have an EventInvokeConfig"
        )

    async def get_alias(self, caller: Caller, values: Values) -> Values | None:
        """None exists."""
        found = self._existing(caller, values, "GetAlias")
        raise errors.alias_not_found(f"{found.function_arn}:{values['Name']}")

    async def get_provisioned_concurrency_config(self, caller: Caller, values: Values) -> Values | None:
        """None exists."""
        self._existing(caller, values, "GetProvisionedConcurrencyConfig")
        raise AwsError(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
            status=404,
            fields={"Type": "User"},
        )

    async def get_nothing(self, _caller: Caller, _values: Values) -> Values | None:
        """None exists."""
        raise errors.nothing_there()

    def _of_function(self, operation: str) -> Callable[[Caller, Values], Awaitable[Values | None]]:
        async def run(caller: Caller, values: Values) -> Values | None:
            self._existing(caller, values, operation)
            raise errors.nothing_there()

        return run

    def _empty(self, operation: str, member: str) -> Operation:
        async def run(caller: Caller, values: Values) -> Values | None:
            self._existing(caller, values, operation)
            return {member: []}

        return Operation(run, Coverage.STORED, _EMPTY)

    def _existing(self, caller: Caller, values: Values, operation: str) -> Target:
        qualifier = values.get("Qualifier")
        found = target(caller, values["FunctionName"], qualifier, operation=operation)
        if qualifier in (None, LATEST) or operation == "GetProvisionedConcurrencyConfig":
            self._registry.get(Target(found.account, found.region, found.name))
        else:
            self._registry.version(found)
        return found


def _nothing(member: str) -> Callable[[Caller, Values], Awaitable[Values | None]]:
    async def run(_caller: Caller, _values: Values) -> Values | None:
        return {member: []}

    return run
