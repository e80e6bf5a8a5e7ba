"""Whether an attempt has succeeded, and whether a failed one is followed by another.  Pure.

attempts left? ── no ──▶ FAILED
  │ yes
evaluateOnExit: the first entry of which every condition matches says RETRY or EXIT; none: RETRY
"""

from collections.abc import Sequence

from cumulo.services.batch.model import Attempt, AttemptContainer, Document

_STOPPED_BY_ECS = (0, 137, 143)  # of essential containers, when another one has ended


def has_succeeded(attempt: Attempt, essential: Sequence[str] = ()) -> bool:
    """Whether the containers that decide (all, if none are named) have done their work.

    ECS stops the others when one has ended: so one must have ended with 0, and none with a code of its own choice.
    """
    deciding = [one for one in attempt.containers if not essential or one.name in essential]
    codes = [one.exit_code for one in deciding if not one.reason.startswith("OutOfMemory")]
    if len(codes) < len(deciding) or 0 not in codes:
        return False
    return all(code in _STOPPED_BY_ECS for code in codes)


def is_retried(retry: Document, attempt: Attempt, attempts: int) -> bool:
    """Whether another attempt follows this failed one, which was the last of so many."""
    if attempts >= retry.get("attempts", 1):
        return False
    for entry in retry.get("evaluateOnExit", ()):
        if _matches(entry, attempt):
            return str(entry["action"]).upper() == "RETRY"
    return True


def _matches(entry: Document, attempt: Attempt) -> bool:
    container = _telling(attempt)
    code = "" if container.exit_code is None else str(container.exit_code)
    told = {"onStatusReason": attempt.status_reason, "onReason": container.reason, "onExitCode": code}
    return all(_glob(entry[name], text) for name, text in told.items() if name in entry)


def _telling(attempt: Attempt) -> AttemptContainer:
    """The container that failed; the first one when none did by itself."""
    failed = [one for one in attempt.containers if one.exit_code]
    return next(iter([*failed, *attempt.containers]), AttemptContainer())


def _glob(pattern: str, text: str) -> bool:
    """Only an asterisk at the end has a meaning."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
