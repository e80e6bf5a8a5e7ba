"""`cumulo keys`: the access keys of a cloud in shared mode."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from cumulo.cli.running import Running, runtime_folder

HEADER = "x-cumulo-token"


@click.group("keys")
def command() -> None:
    """Make, list and remove access keys (for --mode shared).  The cloud must be running."""


@command.command("create")
@click.argument("name")
@click.option(
    "--account", default="000000000000", show_default=True, help="The account that the key belongs to."
)
def create(name: str, account: str) -> None:
    """Make a key pair.  The secret is shown once."""
    made = _ask("POST", account=account, name=name)
    click.echo(f"AWS_ACCESS_KEY_ID={made['id']}\nAWS_SECRET_ACCESS_KEY={made['secret']}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_(*, as_json: bool) -> None:
    """List the keys, without their secrets."""
    rows = _ask("GET")["keys"]
    if as_json:
        click.echo(json.dumps(rows))
    for row in () if as_json else rows:
        click.echo(f"{row['id']}  {row['account']}  {row['name']}")


@command.command("delete")
@click.argument("access_key")
def delete(access_key: str) -> None:
    """Remove a key; calls signed with it are refused from now on."""
    _ask("DELETE", id=access_key)
    click.echo(f"deleted {access_key}")


def _ask(method: str, **query: str) -> Any:
    running = Running.list(runtime_folder())
    if not running:
        raise click.ClickException("no cloud is running (cumulo up starts one)")
    token = (Path(running[0].data) / "admin-token").read_text().strip()
    request = urllib.request.Request(  # noqa: S310 - our own endpoint
        f"{running[0].endpoint}/_cumulo/keys?{urlencode(query)}", method=method, headers={HEADER: token}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise click.ClickException(f"the cloud refused: {error.code} {said}") from error
    except OSError as error:
        raise click.ClickException(f"{running[0].endpoint} does not answer: {error}") from error
