"""The execution log of a request, in AWS's words; nothing is written, nor put together, where nobody keeps it.

INFO without data trace   what happened;  with data trace   what was sent and received, too
ERROR                     why a request failed
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cumulo.base.clock import Clock, millis
from cumulo.gateway.visit import Visit

LINE_CHARACTERS_MAX: Final = 1024
_CUT: Final = " [TRUNCATED]"
_HIDDEN: Final = frozenset({"authorization", "x-api-key", "x-amz-security-token"})


class Log:
    """Writes to a visit's log.  `level`: OFF, ERROR or INFO;  `trace`: whether bodies and headers are wanted."""

    __slots__ = ("_clock", "_lines", "_write_all", "trace")

    def __init__(self, visit: Visit, clock: Clock, *, level: str, trace: bool) -> None:
        self._clock = clock
        if level != "OFF" and visit.log is None:
            visit.log = []
        self._lines = visit.log if level != "OFF" else None
        self._write_all = level == "INFO"
        self.trace = trace and self._lines is not None and self._write_all

    @property
    def on(self) -> bool:
        """Whether anybody keeps what is told."""
        return self._lines is not None and self._write_all

    def tell(self, text: str) -> None:
        """Something happened."""
        if self._write_all:
            self._add(text)

    def fault(self, text: str) -> None:
        """Something went wrong."""
        self._add(text)

    def headers(self, what: str, pairs: Iterable[tuple[str, str]]) -> None:
        """`Method request headers: {a=1, b=2}`, where data is traced; secrets are covered."""
        if self.trace:
            shown = {name: _covered(name, value) for name, value in pairs}
            self._add(f"{what}: {as_map(shown)}")

    def data(self, what: str, value: bytes | Mapping[str, Any]) -> None:
        """A body or a map, where data is traced."""
        if self.trace:
            text = as_map(value) if isinstance(value, Mapping) else _shortly(value)
            self._add(f"{what}: {text}")

    def _add(self, text: str) -> None:
        if self._lines is not None:
            self._lines.append((millis(self._clock), cut(text)))


def cut(text: str) -> str:
    """A line that is no longer than AWS's are."""
    if len(text) <= LINE_CHARACTERS_MAX:
        return text
    return text[: LINE_CHARACTERS_MAX - len(_CUT)] + _CUT


def as_map(values: Mapping[str, Any]) -> str:
    """As Java prints a map."""
    return "{" + ", ".join(f"{name}={value}" for name, value in values.items()) + "}"


def written(request_id: str, lines: Iterable[tuple[int, str]]) -> str:
    """A log as TestInvokeMethod gives it."""
    rows = [f"{_moment(at)} : {text}\n" for at, text in lines]
    return f"Execution log for request {request_id}\n" + "".join(rows)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")


def _covered(name: str, value: str) -> str:
    if name.lower() not in _HIDDEN or not value:
        return value
    return "*" * max(len(value) - 6, 6) + value[-6:]


def _shortly(body: bytes) -> str:
    return body[: 4 * LINE_CHARACTERS_MAX].decode(errors="replace")
