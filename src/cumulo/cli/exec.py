"""`cumulo exec`: run a command in a running container of a task."""

import sys
from pathlib import Path

import click

from cumulo.cli.cloud import Failed, endpoint_option, find_endpoint, find_token


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("task")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option("--container", "-c", default="", help="Which container; default: the first essential one.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="The cloud's data folder, when it is not found."
)
@endpoint_option
def command(
    task: str, argv: tuple[str, ...], container: str, data: Path | None, endpoint: str | None
) -> None:
    """Run a command in a running container; its exit code is yours.

    TASK is the id (or its beginning) or ARN of a task, or the name of a service or of a task definition's family.
    With a terminal on both sides the command has one, too.  It works whether or not the task was started with
    enableExecuteCommand, for whoever may read the cloud's data folder.
    """
    from cumulo.cli.exec_session import Terminal, join

    cloud = find_endpoint(endpoint)
    token = find_token(cloud, data)
    with Terminal(sys.stdin, sys.stdout) as terminal:
        try:
            code = join(cloud, token, task, container, argv, terminal)
        except (OSError, EOFError) as error:
            raise Failed(str(error)) from error
    raise click.exceptions.Exit(code)
