import pytest
from tests.unit.apigateway.rest_kit import patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"


@pytest.fixture
def stage(cloud):
    api_id, *_ = cloud.deployed()
    return {"apiId": api_id, "stage": "dev"}


def update(cloud, plan_id, *operations):
    return plain(cloud.client.update_usage_plan(usagePlanId=plan_id, patchOperations=list(operations)))


def test_a_plan_is_shown_as_aws_shows_it(cloud, stage):
    made = plain(cloud.client.create_usage_plan(name="plan", description="said", apiStages=[stage]))
    plan_id = made.pop("id")
    assert made == {"name": "plan", "description": "said", "apiStages": [stage]}
    shown = plain(cloud.client.get_usage_plan(usagePlanId=plan_id))
    assert shown == made | {"id": plan_id, "tags": {}}
    assert cloud.client.get_usage_plans()["items"] == [made | {"id": plan_id}]


def test_throttles_and_quotas_are_patched(cloud, stage):
    plan_id = cloud.client.create_usage_plan(name="plan", apiStages=[stage])["id"]
    shown = update(
        cloud,
        plan_id,
        patch("replace", "/throttle/burstLimit", "100"),
        patch("replace", "/throttle/rateLimit", "200"),
        patch("add", "/quota/limit", "10"),
        patch("add", "/quota/offset", "1"),
        patch("add", "/quota/period", "WEEK"),
        patch("add", "/productCode", "code"),
    )
    assert shown["throttle"] == {"burstLimit": 100, "rateLimit": 200.0}
    assert shown["quota"] == {"limit": 10, "offset": 1, "period": "WEEK"}
    assert shown["productCode"] == "code"
    left = update(
        cloud,
        plan_id,
        patch("remove", "/throttle"),
        patch("remove", "/quota"),
        patch("remove", "/productCode"),
    )
    assert left.keys() == {"id", "name", "apiStages", "tags"}


@pytest.mark.parametrize("path", ["~1pets/GET", "/pets/GET", "~1pets~1GET"])
def test_throttles_of_methods_are_patched_in_every_way_that_clients_do(cloud, stage, path):
    plan_id = cloud.client.create_usage_plan(name="plan", apiStages=[stage])["id"]
    base = f"/apiStages/{stage['apiId']}:dev/throttle/{path}"
    shown = update(
        cloud,
        plan_id,
        patch("replace", f"{base}/rateLimit", "5"),
        patch("replace", f"{base}/burstLimit", "7"),
    )
    assert shown["apiStages"] == [stage | {"throttle": {"/pets/GET": {"rateLimit": 5.0, "burstLimit": 7}}}]
    assert update(cloud, plan_id, patch("remove", base))["apiStages"] == [stage]


def test_stages_join_and_leave(cloud, stage):
    plan_id = cloud.client.create_usage_plan(name="plan")["id"]
    named = f"{stage['apiId']}:dev"
    assert update(cloud, plan_id, patch("add", "/apiStages", named))["apiStages"] == [stage]
    wrong = [
        (patch("add", "/apiStages", named), CONFLICT),
        (patch("add", "/apiStages", "x:y"), MISSING),
        (patch("remove", "/apiStages", "x:y"), MISSING),
        (patch("add", "/apiStages", "x"), BAD),
        (patch("replace", "/apiStages", named), BAD),
        (patch("replace", "/apiStages/x:y/throttle/~1a~1GET/rateLimit", "1"), MISSING),
        (patch("replace", f"/apiStages/{named}/throttle/rateLimit", "1"), BAD),
        (patch("replace", f"/apiStages/{named}/other", "1"), BAD),
        (patch("replace", "/nowhere", "1"), BAD),
    ]
    for operation, code in wrong:
        asked = refused(cloud.client.update_usage_plan, usagePlanId=plan_id, patchOperations=[operation])
        assert asked[0] == code, operation
    assert update(cloud, plan_id, patch("remove", "/apiStages", named))["apiStages"] == []


@pytest.mark.parametrize(
    "plan",
    [
        {"quota": {"limit": 1, "period": "DAY", "offset": 1}},
        {"quota": {"limit": 1, "period": "WEEK", "offset": 7}},
        {"quota": {"limit": 1, "period": "MONTH", "offset": 28}},
        {"quota": {"limit": 0, "period": "DAY"}},
        {"quota": {"limit": 1}},
        {"throttle": {"rateLimit": -1.0}},
        {"throttle": {"burstLimit": -1}},
        {"name": " "},
    ],
)
def test_what_is_no_plan_is_refused(cloud, plan):
    assert refused(cloud.client.create_usage_plan, **({"name": "plan"} | plan))[0] == BAD
    assert cloud.client.get_usage_plans()["items"] == []


def test_a_plan_opens_only_stages_that_are_there(cloud):
    asked = refused(
        cloud.client.create_usage_plan, name="plan", apiStages=[{"apiId": "nope", "stage": "dev"}]
    )
    assert asked == (MISSING, "API Stage not found: nope:dev")


def test_a_plan_with_stages_stays_and_one_without_goes(cloud, stage):
    plan_id = cloud.client.create_usage_plan(name="plan", apiStages=[stage])["id"]
    assert refused(cloud.client.delete_usage_plan, usagePlanId=plan_id)[0] == BAD
    cloud.client.delete_stage(restApiId=stage["apiId"], stageName="dev")
    assert cloud.client.get_usage_plan(usagePlanId=plan_id)["apiStages"] == []
    gone = cloud.client.delete_usage_plan(usagePlanId=plan_id)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert refused(cloud.client.get_usage_plan, usagePlanId=plan_id) == (
        MISSING,
        "Invalid Usage Plan ID specified",
    )


def test_keys_join_and_leave_a_plan(cloud):
    plan_id = cloud.client.create_usage_plan(name="plan")["id"]
    key = cloud.client.create_api_key(name="mine")
    at = {"usagePlanId": plan_id, "keyId": key["id"]}
    made = cloud.client.create_usage_plan_key(**at, keyType="API_KEY")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert plain(made) == {"id": key["id"], "type": "API_KEY", "value": key["value"], "name": "mine"}
    assert plain(cloud.client.get_usage_plan_key(**at)) == plain(made)
    assert cloud.client.get_usage_plan_keys(usagePlanId=plan_id, nameQuery="mi")["items"] == [plain(made)]
    assert [one["id"] for one in cloud.client.get_usage_plans(keyId=key["id"])["items"]] == [plan_id]
    assert refused(cloud.client.create_usage_plan_key, **at, keyType="API_KEY")[0] == CONFLICT
    cloud.client.delete_usage_plan_key(**at)
    assert refused(cloud.client.get_usage_plan_key, **at)[0] == MISSING
    assert cloud.client.get_usage_plans(keyId=key["id"])["items"] == []


def test_a_key_that_is_not_there_joins_nothing(cloud):
    plan_id = cloud.client.create_usage_plan(name="plan")["id"]
    call = cloud.client.create_usage_plan_key
    assert refused(call, usagePlanId=plan_id, keyId="nope", keyType="API_KEY") == (
        MISSING,
        "Invalid API Key identifier specified",
    )
    assert refused(call, usagePlanId="nope", keyId="nope", keyType="API_KEY")[0] == MISSING
    key = cloud.client.create_api_key(name="mine")["id"]
    assert refused(call, usagePlanId=plan_id, keyId=key, keyType="OTHER")[0] == BAD


def test_a_key_comes_to_a_stage_by_one_plan_only(cloud, stage):
    key = cloud.client.create_api_key(name="mine")["id"]
    plans = [cloud.client.create_usage_plan(name=name, apiStages=[stage])["id"] for name in "ab"]
    cloud.client.create_usage_plan_key(usagePlanId=plans[0], keyId=key, keyType="API_KEY")
    asked = refused(cloud.client.create_usage_plan_key, usagePlanId=plans[1], keyId=key, keyType="API_KEY")
    assert asked[0] == CONFLICT
