"""SubmitJob, and what DescribeJobs says of what was submitted."""

import time

import pytest
from batch_jobs_kit import ACCOUNT, CONTAINER, FARGATE, REGION, refused

from cumulo.services.batch.needs import need_of
from cumulo.services.batch.resolution import run_properties
from cumulo.services.batch.scheduling.facts import Need

QUEUE = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/queue"


def test_a_job_is_shown_as_aws_shows_it(it, batch):
    it.register(parameters={"codec": "mp4"}, container={"command": ["run", "Ref::codec"]})
    answer = batch.submit_job(jobName="job", jobQueue=QUEUE, jobDefinition="work", tags={"a": "b"})
    job_id = answer["jobId"]
    assert answer["jobArn"] == f"arn:aws:batch:{REGION}:{ACCOUNT}:job/{job_id}"
    now = int(it.clock.now() * 1000)
    assert it.show(job_id) == {
        "jobArn": answer["jobArn"],
        "jobName": "job",
        "jobId": job_id,
        "jobQueue": QUEUE,
        "status": "RUNNABLE",
        "attempts": [],
        "createdAt": now,
        "retryStrategy": {"attempts": 1, "evaluateOnExit": []},
        "dependsOn": [],
        "jobDefinition": f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/work:1",
        "parameters": {"codec": "mp4"},
        "tags": {"a": "b"},
        "propagateTags": False,
        "platformCapabilities": ["EC2"],
        "eksAttempts": [],
        "isCancelled": False,
        "isTerminated": False,
        "container": {
            **CONTAINER,
            "command": ["run", "mp4"],
            "environment": [],
            "mountPoints": [],
            "networkInterfaces": [],
            "resourceRequirements": [],
            "secrets": [],
            "ulimits": [],
            "volumes": [],
        },
    }
    assert batch.describe_jobs(jobs=[job_id, "unknown", "a:b", ""])["jobs"][0]["jobId"] == job_id
    it.reopen()
    assert it.status(job_id) == "RUNNABLE"
    assert it.client_of("999999999999").describe_jobs(jobs=[job_id])["jobs"] == []


def test_a_job_that_has_run_shows_its_attempt(it):
    it.register()
    job_id = it.submit()
    it.start(job_id)
    assert it.status(job_id) == "STARTING"
    it.clock.advance(5)
    it.run(job_id)
    assert it.show(job_id)["startedAt"] == int(it.clock.now() * 1000)
    assert it.show(job_id)["container"]["taskArn"] == f"arn:task/{job_id}"
    it.end(job_id)
    shown = it.show(job_id)
    assert shown["status"] == "SUCCEEDED"
    assert shown["statusReason"] == "Essential container in task exited"
    (attempt,) = shown["attempts"]
    assert attempt == {
        "startedAt": 1,
        "stoppedAt": int(it.clock.now() * 1000),
        "statusReason": "Essential container in task exited",
        "container": {
            "taskArn": f"arn:task/{job_id}",
            "exitCode": 0,
            "logStreamName": "work/default/1",
            "networkInterfaces": [],
        },
    }
    assert shown["container"]["exitCode"] == 0
    assert shown["container"]["logStreamName"] == "work/default/1"


def test_the_latest_active_revision_is_meant_by_a_name(it, batch):
    for _ in range(3):
        it.register()
    batch.deregister_job_definition(jobDefinition="work:3")
    assert it.show(it.submit())["jobDefinition"].endswith("/work:2")
    assert it.show(it.submit(definition="work:1"))["jobDefinition"].endswith("/work:1")
    arn = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/work"
    assert it.show(it.submit(definition=arn))["jobDefinition"].endswith("/work:2")
    refused(
        it.submit, "JobDefinition arn work:3 does not exist or is not in ACTIVE status", definition="work:3"
    )


SENTENCES = [
    (
        {"name": "a.b"},
        "Error executing request, Exception : Job name should match valid pattern, RequestId: ",
    ),
    ({"queue": "nowhere"}, "JobQueue nowhere not found."),
    ({"queue": "disabled"}, "JobQueue disabled is not in ENABLED state."),
    ({"queue": "invalid"}, "JobQueue invalid is not in VALID status."),
    (
        {"queue": "fargate"},
        "Job Queue is attached to Compute Environment that can not run Jobs with capability EC2",
    ),
    ({"definition": "none"}, "JobDefinition name none does not exist or is not in ACTIVE status"),
    ({"definition": "::"}, "JobDefinition arn :: does not exist or is not in ACTIVE status"),
    ({"arrayProperties": {"size": 1}}, "Array size must be between 2 and 10000."),
    ({"arrayProperties": {"size": 10_001}}, "Array size must be between 2 and 10000."),
    ({"shareIdentifier": "s"}, "can only be submitted to job queue with fair share scheduling policy."),
    (
        {"schedulingPriorityOverride": 1},
        "can only be submitted to job queue with fair share scheduling policy.",
    ),
    ({"queue": "fair"}, "shareIdentifier must be specified"),
    ({"queue": "fair", "shareIdentifier": "a b"}, "shareIdentifier a b does not match valid pattern."),
    ({"dependsOn": [{"jobId": "nobody"}]}, "Job dependency nobody does not exist."),
    ({"dependsOn": [{"type": "SEQUENTIAL"}]}, "A dependency of type SEQUENTIAL requires an array job."),
    (
        {"dependsOn": [{"type": "SEQUENTIAL", "jobId": "x"}], "arrayProperties": {"size": 2}},
        "A SEQUENTIAL dependency cannot have a jobId.",
    ),
    ({"dependsOn": [{}]}, "A dependency requires a jobId."),
    ({"dependsOn": [{"jobId": str(n)} for n in range(21)]}, "Job cannot have more than 20 dependencies"),
    ({"timeout": {"attemptDurationSeconds": 1}}, "must be at least 60 seconds"),
    ({"retryStrategy": {"attempts": 0}}, "RetryAttempts must be between 1 and 10."),
    ({"containerOverrides": {"memory": 3}}, "Memory must be at least 4 Mib, got 3 Mib."),
    ({"containerOverrides": {"command": ["x" * 8200]}}, "Container Overrides length must be at most 8192"),
    ({"containerOverrides": {"command": [""]}}, "Command cannot contain an empty string."),
    (
        {"containerOverrides": {"command": ["Ref::x"]}},
        "Unable to substitute value. No parameter found for reference x",
    ),
    ({"containerOverrides": {"environment": [{"name": "AWS_BATCH_A"}]}}, "cannot start with AWS_BATCH"),
    (
        {"nodeOverrides": {}},
        "nodeOverrides is not applicable for this job definition; use containerOverrides.",
    ),
    ({"parameters": {"a": "x" * 31_000}}, "Job submission size cannot exceed 30720 bytes."),
]


@pytest.mark.parametrize(("members", "sentence"), SENTENCES, ids=[one[1][:60] for one in SENTENCES])
def test_what_is_wrong_with_a_submission(it, members, sentence):
    it.register()
    refused(it.submit, sentence, **members)
    assert len(it.records) == 0


def test_fair_share_queues_take_an_identifier_and_a_priority(it):
    it.register(schedulingPriority=3)
    plain = it.show(it.submit(queue="fair", shareIdentifier="team*"))
    assert (plain["shareIdentifier"], plain["schedulingPriority"]) == ("team*", 3)
    above = it.show(it.submit(queue="fair", shareIdentifier="team", schedulingPriorityOverride=9999))
    assert above["schedulingPriority"] == 9999


def test_overrides_and_what_they_do_not_override(it):
    it.register(
        container={
            "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "256"}],
            "vcpus": None,
            "memory": None,
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        }
    )
    job_id = it.submit(
        containerOverrides={
            "vcpus": 8,
            "command": ["echo"],
            "environment": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
            "resourceRequirements": [{"type": "MEMORY", "value": "512"}],
        }
    )
    container = it.show(job_id)["container"]
    assert container["environment"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "3"},
        {"name": "C", "value": "4"},
    ]
    assert container["command"] == ["echo"]
    job = it.records.get(job_id)
    assert need_of(it.definitions.by_arn(job.definition), job) == Need(2000, 512)


def test_legacy_amounts_are_overridden_by_either(it):
    it.register()
    legacy = it.records.get(it.submit(containerOverrides={"vcpus": 2, "memory": 64}))
    modern = it.records.get(
        it.submit(containerOverrides={"resourceRequirements": [{"type": "VCPU", "value": "4"}]})
    )
    definition = it.definitions.by_arn(legacy.definition)
    assert need_of(definition, legacy) == Need(2000, 64)
    assert need_of(definition, modern) == Need(4000, 128)


def test_fargate_pairs_hold_for_overrides_too(it, batch):
    batch.register_job_definition(
        jobDefinitionName="far",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties=FARGATE,
    )
    far = {"definition": "far", "queue": "fargate"}
    wanted = [{"type": "VCPU", "value": "4"}, {"type": "MEMORY", "value": "8192"}]
    job = it.records.get(it.submit(containerOverrides={"resourceRequirements": wanted}, **far))
    assert need_of(it.definitions.by_arn(job.definition), job) == Need(4000, 8192)
    refused(
        it.submit,
        "Fargate resource requirements (4.00 vCPU, 512 MiB) not valid.",
        containerOverrides={"resourceRequirements": wanted[:1]},
        **far,
    )
    refused(it.submit, "vcpus is not applicable for Fargate.", containerOverrides={"vcpus": 1}, **far)


def test_overrides_of_several_containers(it, batch):
    containers = [
        {
            "name": name,
            "image": "b",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "8"}],
        }
        for name in ("a", "b")
    ]
    batch.register_job_definition(
        jobDefinitionName="several",
        type="container",
        ecsProperties={"taskProperties": [{"containers": containers}]},
    )
    override = {"taskProperties": [{"containers": [{"name": "b", "command": ["go"]}]}]}
    job_id = it.submit(definition="several", ecsPropertiesOverride=override)
    (task,) = it.show(job_id)["ecsProperties"]["taskProperties"]
    assert [one["command"] for one in task["containers"]] == [[], ["go"]]
    job = it.records.get(job_id)
    assert need_of(it.definitions.by_arn(job.definition), job) == Need(2000, 16)
    bad = {"taskProperties": [{"containers": [{"name": "c"}]}]}
    refused(it.submit, "Container c is not part of", definition="several", ecsPropertiesOverride=bad)


def test_parameters_are_whole_words(it):
    it.register(container={"command": ["Ref::in", "x-Ref::in"]}, parameters={"in": "a b"})
    job = it.records.get(it.submit(parameters={"in": "c d"}))
    properties = run_properties(it.definitions.by_arn(job.definition), job)
    assert properties["containerProperties"]["command"] == ["c d", "x-Ref::in"]


def test_an_array_of_ten_thousand_is_submitted_shown_and_listed(it, batch):
    it.register()
    began = time.perf_counter()
    parent = it.submit(arrayProperties={"size": 10_000})
    assert time.perf_counter() - began < 0.5
    assert len(it.records) == 1
    shown = it.show(parent)
    assert shown["status"] == "PENDING"
    assert shown["arrayProperties"]["statusSummary"] == {
        "SUBMITTED": 0,
        "PENDING": 0,
        "RUNNABLE": 10_000,
        "STARTING": 0,
        "RUNNING": 0,
        "SUCCEEDED": 0,
        "FAILED": 0,
    }
    child = it.show(f"{parent}:9999")
    assert (child["status"], child["arrayProperties"]) == ("RUNNABLE", {"index": 9999})
    assert batch.describe_jobs(jobs=[f"{parent}:10000", f"{parent}:01", f"{parent}#0"])["jobs"] == []
    pages = batch.get_paginator("list_jobs").paginate(arrayJobId=parent, jobStatus="RUNNABLE")
    found = [one["arrayProperties"]["index"] for page in pages for one in page["jobSummaryList"]]
    assert found == list(range(10_000))


def test_what_is_not_built_is_refused_by_name(it):
    it.register()
    for member in ("eksPropertiesOverride", "consumableResourcePropertiesOverride"):
        refused(it.submit, member, code="NotImplemented", **{member: {}})
