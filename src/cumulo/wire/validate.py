"""Checks parsed input against the model and says what is wrong in AWS's sentences, all of it at once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from cumulo.wire.models import OperationModel, ServiceModel, Shape
from cumulo.wire.patterns import Patterns
from cumulo.wire.protocols.scalars import unix
from cumulo.wire.service import Values

_SHOWN_CHARACTERS_MAX = 2048
_FAULTS_MAX = 100


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One broken constraint; `missing` when a required member is not there."""

    path: str
    sentence: str
    missing: bool = False


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a service's sentences tell of its input; the defaults are what most services do."""

    names_input: bool = False  # members of the body are told of below the name of the operation's input
    in_buckets: bool = False  # choices stand as a Java hash table of 32 buckets gives them
    tells_null: bool = True  # the constraint of a list's members says that they must not be null
    sparse: frozenset[str] = frozenset()  # members of an input whose lists and maps may hold null


Check = Callable[[Any, str, list[Fault]], None]
Rule = tuple[str, Callable[[Any], bool]]  # a sentence, and whether a value breaks it


class Validators:
    """Compiles a check per shape of one service; `lenient` names (operation, member) pairs whose enum is not checked."""

    def __init__(
        self,
        model: ServiceModel,
        patterns: Patterns,
        lenient: Iterable[tuple[str, str]] = (),
        manner: Manner | None = None,
    ) -> None:
        self._model = model
        self._manner = manner or Manner()
        self._patterns = patterns
        self._lenient = frozenset(lenient)
        self._made: dict[object, Check | None] = {}
        self._making: set[object] = set()

    def faults(self, operation: OperationModel) -> Callable[[Values], list[Fault]]:
        """Compile the check of an operation's input: the faults as sentences."""
        if operation.input is None:
            return lambda _values: []
        skip = {member for name, member in self._lenient if name == operation.name}
        shape = self._model.shape(operation.input)
        body = f"{_lower(operation.name)}Input." if self._manner.names_input else ""
        check = self._structure(shape, skip, body)
        if check is None:
            return lambda _values: []
        sure = check

        def run(values: Values) -> list[Fault]:
            found: list[Fault] = []
            sure(values, "", found)
            return found

        return run

    def _check(self, shape: Shape) -> Check | None:
        if shape.type not in {"structure", "list", "map"}:
            return _scalar_check(self._rules(shape), sensitive=shape.sensitive)
        key = (shape.name, shape.sensitive, shape.sparse, shape.min, shape.max, shape.pattern)
        if key in self._made:
            return self._made[key]
        if key in self._making:

            def later(value: Any, path: str, found: list[Fault]) -> None:
                made = self._made[key]
                if made is not None:
                    made(value, path, found)

            return later
        self._making.add(key)
        if shape.type == "structure":
            self._made[key] = None if shape.document or shape.eventstream else self._structure(shape, set())
        else:
            self._made[key] = self._list(shape) if shape.type == "list" else self._map(shape)
        self._making.discard(key)
        return self._made[key]

    def _rules(self, shape: Shape, *, enums: bool = True) -> list[Rule]:
        rules: list[Rule] = []
        if shape.type in {"string", "blob", "list", "map"}:
            rules += _length_rules(shape)
        elif shape.type in {"integer", "long", "float", "double"}:
            rules += _range_rules(shape)
        if shape.type == "string" and shape.pattern is not None and not shape.enum:
            matches = self._patterns.matcher(shape.pattern)
            sentence = f"Member must satisfy regular expression pattern: {shape.pattern}"
            rules.append((sentence, lambda value: not matches(value)))
        if shape.enum and enums:
            allowed = frozenset(shape.enum)
            listed = ", ".join(_in_buckets(shape.enum) if self._manner.in_buckets else shape.enum)
            rules.append((f"Member must satisfy enum value set: [{listed}]", lambda v: v not in allowed))
        return rules

    def _structure(self, shape: Shape, lenient: set[str], body: str = "") -> Check | None:
        members = self._members(shape)
        spelled = {
            name: _lower(name) if member.location else f"{body}{_lower(name)}"
            for name, member in members.items()
        }
        required = tuple((name, spelled[name]) for name in shape.required if name in spelled)
        checks = self._member_checks(shape, members, lenient)
        if not required and not checks:
            return None
        # Who names the input tells of what the body breaks before what the path does.
        body_first = sorted(checks, key=lambda one: not spelled[one].startswith(body))
        order = tuple(body_first) if self._manner.names_input else ()

        def run(value: Any, path: str, found: list[Fault]) -> None:
            if len(found) >= _FAULTS_MAX:
                return
            prefix = f"{path}." if path else ""
            found.extend(_null(prefix + shown) for name, shown in required if value.get(name) is None)
            for name in order or value:
                member = value.get(name)
                if name in checks and member is not None:
                    checks[name](member, prefix + spelled[name], found)

        return run

    def _members(self, shape: Shape) -> Mapping[str, Shape]:
        members = self._model.members(shape)
        sparse = self._manner.sparse
        return {
            name: msgspec.structs.replace(member, sparse=True) if name in sparse else member
            for name, member in members.items()
        }

    def _member_checks(
        self, shape: Shape, members: Mapping[str, Shape], lenient: set[str]
    ) -> Mapping[str, Check]:
        checks: dict[str, Check] = {}
        for name, member in members.items():
            if name == shape.payload and member.type in {"blob", "string"}:
                continue  # a raw body is measured where it is read, or by the operation
            check = self._check(member)
            if name in lenient:
                check = _scalar_check(self._rules(member, enums=False), sensitive=member.sensitive)
            if check is not None:
                checks[name] = check
        return checks

    def _list(self, shape: Shape) -> Check | None:
        assert shape.member is not None
        own = self._rules(shape)
        member = self._model.shape(shape.member)
        flat = member.type not in {"structure", "list", "map"}
        item_rules = self._rules(member) if flat else []
        inner = None if flat else self._check(member)
        sparse, sensitive = shape.sparse, shape.sensitive or member.sensitive
        silent = sparse or not self._manner.tells_null
        summary = _summary("Member must satisfy constraint", item_rules, sparse=silent)

        def run(value: Any, path: str, found: list[Fault]) -> None:
            for sentence, broken in own:
                if broken(value):
                    found.append(_sentence(value, path, sentence, sensitive=sensitive))
            if len(found) >= _FAULTS_MAX:
                return
            if _any_broken(value, item_rules, sparse=sparse):
                found.append(_sentence(value, path, summary, sensitive=sensitive))
            if inner is not None:
                for number, one in enumerate(value, 1):
                    if one is not None:
                        inner(one, f"{path}.{number}.member", found)

        return run

    def _map(self, shape: Shape) -> Check | None:
        assert shape.key is not None
        assert shape.value is not None
        own = self._rules(shape)
        key_shape, member = self._model.shape(shape.key), self._model.shape(shape.value)
        flat = member.type not in {"structure", "list", "map"}
        key_rules = self._rules(key_shape)
        value_rules = self._rules(member)
        inner = None if flat else self._check(member)
        sparse = shape.sparse
        sensitive = shape.sensitive or member.sensitive or key_shape.sensitive
        key_summary = _summary("Map keys must satisfy constraint", key_rules, sparse=False)
        value_summary = _summary("Map value must satisfy constraint", value_rules, sparse=sparse)

        def run(value: Any, path: str, found: list[Fault]) -> None:
            for sentence, broken in own:
                if broken(value):
                    found.append(_sentence(value, path, sentence, sensitive=sensitive))
            if len(found) >= _FAULTS_MAX:
                return
            if _any_broken(value, key_rules, sparse=False):
                found.append(_sentence(value, path, key_summary, sensitive=sensitive))
            if _any_broken(value.values(), value_rules, sparse=sparse):
                found.append(_sentence(value, path, value_summary, sensitive=sensitive))
            if inner is not None:
                for key, one in value.items():
                    if one is not None:
                        inner(one, f"{path}.{key}.member", found)

        return run


def message(faults: list[Fault]) -> str:
    """The error's message for some faults."""
    count = len(faults)
    noun = "error" if count == 1 else "errors"
    return f"{count} validation {noun} detected: {'; '.join(fault.sentence for fault in faults)}"


def _any_broken(values: Iterable[Any], rules: list[Rule], *, sparse: bool) -> bool:
    for one in values:
        if one is None:
            if not sparse:
                return True
        elif any(broken(one) for _, broken in rules):
            return True
    return False


def _summary(head: str, rules: list[Rule], *, sparse: bool) -> str:
    sentences = [sentence for sentence, _ in rules] + ([] if sparse else ["Member must not be null"])
    return f"{head}: [{', '.join(sentences)}]"


def _in_buckets(choices: Iterable[str]) -> list[str]:
    """Choices as a Java hash table of 32 buckets gives them, of what was put in last first."""
    last_first = tuple(choices)[::-1]
    return sorted(last_first, key=lambda choice: _java_hash(choice) % 32)


def _java_hash(text: str) -> int:
    total = 0
    for character in text:
        total = (31 * total + ord(character)) & 0xFFFFFFFF
    return total


def _scalar_check(rules: list[Rule], *, sensitive: bool) -> Check | None:
    if not rules:
        return None

    def run(value: Any, path: str, found: list[Fault]) -> None:
        if len(found) < _FAULTS_MAX:
            for sentence, broken in rules:
                if broken(value):
                    found.append(_sentence(value, path, sentence, sensitive=sensitive))

    return run


def _length_rules(shape: Shape) -> list[Rule]:
    rules: list[Rule] = []
    if (most := shape.max) is not None:
        rules.append((f"Member must have length less than or equal to {most:.0f}", lambda v: len(v) > most))
    least = shape.min if shape.min is not None else 0 if shape.max is not None else None
    if least is not None:
        rules.append(
            (f"Member must have length greater than or equal to {least:.0f}", lambda v: len(v) < least)
        )
    return rules


def _range_rules(shape: Shape) -> list[Rule]:
    rules: list[Rule] = []
    if (most := shape.max) is not None:
        rules.append((f"Member must have value less than or equal to {most}", lambda v: v > most))
    if (least := shape.min) is not None:
        rules.append((f"Member must have value greater than or equal to {least}", lambda v: v < least))
    return rules


def _null(path: str) -> Fault:
    return Fault(
        path, f"Value null at '{path}' failed to satisfy constraint: Member must not be null", missing=True
    )


def _sentence(value: Any, path: str, sentence: str, *, sensitive: bool) -> Fault:
    shown = "" if sensitive else f" '{_show(value)[:_SHOWN_CHARACTERS_MAX]}'"
    return Fault(path, f"Value{shown} at '{path}' failed to satisfy constraint: {sentence}")


def _show(value: Any) -> str:
    """A value as Java prints it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_show(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_show(one) for one in value) + "]"
    return str(unix(value)) if isinstance(value, float) else str(value)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
