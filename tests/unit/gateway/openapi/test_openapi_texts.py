"""Documents as text: JSON and YAML alike, and nothing that is too much."""

import pytest

from cumulo.base.errors import AwsError
from cumulo.gateway.openapi import texts


def refused(body):
    with pytest.raises(AwsError) as error:
        texts.read(body)
    assert error.value.code == "BadRequestException"
    assert error.value.message.startswith("Invalid OpenAPI input. ")
    return error.value.message.removeprefix("Invalid OpenAPI input. ")


def test_json_and_yaml_say_the_same():
    yaml = b"""
    openapi: 3.0.1
    info: {title: 'a "title"', version: "1.0"}
    list:
    - 1
    - 2.5
    - -3e2
    - true
    - ~
    - "true"
    - text: |
        two
        lines
    """
    json = rb"""{"openapi": "3.0.1", "info": {"title": "a \"title\"", "version": "1.0"},
      "list": [1, 2.5, -300.0, true, null, "true", {"text": "two\nlines\n"}]}"""
    assert texts.read(yaml) == texts.read(json)


def test_yaml_has_only_the_types_of_json():
    read = texts.read(
        b"a: 2016-10-13T23:04:43Z\nb: on\nc: yes\nd: 0o7\ne: .inf\nf: 007\n<<: {x: 1}\n200: fine\n"
    )
    assert read == {
        "a": "2016-10-13T23:04:43Z",
        "b": "on",
        "c": "yes",
        "d": "0o7",
        "e": ".inf",
        "f": "007",
        "<<": {"x": 1},
        "200": "fine",
    }


def test_a_brace_may_begin_yaml():
    assert texts.read(b"{a: 1, b: [c]}") == {"a": 1, "b": ["c"]}


def test_anchors_are_written_out():
    assert texts.read(b"a: &it {x: 1}\nb: *it\n") == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize("yaml", [False, True])
def test_what_is_written_is_read_again(yaml):
    shared = {"on": "yes", "é": "2016-10-13", "empty": "", "lines": "a\n b\n", "number": "1.0"}
    tree = {"shared": [shared, shared], "n": 1, "f": 1.5, "t": True, "none": None, "long": "x " * 200}
    written = texts.write(tree, yaml=yaml)
    assert texts.read(written) == tree
    assert b"&" not in written


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": ' + b"[" * 3_000_000,
        b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b"- " * 3_000_000,
        ("a:\n" + "".join(" " * depth + "- \n" for depth in range(300))).encode(),
    ],
)
def test_what_is_too_deep_is_refused(body):
    assert "nested more than 100 deep" in refused(body)


def test_what_is_nested_deeper_than_yaml_allows_is_refused():
    assert "depth" in refused(b"a: " + b"[" * 1_000_000)


def test_what_is_too_long_is_refused():
    assert refused(b" " * (texts.DOCUMENT_BYTES_MAX + 1)) == "The document exceeds the limit of 6 MB."


def test_what_has_too_many_values_is_refused():
    assert "more than 500000 values" in refused(b'{"a": [' + b"1," * 600_000 + b"1]}")


def test_an_alias_bomb_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 6)}]" for n in range(1, 9)]
    assert "more than 500000 values" in refused("\n".join(lines).encode())
    lines += [f"b{n}: *a0" for n in range(10)]
    assert "more than 50 aliases" in refused("\n".join(lines).encode())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "The document is not an object."),
        (b"[]", "The document is not an object."),
        (b"\xff\xfe", "The document is not UTF-8."),
        (b"a: 1\n---\nb: 2\n", "There is more than one document."),
        (b"a: &a [*a]\n", "There is an alias of something that is not there yet."),
        (b"a: *b\n", "There is an alias of something that is not there yet."),
        (b"{? [a] : 1}\n", "A key is an object or an array."),
        (b"a: !!python/object/apply:os.system [ls]\n", "The tag tag:yaml.org,2002:python/object/apply:os.system is not supported."),
        (b"a: !Sub x\n", "The tag !Sub is not supported."),
        (b'{"a": NaN}', "NaN is not a number."),
        (b'{"a": 1e999}', "A number is too large."),
        (b"a: 1e999", "A number is too large."),
        (rb'{"a": "\ud800"}', "A text is not Unicode."),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused_with_a_sentence(body, why):
    assert refused(body) == why


def test_a_fault_in_yaml_is_shown_where_it_is():
    assert refused(b"a:\n\t- b").endswith("(line 2, column 1).")
