"""`cumulo version`: what is installed here."""

import json
import platform

import click

from cumulo import __version__


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        about = {"cumulo": __version__, "python": platform.python_version(), "platform": platform.platform()}
        click.echo(json.dumps(about))
    else:
        click.echo(f"cumulo {__version__}")
