"""The compiled tree of routes chooses as a naive reading of the rules does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cumulo.gateway.http.routes import Routes

SEGMENTS = ("a", "b", "{x}")
METHODS = ("GET", "POST", "ANY")
_segments = st.lists(st.sampled_from(SEGMENTS), max_size=3)


@st.composite
def keys(draw):
    parts = [part if part != "{x}" else f"{{x{at}}}" for at, part in enumerate(draw(_segments))]
    if draw(st.booleans()):
        parts.append("{proxy+}")
    return f"{draw(st.sampled_from(METHODS))} /{'/'.join(parts)}"


def fits(key, method, path):
    """Parameters and a rank (the lesser the better), or None."""
    if key == "$default":
        return (3,), {}
    own, _, pattern = key.partition(" ")
    if own not in {method, "ANY"}:
        return None
    wanted, given_ = pattern[1:].split("/"), path[1:].split("/")
    greedy = wanted[-1].endswith("+}")
    if greedy:
        if len(given_) < len(wanted) or not "/".join(given_[len(wanted) - 1 :]):
            return None
        given_ = [*given_[: len(wanted) - 1], "/".join(given_[len(wanted) - 1 :])]
    if len(wanted) != len(given_):
        return None
    parameters, shape = {}, []
    for want, have in zip(wanted, given_, strict=True):
        if not want.startswith("{"):
            if want != have:
                return None
            shape.append(0)
        elif want.endswith("+}"):
            parameters[want[1:-2]] = have
            shape.append(2)
        else:
            if not have:
                return None
            parameters[want[1:-1]] = have
            shape.append(1)
    return (1 if not greedy else 2, shape, own == "ANY"), parameters


@settings(max_examples=400, deadline=None)
@given(
    st.lists(keys(), unique=True, max_size=8),
    st.booleans(),
    st.sampled_from(("GET", "POST", "HEAD")),
    st.lists(st.sampled_from(("a", "b", "c", "")), min_size=1, max_size=4).map(
        lambda parts: "/" + "/".join(parts)
    ),
)
def test_the_tree_chooses_as_the_rules_say(routes, default, method, path):
    if default:
        routes = [*routes, "$default"]
    ranked = [(found[0], key, found[1]) for key in routes if (found := fits(key, method, path)) is not None]
    match = Routes((key, key) for key in routes).match(method, path)
    if not ranked:
        assert match is None
        return
    _, key, parameters = min(ranked, key=lambda one: one[0])
    assert match is not None
    assert (match.route, dict(match.parameters)) == (key, parameters)
