"""Whatever clients send and functions say: events are JSON that says it again, answers can be written, nothing raises."""

import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.http.http_api import HttpApi, function

from cumulo.gateway.http.answers import BadAnswer, answer_1, answer_2
from cumulo.gateway.http.expressions import BadExpression, Facts, value_of
from cumulo.gateway.http.mapping import RequestMapping, problems_of_request
from cumulo.wire.answers import Answers
from cumulo.wire.http import Response

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)
NAMES = st.text("abcxyz-", min_size=1, max_size=8).map(lambda name: "h" + name)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(("1.0", "2.0")),
    st.lists(st.text(min_size=1, max_size=6).filter(lambda part: "/" not in part), max_size=3),
    st.lists(st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6)), max_size=4),
    st.lists(st.tuples(NAMES, TEXT), max_size=4),
    st.binary(max_size=20),
)
def test_events_say_what_was_sent(version, parts, query, headers, body):
    path = "/" + "/".join(parts)
    raw = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    event = HttpApi(function(payload_format_version=version)).event(
        "POST", f"{quote(path)}?{raw}" if raw else quote(path), headers, body
    )
    seen: dict[str, list[str]] = {}
    for name, value in query:
        seen.setdefault(name, []).append(value)
    if version == "2.0":
        assert event["rawPath"] == path
        assert event["rawQueryString"] == raw
        assert event.get("queryStringParameters", {}) == {
            name: ",".join(values) for name, values in seen.items()
        }
        for name, _ in headers:
            assert event["headers"][name] == ",".join(value for key, value in headers if key == name)
    else:
        assert event["path"] == path
        assert (event["multiValueQueryStringParameters"] or {}) == seen
        for name, _ in headers:
            assert event["multiValueHeaders"][name] == [value for key, value in headers if key == name]
    assert event["isBase64Encoded"] == bool(body)


HOSTILE = st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.sampled_from((200, 204, 404, "201", 99, 1000, True, None, 2.5)) | JSON,
        "headers": st.dictionaries(st.text(max_size=6) | NAMES, JSON | st.text(max_size=6), max_size=3)
        | JSON,
        "multiValueHeaders": st.dictionaries(NAMES, st.lists(JSON, max_size=3), max_size=2) | JSON,
        "cookies": st.lists(st.text(max_size=6) | JSON, max_size=3) | JSON,
        "body": st.text(max_size=8) | JSON,
        "isBase64Encoded": st.booleans() | JSON,
    },
)


@given(st.sampled_from((answer_1, answer_2)), HOSTILE | JSON | st.binary(max_size=12))
def test_answers_can_be_written_or_are_none(read, said):
    payload = said if isinstance(said, bytes) else json.dumps(said).encode()
    try:
        told = read(payload)
    except BadAnswer:
        return
    head = Answers(0.0).head(Response(told.status, told.headers, told.body), len(told.body), "")
    assert head.count(b"\r\n") == head.count(b"\n")
    assert 200 <= told.status <= 599


WORDS = st.sampled_from(
    ("$request.", "$context.", "$stageVariables.", "${", "}", "header.", "body", ".", "querystring.", "path", "a", "[0]",
     "['x']", "..", "$", "-", "")
)  # fmt: skip


@given(st.lists(WORDS, max_size=8).map("".join), JSON)
def test_expressions_give_text_or_are_refused(text, body):
    facts = Facts(headers=[("a", "1")], query=[("a", "2")], path="/a", parameters={"a": "3"},
                  body=json.dumps(body).encode(), context={"a": {"a": body}}, variables={"a": "4"})  # fmt: skip
    try:
        value = value_of(text).of(facts)
    except BadExpression:
        return
    assert value is None or isinstance(value, str)


@given(st.dictionaries(st.lists(WORDS | st.sampled_from(("append:", "remove:", "overwrite:")), max_size=4).map("".join),
                       st.lists(WORDS, max_size=6).map("".join), max_size=3))  # fmt: skip
def test_what_has_no_problems_can_be_compiled(parameters):
    if not problems_of_request(parameters):
        RequestMapping(parameters)
