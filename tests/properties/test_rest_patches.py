"""Patch operations change what they name and nothing else, whatever the names are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.errors import AwsError
from cumulo.services.apigateway import method_settings
from cumulo.services.apigateway.patches import ALL, Table, entry, escape, member, split, unescape, value

OPS = st.sampled_from(["add", "replace", "remove", "copy", "move", "test"])
TEXT = st.text(max_size=20)
NAME = st.text(min_size=1, max_size=20)


class Thing(msgspec.Struct, frozen=True):
    """Something to patch."""

    name: str = "thing"
    entries: dict[str, str] = {}
    members: tuple[str, ...] = ()


TABLE: Table[Thing] = Table(
    value("/name", "name"), entry("/entries/{key}", "entries"), member("/members/{one}", "members", ALL)
)


@given(TEXT)
def test_what_is_escaped_is_read_as_it_was(text):
    assert unescape(escape(text)) == text
    assert "/" not in escape(text)


@given(st.lists(NAME, min_size=1, max_size=5))
def test_a_pointer_is_split_where_it_was_joined(parts):
    assert split("/" + "/".join(escape(one) for one in parts)) == tuple(parts)


@given(NAME, TEXT)
def test_an_entry_of_any_name_is_added_and_removed(key, text):
    path = f"/entries/{escape(key)}"
    added = TABLE.apply(Thing(), [{"op": "add", "path": path, "value": text}])
    assert added == Thing(entries={key: text})
    assert TABLE.apply(added, [{"op": "remove", "path": path}]) == Thing()


@given(st.lists(st.tuples(st.sampled_from(["add", "remove"]), NAME), max_size=10))
def test_a_list_holds_each_member_once_in_its_order(operations):
    asked = [{"op": op, "path": f"/members/{escape(one)}"} for op, one in operations]
    model: list[str] = []
    for op, one in operations:
        if op == "add" and one not in model:
            model.append(one)
        elif op == "remove" and one in model:
            model.remove(one)
    assert TABLE.apply(Thing(), asked).members == tuple(model)


@given(
    st.lists(st.fixed_dictionaries({"op": OPS, "path": TEXT | st.just("/name"), "value": TEXT}), max_size=4)
)
def test_whatever_is_asked_is_done_or_refused(operations):
    before = Thing(entries={"a": "b"}, members=("c",))
    try:
        after = TABLE.apply(before, operations)
    except AwsError as error:
        assert error.code == "BadRequestException"
        return
    assert isinstance(after, Thing)
    assert before == Thing(entries={"a": "b"}, members=("c",))


SEGMENT = st.text("abc{}+-_.~", min_size=1, max_size=8)


@given(
    st.lists(SEGMENT, max_size=4), st.sampled_from(["GET", "POST", "ANY", "*"]), st.booleans(), st.booleans()
)
def test_a_method_has_one_key_however_it_is_written(segments, method, escaped, slash):
    plain = "/".join(segments)
    if escaped or "~" in plain:
        written = escape(("/" if slash else "") + plain)
    else:
        written = ("/" if slash else "") + plain
    key = method_settings.key_of(f"/{written}/{method}")
    assert key == f"{escape(plain)}/{method}"
    assert method_settings.shown_key(key) == f"{plain}/{method}"
    assert method_settings.parse(f"/{written}/{method}/metrics/enabled") == (key, "metrics/enabled")


@pytest.mark.parametrize(
    "path", ["/metrics/enabled", "/GET/metrics/enabled", "", "/", "/a/b/c", "/a/GET/metrics/off"]
)
def test_what_names_no_setting_is_none(path):
    assert method_settings.parse(path) is None
