"""`cumulo invoke`: call a function."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import click

from cumulo.cli.cloud import Failed, client, endpoint_option, find_endpoint, talking


def read_payload(text: str | None) -> bytes:
    """The payload as it was given: itself, `-` for standard input, `@file` for a file."""
    if text is None:
        return b""
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as exc:
            raise Failed(f"{text[1:]} cannot be read: {exc.strerror}") from exc
    return text.encode()


@click.command("invoke")
@click.argument("function")
@click.argument("payload", required=False)
@click.option("--event", is_flag=True, help="Queue the event and do not wait for the answer.")
@click.option("--qualifier", help="A version or an alias.")
@click.option("--log", is_flag=True, help="Print the end of the function's log to standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print status, error, log and payload as JSON.")
@endpoint_option
def command(
    function: str,
    payload: str | None,
    event: bool,
    qualifier: str | None,
    log: bool,
    as_json: bool,
    endpoint: str | None,
) -> None:
    """Call a function and print what it answers.

    PAYLOAD is JSON, `-` to read it from standard input, or `@file`.  The exit code is 1 when the function fails.
    """
    cloud = find_endpoint(endpoint)
    asked: dict[str, Any] = {
        "FunctionName": function,
        "Payload": read_payload(payload),
        "InvocationType": "Event" if event else "RequestResponse",
        "LogType": "Tail" if log and not event else "None",
    }
    if qualifier:
        asked["Qualifier"] = qualifier
    with talking(cloud):
        answer = client("lambda", cloud).invoke(**asked)
        body: bytes = answer["Payload"].read()
    tail = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    error = answer.get("FunctionError", "")
    if as_json:
        click.echo(json.dumps(_about(answer, body, tail), indent=2))
    else:
        _show(body, tail, error, event=event)
    if error:
        raise click.exceptions.Exit(1)


def _about(answer: dict[str, Any], body: bytes, tail: str) -> dict[str, Any]:
    try:
        payload = json.loads(body) if body else None
    except ValueError:
        payload = body.decode(errors="replace")
    return {
        "status": answer["StatusCode"],
        "executed_version": answer.get("ExecutedVersion", ""),
        "function_error": answer.get("FunctionError", ""),
        "log": tail,
        "payload": payload,
    }


def _show(body: bytes, tail: str, error: str, *, event: bool) -> None:
    if tail:
        click.echo(tail.rstrip("\n"), err=True)
    if error:
        click.echo(f"The function failed ({error}).", err=True)
    if event:
        click.echo("Queued.", err=True)
    if body:
        click.echo(body)
