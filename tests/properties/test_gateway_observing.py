"""Whatever a format, a context or a header says: one line, no bug, and sums that are right."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.gateway_kit import place, visit

from cumulo.gateway.observing.figures import StageFigures, Statistic, data_of
from cumulo.gateway.observing.formats import compile_format
from cumulo.gateway.observing.log_groups import EVENT_BYTES_MAX, cut
from cumulo.gateway.observing.prices import steps
from cumulo.gateway.observing.variables import Ended
from cumulo.gateway.traces import continued, root_of

NAMES = st.sampled_from(
    ["requestId", "status", "authorizer.claims.sub", "error.message", "integration.latency", "identity.user",
     "authorize.status", "responseLatency", "a.b.c", "customDomain.basePathMatched"]
)  # fmt: skip
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.lists(st.text(max_size=5), max_size=3)
)
VALUES = st.recursive(
    LEAF, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=5
)
ERRORS = st.none() | st.fixed_dictionaries(
    {"responseType": st.text(max_size=9), "message": st.none() | st.text(max_size=9)}
)
FRESH = "1-65536f80-0123456789abcdef01234567"


def ended(context):
    one = visit()
    one.context |= context
    return Ended(one, 200, 1, 2, 0.5)


@given(
    st.text(),
    st.dictionaries(st.sampled_from(["authorizer", "integration", "identity", "a", "requestId"]), VALUES),
    ERRORS,
)
def test_any_format_gives_one_line(form, context, error):
    line = compile_format(form)(ended(context | {"error": error} if error else context))
    assert "\n" not in line
    assert "\r" not in line


@given(st.lists(st.tuples(st.text(alphabet=" -,|/%\"'[]{}:;<>=", max_size=5), NAMES)))
def test_what_stands_between_variables_stays(parts):
    form = "".join(f"{text}$context.{name}" for text, name in parts)
    alone = [compile_format(f"$context.{name}")(ended({})) for _, name in parts]
    expected = "".join(text + value for (text, _), value in zip(parts, alone, strict=True))
    assert compile_format(form)(ended({})) == expected


@given(
    st.dictionaries(
        st.sampled_from(["one", "two"]),
        st.text(alphabet=st.characters(codec="ascii", exclude_characters='"\\', exclude_categories=["Cc"])),
    )
)
def test_a_json_format_stays_json(claims):
    form = '{"one":"$context.authorizer.claims.one","two":"$context.authorizer.claims.two"}'
    told = json.loads(compile_format(form)(ended({"authorizer": {"claims": claims}})))
    assert told == {name: claims.get(name) or "-" for name in ("one", "two")}


@given(st.text())
def test_an_event_is_never_too_long(text):
    told = cut(text)
    assert len(told.encode(errors="replace")) <= EVENT_BYTES_MAX
    assert told == text or told.endswith(" [TRUNCATED]")


@given(st.integers(0, 10**9), st.integers(1, 10**7))
def test_every_begun_step_is_charged(size, step):
    assert (steps(size, step) - 1) * step < max(size, 1) <= steps(size, step) * step


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1000)), min_size=1), min_size=1, max_size=4
    )
)
def test_an_apis_figures_are_those_of_its_stages_and_routes(stages):
    listed = []
    for number, counted in enumerate(stages):
        figures = StageFigures(place("HTTP", f"stage{number}"))
        for route, value in counted:
            where = figures.rest if route == "a" else figures.route((("Resource", route),))
            where.add("Latency", value)
        listed.append(figures)
    (data,) = data_of(listed, 60.0).values()
    everything = [value for counted in stages for _, value in counted]
    (whole,) = [one for one in data if set(one.dimensions) == {"ApiId"}]
    assert (whole.value, whole.count) == (sum(everything), len(everything))
    assert (whole.minimum, whole.maximum) == (min(everything), max(everything))
    by_stage = [one for one in data if set(one.dimensions) == {"ApiId", "Stage"}]
    assert [one.value for one in by_stage] == [sum(value for _, value in counted) for counted in stages]
    assert all(list(one.take()[0].by_name) == [] for one in listed)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_a_statistic_knows_its_bounds(values):
    statistic = Statistic(values[0])
    for value in values[1:]:
        statistic.add(value)
    assert (statistic.many, statistic.low, statistic.high) == (len(values), min(values), max(values))


@given(st.text())
def test_whatever_a_client_sends_there_is_one_trace(header):
    told = continued(header, FRESH)
    assert root_of(told)
    assert told.isprintable()
    assert len(told) <= 512 + len(FRESH) + 6
