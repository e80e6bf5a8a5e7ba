"""APIs as wholes, for whoever brings one from elsewhere (OpenAPI): made or replaced in one transaction.

What is handed in must be right as it is: ids fit together, and the rules of routes, integrations, authorizers and
models hold (`check` says so as the single operations would).
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import V2Definition
from cumulo.services.apigatewayv2 import authorizer_rules, integration_rules, route_rules, tagging
from cumulo.services.apigatewayv2.apis import Apis, view
from cumulo.services.apigatewayv2.authorizers import AUTHORIZERS_MAX
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.integrations import INTEGRATIONS_MAX
from cumulo.services.apigatewayv2.records import Api
from cumulo.services.apigatewayv2.refusals import too_many
from cumulo.services.apigatewayv2.routes import ROUTES_MAX
from cumulo.wire.service import Values


class Contents:
    """Working copies as wholes."""

    def __init__(self, desk: Desk, apis: Apis) -> None:
        self._desk = desk
        self._apis = apis

    def new_id(self, length: int) -> str:
        """An id for something in a definition (identifiers.ROUTE for routes and integrations, else OTHER)."""
        return self._desk.new_id(length)

    def blank(self, caller: Caller, protocol_type: str) -> V2Definition:
        """An empty working copy with a new API's id, to be filled and handed to `assemble`."""
        return self._apis.blank(caller, protocol_type)

    def find(self, caller: Caller, api_id: str) -> Api:
        """The API.  NotFoundException."""
        return self._desk.api(caller, {"ApiId": api_id})

    async def assemble(
        self,
        definition: V2Definition,
        *,
        description: str = "",
        version: str = "",
        tags: Mapping[str, str] | None = None,
        import_info: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> Api:
        """Make an API of a definition; committed when it returns."""
        check(definition)
        return await self._desk.put(
            Api(
                definition=definition,
                created=self._desk.clock.now(),
                description=description,
                version=version,
                tags=tagging.checked(tags or {}, {}),
                import_info=tuple(import_info),
                warnings=tuple(warnings),
            )
        )

    async def replace_contents(
        self,
        api: Api,
        definition: V2Definition,
        *,
        description: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        import_info: Sequence[str] = (),
        warnings: Sequence[str] = (),
    ) -> Api:
        """Give an API another working copy; deployed where stages do so by themselves, committed when it returns."""
        identity = api.definition
        definition = replace(
            definition,
            api_id=identity.api_id,
            account=identity.account,
            region=identity.region,
            protocol_type=identity.protocol_type,
        )
        check(definition)
        return await self._desk.put(
            replace(
                api,
                definition=definition,
                description=api.description if description is None else description,
                version=api.version if version is None else version,
                tags=tagging.checked(tags or {}, api.tags),
                import_info=tuple(import_info),
                warnings=tuple(warnings),
            )
        )

    def view(self, api: Api, caller: Caller) -> Values:
        """An API as ImportApi and ReimportApi show it."""
        return view(api, caller)


def check(definition: V2Definition) -> None:
    """Whether all of a definition holds.  AwsError as the single operations say it."""
    http = definition.protocol_type == "HTTP"
    for things, most, what in (
        (definition.routes, ROUTES_MAX, "Routes"),
        (definition.integrations, INTEGRATIONS_MAX, "Integrations"),
        (definition.authorizers, AUTHORIZERS_MAX, "Authorizers"),
    ):
        if len(things) > most:
            raise too_many(what)
    for integration in definition.integrations.values():
        (integration_rules.check_http if http else integration_rules.check_websocket)(integration)
    for authorizer in definition.authorizers.values():
        (authorizer_rules.check_http if http else authorizer_rules.check_websocket)(authorizer)
    for number, route in enumerate(definition.routes):
        route_rules.check(replace(definition, routes=definition.routes[:number]), route)
