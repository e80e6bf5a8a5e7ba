"""ListJobs: queues, states, filters, pages."""

import pytest
from batch_jobs_kit import ACCOUNT, REGION, refused


@pytest.fixture
def jobs(it):
    """Jobs by name, each a second after the other."""
    it.register("work")
    it.register("works")
    found = {}
    for name, definition in (("Test1", "work"), ("test10", "work"), ("other", "works")):
        found[name] = it.submit(name, definition)
        it.clock.advance(1)
    return found


def named(it, jobs, **values):
    names = {job_id: name for name, job_id in jobs.items()}
    return [names[job_id] for job_id in it.listed(jobQueue="queue", **values)]


def test_running_jobs_are_listed_unless_another_state_is_asked_for(it, jobs):
    assert named(it, jobs) == []
    it.start(jobs["other"])
    it.run(jobs["other"])
    assert named(it, jobs) == ["other"]
    assert named(it, jobs, jobStatus="RUNNABLE") == ["test10", "Test1"]
    assert it.listed(jobQueue="other", jobStatus="RUNNABLE") == []


def test_filters(it, jobs):
    def by(name, *values, **more):
        return named(it, jobs, filters=[{"name": name, "values": list(values)}], **more)

    created = it.show(jobs["test10"])["createdAt"]
    arn = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/work:1"
    assert by("JOB_NAME", "TEST1") == ["Test1"]
    assert by("JOB_NAME", "test1*") == ["test10", "Test1"]
    assert by("JOB_DEFINITION", "work") == ["test10", "Test1"]
    assert by("JOB_DEFINITION", "work*") == ["other", "test10", "Test1"]
    assert by("JOB_DEFINITION", arn) == ["test10", "Test1"]
    assert by("BEFORE_CREATED_AT", str(created)) == ["Test1"]
    assert by("AFTER_CREATED_AT", str(created)) == ["other"]
    assert by("JOB_NAME", "test1", jobStatus="FAILED") == ["Test1"]  # the state is not looked at


def test_shares_go_together_with_states(it, jobs):
    job = it.submit("shared", queue="fair", shareIdentifier="team")
    share = [{"name": "SHARE_IDENTIFIER", "values": ["team"]}]
    assert it.listed(jobQueue="fair", filters=share) == [job]
    assert it.listed(jobQueue="fair", filters=share, jobStatus="RUNNABLE") == [job]
    assert it.listed(jobQueue="fair", filters=share, jobStatus="FAILED") == []


def test_pages_go_on_although_jobs_go(it, batch, jobs):
    page = batch.list_jobs(jobQueue="queue", jobStatus="RUNNABLE", maxResults=1)
    assert [one["jobName"] for one in page["jobSummaryList"]] == ["other"]
    it.start(jobs["other"])
    page = batch.list_jobs(jobQueue="queue", jobStatus="RUNNABLE", maxResults=1, nextToken=page["nextToken"])
    assert [one["jobName"] for one in page["jobSummaryList"]] == ["test10"]
    page = batch.list_jobs(jobQueue="queue", jobStatus="RUNNABLE", maxResults=1, nextToken=page["nextToken"])
    assert [one["jobName"] for one in page["jobSummaryList"]] == ["Test1"]
    assert "nextToken" not in page


def test_children_are_not_listed_with_their_queue(it, jobs):
    array = it.submit("array", "work", arrayProperties={"size": 2})
    it.start(f"{array}:0")
    assert it.listed(jobQueue="queue", jobStatus="STARTING") == []
    assert it.listed(jobQueue="queue", jobStatus="PENDING") == [array]
    assert it.listed(arrayJobId="nobody") == []


def test_what_is_wrong_with_a_list(it, batch):
    refused(batch.list_jobs, "Exactly one of jobQueue, arrayJobId or multiNodeJobId must be specified.")
    refused(batch.list_jobs, "Exactly one of", jobQueue="queue", arrayJobId="x")
    refused(batch.list_jobs, "JobQueue nowhere not found.", jobQueue="nowhere")
    wrong = {"name": "COLOUR", "values": ["red"]}
    refused(batch.list_jobs, "Filter name COLOUR is not valid.", jobQueue="queue", filters=[wrong])
    right = {"name": "JOB_NAME", "values": ["x"]}
    refused(
        batch.list_jobs, "Only one filter can be used at a time.", jobQueue="queue", filters=[right, right]
    )
    when = {"name": "BEFORE_CREATED_AT", "values": ["yesterday"]}
    refused(batch.list_jobs, "must be a number of milliseconds.", jobQueue="queue", filters=[when])
    refused(batch.describe_jobs, "Maximum number of jobs supported is  100 .", jobs=["x"] * 101)
    refused(batch.list_jobs, "nextToken is not valid.", jobQueue="queue", nextToken="x")
