"""`cumulo logs`: what functions and containers printed, once or as it comes."""

import contextlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cumulo.base.clock import SystemClock
from cumulo.cli.cloud import (
    Failed,
    client,
    endpoint_option,
    error_code,
    find_endpoint,
    on_terminal,
    talking,
)

POLL_SECONDS = 0.5
LATE_MS = 10_000  # how much later than its timestamp an event may arrive and still be shown
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([smhdw])")
Event = dict[str, Any]


class Follower:
    """Remembers what was shown, so that polling from a little earlier shows every event once.  No I/O."""

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms  # where the next poll begins
        self._shown: dict[str, int] = {}  # the time of each event that the next poll may bring again

    def fresh(self, events: Iterable[Event]) -> list[Event]:
        """The events that were not shown yet, in order of time."""
        found = sorted(
            (event for event in events if event["eventId"] not in self._shown),
            key=lambda event: event["timestamp"],
        )
        if not found:
            return []
        self._shown |= {event["eventId"]: event["timestamp"] for event in found}
        self.start_ms = max(self.start_ms, found[-1]["timestamp"] - LATE_MS)
        self._shown = {name: at for name, at in self._shown.items() if at >= self.start_ms}
        return found


def parse_since(text: str, now: float) -> int:
    """An age (30s, 10m, 2h, 1d, 1w) or a moment (2026-11-23, 2026-11-23T10:00) in milliseconds."""
    age = _AGE.fullmatch(text)
    if age:
        return int((now - timedelta(**{_UNITS[age[2]]: int(age[1])}).total_seconds()) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise click.UsageError(
            f"--since must look like 10m, 2h, 1d or 2026-11-23T10:00, not {text!r}"
        ) from exc
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def find_group(name: str, cloud: str) -> str:
    """The log group of a function (by name or ARN), or the group of that name."""
    if name.startswith("/"):
        return name
    functions = client("lambda", cloud)
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ClientError as exc:
        if name.startswith("arn:") or error_code(exc) not in (
            "ResourceNotFoundException",
            "ValidationException",
        ):
            raise
        return name
    return str(found.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{found['FunctionName']}")


def read_pages(logs: Any, group: str, start_ms: int, pattern: str | None) -> Iterator[list[Event]]:
    """Every event of a group from a moment on, page by page."""
    asked: dict[str, Any] = {"logGroupName": group, "startTime": max(0, start_ms)}
    if pattern:
        asked["filterPattern"] = pattern
    while True:
        page = logs.filter_log_events(**asked)
        yield page.get("events", [])
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


@click.command("logs")
@click.argument("name", metavar="FUNCTION_OR_GROUP")
@click.option("-f", "--follow", is_flag=True, help="Go on as more is printed, until Ctrl-C.")
@click.option("--since", default="10m", show_default=True, help="An age (30s, 10m, 2h, 1d) or a moment.")
@click.option("--filter", "pattern", metavar="PATTERN", help="A CloudWatch Logs filter pattern.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@endpoint_option
def command(
    name: str, follow: bool, since: str, pattern: str | None, as_json: bool, endpoint: str | None
) -> None:
    """Show what functions and containers printed."""
    cloud = find_endpoint(endpoint)
    follower = Follower(parse_since(since, SystemClock().now()))
    with talking(cloud), contextlib.suppress(KeyboardInterrupt):
        group = find_group(name, cloud)
        logs = client("logs", cloud)
        found = _poll(logs, group, follower, pattern, missing_ok=follow, as_json=as_json)
        while follow:
            time.sleep(POLL_SECONDS)
            _poll(logs, group, follower, pattern, missing_ok=True, as_json=as_json)
        if not found:
            click.echo(f"{group} has nothing since {since}; --since looks further back.", err=True)


def _poll(
    logs: Any, group: str, follower: Follower, pattern: str | None, *, missing_ok: bool, as_json: bool
) -> int:
    colour = on_terminal()
    count = 0
    try:
        for page in read_pages(logs, group, follower.start_ms, pattern):
            for event in follower.fresh(page):
                count += 1
                # Never stripped: what was printed is shown as it was printed.
                click.echo(_json(event) if as_json else render(event, colour=colour), color=True)
    except logs.exceptions.ResourceNotFoundException as exc:
        if not missing_ok:  # with --follow, the function may not have been called yet
            raise Failed(f"There is no log group {group}: nothing has been printed there yet.") from exc
    return count


def render(event: Event, *, colour: bool) -> str:
    """Time and message of an event; in colour, the platform's lines recede and errors stand out."""
    at = _moment(event)
    message = str(event["message"]).rstrip("\n")
    if not colour:
        return f"{at} {message}"
    if message.startswith(("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")):
        return click.style(f"{at} {message}", dim=True)
    loud = re.search(r"\b(ERROR|CRITICAL|Traceback|Task timed out)\b|\[ERROR\]", message)
    return f"{click.style(at, fg='cyan')} {click.style(message, fg='red') if loud else message}"


def _json(event: Event) -> str:
    return json.dumps(
        {"time": _moment(event), "stream": event.get("logStreamName", ""), "message": event["message"]},
        ensure_ascii=False,
    )


def _moment(event: Event) -> str:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{event['timestamp'] % 1000:03d}Z"
