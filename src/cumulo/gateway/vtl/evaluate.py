"""Makes functions out of expressions and references: from a rendering's state to a value."""

from collections.abc import Callable
from typing import Any

from cumulo.gateway.vtl import access, numbers
from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import DEFINE_DEPTH_MAX, DEFINES_DEPTH_MAX, ELEMENTS_MAX
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.syntax import (
    Binary,
    Block,
    Call,
    Expression,
    Index,
    Interpolation,
    ListLiteral,
    Literal,
    MapLiteral,
    Not,
    Property,
    Range,
    Reference,
    Step,
)
from cumulo.gateway.vtl.things import Defined
from cumulo.gateway.vtl.values import ArrayList, java_text, key_of

Run = Callable[[State], None]
Get = Callable[[State], Any]
Follow = Callable[[Any, State], Any]


class Evaluator:
    """Compiles values; `block` compiles the statements inside of texts."""

    def __init__(self, block: Callable[[Block], Run]) -> None:
        self._block = block

    def condition(self, test: Expression) -> Callable[[State], bool]:
        """Whether something is true: all but false and null; an empty text is, and so is what is not there."""
        get = self.expression(test)

        def holds(state: State) -> bool:
            value = get(state)
            return value is not None and value is not False

        return holds

    def expression(self, node: Expression) -> Get:
        """What gives its value."""
        if isinstance(node, Literal):
            value = node.value
            return lambda _state: value
        if isinstance(node, Reference):
            return self.reference(node)
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Not):
            holds = self.condition(node.of)
            return lambda state: not holds(state)
        if isinstance(node, Interpolation):
            return self._interpolation(node)
        if isinstance(node, ListLiteral):
            return self._list(node)
        return self._map(node) if isinstance(node, MapLiteral) else self._range(node)

    def _plain(self, node: Expression) -> Get:
        """The value, a #define block as its text."""
        get = self.expression(node)
        if not isinstance(node, Reference):
            return get

        def plain(state: State) -> Any:
            value = get(state)
            return _text_of(value, state) if type(value) is Defined else value

        return plain

    def _interpolation(self, node: Interpolation) -> Get:
        run = self._block(node.block)
        return lambda state: _captured(run, state)

    def _list(self, node: ListLiteral) -> Get:
        items = tuple(self._plain(item) for item in node.items)

        def get(state: State) -> ArrayList:
            state.charge(len(items) + 1)
            found = ArrayList(item(state) for item in items)
            for one in found:
                state.nest(one)
            return found

        return get

    def _map(self, node: MapLiteral) -> Get:
        pairs = tuple((self._plain(key), self._plain(value)) for key, value in node.pairs)

        def get(state: State) -> dict[Any, Any]:
            state.charge(len(pairs) + 1)
            found = {key_of(key(state)): value(state) for key, value in pairs}
            for one in found.values():
                state.nest(one)
            return found

        return get

    def _range(self, node: Range) -> Get:
        first_of, last_of = self.expression(node.first), self.expression(node.last)

        def get(state: State) -> ArrayList | None:
            first, last = first_of(state), last_of(state)
            if type(first) is not int or type(last) is not int:
                return None
            size = abs(last - first) + 1
            if size > ELEMENTS_MAX:
                raise TemplateError(f"A list or map has more than {ELEMENTS_MAX} elements")
            state.charge(size // 10 + 1)
            step = 1 if last >= first else -1
            return ArrayList(range(first, last + step, step))

        return get

    def _binary(self, node: Binary) -> Get:
        sign = node.sign
        if sign in {"&&", "||"}:
            return _logical(sign, self.condition(node.left), self.condition(node.right))
        left_of, right_of = self._plain(node.left), self._plain(node.right)
        if sign in {"==", "!="}:
            wanted = sign == "=="

            def compare_equal(state: State) -> bool:
                state.charge(1)
                return numbers.equal(left_of(state), right_of(state), state) is wanted

            return compare_equal
        if sign[0] in "<>":

            def compare(state: State) -> bool:
                state.charge(1)
                return numbers.compare(sign, left_of(state), right_of(state))

            return compare
        return _arithmetic(sign, left_of, right_of)

    def reference(self, node: Reference) -> Get:
        """A reference's value, an empty text where Velocity has null.

        API Gateway answers an empty text for whatever is missing, so that it prints as nothing and is true in an #if.
        """
        name = node.name
        if not node.steps:

            def variable(state: State) -> Any:
                state.charge(1)
                value = state.variables[name]
                return "" if value is None else value

            return variable
        follow = tuple(self.follow(step) for step in node.steps)

        def get(state: State) -> Any:
            state.charge(1)
            value = state.variables[name]
            for one in follow:
                if value is None:
                    return ""
                value = one(value, state)
            return "" if value is None else value

        return get

    def follow(self, step: Step) -> Follow:
        """One step of a reference: from a value to the next."""
        if isinstance(step, Property):
            name = step.name
            return lambda value, state: (
                value.get(name) if type(value) is dict else access.get_property(value, name, state)
            )
        if isinstance(step, Index):
            key = self.expression(step.key)
            return lambda value, state: access.get_index(value, key(state), state)
        return self._call(step)

    def _call(self, step: Call) -> Follow:
        name = step.name
        arguments = tuple(self._plain(argument) for argument in step.arguments)

        def call(value: Any, state: State) -> Any:
            state.charge(1)
            if type(value) is Defined:
                value = _text_of(value, state)
            return access.call(value, name, [argument(state) for argument in arguments], state)

        return call


def run_defined(defined: Defined, state: State) -> None:
    """A block inside of itself goes two levels deep, and then is nothing; as in Velocity."""
    key = id(defined)
    depth = state.blocks.get(key, 0)
    if depth >= DEFINE_DEPTH_MAX:
        return
    if state.defines >= DEFINES_DEPTH_MAX:
        raise TemplateError(f"#define blocks are nested more than {DEFINES_DEPTH_MAX} levels deep")
    state.blocks[key] = depth + 1
    state.defines += 1
    defined.run(state)
    state.blocks[key] = depth
    state.defines -= 1


def _text_of(defined: Defined, state: State) -> str:
    return _captured(lambda state: run_defined(defined, state), state)


def _captured(run: Run, state: State) -> str:
    """What would have been written."""
    out, size = state.out, state.size
    state.out = []
    run(state)
    text = "".join(state.out)
    state.out, state.size = out, size
    return state.string(text)


def _logical(sign: str, left: Callable[[State], bool], right: Callable[[State], bool]) -> Get:
    if sign == "&&":
        return lambda state: left(state) and right(state)
    return lambda state: left(state) or right(state)


def _arithmetic(sign: str, left_of: Get, right_of: Get) -> Get:
    def get(state: State) -> Any:
        state.charge(1)
        left, right = left_of(state), right_of(state)
        if sign == "+" and (type(left) is str or type(right) is str):
            return state.string(java_text(left, state.charge) + java_text(right, state.charge))
        return numbers.calculate(sign, left, right)

    return get
