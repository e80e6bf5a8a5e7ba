"""Templates whose output was recorded on AWS (a MOCK integration), and what came out there."""

import json

import pytest

from cumulo.gateway.vtl.scope import Scope
from cumulo.gateway.vtl.template import compile_template


def render(template, given=None):
    """As it was recorded: every variable is taken from the payload first."""
    sets = " ".join(f"#set(${name} = $payload.{name})" for name in given or {})
    text = f"#set($payload = $util.parseJson($input.body)) {sets}\n{template}"
    return compile_template(text).render(Scope(body=json.dumps(given or {}))).text


@pytest.mark.parametrize(
    ("template", "given", "expected"),
    [
        ("<html></html>", {}, "<html></html>"),
        ("Hello $name", {"name": "Chris"}, "Hello Chris"),
        ("Hello ${name}.", {"name": "World"}, "Hello World."),
        ("Hello $name}.", {"name": "World"}, "Hello World}."),
        ("Hello $ ", {}, "Hello $ "),
        ("Hello $name", {}, "Hello "),
        ("Hello $!name", {}, "Hello "),
        (" $user.name ", {"user": {"items": "1;2;3"}}, "  "),
        ("#set ($v = true)$v", {}, "true"),
        ("#set ($value = 10)$value", {}, "10"),
        ("#set ($value = 'Steve')$value", {}, "Steve"),
        ("$value", {"value": "Grüße"}, "Grüße"),
        ('<span style="color: #13ff93">', {}, '<span style="color: #13ff93">'),
        ('<a href="#">bob</a>', {}, '<a href="#">bob</a>'),
        ("hello #stop world", {}, "hello "),
        ("#set($a = {})$a", {}, "{}"),
    ],
)
def test_text_and_references(template, given, expected):
    assert render(template, given) == expected


@pytest.mark.parametrize(
    ("template", "given", "expected"),
    [
        ("#if(${a.b.c})yes!#end", {"a": {"b": {"c": "d"}}}, "yes!"),
        ("#if(${a.b.c})yes!#end", {"a": {"b": {"c": False}}}, ""),
        ("#if(${a.b.c})yes!#end", {}, "yes!"),
        ("#if($!a.b.c)yes!#end", {}, "yes!"),
        ("#if ($some_value)hide me#end", {"some_value": None}, "hide me"),
        ("#if ( !$value )yes#end", {"value": None}, ""),
        ("#if ( not $value )yes#end", {"value": False}, "yes"),
        ("#if($value)true#{else}false#end", {}, "true"),
        ("#if($value)true#{end}monkey", {}, "truemonkey"),
        ("#if ($a) one #elseif ($b) two #else three #end", {"a": False, "b": True}, " two "),
        ("#if ($a) one #elseif ($b) two #else three #end", {"a": False, "b": False}, " three "),
        ("#if ( ($a == 1) && ($b == 2) )yes#end", {"a": 1, "b": 2}, "yes"),
        ("#if ( $a == 1 && $b == 2 )yes#end", {"a": 1, "b": 1}, ""),
        ("#if ( !$a && !$b )yes#end", {"a": False, "b": False}, "yes"),
        ("#if ( $value ge 1 )yes#end", {"value": 1}, "yes"),
        ("#if ( $value lt 1 )yes#end", {"value": 1}, ""),
    ],
)
def test_what_is_missing_is_an_empty_text_and_that_is_true(template, given, expected):
    assert render(template, given) == expected


@pytest.mark.parametrize(
    ("template", "given", "expected"),
    [
        (
            "#foreach ($n in $names)Hello $n. #end$n",
            {"names": ["Chris", "Steve"]},
            "Hello Chris. Hello Steve. ",
        ),
        (
            "#foreach ($w in $a)$w to#foreach ($w in $b) $w#end. #end",
            {"a": ["H", "G"], "b": ["C", "S"]},
            "H to C S. G to C S. ",
        ),
        ("#foreach ($w in $a)$velocityCount,#end", {"a": ["H", "G"]}, "1,2,"),
        (
            "#foreach ($w in $a)Outer $foreach.index#foreach ($w in $b), inner $foreach.index#end. #end",
            {"a": [1, 2], "b": [1, 2]},
            "Outer 0, inner 0, inner 1. Outer 1, inner 0, inner 1. ",
        ),
        ("#foreach ($i in [1, 2, 3])$i. #if ($velocityHasNext)yes#end, #end", {}, "1. yes, 2. yes, 3. , "),
        ("#foreach ($i in [1, 2, 3])$i. #if ($foreach.hasNext)yes#end, #end", {}, "1. yes, 2. yes, 3. , "),
        ("#foreach ($i in [1, 2, 3])$i. #if ($foreach.first)yes#end, #end", {}, "1. yes, 2. , 3. , "),
        ("#foreach ($i in [1, 2, 3])$i. #if ($foreach.last)yes#end, #end", {}, "1. , 2. , 3. yes, "),
        ("#foreach($value in $values)foo#end", {}, ""),
        ("#set($values = [2..-2])#foreach($value in $values)$value,#end", {}, "2,1,0,-1,-2,"),
        ("#foreach( $v in [1..5] )$v\n#end", {}, "1\n2\n3\n4\n5\n"),
        (
            "#set($var = 1)#foreach ($i in $items)$var,#set($var = $i)#end$var",
            {"items": [2, 3, 4]},
            "1,2,3,4",
        ),
        ("#set($i = 1)$i,#foreach ($i in [2, 3, 4])$i,#set($i = $i)#end$i", {}, "1,2,3,4,1"),
        (
            "#foreach ($j in [1,2])#foreach ($i in [3, 4])$foreach.count,#end$foreach.count|#end",
            {},
            "1,2,1|1,2,2|",
        ),
    ],
)
def test_loops(template, given, expected):
    assert render(template, given) == expected


@pytest.mark.parametrize(
    ("template", "given", "expected"),
    [
        ('#set ($name = "\\\\batman\\nand robin")$name', {}, "\\\\batman\\nand robin"),
        ("#set($d = '{\"a\": 2}')$d", {}, '{"a": 2}'),
        ('#set($d = "{""a"": 2}")$d', {}, '{"a": 2}'),
        ('#set($d = "1\\\\""2""3")$d', {}, '1\\\\"2"3'),
        ('#set($hello="hello, $name is my name")$hello', {"name": "Steve"}, "hello, Steve is my name"),
        ('#set($hello="hello, \\$name is my name")$hello', {"name": "Steve"}, "hello, $name is my name"),
        ("#set( $v = \"\" )#set( $y = '' ).$v.$y.", {}, "..."),
        ("#set( $s = '\\{\n\t\r\\%\x05' )$s", {}, "\\{\n\t\r\\%\x05"),
        ('"\\{\n\t\r\\%\x05"', {}, '"\\{\n\t\r\\%\x05"'),
        (
            "#set( $s = '2020-01-20T08:00:00.000Z' )$s.matches('^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:00\\.000Z$')",
            {},
            "true",
        ),
        (
            '#set( $s = "2020-01-20T08:00:00.000Z" )$s.matches("^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:00\\.000Z$")',
            {},
            "true",
        ),
    ],
)
def test_strings(template, given, expected):
    assert render(template, given) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("## comment\nStuff\nMore stuff## more comments $blah", "Stuff\nMore stuff"),
        ("Stuff#*\n more comments *#\n and more stuff", "Stuff\n and more stuff"),
        ("\n#if(true)\nhello##\n#end", "\nhello"),
        (
            "hello #if (true)Steve.\n#if(true)Happy Birthday\n#end.\n#end Off out later?",
            "hello Steve.\nHappy Birthday\n.\n Off out later?",
        ),
        ('blah\n#set($l = ["Hello ", 7])\n#foreach($v in $l)$v#end\n\nblah', "blah\nHello 7\nblah"),
        (
            '\n        #set( $o = {\n          "id": "user1",\n          "domain": "d"\n        } )\n        {\n          "key": "$o.id"\n        }\n        ',
            '\n                {\n          "key": "user1"\n        }\n        ',
        ),
        (
            '\n#set( $email = "foo" )\n$email\n\\$email\n\\\\$email\n\\\n\\\\ \\# \\$\n\\#end\n\\# end\n\\#set( $email = "foo" )\n',
            '\nfoo\n$email\n\\foo\n\\\n\\\\ \\# \\$\n#end\n\\# end\n#set( foo = "foo" )\n',
        ),
    ],
)
def test_white_space_comments_and_escapes(template, expected):
    assert render(template).removeprefix(" ") == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("#set($a = (5 + 4))$a", "9"),
        ("#set($b = 5)#set($a = ($b + 4))$a", "9"),
        ("#set($a = 4 > 2 + 5)$a", "false"),
        ("#set($a = (5 + 4) > 2)$a", "true"),
        ("#set($a = 5 * 4 - 2)$a", "18"),
        ("#set($a = 2 + 5 * 4)$a", "22"),
        ("#set($a = 100.0 / 50)$a", "2.0"),
        ("#set($x = .5*.1)$x", "0.05"),
        ("#set($v = 3)#set( $m = ($v % 2) )$m", "1"),
    ],
)
def test_arithmetic(template, expected):
    assert render(template) == expected


@pytest.mark.parametrize(
    ("template", "given", "expected"),
    [
        ("#set($foo = [1,2,3]) $foo.size()", {}, " 3"),
        ("#set($foo = [1,2,3]) #if($foo.contains(1))found#end", {}, " found"),
        ("#set($foo = [1,2,3]) #if($foo.contains(10))found#end", {}, " "),
        ("#set($foo = [1,2,3])#set( $x = $foo.add('s') )#foreach($i in $foo)$i,#end", {}, "1,2,3,s,"),
        ("#set($foo = 'foobar123bab') $foo.replaceAll('ba.', 'foo')", {}, " foofoo123foo"),
        ("#set($foo = 'something') $foo.indexOf('e')", {}, " 3"),
        ("#set($foo = 'something') $foo.substring(3, 6)", {}, " eth"),
        (
            "#set( $ignore = $d.put('k', 'new value') )$ignore - $d.k",
            {"d": {"k": "initial value"}},
            "initial value - new value",
        ),
        ("#set($d = {} )#set($key = 'bar')#set( $d[$key] = 'foo' )$d", {}, "{bar=foo}"),
        ("#set($a = ['one', 'two', 'three'] )#set($i = 1)#set( $a[$i] = 'foo' )$a", {}, "[one, foo, three]"),
        ('#set( $m = {} )#set($x = $m.put(\'k\', null))#if("$m.k" == "")none#{else}some#end', {}, "none"),
        ("#set( $x = $d.putAll({'k1': 'v3', 'k2': 'v2'}))$d.k1 - $d.k2", {"d": {"k1": "v1"}}, "v3 - v2"),
        ("#set( $o = {'k1': 'v1', 'k2': 'v2'} )$o.toString()", {}, "{k1=v1, k2=v2}"),
        ("$a[1][1]", {"a": ["foo", ["bar1", "bar2"]]}, "bar2"),
        ("$a[1].bar1", {"a": ["foo", {"bar1": "bar2"}]}, "bar2"),
        ('$a["foo"]', {"a": {"foo": "bar"}}, "bar"),
        ("$a.b.c['foo:bar']", {"a": {"b": {"c": {"foo:bar": "baz"}}}}, "baz"),
        ('#set($a = {"dog": "$horse"})$a.dog', {"horse": "cow"}, "cow"),
    ],
)
def test_lists_and_maps(template, given, expected):
    assert render(template, given) == expected


@pytest.mark.parametrize(
    ("template", "given", "expected"),
    [
        ("#define ( $hello)hi#end$hello()$hello()", {}, "hi()hi()"),
        ("#define ( $showindex )$foreach.index#end#foreach($x in [1,2,3])$showindex#end", {}, "012"),
        ("\n#define( $f )$ctx#end\n#set( $ctx = 'foo' )\n$f\n#set( $ctx = 'bar' )\n$f\n", {}, "\nfoo\nbar\n"),
        ("\n#macro (blah)\nhello##\n#end\n#blah()", {}, "\n#blah()"),
        ("#set($source = 'abc')\n\n#evaluate($source)", {}, "\n#evaluate($source)"),
        ("#return($v1)", {}, "#return($v1)"),
    ],
)
def test_blocks_macros_and_unknown_directives(template, given, expected):
    assert render(template, given).removeprefix(" ") == expected
