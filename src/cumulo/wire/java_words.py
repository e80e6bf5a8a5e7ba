"""How services that show their Java say that a value of the body has the wrong type: by its class."""

from collections.abc import Mapping

_CLASSES: Mapping[str, str] = {
    "TRUE_VALUE": "java.lang.Boolean",
    "FALSE_VALUE": "java.lang.Boolean",
    "NUMBER_VALUE": "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
    "STRING_VALUE": "java.lang.String",
}
_CONVERTED = " can not be converted to "


def by_class(message: str) -> str:
    """The sentence with a class in place of the kind of a JSON token; others as they are."""
    token, found, wanted = message.partition(_CONVERTED)
    if not found or token not in _CLASSES:
        return message
    return f"class {_CLASSES[token]}{_CONVERTED}an {wanted.partition(' ')[2]}"
