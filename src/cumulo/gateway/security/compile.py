"""Who may call: for each method of a REST API and each route of the others, one closure that asks.

    rest_authorization ─┬─ AWS_IAM             iam.py
                        ├─ CUSTOM              lambda_authorizer.py     each together with the API's
                        ├─ COGNITO_USER_POOLS  cognito.py               resource policy (resource_policy.py)
                        └─ NONE
    v2_authorization ───┬─ AWS_IAM             iam.py
                        ├─ CUSTOM              lambda_authorizer.py
                        └─ JWT                 jwt.py
"""

from collections.abc import Awaitable, Callable

from cumulo.gateway.definitions.rest import Method, Resource, RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import Route, V2Definition, V2Stage
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Visit

Authorize = Callable[[Visit], Awaitable[Grant]]
"""Asks who calls.  Refused when they may not; the visit's `$context` is left to the caller to fill from the Grant."""

PolicyCheck = Callable[[Visit, Grant | None], None]
"""Asks an API's resource policy.  Refused ACCESS_DENIED."""


def rest_authorization(
    definition: RestDefinition, stage: RestStage, resource: Resource, method: Method, tools: Tools
) -> Authorize | None:
    """What a method asks for, with the API's resource policy (which IAM and Lambda authorizers have a say in).

    None when everybody may call it.
    """
    raise NotImplementedError


def v2_authorization(
    definition: V2Definition, stage: V2Stage, route: Route, tools: Tools
) -> Authorize | None:
    """What a route of an HTTP or WebSocket API asks for; None when everybody may call it."""
    raise NotImplementedError


def resource_policy(definition: RestDefinition, tools: Tools) -> PolicyCheck:
    """The API's resource policy by itself, for requests that no `rest_authorization` was asked about.

    Passes at once a grant that is settled, and everything when the API has no policy.
    """
    raise NotImplementedError
