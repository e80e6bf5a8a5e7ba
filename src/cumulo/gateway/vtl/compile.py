"""Makes functions out of what was read: a rendering calls them, and looks at no syntax."""

from collections.abc import Callable, Sequence
from typing import Any

from cumulo.gateway.vtl import access
from cumulo.gateway.vtl.errors import Broken, Stopped, TemplateError
from cumulo.gateway.vtl.evaluate import Evaluator, Run, run_defined
from cumulo.gateway.vtl.limits import LOOP_ITERATIONS_MAX
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.syntax import (
    Block,
    Call,
    Define,
    Foreach,
    If,
    Index,
    Print,
    Property,
    Reference,
    Set,
    Statement,
    Stop,
    Text,
)
from cumulo.gateway.vtl.things import Defined, Loop
from cumulo.gateway.vtl.values import java_text

_LOOP_NAMES = ("foreach", "velocityCount", "velocityHasNext")


class Compiler:
    """Of a template's statements."""

    def __init__(self) -> None:
        self._values = Evaluator(self.block)

    def block(self, statements: Block) -> Run:
        """One after the other."""
        runs = tuple(self._statement(statement) for statement in statements)
        if len(runs) == 1:
            return runs[0]

        def run(state: State) -> None:
            for one in runs:
                one(state)

        return run

    def _statement(self, statement: Statement) -> Run:
        if isinstance(statement, Text):
            return _text(statement.text)
        if isinstance(statement, Print):
            return self._print(statement)
        if isinstance(statement, Set):
            return self._set(statement)
        if isinstance(statement, If):
            return self._if(statement)
        if isinstance(statement, Foreach):
            return self._foreach(statement)
        if isinstance(statement, Define):
            return self._define(statement)
        return _stop if isinstance(statement, Stop) else _break

    def _print(self, statement: Print) -> Run:
        get, at, before = self._values.reference(statement.reference), statement.at, statement.before

        def run(state: State) -> None:
            state.at = at
            value = get(state)
            if before:
                state.write(before)
            if type(value) is str:
                state.write(value)
            elif type(value) is Defined:
                run_defined(value, state)
            else:
                state.write(java_text(value, state.charge))

        return run

    def _set(self, statement: Set) -> Run:
        value_of, at = self._values.expression(statement.value), statement.at
        assign = self._assignment(statement.target)

        def run(state: State) -> None:
            state.at = at
            state.charge(1)
            value = value_of(state)
            if value is not None:  # null sets nothing: the old value stays
                assign(state, value)

        return run

    def _assignment(self, target: Reference) -> Callable[[State, Any], None]:
        name = target.name
        if not target.steps:

            def assign(state: State, value: Any) -> None:
                state.variables[name] = value

            return assign
        follow = tuple(self._values.follow(step) for step in target.steps[:-1])
        last = target.steps[-1]
        if isinstance(last, Call):
            raise TemplateError(f"#set cannot assign to a method: {target.source}")
        change = self._change(last)

        def assign_inside(state: State, value: Any) -> None:
            owner = state.variables[name]
            for one in follow:
                if owner is None:
                    return
                owner = one(owner, state)
            change(owner, value, state)

        return assign_inside

    def _change(self, step: Property | Index) -> Callable[[Any, Any, State], None]:
        if isinstance(step, Property):
            name = step.name
            return lambda owner, value, state: access.set_property(owner, name, value, state)
        key = self._values.expression(step.key)
        return lambda owner, value, state: access.set_index(owner, key(state), value, state)

    def _if(self, statement: If) -> Run:
        branches = tuple(
            (self._values.condition(test), self.block(then)) for test, then in statement.branches
        )
        otherwise, at = self.block(statement.otherwise), statement.at

        def run(state: State) -> None:
            state.at = at
            state.charge(1)
            for test, then in branches:
                if test(state):
                    then(state)
                    return
            otherwise(state)

        return run

    def _foreach(self, statement: Foreach) -> Run:
        items_of, body = self._values.expression(statement.items), self.block(statement.block)
        at, names = statement.at, (statement.name, *_LOOP_NAMES)
        name = statement.name

        def run(state: State) -> None:
            state.at = at
            state.charge(1)
            items = _elements(items_of(state))
            if not items:
                return
            variables = state.variables
            loop = Loop(len(items), variables.get("foreach"))
            before = {one: variables.get(one) for one in names}
            for index, item in enumerate(items):
                loop.index = index
                variables[name] = item
                variables["foreach"] = loop
                variables["velocityCount"] = index + 1
                variables["velocityHasNext"] = index + 1 < loop.size
                state.charge(1)
                try:
                    body(state)
                except Broken:
                    break
                if loop.stopped:
                    break
            for one, value in before.items():
                if value is None:
                    variables.pop(one, None)
                else:
                    variables[one] = value

        return run

    def _define(self, statement: Define) -> Run:
        defined, name = Defined(self.block(statement.block)), statement.name

        def run(state: State) -> None:
            state.variables[name] = defined

        return run


def _stop(_state: State) -> None:
    raise Stopped


def _break(_state: State) -> None:
    raise Broken


def _text(text: str) -> Run:
    def run(state: State) -> None:
        state.write(text)

    return run


def _elements(value: Any) -> Sequence[Any]:
    """What is looped over: a list's elements, a map's values, and nothing of all else."""
    if not isinstance(value, (list, dict)):
        return ()
    if len(value) > LOOP_ITERATIONS_MAX:
        raise TemplateError(
            f"#foreach over {len(value)} elements: API Gateway allows {LOOP_ITERATIONS_MAX} iterations"
        )
    return tuple(value.values() if isinstance(value, dict) else value)
