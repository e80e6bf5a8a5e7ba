"""Values of the wrong type, told of by their class in Java."""

import pytest

from cumulo.wire.java_words import by_class


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("TRUE_VALUE can not be converted to a String", "class java.lang.Boolean can not be converted to an String"),
        ("STRING_VALUE can not be converted to a Integer", "class java.lang.String can not be converted to an Integer"),
        ("NUMBER_VALUE can not be converted to a String",
         "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"),
        ("Start of structure or map found where not expected.", "Start of structure or map found where not expected."),
        ("x can not be converted to a String", "x can not be converted to a String"),
    ],
)  # fmt: skip
def test_sentences(said, shown):
    assert by_class(said) == shown
