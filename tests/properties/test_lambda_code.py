"""Whatever is in a zip, nothing is ever written outside its folder, and what cannot be unpacked is refused."""

import io
import os
import stat
import tempfile
import warnings
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulo.services.lambda_.code import _remove
from cumulo.services.lambda_.zips import ZipRefused, safe_parts, stays_inside, unpack

words = st.sampled_from(["a", "b", "c", "..", ".", "", "l", "m", "é", "x" * 260, "C:", "\\", "\0", "\udc80"])
paths = st.lists(words, min_size=1, max_size=6).map("/".join)
modes = st.sampled_from(
    [0, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO]
)
entries = st.lists(st.tuples(paths, st.one_of(paths, st.text(max_size=20)), modes), min_size=1, max_size=12)


def made(rows) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content, mode in rows:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name.encode(errors="replace").decode()
            info.external_attr = mode << 16
            archive.writestr(info, content.encode(errors="replace"))
    return out.getvalue()


def unpacked_harmlessly(data: bytes) -> bool:
    """Unpack beside a precious file; True when it was accepted."""
    with tempfile.TemporaryDirectory() as root:
        base = Path(root)
        (base / "precious").write_text("kept")
        target = base / "middle" / "target"
        target.mkdir(parents=True)
        try:
            unpack(data, target)
            accepted = True
        except ZipRefused:
            accepted = False
        assert sorted(os.listdir(base)) == ["middle", "precious"]
        assert os.listdir(base / "middle") == ["target"]
        assert (base / "precious").read_text() == "kept"
        inside = target.resolve()
        for folder, folders, files in os.walk(target):
            for name in folders + files:
                path = Path(folder) / name
                assert accepted is False or path.is_symlink() or not path.stat().st_mode & 0o222
                if accepted and path.is_symlink():
                    assert path.resolve().is_relative_to(inside), f"{path} leads to {path.resolve()}"
        _remove(target)
        assert (base / "precious").read_text() == "kept"
        return accepted


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries)
def test_no_arrangement_of_names_and_links_gets_out(rows):
    unpacked_harmlessly(made(rows))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.text("ab/.", min_size=1, max_size=6), st.binary(max_size=64), min_size=1), st.data()
)
def test_no_damage_to_the_bytes_gets_out(files, data):
    raw = bytearray(made([(name, content.decode("latin-1"), 0) for name, content in files.items()]))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    unpacked_harmlessly(bytes(raw))


@given(st.binary(max_size=200))
def test_what_is_no_zip_is_refused(data):
    assert not unpacked_harmlessly(data)


names = st.text("abcdefghij", min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=500), min_size=1, max_size=10))
def test_what_was_packed_comes_out_again(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"d/{name}.py", content)
    with tempfile.TemporaryDirectory() as root:
        assert unpack(out.getvalue(), Path(root)) == sum(map(len, files.values()))
        assert {path.stem: path.read_bytes() for path in Path(root, "d").iterdir()} == files
        _remove(Path(root, "d"))
        Path(root).chmod(0o700)


@given(paths)
def test_a_path_that_is_called_safe_is(path):
    parts = safe_parts(path)
    if parts is not None:
        assert ".." not in parts
        assert Path("/top/of/tree").joinpath(*parts).is_relative_to("/top/of/tree")


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.lists(st.sampled_from("ablm"), min_size=1, max_size=3).map(tuple), paths, min_size=1, max_size=5
    )
)
def test_a_link_that_is_called_inside_is_inside_for_the_kernel_too(links):
    links = {
        link: target.replace("\0", "").encode(errors="replace").decode()[:200] or "."
        for link, target in links.items()
        if not any(link[:depth] in links for depth in range(1, len(link)))
    }
    with tempfile.TemporaryDirectory() as root:
        top = Path(root, "one", "two")
        top.mkdir(parents=True)
        for link, target in links.items():
            path = top.joinpath(*link)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        for link in links:
            if all(stays_inside(links, other) for other in links):
                assert Path(os.path.realpath(top.joinpath(*link))).is_relative_to(top.resolve())
