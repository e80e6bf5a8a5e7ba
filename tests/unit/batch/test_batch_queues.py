"""Job queues, scheduling policies and tags through a real client."""

import pytest
from botocore.exceptions import ClientError
from tests.batch_capacity_kit import ACCOUNT, FARGATE, OTHER, REGION, Site
from tests.door_kit import client_of

LIMIT = {
    "reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "state": "RUNNABLE",
    "maxTimeSeconds": 600,
    "action": "CANCEL",
}
NOT_READY = "Compute Environments must be created and valid before attaching them to a job queue"


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.make()
    yield made
    made.close()


def refusal(call, **values):
    with pytest.raises(ClientError) as caught:
        call(**values)
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] in (400, 501)
    return error["Error"]["Message"]


def order(*names):
    return [{"order": number, "computeEnvironment": name} for number, name in enumerate(names, start=1)]


def shown(site, name="queue"):
    (found,) = site.client.describe_job_queues(jobQueues=[name])["jobQueues"]
    return found


def test_a_queue_is_shown_as_it_was_made(site):
    site.make("spare")
    site.client.create_job_queue(
        jobQueueName="queue",
        priority=7,
        computeEnvironmentOrder=[
            {"order": 20, "computeEnvironment": "spare"},
            {"order": 10, "computeEnvironment": site.shown()["computeEnvironmentArn"]},
        ],
        jobStateTimeLimitActions=[LIMIT],
        tags={"a": "b"},
    )
    assert shown(site)["status"] == "CREATING"
    site.settle()
    arn = f"arn:aws:batch:{REGION}:{ACCOUNT}"
    assert shown(site) == {
        "jobQueueName": "queue",
        "jobQueueArn": f"{arn}:job-queue/queue",
        "state": "ENABLED",
        "status": "VALID",
        "statusReason": "JobQueue Healthy",
        "priority": 7,
        "computeEnvironmentOrder": [
            {"order": 10, "computeEnvironment": f"{arn}:compute-environment/env"},
            {"order": 20, "computeEnvironment": f"{arn}:compute-environment/spare"},
        ],
        "serviceEnvironmentOrder": [],
        "jobQueueType": "ECS",
        "tags": {"a": "b"},
        "jobStateTimeLimitActions": [LIMIT],
    }


def test_queues_that_cannot_be_are_refused_with_awss_sentence(site):
    site.make("fargate", computeResources=FARGATE)
    site.make("arm", {"instanceTypes": ["m6g.large"]})
    site.make("broken", {"subnets": ["subnet-x"]})
    create = site.client.create_job_queue

    def refused(sentence, **more):
        asked = {"jobQueueName": "queue", "priority": 1, "computeEnvironmentOrder": order("env")} | more
        message = refusal(create, **asked)
        assert message.startswith(f"Error executing request, Exception : {sentence}"), message
        assert site.client.describe_job_queues()["jobQueues"] == []

    refused("Job Queue name should match a valid pattern.", jobQueueName="a.b")
    refused("Only 3 environments are allowed in job queue request.", computeEnvironmentOrder=order(*"abcd"))
    refused("Duplicate ComputeEnvironment order values.", computeEnvironmentOrder=order("env") + order("arm"))
    refused("Duplicate ComputeEnvironments within order list.", computeEnvironmentOrder=order("env", "env"))
    refused(
        "Fargate and EC2 compute environments can not be mixed.",
        computeEnvironmentOrder=order("env", "fargate"),
    )
    refused("All compute environments of a job queue must", computeEnvironmentOrder=order("env", "arm"))
    refused(NOT_READY, computeEnvironmentOrder=order("nobody"))
    refused(NOT_READY, computeEnvironmentOrder=order("broken"))
    refused("At least one compute environment", computeEnvironmentOrder=[])
    refused("priority should be", priority=-1)
    refused("The jobQueueType provided is ECS_FARGATE", jobQueueType="ECS_FARGATE")
    refused(
        "Invalid job action. Valid job actions: [CANCEL]",
        jobStateTimeLimitActions=[LIMIT | {"action": "TERMINATE"}],
    )
    refused("Duplicate job state limit actions are not allowed.", jobStateTimeLimitActions=[LIMIT, LIMIT])
    refused("maxTimeSeconds should be", jobStateTimeLimitActions=[LIMIT | {"maxTimeSeconds": 599}])
    refused("Invalid job state limit reason", jobStateTimeLimitActions=[LIMIT | {"reason": "slow"}])
    refused('[AttributeName("scheduling_policy_arn")] ARN Type Validation Error', schedulingPolicyArn="fair")
    refused(
        "Only scheduling policy Arn can be allowed.",
        schedulingPolicyArn=f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/a",
    )
    gone = f"arn:aws:batch:{REGION}:{ACCOUNT}:scheduling-policy/fair"
    refused(f"SchedulingPolicy {gone} not found.", schedulingPolicyArn=gone)
    assert "is not implemented" in refusal(
        create,
        jobQueueName="queue",
        priority=1,
        jobQueueType="SAGEMAKER_TRAINING",
        computeEnvironmentOrder=[],
    )


def test_a_queue_is_changed_and_deleted(site):
    site.queue()
    site.make("spare")
    update = site.client.update_job_queue
    update(jobQueue="queue", priority=9, computeEnvironmentOrder=order("spare", "env"), state="DISABLED")
    assert shown(site)["status"] == "UPDATING"
    assert refusal(update, jobQueue="queue", priority=1) == "Cannot update, resource is being modified"
    site.settle()
    now = shown(site)
    assert (now["priority"], now["state"], now["status"]) == (9, "DISABLED", "VALID")
    assert [one["computeEnvironment"].rpartition("/")[2] for one in now["computeEnvironmentOrder"]] == [
        "spare",
        "env",
    ]
    assert refusal(update, jobQueue="other", priority=1) == (
        f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/other does not exist"
    )
    delete = site.client.delete_job_queue
    arn = now["jobQueueArn"]
    site.jobs.left[arn] = 3
    delete(jobQueue=arn)
    site.settle()
    assert shown(site)["status"] == "DELETING"
    assert site.jobs.asked
    site.jobs.left[arn] = 0
    site.pass_time(2)
    assert site.client.describe_job_queues()["jobQueues"] == []
    delete(jobQueue=arn)


def test_a_queue_that_is_deleted_is_gone_after_a_kill_too(site):
    arn = site.queue()
    delete = site.client.delete_job_queue
    assert refusal(delete, jobQueue="queue") == "Cannot delete, state must be DISABLED"
    site.client.update_job_queue(jobQueue="queue", state="DISABLED")
    site.settle()
    site.client.delete_job_queue(jobQueue="queue")
    site.again()
    assert site.jobs.asked == []
    site.settle()
    assert site.jobs.asked == [arn]
    assert site.client.describe_job_queues()["jobQueues"] == []


def test_the_front_of_a_queue_is_what_the_scheduler_would_start_first(site):
    arn = site.queue()
    for number in range(3):
        site.submit(f"job-{number}", arn)
    front = site.client.get_job_queue_snapshot(jobQueue="queue")["frontOfQueue"]
    start = f"arn:aws:batch:{REGION}:{ACCOUNT}:job/"
    assert [one["jobArn"] for one in front["jobs"]] == [f"{start}job-{number}" for number in range(3)]
    assert front["lastUpdatedAt"] == 1_800_000_000_000
    assert "does not exist" in refusal(site.client.get_job_queue_snapshot, jobQueue="other")


# -- scheduling policies -----------------------------------------------------------------------------------

FAIR = {
    "shareDecaySeconds": 3600,
    "computeReservation": 10,
    "shareDistribution": [{"shareIdentifier": "A*", "weightFactor": 0.5}, {"shareIdentifier": "B"}],
}


def test_a_policy_is_shown_changed_and_deleted(site):
    made = site.client.create_scheduling_policy(name="fair", fairsharePolicy=FAIR, tags={"a": "b"})
    arn = f"arn:aws:batch:{REGION}:{ACCOUNT}:scheduling-policy/fair"
    assert (made["name"], made["arn"]) == ("fair", arn)
    (seen,) = site.client.describe_scheduling_policies(arns=[arn, "arn:aws:batch:x"])["schedulingPolicies"]
    weights = [{"shareIdentifier": "A*", "weightFactor": 0.5}, {"shareIdentifier": "B", "weightFactor": 1.0}]
    assert seen == {
        "name": "fair",
        "arn": arn,
        "fairsharePolicy": FAIR | {"shareDistribution": weights},
        "tags": {"a": "b"},
    }
    assert site.client.list_scheduling_policies()["schedulingPolicies"] == [{"arn": arn}]
    assert refusal(site.client.create_scheduling_policy, name="fair") == "Object already exists"
    site.client.update_scheduling_policy(arn=arn, fairsharePolicy={"computeReservation": 5})
    (seen,) = site.client.describe_scheduling_policies(arns=[arn])["schedulingPolicies"]
    assert seen["fairsharePolicy"] == {
        "shareDecaySeconds": 0,
        "computeReservation": 5,
        "shareDistribution": [],
    }
    site.queue(schedulingPolicyArn=arn)
    assert "relationship" in refusal(site.client.delete_scheduling_policy, arn=arn)
    site.client.update_job_queue(jobQueue="queue", state="DISABLED")
    site.settle()
    site.client.delete_job_queue(jobQueue="queue")
    site.settle()
    site.client.delete_scheduling_policy(arn=arn)
    assert site.client.list_scheduling_policies()["schedulingPolicies"] == []


def test_policies_that_cannot_be_are_refused_with_awss_sentence(site):
    def refused(sentence, name="fair", **fair):
        message = refusal(site.client.create_scheduling_policy, name=name, fairsharePolicy=fair)
        assert sentence in message, message

    def shares(*names, **more):
        return [{"shareIdentifier": name, **more} for name in names]

    refused("Scheduling policy name should match a valid pattern.", name="a b")
    refused(
        "Weight factor should be between 0.0001 and 999.9999.", shareDistribution=shares("a", weightFactor=0)
    )
    refused("Cannot have two or more identical shareIdentifiers.", shareDistribution=shares("a", "a"))
    refused(
        "Share identifier UserA1 matches another share identifier UserA*.",
        shareDistribution=shares("UserA1", "UserA*"),
    )
    refused("ShareIdentifier name should match a valid pattern.", shareDistribution=shares("a*b"))
    refused(
        "ShareDistribution size cannot be greater than 500.", shareDistribution=shares(*map(str, range(501)))
    )
    refused("between 0 and 604800", shareDecaySeconds=604_801)
    refused("between 0 and 99", computeReservation=100)
    quota = {"idleResourceAssignmentStrategy": "FIFO"}
    assert "quota shares are not built" in refusal(
        site.client.create_scheduling_policy, name="a", quotaSharePolicy=quota
    )


def test_a_queues_policy_can_be_replaced_but_never_added_or_taken_away(site):
    fair = site.client.create_scheduling_policy(name="fair")["arn"]
    other = site.client.create_scheduling_policy(name="other")["arn"]
    site.queue("fifo")
    site.queue("shared", schedulingPolicyArn=fair)
    update = site.client.update_job_queue
    assert "cannot have a scheduling policy added" in refusal(
        update, jobQueue="fifo", schedulingPolicyArn=fair
    )
    assert "cannot be parsed as an ARN" in refusal(update, jobQueue="shared", schedulingPolicyArn="")
    update(jobQueue="shared", schedulingPolicyArn=other)
    assert shown(site, "shared")["schedulingPolicyArn"] == other


# -- tags --------------------------------------------------------------------------------------------------


def test_everything_has_tags(site):
    site.queue()
    site.client.create_scheduling_policy(name="fair")
    client = site.client
    start = f"arn:aws:batch:{REGION}:{ACCOUNT}"
    for arn in (
        f"{start}:compute-environment/env",
        f"{start}:job-queue/queue",
        f"{start}:scheduling-policy/fair",
    ):
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {}
        client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        client.tag_resource(resourceArn=arn, tags={"b": "3"})
        client.untag_resource(resourceArn=arn, tagKeys=["a", "nothing"])
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "3"}
    assert site.shown()["tags"] == {"b": "3"}
    assert site.shown()["status"] == "VALID"


def test_tags_that_cannot_be_are_refused(site):
    client, arn = site.client, f"arn:aws:batch:{REGION}:{ACCOUNT}:compute-environment/env"
    assert "aws:" in refusal(client.tag_resource, resourceArn=arn, tags={"aws:a": "b"})
    client.tag_resource(resourceArn=arn, tags={str(number): "" for number in range(50)})
    assert "50" in refusal(client.tag_resource, resourceArn=arn, tags={"one more": ""})
    for gone in (
        arn + "x",
        f"arn:aws:batch:{REGION}:{ACCOUNT}:job/x",
        f"arn:aws:batch:eu-west-1:{ACCOUNT}:job-queue/x",
    ):
        assert refusal(client.list_tags_for_resource, resourceArn=gone) == f"{gone} does not exist"
    assert "Invalid resource ARN" in refusal(client.list_tags_for_resource, resourceArn="arn:aws:s3:::x")
    other = client_of("batch", site.door, OTHER, REGION)
    assert refusal(other.list_tags_for_resource, resourceArn=arn) == f"{arn} does not exist"
