"""Templates that ask for too much are stopped, soon and with a sentence."""

import contextlib
import json
import time

import pytest

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import TEMPLATE_CHARACTERS_MAX
from cumulo.gateway.vtl.scope import Scope
from cumulo.gateway.vtl.template import compile_template

SECONDS_MAX = 10.0  # far above what is needed, and far below what running away would take
THOUSAND = "#foreach($i in [1..1000])"


def stopped(template, body=b"{}", **scope):
    """The sentence of the error."""
    started = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        compile_template(template).render(Scope(body=body, **scope))
    assert time.monotonic() - started < SECONDS_MAX
    return caught.value.message


def test_a_template_of_300_kilobytes_is_the_largest():
    assert compile_template("x" * TEMPLATE_CHARACTERS_MAX).render(Scope()).text[:1] == "x"
    assert "longer than" in stopped("x" * (TEMPLATE_CHARACTERS_MAX + 1))


def test_loops_have_a_thousand_iterations():
    assert compile_template(THOUSAND + "#end$i").render(Scope()).text == ""
    assert "API Gateway allows 1000 iterations" in stopped("#foreach($i in [1..1001])#end")


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (f"{THOUSAND}#foreach($j in [1..1000])#set($x = $j)#end#end", "takes more than 500000 steps"),
        (
            f"{THOUSAND}#foreach($j in [1..1000])#foreach($k in [1..1000])#end#end#end",
            "takes more than 500000 steps",
        ),
        ("#set($x = 'xxxxxxxxxx')#foreach($i in [1..40])#set($x = \"$x$x\")#end", "more than"),
        ("#set($x = 'xxxxxxxxxx')#foreach($i in [1..40])#set($x = $x + $x)#end", "longer than"),
        (
            "#set($x = 'xxxxxxxxxx')#foreach($i in [1..40])#set($x = $x.replace('x', 'xxxx'))#end",
            "longer than",
        ),
        (
            "#set($x = 'xxxxxxxxxx')#foreach($i in [1..40])#set($x = $x.replaceAll('.', '$0$0$0$0'))#end",
            "more than",
        ),
        ("#set($x = 'xxxxxxxxxx')#set($x = $x.repeat(10000000))", "longer than"),
        ("#set($x = 'xxxxxxxxxx')#set($x = $x.repeat(1000))" + THOUSAND + "$x$x#end", "writes more than"),
        (
            "#set($x = 'xxxxxxxxxx')#set($x = $x.repeat(100000))" + THOUSAND + "$util.urlEncode($x)#end",
            "more than",
        ),
        ("#set($x = 3)#foreach($i in [1..40])#set($x = $x * $x)#end", "too many digits"),
        (
            "#set($l = [1, 2, 3])#foreach($i in [1..40])#set($x = $l.addAll($l))#end",
            "more than 100000 elements",
        ),
        ("#set($l = [1..1000000])", "more than 100000 elements"),
        ("#set($l = [])#set($x = $l.add($l))$l", "nested more than"),
        ("#set($l = [])#foreach($i in [1..60])#set($l = [$l, $l])#end$l", "takes more than 500000 steps"),
        ("#set($l = [])#foreach($i in [1..900])#set($l = [$l])#end$l", "nested more than"),
        (
            "#set($a = [])#set($b = [])#foreach($i in [1..60])#set($a = [$a, $a])#set($b = [$b, $b])#end#if($a == $b)#end",
            "takes more than 500000 steps",
        ),
        (
            "#set($l = [])#foreach($i in [1..60])#set($l = [$l, $l])#end#set($b = $input.path('$'))#set($b.x = $l)$input.json('$')",
            "takes more than 500000 steps",
        ),
        ("#set($b = $input.path('$'))#set($b.x = $b)$input.json('$')", "nested more than"),
        (
            "".join(f"#define($a{n})$a{n + 1}$a{n + 1}#end" for n in range(30)) + "$a0",
            "#define blocks are nested more than",
        ),
        (
            "".join(f"#define($a{n})$a{n + 1}$a{n + 1}#end" for n in range(19)) + "#define($a19)#end$a0",
            "takes more than 500000 steps",
        ),
    ],
)
def test_growth_and_endlessness_are_stopped(template, sentence):
    assert sentence in stopped(template)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+b",
        "(.*)*b",
        "a*a*a*a*a*b",
        "((a{0,15}){0,15}){0,15}b",
        "(a|a)" * 40 + "b",
    ],
)
def test_no_regular_expression_runs_away(pattern):
    body = json.dumps("a" * 5000)
    template = f"#set($x = $input.path('$'))$x.matches('{pattern}')$x.replaceAll('{pattern}', '')"
    started = time.monotonic()
    try:
        compile_template(template).render(Scope(body=body))
    except TemplateError as error:
        assert "steps" in error.message or "would take too long" in error.message
    assert time.monotonic() - started < SECONDS_MAX


def test_paths_that_multiply_are_stopped():
    deep = "[" * 300 + "]" * 300
    assert "steps" in stopped("$input.path('$..*..*..*').size()", deep.encode())
    long = "[" * 300 + json.dumps("x" * 2_000_000) + "]" * 300
    assert "steps" in stopped("$input.json('$..*')", long.encode())


@pytest.mark.parametrize(
    "template",
    [
        "#if(true)" * 2000,
        "#set($x = " + "(" * 2000,
        "#set($x = " + "[" * 2000,
        "#set($x = " + "{'a':" * 2000,
        "$a.b(" * 2000,
        "$a[" * 2000,
        '#set($x = "' + '$a.b(""' * 500,
        "#foreach($i in [1])" * 2000,
        "#set($x = " + "!" * 100_000 + "true)$x",
        "#set($x = " + "1+" * 50_000 + "1)$x",
        "#if(true)#elseif(false)" * 100 + "#end" * 100,
    ],
)
def test_deep_templates_are_refused_or_rendered(template):
    started = time.monotonic()
    with contextlib.suppress(TemplateError):
        compile_template(template).render(Scope())
    assert time.monotonic() - started < SECONDS_MAX


def test_deep_payloads_do_no_harm():
    assert "not valid JSON" in stopped("$input.json('$')", b"[" * 100_000)
    assert "nested more than" in stopped(
        "#set($a = [$input.path('$')])$a.toString()", b'{"a":' * 300 + b"1" + b"}" * 300
    )


def test_large_payloads_pass_through():
    body = json.dumps(
        [{"id": number, "text": "x" * 80} for number in range(50_000)], separators=(",", ":")
    ).encode()
    assert compile_template("$input.json('$')").render(Scope(body=body)).text.encode() == body


def test_ten_megabytes_can_be_escaped():
    body = json.dumps({"text": "x y " * 2_500_000}, separators=(",", ":"))
    escaped = compile_template("$util.escapeJavaScript($input.json('$'))").render(Scope(body=body)).text
    assert escaped == body.replace('"', '\\"')
