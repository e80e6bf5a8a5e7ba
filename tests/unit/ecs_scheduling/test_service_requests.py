"""What clients may ask of services, and AWS's sentences for what they may not."""

import pytest
from msgspec.structs import replace
from scheduling_kit import (
    ACCOUNT,
    BALANCER,
    CALLER,
    GROUP,
    NAMESPACE,
    NETWORK,
    REGION,
    a_definition,
    refused,
    run,
)

from cumulo.base.caller import Caller
from cumulo.base.ports.targets import TargetGroup
from cumulo.services.ecs.discovery.model import KnownNamespace
from cumulo.services.ecs.model import TaskStatus
from cumulo.services.ecs.scheduling.pins import DeploymentPins

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/shop"
EC2 = {"launchType": "EC2", "networkConfiguration": None, "taskDefinition": "job:1"}


def bridge(**document):
    return a_definition("job", networkMode="bridge", compatibilities=["EC2"], **document)


@pytest.mark.parametrize(
    ("values", "code", "sentence"),
    [
        ({"serviceName": "a b"}, "InvalidParameterException", "Service name can have up to 255 letters"),
        ({"taskDefinition": None}, "InvalidParameterException", "TaskDefinition can not be blank."),
        ({"taskDefinition": "no:1"}, "ClientException", "TaskDefinition not found."),
        ({"taskDefinition": "old:1"}, "ClientException", "TaskDefinition is inactive"),
        ({"cluster": "no"}, "ClusterNotFoundException", "Cluster not found."),
        ({"desiredCount": None}, "InvalidParameterException", "DesiredCount is missing"),
        ({"desiredCount": 5001}, "InvalidParameterException", "Invalid desired count"),
        ({"desiredCount": -1}, "InvalidParameterException", "DesiredCount can not be lesser than 0"),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
            "InvalidParameterException",
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ),
        (
            {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "InvalidParameterException",
            "weight",
        ),
        (
            {"networkConfiguration": None},
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-x"]}}},
            "InvalidParameterException",
            (
                "Error retrieving subnet information for [subnet-x]: The subnet ID 'subnet-x' does not exist"
                " (ErrorCode: InvalidSubnetID.NotFound)"
            ),
        ),
        (
            EC2 | {"networkConfiguration": NETWORK},
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            {"taskDefinition": "job:1", "networkConfiguration": None},
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE.",
        ),
        (
            {"platformVersion": "0.9"},
            "PlatformUnknownException",
            "The platform version 0.9 does not exist.",
        ),
        (
            EC2 | {"platformVersion": "1.4.0"},
            "InvalidParameterException",
            "The platform version must be null when specifying an EC2 launch type.",
        ),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}},
            "InvalidParameterException",
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 101}},
            "InvalidParameterException",
            "minimumHealthyPercent must be at most 100",
        ),
        (
            {
                "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100},
                "availabilityZoneRebalancing": "ENABLED",
            },
            "InvalidParameterException",
            "Availability Zone Rebalancing does not support maximumPercent <= 100 %",
        ),
        (
            {"healthCheckGracePeriodSeconds": 10},
            "InvalidParameterException",
            "Health check grace period is only valid for services configured to use load balancers",
        ),
        (
            {"loadBalancers": [BALANCER | {"targetGroupArn": "arn:no"}]},
            "InvalidParameterException",
            "The target group with targetGroupArn arn:no does not exist.",
        ),
        (
            {"loadBalancers": [BALANCER | {"containerName": "side"}]},
            "InvalidParameterException",
            "The container side does not exist in the task definition.",
        ),
        (
            {"loadBalancers": [BALANCER | {"containerPort": 81}]},
            "InvalidParameterException",
            "The container app did not have a container port 81 defined.",
        ),
        (
            {"loadBalancers": [BALANCER | {"targetGroupArn": "arn:alone"}]},
            "InvalidParameterException",
            "The target group with targetGroupArn arn:alone does not have an associated load balancer.",
        ),
        (
            {"loadBalancers": [BALANCER | {"targetGroupArn": "arn:instance"}]},
            "InvalidParameterException",
            (
                "The provided target group arn:instance has target type instance, which is incompatible with the awsvpc"
                " network mode specified in the task definition."
            ),
        ),
        ({"loadBalancers": [BALANCER] * 6}, "InvalidParameterException", "at most 5 items"),
        (
            {"loadBalancers": [{"loadBalancerName": "classic"}]},
            "NotImplemented",
            "Classic Load Balancers",
        ),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "NotImplemented", "CODE_DEPLOY"),
        ({"deploymentController": {"type": "EXTERNAL"}}, "NotImplemented", "EXTERNAL"),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "NotImplemented", "BLUE_GREEN"),
        ({"deploymentConfiguration": {"strategy": "LINEAR"}}, "NotImplemented", "LINEAR"),
        ({"deploymentConfiguration": {"strategy": "CANARY"}}, "NotImplemented", "CANARY"),
        (
            {"deploymentConfiguration": {"alarms": {"alarmNames": ["a"], "enable": True, "rollback": True}}},
            "NotImplemented",
            "deployment alarms",
        ),
        ({"launchType": "EXTERNAL"}, "NotImplemented", "the launch type EXTERNAL"),
        ({"volumeConfigurations": [{"name": "data"}]}, "NotImplemented", "Amazon EBS volumes"),
        (
            {"enableExecuteCommand": True},
            "InvalidParameterException",
            "a valid taskRoleArn is not being used",
        ),
        (
            {"placementStrategy": [{"type": "random"}]},
            "InvalidParameterException",
            "Placement strategies are not supported with FARGATE launch type.",
        ),
        (
            {
                "serviceConnectConfiguration": {
                    "enabled": True,
                    "namespace": "n",
                    "services": [{"portName": "x"}],
                }
            },
            "InvalidParameterException",
            "portName(x) does not refer to any named PortMapping in the task definition.",
        ),
        (
            {"serviceRegistries": [{"registryArn": "arn:r", "containerName": "no", "containerPort": 80}]},
            "InvalidParameterException",
            "The container no does not exist in the task definition.",
        ),
        (
            EC2 | {"schedulingStrategy": "DAEMON", "desiredCount": 1},
            "InvalidParameterException",
            "The daemon scheduling strategy does not support a desired count for services.",
        ),
        (
            EC2
            | {
                "schedulingStrategy": "DAEMON",
                "placementStrategy": [{"type": "spread", "field": "instanceId"}],
            },
            "InvalidParameterException",
            "The daemon scheduling strategy does not support placement strategies",
        ),
        (
            EC2 | {"schedulingStrategy": "DAEMON", "deploymentConfiguration": {"maximumPercent": 200}},
            "InvalidParameterException",
            "The daemon scheduling strategy does not support values above 100 for maximumPercent.",
        ),
        (
            {"schedulingStrategy": "DAEMON"},
            "InvalidParameterException",
            "The daemon scheduling strategy does not support the FARGATE launch type",
        ),
        ({"tags": [{"key": "aws:x", "value": "1"}]}, "InvalidParameterException", "reserved"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path, values, code, sentence):
    async def body(it):
        it.records.definitions.put(bridge())
        it.records.definitions.put(a_definition("old", status="INACTIVE"))
        for arn, kind, balancers in (("arn:alone", "ip", ()), ("arn:instance", "instance", ("arn:lb",))):
            it.balancers.groups[arn] = TargetGroup(
                arn=arn, target_type=kind, protocol="HTTP", port=80, load_balancers=balancers
            )
        name = {"name": values["serviceName"]} if "serviceName" in values else {}
        error = await refused(
            it.create(**name, **{key: value for key, value in values.items() if key != "serviceName"})
        )
        assert (error.code, sentence in error.message) == (code, True), error
        assert len(it.records.services) == 0

    run(tmp_path, body)


def test_the_same_request_again_gives_the_same_service_and_another_is_refused(tmp_path):
    async def body(it):
        first = await it.create(desiredCount=1, clientToken="one")
        tags = [{"key": "a", "value": "b"}]
        second = await it.create(desiredCount=1, clientToken="one", tags=tags)
        assert second["deployments"][0]["id"] == first["deployments"][0]["id"]
        for another in ({"desiredCount": 2, "clientToken": "one"}, {"desiredCount": 1, "clientToken": "two"}):
            error = await refused(it.create(**another))
            assert (error.code, error.message) == (
                "InvalidParameterException",
                "Creation of service was not idempotent.",
            )

    run(tmp_path, body)


def test_a_service_that_drains_keeps_its_name(tmp_path):
    async def body(it):
        await it.steady()
        await it.delete(force=True)
        error = await refused(it.create())
        assert error.message == "Unable to Start a service that is still Draining."
        assert (await it.delete())["status"] == "DRAINING"
        error = await refused(it.update(desiredCount=1))
        assert (error.code, error.message) == ("ServiceNotActiveException", "Service was not ACTIVE.")

    run(tmp_path, body)


def test_only_a_service_scaled_to_zero_is_deleted_without_force(tmp_path):
    async def body(it):
        await it.create()
        error = await refused(it.delete())
        assert (error.code, error.message) == (
            "InvalidParameterException",
            "The service cannot be stopped while it is scaled above 0.",
        )

    run(tmp_path, body)


def test_services_that_are_not_there(tmp_path):
    async def body(it):
        error = await refused(it.update("no", desiredCount=1))
        assert (error.code, error.message) == ("ServiceNotFoundException", "Service not found.")
        error = await refused(it.delete("no"))
        assert (error.code, error.message) == ("ServiceNotFoundException", "")  # AWS says no more
        error = await refused(it.deployments.list_(CALLER, {"cluster": "main", "service": "no"}))
        assert error.code == "ServiceNotFoundException"
        await it.create()
        other = ARN.replace("main", "other")
        answer = await it.services.describe(
            CALLER, {"cluster": "main", "services": ["no", ARN, other, "shop"]}
        )
        assert [one["serviceName"] for one in answer["services"]] == ["shop", "shop"]
        assert answer["failures"] == [
            {"arn": ARN.replace("shop", "no"), "reason": "MISSING"},
            {"arn": other, "reason": "MISSING"},
        ]
        for names in ([], [str(number) for number in range(11)]):
            error = await refused(it.services.describe(CALLER, {"cluster": "main", "services": names}))
            assert error.code == "InvalidParameterException"

    run(tmp_path, body)


def test_a_service_is_shown_as_aws_shows_it(tmp_path):
    async def body(it):
        await it.create(
            desiredCount=1,
            loadBalancers=[BALANCER],
            healthCheckGracePeriodSeconds=30,
            tags=[{"key": "a", "value": "b"}],
        )
        view = await it.describe(include=["TAGS"])
        assert "tags" not in await it.describe()
        assert view["tags"] == [{"key": "a", "value": "b"}]
        assert view["loadBalancers"] == [BALANCER]
        assert view["deploymentConfiguration"] == {
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "strategy": "ROLLING",
            "bakeTimeInMinutes": 0,
            "deploymentCircuitBreaker": {
                "enable": False,
                "rollback": False,
                "resetOnHealthyTask": True,
                "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 50},
            },
        }
        assert view["deploymentController"] == {"type": "ECS"}
        assert view["availabilityZoneRebalancing"] == "ENABLED"
        assert view["schedulingStrategy"] == "REPLICA"
        assert view["platformVersion"] == "LATEST"
        assert view["platformFamily"] == "Linux"
        assert view["roleArn"].endswith(":role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
        assert view["createdBy"] == f"arn:aws:iam::{ACCOUNT}:root"
        assert view["healthCheckGracePeriodSeconds"] == 30
        assert view["events"] == []

    run(tmp_path, body)


def test_services_are_listed_in_pages_and_by_kind(tmp_path):
    async def body(it):
        it.records.definitions.put(bridge())
        for number in range(12):
            await it.create(f"web{number:02}", desiredCount=0)
        await it.create("job", **EC2)
        await it.create("daemon", **EC2, schedulingStrategy="DAEMON")
        await it.create("gone", desiredCount=0)
        await it.delete("gone")

        async def names(**values):
            answer = await it.services.list_(CALLER, {"cluster": "main"} | values)
            return [arn.rpartition("/")[2] for arn in answer["serviceArns"]], answer["nextToken"]

        first, token = await names()
        assert (len(first), bool(token)) == (10, True)
        rest, end = await names(nextToken=token)
        assert (len(rest), end) == (4, None)
        assert "gone" not in first + rest
        assert await names(launchType="EC2", maxResults=100) == (["daemon", "job"], None)
        assert await names(schedulingStrategy="DAEMON", maxResults=100) == (["daemon"], None)
        assert await names(resourceManagementType="ECS") == ([], None)
        for wrong in ({"maxResults": 101}, {"maxResults": 0}, {"nextToken": "???"}):
            error = await refused(it.services.list_(CALLER, {"cluster": "main"} | wrong))
            assert error.code == "InvalidParameterException"

    run(tmp_path, body)


def test_services_of_a_namespace(tmp_path):
    async def body(it):
        kind, name = "arn:aws:servicediscovery:eu-west-1:123456789012:namespace/ns-1", "shop.local"
        cluster = next(iter(it.records.clusters.all()))
        it.records.clusters.put(replace(cluster, service_connect_namespace=kind))
        for text in (kind, name):
            it.kept.namespaces.put(
                KnownNamespace(account=ACCOUNT, region=REGION, text=text, id="ns-1", arn=kind, name=name)
            )
        await it.create("by-default", serviceConnectConfiguration={"enabled": True})
        await it.create("by-name", serviceConnectConfiguration={"enabled": True, "namespace": name})
        await it.create("off", serviceConnectConfiguration={"enabled": False})
        await it.create("out")
        for text in (kind, name):
            answer = await it.services.list_by_namespace(CALLER, {"namespace": text})
            names = [arn.rpartition("/")[2] for arn in answer["serviceArns"]]
            assert names == ["by-default", "by-name"]
        error = await refused(it.services.list_by_namespace(CALLER, {"namespace": "ns-2"}))
        assert error.code == "NamespaceNotFoundException"

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("values", "deployments"),
    [
        ({"desiredCount": 3}, 1),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, 1),
        ({"availabilityZoneRebalancing": "DISABLED"}, 1),
        ({"taskDefinition": "web:1"}, 1),
        ({"taskDefinition": "web"}, 2),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-b"]}}}, 2),
        ({"platformVersion": "1.4.0"}, 2),
        ({"loadBalancers": [BALANCER]}, 2),
        ({"enableECSManagedTags": True}, 2),
        ({"propagateTags": "SERVICE"}, 2),
        ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}, 2),
        ({"forceNewDeployment": True}, 2),
    ],
)
def test_which_changes_are_new_deployments(tmp_path, values, deployments):
    async def body(it):
        await it.steady()
        view = await it.update(**values)
        assert len(view["deployments"]) == deployments
        (first, *_) = view["deployments"]
        assert first["status"] == "PRIMARY"
        for name in {"desiredCount", "networkConfiguration", "platformVersion", "loadBalancers"} & set(
            values
        ):
            assert view[name] == values[name]

    run(tmp_path, body)


def test_an_update_is_checked_as_a_whole(tmp_path):
    async def body(it):
        await it.steady(loadBalancers=[BALANCER], healthCheckGracePeriodSeconds=10)
        error = await refused(it.update(loadBalancers=[]))
        assert error.message == (
            "Health check grace period is only valid for services configured to use load balancers"
        )
        await it.update(loadBalancers=[], healthCheckGracePeriodSeconds=0)
        error = await refused(it.update(deploymentConfiguration={"maximumPercent": 100}))
        assert "will block deployments" in error.message
        assert (await it.describe())["deploymentConfiguration"]["maximumPercent"] == 200

    run(tmp_path, body)


def test_revisions_and_deployments_are_described_and_belong_to_their_account(tmp_path):
    async def body(it):
        view = await it.create(loadBalancers=[BALANCER])
        (summary,) = view["currentServiceRevisions"]
        answer = await it.deployments.describe_revisions(
            CALLER, {"serviceRevisionArns": [summary["arn"], summary["arn"] + "1"]}
        )
        (revision,) = answer["serviceRevisions"]
        assert revision["taskDefinition"].endswith("web:1")
        assert revision["loadBalancers"] == [BALANCER]
        assert revision["networkConfiguration"] == NETWORK
        assert revision["containerImages"] == [{"containerName": "app", "image": "nginx"}]
        assert answer["failures"] == [{"arn": summary["arn"] + "1", "reason": "MISSING"}]
        await it.work()
        DeploymentPins(it.records, it.book).pin(it.coming()[0], "app", "sha256:1")
        answer = await it.deployments.describe_revisions(CALLER, {"serviceRevisionArns": [summary["arn"]]})
        assert answer["serviceRevisions"][0]["containerImages"] == [
            {"containerName": "app", "image": "nginx", "imageDigest": "sha256:1"}
        ]
        arn = view["currentServiceDeployment"]
        answer = await it.deployments.describe(CALLER, {"serviceDeploymentArns": [arn]})
        (found,) = answer["serviceDeployments"]
        assert (found["status"], found["targetServiceRevision"]["arn"]) == ("IN_PROGRESS", summary["arn"])
        stranger = Caller(account="999999999999", region=REGION)
        answer = await it.deployments.describe(stranger, {"serviceDeploymentArns": [arn]})
        assert answer["serviceDeployments"] == []

    run(tmp_path, body)


def test_deployments_are_listed_by_status_and_time_in_pages(tmp_path):
    async def body(it):
        await it.steady()
        times = [it.clock.now()]
        for revision in (2, 3):
            await it.update(taskDefinition=f"web:{revision}")
            await it.flow()
            times.append(it.clock.now())

        async def listed(**values):
            answer = await it.deployments.list_(CALLER, {"cluster": "main", "service": "shop"} | values)
            return answer["serviceDeployments"], answer["nextToken"]

        found, _ = await listed()
        assert [one["status"] for one in found] == ["SUCCESSFUL"] * 3
        assert found[0]["createdAt"] > found[1]["createdAt"]
        page, token = await listed(maxResults=2)
        rest, end = await listed(maxResults=2, nextToken=token)
        assert (page + rest, end) == (found, None)
        assert len((await listed(status=["IN_PROGRESS"]))[0]) == 0
        assert (await listed(createdAt={"before": times[0] - 1}))[0] == found[2:]
        assert (await listed(createdAt={"after": times[0]}))[0] == found[:2]

    run(tmp_path, body)


def test_only_the_last_hundred_events_are_kept(tmp_path):
    async def body(it):
        await it.create(desiredCount=0)
        service = it.records.services.all()[0]
        for number in range(130):
            it.scheduler.telling.say(service.arn, "shop", f"did {number}.")
        events = (await it.describe())["events"]
        assert len(events) == len(it.book.events) == 100
        assert events[0]["message"] == "(service shop) did 129."

    run(tmp_path, body)


def test_a_definition_that_became_inactive_still_serves_its_service(tmp_path):
    async def body(it):
        await it.steady(desiredCount=1)
        it.records.definitions.put(a_definition(status="INACTIVE"))
        await it.update(desiredCount=2)
        await it.flow()
        assert len(it.running()) == 2
        assert {one.last_status for one in it.live()} == {TaskStatus.RUNNING}
        assert GROUP not in str(await it.story())

    run(tmp_path, body)


def test_what_an_update_does_not_say_of_the_circuit_breaker_stays(tmp_path):
    async def body(it):
        threshold = {"type": "COUNT", "value": 1}
        breaker = {"enable": True, "rollback": True, "thresholdConfiguration": threshold}
        await it.create(deploymentConfiguration={"deploymentCircuitBreaker": breaker})
        changes = {"enable": False, "rollback": False, "resetOnHealthyTask": False}
        view = await it.update(deploymentConfiguration={"deploymentCircuitBreaker": changes})
        configuration = view["deploymentConfiguration"]
        assert configuration["deploymentCircuitBreaker"] == changes | {"thresholdConfiguration": threshold}
        assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (100, 200)

    run(tmp_path, body)


def test_a_new_service_is_answered_before_the_scheduler_has_looked_at_it(tmp_path):
    async def body(it):
        made = await it.create()
        assert (made["events"], made["pendingCount"], made["runningCount"]) == ([], 0, 0)
        (deployment,) = made["deployments"]
        assert (deployment["rolloutState"], deployment["platformVersion"]) == ("IN_PROGRESS", "1.4.0")
        assert made["platformVersion"] == "LATEST"
        assert "taskSets" not in made

    run(tmp_path, body)


def test_the_network_is_looked_at_before_a_daemon_s_count(tmp_path):
    async def body(it):
        asked = {"schedulingStrategy": "DAEMON", "desiredCount": 0}
        error = await refused(it.create(networkConfiguration=None, **asked))
        assert error.message.startswith("Network Configuration must be provided")
        error = await refused(it.create(**asked))
        assert error.message.startswith("The daemon scheduling strategy does not support a desired count")

    run(tmp_path, body)


def test_a_service_says_who_made_it(tmp_path):
    async def body(it):
        anna = Caller(account=ACCOUNT, region=REGION, access_key="ANNA")
        values = {"cluster": "main", "serviceName": "hers", "taskDefinition": "web:1", "desiredCount": 0}
        values |= {"networkConfiguration": NETWORK, "launchType": "FARGATE"}
        answer = await it.services.create(anna, values)
        assert answer["service"]["createdBy"] == f"arn:aws:iam::{ACCOUNT}:user/anna"

    run(tmp_path, body)


def test_a_deployment_shows_what_service_connect_knows_of_it(tmp_path):
    async def body(it):
        configuration = {"enabled": True, "namespace": NAMESPACE, "services": [{"portName": "http"}]}
        view = await it.create(serviceConnectConfiguration=configuration)
        assert view["deployments"][0]["serviceConnectResources"] == [{"discoveryName": "http"}]
        view = await it.create("plain")
        assert view["deployments"][0].get("serviceConnectResources") is None

    run(tmp_path, body)
