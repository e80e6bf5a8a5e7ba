"""The server's own log: events with fields, one line each, for people on a terminal and as JSON for machines.

On top of the standard library's logging (asyncio brings it anyway) instead of structlog, whose import costs
60 ms of a start that may take 250.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

ROOT = "cumulo"


class Log:
    """Writes events of one part of the house; `Log("lambda").info("init failed", function=name)`."""

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"{ROOT}.{part}")

    def debug(self, event: str, **fields: Any) -> None:
        """For developers of Cumulo."""
        self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, **fields: Any) -> None:
        """What happens."""
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: Any) -> None:
        """What works less well than it should."""
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, **fields: Any) -> None:
        """What failed."""
        self._logger.error(event, extra={"fields": fields})

    def exception(self, event: str, **fields: Any) -> None:
        """What failed unexpectedly, with the traceback."""
        self._logger.error(event, exc_info=True, extra={"fields": fields})  # noqa: LOG014 - the caller is in one

    def enabled(self, level: str) -> bool:
        """Whether events of this level are written."""
        return self._logger.isEnabledFor(logging.getLevelName(level.upper()))


class _Lines(logging.Formatter):
    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self._json = json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        part, level = record.name.removeprefix(f"{ROOT}."), record.levelname.lower()
        event = record.getMessage()
        if self._json:
            row = {"time": at, "level": level, "part": part, "event": event} | fields
            return msgspec.json.encode(row, enc_hook=str).decode()
        words = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{at[11:23]} {level:<7} {part}: {event}  {words}".rstrip()


def set_up(level: str, *, stream: TextIO | None = None, json: bool | None = None) -> None:
    """Let the server's events go to a stream (stderr), as JSON unless it is a terminal."""
    target = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_Lines(json=not target.isatty() if json is None else json))
    root = logging.getLogger(ROOT)
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
    logging.raiseExceptions = False  # a closed terminal or a full disk must not stop the server
