"""Reserved concurrency: what one function may have, and all others may not."""

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.services.lambda_.account import Account
from cumulo.services.lambda_.names import Target, unqualified
from cumulo.services.lambda_.registry import Registry
from cumulo.wire.service import Operation, Values

UNRESERVED_MAX = 100
UNRESERVED_MIN = 10


class Concurrency:
    """Put-, Get- and DeleteFunctionConcurrency; the data plane reads the number in `Ready`."""

    def __init__(self, registry: Registry, account: Account, concurrency: int) -> None:
        self._registry = registry
        self._account = account
        # AWS keeps 100 of 1,000 for everybody, and correspondingly less of smaller quotas.
        self._kept_unreserved = min(UNRESERVED_MAX, max(UNRESERVED_MIN, concurrency // 10))

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PutFunctionConcurrency": Operation(self.put_function_concurrency),
            "GetFunctionConcurrency": Operation(self.get_function_concurrency),
            "DeleteFunctionConcurrency": Operation(self.delete_function_concurrency),
        }

    async def put_function_concurrency(self, caller: Caller, values: Values) -> Values | None:
        """Reserve; 0 stops the function."""
        target = unqualified(caller, values["FunctionName"], operation="PutFunctionConcurrency")
        wanted: int = values["ReservedConcurrentExecutions"]
        self._registry.get(target)
        left = self._account.unreserved(caller, without=target.name) - wanted
        if left < self._kept_unreserved:
            raise AwsError(
                "InvalidParameterValueException",
                "Specified ReservedConcurrentExecutions for function decreases account's"
                f" UnreservedConcurrentExecution below its minimum value of [{self._kept_unreserved}].",
                fields={"Type": None},  # the one such error that AWS answers without it
            )
        await self._write(target, wanted)
        return {"ReservedConcurrentExecutions": wanted}

    async def get_function_concurrency(self, caller: Caller, values: Values) -> Values | None:
        """Show what is reserved; nothing when nothing is."""
        target = unqualified(caller, values["FunctionName"], operation="GetFunctionConcurrency")
        reserved = self._registry.get(target).reserved_concurrency
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    async def delete_function_concurrency(self, caller: Caller, values: Values) -> Values | None:
        """Give the reservation back."""
        await self._write(
            unqualified(caller, values["FunctionName"], operation="DeleteFunctionConcurrency"), None
        )
        return None

    async def _write(self, target: Target, reserved: int | None) -> None:
        function = self._registry.get(target)
        self._registry.put(msgspec.structs.replace(function, reserved_concurrency=reserved))
        await self._registry.commit()
