"""The tags of jobs and job definitions, for `tags.py`.  Children of arrays and nodes have none of their own, as on AWS."""

from collections.abc import Mapping

from msgspec.structs import replace

from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.errors import unfit
from cumulo.services.batch.family import split_id
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.tags import Tagged


class TaggedJobs:
    """Jobs that were submitted."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """See Tagged."""
        id_ = _id(arn)
        if split_id(id_) is not None:
            raise unfit("ARNs for child jobs of array and multi-node parallel (MNP) jobs are not supported.")
        found = self._records.record(id_)
        return found.tags if found is not None and found.arn == arn else None

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """See Tagged."""
        found = self._records.record(_id(arn))
        if found is not None:
            self._records.put(replace(found, tags=tags))


class TaggedDefinitions:
    """Revisions of job definitions."""

    def __init__(self, records: DefinitionRecords) -> None:
        self._records = records

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """See Tagged."""
        found = self._records.by_arn(arn)
        return found.tags if found is not None else None

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """See Tagged."""
        found = self._records.by_arn(arn)
        if found is not None:
            self._records.put(replace(found, tags=tags))


def tagged_jobs(jobs: JobRecords, definitions: DefinitionRecords) -> dict[str, Tagged]:
    """By the first part of an ARN's resource."""
    return {"job": TaggedJobs(jobs), "job-definition": TaggedDefinitions(definitions)}


def _id(arn: str) -> str:
    return arn.partition("/")[2]
