"""Account settings, and tags of everything."""

import pytest
from definitions_kit import (
    ACCOUNT,
    REGION,
    a_provider,
    a_service,
    a_task,
    an_instance,
    refused,
)

from cumulo.services.ecs.account_settings import VALUES
from cumulo.services.ecs.model import TaskStatus
from cumulo.services.ecs.tags import tags_of

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
DEV = f"arn:aws:iam::{ACCOUNT}:user/dev"
PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"


def _effective(ecs, **more):
    pages = ecs.get_paginator("list_account_settings").paginate(effectiveSettings=True, **more)
    return {one["name"]: one["value"] for page in pages for one in page["settings"]}


def test_every_setting_has_a_value_of_aws(ecs):
    assert _effective(ecs) == {
        "serviceLongArnFormat": "enabled",
        "taskLongArnFormat": "enabled",
        "containerInstanceLongArnFormat": "enabled",
        "awsvpcTrunking": "disabled",
        "containerInsights": "disabled",
        "dualStackIPv6": "disabled",
        "fargateFIPSMode": "disabled",
        "tagResourceAuthorization": "on",
        "fargateTaskRetirementWaitPeriod": "7",
        "guardDutyActivate": "off",
        "defaultLogDriverMode": "non-blocking",
        "fargateEventWindows": "disabled",
    }
    assert ecs.list_account_settings()["settings"] == []


def test_a_principal_goes_before_its_account(it, ecs):
    default = ecs.put_account_setting_default(name="containerInsights", value="enabled")["setting"]
    assert default == {"name": "containerInsights", "value": "enabled", "principalArn": ROOT, "type": "user"}
    assert _effective(ecs)["containerInsights"] == "enabled"
    own = ecs.put_account_setting(name="containerInsights", value="enhanced")["setting"]
    assert own["principalArn"] == DEV
    it.reopen()
    ecs = it.client
    assert _effective(ecs)["containerInsights"] == "enhanced"
    assert _effective(ecs, principalArn=ROOT)["containerInsights"] == "enabled"
    assert ecs.list_account_settings(name="containerInsights")["settings"] == [own]
    assert ecs.list_account_settings(name="containerInsights", value="enabled")["settings"] == []
    gone = ecs.delete_account_setting(name="containerInsights")["setting"]
    assert (gone["principalArn"], gone["value"]) == (DEV, "enabled")
    assert ecs.list_account_settings()["settings"] == []
    other = it.client_of(ACCOUNT, "us-east-1")
    assert _effective(other)["containerInsights"] == "disabled"


@pytest.mark.parametrize("name", sorted(set(VALUES) - {"dualStackIPv6", "guardDutyActivate"}))
def test_values_are_checked(ecs, name):
    for value in VALUES[name]:
        assert ecs.put_account_setting(name=name, value=value)["setting"]["value"] == value
    refused(
        ecs.put_account_setting,
        "InvalidParameterException",
        "Invalid setting 'value'",
        name=name,
        value="ENABLED",
    )


def test_what_cannot_be_chosen_is_refused(ecs):
    refused(
        ecs.put_account_setting,
        "InvalidParameterException",
        "can no longer be disabled",
        name="serviceLongArnFormat",
        value="disabled",
    )
    refused(
        ecs.put_account_setting,
        "InvalidParameterException",
        "managed by AWS",
        name="guardDutyActivate",
        value="on",
    )


@pytest.mark.parametrize("principal", ["dev", ROOT.replace(ACCOUNT, "999999999999"), DEV + "\x1fa"])
def test_settings_are_for_principals_of_the_account(ecs, principal):
    refused(
        ecs.put_account_setting,
        "InvalidParameterException",
        "Invalid principal arn",
        name="containerInsights",
        value="enabled",
        principalArn=principal,
    )


def _everything(it):
    """One of each kind, by its ARN."""
    it.client.create_cluster()
    it.register()
    it.records.tasks.put(a_task())
    it.records.services.put(a_service())
    it.records.instances.put(an_instance())
    it.records.providers.put(a_provider())
    return [
        PREFIX + "cluster/default",
        PREFIX + "task-definition/app:1",
        a_task().arn,
        a_service().arn,
        an_instance().arn,
        a_provider().arn,
    ]


def test_everything_can_be_tagged(it, ecs):
    for arn in _everything(it):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": ""}])
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}])
        assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [
            {"key": "a", "value": "2"},
            {"key": "b", "value": ""},
        ]
        ecs.untag_resource(resourceArn=arn, tagKeys=["b", "c"])
        assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "2"}]
    it.reopen()
    for arn in (PREFIX + "cluster/default", a_task().arn, a_provider().arn):
        assert it.client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "2"}]


@pytest.mark.parametrize(
    ("arn", "code", "sentence"),
    [
        ("app", "InvalidParameterException", "The ARN provided is invalid."),
        (
            "arn:aws:ecr:eu-west-1:123456789012:repository/a",
            "InvalidParameterException",
            "The ARN provided is invalid.",
        ),
        (PREFIX + "cluster/", "InvalidParameterException", "The ARN provided is invalid."),
        (PREFIX + "daemon/a/b", "InvalidParameterException", "The ARN provided is invalid."),
        (PREFIX + "cluster/none", "ClusterNotFoundException", "Cluster not found."),
        (PREFIX + "task-definition/none:1", "ClientException", "Unable to describe task definition."),
        (
            PREFIX + "service/web",
            "InvalidParameterException",
            "Long arn format must be used for tagging operations",
        ),
        (
            PREFIX + "service/default/none",
            "InvalidParameterException",
            "The specified service does not exist.",
        ),
        (PREFIX + "task/default/none", "InvalidParameterException", "The specified task does not exist."),
        (
            PREFIX + "capacity-provider/none",
            "InvalidParameterException",
            "The specified capacity provider does not",
        ),
    ],
)
def test_what_is_not_there_cannot_be_tagged(it, ecs, arn, code, sentence):
    refused(ecs.tag_resource, code, sentence, resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    refused(ecs.list_tags_for_resource, code, sentence, resourceArn=arn)
    assert tags_of(it.records, arn) == {}


def test_what_was_metered_has_its_tags_also_when_it_has_ended(it):
    _everything(it)
    it.records.tasks.put(a_task(last_status=TaskStatus.STOPPED, tags={"team": "shop"}))
    it.records.services.put(a_service(status="INACTIVE", tags={"team": "web"}))
    assert tags_of(it.records, a_task().arn) == {"team": "shop"}
    assert tags_of(it.records, a_service().arn) == {"team": "web"}


def test_what_has_ended_cannot_be_tagged(it, ecs):
    _everything(it)
    it.records.tasks.put(a_task(last_status=TaskStatus.STOPPED))
    it.records.services.put(a_service(status="INACTIVE"))
    it.records.instances.clear()
    refused(
        ecs.list_tags_for_resource,
        "InvalidParameterException",
        "The specified task is stopped. Specify a running task and try again.",
        resourceArn=a_task().arn,
    )
    refused(ecs.list_tags_for_resource, "InvalidParameterException", "inactive", resourceArn=a_service().arn)
    ecs.create_cluster(clusterName="gone")
    ecs.delete_cluster(cluster="gone")
    refused(
        ecs.list_tags_for_resource,
        "InvalidParameterException",
        "The specified cluster is inactive. Specify an active cluster and try again.",
        resourceArn=PREFIX + "cluster/gone",
    )


def test_tags_have_bounds(ecs):
    ecs.create_cluster(tags=[{"key": f"k{number}", "value": ""} for number in range(50)])
    arn = PREFIX + "cluster/default"

    def tag(*pairs):
        return refused(
            ecs.tag_resource,
            "InvalidParameterException",
            resourceArn=arn,
            tags=[{"key": key, "value": value} for key, value in pairs],
        )

    assert tag(("more", "")) == "The maximum number of tags per resource is 50."
    assert "reserved" in tag(("aws:mine", ""))
    assert "Duplicate" in tag(("k1", "a"), ("k1", "b"))
    tag(("k1", "x" * 257))
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "k1", "value": "x" * 256}])
    refused(ecs.untag_resource, "InvalidParameterException", "reserved", resourceArn=arn, tagKeys=["aws:a"])
