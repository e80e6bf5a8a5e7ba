"""Placement constraints: distinctInstance, and memberOf with an expression of the cluster query language."""

from collections.abc import Sequence
from typing import Final

import msgspec

from cumulo.services.ecs.model import AGENT_VERSION, Document
from cumulo.services.ecs.placement.query import LENGTH_MAX, Facts, QueryError, Test, compile_query
from cumulo.services.ecs.refusals import invalid

CONSTRAINTS_MAX: Final = 10


class Constraints(msgspec.Struct, frozen=True):
    """Constraints, compiled: all of them must hold."""

    distinct: bool = False
    tests: tuple[Test, ...] = ()

    def admits(self, facts: Facts) -> bool:
        """Whether an instance is a member of all that are asked for."""
        return all(test(facts) for test in self.tests)


def constraints_of(*documents: Sequence[Document]) -> Constraints:
    """Those of a request and of a definition together.  AwsError for what is none."""
    distinct = False
    tests: list[Test] = []
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
                tests.append(query_of(expression or ""))
            else:
                raise invalid("Invalid constraint type.")
    return Constraints(distinct, tuple(tests))


def query_of(expression: str) -> Test:
    """An expression as a function.  AwsError InvalidParameterException for what is none."""
    if len(expression) > LENGTH_MAX:
        raise invalid(f"Expression length should be less than or equal to {LENGTH_MAX}.")
    try:
        return compile_query(expression, agent_version=AGENT_VERSION)
    except QueryError:
        raise invalid(f"Invalid expression: {expression}") from None
