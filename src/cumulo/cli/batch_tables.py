"""The tables of `cumulo batch top`: from what the page tells to what rich prints.  Pure.

QUEUE   PRIORITY  WAITS  READY  RUNS  DONE  FAILED  /MIN  ON
ENVIRONMENT  TYPE  STATE  vCPUs  INSTANCES
"""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

INSTANCES_SHOWN: Final = 8  # of an environment
SHARES_SHOWN: Final = 12  # of a queue
Row = Mapping[str, Any]


def tables(seen: Row) -> RenderableType:
    """Everything that the page tells."""
    if not seen["queues"] and not seen["environments"]:
        return Text("There are no job queues and no compute environments.")
    places = {(one["account"], one["region"]) for one in [*seen["queues"], *seen["environments"]]}
    parts: list[RenderableType] = []
    if seen["queues"]:
        parts.append(queues(seen["queues"], placed=len(places) > 1))
    if any(queue["shares"] for queue in seen["queues"]):
        parts += ["", shares(seen["queues"])]
    if seen["environments"]:
        parts += ["", environments(seen["environments"], placed=len(places) > 1)]
    return Group(*parts)


def queues(rows: list[Row], *, placed: bool) -> Table:
    """Queues with their jobs by state, and what started and ended in the last minute."""
    table = _table(
        "QUEUE", right=("PRIORITY", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
    )
    table.add_column("LAST MINUTE", justify="right", no_wrap=True)
    table.add_column("ENVIRONMENTS", overflow="fold")
    for one in rows:
        jobs = one["jobs"]
        table.add_row(
            _name(one, placed=placed),
            str(one["priority"]),
            _count(jobs["SUBMITTED"] + jobs["PENDING"]),
            _count(jobs["RUNNABLE"], "yellow"),
            _count(jobs["STARTING"]),
            _count(jobs["RUNNING"], "cyan"),
            _count(jobs["SUCCEEDED"], "green"),
            _count(jobs["FAILED"], "red"),
            _minute(one["minute"]),
            ", ".join(one["environments"]),
        )
        if one["blocked"]:
            table.add_row(Text(f"  {one['blocked']}", style="yellow", overflow="fold"))
    return table


def shares(rows: list[Row]) -> Table:
    """The shares of fair queues, the one that is served next first."""
    table = _table("SHARE", right=("WEIGHT", "vCPUs", "AVERAGE", "RUNNABLE"))
    for queue in rows:
        for one in queue["shares"][:SHARES_SHOWN]:
            table.add_row(
                f"{escape(queue['name'])} / {escape(one['share'])}",
                f"{one['weight']:g}",
                f"{one['running_vcpus']:g}",
                f"{one['average_vcpus']:.2f}",
                _count(one["waiting"], "yellow"),
            )
        if len(queue["shares"]) > SHARES_SHOWN:
            table.add_row(f"and {len(queue['shares']) - SHARES_SHOWN} more")
    return table


def environments(rows: list[Row], *, placed: bool) -> Table:
    """Compute environments, what of them is used, and their instances below each."""
    table = _table("ENVIRONMENT", right=())
    for title in ("TYPE", "STATE"):
        table.add_column(title, no_wrap=True)
    for title in ("vCPUs USED", "THERE", "MAX", "TASKS", "MiB FREE"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in rows:
        used = "" if one["used_vcpus"] is None else f"{one['used_vcpus']:g}"
        tasks = sum(instance["tasks"] for instance in one["instances"])
        table.add_row(
            _name(one, placed=placed),
            one["type"],
            _state(one),
            used,
            f"{one['vcpus']:g}",
            f"{one['max_vcpus']:g}",
            str(tasks) if one["instances"] else "",
        )
        if one["reason"] and one["status"] == "INVALID":
            table.add_row(Text(f"  {one['reason']}", style="red", overflow="fold"))
        for instance in one["instances"][:INSTANCES_SHOWN]:
            table.add_row(*_instance(instance))
        if one["instance_count"] > INSTANCES_SHOWN:
            table.add_row(Text(f"  and {one['instance_count'] - INSTANCES_SHOWN} more", style="dim"))
    return table


def _instance(one: Row) -> list[RenderableType]:
    there = one["vcpus"]
    used = there - one.get("free_vcpus", there)
    state = Text(one["state"], style="" if one["state"] == "READY" else "yellow")
    memory = str(one["free_memory"]) if "free_memory" in one else ""
    return [
        f"  {escape(one['id'])}",
        one["type"],
        state,
        f"{used:g}",
        f"{there:g}",
        "",
        str(one["tasks"]),
        memory,
    ]


def _table(first: str, right: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold", min_width=16)
    for title in right:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _name(one: Row, *, placed: bool) -> str:
    place = f"{one['account']}/{one['region']}/" if placed else ""
    off = "" if one["state"] == "ENABLED" else " [dim](disabled)[/dim]"
    return f"{escape(place + one['name'])}{off}"


def _state(one: Row) -> Text:
    return Text(one["status"], style={"VALID": "green", "INVALID": "red"}.get(one["status"], "yellow"))


def _count(count: int, style: str = "") -> Text:
    return Text(str(count), style=style if count else "dim")


def _minute(minute: Row | None) -> str:
    if minute is None:
        return "?"
    ended = minute["succeeded"] + minute["failed"]
    return f"{minute['started']} started, {ended} ended"
