"""Tags of jobs and of job definitions, through a real client."""

import asyncio

import pytest
from botocore.exceptions import ClientError
from tests.batch_capacity_kit import ACCOUNT, REGION, Site
from tests.door_kit import a_door, client_of

from cumulo.services.batch.definition_records import DefinitionRecords
from cumulo.services.batch.job_records import JobRecords
from cumulo.services.batch.job_tags import tagged_jobs
from cumulo.services.batch.model import Job, JobDefinition
from cumulo.services.batch.tags import Tags
from cumulo.wire.service import Service

START = f"arn:aws:batch:{REGION}:{ACCOUNT}"


@pytest.fixture
def client(tmp_path):
    site = Site(tmp_path)
    jobs, definitions = JobRecords(site.store), DefinitionRecords(site.store)
    common = {"account": ACCOUNT, "region": REGION}
    jobs.put(Job(**common, id="array", name="a", queue="q", definition="d", array_size=10, tags={"a": "1"}))
    definitions.put(JobDefinition(**common, name="d", revision=1, kind="container"))
    asyncio.run(site.store.commit())
    service = Service("batch", Tags(site.store, tagged_jobs(jobs, definitions)).operations())
    door = a_door({"batch": service}, store=site.store, clock=site.clock, account=ACCOUNT, region=REGION)
    yield client_of("batch", door, ACCOUNT, REGION)
    site.close()


@pytest.mark.parametrize(("arn", "before"), [("job/array", {"a": "1"}), ("job-definition/d:1", {})])
def test_they_are_added_changed_and_removed(client, arn, before):
    arn = f"{START}:{arn}"
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == before
    client.tag_resource(resourceArn=arn, tags={"a": "2", "b": "3"})
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "3"}


def test_children_have_none_of_their_own(client):
    with pytest.raises(ClientError, match="child jobs of array"):
        client.tag_resource(resourceArn=f"{START}:job/array:3", tags={"a": "2"})


@pytest.mark.parametrize("name", ["job/other", "job-definition/d:2", "job-definition/d"])
def test_what_is_not_there_has_none(client, name):
    with pytest.raises(ClientError, match="does not exist"):
        client.list_tags_for_resource(resourceArn=f"{START}:{name}")
