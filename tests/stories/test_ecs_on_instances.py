"""Tasks on container instances that EC2 started: where they go, what they take, and that they give it back."""

import pytest
from botocore.exceptions import ClientError
from tests.containers_kit import needs_local
from tests.ecs_kit import a_region, push_tools, running, shell, stopped
from tests.support import until

pytestmark = needs_local
RECOMMENDED = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with a_region(tmp_path_factory.mktemp("instances") / "data", "--overcommit", "4") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def instances(cloud):
    """Two container instances of the cluster `main`, in two zones."""
    aws, ec2 = cloud.client("ecs"), cloud.client("ec2")
    aws.create_cluster(clusterName="main")
    image = cloud.client("ssm").get_parameter(Name=RECOMMENDED)["Parameter"]["Value"]
    for subnet in ec2.describe_subnets()["Subnets"][:2]:
        ec2.run_instances(
            ImageId=image,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet["SubnetId"],
            UserData="#!/bin/bash\necho ECS_CLUSTER=main >> /etc/ecs/ecs.config\n",
        )

    def joined():
        found = aws.list_container_instances(cluster="main", status="ACTIVE")["containerInstanceArns"]
        return found if len(found) == 2 else None

    return until(joined, "both instances join", 60)


@pytest.fixture(scope="module")
def definition(cloud):
    image = push_tools(cloud)
    container = shell(
        image,
        "trap 'exit 0' TERM; sleep 1000 & wait",
        memory=64,
        cpu=128,
        portMappings=[{"containerPort": 8080, "hostPort": 18080}],
    )
    made = cloud.client("ecs").register_task_definition(family="fixed", containerDefinitions=[container])
    return made["taskDefinition"]["taskDefinitionArn"]


def remaining(aws, arn):
    found = aws.describe_container_instances(cluster="main", containerInstances=[arn])["containerInstances"]
    return {
        one["name"]: one.get("integerValue") or one.get("stringSetValue")
        for one in found[0]["remainingResources"]
    }


def test_each_instance_takes_a_fixed_port_once_and_has_it_back_when_the_task_is_gone(
    cloud, instances, definition
):
    aws = cloud.client("ecs")
    before = {arn: remaining(aws, arn) for arn in instances}
    answer = aws.run_task(cluster="main", taskDefinition=definition, count=3)
    assert sorted(one["containerInstanceArn"] for one in answer["tasks"]) == sorted(instances)
    assert [one["reason"] for one in answer["failures"]] == ["RESOURCE:PORTS"]
    assert answer["failures"][0]["arn"] in instances
    tasks = [running(aws, one["taskArn"]) for one in answer["tasks"]]
    assert len({one["availabilityZone"] for one in tasks}) == 2
    for one in tasks:
        now, then = remaining(aws, one["containerInstanceArn"]), before[one["containerInstanceArn"]]
        assert (then["CPU"] - now["CPU"], then["MEMORY"] - now["MEMORY"]) == (128, 64)
        assert "18080" in now["PORTS"]
        listed = aws.list_tasks(cluster="main", containerInstance=one["containerInstanceArn"])["taskArns"]
        assert listed == [one["taskArn"]]
    for one in tasks:
        aws.stop_task(cluster="main", task=one["taskArn"])
    for one in tasks:
        done = stopped(aws, one["taskArn"])
        assert (done["stopCode"], done["containers"][0]["exitCode"]) == ("UserInitiated", 0)
    assert {arn: remaining(aws, arn) for arn in instances} == before


def test_a_task_goes_where_an_expression_says_and_where_start_task_says(cloud, instances, definition):
    aws = cloud.client("ecs")
    wanted = instances[1]
    attribute = {"name": "stack", "value": "prod", "targetType": "container-instance", "targetId": wanted}
    aws.put_attributes(cluster="main", attributes=[attribute])
    constraint = {"type": "memberOf", "expression": "attribute:stack == prod"}
    answer = aws.run_task(cluster="main", taskDefinition=definition, placementConstraints=[constraint])
    first = running(aws, answer["tasks"][0]["taskArn"])
    assert first["containerInstanceArn"] == wanted
    answer = aws.start_task(cluster="main", taskDefinition=definition, containerInstances=instances)
    assert [one["containerInstanceArn"] for one in answer["tasks"]] == [instances[0]]
    assert [(one["arn"], one["reason"]) for one in answer["failures"]] == [(wanted, "RESOURCE:PORTS")]
    second = running(aws, answer["tasks"][0]["taskArn"])
    with pytest.raises(ClientError, match="Invalid expression"):
        aws.run_task(
            cluster="main",
            taskDefinition=definition,
            placementConstraints=[constraint | {"expression": "stack is prod"}],
        )
    for one in (first, second):
        aws.stop_task(cluster="main", task=one["taskArn"])
        stopped(aws, one["taskArn"])
