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
NAME_MAX: Final = 40
WIDE: Final = 110
Row = Mapping[str, Any]


def tables(seen: Row, *, columns: int) -> RenderableType:
    """Everything that the page tells, for so many columns of a terminal."""
    if not seen["queues"] and not seen["environments"]:
        return Text("There are no job queues and no compute environments.")
    places = {(one["account"], one["region"]) for one in [*seen["queues"], *seen["environments"]]}
    parts: list[RenderableType] = []
    if seen["queues"]:
        parts.append(queues(seen["queues"], placed=len(places) > 1, wide=columns >= WIDE))
        parts += [
            Text(f"{one['name']}: {one['blocked']}", "yellow") for one in seen["queues"] if one["blocked"]
        ]
    if any(queue["shares"] for queue in seen["queues"]):
        parts += ["", shares(seen["queues"])]
    if seen["environments"]:
        parts += ["", environments(seen["environments"], placed=len(places) > 1)]
        invalid = [one for one in seen["environments"] if one["status"] == "INVALID"]
        parts += [Text(f"{one['name']}: {one['reason']}", "red") for one in invalid]
    spot = seen.get("spot") or {"on_demand": 0}
    if spot["on_demand"]:
        saved = spot["on_demand"] - spot["paid"]
        parts += [
            "",
            f"Spot: {spot['paid']:.4f} USD for what costs {spot['on_demand']:.4f} on demand, {saved:.4f} saved",
        ]
    return Group(*parts)


def queues(rows: list[Row], *, placed: bool, wide: bool) -> Table:
    """Queues with their jobs by state, how many ended in the last minute, and if there is room, their environments."""
    table = _table(
        "QUEUE", right=("PRI", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "DONE", "FAILED", "/MIN")
    )
    if wide:
        table.add_column("ON", overflow="ellipsis")
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
            *([escape(", ".join(one["environments"]))] if wide else []),
        )
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
    for title in ("USED", "vCPUs", "MAX", "TASKS", "FREE MiB"):
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
    table.add_column(first, overflow="ellipsis", max_width=NAME_MAX)  # it gives way, figures do not
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
    """How many ended in the last minute, where that is known."""
    return "" if minute is None else str(minute["succeeded"] + minute["failed"])
