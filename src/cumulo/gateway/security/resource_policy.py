"""Resource policies of REST APIs, and what they and other authorization come to together.

authorization    asked first                    then, with the resource policy
NONE             -                              the policy must allow
CUSTOM           a denial by the policy ends    the authorizer's policy and this one, by table A
AWS_IAM          the signature                  table A in the API's own account, table B from another
COGNITO          the token                      the policy must allow

table A   a denial of either denies; one of them must allow
table B   a denial of either denies; both must allow
"""

import re
from datetime import UTC, datetime
from typing import Any

from cumulo.base.policy import Decision, Policy, PolicyError, Question, compile_policy
from cumulo.base.policy_principals import Who
from cumulo.gateway.definitions.rest import RestDefinition
from cumulo.gateway.security.arns import api_arn, masked
from cumulo.gateway.visit import Refused, Visit

ACTION = "execute-api:Invoke"
_SHORT = re.compile(r"^execute-api:/?")

ALLOW, DENY, NEITHER = Decision.ALLOW, Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY


def together(identity: Decision, resource: Decision, *, same_account: bool = True) -> Decision:
    """Table A, or (from another account) table B."""
    both = (identity, resource)
    if DENY in both:
        return DENY
    if same_account:
        return ALLOW if ALLOW in both else NEITHER
    return ALLOW if both == (ALLOW, ALLOW) else NEITHER


class ResourcePolicy:
    """An API's policy, compiled; one that cannot be read denies everything, without a word of its own."""

    __slots__ = ("_policy",)

    def __init__(self, definition: RestDefinition) -> None:
        try:
            self._policy: Policy | None = compile_policy(_whole(definition))
        except PolicyError:
            self._policy = None

    def decide(self, visit: Visit, arn: str, who: Who, now: float) -> Decision:
        """What it says to this request."""
        if self._policy is None:
            return NEITHER
        question = Question(action=ACTION, resource=arn, who=who, keys=condition_keys(visit, who, now))
        return self._policy.decide(question)


def _whole(definition: RestDefinition) -> Any:
    """The policy with resources' short forms (`execute-api:/stage/*`) made into ARNs, as AWS does when it is put."""
    import msgspec

    api = api_arn(definition.region, definition.account, definition.api_id)
    try:
        policy = msgspec.json.decode(definition.policy)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return definition.policy
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    for one in statements if isinstance(statements, list) else [statements]:
        if isinstance(one, dict):
            for name in ("Resource", "NotResource"):
                if name in one:
                    one[name] = _long(one[name], api)
    return policy


def _long(value: Any, api: str) -> Any:
    if isinstance(value, list):
        return [_long(one, api) for one in value]
    if isinstance(value, str) and _SHORT.match(value):
        return f"{api}/{_SHORT.sub('', value)}"
    return value


def condition_keys(visit: Visit, who: Who, now: float) -> dict[str, str]:
    """What conditions may compare, by names in small letters."""
    identity = visit.context.get("identity", {})
    headers = visit.request.headers
    moment = datetime.fromtimestamp(now, UTC)
    keys = {
        "aws:sourceip": identity.get("sourceIp"),
        "aws:vpcsourceip": identity.get("sourceIp") if identity.get("vpceId") else None,
        "aws:sourcevpce": identity.get("vpceId"),
        "aws:sourcevpc": identity.get("vpcId"),
        "aws:useragent": headers.get("user-agent") or None,
        "aws:referer": headers.get("referer") or None,
        "aws:securetransport": "true" if visit.request.scheme == "https" else "false",
        "aws:currenttime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now)),
        "aws:principalarn": who.arn or None,
        "aws:principalaccount": who.account or None,
        "aws:principaltype": _type_of(who),
        "aws:userid": who.user_id or None,
        "aws:username": who.arn.rpartition("/")[2] if ":user/" in who.arn else None,
    }
    return {name: value for name, value in keys.items() if isinstance(value, str)}


def _type_of(who: Who) -> str:
    if not who.arn:
        return "Anonymous"
    if who.arn.endswith(":root"):
        return "Account"
    return "AssumedRole" if ":assumed-role/" in who.arn else "User"


def refuse(decision: Decision, *, arn: str, user: str = "anonymous", by: str = "resource") -> None:
    """Refused ACCESS_DENIED with AWS's sentence, unless it is allowed.  `by`: whose policy it was (resource, identity)."""
    if decision is ALLOW:
        return
    why = (
        f"with an explicit deny in a {by}-based policy"
        if decision is DENY
        else f"because no {by}-based policy allows the {ACTION} action"
    )
    if by == "identity":
        why = why.replace("in a identity", "in an identity")
    raise Refused(
        "ACCESS_DENIED",
        f"User: {user} is not authorized to perform: {ACTION} on resource: {masked(arn)} {why}",
    )
