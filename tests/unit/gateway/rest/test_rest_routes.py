"""Routes of REST APIs."""

from tests.rest_kit import method, mock, resources

from cumulo.gateway.rest.routes import Routes


def routes(**paths: str) -> Routes:
    return Routes(
        resources(
            {path: {verb: method(mock(), verb) for verb in verbs.split()} for path, verbs in paths.items()}
        )
    )


def found(table: Routes, verb: str, path: str) -> tuple[str, str, dict[str, str]] | None:
    route = table.find(verb, path)
    return None if route is None else (route.resource.path, route.method.http_method, route.parameters)


def test_exact_parts_win_over_variable_ones_and_these_over_the_rest() -> None:
    table = routes(**{"/pets/dog": "GET", "/pets/{id}": "GET", "/{proxy+}": "GET"})
    assert found(table, "GET", "/pets/dog") == ("/pets/dog", "GET", {})
    assert found(table, "GET", "/pets/cat") == ("/pets/{id}", "GET", {"id": "cat"})
    assert found(table, "GET", "/pets/cat/toys") == ("/{proxy+}", "GET", {"proxy": "pets/cat/toys"})


def test_a_resource_without_the_method_is_passed_over() -> None:
    # recorded on AWS by LocalStack: test_proxy_routing_with_hardcoded_resource_sibling
    table = routes(**{"/test": "POST", "/test/any": "ANY", "/{proxy+}": "OPTIONS"})
    assert found(table, "OPTIONS", "/test") == ("/{proxy+}", "OPTIONS", {"proxy": "test"})
    assert found(table, "POST", "/test") == ("/test", "POST", {})
    assert found(table, "OPTIONS", "/test/any") == ("/test/any", "ANY", {})
    assert found(table, "GET", "/test") is None


def test_a_method_wins_over_any_of_the_same_resource() -> None:
    table = routes(**{"/a": "ANY GET"})
    assert found(table, "GET", "/a") == ("/a", "GET", {})
    assert found(table, "PUT", "/a") == ("/a", "ANY", {})


def test_the_root_is_served_by_its_own_methods_only() -> None:
    assert found(routes(**{"/{proxy+}": "ANY"}), "GET", "/") is None
    assert found(routes(**{"/": "GET"}), "GET", "/") == ("/", "GET", {})


def test_slashes_at_the_ends_say_nothing_and_values_stay_encoded() -> None:
    table = routes(**{"/{proxy+}": "ANY"})
    assert found(table, "GET", "/a%2Bb/c/") == ("/{proxy+}", "ANY", {"proxy": "a%2Bb/c"})
    assert found(table, "GET", "//a") == ("/{proxy+}", "ANY", {"proxy": "a"})


def test_a_percent_encoded_part_is_the_same_part() -> None:
    assert found(routes(**{"/pets": "GET"}), "GET", "/p%65ts") == ("/pets", "GET", {})


def test_what_was_tried_in_vain_leaves_no_parameter() -> None:
    table = routes(**{"/{a}/x/y": "GET", "/{a}/{b}/z": "GET"})
    assert found(table, "GET", "/1/x/z") == ("/{a}/{b}/z", "GET", {"a": "1", "b": "x"})
