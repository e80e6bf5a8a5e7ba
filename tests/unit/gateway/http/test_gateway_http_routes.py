"""Which route a request takes."""

import pytest

from cumulo.gateway.http.routes import Routes

DOCUMENTED = ("GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default")


def taken(keys, method, path):
    match = Routes((key, key) for key in keys).match(method, path)
    return None if match is None else (match.route, dict(match.parameters))


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("POST", "/test/5", "ANY /{proxy+}", {"proxy": "test/5"}),
        ("POST", "/pets/dog/1", "ANY /{proxy+}", {"proxy": "pets/dog/1"}),
        ("GET", "/", "$default", {}),
    ],
)
def test_the_documented_order_holds(method, path, route, parameters):
    assert taken(DOCUMENTED, method, path) == (route, parameters)


def test_a_method_of_its_own_goes_before_any():
    keys = ("ANY /x", "GET /x")
    assert taken(keys, "GET", "/x") == ("GET /x", {})
    assert taken(keys, "PUT", "/x") == ("ANY /x", {})


def test_nothing_fits_without_a_default():
    assert taken(("GET /x",), "GET", "/y") is None
    assert taken(("GET /x",), "HEAD", "/x") is None
    assert taken((), "GET", "/") is None


def test_a_slash_at_the_end_makes_another_path():
    assert taken(("GET /x",), "GET", "/x/") is None
    assert taken(("GET /x/{id}",), "GET", "/x/") is None
    assert taken(("GET /x/{id}",), "GET", "/x/1/") is None
    assert taken(("GET /x/",), "GET", "/x/") == ("GET /x/", {})
    assert taken(("GET /{proxy+}",), "GET", "/x/") == ("GET /{proxy+}", {"proxy": "x/"})


def test_a_greedy_parameter_is_never_empty():
    assert taken(("GET /{proxy+}",), "GET", "/") is None
    assert taken(("GET /x/{proxy+}",), "GET", "/x") is None


def test_a_parameter_steps_back_when_its_literal_neighbour_leads_nowhere():
    keys = ("GET /a/b", "GET /{x}/c")
    assert taken(keys, "GET", "/a/c") == ("GET /{x}/c", {"x": "a"})


def test_a_full_match_goes_before_a_greedy_one_that_is_more_literal():
    keys = ("GET /{a}/{b}", "GET /pets/{proxy+}")
    assert taken(keys, "GET", "/pets/1") == ("GET /{a}/{b}", {"a": "pets", "b": "1"})


def test_the_deeper_greedy_route_wins():
    keys = ("GET /{proxy+}", "GET /a/{proxy+}", "GET /{x}/b/{proxy+}")
    assert taken(keys, "GET", "/a/b/c") == ("GET /a/{proxy+}", {"proxy": "b/c"})
    assert taken(keys, "GET", "/z/b/c") == ("GET /{x}/b/{proxy+}", {"x": "z", "proxy": "c"})
    assert taken(keys, "GET", "/z/y") == ("GET /{proxy+}", {"proxy": "z/y"})
