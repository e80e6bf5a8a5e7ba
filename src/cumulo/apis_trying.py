"""TestInvokeMethod and TestInvokeAuthorizer: from AWS's members to the gateway's engine, and back."""

from collections.abc import Callable

from cumulo.base.errors import not_implemented
from cumulo.gateway.definitions.rest import Authorizer, Method, Resource, RestDefinition
from cumulo.gateway.tools import Tools
from cumulo.wire.service import Values


class Trials:
    """Tries methods and authorizers; `tools` are asked for at the first trial."""

    def __init__(self, tools: Callable[[], Tools]) -> None:
        self._tools = tools

    async def method(
        self, definition: RestDefinition, resource: Resource, method: Method, values: Values
    ) -> Values:
        """TestInvokeMethod."""
        from cumulo.gateway.rest.method_test import MethodTests

        if values.get("clientCertificateId"):
            raise not_implemented("apigateway", "TestInvokeMethod", "clientCertificateId")
        return await MethodTests(self._tools())(definition, resource, method, values)

    async def authorizer(self, definition: RestDefinition, authorizer: Authorizer, values: Values) -> Values:
        """TestInvokeAuthorizer."""
        from cumulo.gateway.security.authorizer_trial import try_authorizer

        several = values.get("multiValueHeaders", {})
        headers = [*values.get("headers", {}).items()]
        headers += [(name, value) for name, given in several.items() for value in given]
        said = await try_authorizer(
            definition,
            authorizer,
            self._tools(),
            headers=headers,
            path_with_query=values.get("pathWithQueryString", "/"),
            body=values.get("body", "").encode(),
            stage_variables=values.get("stageVariables", {}),
            additional_context=values.get("additionalContext", {}),
        )
        return {
            "clientStatus": said.client_status,
            "log": said.log,
            "latency": said.latency,
            "principalId": said.principal_id or None,
            "policy": said.policy or None,
            "authorization": {name: list(given) for name, given in said.authorization.items()},
            "claims": dict(said.claims),
        }
