"""TestInvokeMethod and TestInvokeAuthorizer: the gateway's engine is handed in, and tried on the working copy of an API."""

from collections.abc import Awaitable, Callable
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.gateway.definitions.rest import Authorizer, Method, Resource, RestDefinition
from cumulo.services.apigateway.finding import authorizer_of, method_of
from cumulo.services.apigateway.records import Records
from cumulo.wire.service import Operation, Values

TryMethod = Callable[[RestDefinition, Resource, Method, Values], Awaitable[Values]]
"""Runs a method once: TestInvokeMethod's values in, its answer's members out."""
TryAuthorizer = Callable[[RestDefinition, Authorizer, Values], Awaitable[Values]]
"""Asks an authorizer once: TestInvokeAuthorizer's values in, its answer's members out."""
_WHY: Final = "nothing that could run it was handed in"


class Trying:
    """The operations that try an API before it is deployed."""

    def __init__(
        self, records: Records, try_method: TryMethod | None, try_authorizer: TryAuthorizer | None
    ) -> None:
        self._records = records
        self._try_method = try_method
        self._try_authorizer = try_authorizer

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "TestInvokeMethod": Operation(self.method),
            "TestInvokeAuthorizer": Operation(self.authorizer),
        }

    async def method(self, caller: Caller, values: Values) -> Values | None:
        """TestInvokeMethod."""
        api, resource, method = method_of(self._records, caller, values)
        if self._try_method is None:
            raise not_implemented("apigateway", "TestInvokeMethod", _WHY)
        return await self._try_method(api.definition, resource, method, values)

    async def authorizer(self, caller: Caller, values: Values) -> Values | None:
        """TestInvokeAuthorizer."""
        api, authorizer = authorizer_of(self._records, caller, values)
        if self._try_authorizer is None:
            raise not_implemented("apigateway", "TestInvokeAuthorizer", _WHY)
        return await self._try_authorizer(api.definition, authorizer, values)
