"""What an account may have, and what it has."""

from cumulo.base.caller import Caller
from cumulo.services.lambda_.quotas import CODE_BYTES_TOTAL_MAX, UNZIPPED_BYTES_MAX, ZIP_BYTES_MAX
from cumulo.services.lambda_.registry import Registry
from cumulo.wire.service import Operation, Values


class Account:
    """GetAccountSettings; `concurrency` is what an account may run at the same time in a region."""

    def __init__(self, registry: Registry, concurrency: int) -> None:
        self._registry = registry
        self._concurrency = concurrency

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {"GetAccountSettings": Operation(self.get_account_settings)}

    def code_bytes(self, caller: Caller) -> int:
        """The zips of all versions together."""
        return sum(version.code_size for version in self._registry.versions(caller))

    def unreserved(self, caller: Caller, *, without: str = "") -> int:
        """Concurrency that no function has reserved (leaving the function `without` aside)."""
        reserved = sum(
            function.reserved_concurrency or 0
            for function in self._registry.functions(caller)
            if function.latest.name != without
        )
        return self._concurrency - reserved

    async def get_account_settings(self, caller: Caller, _values: Values) -> Values | None:
        """Show limits and usage."""
        return {
            "AccountLimit": {
                "TotalCodeSize": CODE_BYTES_TOTAL_MAX,
                "CodeSizeUnzipped": UNZIPPED_BYTES_MAX,
                "CodeSizeZipped": ZIP_BYTES_MAX,
                "ConcurrentExecutions": self._concurrency,
                "UnreservedConcurrentExecutions": self.unreserved(caller),
            },
            "AccountUsage": {
                "TotalCodeSize": self.code_bytes(caller),
                "FunctionCount": len(self._registry.functions(caller)),
            },
        }
