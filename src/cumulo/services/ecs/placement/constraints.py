"""Placement constraints: distinctInstance, and memberOf with an expression of the cluster query language."""

from collections.abc import Sequence
from typing import Final

import msgspec

from cumulo.services.ecs.model import AGENT_VERSION, Document
from cumulo.services.ecs.placement.query import LENGTH_MAX, Facts, QueryError, Test, compile_query
from cumulo.services.ecs.refusals import invalid

CONSTRAINTS_MAX: Final = 10


class Member(msgspec.Struct, frozen=True):
    """A memberOf: equal to another of the same expression."""

    expression: str
    test: Test

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Member) and self.expression == other.expression

    def __hash__(self) -> int:
        return hash(self.expression)


class Constraints(msgspec.Struct, frozen=True):
    """Constraints, compiled: all of them must hold."""

    distinct: bool = False
    members: tuple[Member, ...] = ()

    def admits(self, facts: Facts) -> bool:
        """Whether an instance is a member of all that are asked for."""
        for member in self.members:  # noqa: SIM110 - this is asked of every instance: a generator costs twice as much
            if not member.test(facts):
                return False
        return True


def constraints_of(*documents: Sequence[Document]) -> Constraints:
    """Those of a request and of a definition together.  AwsError for what is none."""
    distinct = False
    members: list[Member] = []
    for constraints in documents:
        if len(constraints) > CONSTRAINTS_MAX:
            raise invalid(f"You can specify up to {CONSTRAINTS_MAX} placement constraints.")
        for one in constraints:
            expression = one.get("expression")
            if one.get("type") == "distinctInstance":
                if expression is not None:
                    raise invalid("distinctInstance expression should not be specified.")
                distinct = True
            elif one.get("type") == "memberOf":
                members.append(Member(expression or "", query_of(expression or "")))
            else:
                raise invalid("Invalid constraint type.")
    return Constraints(distinct, tuple(members))


def query_of(expression: str) -> Test:
    """An expression as a function.  AwsError InvalidParameterException for what is none."""
    if len(expression) > LENGTH_MAX:
        raise invalid(f"Expression length should be less than or equal to {LENGTH_MAX}.")
    try:
        return compile_query(expression, agent_version=AGENT_VERSION)
    except QueryError:
        raise invalid(f"Invalid expression: {expression}") from None
