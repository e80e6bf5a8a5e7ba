"""The bill as JSON: what `/_cumulo/bill` answers.

    {"month": "2026-11", "now": "2026-11-23T10:00:00Z", "currency": "USD", "prices_as_of": "2026-11-23",
     "total": "0.41", "list_total": "19.20",                    with and without the free tier
     "forecast": {"total": "0.55", "list_total": "24.10"},      of the whole month
     "group": "service",
     "groups": [{"name": "lambda", "total": "0.41", "list_total": "19.20"}],
     "lines": [{"account", "region", "service", "kind", "resource", "unit", "quantity", "free_quantity",
                "amount", "list_amount", "explain"}],           `hour` too when grouped by day or hour
     "lines_left_out": 0,
     "notes": ["eu-west-1 is priced as us-east-1"]}

Amounts and quantities are strings of decimal digits, so that nothing is lost; `explain` is there when asked
for.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cumulo.meter.bill import Bill, grouped, make_bill
from cumulo.meter.charge import Charge
from cumulo.meter.explain import explain, plain, quantity
from cumulo.meter.meter import Grain, Meter, Tags
from cumulo.meter.period import Month, month_of, parse_month
from cumulo.meter.records import Use
from cumulo.meter.units import unit
from cumulo.wire.http import Request, Response

LINES_MAX = 10_000
GROUPS = ("service", "kind", "resource", "account", "region", "day", "hour")
_FILTERS = ("account", "region", "service", "kind", "resource")
_FLAGS = {"1": True, "true": True, "": True, "0": False, "false": False}


class BadQuery(Exception):
    """A query that cannot be answered, with the reason in a sentence."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the bill.  Empty filters let everything through; `group` may also be `tag:KEY`."""

    month: Month
    account: str = ""
    region: str = ""
    service: str = ""
    kind: str = ""
    resource: str = ""
    group: str = "service"
    explain: bool = False

    def keeps(self, use: Use) -> bool:
        """Whether the filters let a use through.  A resource may be named by the end of its ARN."""
        return (
            self.account in ("", use.account)
            and self.region in ("", use.region)
            and self.service in ("", use.service)
            and self.kind in ("", use.kind)
            and (not self.resource or is_named(use.resource, self.resource))
        )


def is_named(resource: str, name: str) -> bool:
    """Whether `name` is a resource's whole name, or its last part."""
    return resource == name or resource.endswith((f":{name}", f"/{name}"))


def parse_query(text: str, now: float) -> Query:
    """Read a query string; BadQuery names what is wrong."""
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=50)
    values = dict(pairs)
    unknown = sorted(set(values) - {"month", "group", "explain", *_FILTERS})
    if unknown:
        raise BadQuery(f"Unknown parameter: {unknown[0]}")
    if len(values) != len(pairs):
        raise BadQuery("A parameter is given twice")
    month = parse_month(values["month"]) if "month" in values else month_of(now)
    if month is None:
        raise BadQuery(f"month must look like 2026-11, not {values['month']!r}")
    group = values.get("group", "service")
    if group not in GROUPS and not (group.startswith("tag:") and len(group) > 4):
        raise BadQuery(f"group must be one of {', '.join(GROUPS)} or tag:KEY, not {group!r}")
    flag = _FLAGS.get(values.get("explain", "0"))
    if flag is None:
        raise BadQuery(f"explain must be 1 or 0, not {values['explain']!r}")
    filters = {name: values.get(name, "") for name in _FILTERS}
    return Query(month=month, group=group, explain=flag, **filters)


async def bill_json(meter: Meter, query: Query) -> dict[str, Any]:
    """The bill as this module's docstring shows it."""
    grain = {"day": Grain.DAY, "hour": Grain.HOUR}.get(query.group, Grain.MONTH)
    uses = await meter.uses(query.month, grain)
    key = _key(query, uses, meter.tags)
    now = meter.clock.now()

    def make() -> dict[str, Any]:
        bill = make_bill(uses, meter.books.of, query.month, now, query.keeps)
        return render(bill, query, key)

    # A month of many functions takes a while: not on the event loop.
    return await asyncio.to_thread(make)


def render(bill: Bill, query: Query, key: Callable[[Use], str]) -> dict[str, Any]:
    """A bill as plain JSON values."""
    charges = sorted(bill.charges, key=lambda found: found.use)
    timed = query.group in ("day", "hour")
    groups = grouped(charges, key)
    names = sorted(groups) if timed else list(groups)
    return {
        "month": str(bill.month),
        "now": f"{datetime.fromtimestamp(bill.now, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "currency": bill.currency,
        "prices_as_of": bill.prices_as_of,
        "total": plain(bill.totals.total),
        "list_total": plain(bill.totals.list_total),
        "forecast": {
            "total": plain(bill.forecast.total),
            "list_total": plain(bill.forecast.list_total),
        },
        "group": query.group,
        "groups": [
            {"name": name, "total": plain(groups[name].total), "list_total": plain(groups[name].list_total)}
            for name in names
        ],
        "lines": [_line(found, query, timed=timed) for found in charges[:LINES_MAX]],
        "lines_left_out": max(0, len(charges) - LINES_MAX),
        "notes": list(bill.notes),
    }


def _line(found: Charge, query: Query, *, timed: bool) -> dict[str, str]:
    use = found.use
    line = {
        "account": use.account,
        "region": use.region,
        "service": use.service,
        "kind": use.kind,
        "resource": use.resource,
        "unit": unit(found.line.unit).label if found.line else "",
        "quantity": plain(quantity(found.atoms, found.scale), 0),
        "free_quantity": plain(quantity(found.free_atoms, found.scale), 0),
        "amount": plain(found.amount),
        "list_amount": plain(found.list_amount),
    }
    if timed:
        line["hour"] = _hour(use.hour)
    if query.explain:
        line["explain"] = explain(found)
    return line


def _key(query: Query, uses: Iterable[Use], tags: Tags | None) -> Callable[[Use], str]:
    if query.group.startswith("tag:"):
        name = query.group.removeprefix("tag:")
        resources = {(*use[:3], use.resource) for use in uses}
        found = {which: tags.tags_of(*which).get(name, "") if tags else "" for which in resources}
        return lambda use: found[*use[:3], use.resource]
    if query.group == "hour":
        return lambda use: _hour(use.hour)
    if query.group == "day":
        return lambda use: _hour(use.hour)[:10]
    return lambda use: str(getattr(use, query.group))


def _hour(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%H:00Z}"


class BillPage:
    """Answers `/_cumulo/bill`."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def handle_bill(self, request: Request) -> Response:
        """The bill as JSON; 400 with a sentence when the query makes no sense."""
        if request.method not in ("GET", "HEAD"):
            return _json(405, {"message": "The bill can only be read"}, ("allow", "GET, HEAD"))
        try:
            query = parse_query(request.query, self._meter.clock.now())
        except (BadQuery, ValueError) as exc:
            return _json(400, {"message": str(exc)})
        return _json(200, await bill_json(self._meter, query))


def _json(status: int, content: object, *headers: tuple[str, str]) -> Response:
    return Response(status, [("content-type", "application/json"), *headers], msgspec.json.encode(content))
