import pytest
from tests.unit.apigateway.rest_kit import patch, plain, refused

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"
VALUE = "a-value-of-twenty-or-more-characters"


def test_a_key_is_made_with_a_value_that_is_a_secret_afterwards(cloud):
    made = plain(cloud.client.create_api_key(name="mine", enabled=True))
    assert 20 <= len(made["value"]) <= 128
    assert made["id"] != made["value"]
    assert (made["enabled"], made["stageKeys"]) == (True, [])
    assert "tags" not in made
    shown = plain(cloud.client.get_api_key(apiKey=made["id"]))
    assert "value" not in shown
    assert shown["tags"] == {}
    assert cloud.client.get_api_key(apiKey=made["id"], includeValue=True)["value"] == made["value"]
    assert "value" not in cloud.client.get_api_keys()["items"][0]
    assert cloud.client.get_api_keys(includeValues=True)["items"][0]["value"] == made["value"]


def test_a_key_is_not_enabled_unless_asked_for(cloud):
    assert cloud.client.create_api_key(name="mine")["enabled"] is False


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("x" * 19, "API Key value should be at least 20 characters"),
        ("x" * 129, "API Key value exceeds maximum size of 128 characters"),
    ],
)
def test_values_have_their_length(cloud, value, sentence):
    assert refused(cloud.client.create_api_key, name="mine", value=value) == (BAD, sentence)


def test_a_value_is_there_once_in_an_account(cloud):
    cloud.client.create_api_key(name="mine", value=VALUE)
    assert refused(cloud.client.create_api_key, name="other", value=VALUE) == (
        CONFLICT,
        "API Key already exists",
    )
    cloud.client_of("210987654321").create_api_key(name="theirs", value=VALUE)


def test_an_id_that_is_the_value_when_asked_for(cloud):
    assert cloud.client.create_api_key(value=VALUE, generateDistinctId=False)["id"] == VALUE


def test_keys_are_found_by_name_and_customer(cloud):
    for name, customer in (("alpha", "c1"), ("alphabet", "c2"), ("beta", "c1")):
        cloud.client.create_api_key(name=name, customerId=customer)

    def names(**query):
        return sorted(one["name"] for one in cloud.client.get_api_keys(**query)["items"])

    assert names(nameQuery="alpha") == ["alpha", "alphabet"]
    assert names(customerId="c1") == ["alpha", "beta"]
    assert names(nameQuery="alpha", customerId="c1") == ["alpha"]


def test_keys_are_patched(cloud):
    api_id, *_ = cloud.deployed()
    at = {"apiKey": cloud.client.create_api_key(name="mine", enabled=True)["id"]}
    cloud.clock.advance(5)
    changed = cloud.client.update_api_key(
        **at,
        patchOperations=[
            patch("replace", "/enabled", "false"),
            patch("replace", "/name", "other"),
            patch("replace", "/description", "said"),
            patch("replace", "/customerId", "c"),
            patch("add", "/stages", f"{api_id}/dev"),
        ],
    )
    assert "value" not in changed
    assert (changed["enabled"], changed["name"], changed["stageKeys"]) == (False, "other", [f"{api_id}/dev"])
    assert changed["lastUpdatedDate"] > changed["createdDate"]
    assert (
        refused(cloud.client.update_api_key, **at, patchOperations=[patch("add", "/stages", "x/y")])[0] == BAD
    )
    assert refused(
        cloud.client.update_api_key, **at, patchOperations=[patch("replace", "/value", VALUE)]
    ) == (BAD, "Invalid patch path /value")


def test_a_deleted_key_is_gone_from_its_plans(cloud):
    key = cloud.client.create_api_key(name="mine")["id"]
    plan = cloud.client.create_usage_plan(name="plan")["id"]
    cloud.client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    gone = cloud.client.delete_api_key(apiKey=key)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert cloud.client.get_usage_plan_keys(usagePlanId=plan)["items"] == []
    assert refused(cloud.client.get_api_key, apiKey=key) == (MISSING, "Invalid API Key identifier specified")


def test_keys_come_from_a_file(cloud):
    plan = cloud.client.create_usage_plan(name="plan")["id"]
    lines = [
        "Name,key,description,Enabled,usageplanIds",
        f'first,{VALUE},said,TRUE,"{plan}"',
        "second,another-value-of-20-characters,,false,",
        "short,tooshort,,true,",
        f"again,{VALUE},,true,",
    ]
    made = cloud.client.import_api_keys(body="\n".join(lines).encode(), format="csv")
    assert len(made["ids"]) == 2
    assert [one.partition(":")[0] for one in made["warnings"]] == ["Line 4", "Line 5"]
    keys = {one["name"]: one for one in cloud.client.get_api_keys(includeValues=True)["items"]}
    assert (keys["first"]["value"], keys["first"]["enabled"]) == (VALUE, True)
    assert keys["second"]["enabled"] is False
    held = cloud.client.get_usage_plan_keys(usagePlanId=plan)["items"]
    assert [one["name"] for one in held] == ["first"]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"a,b\n1,2", b"\n\n"])
def test_what_is_no_file_of_keys_is_refused(cloud, body):
    assert refused(cloud.client.import_api_keys, body=body, format="csv")[0] == BAD


def test_a_file_with_warnings_changes_nothing_when_that_is_asked_for(cloud):
    body = f"name,key\nfirst,{VALUE}\nshort,x".encode()
    asked = refused(cloud.client.import_api_keys, body=body, format="csv", failOnWarnings=True)
    assert asked[0] == BAD
    assert cloud.client.get_api_keys()["items"] == []
