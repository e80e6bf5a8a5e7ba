"""`cumulo batch wait`: wait until jobs have ended, and end as they did."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import click

from cumulo.base.clock import Clock, SystemClock
from cumulo.cli.batch_jobs import (
    ENDED,
    Job,
    counts_of,
    describe_all,
    is_array,
    listed,
    reason_of,
    size_of,
    told_counts,
)
from cumulo.cli.cloud import client, endpoint_option, find_endpoint, talking

POLL_SECONDS: Final = 0.5
FAILURES_MAX: Final = 100  # children of an array that are asked for their reasons
INDEXES_SHOWN: Final = 10  # of those that failed for the same one
BARS_MAX: Final = 20  # with more jobs there is one bar for all
TIMED_OUT: Final = 124  # as timeout(1) has it
INTERRUPTED: Final = 130
GROUP: Final = "/aws/batch/job"
Show = Callable[[Mapping[str, Job]], None]


@click.command("wait")
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@click.option("--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait no longer than that.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each job, at the end.")
@endpoint_option
def command(jobs: tuple[str, ...], timeout: float | None, as_json: bool, endpoint: str | None) -> None:
    """Wait until jobs have ended.

    JOB is a job's id or ARN; an array has ended when its last child has.  The exit code is 0 when all have succeeded, 1
    when one has failed (it is said why), 124 when --timeout came first.
    """
    cloud = find_endpoint(endpoint)
    with talking(cloud):
        aws = client("batch", cloud)
        try:
            with _bars(as_json=as_json) as show:
                found = wait(
                    lambda ids: describe_all(aws, ids), jobs, timeout, show, SystemClock(), time.sleep
                )
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        for job in found.values():
            failures = _failures(aws, job)
            for line in [json.dumps(summary(job, failures))] if as_json else report(job, failures):
                click.echo(line)
    raise click.exceptions.Exit(exit_code(found.values()))


def wait(
    look: Callable[[Sequence[str]], Mapping[str, Job]],
    jobs: Sequence[str],
    timeout: float | None,
    show: Show,
    clock: Clock,
    sleep: Callable[[float], None],
) -> dict[str, Job]:
    """The jobs when all have ended or the time is over.  Who has ended is not asked for again."""
    until = clock.monotonic() + timeout if timeout is not None else float("inf")
    found = dict(look(jobs))
    show(found)
    while waiting := [name for name, job in found.items() if job["status"] not in ENDED]:
        left = until - clock.monotonic()
        if left <= 0:
            break
        sleep(min(POLL_SECONDS, left))
        found |= look(waiting)
        show(found)
    return found


def exit_code(jobs: Iterable[Job]) -> int:
    """0: all have succeeded; 1: one has failed; 124: some have not ended."""
    states = {job["status"] for job in jobs}
    if "FAILED" in states:
        return 1
    return 0 if states <= {"SUCCEEDED"} else TIMED_OUT


def report(job: Job, failures: Sequence[Job]) -> Iterator[str]:
    """How a job ended, in lines; `failures` are children that failed."""
    line = f"{job['jobName']}  {job['jobId']}  {job['status']}"
    if is_array(job):
        line += f"  ({told_counts(counts_of(job))})"
    if job["status"] in ENDED and job.get("startedAt") and job.get("stoppedAt"):
        line += f"  in {(job['stoppedAt'] - job['startedAt']) / 1000:.1f} s"
    yield line
    if job["status"] == "FAILED":
        yield f"  {reason_of(job)}"
        yield from _log(job)
    yield from _children(failures)
    more = counts_of(job).get("FAILED", 0) - len(failures)
    if failures and more > 0:
        yield f"  and {more} more"


def summary(job: Job, failures: Sequence[Job]) -> dict[str, Any]:
    """The same for machines."""
    told = {
        "jobId": job["jobId"],
        "jobName": job["jobName"],
        "status": job["status"],
        "counts": counts_of(job),
    }
    if job["status"] == "FAILED":
        told["reason"] = reason_of(job)
        told["failures"] = [{"jobId": one["jobId"], "reason": reason_of(one)} for one in failures]
    return told


def _children(failures: Sequence[Job]) -> Iterator[str]:
    """Children that failed, those for the same reason in one line."""
    by_reason: dict[str, list[str]] = {}
    for child in failures:
        by_reason.setdefault(reason_of(child), []).append(str(child["arrayProperties"]["index"]))
    for reason, indexes in by_reason.items():
        rest = f" and {len(indexes) - INDEXES_SHOWN} more" if len(indexes) > INDEXES_SHOWN else ""
        yield f"  {', '.join(indexes[:INDEXES_SHOWN])}{rest}: {reason}"


def _log(job: Job) -> Iterator[str]:
    """Where to read what it printed, if it goes to where Batch puts it."""
    stream = (job.get("container") or {}).get("logStreamName")
    if stream and not is_array(job):
        yield f"  what it printed: {GROUP} {stream}"


def _failures(aws: Any, job: Job) -> list[Job]:
    """The first children of an array that failed."""
    if not is_array(job) or not counts_of(job).get("FAILED"):
        return []
    return list(listed(aws, FAILURES_MAX, arrayJobId=job["jobId"], jobStatus="FAILED"))


def _bars(*, as_json: bool) -> AbstractContextManager[Show]:
    """Bars on a terminal; elsewhere nothing is shown until the end."""
    if as_json or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    return Bars()


class Bars(AbstractContextManager[Show]):
    """A bar for each job, or one for all of many, on standard error; gone when all is over."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskID,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[told]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars: list[TaskID] = []

    def __enter__(self) -> Show:
        self._progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _show(self, jobs: Mapping[str, Job]) -> None:
        for number, (name, total, done, told) in enumerate(rows(jobs)):
            if number == len(self._bars):
                self._bars.append(self._progress.add_task(name, total=total, told=""))
            self._progress.update(self._bars[number], completed=done, told=told)


def rows(jobs: Mapping[str, Job]) -> list[tuple[str, int, int, str]]:
    """For each bar: its name, how much there is to do, how much is done, and the states in words."""
    if len(jobs) <= BARS_MAX:
        counts = {name: counts_of(job) for name, job in jobs.items()}
        return [
            (
                f"{job['jobName']} {job['jobId'][:8]}",
                size_of(job),
                _done(counts[name]),
                told_counts(counts[name]),
            )
            for name, job in jobs.items()
        ]
    together: dict[str, int] = {}
    for job in jobs.values():
        for state, count in counts_of(job).items():
            together[state] = together.get(state, 0) + count
    return [(f"{len(jobs)} jobs", sum(map(size_of, jobs.values())), _done(together), told_counts(together))]


def _done(counts: Mapping[str, int]) -> int:
    return sum(counts.get(state, 0) for state in ENDED)
