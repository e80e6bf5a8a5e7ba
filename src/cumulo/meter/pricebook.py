"""The price book: what AWS asks for each kind of usage, in a dated file that users may replace.

A file holds one region.  A region without a file of its own is priced as us-east-1, and the bill says so.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from cumulo.base.caller import DEFAULT_REGION

SECONDS_OF_HOUR = 3600
_REGION = re.compile(r"[a-z0-9-]{1,32}")


class BadPriceBook(Exception):
    """A price file that cannot be used, with the reason in a sentence."""


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price up to a quantity per month, account and region; the last tier is open."""

    price: Decimal
    up_to: Decimal | None = None


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of one kind of usage: `tiers` ask their price for every `per` units.

    `confirmed` is False where the number could not be checked against a second source.
    """

    service: str
    kind: str
    unit: str
    tiers: tuple[Tier, ...]
    per: int = 1
    confirmed: bool = True
    note: str = ""


class Free(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an account has free in every month, all kinds and regions together.

    Only allowances with `always` lessen a bill; the others ended with an account's first year.
    """

    service: str
    kinds: tuple[str, ...]
    unit: str
    quantity: Decimal
    always: bool = True


class PriceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price book as it stands in its file."""

    region: str
    currency: str
    as_of: str
    lines: tuple[Line, ...]
    free: tuple[Free, ...] = ()
    note: str = ""


class PriceBook:
    """The lines of one file, found by service and kind."""

    def __init__(self, file: PriceFile) -> None:
        self.region = file.region
        self.currency = file.currency
        self.as_of = file.as_of
        self.free = tuple(free for free in file.free if free.always)
        self._lines = {(line.service, line.kind): line for line in file.lines}

    def line(self, service: str, kind: str) -> Line | None:
        """The price of a kind of usage; None when the book does not know it."""
        return self._lines.get((service, kind))

    def lines(self) -> Iterable[Line]:
        """Every line."""
        return self._lines.values()


class PriceBooks:
    """The books by region: the shipped ones, or those at `path` (a file, or a folder of `<region>.json`).

    The shipped ones are read when they are first asked for, a user's at once: BadPriceBook must come at start,
    not in the middle of an invocation.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._books: dict[str, PriceBook] = {}  # one per file that exists
        if path is not None:
            self._default()
            for file in path.glob("*.json"):
                self._own(file.stem)

    def of(self, region: str) -> PriceBook:
        """The book for a region: its own, else us-east-1's."""
        return self._own(region) or self._default()

    def instance_hour(self, region: str, kind: str, spot: bool) -> float:
        """USD for an hour of an instance type, on demand or as a spot instance; 0: not known."""
        line = self.of(region).line("ec2", f"{kind}:spot" if spot else kind)
        return float(line.tiers[0].price) * SECONDS_OF_HOUR / line.per if line is not None else 0.0

    def fargate_hour(self, region: str, spot: bool) -> tuple[float, float]:
        """USD for an hour of a vCPU and of a GB on Fargate (x86); 0: not known."""
        book, kind = self.of(region), "fargate_spot_linux_x86" if spot else "fargate_linux_x86"
        lines = [book.line("ecs", f"{kind}_{what}") for what in ("vcpu", "gb")]
        vcpu, gb = (float(line.tiers[0].price) if line is not None else 0.0 for line in lines)
        return vcpu, gb

    def _default(self) -> PriceBook:
        book = self._own(DEFAULT_REGION)
        if book is None:
            raise BadPriceBook(f"there is no {DEFAULT_REGION}.json in {self._path}")
        return book

    def _own(self, region: str) -> PriceBook | None:
        if region in self._books:
            return self._books[region]
        file = self._file(region)
        if file is None:
            return None
        book = read_book(file)
        self._books[region] = book
        return book

    def _file(self, region: str) -> Traversable | None:
        if not _REGION.fullmatch(region):
            return None
        if self._path is not None and not self._path.is_dir():
            return self._path if region == DEFAULT_REGION else None
        folder: Traversable = self._path or resources.files("cumulo.meter") / "prices"
        file = folder / f"{region}.json"
        return file if file.is_file() else None


def read_book(file: Traversable) -> PriceBook:
    """Read and check a price file."""
    try:
        content = msgspec.json.decode(file.read_bytes(), type=PriceFile)
    except (OSError, msgspec.DecodeError) as exc:
        raise BadPriceBook(f"the price book {file} cannot be read: {exc}") from exc
    for line in content.lines:
        problem = _problem(line)
        if problem:
            raise BadPriceBook(f"the price book {file}: {line.service} {line.kind} {problem}")
    return PriceBook(content)


def _problem(line: Line) -> str:
    bounds = [tier.up_to for tier in line.tiers]
    if not bounds or bounds[-1] is not None or None in bounds[:-1]:
        return "needs tiers of which the last, and only the last, has no up_to"
    steps = [bound for bound in bounds if bound is not None]
    if any(after <= before for before, after in zip([Decimal(0), *steps], steps, strict=False)):
        return "needs tiers whose up_to grow"
    if line.per < 1 or any(not tier.price.is_finite() or tier.price < 0 for tier in line.tiers):
        return "needs prices of zero or more for at least one unit"
    return ""
