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
        from cumulo.gateway.rest.method_test import MethodTest, run_method_test

        if values.get("clientCertificateId"):
            raise not_implemented("apigateway", "TestInvokeMethod", "clientCertificateId")
        several = values.get("multiValueHeaders", {})
        request = MethodTest(
            path_with_query=values.get("pathWithQueryString", ""),
            headers=values.get("headers", {}),
            multi_value_headers={name: tuple(given) for name, given in several.items()},
            body=values.get("body", ""),
            stage_variables=values.get("stageVariables", {}),
        )
        said = await run_method_test(
            definition,
            self._tools(),
            resource_id=resource.id,
            http_method=method.http_method,
            request=request,
        )
        return {
            "status": said.status,
            "body": said.body,
            "headers": dict(said.headers),
            "multiValueHeaders": dict(said.multi_value_headers),
            "log": said.log,
            "latency": said.latency,
        }

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
