"""An HTTP API for tests: routes and integrations in a line, and requests to it."""

import asyncio

from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION, World, visit

from cumulo.gateway.definitions.v2 import Integration, Route, V2Definition, V2Stage
from cumulo.gateway.http.compile import compile_http


def function(**members) -> Integration:
    return Integration(
        **{
            "id": "i",
            "integration_type": "AWS_PROXY",
            "integration_uri": FUNCTION,
            "payload_format_version": "2.0",
            **members,
        }
    )


def proxy(uri: str = "http://backend.example", **members) -> Integration:
    return Integration(
        **{
            "id": "i",
            "integration_type": "HTTP_PROXY",
            "integration_uri": uri,
            "integration_method": "ANY",
            **members,
        }
    )


def service(subtype: str, **parameters: str) -> Integration:
    return Integration(
        id="i",
        integration_type="AWS_PROXY",
        integration_subtype=subtype,
        request_parameters=parameters,
        credentials_arn="arn:aws:iam::123456789012:role/r",
    )


class HttpApi:
    """One integration behind routes, in a world of fakes."""

    def __init__(
        self,
        integration: Integration | None,
        *keys: str,
        stage: V2Stage | None = None,
        routes: tuple[Route, ...] = (),
        world: World | None = None,
        authorization=None,
        **members,
    ) -> None:
        self.world = world or World()
        self.stage = stage or V2Stage(stage_name="$default")
        routes = routes or tuple(
            Route(id=key, route_key=key, target="integrations/i" if integration else "")
            for key in keys or ("$default",)
        )
        self.definition = V2Definition(
            **{
                "api_id": API,
                "account": ACCOUNT,
                "region": REGION,
                "protocol_type": "HTTP",
                "routes": routes,
                "integrations": {"i": integration} if integration else {},
                **members,
            }
        )
        self.compiled = compile_http(
            self.definition,
            self.stage,
            self.world.tools,
            authorization=authorization or (lambda *given: None),
        )

    def answers(self, handler) -> "HttpApi":
        """What the function does."""
        self.world.invoker.functions[FUNCTION] = handler
        return self

    def ask(self, *args, **options):
        """Send a request; its answer, with the whole body."""
        self.visit = visit(*args, **{"stage": self.stage.stage_name, **options})

        async def run():
            response = await self.compiled.answer(self.visit)
            if not isinstance(response.body, bytes):
                response.body = b"".join([piece async for piece in response.body])
            return response

        return asyncio.run(run())

    def event(self, *args, **options):
        """The event of a request."""
        self.answers(lambda event: {"statusCode": 200})
        self.ask(*args, **options)
        return self.world.invoker.event
