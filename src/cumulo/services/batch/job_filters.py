"""The filters of ListJobs.  Pure; AwsError ClientException.

JOB_NAME            without regard to case; `name*`: what begins with it
JOB_DEFINITION      a name (any revision), `name*`, or an ARN with its revision
BEFORE_CREATED_AT, AFTER_CREATED_AT     milliseconds since the epoch
SHARE_IDENTIFIER    with jobStatus, too
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cumulo.services.batch.errors import unfit
from cumulo.services.batch.model import Document, Job

_NAMES = ("JOB_NAME", "JOB_DEFINITION", "BEFORE_CREATED_AT", "AFTER_CREATED_AT", "SHARE_IDENTIFIER")
_MILLIS_DIGITS_MAX = 15


class Filter(NamedTuple):
    """Whether a job fits; `with_status`: a state that is asked for must fit, too."""

    fits: Callable[[Job], bool]
    with_status: bool


def filter_of(filters: Sequence[Document]) -> Filter | None:
    """What a request's filters ask for; None: nothing."""
    if not filters:
        return None
    if len(filters) > 1:
        raise unfit("Only one filter can be used at a time.")
    name, values = filters[0].get("name", ""), filters[0].get("values", ())
    if name not in _NAMES:
        raise unfit(f"Filter name {name} is not valid. Valid names: [{', '.join(_NAMES)}]")
    if not values:
        raise unfit(f"Filter {name} must have a value.")
    tests = [_test(name, value) for value in values]
    return Filter(lambda job: any(test(job) for test in tests), name == "SHARE_IDENTIFIER")


def _test(name: str, value: str) -> Callable[[Job], bool]:
    match name:
        case "JOB_NAME":
            return _text(value.lower(), lambda job: job.name.lower())
        case "JOB_DEFINITION" if value.startswith("arn:"):
            return lambda job: job.definition == value
        case "JOB_DEFINITION":
            return _text(value, _definition_name)
        case "BEFORE_CREATED_AT":
            before = _millis(name, value)
            return lambda job: job.created_at < before
        case "AFTER_CREATED_AT":
            after = _millis(name, value)
            return lambda job: job.created_at > after
        case _:
            return lambda job: job.share == value


def _text(pattern: str, of: Callable[[Job], str]) -> Callable[[Job], bool]:
    if pattern.endswith("*"):
        return lambda job: of(job).startswith(pattern[:-1])
    return lambda job: of(job) == pattern


def _definition_name(job: Job) -> str:
    return job.definition.rpartition("/")[2].partition(":")[0]


def _millis(name: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > _MILLIS_DIGITS_MAX:
        raise unfit(f"Filter {name} must be a number of milliseconds.")
    return int(value)
