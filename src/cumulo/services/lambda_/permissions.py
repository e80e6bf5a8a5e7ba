"""Asks the policies of functions whether a service may call one (`ports.InvokePermissions`).

Each of a function's policies (its own, and one of each version) speaks only of the ARN that it was attached to.
"""

from typing import TYPE_CHECKING

from cumulo.services.lambda_.names import target_of_arn
from cumulo.services.lambda_.policies import Policies

if TYPE_CHECKING:  # a cloud without API Gateway never needs it
    from cumulo.base.policy import Policy

COMPILED_MAX = 4096
_ACTION = "lambda:InvokeFunction"


class FunctionPermissions:
    """Evaluates policies; each is compiled once for each of its revisions."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._compiled: dict[str, Policy | None] = {}  # by revision, which is never used again

    def allows(self, function_arn: str, *, principal: str, source_arn: str, source_account: str) -> bool:
        """Whether a policy lets a service call a function for one of its resources; see `ports.InvokePermissions`."""
        from cumulo.base.policy import Decision, Question, Who

        wanted = target_of_arn(function_arn)
        revision = self._policies.revision(wanted) if wanted is not None else None
        if wanted is None or revision is None:
            return False
        if revision in self._compiled:
            policy = self._compiled[revision]
        else:
            policy = self._compile(revision, self._policies.document(wanted))
        question = Question(
            action=_ACTION,
            resource=function_arn,
            who=Who(service=principal),
            keys={"aws:sourcearn": source_arn, "aws:sourceaccount": source_account},
        )
        return policy is not None and policy.decide(question) is Decision.ALLOW

    def _compile(self, revision: str, document: str) -> "Policy | None":
        from cumulo.base.policy import PolicyError, compile_policy

        if len(self._compiled) >= COMPILED_MAX:
            self._compiled.clear()
        try:
            policy = compile_policy(document)
        except PolicyError:  # what AddPermission took, but IAM would not, permits nothing
            policy = None
        self._compiled[revision] = policy
        return policy
