"""Every runtime that AWS Lambda has or had, as data.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html

A *deprecated* runtime still works.  A *retired* one can no longer be created: AWS refuses it.  AWS announces the
dates of refusal long ahead and moves them often, so only refusals that have been seen are in this table.
"""

import hashlib
from datetime import date
from enum import StrEnum

import msgspec

BUILD = 18  # the last part of version labels; AWS counts its builds there


class Language(StrEnum):
    """What a runtime speaks."""

    PYTHON = "python"
    NODE = "nodejs"
    JAVA = "java"
    DOTNET = "dotnet"
    RUBY = "ruby"
    GO = "go"
    OS_ONLY = "provided"
    OTHER = "custom"


class Runtime(msgspec.Struct, frozen=True):
    """One row: `version` is what the language calls it, `deprecated` the day that support ends."""

    name: str
    language: Language
    version: str
    deprecated: date | None = None
    retired: bool = False

    @property
    def label(self) -> str:
        """What INIT_START shows, like `python:3.12.v18`."""
        return f"{self.language}:{self.version}.v{BUILD}"

    @property
    def version_arn(self) -> str:
        """The ARN of this build of the runtime, with `{region}` left in."""
        digest = hashlib.sha256(f"{self.name} {self.label}".encode()).hexdigest()
        return f"arn:aws:lambda:{{region}}::runtime:{digest}"

    def is_deprecated(self, today: date) -> bool:
        """Whether support has ended."""
        return self.deprecated is not None and self.deprecated <= today


def _rows() -> tuple[Runtime, ...]:
    node, python, java, dotnet, ruby, only = (
        Language.NODE, Language.PYTHON, Language.JAVA, Language.DOTNET, Language.RUBY, Language.OS_ONLY,
    )  # fmt: skip
    return (
        Runtime("nodejs26.x", node, "26"),
        Runtime("nodejs24.x", node, "24", date(2028, 4, 30)),
        Runtime("nodejs22.x", node, "22", date(2027, 4, 30)),
        Runtime("nodejs20.x", node, "20", date(2026, 4, 30)),
        Runtime("nodejs18.x", node, "18", date(2025, 9, 1)),
        Runtime("nodejs16.x", node, "16", date(2024, 6, 12)),
        Runtime("nodejs14.x", node, "14", date(2023, 12, 4), retired=True),
        Runtime("nodejs12.x", node, "12", date(2023, 3, 31), retired=True),
        Runtime("nodejs10.x", node, "10", date(2021, 7, 30), retired=True),
        Runtime("nodejs8.10", node, "8", date(2020, 3, 6), retired=True),
        Runtime("nodejs6.10", node, "6", date(2019, 8, 12), retired=True),
        Runtime("nodejs4.3", node, "4", date(2020, 3, 5), retired=True),
        Runtime("nodejs4.3-edge", node, "4", date(2020, 3, 5), retired=True),
        Runtime("nodejs", node, "0", date(2016, 8, 30), retired=True),
        Runtime("python3.15", python, "3.15"),
        Runtime("python3.14", python, "3.14", date(2029, 6, 30)),
        Runtime("python3.13", python, "3.13", date(2029, 6, 30)),
        Runtime("python3.12", python, "3.12", date(2028, 10, 31)),
        Runtime("python3.11", python, "3.11", date(2027, 6, 30)),
        Runtime("python3.10", python, "3.10", date(2026, 10, 31)),
        Runtime("python3.9", python, "3.9", date(2025, 12, 15)),
        Runtime("python3.8", python, "3.8", date(2024, 10, 14)),
        Runtime("python3.7", python, "3.7", date(2023, 12, 4), retired=True),
        Runtime("python3.6", python, "3.6", date(2022, 7, 18), retired=True),
        Runtime("python2.7", python, "2.7", date(2021, 7, 15), retired=True),
        Runtime("java25", java, "25", date(2029, 6, 30)),
        Runtime("java21", java, "21", date(2029, 6, 30)),
        Runtime("java17", java, "17", date(2027, 6, 30)),
        Runtime("java17.al2023", java, "17"),
        Runtime("java11", java, "11", date(2027, 6, 30)),
        Runtime("java11.al2023", java, "11"),
        Runtime("java8.al2", java, "8", date(2027, 6, 30)),
        Runtime("java8.al2023", java, "8"),
        Runtime("java8", java, "8", date(2024, 1, 8), retired=True),
        Runtime("dotnet10", dotnet, "10", date(2028, 11, 14)),
        Runtime("dotnet8", dotnet, "8", date(2026, 11, 10)),
        Runtime("dotnet6", dotnet, "6", date(2024, 12, 20)),
        Runtime("dotnetcore3.1", dotnet, "3.1", date(2023, 4, 3), retired=True),
        Runtime("dotnetcore2.1", dotnet, "2.1", date(2022, 1, 5), retired=True),
        Runtime("dotnetcore2.0", dotnet, "2.0", date(2019, 5, 30), retired=True),
        Runtime("dotnetcore1.0", dotnet, "1.0", date(2019, 6, 27), retired=True),
        Runtime("ruby4.0", ruby, "4.0"),
        Runtime("ruby3.4", ruby, "3.4", date(2028, 3, 31)),
        Runtime("ruby3.3", ruby, "3.3", date(2027, 3, 31)),
        Runtime("ruby3.2", ruby, "3.2", date(2026, 3, 31)),
        Runtime("ruby2.7", ruby, "2.7", date(2023, 12, 7), retired=True),
        Runtime("ruby2.5", ruby, "2.5", date(2021, 7, 30), retired=True),
        Runtime("go1.x", Language.GO, "1", date(2024, 1, 8), retired=True),
        Runtime("provided.al2023", only, "al2023", date(2029, 6, 30)),
        Runtime("provided.al2", only, "al2", date(2026, 7, 31)),
        Runtime("provided", only, "al1", date(2024, 1, 8), retired=True),
        Runtime("custom", Language.OTHER, "1"),
    )


RUNTIMES = _rows()
_BY_NAME = {runtime.name: runtime for runtime in RUNTIMES}


def find(name: str) -> Runtime | None:
    """The row of this name."""
    return _BY_NAME.get(name)


def is_retired(name: str) -> bool:
    """Whether AWS refuses to create functions with it."""
    runtime = find(name)
    return runtime is not None and runtime.retired


def retired_sentence(name: str) -> str:
    """What AWS says when a retired runtime is asked for."""
    return (
        f"The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions."
    )
