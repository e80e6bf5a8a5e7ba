"""The arithmetic of a charge as one readable row, and how numbers are written in it.  Pure."""

from decimal import Decimal
from fractions import Fraction

from cumulo.meter.charge import Charge, Part
from cumulo.meter.pricebook import Line
from cumulo.meter.units import unit

_QUANTITY_PLACES = 9
_PER = {1: "", 1000: " per 1K", 1_000_000: " per 1M", 744: " per 744", 3600: " per hour"}


def explain(charge: Charge) -> str:
    """`1,200 requests - 1,200 free = 0 x $0.20 per 1M = $0.000000`."""
    line = charge.line
    if line is None:
        return f"{grouped_digits(quantity(charge.atoms, charge.scale))} x no known price = $0.000000"
    used = f"{grouped_digits(quantity(charge.atoms, charge.scale))} {unit(line.unit).label}"
    if charge.free_atoms:
        billable = grouped_digits(quantity(charge.atoms - charge.free_atoms, charge.scale))
        used += f" - {grouped_digits(quantity(charge.free_atoms, charge.scale))} free = {billable}"
    owed = f"${charge.amount:,.6f}"
    if len(charge.parts) <= 1:
        price = charge.parts[0].price if charge.parts else line.tiers[0].price
        return f"{used} x {_price(price, line)} = {owed}"
    steps = " + ".join(_step(part, charge.scale, line) for part in charge.parts)
    return f"{used}: {steps} = {owed}"


def _step(part: Part, scale: int, line: Line) -> str:
    return f"{grouped_digits(quantity(part.atoms, scale))} x {_price(part.price, line)}"


def _price(price: Decimal, line: Line) -> str:
    per = _PER.get(line.per, f" per {line.per:,}")
    return f"${plain(price)}{per}"


def quantity(atoms: int, scale: int) -> Decimal:
    """A quantity in its unit, to nine places."""
    whole = round(Fraction(atoms * 10**_QUANTITY_PLACES, scale))
    return Decimal(whole).scaleb(-_QUANTITY_PLACES)


def plain(number: Decimal, places_min: int = 2) -> str:
    """Decimal digits without an exponent, trailing zeros cut down to so many places."""
    whole, _, rest = f"{number:f}".partition(".")
    rest = rest.rstrip("0").ljust(places_min, "0")
    return f"{whole}.{rest}" if rest else whole


def grouped_digits(number: Decimal) -> str:
    """1234567.5 as 1,234,567.5."""
    whole, _, rest = plain(number, 0).partition(".")
    return f"{int(whole):,}" + (f".{rest}" if rest else "")
