"""Which manifest a client gets that asks for a tag and says what it understands.  Pure."""

from collections.abc import Iterable

ANYTHING = frozenset({"*/*", "application/*"})


def accepted(headers: Iterable[str]) -> frozenset[str]:
    """The media types of Accept headers; empty when the client takes anything."""
    types: set[str] = set()
    for header in headers:
        for one in header.split(","):
            name, *parameters = (part.strip() for part in one.split(";"))
            refused = any(
                p.replace(" ", "").lower() in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for p in parameters
            )
            if name and not refused:
                types.add(name.lower())
    return frozenset() if types & ANYTHING else frozenset(types)
