"""Jobs of Batch as the words read them, through AWS's own operations; and how they are told in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from cumulo.cli.cloud import Failed

Job = Mapping[str, Any]
STATES: Final = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
ENDED: Final = ("SUCCEEDED", "FAILED")
DESCRIBED_MAX: Final = 100  # of one call


def id_of(text: str) -> str:
    """The id that is meant by an id or an ARN."""
    return text.partition(":job/")[2] if text.startswith("arn:") else text


def describe(aws: Any, ids: Iterable[str]) -> dict[str, Job]:
    """Jobs by their ids; those that are not there are left out."""
    names = list(dict.fromkeys(ids))
    found: dict[str, Job] = {}
    for at in range(0, len(names), DESCRIBED_MAX):
        for job in aws.describe_jobs(jobs=names[at : at + DESCRIBED_MAX])["jobs"]:
            found[job["jobId"]] = job
    return found


def describe_all(aws: Any, names: Sequence[str]) -> dict[str, Job]:
    """The same, when each has to be there."""
    ids = [id_of(name) for name in names]
    found = describe(aws, ids)
    missing = [name for name in ids if name not in found]
    if missing:
        raise Failed(f"There is no job {', '.join(missing)}: it was never submitted here, or is forgotten.")
    return found


def listed(aws: Any, most: int, **asked: Any) -> Iterator[Job]:
    """What ListJobs tells, page by page, at most so many."""
    left = most
    while left > 0:
        page = aws.list_jobs(maxResults=min(left, 1000), **asked)
        yield from page["jobSummaryList"][:left]
        left -= len(page["jobSummaryList"])
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


def size_of(job: Job) -> int:
    """How many children an array has; 1 for another job."""
    return int(job.get("arrayProperties", {}).get("size") or 1)


def is_array(job: Job) -> bool:
    """Whether it is an array, and not a child of one."""
    return bool(job.get("arrayProperties", {}).get("size"))


def counts_of(job: Job) -> dict[str, int]:
    """How many of a job's parts are in each state: children of an array, or itself.  Without zeros."""
    if not is_array(job):
        return {job["status"]: 1}
    summary = job["arrayProperties"].get("statusSummary", {})
    counts = {state: int(summary.get(state, 0)) for state in STATES}
    found = {state: count for state, count in counts.items() if count}
    return found or {job["status"]: size_of(job)}  # AWS sums up a moment later


def told_counts(counts: Mapping[str, int]) -> str:
    """`7 SUCCEEDED, 3 RUNNING`: what is nearest to its end first."""
    order = [*ENDED, *(state for state in reversed(STATES) if state not in ENDED)]
    return ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state))


def reason_of(job: Job) -> str:
    """Why a job ended as it did: the reason, what its container says, the exit code."""
    container = job.get("container") or {}
    said = [str(one) for one in (job.get("statusReason"), container.get("reason")) if one]
    if container.get("exitCode") is not None:
        said.append(f"exit code {container['exitCode']}")
    return ", ".join(said) or "no reason was given"
