"""The methods of java.lang.String."""

from typing import Any

from cumulo.gateway.java_regex.pattern import PatternError
from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import CHARACTERS_A_STEP, STRING_CHARACTERS_MAX
from cumulo.gateway.vtl.methods import Function, Methods
from cumulo.gateway.vtl.state import State
from cumulo.gateway.vtl.values import ArrayList, java_text

_WHITE = "".join(map(chr, range(33)))  # what trim() takes away


def java_hash(text: str, state: State) -> int:
    """String.hashCode, over UTF-16 units."""
    state.charge(len(text) // 10 + 1)
    found = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for at in range(0, len(units), 2):
        found = (found * 31 + units[at] + 256 * units[at + 1]) & 0xFFFFFFFF
    return found - (1 << 32) if found >= 1 << 31 else found


def _substring(text: Any, arguments: Any, _state: State) -> str:
    first = arguments[0]
    last = arguments[1] if len(arguments) > 1 else len(text)
    if not 0 <= first <= last <= len(text):
        raise TemplateError(
            f"substring({first}, {last}) is out of the range of a string of {len(text)} characters"
        )
    return str(text[first:last])


def _char_at(text: Any, arguments: Any, _state: State) -> str:
    if not 0 <= arguments[0] < len(text):
        raise TemplateError(
            f"charAt({arguments[0]}) is out of the range of a string of {len(text)} characters"
        )
    return str(text[arguments[0]])


def _replace(text: Any, arguments: Any, state: State) -> str:
    old, new = arguments
    grown = len(text) + text.count(old) * (len(new) - len(old))
    if grown > STRING_CHARACTERS_MAX:
        raise TemplateError(f"A string is longer than {STRING_CHARACTERS_MAX} characters")
    state.charge(grown // CHARACTERS_A_STEP)
    return str(text.replace(old, new))


def _replace_pattern(*, once: bool) -> Function:
    def function(text: Any, arguments: Any, state: State) -> str:
        state.charge(len(text) // CHARACTERS_A_STEP)
        try:
            found = state.kept.pattern(arguments[0]).replace(text, arguments[1], state.charge, once=once)
        except PatternError as error:
            raise TemplateError(str(error)) from error
        return state.string(found)

    return function


def _matches(text: Any, arguments: Any, state: State) -> bool:
    state.charge(len(text) // CHARACTERS_A_STEP)
    try:
        return state.kept.pattern(arguments[0]).matches(text, state.charge)
    except PatternError as error:
        raise TemplateError(str(error)) from error


def _split(text: Any, arguments: Any, state: State) -> ArrayList:
    state.charge(len(text) // CHARACTERS_A_STEP)
    limit = arguments[1] if len(arguments) > 1 else 0
    try:
        parts = state.kept.pattern(arguments[0]).split(text, limit, state.charge)
    except PatternError as error:
        raise TemplateError(str(error)) from error
    state.room(len(parts))
    state.charge(len(parts))
    return ArrayList(parts)


def _repeat(text: Any, arguments: Any, state: State) -> str:
    if arguments[0] < 0:
        raise TemplateError("repeat() needs a number that is not negative")
    if len(text) * arguments[0] > STRING_CHARACTERS_MAX:
        raise TemplateError(f"A string is longer than {STRING_CHARACTERS_MAX} characters")
    return state.string(text * arguments[0])


def _compare(left: str, right: str) -> int:
    """The difference of the first characters that differ, or of the lengths."""
    for one, other in zip(left, right, strict=False):
        if one != other:
            return ord(one) - ord(other)
    return len(left) - len(right)


def _compare_to(text: Any, arguments: Any, state: State) -> int:
    state.charge(min(len(text), len(arguments[0])) // 10)
    return _compare(text, arguments[0])


def _compare_ignoring_case(text: Any, arguments: Any, state: State) -> int:
    state.charge(min(len(text), len(arguments[0])) // 10)
    return _compare(text.lower(), arguments[0].lower())


def _index_of(text: Any, arguments: Any, _state: State) -> int:
    return int(text.find(arguments[0], max(0, arguments[1]) if len(arguments) > 1 else 0))


def _last_index_of(text: Any, arguments: Any, _state: State) -> int:
    if len(arguments) == 1:
        return int(text.rfind(arguments[0]))
    return int(text.rfind(arguments[0], 0, arguments[1] + len(arguments[0]))) if arguments[1] >= 0 else -1


def _characters(text: Any, _arguments: Any, state: State) -> ArrayList:
    state.room(len(text))
    state.charge(len(text))
    return ArrayList(text)


def _join(_text: Any, arguments: Any, state: State) -> str:
    separator, items = arguments
    state.charge(len(items))
    texts = [java_text(item, state.charge) for item in items]
    if sum(map(len, texts)) + len(separator) * len(texts) > STRING_CHARACTERS_MAX:
        raise TemplateError(f"A string is longer than {STRING_CHARACTERS_MAX} characters")
    return state.string(separator.join(texts))


def _concat(text: Any, arguments: Any, state: State) -> str:
    return state.string(text + arguments[0])


STRING: Methods = {
    "charAt": (("i", _char_at),),
    "compareTo": (("s", _compare_to),),
    "compareToIgnoreCase": (("s", _compare_ignoring_case),),
    "concat": (("s", _concat),),
    "contains": (("s", lambda text, given, _: given[0] in text),),
    "contentEquals": (("s", lambda text, given, _: text == given[0]),),
    "endsWith": (("s", lambda text, given, _: text.endswith(given[0])),),
    "equals": (("v", lambda text, given, _: type(given[0]) is str and text == given[0]),),
    "equalsIgnoreCase": (("s", lambda text, given, _: text.lower() == given[0].lower()),),
    "hashCode": (("", lambda text, _, state: java_hash(text, state)),),
    "indexOf": (("s", _index_of), ("si", _index_of)),
    "intern": (("", lambda text, _, __: text),),
    "isBlank": (("", lambda text, _, __: not text.strip()),),
    "isEmpty": (("", lambda text, _, __: not text),),
    "join": (("sl", _join),),
    "lastIndexOf": (("s", _last_index_of), ("si", _last_index_of)),
    "length": (("", lambda text, _, __: len(text)),),
    "matches": (("s", _matches),),
    "repeat": (("i", _repeat),),
    "replace": (("ss", _replace),),
    "replaceAll": (("ss", _replace_pattern(once=False)),),
    "replaceFirst": (("ss", _replace_pattern(once=True)),),
    "split": (("s", _split), ("si", _split)),
    "startsWith": (
        ("s", lambda text, given, _: text.startswith(given[0])),
        ("si", lambda text, given, _: given[1] >= 0 and text.startswith(given[0], given[1])),
    ),
    "strip": (("", lambda text, _, __: text.strip()),),
    "subSequence": (("ii", _substring),),
    "substring": (("i", _substring), ("ii", _substring)),
    "toCharArray": (("", _characters),),
    "toLowerCase": (("", lambda text, _, state: state.string(text.lower())),),
    "toString": (("", lambda text, _, __: text),),
    "toUpperCase": (("", lambda text, _, state: state.string(text.upper())),),
    "trim": (("", lambda text, _, __: text.strip(_WHITE)),),
    "valueOf": (("v", lambda _, given, state: state.string(java_text(given[0], state.charge))),),
}
