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
    find_endpoint,
    on_terminal,
    talking,
)
from cumulo.cli.logs_finding import Where, find

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


def read_pages(logs: Any, where: Where, start_ms: int, pattern: str | None) -> Iterator[list[Event]]:
    """Every event from a moment on, page by page."""
    asked: dict[str, Any] = {"logGroupName": where.group, "startTime": max(0, start_ms)}
    if where.prefix:
        asked["logStreamNamePrefix"] = where.prefix
    if pattern:
        asked["filterPattern"] = pattern
    while True:
        page = logs.filter_log_events(**asked)
        yield page.get("events", [])
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


@click.command("logs")
@click.argument("name", metavar="NAME")
@click.option("-f", "--follow", is_flag=True, help="Go on as more is printed, until Ctrl-C.")
@click.option("--since", default="10m", show_default=True, help="An age (30s, 10m, 2h, 1d) or a moment.")
@click.option("--filter", "pattern", metavar="PATTERN", help="A CloudWatch Logs filter pattern.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@endpoint_option
def command(
    name: str, follow: bool, since: str, pattern: str | None, as_json: bool, endpoint: str | None
) -> None:
    """Show what functions and containers printed.

    NAME is a function, a log group, or something of ECS whose containers have the log driver awslogs: a service
    (`web`, `service/web`, `service/CLUSTER/web`), a task (its id, `task/ID`) or a task definition's family.
    """
    cloud = find_endpoint(endpoint)
    since_ms = parse_since(since, SystemClock().now())
    with talking(cloud), contextlib.suppress(KeyboardInterrupt):
        logs = client("logs", cloud)
        readers = [
            _Reader(logs, where, Follower(since_ms), pattern, as_json=as_json) for where in find(name, cloud)
        ]
        found = sum([reader.poll(missing_ok=follow) for reader in readers])
        while follow:
            time.sleep(POLL_SECONDS)
            for reader in readers:
                reader.poll(missing_ok=True)
        if not found:
            places = ", ".join(dict.fromkeys(reader.where.group for reader in readers))
            click.echo(f"{places} has nothing since {since}; --since looks further back.", err=True)


class _Reader:
    """Shows what comes to one place."""

    def __init__(
        self, logs: Any, where: Where, follower: Follower, pattern: str | None, *, as_json: bool
    ) -> None:
        self.where = where
        self._logs = logs
        self._follower = follower
        self._pattern = pattern
        self._as_json = as_json

    def poll(self, *, missing_ok: bool) -> int:
        """Print what is new; how many lines."""
        colour = on_terminal()
        count = 0
        try:
            for page in read_pages(self._logs, self.where, self._follower.start_ms, self._pattern):
                for event in self._follower.fresh(page):
                    count += 1
                    # Never stripped: what was printed is shown as it was printed.
                    click.echo(_json(event) if self._as_json else render(event, colour=colour), color=True)
        except self._logs.exceptions.ResourceNotFoundException as exc:
            if not missing_ok:  # with --follow, nothing may have run yet
                group = self.where.group
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
