"""What a container's awslogs options mean.  Pure."""

import re
from collections.abc import Callable

import msgspec

from cumulo.services.ecs.model import Document, Task
from cumulo.services.ecs.running.refusal import CannotStart
from cumulo.wire.patterns import compile_pattern

# strftime's letters as what they print; as in Docker's driver.
_STRFTIME = {
    "%d": r"\d{2}",
    "%e": r"[ \d]\d",
    "%m": r"\d{2}",
    "%Y": r"\d{4}",
    "%y": r"\d{2}",
    "%H": r"\d{2}",
    "%I": r"\d{2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%L": r"\.\d{3}",
    "%f": r"\d{6}",
    "%p": r"[A-Z]{2}",
    "%j": r"\d{3}",
    "%Z": r"[A-Z]{1,4}T",
    "%z": r"[+-]\d{4}",
    "%a": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "%A": r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
    "%b": r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
    "%B": r"(?:January|February|March|April|May|June|July|August|September|October|November|December)",
    "%w": r"\d",
    "%%": "%",
}
PATTERN_CHARACTERS_MAX = 1024
LINE_CHARACTERS_MAX = 4096  # of a line, that are looked at


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Where the output of a container goes in CloudWatch Logs.

    first     what the first line of an event of several lines matches; empty: every line is an event
    """

    region: str
    group: str
    name: str
    create: bool
    first: str = ""


def stream_of(task: Task, told: Document, runtime_id: str) -> Stream | None:
    """The stream of a container; None when its output is only in the engine's log.  CannotStart."""
    logging = told.get("logConfiguration") or {}
    if logging.get("logDriver") != "awslogs":
        return None
    options = {str(k): str(v) for k, v in (logging.get("options") or {}).items()}
    prefix = options.get("awslogs-stream-prefix", "")
    name = f"{prefix}/{told['name']}/{task.id}" if prefix else runtime_id
    return Stream(
        region=options.get("awslogs-region") or task.region,
        group=options.get("awslogs-group", ""),
        name=options.get("awslogs-stream") or name,
        create=options.get("awslogs-create-group", "").lower() == "true",
        first=_first(options, str(told["name"])),
    )


def _first(options: dict[str, str], container: str) -> str:
    pattern, form = options.get("awslogs-multiline-pattern", ""), options.get("awslogs-datetime-format", "")
    if pattern and form:
        raise _refused(
            "you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time",
            container,
        )
    if form:
        pattern = _from_strftime(form)
    if not pattern:
        return ""
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise _refused("awslogs-multiline-pattern is too long", container)
    if compile_pattern(_anywhere(pattern)) is None:
        raise _refused(f"awslogs could not parse multiline pattern key {pattern!r}", container)
    return pattern


def first_line(pattern: str) -> Callable[[str], bool] | None:
    """Whether a line begins an event; in time that grows with the line's length only, whatever the pattern.

    None when every line is an event.
    """
    matches = compile_pattern(_anywhere(pattern)) if pattern else None
    if matches is None:
        return None
    found = matches
    return lambda line: found(line[:LINE_CHARACTERS_MAX])


def _anywhere(pattern: str) -> str:
    """A pattern of a whole line, for one that may match anywhere in it."""
    flag = "(?i)" if pattern.startswith("(?i)") else ""
    return rf"{flag}[\s\S]*(?:{pattern.removeprefix(flag)})[\s\S]*"


def _from_strftime(form: str) -> str:
    pieces = re.split(r"(%.)", form)
    return "".join(_STRFTIME.get(one, re.escape(one)) for one in pieces if one)


def _refused(why: str, container: str) -> CannotStart:
    return CannotStart(
        f"CannotStartContainerError: Error response from daemon: failed to initialize logging driver: {why}",
        container=container,
    )
