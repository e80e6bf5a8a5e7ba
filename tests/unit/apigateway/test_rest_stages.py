import pytest
from tests.unit.apigateway.rest_kit import ACCOUNT, REGION, Cloud, patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access"


@pytest.fixture
def stage(cloud):
    return Staged(cloud)


class Staged:
    def __init__(self, cloud):
        self.cloud = cloud
        self.client = cloud.client
        self.api_id, self.root, self.deployment = cloud.deployed()
        self.at = {"restApiId": self.api_id, "stageName": "dev"}

    def update(self, *operations):
        return plain(self.client.update_stage(**self.at, patchOperations=list(operations)))

    def refused(self, *operations):
        return refused(self.client.update_stage, **self.at, patchOperations=list(operations))

    def create(self, name="other", **more):
        return plain(
            self.client.create_stage(
                restApiId=self.api_id, stageName=name, **({"deploymentId": self.deployment} | more)
            )
        )

    def create_refused(self, name="other", **more):
        return refused(
            self.client.create_stage,
            restApiId=self.api_id,
            stageName=name,
            **({"deploymentId": self.deployment} | more),
        )

    def deploy(self):
        return self.client.create_deployment(restApiId=self.api_id)["id"]

    def compiled(self):
        return self.cloud.compiled(self.api_id, "dev").stage


def test_a_stage_is_shown_as_aws_shows_it(stage):
    shown = stage.create(description="my stage")
    for date in ("createdDate", "lastUpdatedDate"):
        assert shown.pop(date).timestamp() == stage.cloud.clock.now()
    assert shown == {
        "cacheClusterEnabled": False,
        "cacheClusterStatus": "NOT_AVAILABLE",
        "deploymentId": stage.deployment,
        "description": "my stage",
        "methodSettings": {},
        "stageName": "other",
        "tracingEnabled": False,
    }
    assert stage.cloud.published.find(stage.api_id, "other") is not None


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"name": "dev"}, (CONFLICT, "Stage already exists")),
        ({"deploymentId": "nope"}, (BAD, "Deployment id does not exist")),
        ({"name": "a.b"}, (BAD, "Stage name only allows a-zA-Z0-9_-")),
        ({"name": ""}, (BAD, "Stage name only allows a-zA-Z0-9_-")),
        (
            {"variables": {"a": "ä"}},
            (BAD, "Stage variable values must match the regular expression [A-Za-z0-9-._~:/?#&=,]+"),
        ),
        (
            {"variables": {"a-b": "x"}},
            (BAD, "Stage variable names must match the regular expression [A-Za-z0-9_]+"),
        ),
        ({"documentationVersion": "v1"}, (BAD, "Invalid Documentation version identifier specified")),
        ({"canarySettings": {"deploymentId": "nope"}}, (BAD, "Deployment id does not exist")),
        (
            {"canarySettings": {"percentTraffic": 101.0}},
            (BAD, "Canary percent traffic must be between 0.0 and 100.0"),
        ),
    ],
)
def test_what_a_stage_cannot_be_is_refused(stage, more, answer):
    assert stage.create_refused(**more) == answer
    assert len(stage.client.get_stages(restApiId=stage.api_id)["item"]) == 1


def test_an_api_has_ten_stages_and_not_one_more(stage):
    for at in range(9):
        stage.create(f"s{at}")
    assert stage.create_refused("more")[0] == "LimitExceededException"
    assert (
        refused(stage.client.create_deployment, restApiId=stage.api_id, stageName="more")[0]
        == "LimitExceededException"
    )
    stage.client.create_deployment(restApiId=stage.api_id, stageName="s0")


def test_stages_are_listed_by_deployment(stage):
    second = stage.deploy()
    stage.create("two", deploymentId=second)
    everything = stage.client.get_stages(restApiId=stage.api_id)["item"]
    assert [one["stageName"] for one in everything] == ["dev", "two"]
    some = stage.client.get_stages(restApiId=stage.api_id, deploymentId=second)["item"]
    assert [one["stageName"] for one in some] == ["two"]


def test_members_settings_and_variables_are_patched(stage):
    shown = stage.update(
        patch("replace", "/description", "stage new"),
        patch("replace", "/variables/var1", "test"),
        patch("replace", "/variables/var2", "test2"),
        patch("replace", "/tracingEnabled", "true"),
        patch("replace", "/*/*/throttling/burstLimit", "123"),
        patch("replace", "/*/*/caching/enabled", "true"),
    )
    assert shown["description"] == "stage new"
    assert shown["variables"] == {"var1": "test", "var2": "test2"}
    assert shown["tracingEnabled"] is True
    assert shown["methodSettings"] == {
        "*/*": {
            "cacheDataEncrypted": False,
            "cacheTtlInSeconds": 300,
            "cachingEnabled": True,
            "dataTraceEnabled": False,
            "metricsEnabled": False,
            "requireAuthorizationForCacheControl": True,
            "throttlingBurstLimit": 123,
            "throttlingRateLimit": 10000.0,
            "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
        }
    }
    kept = stage.compiled()
    assert kept.method_settings["*/*"].throttling_burst_limit == 123
    assert kept.method_settings["*/*"].throttling_rate_limit is None
    assert kept.variables == {"var1": "test", "var2": "test2"}
    assert "variables" not in stage.update(
        patch("remove", "/variables/var1"), patch("remove", "/variables/var2")
    )


@pytest.mark.parametrize(
    ("path", "shown", "kept"),
    [
        ("/pets/GET", "pets/GET", "pets/GET"),
        ("/~1pets/GET", "pets/GET", "pets/GET"),
        ("/~1pets~1{id}/GET", "pets/{id}/GET", "pets~1{id}/GET"),
        ("/pets/{id}/GET", "pets/{id}/GET", "pets~1{id}/GET"),
        ("/~1/GET", "/GET", "/GET"),
        ("//GET", "/GET", "/GET"),
        ("/*/*", "*/*", "*/*"),
    ],
)
def test_methods_are_named_in_every_way_that_clients_do(stage, path, shown, kept):
    changed = stage.update(patch("replace", f"{path}/logging/loglevel", "INFO"))
    assert list(changed["methodSettings"]) == [shown]
    assert changed["methodSettings"][shown]["loggingLevel"] == "INFO"
    assert stage.compiled().method_settings[kept].logging_level == "INFO"
    assert stage.update(patch("remove", path))["methodSettings"] == {}


def test_a_throttle_below_zero_is_none(stage):
    stage.update(patch("replace", "/*/*/throttling/rateLimit", "-1"))
    assert stage.compiled().method_settings["*/*"].throttling_rate_limit is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("throttling/rateLimit", "fast"),
        ("throttling/rateLimit", "nan"),
        ("throttling/burstLimit", "1.5"),
        ("caching/ttlInSeconds", "3601"),
        ("caching/ttlInSeconds", ""),
        ("logging/loglevel", "DEBUG"),
        ("caching/unauthorizedCacheControlHeaderStrategy", "NONE"),
    ],
)
def test_settings_that_cannot_be_are_refused(stage, setting, value):
    assert stage.refused(patch("replace", f"/*/*/{setting}", value))[0] == BAD
    assert stage.client.get_stage(**stage.at)["methodSettings"] == {}


@pytest.mark.parametrize(
    "path", ["/documentation_version", "/tags/tag1", "/canarySettings/badPath", "/a", "/*/*/x/y"]
)
def test_wrong_paths_are_answered_with_all_there_are(stage, path):
    code, message = stage.refused(patch("replace", path, "x"))
    assert code == BAD
    assert message.startswith(
        f"Invalid method setting path: {path}. Must be one of: [/deploymentId, /description, "
    )
    assert message.endswith("/variables/{variable_name}, /tracingEnabled]")


def test_what_is_not_there_cannot_be_removed(stage):
    for path in ("/*/*", "/canarySettings/stageVariableOverrides", "/canarySettings/badPath"):
        assert stage.refused(patch("remove", path)) == (
            BAD,
            f"Cannot remove method setting {path[1:]} because there is no method setting for this method ",
        )


def test_a_canary_is_made_changed_promoted_and_removed(stage):
    second = stage.deploy()
    stage.update(patch("replace", "/variables/testVar", "default"))
    shown = stage.update(patch("replace", "/canarySettings/deploymentId", second))
    assert shown["canarySettings"] == {
        "deploymentId": second,
        "percentTraffic": 0.0,
        "useStageCache": False,
    }
    shown = stage.update(
        patch("replace", "/canarySettings/percentTraffic", "50"),
        patch("replace", "/canarySettings/useStageCache", "true"),
        patch("add", "/canarySettings/stageVariableOverrides/testVar", "canary"),
    )
    assert shown["canarySettings"]["stageVariableOverrides"] == {"testVar": "canary"}
    assert stage.compiled().canary.percent_traffic == 50.0
    assert stage.refused(patch("add", "/canarySettings/deploymentId", second)) == (
        BAD,
        "Invalid add operation with path: /canarySettings/deploymentId",
    )
    promoted = stage.update(
        patch("replace", "/canarySettings/percentTraffic", "0.0"),
        patch("copy", "/variables", source="/canarySettings/stageVariableOverrides"),
        patch("copy", "/deploymentId", source="/canarySettings/deploymentId"),
        patch("remove", "/canarySettings"),
    )
    assert promoted["deploymentId"] == second
    assert promoted["variables"] == {"testVar": "canary"}
    assert "canarySettings" not in promoted
    assert stage.refused(patch("copy", "/deploymentId", source="/canarySettings/deploymentId"))[0] == BAD


def test_a_canary_of_a_percentage_alone_is_of_the_stages_own_deployment(stage):
    shown = stage.update(patch("replace", "/canarySettings/percentTraffic", "50"))
    assert shown["canarySettings"]["deploymentId"] == stage.deployment


def test_a_stage_moves_to_a_deployment_that_is_there(stage):
    second = stage.deploy()
    assert stage.update(patch("replace", "/deploymentId", second))["deploymentId"] == second
    assert stage.refused(patch("replace", "/deploymentId", "nope")) == (BAD, "Deployment id does not exist")
    assert stage.compiled().deployment_id == second


def test_a_cache_cluster_is_in_progress_and_then_available(stage):
    shown = stage.update(patch("replace", "/cacheClusterEnabled", "true"))
    assert (shown["cacheClusterSize"], shown["cacheClusterStatus"]) == ("0.5", "CREATE_IN_PROGRESS")
    stage.cloud.clock.advance(3)
    assert stage.client.get_stage(**stage.at)["cacheClusterStatus"] == "AVAILABLE"
    shown = stage.update(patch("replace", "/cacheClusterSize", "1.6"))
    assert shown["cacheClusterStatus"] == "CREATE_IN_PROGRESS"
    assert stage.refused(patch("replace", "/cacheClusterSize", "2"))[0] == BAD
    assert stage.compiled().cache_size == "1.6"
    off = stage.update(patch("replace", "/cacheClusterEnabled", "false"))
    assert off["cacheClusterStatus"] == "NOT_AVAILABLE"
    assert stage.compiled().cache_size == ""


def test_access_logs_are_set_and_removed(stage):
    text = '{"id": "$context.requestId"}'
    shown = stage.update(
        patch("replace", "/accessLogSettings/destinationArn", LOGS),
        patch("replace", "/accessLogSettings/format", text),
    )
    assert shown["accessLogSettings"] == {"destinationArn": LOGS, "format": text}
    assert stage.compiled().access_log_arn == LOGS
    for wrong in ("no id", "$context.requestId\nmore"):
        assert stage.refused(patch("replace", "/accessLogSettings/format", wrong))[0] == BAD
    assert stage.refused(patch("replace", "/accessLogSettings/destinationArn", "x"))[0] == BAD
    firehose = "arn:aws:firehose:us-east-1:123456789012:deliverystream/amazon-apigateway-x"
    assert (
        stage.refused(patch("replace", "/accessLogSettings/destinationArn", firehose))[0] == "NotImplemented"
    )
    assert "accessLogSettings" not in stage.update(patch("remove", "/accessLogSettings"))


def test_stages_log_only_with_a_role_where_that_is_asked_for(tmp_path):
    cloud = Cloud(tmp_path, log_role=True)
    try:
        stage = Staged(cloud)
        operation = patch("replace", "/*/*/logging/loglevel", "INFO")
        assert stage.refused(operation) == (
            BAD,
            "CloudWatch Logs role ARN must be set in account settings to enable logging",
        )
        role = f"arn:aws:iam::{ACCOUNT}:role/logs"
        cloud.client.update_account(patchOperations=[patch("replace", "/cloudwatchRoleArn", role)])
        stage.update(operation)
    finally:
        cloud.close()


def test_a_deleted_stage_answers_no_more(stage):
    gone = stage.client.delete_stage(**stage.at)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert stage.cloud.published.find(stage.api_id, "dev") is None
    assert refused(stage.client.get_stage, **stage.at) == (MISSING, "Invalid Stage identifier specified")


def test_a_stage_that_a_domain_leads_to_stays(stage):
    stage.cloud.mapped.add((stage.api_id, "dev"))
    assert refused(stage.client.delete_stage, **stage.at)[0] == BAD


class Flushed:
    def __init__(self, *_):
        self.flushed = []

    def flush_cache(self):
        self.flushed.append("cache")

    def flush_authorizers(self):
        self.flushed.append("authorizers")


def test_caches_are_flushed_one_by_one_where_the_compiled_stage_can(stage):
    compiled = Flushed()
    place = stage.cloud.published.find(stage.api_id, "dev").place
    stage.cloud.published.publish(place, lambda: compiled)
    assert (
        stage.client.flush_stage_cache(**stage.at)["ResponseMetadata"]["HTTPStatusCode"]
        == stage.client.flush_stage_authorizers_cache(**stage.at)["ResponseMetadata"]["HTTPStatusCode"]
        == 202
    )
    assert compiled.flushed == ["cache", "authorizers"]


def test_what_is_cached_goes_with_its_cluster_and_its_stage(stage):
    compiled = Flushed()
    on = patch("replace", "/cacheClusterEnabled", "true")
    stage.update(on)
    place = stage.cloud.published.find(stage.api_id, "dev").place
    stage.cloud.published.publish(place, lambda: compiled)
    stage.update(patch("replace", "/cacheClusterSize", "1.6"))
    assert compiled.flushed == ["cache"]
    stage.cloud.published.publish(place, lambda: compiled)
    stage.update(patch("replace", "/description", "other"))
    assert compiled.flushed == ["cache"]
    stage.cloud.published.publish(place, lambda: compiled)
    stage.update(patch("replace", "/cacheClusterEnabled", "false"))
    assert compiled.flushed == ["cache", "cache"]
    stage.cloud.published.publish(place, lambda: compiled)
    assert stage.cloud.published.find(stage.api_id, "dev").compiled is compiled, "it has answered"
    stage.client.delete_stage(**stage.at)
    assert compiled.flushed == ["cache", "cache", "cache", "authorizers"]


def test_a_stage_that_cannot_flush_is_compiled_anew(stage):
    before = stage.cloud.compiled(stage.api_id, "dev")
    stage.client.flush_stage_cache(**stage.at)
    assert stage.cloud.compiled(stage.api_id, "dev") is not before
