"""DescribeJobs and ListJobs.

ListJobs   jobQueue with jobStatus (RUNNING, if nothing is said), or with a filter: the newest first
           arrayJobId, multiNodeJobId: children and nodes, by their numbers
"""

import asyncio
from collections.abc import Iterable, Mapping
from heapq import nlargest
from operator import attrgetter

from cumulo.base.caller import Caller
from cumulo.base.pages import encode_marker
from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.errors import client, unfit, wrapped
from cumulo.services.batch.job_filters import Filter, filter_of
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.job_views import job_view, summary_view
from cumulo.services.batch.model import Job, JobStatus
from cumulo.services.batch.paging import page_asked
from cumulo.services.batch.world import Queues
from cumulo.wire.service import Operation, Values

JOBS_MAX = 100
LIST_MAX = 1000
FILTERED_MAX = 100
_MANY = 10_000  # so many are looked at beside the loop
_MILLIS_DIGITS_MAX = 15
_AGE = attrgetter("created_at", "id")


class Jobs:
    """The operations."""

    def __init__(self, records: JobRecords, definitions: DefinitionRecords, queues: Queues) -> None:
        self._records = records
        self._definitions = definitions
        self._queues = queues

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        return wrapped({"DescribeJobs": Operation(self.describe), "ListJobs": Operation(self.list_)})

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeJobs; those that are not there are left out."""
        names = values["jobs"]
        if len(names) > JOBS_MAX:
            raise unfit(f"Maximum number of jobs supported is  {JOBS_MAX} .")  # AWS's spaces
        found = [self._found(caller, name) for name in dict.fromkeys(map(_id_of, names))]
        return {
            "jobs": [
                job_view(one, self._definitions.by_arn(one.definition)) for one in found if one is not None
            ]
        }

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListJobs."""
        given = [name for name in ("jobQueue", "arrayJobId", "multiNodeJobId") if values.get(name)]
        if len(given) != 1:
            raise unfit("Exactly one of jobQueue, arrayJobId or multiNodeJobId must be specified.")
        status = JobStatus(values.get("jobStatus", JobStatus.RUNNING))
        if given != ["jobQueue"]:
            return self._members(caller, values, values[given[0]], status, given[0])
        queue = self._queues.find(caller.account, caller.region, values["jobQueue"])
        if queue is None:
            raise client(f"JobQueue {values['jobQueue']} not found.")
        test = filter_of(values.get("filters", ()))
        every = test is not None and not (test.with_status and "jobStatus" in values)
        statuses = list(JobStatus) if every else [status]
        jobs = [one for each in statuses for one in self._records.submitted_to(queue.arn, each)]
        size, after = page_asked(values, FILTERED_MAX if test else LIST_MAX)
        before = _before(after)
        if len(jobs) > _MANY:
            page = await asyncio.to_thread(_newest, jobs, test, before, size + 1)
        else:
            page = _newest(jobs, test, before, size + 1)
        token = encode_marker(_marked(page[size - 1])) if len(page) > size else None
        return {"jobSummaryList": [summary_view(one) for one in page[:size]], "nextToken": token}

    def _members(
        self, caller: Caller, values: Values, parent_id: str, status: JobStatus, member: str
    ) -> Values:
        """Children or nodes in a state, in the order of their numbers."""
        size, after = page_asked(values, LIST_MAX)
        first = int(after) + 1 if after and after.isdecimal() else 0
        parent = self._found(caller, _id_of(parent_id))
        page: list[Job] = []
        if parent is not None:
            sign, count = (":", parent.array_size) if member == "arrayJobId" else ("#", parent.nodes)
            page = self._numbered(parent, sign, range(first, count), status, size + 1)
        last = page[size - 1] if len(page) > size else None
        token = encode_marker(str(max(last.index, last.node))) if last is not None else None
        return {"jobSummaryList": [summary_view(one) for one in page[:size]], "nextToken": token}

    def _numbered(
        self, parent: Job, sign: str, numbers: Iterable[int], status: JobStatus, most: int
    ) -> list[Job]:
        made = self._records.members(parent.id)
        skip_rest = sign == ":" and parent.rest != status
        page: list[Job] = []
        for number in numbers:
            name = f"{parent.id}{sign}{number}"
            if skip_rest and name not in made:
                continue
            job = self._records.get(name)
            if job is not None and job.status == status:
                page.append(job)
                if len(page) == most:
                    break
        return page

    def _found(self, caller: Caller, job_id: str) -> Job | None:
        job = self._records.get(job_id)
        mine = job is not None and (job.account, job.region) == (caller.account, caller.region)
        return job if mine else None


def _id_of(text: str) -> str:
    """An id, or the id in a job's ARN."""
    return text.partition(":job/")[2] if text.startswith("arn:") else text


def _marked(job: Job) -> str:
    return f"{job.created_at} {job.id}"


def _before(marker: str | None) -> tuple[int, str] | None:
    """The place that a marker of ours stands for."""
    if marker is None:
        return None
    created, _, job_id = marker.partition(" ")
    if not created.isdecimal() or len(created) > _MILLIS_DIGITS_MAX:
        raise unfit("nextToken is not valid.")
    return int(created), job_id


def _newest(jobs: list[Job], test: Filter | None, before: tuple[int, str] | None, most: int) -> list[Job]:
    """The newest jobs that fit, older than the place; it looks at each once, and sorts only what it gives."""
    chosen: Iterable[Job] = reversed(jobs)  # the newest are mostly the last: then there is little to sort
    if test is not None:
        chosen = filter(test.fits, chosen)
    if before is not None:
        chosen = (one for one in chosen if (one.created_at, one.id) < before)
    return nlargest(most, chosen, key=_AGE)
