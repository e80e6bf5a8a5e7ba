"""Parameter mapping."""

import pytest

from cumulo.gateway.http.expressions import BadExpression, Facts, value_of
from cumulo.gateway.http.mapping import (
    Draft,
    RequestMapping,
    ResponseMapping,
    problems_of_request,
    problems_of_response,
    reserved,
)

FACTS = Facts(
    headers=[("header1", "a"), ("header1", "b"), ("x", "1")],
    query=[("q", "1"), ("q", "2"), ("Name", "n")],
    path="/pets/6",
    parameters={"petId": "6"},
    body=b'{"a": {"b": [10, {"c d": "deep"}]}, "n": null, "t": true, "s": "text"}',
    context={"requestId": "id=", "authorizer": {"claims": {"sub": "me", "https://x.y/z": "dotted"}, "n": 1}},
    variables={"backend": "example.com"},
    response_headers=[("content-type", "text/plain"), ("x", "back")],
    response_body=b'{"code": 7}',
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$request.header.HEADER1", "a,b"),
        ("$request.header.none", None),
        ("$request.querystring.q", "1,2"),
        ("$request.querystring.name", None),
        ("$request.querystring.Name", "n"),
        ("$request.path", "/pets/6"),
        ("$request.path.petId", "6"),
        ("$request.body.a.b[0]", "10"),
        ("$request.body.a.b[1]['c d']", "deep"),
        ("$request.body.a", '{"b":[10,{"c d":"deep"}]}'),
        ("$request.body.t", "true"),
        ("$request.body.n", None),
        ("$request.body.none.at.all", None),
        ("$request.body.a.b[9]", None),
        ("$context.requestId", "id="),
        ("$context.authorizer.claims.sub", "me"),
        ("$context.authorizer.claims.https://x.y/z", "dotted"),
        ("$context.authorizer.n", "1"),
        ("$context.nothing.here", None),
        ("$stageVariables.backend", "example.com"),
        ("$response.header.X", "back"),
        ("$response.body.code", "7"),
        ("constant", "constant"),
        ("", ""),
        ("costs $5", "costs $5"),
        ("/${stageVariables.backend}/pets/${request.path.petId}", "/example.com/pets/6"),
        ("${request.header.none}!", "!"),
        ("${request.body.s}", "text"),
    ],
)
def test_a_value_is_read_from_where_it_says(text, value):
    assert value_of(text).of(FACTS) == value


@pytest.mark.parametrize(
    "text",
    ["$request.body..a", "$request.body[?(@.x)]", "$request.cookie.a", "$response.path", "$request.header."],
)
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(BadExpression):
        value_of(text)


def test_the_whole_body_goes_beyond_what_paths_see():
    body = b'{"a": "' + b"x" * 200_000 + b'"}'
    facts = Facts(body=body)
    assert value_of("$request.body").of(facts) == body.decode()
    assert value_of("$request.body.a").of(facts) is None
    assert value_of("$request.body.a").reads_body
    assert not value_of("$request.header.body").reads_body


def drafted(parameters, facts=FACTS):
    draft = Draft(facts.headers, facts.query)
    RequestMapping(parameters).apply(facts, draft)
    return draft


def test_headers_are_appended_overwritten_and_removed():
    draft = drafted(
        {"append:header.X": "2", "overwrite:header.y": "$request.path.petId", "remove:header.header1": "''"}
    )
    assert draft.headers == [("x", "1"), ("x", "2"), ("y", "6")]


def test_a_header_is_renamed_whatever_the_order():
    for keys in (
        ("append:header.new", "remove:header.header1"),
        ("remove:header.header1", "append:header.new"),
    ):
        draft = drafted(dict.fromkeys(keys, "$request.header.header1"))
        assert draft.headers == [("x", "1"), ("new", "a,b")]


def test_the_query_and_the_path_are_changed():
    draft = drafted(
        {"overwrite:querystring.q": "9", "append:querystring.r": "1", "overwrite:path": "/v1${request.path}"}
    )
    assert (draft.query, draft.path) == ([("Name", "n"), ("q", "9"), ("r", "1")], "/v1/pets/6")


def test_a_value_that_is_not_there_changes_nothing():
    draft = drafted({"overwrite:header.x": "$request.header.none", "overwrite:path": "$request.body.none"})
    assert (draft.headers, draft.path) == (list(FACTS.headers), None)


def test_no_value_starts_a_line_of_its_own():
    facts = Facts(body=b'{"a": "x\\r\\nset-cookie: b"}')
    assert drafted({"append:header.a": "$request.body.a"}, facts).headers == [("a", "x set-cookie: b")]


def test_answers_are_changed():
    mapping = ResponseMapping(
        {"overwrite:statuscode": "403", "append:header.a": "$context.requestId", "overwrite:header.X": "y"}
    )
    assert mapping.apply(FACTS, 500, [("X", "1"), ("b", "2")]) == (
        403,
        [("b", "2"), ("a", "id="), ("x", "y")],
    )
    assert ResponseMapping({"remove:header.X": ""}).apply(FACTS, 200, [("X", "1")]) == (200, [])
    assert ResponseMapping({"overwrite:statuscode": "$response.body.code"}).apply(FACTS, 200, []) == (200, [])


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "access-control-allow-origin",
        "apigw-requestid",
        "X-Amz-Date",
        "x-amzn-x",
        "Via",
        "TE",
    ],
)
def test_reserved_headers_may_not_be_mapped(name):
    assert reserved(name)
    assert problems_of_request({f"append:header.{name}": "1"}) == [
        f"Operations on header {name.lower()} are restricted"
    ]
    assert problems_of_request({"append:header.a": f"$request.header.{name}"})
    assert problems_of_response({f"remove:header.{name}": ""})


@pytest.mark.parametrize("key", ["append:path", "header.x", "delete:header.x", "append:header.", "append:header.a b",
                                 "overwrite:statuscode"])  # fmt: skip
def test_keys_of_requests_are_checked(key):
    assert problems_of_request({key: "1"})


def test_what_can_be_compiled_has_no_problems():
    good = {"append:header.a": "$context.requestId", "overwrite:path": "/x", "remove:querystring.q": "''"}
    assert problems_of_request(good) == []
    assert problems_of_response({"overwrite:statuscode": "403", "append:header.e": "$response.body.e"}) == []
    assert problems_of_response({"append:header.e": "$request.header.e"}) != []
    assert problems_of_request({"append:header.e": "$request.body..e"}) != []
    assert problems_of_response({"overwrite:path": "/"}) != []
