"""The registry's pure parts: paths, ranges, Accept; and its tokens."""

import asyncio
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.services.ecr.authorization import Authorization
from cumulo.services.ecr.registry.accepts import accepted
from cumulo.services.ecr.registry.access import password_of
from cumulo.services.ecr.registry.ranges import Part, Unsatisfiable, chunk_of, part_of
from cumulo.services.ecr.registry.routes import Query, Route, find_route, is_name, is_tag
from cumulo.services.ecr.tokens import TOKEN_SECONDS, BadToken, Grant, Tokens
from cumulo.state.store import Store


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2", Route("version")),
        ("/v2/", Route("version")),
        ("/v2/_catalog", Route("catalog")),
        ("/v2/a/tags/list", Route("tags", "a")),
        ("/v2/a/b/c/tags/list", Route("tags", "a/b/c")),
        ("/v2/a/manifests/v1", Route("manifest", "a", "v1")),
        ("/v2/a%2Fb/manifests/sha256%3Aab", Route("manifest", "a/b", "sha256:ab")),
        ("/v2/manifests/manifests/manifests", Route("manifest", "manifests", "manifests")),
        ("/v2/a/blobs/sha256:ab", Route("blob", "a", "sha256:ab")),
        ("/v2/a/blobs/uploads", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/x", Route("upload", "a", "x")),
        ("/v2/blobs/uploads/blobs/uploads/x", Route("upload", "blobs/uploads", "x")),
        ("/v2/a/referrers/sha256:ab", Route("referrers", "a", "sha256:ab")),
        ("/v2/tags/list/tags/list", Route("tags", "tags/list")),
        ("/v2/tags/list", None),
        ("/v2/a", None),
        ("/v2/a/manifests/", None),
        ("/v2/a/manifests/b/c", None),
        ("/v3/a/manifests/b", None),
    ],
)
def test_a_path_names_a_resource(path: str, route: Route | None):
    assert find_route(path) == route


@given(st.text(max_size=60))
def test_any_path_is_read_or_not(text: str):
    find_route("/v2/" + text)
    is_name(text)
    is_tag(text)
    assert Query(text).get_all("no such thing") == []


@given(
    st.integers(0, 50),
    st.text(alphabet="bytes=-0123456789, ", max_size=12)
    | st.from_regex(r"bytes=\d{0,2}-\d{0,2}", fullmatch=True),
)
def test_a_range_is_within_the_blob(size: int, header: str):
    try:
        part = part_of(header, size)
    except Unsatisfiable:
        return
    if part is not None:
        assert part.count > 0
        assert 0 <= part.first <= size - part.count


@given(st.text(alphabet="bytes= -0123456789/*", max_size=20))
def test_a_chunk_has_bytes_or_cannot_be_read(header: str):
    part = chunk_of(header)
    assert part is None or part.count > 0


def test_a_chunk_is_spelled_in_several_ways():
    for text in ("0-9", "bytes=0-9", "bytes 0-9/10", "bytes 0-9/*", " 0-9 "):
        assert chunk_of(text) == Part(0, 10)


def test_accept_headers_say_what_a_client_takes():
    assert accepted([]) == frozenset()
    assert accepted(["a/b, C/D;q=0.5", "e/f"]) == {"a/b", "c/d", "e/f"}
    assert accepted(["a/b, */*"]) == frozenset()
    assert accepted(["a/b, c/d; q=0", "*/*;q=0"]) == {"a/b"}


def test_only_basic_authorization_has_a_password():
    def header(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    assert password_of(f"Basic {header('me:a:b')}") == "a:b"
    assert password_of(f"basic {header('me:')}") == ""
    for wrong in ("", "Basic", "Basic x", f"Bearer {header('me:x')}", f"Basic {header('me')}", f"Basic {header(':x')}",
                  "Basic " + base64.b64encode(b"\xff:x").decode()):  # fmt: skip
        assert password_of(wrong) is None


def test_a_token_says_who_came_in_and_until_when(tmp_path: Path):
    clock = VirtualClock()

    async def scenario() -> None:
        store = Store(tmp_path / "db")
        tokens = Tokens(store, clock)
        token, expires_at = await tokens.issue("123456789012", "eu-west-1", "AKIAX")
        assert expires_at == clock.now() + TOKEN_SECONDS == clock.now() + 12 * 3600
        user, _, password = base64.b64decode(token).decode().partition(":")
        assert user == "AWS"
        assert tokens.is_ours(password)
        grant = Grant(account="123456789012", region="eu-west-1", access_key="AKIAX", expires_at=expires_at)
        assert tokens.read(password) == grant
        await store.close()
        again = Store(tmp_path / "db")
        assert Tokens(again, clock).read(password) == grant
        clock.advance(TOKEN_SECONDS - 1)
        assert Tokens(again, clock).read(password) == grant
        clock.advance(1)
        with pytest.raises(BadToken) as bad:
            Tokens(again, clock).read(password)
        assert bad.value.expired
        await again.close()
        other = Store(tmp_path / "other")
        with pytest.raises(BadToken) as bad:
            Tokens(other, clock).read(password)
        assert not bad.value.expired
        await Tokens(other, clock).issue("123456789012", "eu-west-1")
        with pytest.raises(BadToken):
            Tokens(other, clock).read(password)
        await other.close()

    asyncio.run(scenario())


def test_the_operation_gives_a_token_and_where_to_use_it(tmp_path: Path):
    clock = VirtualClock()
    caller = Caller(
        account="123456789012", region="eu-west-1", access_key="AKIAX", endpoint="http://127.0.0.1:4566"
    )

    async def scenario() -> None:
        store = Store(tmp_path / "db")
        tokens = Tokens(store, clock)
        operation = Authorization(tokens)
        (own,) = (await operation.get(caller, {}))["authorizationData"]
        assert own["proxyEndpoint"] == "http://123456789012.dkr.ecr.eu-west-1.localhost:4566"
        assert own["expiresAt"] == clock.now() + 12 * 3600
        password = base64.b64decode(own["authorizationToken"]).decode().removeprefix("AWS:")
        assert tokens.read(password).account == "123456789012"
        asked = {"registryIds": ["111111111111", "222222222222", "111111111111"]}
        found = (await operation.get(caller, asked))["authorizationData"]
        assert [one["proxyEndpoint"][7:19] for one in found] == ["111111111111", "222222222222"]
        await store.close()

    asyncio.run(scenario())
