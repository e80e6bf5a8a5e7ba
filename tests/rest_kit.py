"""REST APIs for tests of the data plane: definitions in few words, and stages compiled on fakes."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from cumulo.gateway.definitions.rest import (
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    Resource,
    RestDefinition,
    RestStage,
)
from cumulo.gateway.rest.compile import RestCompiled, compile_rest
from cumulo.gateway.visit import Visit
from cumulo.wire.http import Response
from tests.gateway_kit import ACCOUNT, API, FUNCTION, REGION, World, body_of, header_of, visit

STAGE = "dev"
OK = {"200": IntegrationResponse(status_code="200")}
LAMBDA_URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
STREAM_URI = (
    f"arn:aws:apigateway:{REGION}:lambda:path/2021-11-15/functions/{FUNCTION}/response-streaming-invocations"
)


def mock(response: Any = None, *, status: int = 200, **settings: Any) -> Integration:
    """A MOCK that answers a JSON value."""
    templates = {} if response is None else {"application/json": json.dumps(response)}
    defaults: dict[str, Any] = {
        "request_templates": {"application/json": json.dumps({"statusCode": status})},
        "integration_responses": {
            "200": IntegrationResponse(status_code="200", response_templates=templates)
        },
    }
    return Integration(type="MOCK", **(defaults | settings))


def proxy(**settings: Any) -> Integration:
    """An AWS_PROXY to the one function."""
    return Integration(**({"type": "AWS_PROXY", "http_method": "POST", "uri": LAMBDA_URI} | settings))


def method(integration: Integration | None, name: str = "GET", **settings: Any) -> Method:
    """A method that may answer 200, and whatever its integration responses say."""
    statuses = {"200"} if integration is None else {"200", *(
        response.status_code for response in integration.integration_responses.values()
    )}  # fmt: skip
    responses = {status: MethodResponse(status_code=status) for status in statuses}
    return Method(
        **({"http_method": name, "integration": integration, "method_responses": responses} | settings)
    )


def resources(paths: Mapping[str, Mapping[str, Method] | Method | Integration]) -> tuple[Resource, ...]:
    """Resources by path; a method or an integration alone is one of GET."""
    made = []
    for number, (path, given) in enumerate(paths.items()):
        alone = method(given) if isinstance(given, Integration) else given
        methods = {alone.http_method: alone} if isinstance(alone, Method) else alone
        made.append(
            Resource(id=f"res{number:03}", path=path, path_part=path.rpartition("/")[2], methods=methods)
        )
    return tuple(made)


def definition(
    paths: Mapping[str, Mapping[str, Method] | Method | Integration], **settings: Any
) -> RestDefinition:
    """A REST API."""
    return RestDefinition(
        api_id=API, account=ACCOUNT, region=REGION, name="pets", resources=resources(paths), **settings
    )


def compiled(
    world: World, paths: Mapping[str, Any], *, stage: Mapping[str, Any] | None = None, **settings: Any
) -> RestCompiled:
    """A stage of a REST API, ready to answer."""
    options = {
        name: settings.pop(name)
        for name in ("chance", "canary_definition", "authorization")
        if name in settings
    }
    settled = RestStage(**({"stage_name": STAGE, "deployment_id": "dep001"} | dict(stage or {})))
    options.setdefault("authorization", lambda *_: None)
    return compile_rest(definition(paths, **settings), settled, world.tools, **options)


class Answered:
    """An answer with its whole body."""

    def __init__(self, response: Response, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body
        self._response = response

    def header(self, name: str) -> str | None:
        """A header; several joined by commas."""
        return header_of(self._response, name)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def asked(
    api: RestCompiled,
    name: str = "GET",
    target: str = "/",
    headers: Any = (),
    body: bytes = b"",
    **options: Any,
) -> Answered:
    """Send a request to a stage."""
    return await answered(api, visit(name, target, headers, body, stage=STAGE, **options))


async def answered(api: RestCompiled, coming: Visit) -> Answered:
    """Send a visit to a stage."""
    response = await api.answer(coming)
    return Answered(response, await body_of(response))


def ask(
    api: RestCompiled,
    name: str = "GET",
    target: str = "/",
    headers: Any = (),
    body: bytes = b"",
    **options: Any,
) -> Answered:
    """Send a request to a stage, in a loop of its own."""
    return asyncio.run(asked(api, name, target, headers, body, **options))
