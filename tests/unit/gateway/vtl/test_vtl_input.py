"""$input, $context, $stageVariables, $util, and what a template overrides."""

import json

import pytest

from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.scope import Overrides, Scope
from cumulo.gateway.vtl.template import compile_template

BODY = (
    b'{"a": {"b": [1, {"c": "x/y"}]}, "f": 249.99, "big": 1e10, "n": null, "t": true, "s": "it\'s \xc3\xa9"}'
)


def render(template, body=BODY, **scope):
    return compile_template(template).render(Scope(body=body, **scope)).text


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$input.json('$.a')", '{"b":[1,{"c":"x/y"}]}'),
        ("$input.json('$.s')", '"it\'s é"'),
        ("$input.json('$.missing')", '""'),
        ("$input.json('$.n')", "null"),
        ("$input.json('$..c')", '["x/y"]'),
        ("$input.path('$.a')", '{b=[1,{"c":"x/y"}]}'),
        ("$input.path('$.a.b')", '[1,{"c":"x/y"}]'),
        ("$input.path('$.a.b[1].c')", "x/y"),
        ("$input.path('$.a.b').size()", "2"),
        ("$input.path('$.f')", "249.99"),
        ("$input.path('$.big')", "1.0E10"),
        ("$input.path('$.t')", "true"),
        ("$input.path('$.missing')", ""),
        ("#if($input.path('$.missing') == '')none#end", "none"),
        ('#set($i = 1)$input.path("$.a.b[${i}].c")', "x/y"),
    ],
)
def test_input_reads_the_payload_by_jsonpath(template, expected):
    assert render(template) == expected


def test_what_a_template_changes_in_the_payload_stays_changed():
    template = "#set($body = $input.path('$'))#set($body.url = \"https://example/$body.id\")$input.json('$')"
    assert render(template, b'{"id":7}') == '{"id":7,"url":"https://example/7"}'


def test_the_payload_is_as_it_came():
    assert render("$input.body", b'{"a":  1}') == '{"a":  1}'
    assert render("$input.body", "ü") == "ü"


def test_no_payload_is_an_empty_object():
    assert render("$input.body $input.json('$') $input.path('$') $input.path('$.a')", b"") == "{} {} {} "


def test_a_payload_that_is_no_json_is_one_text():
    assert render("$input.json('$')", b"a=1&b=2") == '"a=1&b=2"'
    assert render("$input.path('$').split('&').size()", b"a=1&b=2") == "2"


def test_a_payload_that_is_broken_json_is_refused():
    with pytest.raises(TemplateError, match="The payload is not valid JSON"):
        render("$input.json('$')", b'{"a": ')


def test_params_are_looked_for_in_path_query_and_headers():
    scope = {
        "path": {"a": "path"},
        "querystring": {"a": "query", "b": "query"},
        "header": {"b": "h", "X-C": "header"},
    }
    template = "$input.params('a') $input.params('b') $input.params('X-C') $input.params('x-c') [$input.params('no')]"
    assert render(template, **scope) == "path query header header []"
    assert (
        render("$input.params().querystring.b $input.params().get('header').keySet()", **scope)
        == "query [b, X-C]"
    )
    assert render("$input.params().querystring", **scope) == "{a=query, b=query}"


def test_the_template_of_the_documentation_passes_all_parameters_on():
    template = """#set($allParams = $input.params())
{
#foreach($type in $allParams.keySet())
  #set($params = $allParams.get($type))
  "$type" : {
    #foreach($paramName in $params.keySet())
    "$paramName" : "$util.escapeJavaScript($params.get($paramName))"
    #if($foreach.hasNext),#end
    #end
  }
  #if($foreach.hasNext),#end
#end
}"""
    given = {"path": {"id": "1"}, "querystring": {"q": 'say "x"', "r": "é"}, "header": {}}
    assert json.loads(render(template, **given)) == given


def test_the_well_known_template_for_forms_makes_json():
    template = """#set($raw = $input.path('$'))
#set($pairs = $raw.split("&"))
{
#foreach( $pair in $pairs )
  #set($parts = $pair.split("="))
  #if($parts[0].length() > 0)
"$util.urlDecode($parts[0])" : "#if($parts.size() > 1)$util.urlDecode($parts[1])#end"#if($foreach.hasNext),#end
  #end
#end
}"""
    assert json.loads(render(template, b"name=J+D&x=%26&empty=")) == {"name": "J D", "x": "&", "empty": ""}


def test_context_and_stage_variables():
    context = {"requestTimeEpoch": 123, "identity": {"sourceIp": "1.2.3.4", "user": None}}
    template = (
        "$context.requestTimeEpoch $context.identity.sourceIp [$context.identity.user$context.no.where]"
    )
    assert render(template, context=context) == "123 1.2.3.4 []"
    template = "$stageVariables.a ${stageVariables['a']} $stageVariables.get('a') [$stageVariables.b]"
    assert render(template, stage_variables={"a": "x"}) == "x x x []"


def test_a_scope_is_never_changed():
    context = {"identity": {"user": "u"}}
    stage = {"a": "x"}
    template = (
        "#set($context.identity.user = 'other')#set($context.new = 1)#set($stageVariables.a = 'y')"
        "$context.identity.user $stageVariables.a"
    )
    assert render(template, context=context, stage_variables=stage) == "other y"
    assert context == {"identity": {"user": "u"}}
    assert stage == {"a": "x"}


def test_overrides_come_back_and_are_seen_by_the_next_template():
    first = compile_template(
        "#set($context.requestOverride.header.X-A = 'a')"
        "#set($context.requestOverride.header['multi'] = ['1', 2])"
        "#set($context.requestOverride.path.proxy = $input.body)"
        "#set($context.requestOverride.querystring.q = 7)"
        "#set($context.responseOverride.header.h = true)"
        "#set($context.responseOverride.status = 404)"
    ).render(Scope(body="b"))
    assert first.text == ""
    assert first.overrides == Overrides(
        header={"X-A": "a", "multi": ["1", "2"]},
        path={"proxy": "b"},
        querystring={"q": "7"},
        response_header={"h": "true"},
        status=404,
    )
    second = compile_template("$context.requestOverride.path.proxy $context.responseOverride.status").render(
        Scope(overrides=first.overrides)
    )
    assert second.text == "b 404"
    assert second.overrides == first.overrides


def test_a_status_is_a_number():
    assert (
        compile_template("#set($context.responseOverride.status = '201')").render(Scope()).overrides.status
        == 201
    )
    with pytest.raises(TemplateError, match="no HTTP status"):
        render("#set($context.responseOverride.status = 'teapot')")


def test_an_override_must_be_a_map():
    with pytest.raises(TemplateError, match=r"\$context.requestOverride.header must be a map"):
        render("#set($context.requestOverride.header = 'x')")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('$util.escapeJavaScript("it\'s \\ ""q"" a/b")', 'it\\\'s \\\\ \\"q\\" a\\/b'),
        ("$util.escapeJavaScript($input.path('$.s'))", "it\\'s \\u00E9"),
        ("$util.escapeJavaScript($input.path('$.s')).replaceAll(\"\\\\'\",\"'\")", "it's \\u00E9"),
        ("$util.escapeJavaScript('😀\n')", "\\uD83D\\uDE00\\n"),
        ("$util.escapeJavaScript(5)", "5"),
        ("$util.urlEncode('a b&c=é~*')", "a+b%26c%3D%C3%A9%7E*"),
        ("$util.urlDecode('a+b%26c%3D%C3%A9')", "a b&c=é"),
        ("$util.base64Encode('hé')", "aMOp"),
        ("$util.base64Decode('aMOp')", "hé"),
        ("$util.base64Decode('!!')", ""),
        ('$util.parseJson(\'{"key2":{"arr":[1,2,3]}}\').key2.arr[0]', "1"),
        ("$util.parseJson('[1, \"a\"]')", '[1,"a"]'),
        ("$util.nothing('x')", ""),
    ],
)
def test_util(template, expected):
    assert render(template) == expected


def test_json_that_cannot_be_parsed_is_an_error():
    with pytest.raises(TemplateError, match="not valid JSON"):
        render("$util.parseJson('{')")
