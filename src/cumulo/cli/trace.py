"""`cumulo trace`: where the time of a request went."""

import json
from collections.abc import Iterator
from typing import Any

import click

from cumulo.cli.cloud import Failed, endpoint_option, fetch, find_endpoint, on_terminal

_COLUMNS = 60


@click.command("trace")
@click.argument("request_id", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@endpoint_option
def command(request_id: str, as_json: bool, endpoint: str | None) -> None:
    """Show where the time of a request to an API, or of a function's run, went.

    REQUEST_ID is a request's (apigw-requestid, x-amzn-RequestId, x-amz-apigw-id), a function's, or a trace's (1-...).
    Without one the latest are listed.  Only the last few thousand are kept, in memory.
    """
    from urllib.parse import quote

    cloud = find_endpoint(endpoint)
    body = fetch(cloud, f"/_cumulo/trace?id={quote(request_id, safe='')}")
    try:
        found = json.loads(body)["found"]
        lines = list(one_by_one(found)) if request_id else [listed(one) for one in found]
    except (ValueError, KeyError, TypeError) as exc:
        raise Failed(f"{cloud} did not answer with traces: is it a Cumulo cloud?") from exc
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not lines:
        click.echo("No request has come yet.")
    for line in lines:
        emphasis = on_terminal() and bool(request_id) and not line.startswith(" ")
        click.echo(click.style(line, bold=True) if emphasis else line)


def listed(one: dict[str, Any]) -> str:
    """A request in one line."""
    return f"{_moment(one['started_ms'])}  {one['request_id']:<36}  {one['ms']:>10.2f} ms  {_title(one)}"


def one_by_one(found: list[dict[str, Any]]) -> Iterator[str]:
    """Requests with their lines of time."""
    for number, one in enumerate(found):
        if number:
            yield ""
        yield f"{_title(one)} in {one['ms']:.2f} ms, {_moment(one['started_ms'])} UTC"
        yield f"  {one['request_id']}  {one['trace']}"
        yield f"  |{bar(one)}|"
        yield from _spans(one)


def bar(one: dict[str, Any]) -> str:
    """The line of time: `.` is the gateway, `a` an authorizer, `i` an integration, of which `w` waited, `r` ran."""
    whole = max(float(one["ms"]), 0.001)
    marks = ["."] * _COLUMNS

    def fill(after: float, took: float, mark: str) -> None:
        first = min(int(after / whole * _COLUMNS), _COLUMNS - 1)
        last = max(first + 1, min(round((after + took) / whole * _COLUMNS), _COLUMNS))
        marks[first:last] = mark * (last - first)

    for span in one["spans"]:
        after, took, run = float(span["after_ms"]), float(span["ms"]), span.get("function")
        if span["what"] != "function":
            fill(after, took, span["what"][0])
        if run is not None and span["what"] != "authorizer":
            before = max(0.0, took - run["waited_ms"] - run["run_ms"]) / 2
            if run["waited_ms"] / whole * _COLUMNS >= 1:
                fill(after + before, run["waited_ms"], "w")
            fill(after + before + run["waited_ms"], run["run_ms"], "r")
    return "".join(marks)


def _spans(one: dict[str, Any]) -> Iterator[str]:
    inside = sum(float(span["ms"]) for span in one["spans"])
    if one["what"] != "FUNCTION":
        yield f"  {'gateway':<12} {max(0.0, one['ms'] - inside):>10.2f} ms"
    for span in one["spans"]:
        if span["what"] != "function":
            yield f"  {span['what']:<12} {span['ms']:>10.2f} ms  after {span['after_ms']:.2f} ms"
        run = span.get("function")
        if run is not None:
            yield from _run(run)


def _run(run: dict[str, Any]) -> Iterator[str]:
    error = f"  {run['error']}" if run["error"] else ""
    yield f"    {run['function']}  {run['request_id']}{error}"
    started = (
        f" (an environment was started: init {run['init_ms']:.2f} ms)" if run["init_ms"] is not None else ""
    )
    yield f"    {'waited':<10} {run['waited_ms']:>10.2f} ms{started}"
    yield f"    {'ran':<10} {run['run_ms']:>10.2f} ms"


def _title(one: dict[str, Any]) -> str:
    if one["what"] == "FUNCTION":
        error = f" {one['error']}" if one["error"] else ""
        return f"{one['spans'][0]['function']['function']}{error}"
    route = one["route"] or "(no route)"
    error = f" {one['error']}" if one["error"] else ""
    return f"{one['what']} {one['api']}/{one['stage']} {route}: {one['status']}{error}"


def _moment(millis: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
