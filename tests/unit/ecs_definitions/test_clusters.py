"""Clusters as boto sees them."""

import pytest
from definitions_kit import (
    ACCOUNT,
    REGION,
    a_provider,
    a_service,
    a_task,
    an_instance,
    caller,
    refused,
)

from cumulo.base.errors import AwsError
from cumulo.services.ecs.clusters import find_cluster
from cumulo.services.ecs.model import TaskStatus

ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/"
SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]


def test_a_cluster_is_created_and_shown(it, ecs):
    made = ecs.create_cluster(
        clusterName="main",
        tags=[{"key": "team", "value": "a"}],
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "base": 1, "weight": 2}, *SPOT],
        serviceConnectDefaults={"namespace": "arn:aws:servicediscovery:eu-west-1:1:namespace/ns-a"},
        configuration={"executeCommandConfiguration": {"logging": "NONE"}},
    )["cluster"]
    assert made["clusterArn"] == ARN + "main"
    assert made["status"] == "ACTIVE"
    assert made["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert made["defaultCapacityProviderStrategy"] == [
        {"capacityProvider": "FARGATE", "weight": 2, "base": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0},
    ]
    assert made["tags"] == [{"key": "team", "value": "a"}]
    assert made["attachmentsStatus"] == "UPDATE_COMPLETE"
    assert made["serviceConnectDefaults"]["namespace"].endswith("ns-a")
    (plain,) = ecs.describe_clusters(clusters=["main"])["clusters"]
    assert plain["tags"] == plain["settings"] == plain["statistics"] == []
    assert "configuration" not in plain
    assert "attachments" not in plain
    everything = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
    it.reopen()
    (whole,) = it.client.describe_clusters(clusters=[ARN + "main"], include=everything)["clusters"]
    assert made["statistics"] == []  # only who asks for them is shown them
    assert len(whole.pop("statistics")) == 16
    assert whole == {name: value for name, value in made.items() if name != "statistics"}


def test_creating_once_more_is_harmless_when_nothing_else_is_asked(it, ecs):
    settings = [{"name": "containerInsights", "value": "enabled"}]
    made = ecs.create_cluster(settings=settings)["cluster"]
    assert made["clusterName"] == "default"
    assert ecs.create_cluster()["cluster"] == made
    assert ecs.create_cluster(clusterName="default", settings=settings)["cluster"] == made
    refused(
        ecs.create_cluster,
        "InvalidParameterException",
        "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        settings=[{"name": "containerInsights", "value": "disabled"}],
    )
    assert len(it.records.clusters) == 1


@pytest.mark.parametrize("name", ["a b", "a/b", "a.b", "é", "a" * 256])
def test_names_are_checked(ecs, name):
    refused(ecs.create_cluster, "InvalidParameterException", "ClusterName must match", clusterName=name)


def test_clusters_that_are_missing_are_failures(ecs):
    answer = ecs.describe_clusters(clusters=["other", "other"])
    assert answer["clusters"] == []
    assert answer["failures"] == [{"arn": ARN + "other", "reason": "MISSING"}]
    assert ecs.describe_clusters()["failures"] == [{"arn": ARN + "default", "reason": "MISSING"}]
    refused(
        ecs.describe_clusters,
        "InvalidParameterException",
        "Your accountId is",
        clusters=[ARN.replace(ACCOUNT, "999999999999") + "main"],
    )


def test_what_is_in_a_cluster_is_counted(it, ecs):
    ecs.create_cluster()
    records = it.records
    records.tasks.put(a_task(1))
    records.tasks.put(a_task(2, launch_type="FARGATE"))
    records.tasks.put(a_task(3, launch_type="FARGATE", last_status=TaskStatus.PROVISIONING))
    records.tasks.put(a_task(4, last_status=TaskStatus.STOPPED))
    records.tasks.put(a_task(5, "elsewhere"))
    records.services.put(a_service(launch_type="FARGATE"))
    records.services.put(a_service("old", status="INACTIVE"))
    records.services.put(a_service("leaving", status="DRAINING"))
    records.instances.put(an_instance(1, status="DRAINING"))
    records.instances.put(an_instance(2, status="INACTIVE"))
    (found,) = ecs.describe_clusters(include=["STATISTICS"])["clusters"]
    assert found["runningTasksCount"] == 2
    assert found["pendingTasksCount"] == 1
    assert found["activeServicesCount"] == 1
    assert found["registeredContainerInstancesCount"] == 1
    counts = {one["name"]: one["value"] for one in found["statistics"]}
    assert counts["runningEC2TasksCount"] == counts["runningFargateTasksCount"] == "1"
    assert counts["pendingFargateTasksCount"] == "1"
    assert counts["activeFargateServiceCount"] == "1"
    assert counts["drainingEC2ServiceCount"] == "1"
    assert counts["runningExternalTasksCount"] == "0"


def test_only_an_empty_cluster_is_deleted(it, ecs):
    ecs.create_cluster()
    contents = {
        "ClusterContainsContainerInstancesException": (
            it.records.instances,
            an_instance(),
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        ),
        "ClusterContainsServicesException": (
            it.records.services,
            a_service(),
            "The Cluster cannot be deleted while Services are active.",
        ),
        "ClusterContainsTasksException": (
            it.records.tasks,
            a_task(),
            "The Cluster cannot be deleted while Tasks are active.",
        ),
    }
    for code, (shelf, one, sentence) in contents.items():
        shelf.put(one)
        assert refused(ecs.delete_cluster, code, cluster="default") == sentence
        shelf.delete(one)
    it.records.tasks.put(a_task(last_status=TaskStatus.STOPPED))
    assert ecs.delete_cluster(cluster="default")["cluster"]["status"] == "INACTIVE"
    assert ecs.list_clusters()["clusterArns"] == []
    assert ecs.describe_clusters()["clusters"][0]["status"] == "INACTIVE"
    refused(
        ecs.update_cluster,
        "ClusterNotFoundException",
        "The referenced cluster was inactive.",
        cluster="default",
    )
    refused(ecs.delete_cluster, "ClusterNotFoundException", "Cluster not found.", cluster="other")


def test_a_deleted_cluster_is_forgotten_after_a_while_and_can_be_created_anew(it, ecs):
    for name in ("old", "new"):
        ecs.create_cluster(clusterName=name, tags=[{"key": "a", "value": "b"}])
        ecs.delete_cluster(cluster=name)
    assert ecs.create_cluster(clusterName="new")["cluster"]["tags"] == []
    it.clock.advance(3600)
    ecs.create_cluster()
    assert ecs.describe_clusters(clusters=["old", "new"])["failures"] == [
        {"arn": ARN + "old", "reason": "MISSING"}
    ]


def test_lists_come_in_pages(ecs):
    for number in range(5):
        ecs.create_cluster(clusterName=f"c{number}")
    pages = list(ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["clusterArns"]) for page in pages] == [2, 2, 1]
    assert [arn for page in pages for arn in page["clusterArns"]] == [f"{ARN}c{n}" for n in range(5)]


def test_everybody_finds_a_cluster_in_the_same_way(it, ecs):
    with pytest.raises(AwsError, match="Cluster not found"):
        find_cluster(it.records, caller(), None)  # `default` is not there by itself
    ecs.create_cluster()
    for name in (None, "", "default", ARN + "default"):
        assert find_cluster(it.records, caller(), name).arn == ARN + "default"
    ecs.delete_cluster(cluster="default")
    with pytest.raises(AwsError, match="was inactive"):
        find_cluster(it.records, caller(), None)
    assert find_cluster(it.records, caller(), None, active=False).status == "INACTIVE"
    with pytest.raises(AwsError, match="Cluster not found"):
        find_cluster(it.records, caller(region="us-east-1"), ARN + "default")


def test_a_cluster_can_be_changed(ecs):
    ecs.create_cluster()
    changed = ecs.update_cluster(
        cluster="default",
        settings=[{"name": "containerInsights", "value": "enhanced"}],
        configuration={
            "executeCommandConfiguration": {
                "logging": "OVERRIDE",
                "logConfiguration": {"cloudWatchLogGroupName": "exec"},
            }
        },
        serviceConnectDefaults={"namespace": "internal"},
    )["cluster"]
    assert changed["settings"][0]["value"] == "enhanced"
    assert changed["serviceConnectDefaults"] == {"namespace": "internal"}
    assert changed["configuration"]["executeCommandConfiguration"]["logging"] == "OVERRIDE"
    again = ecs.update_cluster_settings(
        cluster="default", settings=[{"name": "containerInsights", "value": "disabled"}]
    )["cluster"]
    assert again == changed | {"settings": [{"name": "containerInsights", "value": "disabled"}]}
    refused(
        ecs.update_cluster_settings,
        "InvalidParameterException",
        "Invalid setting 'value'",
        cluster="default",
        settings=[{"name": "containerInsights", "value": "ENABLED"}],
    )
    refused(
        ecs.update_cluster,
        "InvalidParameterException",
        "You must set logging to 'OVERRIDE' when you supply a log configuration.",
        cluster="default",
        configuration={"executeCommandConfiguration": {"logConfiguration": {"s3BucketName": "b"}}},
    )
    refused(
        ecs.create_cluster,
        "InvalidParameterException",
        "A CloudWatch log group name or S3 bucket name must be specified",
        clusterName="other",
        configuration={"executeCommandConfiguration": {"logging": "OVERRIDE"}},
    )


def _put(ecs, providers, strategy=()):
    return ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=providers, defaultCapacityProviderStrategy=list(strategy)
    )["cluster"]


def test_capacity_providers_take_the_place_of_others(it, ecs):
    ecs.create_cluster(capacityProviders=["FARGATE"])
    group = {"managedScaling": {"status": "ENABLED"}, "managedDraining": "DISABLED"}
    it.records.providers.put(a_provider(auto_scaling_group=group))
    found = _put(ecs, ["group"], [{"capacityProvider": "group", "weight": 1}])
    assert found["capacityProviders"] == ["group"]
    assert found["defaultCapacityProviderStrategy"] == [{"capacityProvider": "group", "weight": 1, "base": 0}]
    (attachment,) = found["attachments"]
    assert attachment["type"] == "as_policy"
    assert {"name": "capacityProviderName", "value": "group"} in attachment["details"]
    assert _put(ecs, [])["capacityProviders"] == []


@pytest.mark.parametrize("user", ["task", "service"])
def test_a_provider_in_use_stays(it, ecs, user):
    ecs.create_cluster(capacityProviders=["FARGATE_SPOT"])
    if user == "task":
        it.records.tasks.put(a_task(capacity_provider="FARGATE_SPOT"))
    else:
        it.records.services.put(a_service(strategy=tuple(SPOT)))
    with pytest.raises(ecs.exceptions.ResourceInUseException, match="is in use and cannot be removed"):
        _put(ecs, ["FARGATE"])
    it.records.tasks.clear()
    it.records.services.clear()
    assert _put(ecs, ["FARGATE"])["capacityProviders"] == ["FARGATE"]


@pytest.mark.parametrize(
    ("providers", "strategy", "sentence"),
    [
        (
            ["nope"],
            [],
            "The specified capacity provider does not exist. Specify a valid name or ARN and try again.",
        ),
        (
            ["FARGATE"],
            SPOT,
            (
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated "
                "with the cluster."
            ),
        ),
        (
            ["FARGATE", "group"],
            [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "group", "weight": 1}],
            (
                "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and "
                "Fargate providers."
            ),
        ),
        (
            ["FARGATE", "FARGATE_SPOT"],
            [
                {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 1},
            ],
            "contains multiple capacity providers with a base value defined",
        ),
        (
            ["FARGATE"],
            [{"capacityProvider": "FARGATE"}],
            "There are no capacity providers in the capacity provider strategy with a weight value greater than zero.",
        ),
        (["FARGATE_SPOT"], SPOT + SPOT, "duplicate"),
        (["FARGATE_SPOT"], SPOT * 21, "maximum of 20"),
    ],
)
def test_strategies_that_cannot_be(it, ecs, providers, strategy, sentence):
    ecs.create_cluster()
    it.records.providers.put(a_provider())
    refused(
        ecs.put_cluster_capacity_providers,
        "InvalidParameterException",
        sentence,
        cluster="default",
        capacityProviders=providers,
        defaultCapacityProviderStrategy=strategy,
    )


def test_new_clusters_get_what_the_account_has_chosen(ecs):
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    assert ecs.create_cluster()["cluster"]["settings"] == [{"name": "containerInsights", "value": "enabled"}]
