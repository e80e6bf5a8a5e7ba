"""What must hold of every mapping template: it renders or is refused with a TemplateError, soon, and touches nothing."""

import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.gateway.java_regex.pattern import JavaPattern, PatternError
from cumulo.gateway.jsonpath.compile import compile_path
from cumulo.gateway.jsonpath.errors import JsonPathError
from cumulo.gateway.jsonpath.functions import MISSING
from cumulo.gateway.vtl.errors import TemplateError
from cumulo.gateway.vtl.limits import OUTPUT_CHARACTERS_MAX
from cumulo.gateway.vtl.scope import Scope
from cumulo.gateway.vtl.template import compile_template

PIECES = [
    "$", "!", "{", "}", "(", ")", "[", "]", ".", ",", "..", "'", '"', "#", "##", "#*", "*#", "#[[", "]]#", "\\", "\n", " ", "=",
    "$x", "$y", "${x}", "$!x", "$x.y", "$input", "$input.path('$')", "$input.json('$.a')", "$input.params()", "$context.a",
    "$util.parseJson", "$foreach.index", "#set(", "#set($x = ", "#set($x.y = ", "#if(", "#if($x)", "#elseif(true)", "#else",
    "#end", "#foreach($i in ", "#foreach($i in [1..3])", "#define($x)", "#macro(m)", "#break", "#stop", "#include('a')",
    "#evaluate($x)", "[1..5]", "[1, 2]", "{'a': 1}", "true", "null", "1", "-2.5", " + ", " == ", " && ", "!", " in ", "+",
    ".size()", ".get(", ".put('k', $x)", ".add($x)", ".replaceAll('(a)', '$1')", ".split(',')", ".class", ".toString()", "text",
]  # fmt: skip
templates = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
keys = st.text(max_size=6)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)


@given(templates, documents)
@settings(max_examples=400, deadline=None)
def test_any_template_renders_or_is_refused(text, document):
    context = {"a": {"b": [1, {"c": 2}]}}
    before = copy.deepcopy(context)
    scope = Scope(body=json.dumps(document), context=context, header={"h": "v"}, stage_variables={"x": "y"})
    try:
        rendering = compile_template(text).render(scope)
    except TemplateError as error:
        assert error.message
        assert error.line <= text.count("\n") + 1
    else:
        assert len(rendering.text) <= OUTPUT_CHARACTERS_MAX
    assert context == before


@given(st.text(alphabet=st.characters(exclude_characters="$#", exclude_categories=["Cs"])))
def test_text_without_dollar_and_hash_is_printed_as_it_is(text):
    assert compile_template(text).render(Scope()).text == text


@given(documents)
def test_json_passes_through(document):
    body = json.dumps(document)
    text = compile_template("$input.json('$')").render(Scope(body=body)).text
    assert json.loads(text) == json.loads(body)


@given(documents)
def test_json_survives_being_a_string_in_json(document):
    template = '{"body": "$util.escapeJavaScript($input.json(\'$\')).replaceAll("\\\\\'","\'")"}'
    text = compile_template(template).render(Scope(body=json.dumps(document))).text
    assert json.loads(json.loads(text)["body"]) == document


@given(st.text(max_size=40))
def test_encoding_and_decoding_are_opposites(value):
    scope = Scope(querystring={"v": value})
    for name in ("url", "base64"):
        template = f"$util.{name}Decode($util.{name}Encode($input.params('v')))"
        assert compile_template(template).render(scope).text == value


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=6),
    st.lists(st.sampled_from("+-*"), min_size=5, max_size=5),
)
def test_arithmetic_is_arithmetic(numbers, signs):
    text = str(numbers[0])
    for sign, number in zip(signs, numbers[1:], strict=False):
        text += f" {sign} ({number})"
    assert compile_template(f"#set($x = {text})$x").render(Scope()).text == str(eval(text))


@given(st.text(alphabet="$@.[]()'\"?*:,!&|=<>~/ab1-2 \\", max_size=30), documents)
@settings(max_examples=300, deadline=None)
def test_any_path_reads_or_is_refused(text, document):
    try:
        compile_path(text).read(document)
    except JsonPathError as error:
        assert str(error)


@given(st.dictionaries(keys.filter(bool), documents, min_size=1, max_size=4), st.data())
def test_every_member_is_found_by_its_name(document, data):
    key = data.draw(st.sampled_from(sorted(document)))
    quoted = key.replace("\\", "\\\\").replace("'", "\\'")
    assert compile_path(f"$['{quoted}']").read(document) == document[key]
    assert compile_path("$.*").read(document) == list(document.values())


@given(documents)
def test_deep_scans_find_all_values(document):
    def below(value):
        children = (
            list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        )
        return len(children) + sum(map(below, children))

    assert len(compile_path("$..*").read(document)) == below(document)
    assert compile_path("$.no-such-name").read(document) is MISSING


@given(st.text(alphabet="ab(|)*+?[^]{2,}.\\d$1", max_size=12), st.text(alphabet="ab1", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_regular_expression_runs_or_is_refused(pattern, text):
    spent = 0

    def charge(steps):
        nonlocal spent
        spent += steps

    try:
        found = JavaPattern(pattern)
        found.matches(text, charge)
        "".join(found.split(text, -1, charge))
        assert found.replace(text, "x", charge) is not None
    except PatternError as error:
        assert str(error)
    assert spent < 100_000
