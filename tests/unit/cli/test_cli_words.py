"""The words as a whole: help, versions, and that reading them is quick."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cumulo.cli
from cumulo.cli.main import WORDS, cli

FOLDER = Path(cumulo.cli.__file__).parent
HERE = [word for word in WORDS if (FOLDER / f"{word}.py").exists()]


def test_help_lists_every_word_and_imports_none_of_them():
    code = (
        "import sys; from cumulo.cli.main import cli\n"
        "try: cli(['--help'], prog_name='cumulo')\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith('cumulo.')))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout.splitlines()  # fmt: skip
    shown = [line.split()[0] for line in told if line.startswith("  ") and line.split()[0] in WORDS]
    assert shown == list(WORDS)
    assert ast.literal_eval(told[-1]) == ["cumulo.cli", "cumulo.cli.main"]


@pytest.mark.parametrize("word", HERE)
def test_a_word_is_a_command_of_that_name_with_a_sentence(word: str):
    command = cli.get_command(click.Context(cli), word)
    assert command is not None
    assert command.name == word
    assert command.help


def test_an_unknown_word_is_a_usage_error():
    result = CliRunner().invoke(cli, ["fly"])
    assert result.exit_code == 2
    assert "No such command 'fly'" in result.stderr


def test_the_version_is_printed_in_three_ways():
    runner = CliRunner()
    plain = runner.invoke(cli, ["version"]).stdout.strip()
    assert plain == f"cumulo {cumulo.__version__}" == runner.invoke(cli, ["--version"]).stdout.strip()
    assert json.loads(runner.invoke(cli, ["version", "--json"]).stdout)["cumulo"] == cumulo.__version__
