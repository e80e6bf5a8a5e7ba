"""JSONPath as Jayway's library has it."""

import pytest

from cumulo.gateway.jsonpath.compile import compile_path
from cumulo.gateway.jsonpath.errors import JsonPathError
from cumulo.gateway.jsonpath.functions import MISSING

DOCUMENT = {
    "store": {
        "book": [
            {"category": "reference", "author": "Nigel Rees", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "price": 12.99},
            {"category": "fiction", "author": "Herman Melville", "isbn": "0-553", "price": 8.99},
        ],
        "bicycle": {"color": "red", "price": 19.95},
    },
    "limit": 10,
    "a-b": {"c d": 1, "e.f": 2, "quo'te": 3},
    "list": [1, [2, 3], None, True],
    "empty": [],
}


def read(path):
    return compile_path(path).read(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", DOCUMENT),
        ("$.limit", 10),
        ("limit", 10),
        ("$.store.book[0].author", "Nigel Rees"),
        ("$['store']['book'][1]['price']", 12.99),
        ('$["limit"]', 10),
        ("$.store.book[-1].isbn", "0-553"),
        ("$.a-b['c d']", 1),
        ("$.a-b['e.f']", 2),
        (r"$['a-b']['quo\'te']", 3),
        ("$.list[2]", None),
        ("$.store.book[*].price", [8.95, 12.99, 8.99]),
        ("$.store.book[0,2].price", [8.95, 8.99]),
        ("$.store.book[0:2].price", [8.95, 12.99]),
        ("$.store.book[:1].price", [8.95]),
        ("$.store.book[-2:].price", [12.99, 8.99]),
        ("$.store.bicycle.*", ["red", 19.95]),
        ("$..price", [8.95, 12.99, 8.99, 19.95]),
        ("$..book[0].author", ["Nigel Rees"]),
        ("$.list..[0]", [1, 2]),
        ("$.store.bicycle['color','price']", {"color": "red", "price": 19.95}),
        (
            "$.store.book[*]['author','isbn']",
            [
                {"author": "Nigel Rees"},
                {"author": "Evelyn Waugh"},
                {"author": "Herman Melville", "isbn": "0-553"},
            ],
        ),
        ("$.store.book.length()", 3),
        ("$.store.book.size()", 3),
        ("$.store.bicycle.keys()", ["color", "price"]),
        ("$.store.book[*].price.max()", 12.99),
        ("$.list[1].sum()", 5.0),
        ("$.list[1].avg()", 2.5),
        ("$.list[1].stddev()", 0.5),
    ],
)
def test_paths(path, expected):
    assert read(path) == expected


@pytest.mark.parametrize(
    ("condition", "authors"),
    [
        ("@.isbn", ["Herman Melville"]),
        ("!@.isbn", ["Nigel Rees", "Evelyn Waugh"]),
        ("@.price < 10", ["Nigel Rees", "Herman Melville"]),
        ("@.price >= $.limit", ["Evelyn Waugh"]),
        ("@.category == 'fiction' && @.price < 10", ["Herman Melville"]),
        ("@.price > 12 || (@.price < 8.96 && @['category'] != \"fiction\")", ["Nigel Rees", "Evelyn Waugh"]),
        ("!(@.price > 10)", ["Nigel Rees", "Herman Melville"]),
        ("@.category in ['x', 'reference']", ["Nigel Rees"]),
        ("@.category nin ['x', 'reference']", ["Evelyn Waugh", "Herman Melville"]),
        ("@.author =~ /.*waugh/i", ["Evelyn Waugh"]),
        ("@.author contains 'Mel'", ["Herman Melville"]),
        ("@.author size 10", ["Nigel Rees"]),
        ("@.category empty false", ["Nigel Rees", "Evelyn Waugh", "Herman Melville"]),
        ("@.price == '8.95'", []),
        ("@.nothing == null", []),
        ("10 > @.price", ["Nigel Rees", "Herman Melville"]),
        ("@.author.length() == 12", ["Evelyn Waugh"]),
    ],
)
def test_filters(condition, authors):
    assert read(f"$.store.book[?({condition})].author") == authors


@pytest.mark.parametrize(
    "path", ["$.no", "$.limit.no", "$.list[9]", "$.list[-9]", "$.store[0]", "$.list.x", "$.limit.length()"]
)
def test_a_definite_path_that_leads_nowhere_is_missing(path):
    assert read(path) is MISSING


@pytest.mark.parametrize("path", ["$.no[*]", "$..no", "$.list[5:9]", "$.store.book[?(@.no)]"])
def test_an_indefinite_path_that_finds_nothing_is_an_empty_list(path):
    assert read(path) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "$.",
        "$[",
        "$[]",
        "$['a",
        "$['a'",
        "$[1",
        "$[a]",
        "$..",
        "$.a b]",
        "$.a[?(@.b)",
        "$.a[?(@.b ==)]",
        "$.a[?('x')]",
        "$.a[?(@.b =~ x)]",
        "$.a.nothing()",
        "$.a.first().b",
        "$.a[1,]",
        "$(x)",
        "$.a[?(@.b =~ /(/)]",
        "$" + "[?(" * 50,
    ],
)
def test_what_is_no_path_is_refused_with_a_sentence(path):
    with pytest.raises(JsonPathError) as caught:
        compile_path(path)
    assert str(caught.value)[0].isupper()


def test_paths_are_bounded():
    with pytest.raises(JsonPathError, match="longer than"):
        compile_path("$." + "a" * 5000)
    with pytest.raises(JsonPathError, match="more than 200 parts"):
        compile_path("$" + ".a" * 300)
    wide = [[1] * 30] * 30
    for _ in range(3):
        wide = [wide] * 30
    with pytest.raises(JsonPathError, match="more than 1000000 steps"):
        compile_path("$..*..*").read(wide)


def test_the_caller_may_count_for_itself():
    spent = []
    assert compile_path("$.list[*]").read(DOCUMENT, spent.append) == DOCUMENT["list"]
    assert sum(spent) >= 4
