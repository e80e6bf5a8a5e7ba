"""Compute environments through a real client: what is refused, what is shown, what becomes of them."""

import pytest
from botocore.exceptions import ClientError
from tests.batch_capacity_kit import ACCOUNT, EC2, FARGATE, REGION, ROLE, SPOT, SUBNETS, Site

from cumulo.services.batch.environment_states import LIFE, Event, Status
from cumulo.services.batch.instance_types import is_arm

UNMANAGED = {"computeEnvironmentName": "env", "type": "UNMANAGED", "serviceRole": ROLE}
LINKED = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.close()


def refusal(call, **values):
    with pytest.raises(ClientError) as caught:
        call(**values)
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def refused(site, sentence, resources=None, **more):
    """That CreateComputeEnvironment refuses it, in AWS's wrapping, and that nothing is there."""
    asked = {"computeEnvironmentName": "env", "type": "MANAGED"} | more
    if resources is not None:
        asked["computeResources"] = {name: value for name, value in resources.items() if value is not None}
    status, code, message = refusal(site.client.create_compute_environment, **asked)
    assert (status, code) == (400, "ClientException")
    assert message.startswith(f"Error executing request, Exception : {sentence}, RequestId: ")
    assert site.client.describe_compute_environments()["computeEnvironments"] == []


def test_every_state_is_reachable_and_what_is_deleted_stays_so():
    assert LIFE.reachable() == frozenset(Status)
    assert LIFE.terminal() == {Status.DELETED}
    assert not LIFE.allows(Status.CREATING, Event.CHANGE)


def test_an_environment_on_ec2_comes_to_be_valid_with_a_cluster_of_its_own(site):
    site.client.create_compute_environment(
        computeEnvironmentName="env", type="MANAGED", computeResources=EC2, tags={"team": "a"}
    )
    shown = site.shown()
    assert (shown["status"], shown["state"]) == ("CREATING", "ENABLED")
    site.settle()
    shown = site.shown()
    uuid = shown["uuid"]
    cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/AWSBatch-env-{uuid}"
    assert shown == {
        "computeEnvironmentName": "env",
        "computeEnvironmentArn": f"arn:aws:batch:{REGION}:{ACCOUNT}:compute-environment/env",
        "ecsClusterArn": cluster,
        "tags": {"team": "a"},
        "type": "MANAGED",
        "state": "ENABLED",
        "status": "VALID",
        "statusReason": "ComputeEnvironment Healthy",
        "computeResources": EC2 | {"desiredvCpus": 0, "ec2Configuration": [{"imageType": "ECS_AL2023"}]},
        "serviceRole": LINKED,
        "containerOrchestrationType": "ECS",
        "uuid": uuid,
    }
    assert site.ecs.clusters[cluster] == {
        "tags": {"AWSBatchServiceTag": "batch"},
        "providers": (),
        "insights": "",
    }


def test_with_a_role_of_ones_own_the_cluster_is_called_otherwise(site):
    site.make(serviceRole="batch")
    shown = site.shown()
    assert shown["serviceRole"] == ROLE
    assert shown["ecsClusterArn"].endswith(f"cluster/env_Batch_{shown['uuid']}")


def test_an_environment_on_fargate_spot_has_a_cluster_with_its_provider(site):
    site.make(
        resources=None,
        computeResources=FARGATE | {"type": "FARGATE_SPOT"},
        ecsSettings={"containerInsights": "ENHANCED"},
    )
    shown = site.shown()
    assert shown["computeResources"] == FARGATE | {"type": "FARGATE_SPOT"}
    assert site.ecs.clusters[shown["ecsClusterArn"]]["providers"] == ("FARGATE", "FARGATE_SPOT")
    assert site.ecs.clusters[shown["ecsClusterArn"]]["insights"] == "enhanced"


def test_an_unmanaged_environment_has_no_resources_but_a_cluster(site):
    site.client.create_compute_environment(**UNMANAGED, unmanagedvCpus=8)
    site.settle()
    shown = site.shown()
    assert shown["unmanagedvCpus"] == 8
    assert "computeResources" not in shown
    assert shown["status"] == "VALID"
    assert shown["ecsClusterArn"] in site.ecs.clusters


def test_a_spot_environment_bids_the_whole_price_unless_it_is_told_otherwise(site):
    site.make("full", SPOT)
    site.make("half", SPOT | {"bidPercentage": 50})
    assert site.shown("full")["computeResources"]["bidPercentage"] == 100
    assert site.shown("half")["computeResources"]["bidPercentage"] == 50


@pytest.mark.parametrize(
    ("sentence", "resources"),
    [
        ("Instance role is required.", EC2 | {"instanceRole": None}),
        ("Resource minvCpus is required.", EC2 | {"minvCpus": None}),
        ("minvCpus should be greater than or equal to 0.", EC2 | {"minvCpus": -1}),
        ("maxvCpus should be greater than or equal to minvCpus.", EC2 | {"minvCpus": 17}),
        ("desiredvCpus should be between minvCpus and maxvCpus.", EC2 | {"desiredvCpus": 17}),
        ("Resource instanceTypes are required.", EC2 | {"instanceTypes": []}),
        (
            "arm-based instance type cannot be used with other instance types.",
            EC2 | {"instanceTypes": ["m5.large", "c7g.large"]},
        ),
        ("Subnets are required.", EC2 | {"subnets": []}),
        ("Security group ids are required.", EC2 | {"securityGroupIds": []}),
        (
            "Allocation strategy SPOT_CAPACITY_OPTIMIZED requires compute resource type SPOT.",
            EC2 | {"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED"},
        ),
        (
            "Allocation strategy BEST_FIT_PROGRESSIVE_ORDERED requires compute resource type EC2.",
            SPOT | {"allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED"},
        ),
        (
            "Instance type bundles (e.g. optimal, default_x86_64) are not allowed for BEST_FIT_PROGRESSIVE_ORDERED "
            "allocation strategy. Specify instance families or types directly.",
            EC2 | {"allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED", "instanceTypes": ["optimal"]},
        ),
        ("compute resource spotIamFleetRole is required.", SPOT | {"allocationStrategy": "BEST_FIT"}),
        ("compute resource spotIamFleetRole is required.", SPOT | {"allocationStrategy": None}),
        ("Bid percentage must be between 0 to 100.", SPOT | {"bidPercentage": 101}),
        (
            "One of LaunchTemplateId and LaunchTemplateName or LaunchTemplate.Overrides is required.",
            EC2 | {"launchTemplate": {"launchTemplateId": "lt-1", "launchTemplateName": "a"}},
        ),
        (
            "LaunchTemplateVersion must be either empty or a number or $Default or $Latest",
            EC2 | {"launchTemplate": {"launchTemplateId": "lt-1", "version": "newest"}},
        ),
        (
            "LaunchTemplate.overrides:[c5] have targetInstanceTypes that do not exist in computeResource.InstanceTypes.",
            EC2
            | {
                "launchTemplate": {"overrides": [{"launchTemplateId": "lt-1", "targetInstanceTypes": ["c5"]}]}
            },
        ),
        (
            "LaunchTemplate.overrides have duplicate targetInstanceTypes",
            EC2
            | {
                "instanceTypes": ["m5"],
                "launchTemplate": {
                    "overrides": [
                        {"launchTemplateId": "lt-1", "targetInstanceTypes": ["m5"]},
                        {"launchTemplateId": "lt-2", "targetInstanceTypes": ["m5.large"]},
                    ]
                },
            },
        ),
        (
            "Invalid imageType in ComputeResources.ec2Configuration",
            EC2 | {"ec2Configuration": [{"imageType": "MINE"}]},
        ),
        ("allocationStrategy is not applicable for Fargate.", FARGATE | {"allocationStrategy": "BEST_FIT"}),
        ("minvCpus is not applicable for Fargate.", FARGATE | {"minvCpus": 0}),
        ("desiredvCpus is not applicable for Fargate.", FARGATE | {"desiredvCpus": 1}),
        ("tags is not applicable for Fargate.", FARGATE | {"tags": {"a": "b"}}),
        ("instanceRole is not applicable for Fargate.", FARGATE | {"instanceRole": "x"}),
        ("Fargate supports a maximum of 16 subnets.", FARGATE | {"subnets": ["subnet-a"] * 17}),
        ("Fargate supports a maximum of 5 security groups.", FARGATE | {"securityGroupIds": ["sg-1"] * 6}),
    ],
)
def test_resources_that_cannot_be_are_refused_with_awss_sentence(site, sentence, resources):
    refused(site, sentence, resources)


def test_other_things_that_cannot_be_are_refused_with_awss_sentence(site):
    refused(site, "Compute Environment name should match a valid pattern.", EC2, computeEnvironmentName="a b")
    refused(
        site, "Compute Environment name should match a valid pattern.", EC2, computeEnvironmentName="a" * 129
    )
    refused(site, "Compute Environment must be created in ENABLED state.", EC2, state="DISABLED")
    refused(site, "unmanagedvCpus is not applicable for managed Compute Environments", EC2, unmanagedvCpus=1)
    refused(site, "ServiceRole is required.", type="UNMANAGED")
    refused(
        site,
        "Service Linked Role cannot be used with UNMANAGED Compute Environment",
        type="UNMANAGED",
        serviceRole=LINKED,
    )


def test_old_images_are_refused(site):
    *_, message = refusal(
        site.client.create_compute_environment,
        computeEnvironmentName="env",
        type="MANAGED",
        computeResources=EC2 | {"ec2Configuration": [{"imageType": "ECS_AL2"}]},
    )
    assert "Amazon Linux 2 is end-of-life." in message


def test_what_is_not_built_is_refused_by_name(site):
    eks = {"eksClusterArn": "arn:aws:eks:us-east-1:1:cluster/a", "kubernetesNamespace": "a"}
    for more in (
        {"eksConfiguration": eks},
        {"computeResources": EC2 | {"type": "ECS_MANAGED_INSTANCES"}},
    ):
        asked = {"computeEnvironmentName": "env", "type": "MANAGED", "computeResources": EC2} | more
        status, code, message = refusal(site.client.create_compute_environment, **asked)
        assert (status, code) == (501, "NotImplemented")
        assert "CreateComputeEnvironment is not implemented" in message
    status, code, _ = refusal(
        site.client.create_service_environment,
        serviceEnvironmentName="a",
        serviceEnvironmentType="SAGEMAKER_TRAINING",
        capacityLimits=[],
    )
    assert (status, code) == (501, "NotImplemented")


def test_types_that_ec2_knows_may_be_used_and_others_not(site):
    site.make(resources={"instanceTypes": ["x9"]})
    environment = site.house.resources.environments.all()[0]
    kinds = site.house.keeper._world.kinds.of(environment)
    assert [(kind.name, kind.vcpus) for kind in kinds] == [("x9.even", 4000), ("x9.odd", 8000)]
    *_, message = refusal(
        site.client.create_compute_environment,
        computeEnvironmentName="other",
        type="MANAGED",
        computeResources=EC2 | {"instanceTypes": ["m5.large", "q1.large"]},
    )
    assert "Instance type can only be one of [" in message
    assert "optimal" in message


@pytest.mark.parametrize(
    "name", ["m6g.large", "c7gn", "t4g.nano", "a1.large", "im4gn.large", "g5g", "default_arm64"]
)
def test_types_of_awss_own_processors_are_known(name):
    assert is_arm(name)


@pytest.mark.parametrize(
    "name", ["m5.large", "g4dn.xlarge", "g5", "p4d", "c6i", "optimal", "inf1", "r5", "default_x86_64"]
)
def test_other_types_are_not_of_awss_own_processors(name):
    assert not is_arm(name)


def test_two_of_one_name_there_cannot_be(site):
    site.make()
    answer = refusal(
        site.client.create_compute_environment,
        computeEnvironmentName="env",
        type="MANAGED",
        computeResources=EC2,
    )
    assert answer == (400, "ClientException", "Object already exists")


def test_fifty_there_may_be(site):
    for number in range(50):
        site.make(f"env-{number}", computeResources=FARGATE)
    *_, message = refusal(site.client.create_compute_environment, **UNMANAGED)
    assert "50 compute environments" in message
    seen, token = [], None
    while token != "":
        answer = site.client.describe_compute_environments(
            maxResults=20, **({"nextToken": token} if token else {})
        )
        seen += [one["computeEnvironmentName"] for one in answer["computeEnvironments"]]
        token = answer.get("nextToken", "")
    assert sorted(seen) == sorted(f"env-{number}" for number in range(50))
    *_, message = refusal(
        site.client.describe_compute_environments, computeEnvironments=["env-1"], maxResults=1
    )
    assert "ComputeEnvironments and MaxResults cannot both be set" in message


def test_another_accounts_environments_are_not_seen(site):
    arn = site.make()
    from tests.batch_capacity_kit import OTHER
    from tests.door_kit import client_of

    other = client_of("batch", site.door, OTHER, REGION)
    assert other.describe_compute_environments()["computeEnvironments"] == []
    assert other.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"] == []
    *_, message = refusal(other.update_compute_environment, computeEnvironment=arn, state="DISABLED")
    assert message == f"{arn} does not exist"


def test_networks_that_are_not_there_make_it_invalid_and_a_change_makes_it_valid(site):
    site.make(resources={"subnets": ["subnet-x"]})
    shown = site.shown()
    assert shown["status"] == "INVALID"
    assert shown["statusReason"] == "CLIENT_ERROR - The subnet ID 'subnet-x' does not exist"
    site.client.update_compute_environment(computeEnvironment="env", computeResources={"subnets": SUBNETS})
    assert site.shown()["status"] == "UPDATING"
    site.settle()
    assert site.shown()["status"] == "VALID"


def test_it_is_created_after_ec2_has_come_back(site):
    site.ec2.down = True
    site.make()
    assert site.shown()["status"] == "CREATING"
    site.ec2.down = False
    site.pass_time(2)
    assert site.shown()["status"] == "VALID"


def test_a_kill_while_it_is_created_changes_nothing(site):
    site.client.create_compute_environment(computeEnvironmentName="env", type="MANAGED", computeResources=EC2)
    site.again()
    site.settle()
    assert site.shown()["status"] == "VALID"
    assert len(site.ecs.clusters) == 1


def test_only_what_is_disabled_and_used_by_no_queue_is_deleted(site):
    site.make()
    site.queue()
    delete = site.client.delete_compute_environment
    assert refusal(delete, computeEnvironment="env")[2] == "Cannot delete, state must be DISABLED"
    site.client.update_compute_environment(computeEnvironment="env", state="DISABLED")
    assert refusal(delete, computeEnvironment="env")[2] == "Cannot delete, resource is being modified"
    site.settle()
    assert (
        refusal(delete, computeEnvironment="env")[2] == "Cannot delete, found existing JobQueue relationship"
    )
    site.client.update_job_queue(jobQueue="queue", state="DISABLED")
    site.settle()
    site.client.delete_job_queue(jobQueue="queue")
    site.settle()
    delete(computeEnvironment="env")
    assert site.shown()["status"] == "DELETING"
    site.settle()
    assert site.client.describe_compute_environments()["computeEnvironments"] == []
    assert site.ecs.clusters == {}
    assert delete(computeEnvironment="env")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_jobs_on_fargate_keep_an_environment_from_being_deleted(site):
    site.make(computeResources=FARGATE)
    cluster = site.shown()["ecsClusterArn"]
    site.client.update_compute_environment(computeEnvironment="env", state="DISABLED")
    site.settle()
    site.ecs.tasks[cluster] = 1
    site.client.delete_compute_environment(computeEnvironment="env")
    site.settle()
    shown = site.shown()
    assert (shown["status"], shown["statusReason"]) == (
        "INVALID",
        "CLIENT_ERROR - The Cluster cannot be deleted while Tasks are active.",
    )
    site.ecs.tasks.clear()
    site.client.delete_compute_environment(computeEnvironment="env")
    site.settle()
    assert site.client.describe_compute_environments()["computeEnvironments"] == []


# -- updates -----------------------------------------------------------------------------------------------


def update(site, **resources):
    site.client.update_compute_environment(computeEnvironment="env", computeResources=resources)
    site.settle()
    return site.shown()["computeResources"]


def update_refused(site, **values):
    before = site.shown()
    _, code, message = refusal(site.client.update_compute_environment, computeEnvironment="env", **values)
    assert code == "ClientException"
    assert site.shown() == before
    return message


def test_an_update_changes_what_it_names_and_nothing_else(site):
    site.make()
    before = site.shown()["computeResources"]
    assert update(site, maxvCpus=32) == before | {"maxvCpus": 32}
    assert update(site, minvCpus=4)["minvCpus"] == 4
    site.client.update_compute_environment(
        computeEnvironment="env",
        state="DISABLED",
        updatePolicy={"terminateJobsOnUpdate": True, "jobExecutionTimeoutMinutes": 5},
    )
    site.settle()
    shown = site.shown()
    assert shown["state"] == "DISABLED"
    assert shown["updatePolicy"] == {"terminateJobsOnUpdate": True, "jobExecutionTimeoutMinutes": 5}


def test_updates_that_cannot_be_are_refused(site):
    site.make()
    assert update_refused(site) == (
        "One of [state | compute-resources | service-role | unmanaged-vcpus] is required."
    )
    assert (
        update_refused(site, computeResources={})
        == "At least one compute-resources attribute must be specified"
    )
    assert "maxvCpus should be greater than" in update_refused(site, computeResources={"minvCpus": 17})
    assert "Resource instanceTypes are required." in update_refused(
        site, computeResources={"instanceTypes": []}
    )
    assert "Fargate" in update_refused(site, computeResources={"type": "FARGATE"})
    assert "Service role" in update_refused(site, serviceRole=ROLE)
    assert "unmanagedvCpus" in update_refused(site, unmanagedvCpus=1)
    gone = refusal(site.client.update_compute_environment, computeEnvironment="nobody", state="DISABLED")
    assert gone[2] == f"arn:aws:batch:{REGION}:{ACCOUNT}:compute-environment/nobody does not exist"
    site.client.update_compute_environment(computeEnvironment="env", state="DISABLED")
    assert update_refused(site, state="ENABLED") == "Cannot update, resource is being modified"


def test_vcpus_are_never_scaled_down_by_hand(site):
    site.make(resources={"desiredvCpus": 4})
    assert site.shown()["computeResources"]["desiredvCpus"] == 4
    assert update_refused(site, computeResources={"desiredvCpus": 2}).startswith(
        "Manually scaling down compute environment is not supported."
    )
    assert "between minvCpus and maxvCpus" in update_refused(site, computeResources={"desiredvCpus": 17})
    assert update(site, desiredvCpus=6)["desiredvCpus"] == 6


def test_what_needs_other_instances_needs_the_service_linked_role_and_a_strategy_that_allows_it(site):
    site.make(serviceRole=ROLE)
    assert "having a Batch Service Linked Role" in update_refused(
        site, computeResources={"subnets": ["subnet-a"]}
    )
    assert update(site, subnets=SUBNETS)["subnets"] == SUBNETS  # nothing is changed by it
    site.make("fit", {"allocationStrategy": "BEST_FIT"})
    _, _, message = refusal(
        site.client.update_compute_environment,
        computeEnvironment="fit",
        computeResources={"instanceTypes": ["m5"]},
    )
    assert "BEST_FIT" in message


def test_an_empty_name_takes_an_image_or_a_launch_template_away(site):
    site.make(resources={"imageId": "ami-1", "launchTemplate": {"launchTemplateId": "lt-mime"}})
    shown = update(site, imageId="", launchTemplate={"launchTemplateId": ""})
    assert "imageId" not in shown
    assert "launchTemplate" not in shown


def test_on_fargate_few_things_can_be_changed(site):
    site.make(computeResources=FARGATE)
    shown = update(site, maxvCpus=8, subnets=["subnet-b"], securityGroupIds=[])
    assert shown == FARGATE | {"maxvCpus": 8, "subnets": ["subnet-b"]}
    assert "instanceTypes is not applicable for Fargate." in update_refused(
        site, computeResources={"instanceTypes": ["m5"]}
    )
    assert "cannot be changed between" in update_refused(site, computeResources={"type": "EC2"})
