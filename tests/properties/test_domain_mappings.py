"""Which mapping a path is for: compared with the plainest way to say it."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from cumulo.gateway.domains.matching import Mappings
from cumulo.gateway.domains.model import ApiMapping

SEGMENT = st.text("ab1$-_.+!*'()", min_size=1, max_size=3)
PATH = st.lists(SEGMENT, min_size=0, max_size=4).map("/".join)
PATHS = st.lists(PATH, max_size=6, unique=True)


def mappings(paths: list[str], stage: str = "prod") -> Mappings:
    return Mappings(
        ApiMapping(domain="d", id=str(number), api_id=f"api{number}", kind="HTTP", path=path, stage=stage)
        for number, path in enumerate(paths)
    )


def expected(paths: list[str], path: str) -> str | None:
    """The longest that the path is, or begins with followed by a slash."""
    fits = [one for one in paths if not one or path == f"/{one}" or path.startswith(f"/{one}/")]
    return max(fits, key=lambda one: len(one.split("/")) if one else 0, default=None)


@given(PATHS, PATH, st.booleans())
def test_the_longest_mapping_wins_at_segment_borders_only(paths: list[str], asked: str, slash: bool):
    path = f"/{asked}" + ("/" if slash else "")
    found = mappings(paths).find(path)
    wanted = expected(paths, path)
    assert (None if found is None else found.base_path) == wanted
    if found is not None:
        assert found.api_id == f"api{paths.index(found.base_path)}"
        rest = path[len(found.base_path) + 1 :] if found.base_path else path
        assert rest == "" or rest.startswith("/"), "what is left is a path, as the front cuts it"


@given(PATHS, PATH)
def test_what_a_client_encodes_is_found_as_if_it_had_not(paths: list[str], asked: str):
    plain, encoded = f"/{asked}", "/" + quote(asked, safe="/")
    one, other = mappings(paths).find(plain), mappings(paths).find(encoded)
    assert (one and one.api_id) == (other and other.api_id)
    if other is not None:
        assert encoded[1:].startswith(other.base_path), "the base path is the client's own spelling"


@given(PATHS, PATH, SEGMENT)
def test_a_mapping_without_a_stage_takes_it_from_the_path(paths: list[str], asked: str, stage: str):
    found = mappings(paths, stage="").find(f"/{asked}/{stage}" if asked else f"/{stage}")
    if found is not None:
        assert found.stage
        assert found.base_path.endswith(found.stage)
