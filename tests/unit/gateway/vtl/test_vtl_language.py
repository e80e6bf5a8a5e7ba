"""Velocity's language where nothing was recorded on AWS: read from Velocity 1.7's grammar."""

import pytest

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.scope import Scope
from cumulo.gateway.vtl.template import compile_template


def render(template, body=b"{}"):
    return compile_template(template).render(Scope(body=body)).text


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$5 $ {x} $(a) #1 # .", "$5 $ {x} $(a) #1 # ."),
        ("${} ${1} $!{ }", "${} ${1} $!{ }"),
        ("$no.thing.", "."),
        ("#set($a-b_c1 = 'x')$a-b_c1 ${a-b_c1}z", "x xz"),
        ("#[[$raw #if]]#", "$raw #if"),
        ("#set($a='x')\\\\\\$a \\\\$a", "\\$a \\x"),
        ("\\#if(true) \\\\#if(true)x#end", "#if(true) \\x"),
        ("\\#foo", "\\#foo"),
        ("#set($a=1)   #set($b=2)|", "|"),
        ("#set($a=1)\n   #set($b=2)|", "|"),
        ("x   #set($b=2)|", "x   |"),
        ("#if(true)a#else\nb#end\nc", "ac"),
        ("#foo $a #bar", "#foo  #bar"),
        ("#foo('x' $a, 1)b", "#foo('x' $a, 1)b"),
        ("#set($a = 1)|#set $a", "|#set 1"),
    ],
)
def test_text(template, expected):
    assert render(template) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("2147483647 + 1", "2147483648"),
        ("1 + 'a' + 2", "1a2"),
        ("'a' + [1]", "a[1]"),
        ("1 == 1.0", "true"),
        ("1 == '1'", "true"),
        ("true == 'true'", "true"),
        ("'a' == 'A'", "false"),
        ("[1, 2] == [1, 2]", "true"),
        ("'a' < 'b'", "false"),
        ("1 != 2 and not false", "true"),
        ("!!true", "true"),
        ("1.5e3", "1500.0"),
        ("1.0 / 3", "0.3333333333333333"),
        ("12345678.5 + 0", "1.23456785E7"),
        ("0.0001 * 1", "1.0E-4"),
        ("[1..3]", "[1, 2, 3]"),
        ("{'a': [1, {'b': null}]}", "{a=[1, {b=null}]}"),
        ('"\\u00e9"', "é"),
        ("'\\u00e9'", "\\u00e9"),
        ('"#if(true)yes#end"', "yes"),
        ('"100%$"', "100%$"),
    ],
)
def test_expressions(expression, expected):
    assert render(f"#set($x = {expression})$x") == expected


def test_null_sets_nothing():
    assert render("#set($x = 'old')#set($x = 1 / 0)$x,#set($x = null)$x") == "old,old"


def test_break_leaves_a_loop_or_the_template():
    assert render("#foreach($i in [1..9])$i#if($i == 3)#break#end#end.") == "123."
    assert render("a#{break}b") == "a"


def test_stop_inside_of_a_string_ends_the_template_without_the_string():
    assert render('a$util.urlEncode("b#stop")c') == "a"


def test_loops_go_over_the_values_of_maps_and_nothing_else():
    assert (
        render("#foreach($v in {'a': 1, 'b': 2})$v#end#foreach($v in 5)x#end#foreach($v in 'ab')x#end")
        == "12"
    )
    assert render("#set($m = {'a': 1})#foreach($e in $m.entrySet())$e.key=$e.value $e#end") == "a=1 a=1"


def test_a_loop_knows_its_parent():
    template = "#foreach($a in [1,2])#foreach($b in [1])$foreach.parent.count$foreach.topmost.index #end#end"
    assert render(template) == "10 21 "


def test_a_list_may_grow_while_it_is_looped_over():
    assert render("#set($l = [1, 2])#foreach($x in $l)#set($y = $l.add($x))#end$l") == "[1, 2, 1, 2]"


def test_a_define_block_inside_itself_ends():
    assert render("#define($a)x$a#end$a") == "xx"
    assert render("#define($a)[$b]#end#define($b)($a)#end$a") == "[([()])]"


def test_a_define_block_is_its_text_where_a_value_is_needed():
    assert (
        render("#define($a)x y#end$util.urlEncode($a) $a.length() #if($a == 'x y')same#end") == "x+y 3 same"
    )


@pytest.mark.parametrize(
    ("template", "message", "line", "column"),
    [
        ("Hello ${name.", "Expected '}' to close a reference", 1, 13),
        ("#if(true)", "#if without #end", 1, 4),
        ("a\n  #end", "#end without a directive", 2, 3),
        ("#if(1)a#else b#elseif(2)c#end", "#elseif after #else", 1, 15),
        ("#foreach($x in [1])#else#end", "#else inside #foreach", 1, 20),
        ("#foreach($x of [1])#end", "Expected 'in' in #foreach", 1, 12),
        ("#set($x = )", "Expected a value", 1, 11),
        ("#set($x)", "Expected '=' in #set", 1, 8),
        ("#set(x = 1)", "Expected a reference", 1, 6),
        ("\n#set($x = 'abc)", "A string is not closed", 2, 11),
        ("$x.y(1", "Expected ')' to close", 1, 7),
        ("$x[1", "Expected ']' to close an index", 1, 5),
        ("#set($x = [1, 2)", "Expected ']' to close a list", 1, 16),
        ("#set($x = {'a' 1})", "Expected ':' after a map's key", 1, 16),
        ("#* open", "#* is not closed", 1, 1),
        ("#if true", "Expected '(' after #if", 1, 4),
        ("#include('x')", "does not allow #include", 1, 1),
        ("#parse('x')", "does not allow #parse", 1, 1),
        ("#@foo() #end", "does not allow #@foo", 1, 1),
        ('#set($x = "a ${b")', "Expected '}' to close a reference", 1, 17),
        ('#set ($name = "\\"batman\\"")$name', "Expected ')' to close #set", 1, 18),
        ("#set($a.b() = 1)", "cannot assign to a method", 0, 0),
        ("Hello $", "cannot end with", 1, 7),
        ("#", "cannot end with", 1, 1),
    ],
)
def test_what_cannot_be_read_is_pointed_at(template, message, line, column):
    with pytest.raises(TemplateError) as caught:
        compile_template(template)
    assert message in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


def test_errors_of_a_rendering_point_at_the_statement():
    with pytest.raises(TemplateError) as caught:
        render("ok\n  $input.path('$[').x")
    assert caught.value.message.startswith("Invalid JSONPath")
    assert (caught.value.line, caught.value.column) == (2, 3)
    assert str(caught.value).endswith("(line 2, column 3)")


def test_a_template_renders_the_same_twice():
    template = compile_template("#set($x = [1])#set($y = $x.add(2))$x$!z#set($z = 1)")
    assert [template.render(Scope()).text for _ in range(2)] == ["[1, 2]"] * 2
