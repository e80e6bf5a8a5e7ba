"""Makes functions out of what was read: a rendering calls them, and looks at no syntax."""

from collections.abc import Callable, Sequence
from typing import Any

from cumulo.gateway.vtl import access, numbers
from cumulo.gateway.vtl.errors import Broken, Stopped, TemplateError
from cumulo.gateway.vtl.limits import DEFINE_DEPTH_MAX, DEFINES_DEPTH_MAX, ELEMENTS_MAX, LOOP_ITERATIONS_MAX
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.syntax import (
    Binary,
    Block,
    Call,
    Define,
    Expression,
    Foreach,
    If,
    Index,
    Interpolation,
    ListLiteral,
    Literal,
    MapLiteral,
    Not,
    Print,
    Property,
    Range,
    Reference,
    Set,
    Statement,
    Step,
    Stop,
    Text,
)
from cumulo.gateway.vtl.things import Defined, Loop
from cumulo.gateway.vtl.values import ArrayList, java_text, key_of

Run = Callable[[State], None]
Get = Callable[[State], Any]
_Follow = Callable[[Any, State], Any]

_LOOP_NAMES = ("foreach", "velocityCount", "velocityHasNext")


def block(statements: Block) -> Run:
    """One after the other."""
    runs = tuple(_statement(statement) for statement in statements)
    if len(runs) == 1:
        return runs[0]

    def run(state: State) -> None:
        for one in runs:
            one(state)

    return run


def _statement(statement: Statement) -> Run:
    if isinstance(statement, Text):
        return _text(statement.text)
    if isinstance(statement, Print):
        return _print(statement)
    if isinstance(statement, Set):
        return _set(statement)
    if isinstance(statement, If):
        return _if(statement)
    if isinstance(statement, Foreach):
        return _foreach(statement)
    if isinstance(statement, Define):
        return _define(statement)
    return _stop if isinstance(statement, Stop) else _break


def _stop(_state: State) -> None:
    raise Stopped


def _break(_state: State) -> None:
    raise Broken


def _text(text: str) -> Run:
    def run(state: State) -> None:
        state.charge(1)
        state.write(text)

    return run


def _print(statement: Print) -> Run:
    get, at, before = _reference(statement.reference), statement.at, statement.before

    def run(state: State) -> None:
        state.at = at
        value = get(state)
        if before:
            state.write(before)
        if type(value) is str:
            state.write(value)
        elif type(value) is Defined:
            _run_defined(value, state)
        else:
            state.write(java_text(value, state.charge))

    return run


def _run_defined(defined: Defined, state: State) -> None:
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


def _set(statement: Set) -> Run:
    value_of, at = expression(statement.value), statement.at
    assign = _assignment(statement.target)

    def run(state: State) -> None:
        state.at = at
        state.charge(1)
        value = value_of(state)
        if value is not None:  # null sets nothing: the old value stays
            assign(state, value)

    return run


def _assignment(target: Reference) -> Callable[[State, Any], None]:
    name = target.name
    if not target.steps:

        def assign(state: State, value: Any) -> None:
            state.variables[name] = value

        return assign
    follow = tuple(_follow(step) for step in target.steps[:-1])
    last = target.steps[-1]
    if isinstance(last, Call):
        raise TemplateError(f"#set cannot assign to a method: {target.source}")
    change = _change(last)

    def assign_inside(state: State, value: Any) -> None:
        owner = state.variables[name]
        for one in follow:
            if owner is None:
                return
            owner = one(owner, state)
        change(owner, value, state)

    return assign_inside


def _change(step: Property | Index) -> Callable[[Any, Any, State], None]:
    if isinstance(step, Property):
        name = step.name
        return lambda owner, value, state: access.set_property(owner, name, value, state)
    key = expression(step.key)
    return lambda owner, value, state: access.set_index(owner, key(state), value, state)


def _if(statement: If) -> Run:
    branches = tuple((condition(test), block(then)) for test, then in statement.branches)
    otherwise, at = block(statement.otherwise), statement.at

    def run(state: State) -> None:
        state.at = at
        state.charge(1)
        for test, then in branches:
            if test(state):
                then(state)
                return
        otherwise(state)

    return run


def _foreach(statement: Foreach) -> Run:
    items_of, body = expression(statement.items), block(statement.block)
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


def _elements(value: Any) -> Sequence[Any]:
    """What is looped over: a list's elements, a map's values, and nothing of all else."""
    if not isinstance(value, (list, dict)):
        return ()
    if len(value) > LOOP_ITERATIONS_MAX:
        raise TemplateError(
            f"#foreach over {len(value)} elements: API Gateway allows {LOOP_ITERATIONS_MAX} iterations"
        )
    return tuple(value.values() if isinstance(value, dict) else value)


def _define(statement: Define) -> Run:
    defined, name = Defined(block(statement.block)), statement.name

    def run(state: State) -> None:
        state.variables[name] = defined

    return run


def condition(test: Expression) -> Callable[[State], bool]:
    """Whether something is true: all but false and null; an empty text is, and so is what is not there."""
    get = expression(test)

    def holds(state: State) -> bool:
        value = get(state)
        return value is not None and value is not False

    return holds


def expression(node: Expression) -> Get:
    """What gives its value."""
    if isinstance(node, Literal):
        value = node.value
        return lambda _state: value
    if isinstance(node, Reference):
        return _reference(node)
    if isinstance(node, Binary):
        return _binary(node)
    if isinstance(node, Not):
        holds = condition(node.of)
        return lambda state: not holds(state)
    if isinstance(node, Interpolation):
        return _interpolation(node)
    if isinstance(node, ListLiteral):
        return _list(node)
    return _map(node) if isinstance(node, MapLiteral) else _range(node)


def _plain(node: Expression) -> Get:
    """The value, a #define block as its text."""
    get = expression(node)
    if not isinstance(node, Reference):
        return get

    def plain(state: State) -> Any:
        value = get(state)
        return _text_of(value, state) if type(value) is Defined else value

    return plain


def _text_of(defined: Defined, state: State) -> str:
    return _captured(lambda state: _run_defined(defined, state), state)


def _captured(run: Run, state: State) -> str:
    """What would have been written."""
    out, size = state.out, state.size
    state.out = []
    run(state)
    text = "".join(state.out)
    state.out, state.size = out, size
    return state.string(text)


def _interpolation(node: Interpolation) -> Get:
    run = block(node.block)
    return lambda state: _captured(run, state)


def _list(node: ListLiteral) -> Get:
    items = tuple(_plain(item) for item in node.items)

    def get(state: State) -> ArrayList:
        state.charge(len(items) + 1)
        found = ArrayList(item(state) for item in items)
        for one in found:
            state.nest(one)
        return found

    return get


def _map(node: MapLiteral) -> Get:
    pairs = tuple((_plain(key), _plain(value)) for key, value in node.pairs)

    def get(state: State) -> dict[Any, Any]:
        state.charge(len(pairs) + 1)
        found = {key_of(key(state)): value(state) for key, value in pairs}
        for one in found.values():
            state.nest(one)
        return found

    return get


def _range(node: Range) -> Get:
    first_of, last_of = expression(node.first), expression(node.last)

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


def _binary(node: Binary) -> Get:
    sign = node.sign
    if sign in {"&&", "||"}:
        return _logical(sign, condition(node.left), condition(node.right))
    left_of, right_of = _plain(node.left), _plain(node.right)
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


def _reference(node: Reference) -> Get:
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
    follow = tuple(_follow(step) for step in node.steps)

    def get(state: State) -> Any:
        state.charge(1)
        value = state.variables[name]
        for one in follow:
            if value is None:
                return ""
            value = one(value, state)
        return "" if value is None else value

    return get


def _follow(step: Step) -> _Follow:
    if isinstance(step, Property):
        name = step.name
        return lambda value, state: (
            value.get(name) if type(value) is dict else access.get_property(value, name, state)
        )
    if isinstance(step, Index):
        key = expression(step.key)
        return lambda value, state: access.get_index(value, key(state), state)
    return _call(step)


def _call(step: Call) -> _Follow:
    name = step.name
    arguments = tuple(_plain(argument) for argument in step.arguments)

    def call(value: Any, state: State) -> Any:
        state.charge(1)
        if type(value) is Defined:
            value = _text_of(value, state)
        return access.call(value, name, [argument(state) for argument in arguments], state)

    return call
