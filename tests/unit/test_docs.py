"""What is written about Cumulo is true: each setting, word and operation is where the reader looks for it."""

import importlib.util
from pathlib import Path

import click
import msgspec
import pytest

from cumulo.cli.main import WORDS
from cumulo.cli.up import command as up
from cumulo.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "coverage.md"


def _script(name):
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _rows(page):
    return {
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| operation")
    }


def test_the_coverage_page_is_what_the_code_says():
    """Operations that only a newer model has may be missing: they are refused, whatever the page says."""
    written, now = _rows(PAGE.read_text()), _rows(_script("coverage").page())
    built = {row for row in now if "| refused |" not in row}
    assert {row for row in written if "| refused |" not in row} == built, "make coverage writes it anew"
    assert built


def test_the_coverage_page_calls_what_can_never_hold_anything_stored_and_not_running():
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    empty = [row for row in rows if len(row) == 3 and "there is none" in row[2]]
    assert empty
    assert {row[1] for row in empty} == {"stored"}


@pytest.mark.parametrize("setting", [field.name for field in msgspec.structs.fields(Settings)])
def test_every_setting_is_an_option_of_up_with_a_sentence_and_a_variable(setting):
    found = [option for option in up.params if option.name == setting]
    assert found, f"cumulo up has no --{setting.replace('_', '-')}"
    assert found[0].opts == [f"--{setting.replace('_', '-')}"]
    assert found[0].help.endswith((".", ")"))
    assert up.make_context("up", []).auto_envvar_prefix == "CUMULO"


def test_every_default_of_up_is_the_settings():
    given = up.make_context("up", []).params
    given.pop("detach")
    assert Settings(**given) == Settings()


def test_companions_are_read_as_services_and_addresses():
    given = up.make_context(
        "up", ["--companions", "s3=http://m:9000", "--companions", "sqs=https://q"]
    ).params
    assert given["companions"] == {"s3": "http://m:9000", "sqs": "https://q"}
    with pytest.raises(click.BadParameter, match="s3=http"):
        up.make_context("up", ["--companions", "s3"])


def test_runtime_images_are_read_as_runtimes_and_images():
    given = up.make_context("up", ["--runtime-images", "ruby3.3=registry.example/ruby:3.3"]).params
    assert given["runtime_images"] == {"ruby3.3": "registry.example/ruby:3.3"}
    with pytest.raises(click.BadParameter, match=r"ruby3.3=registry"):
        up.make_context("up", ["--runtime-images", "ruby3.3"])
    with pytest.raises(click.BadParameter, match="not a runtime"):
        up.make_context("up", ["--runtime-images", "cobol=x"])


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_in_the_readme(word):
    assert f"cumulo {word}" in (ROOT / "README.md").read_text()


def test_every_page_that_is_linked_is_there():
    for page in ROOT.glob("*.md"):
        for target in page.read_text().split("](")[1:]:
            path = target.partition(")")[0].partition("#")[0]
            assert not path or "://" in path or (ROOT / path).exists(), f"{page.name} links {path}"
