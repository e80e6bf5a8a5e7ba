"""`cumulo env`: the variables that point AWS tools to the cloud."""

import json
import os
import shlex
from collections.abc import Mapping

import click

from cumulo.cli.cloud import DEFAULT_REGION, endpoint_option, find_endpoint

SHELLS = ("bash", "fish", "powershell")


def variables(endpoint: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables; the keys are made up, so that no real ones are sent."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": environ.get("AWS_REGION")
        or environ.get("AWS_DEFAULT_REGION")
        or DEFAULT_REGION,
    }


def assignment(shell: str, name: str, value: str) -> str:
    """Set a variable, in a shell's words."""
    if shell == "fish":
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{quoted}';"
    if shell == "powershell":
        quoted = value.replace("'", "''")
        return f"$Env:{name} = '{quoted}'"
    return f"export {name}={shlex.quote(value)}"


@click.command("env")
@click.option(
    "--shell", type=click.Choice(SHELLS), help="Whose words to use. Default: fish if $SHELL is, else bash."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@endpoint_option
def command(shell: str | None, as_json: bool, endpoint: str | None) -> None:
    """Print the variables that point AWS tools here.

    For instance: eval "$(cumulo env)"
    """
    found = variables(find_endpoint(endpoint), os.environ)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    words = shell or ("fish" if os.environ.get("SHELL", "").endswith("/fish") else "bash")
    for name, value in found.items():
        click.echo(assignment(words, name, value))
