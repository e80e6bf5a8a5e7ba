"""The files that say which clouds run, and how a command finds its cloud."""

import os
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest

from cumulo.cli.cloud import DEFAULT_ENDPOINT, find_endpoint
from cumulo.cli.running import Running, runtime_folder


def running(port: int = 4701, *, pid: int = 0, started_at: float = 1.0) -> Running:
    return Running(
        port=port,
        pid=pid or os.getpid(),
        endpoint=f"http://127.0.0.1:{port}",
        data="/data",
        started_at=started_at,
        version="1",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_a_cloud_that_runs_is_listed_until_it_ends(folder: Path):
    running().write(folder)
    assert [found.endpoint for found in Running.list(folder)] == ["http://127.0.0.1:4701"]
    running().remove(folder)
    assert Running.list(folder) == []


def test_the_file_holds_what_others_may_read(folder: Path):
    running().write(folder)
    found = msgspec.json.decode((folder / "4701.json").read_bytes())
    assert {"pid", "endpoint", "data", "started_at", "version"} <= set(found)
    assert [path.name for path in folder.iterdir()] == ["4701.json"]
    assert folder.stat().st_mode & 0o077 == 0


def test_a_cloud_that_was_killed_is_not_listed_and_its_file_goes(folder: Path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        running(pid=child.pid).write(folder)
        assert len(Running.list(folder)) == 1
        child.kill()
    assert Running.list(folder) == []
    assert not list(folder.iterdir())


def test_another_process_with_the_same_id_is_not_taken_for_the_cloud(folder: Path):
    running().write(folder)
    (there,) = Running.list(folder)
    (folder / "4701.json").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(there, born=there.born + 1))
    )
    assert Running.list(folder) == []


def test_a_cloud_does_not_remove_the_file_of_the_next_one_on_its_port(folder: Path):
    running(pid=1).write(folder)
    running().remove(folder)
    assert (folder / "4701.json").exists()


def test_a_folder_that_others_can_write_to_is_not_believed(folder: Path):
    running().write(folder)
    folder.chmod(0o777)
    assert Running.list(folder) == []
    with pytest.raises(PermissionError, match="others may write"):
        running().write(folder)


def test_a_folder_that_is_a_link_is_not_believed(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        running().write(folder)


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b"\xff"])
def test_junk_in_the_folder_hurts_nobody(folder: Path, junk: bytes):
    running().write(folder)
    (folder / "1.json").write_bytes(junk)
    (folder / "colour.json").write_bytes(junk)
    assert len(Running.list(folder)) == 1


def test_the_cloud_is_found_by_option_then_variables_then_file_then_default(folder: Path, tmp_path: Path):
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert find_endpoint(None, environ) == DEFAULT_ENDPOINT
    running(4701, started_at=1).write(folder)
    running(4702, started_at=2).write(folder)
    assert find_endpoint(None, environ) == "http://127.0.0.1:4702", "the youngest"
    environ["AWS_ENDPOINT_URL"] = "http://aws:1/"
    assert find_endpoint(None, environ) == "http://aws:1"
    environ["CUMULO_ENDPOINT"] = "cumulo:2"
    assert find_endpoint(None, environ) == "http://cumulo:2"
    assert find_endpoint("https://option:3", environ) == "https://option:3"


@pytest.mark.parametrize("address", ["ftp://host", "http://", "://x"])
def test_what_is_no_address_is_a_usage_error(address: str):
    with pytest.raises(click.UsageError, match="is no address"):
        find_endpoint(address, {})
