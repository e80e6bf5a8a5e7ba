"""Who may call: for each method of a REST API and each route of the others, one closure that asks.

rest_authorization ─┬─ AWS_IAM             iam.py
                    ├─ CUSTOM              lambda_authorizer.py     each together with the API's
                    ├─ COGNITO_USER_POOLS  cognito.py               resource policy (resource_policy.py)
                    └─ NONE
v2_authorization ───┬─ AWS_IAM             iam.py
                    ├─ CUSTOM              lambda_authorizer.py
                    └─ JWT                 jwt.py
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cumulo.base.policy import Decision
from cumulo.base.policy_principals import Who
from cumulo.gateway.definitions.rest import Authorizer, Method, Resource, RestDefinition, RestStage
from cumulo.gateway.definitions.v2 import Authorizer as V2Authorizer
from cumulo.gateway.definitions.v2 import Route, V2Definition, V2Stage
from cumulo.gateway.security.arns import api_arn, request_arns
from cumulo.gateway.security.iam import Signatures, http_authorization, identity_of
from cumulo.gateway.security.jwt import jwt_authorization
from cumulo.gateway.security.lambda_authorizer import (
    LambdaAuthorizer,
    Opinion,
    http_ways,
    rest_ways,
    websocket_ways,
)
from cumulo.gateway.security.resource_policy import (
    ALLOW,
    DENY,
    NEITHER,
    ResourcePolicy,
    condition_keys,
    refuse,
    together,
)
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit

Authorize = Callable[[Visit], Awaitable[Grant]]
"""Asks who calls.  Refused when they may not; then `$context.authorizer` has `error`, else it is the pipeline's to fill."""

PolicyCheck = Callable[[Visit, Grant | None], None]
"""Asks an API's resource policy.  Refused ACCESS_DENIED."""

NOBODY = Who()


def rest_authorization(
    definition: RestDefinition, stage: RestStage, resource: Resource, method: Method, tools: Tools
) -> Authorize | None:
    """What a method asks for, with the API's resource policy (which IAM and Lambda authorizers have a say in).

    None when everybody may call it.
    """
    place = _place(definition, stage.stage_name, "REST")
    policy = ResourcePolicy(definition) if definition.policy else None
    if method.authorization_type == "NONE":
        return _policy_alone(place, policy, tools) if policy is not None else None
    if method.authorization_type == "AWS_IAM":
        return _signed(place, policy, tools)
    authorizer = definition.authorizers.get(method.authorizer_id)
    if authorizer is None:
        return _misconfigured(None)
    if method.authorization_type == "COGNITO_USER_POOLS":
        return _cognito(place, policy, authorizer, method, tools)
    asked = LambdaAuthorizer(
        rest_ways(authorizer, resource, method, stage.variables), place, stage.variables, tools
    )
    return _custom(place, policy, asked, tools)


def v2_authorization(
    definition: V2Definition, stage: V2Stage, route: Route, tools: Tools
) -> Authorize | None:
    """What a route of an HTTP or WebSocket API asks for; None when everybody may call it."""
    websocket = definition.protocol_type == "WEBSOCKET"
    place = _place(definition, stage.stage_name, definition.protocol_type)
    kind = route.authorization_type
    if kind == "NONE":
        return None
    if kind == "AWS_IAM":
        if websocket:
            return _signed(place, None, tools, route=route.route_key)
        return http_authorization(place.region, place.account, tools)
    authorizer = definition.authorizers.get(route.authorizer_id)
    if authorizer is None:
        return _misconfigured(None if websocket else "Internal Server Error")
    if kind == "JWT":
        return jwt_authorization(authorizer, route.authorization_scopes, place.account, tools)
    if websocket:
        ways = websocket_ways(authorizer, stage.variables)
        asked = LambdaAuthorizer(ways, place, stage.variables, tools)
        return _custom(place, None, asked, tools, route=route.route_key)
    return _http_custom(place, authorizer, stage, route, tools)


def resource_policy(definition: RestDefinition, tools: Tools) -> PolicyCheck:
    """The API's resource policy by itself, for requests that no `rest_authorization` was asked about.

    Passes at once a grant that is settled, and everything when the API has no policy.
    """
    policy = ResourcePolicy(definition) if definition.policy else None

    def check(visit: Visit, grant: Grant | None) -> None:
        if policy is None or (grant is not None and grant.settled):
            return
        place = _place(definition, visit.address.stage, "REST")
        arns = _arns(place, visit)
        refuse(_said(policy, visit, arns, NOBODY, tools), arn=arns[0])

    return check


def _place(definition: RestDefinition | V2Definition, stage: str, kind: str) -> Place:
    return Place(
        account=definition.account,
        region=definition.region,
        api_id=definition.api_id,
        stage=stage,
        kind=kind,
        api_name=definition.name,
    )


def _arns(place: Place, visit: Visit, route: str = "") -> tuple[str, ...]:
    """The request's ARN, and how else it may be written; that of a WebSocket's route ends with its key."""
    api = api_arn(place.region, place.account, place.api_id)
    if route:
        return (f"{api}/{place.stage}/{route}",)
    decoded = place.kind == "HTTP"
    return request_arns(api, place.stage, visit.request.method, visit.address.path, decoded=decoded)


def _decide(decide: Callable[[str], Decision], arns: Sequence[str]) -> Decision:
    """What is said of a request, by its ARN; a denial of what else it may be written as denies it too."""
    decision = decide(arns[0])
    return DENY if any(decide(one) is DENY for one in arns[1:]) else decision


def _said(policy: ResourcePolicy, visit: Visit, arns: Sequence[str], who: Who, tools: Tools) -> Decision:
    now = tools.clock.now()
    return _decide(lambda arn: policy.decide(visit, arn, who, now), arns)


def _own(opinion: Opinion, visit: Visit, arns: Sequence[str], tools: Tools) -> Decision:
    keys = condition_keys(visit, NOBODY, tools.clock.now())
    return _decide(lambda arn: opinion.said.decide(arn, keys), arns)


def _misconfigured(message: str | None) -> Authorize:
    """For an authorizer that is not there any more."""

    async def authorize(visit: Visit) -> Grant:
        visit.context["authorizer"] = {"error": "There is no such authorizer", "status": 500}
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR", message)

    return authorize


def _policy_alone(place: Place, policy: ResourcePolicy, tools: Tools) -> Authorize:
    async def authorize(visit: Visit) -> Grant:
        arns = _arns(place, visit)
        refuse(_said(policy, visit, arns, NOBODY, tools), arn=arns[0])
        return Grant(settled=True)

    return authorize


def _signed(place: Place, policy: ResourcePolicy | None, tools: Tools, *, route: str = "") -> Authorize:
    signatures = Signatures(place.region, place.account, tools)

    async def authorize(visit: Visit) -> Grant:
        signer = await signatures.signer(visit)
        arns = _arns(place, visit, route)
        said = NEITHER if policy is None else _said(policy, visit, arns, signer.who, tools)
        decision = together(ALLOW, said, same_account=signer.account == place.account)
        refuse(decision, arn=arns[0], user=signer.arn)
        return Grant(kind="IAM", identity=identity_of(signer), settled=True)

    return authorize


def _cognito(
    place: Place, policy: ResourcePolicy | None, authorizer: Authorizer, method: Method, tools: Tools
) -> Authorize:
    from cumulo.gateway.security.cognito import cognito_authorization

    by_token = cognito_authorization(authorizer, method.authorization_scopes, place.account, tools)

    async def authorize(visit: Visit) -> Grant:
        grant = await by_token(visit)
        if policy is not None:
            arns = _arns(place, visit)
            refuse(_said(policy, visit, arns, NOBODY, tools), arn=arns[0])
        return Grant(kind=grant.kind, context=grant.context, settled=True)

    return authorize


def _custom(
    place: Place, policy: ResourcePolicy | None, asked: LambdaAuthorizer, tools: Tools, *, route: str = ""
) -> Authorize:
    async def authorize(visit: Visit) -> Grant:
        arns = _arns(place, visit, route)
        said = NEITHER if policy is None else _said(policy, visit, arns, NOBODY, tools)
        if said is DENY:
            refuse(said, arn=arns[0])
        opinion = await asked.ask(visit, arns[0])
        own = _own(opinion, visit, arns, tools)
        _refuse_custom(visit, together(own, said))
        context = {
            **opinion.said.context,
            "principalId": opinion.said.principal,
            "integrationLatency": opinion.latency_ms,
        }
        return _grant(opinion, context)

    return authorize


def _refuse_custom(visit: Visit, decision: Decision) -> None:
    if decision is ALLOW:
        return
    visit.context["authorizer"] = {
        "error": "The client is not authorized to perform this operation.",
        "status": 403,
    }
    text = "User is not authorized to access this resource"
    raise Refused("ACCESS_DENIED", f"{text} with an explicit deny" if decision is DENY else text)


def _http_custom(
    place: Place, authorizer: V2Authorizer, stage: V2Stage, route: Route, tools: Tools
) -> Authorize:
    asked = LambdaAuthorizer(http_ways(authorizer, route, stage.variables), place, stage.variables, tools)

    async def authorize(visit: Visit) -> Grant:
        arns = _arns(place, visit)
        opinion = await asked.ask(visit, arns[0])
        if _own(opinion, visit, arns, tools) is not ALLOW:
            visit.context["authorizer"] = {
                "error": "The client is not authorized to perform this operation.",
                "status": 403,
            }
            raise Refused("ACCESS_DENIED", "Forbidden")
        return _grant(opinion, opinion.said.context)

    return authorize


def _grant(opinion: Opinion, context: Mapping[str, Any]) -> Grant:
    facts = {
        "latency": opinion.latency_ms,
        "integrationLatency": opinion.latency_ms,
        "integrationStatus": 200,
        "status": 200,
        "requestId": opinion.request_id,
    }
    return Grant(
        kind="LAMBDA",
        context=context,
        facts=facts,
        principal=opinion.said.principal,
        usage_key=opinion.said.usage_key,
        settled=True,
    )
