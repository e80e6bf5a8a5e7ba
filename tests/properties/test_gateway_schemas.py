"""Schemas of draft 4: our own walk says what the library says; what is said to be cheap is; and all else ends too."""

import json
import time

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.gateway.rest.models import _Checking
from cumulo.gateway.rest.schema_graph import Documents, Unresolved, cost_of
from cumulo.gateway.rest.schema_walk import TooCostly, Walker

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab", "bbb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
LEAVES = st.sampled_from(
    [{}, {"type": "object"}, {"type": ["integer", "string"]}, {"type": "array"}, {"required": ["a"]}, {"minimum": 0},
     {"maxItems": 1}, {"uniqueItems": True}, {"pattern": "^a"}, {"pattern": "^(?=.*b)a"}, {"enum": [1, "a", [], {}]},
     {"minProperties": 1}, {"maxLength": 1}, {"dependencies": {"a": ["b"]}}, {"multipleOf": 2}]
)  # fmt: skip
REFERENCES = st.sampled_from(["#/definitions/a", "#/definitions/b", "#/definitions/c"]).map(
    lambda to: {"$ref": to}
)


def parts(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda key, value: {key: value}, st.sampled_from(["allOf", "anyOf", "oneOf"]), several),
        st.builds(lambda value: {"not": value}, inner),
        st.builds(
            lambda properties, rest, more: {
                "properties": properties,
                **({} if rest is None else {"additionalProperties": rest}),
                **more,
            },
            st.dictionaries(NAMES, inner, max_size=2),
            st.none() | st.booleans() | inner,
            LEAVES,
        ),
        st.builds(lambda value: {"patternProperties": {"^[ab]": value}}, inner),
        st.builds(lambda value: {"items": value}, inner),
        st.builds(
            lambda value, rest: {"items": value, "additionalItems": rest}, several, st.booleans() | inner
        ),
        st.builds(lambda value: {"dependencies": {"a": value}}, inner),
    )


SCHEMAS = st.recursive(LEAVES | REFERENCES, parts, max_leaves=6)
WHOLE = st.builds(
    lambda definitions, schema: {**schema, "definitions": definitions},
    st.fixed_dictionaries({"a": SCHEMAS, "b": LEAVES | parts(LEAVES), "c": LEAVES}),
    SCHEMAS,
)


def compiled(schema):
    return jsonschema_rs.Draft4Validator({**schema, "$schema": DRAFT_4}).is_valid


@settings(max_examples=600)
@given(WHOLE, VALUES)
def test_the_walk_and_the_library_agree_on_all_that_ends(schema, value):
    documents = Documents(schema, {})
    cost = cost_of(documents)
    if cost is None or cost > 10_000:
        return
    assert Walker(documents, compiled).is_valid(value) == compiled(schema)(value)


@settings(max_examples=300, deadline=None)
@given(WHOLE, VALUES, st.integers(1, 14))
def test_whatever_a_schema_and_a_body_are_the_check_ends(schema, value, depth):
    for _ in range(depth):
        value = {"a": value, "b": [value]} if depth < 9 else {"a": value}
    body = json.dumps(value).encode()
    try:
        check = _Checking({**schema, "$schema": DRAFT_4}, {}, "https://example.com/m").check
    except ValueError:
        return
    began = time.monotonic()
    assert isinstance(check(body), list)
    assert time.monotonic() - began < 5.0


def test_a_walk_ends_by_its_steps_and_tells_so():
    schema = {"items": {"allOf": [{"type": "integer"} for _ in range(3000)]}}
    try:
        Walker(Documents(schema, {}), compiled).is_valid(list(range(1000)))
    except TooCostly:
        return
    raise AssertionError("it had no end")


def test_references_that_lead_nowhere_are_told():
    for reference in ("#/definitions/none", "x", "#/allOf/9", "#/allOf/99999999999999999999", "#/type"):
        try:
            cost_of(Documents({"allOf": [{"$ref": reference}], "type": "object"}, {}))
        except Unresolved:
            continue
        raise AssertionError(reference)


def test_trees_that_refer_to_themselves_in_the_usual_way_are_cheap():
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"type": "string"}}}
    assert cost_of(Documents(tree, {})) < 10
    listed = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#"}}]}
    assert cost_of(Documents(listed, {})) < 20
