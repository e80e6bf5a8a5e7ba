"""Java's methods, and that there are no others."""

import pytest

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.scope import Scope
from cumulo.gateway.vtl.template import compile_template


def render(template):
    return (
        compile_template(template)
        .render(Scope(body=b'{"a": [1, {"b": 2}], "m": {"x": 1, "y": [true]}}'))
        .text
    )


@pytest.mark.parametrize(
    ("value", "call", "expected"),
    [
        ("'aXbX'", "replace('X', '-')", "a-b-"),
        ("'a.b'", "replace('.', '')", "ab"),
        ("'a1b22'", "replaceAll('([0-9]+)', '<$1>')", "a<1>b<22>"),
        ("'aaa'", "replaceFirst('a', 'b')", "baa"),
        ("'a,b,,'", "split(',')", "[a, b]"),
        ("'a,b,c'", "split(',', 2)", "[a, b,c]"),
        ("'abc'", "toUpperCase()", "ABC"),
        ("'ABC'", "toLowerCase()", "abc"),
        ("' a '", "trim()", "a"),
        ("'abc'", "startsWith('ab')", "true"),
        ("'abc'", "startsWith('bc', 1)", "true"),
        ("'abc'", "endsWith('bc')", "true"),
        ("'abcb'", "lastIndexOf('b')", "3"),
        ("'abcb'", "lastIndexOf('b', 2)", "1"),
        ("'abc'", "indexOf('c', 1)", "2"),
        ("'abc'", "matches('[a-c]+')", "true"),
        ("'abc'", "matches('b')", "false"),
        ("'abc'", "equals('abc')", "true"),
        ("'abc'", "equals(1)", "false"),
        ("'abc'", "equalsIgnoreCase('ABC')", "true"),
        ("'abc'", "concat('d')", "abcd"),
        ("'abc'", "charAt(1)", "b"),
        ("'hello'", "hashCode()", "99162322"),
        ("'abc'", "substring(1)", "bc"),
        ("'abc'", "compareTo('abd')", "-1"),
        ("'abc'", "isEmpty()", "false"),
        ("'ab'", "repeat(2)", "abab"),
        ("''", "valueOf(1.5)", "1.5"),
        ("''", "join('-', ['a', 1])", "a-1"),
        ("0", "parseInt('42')", "42"),
        ("0", "valueOf('-7')", "-7"),
        ("0", "parseInt('ff', 16)", "255"),
        ("255", "toHexString(255)", "ff"),
        ("5", "compareTo(3)", "1"),
        ("5", "equals('5')", "false"),
        ("1.5", "intValue()", "1"),
        ("0.5", "parseDouble('2.25')", "2.25"),
        ("true", "toString()", "true"),
        ("true", "parseBoolean('TRUE')", "true"),
        ("[1, 2]", "get(1)", "2"),
        ("[1, 2]", "isEmpty()", "false"),
        ("['a', 'b']", "indexOf('b')", "1"),
        ("['a', 'b']", "subList(1, 2)", "[b]"),
        ("{'a': 1}", "containsKey('a')", "true"),
        ("{'a': 1}", "containsValue(1)", "true"),
        ("{'a': 1}", "getOrDefault('b', 2)", "2"),
        ("{'a': 1, 'b': 2}", "keySet()", "[a, b]"),
        ("{'a': 1, 'b': 2}", "values()", "[1, 2]"),
        ("{'a': 1}", "entrySet()", "[a=1]"),
        ("{'a': 1}", "size()", "1"),
        ("{'a': 1}", "isEmpty()", "false"),
        ("{'a': 1}", "get('no')", ""),
    ],
)
def test_methods(value, call, expected):
    assert render(f"#set($x = {value})$x.{call}") == expected


def test_lists_and_maps_change_in_place():
    assert render("#set($l = [3])$l.add(0, 1)$l.add(9)$l.set(1, 4)$l.remove(0)|$l") == "true31|[4, 9]"
    assert (
        render("#set($m = {'a': 1})$m.put('a', 2)$m.remove('a')$m.putIfAbsent('b', 3)$m.clear()|$m")
        == "12|{}"
    )


def test_data_out_of_json_prints_as_api_gateway_prints_it():
    assert render("$input.path('$')") == '{a=[1,{"b":2}], m={x=1, y=[true]}}'
    assert render("$input.path('$.a').get(1)") == "{b=2}"


def test_properties():
    assert render("#set($s = '')$s.empty,#set($l = [1])$l.empty,$l.size") == "true,false,"


def test_indexes_count_from_the_end_when_they_are_negative():
    assert render("#set($l = [1, 2])$l[-1]") == "2"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("#set($l = [1])$l[1]", "Index 1 is out of the range of a list of 1 elements"),
        ("#set($l = [1])$l.get(-1)", "Index -1 is out of the range"),
        (
            "#set($s = 'abc')$s.substring(2, 9)",
            "substring(2, 9) is out of the range of a string of 3 characters",
        ),
        ("#set($i = 0)$i.parseInt('x')", "'x' is not an integer"),
        ("#set($s = 'abc')$s.replaceAll('(', '')", "cannot be read"),
        ("#set($s = 'abc')$s.replaceAll('a', '$1')", "names the group 1, which does not exist"),
    ],
)
def test_javas_exceptions_are_errors(template, message):
    with pytest.raises(TemplateError) as caught:
        render(template)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        "class",
        "getClass()",
        "__class__",
        "__init__",
        "format('x')",
        "f_globals",
        "append(1)",
        "upper()",
        "decode()",
        "run",
        "scope",
    ],
)
@pytest.mark.parametrize("value", ["'text'", "1", "1.5", "true", "[1]", "{'a': 1}"])
def test_there_is_no_way_to_anything_of_python(value, name):
    assert render(f"#set($x = {value})$x.{name}").replace(f".{name}", "") in {
        "",
        "text",
        "1",
        "1.5",
        "true",
        "[1]",
        "{a=1}",
    }


@pytest.mark.parametrize("root", ["input", "util", "context", "stageVariables", "foreach"])
@pytest.mark.parametrize(
    "name", ["class.forName('java.lang.Runtime')", "getClass().getClassLoader()", "scope", "kept"]
)
def test_the_things_of_a_template_have_no_other_doors(root, name):
    assert render(f"#foreach($i in [1])${root}.{name}#end") == ""
