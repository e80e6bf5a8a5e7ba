"""`cumulo aws ...`: the AWS CLI against the cloud."""

import os
import shutil
import sys
from pathlib import Path

import click

from cumulo.cli.cloud import Failed, aws_environment, find_endpoint


def find_aws(python: str, path: str | None) -> str | None:
    """The AWS CLI: beside the interpreter that runs us, else on the PATH."""
    beside = Path(python).parent / "aws"
    if os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which("aws", path=path)


@click.command(
    "aws",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Run the AWS CLI against the cloud, with its own words and options."""
    program = find_aws(sys.executable, os.environ.get("PATH"))
    if program is None:
        raise Failed("The AWS CLI is not installed: `pip install 'cumulo[aws]'` adds it.")
    environment = dict(os.environ) | aws_environment(find_endpoint(None), os.environ)
    if not any(word.split("=")[0] == "--endpoint-url" for word in arguments):
        # Older versions do not know AWS_ENDPOINT_URL, and would go to AWS itself.
        arguments = ("--endpoint-url", environment["AWS_ENDPOINT_URL"], *arguments)
    sys.stdout.flush()
    os.execve(program, [program, *arguments], environment)  # noqa: S606 - that is what this word is for
