"""The command line: one word, one file, imported when the word is said.

`cumulo --help` reads the table below and imports nothing else, so that it (and `cumulo up`) start at once.
Each file of this room exports `command`, a click command.
"""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from cumulo import __version__

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "up": "Start a cloud.",
        "down": "Stop a cloud.",
        "status": "Show the clouds that run here, and what is in them.",
        "doctor": "Say what this machine can run, and what would let it run more.",
        "logs": "Show what functions and containers printed.",
        "invoke": "Call a function.",
        "exec": "Run a command in a running container of a task.",
        "batch": "Watch AWS Batch: queues, jobs, what waits for what.",
        "interrupt": "Take a Spot instance or a task on FARGATE_SPOT away.",
        "bill": "Show what AWS would charge for what was run.",
        "trace": "Show where the time of a request went.",
        "env": "Print the variables that point AWS tools here.",
        "image": "Import, build, list, remove and run container images.",
        "ca": "Say how to trust the cloud's certificate authority.",
        "aws": "Run the AWS CLI against the cloud.",
        "keys": "Make and revoke access keys.",
        "version": "Print the version.",
    }
)


class Words(click.Group):
    """A group whose commands are files of this package, each named `<prefix><word>.py`."""

    def __init__(self, *args: Any, words: Mapping[str, str], prefix: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._words = words
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The words, in the order in which people meet them."""
        return list(self._words)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the file of a word."""
        if cmd_name not in self._words:
            return None
        found: Any = importlib.import_module(f"cumulo.cli.{self._prefix}{cmd_name}").command
        assert isinstance(found, click.Command), f"cli/{self._prefix}{cmd_name}.py exports `command`"
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the words without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._words.items()))


@click.group(cls=Words, words=WORDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cumulo", message="%(prog)s %(version)s")
def cli() -> None:
    """A compute cloud of your own: AWS APIs on one port, and what you deploy really runs."""


def main() -> None:
    """Run the command line."""
    cli(prog_name="cumulo")


if __name__ == "__main__":
    main()
