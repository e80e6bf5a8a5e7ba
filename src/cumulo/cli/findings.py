"""What `cumulo doctor` finds: a line for each thing.

A line is *missing* when something cannot be used at all, and a *warn* when it works less well than it could.
"""

from enum import StrEnum

import msgspec


class Grade(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


class Line(msgspec.Struct, frozen=True):
    """One finding: of what kind, its name, how it is, what that means, and what mends it."""

    kind: str
    name: str
    grade: Grade
    detail: str
    fix: str = ""
