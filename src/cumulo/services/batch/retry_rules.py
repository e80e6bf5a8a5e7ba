"""Retry strategies and timeouts, as clients may ask for them.  Pure; AwsError ClientException."""

import re

from cumulo.services.batch.errors import unfit
from cumulo.services.batch.model import Document

ATTEMPTS_MAX = 10
CONDITIONS_MAX = 5
TIMEOUT_LEAST = 60  # seconds
_PATTERN_MAX = 512
_TEXT = re.compile(r"[A-Za-z0-9.:\s]*\*?")
_DIGITS = re.compile(r"[0-9]*\*?")
_CONDITIONS = {"onStatusReason": _TEXT, "onReason": _TEXT, "onExitCode": _DIGITS}


def checked_retry(strategy: Document | None) -> Document:
    """A retry strategy with its defaults; empty when there is none."""
    if strategy is None:
        return {}
    attempts = strategy.get("attempts")
    if attempts is None:
        raise unfit("RetryAttempts must be provided with retry strategy.")
    if not 1 <= attempts <= ATTEMPTS_MAX:
        raise unfit(f"RetryAttempts must be between 1 and {ATTEMPTS_MAX}.")
    entries = strategy.get("evaluateOnExit", ())
    if len(entries) > CONDITIONS_MAX:
        raise unfit(f"EvaluateOnExit cannot have more than {CONDITIONS_MAX} conditions.")
    for entry in entries:
        _check_entry(entry)
    return {"attempts": attempts, "evaluateOnExit": list(entries)}


def checked_timeout(timeout: Document | None) -> int:
    """The seconds that an attempt may last; 0: as long as it wants."""
    if timeout is None or timeout.get("attemptDurationSeconds") is None:
        return 0
    seconds = int(timeout["attemptDurationSeconds"])
    if seconds < TIMEOUT_LEAST:
        raise unfit(f"Timeout attemptDurationSeconds must be at least {TIMEOUT_LEAST} seconds.")
    return seconds


def _check_entry(entry: Document) -> None:
    if not any(name in entry for name in _CONDITIONS):
        raise unfit("EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason")
    for name, pattern in _CONDITIONS.items():
        condition = entry.get(name, "")
        if len(condition) > _PATTERN_MAX:
            raise unfit(f"Evaluate on exit condition cannot exceed {_PATTERN_MAX} characters.")
        if not pattern.fullmatch(condition):
            raise unfit("Evaluate on exit condition contains restricted characters.")
