import json

import pytest
from tests.unit.apigateway.rest_kit import ACCOUNT, REGION, patch, plain, refused

BAD, MISSING = "BadRequestException", "NotFoundException"


def update(cloud, api_id, *operations):
    return plain(cloud.client.update_rest_api(restApiId=api_id, patchOperations=list(operations)))


def test_a_new_api_is_shown_as_aws_shows_it(cloud):
    made = plain(cloud.client.create_rest_api(name="pets"))
    assert len(made.pop("id")) == 10
    assert made.pop("rootResourceId")
    assert made.pop("createdDate").timestamp() == cloud.clock.now()
    assert made == {
        "name": "pets",
        "apiKeySource": "HEADER",
        "disableExecuteApiEndpoint": False,
        "endpointConfiguration": {"types": ["EDGE"], "ipAddressType": "ipv4"},
    }


def test_creating_answers_201_and_deleting_202(cloud):
    made = cloud.client.create_rest_api(name="pets")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    gone = cloud.client.delete_rest_api(restApiId=made["id"])
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert cloud.client.get_rest_apis()["items"] == []


def test_tags_are_shown_empty_only_of_a_single_api(cloud):
    api_id, _ = cloud.api()
    assert cloud.client.get_rest_api(restApiId=api_id)["tags"] == {}
    assert "tags" not in cloud.client.get_rest_apis()["items"][0]


def test_an_api_that_is_not_there_is_named_with_its_account(cloud):
    asked = refused(cloud.client.get_rest_api, restApiId="nope")
    assert asked == (MISSING, f"Invalid API identifier specified {ACCOUNT}:nope")


def test_apis_of_another_account_or_region_are_not_seen(cloud):
    api_id, _ = cloud.api()
    for client in (cloud.client_of("210987654321"), cloud.client_of(ACCOUNT, "eu-west-1")):
        assert client.get_rest_apis()["items"] == []
        assert refused(client.get_rest_api, restApiId=api_id)[0] == MISSING
        assert refused(client.delete_rest_api, restApiId=api_id)[0] == MISSING


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"description": ""}, "Description cannot be an empty string"),
        (
            {"minimumCompressionSize": -1},
            "Invalid minimum compression size, must be between 0 and 10485760",
        ),
        (
            {"endpointConfiguration": {"types": []}},
            "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.",
        ),
        (
            {"endpointConfiguration": {"types": ["EDGE", "REGIONAL"]}},
            "Cannot create an api with multiple Endpoint Types.",
        ),
        (
            {"endpointConfiguration": {"types": ["PRIVATE"], "ipAddressType": "ipv4"}},
            "Only dualstack ipAddressType is supported for Private APIs.",
        ),
        (
            {"description": "", "endpointConfiguration": {"types": ["PRIVATE"], "ipAddressType": "ipv4"}},
            "Description cannot be an empty string",
        ),
    ],
)
def test_what_an_api_cannot_be_is_refused_and_nothing_is_made(cloud, given, sentence):
    assert refused(cloud.client.create_rest_api, name="pets", **given) == (BAD, sentence)
    assert cloud.client.get_rest_apis()["items"] == []


def test_a_wrong_endpoint_type_is_a_validation_error(cloud):
    code, message = refused(
        cloud.client.create_rest_api, name="pets", endpointConfiguration={"types": ["wrong"]}
    )
    assert code == "ValidationException"
    assert "Member must satisfy enum value set" in message


def test_private_apis_are_dualstack(cloud):
    made = cloud.client.create_rest_api(name="pets", endpointConfiguration={"types": ["PRIVATE"]})
    assert made["endpointConfiguration"] == {"types": ["PRIVATE"], "ipAddressType": "dualstack"}


def test_binary_media_types_are_added_replaced_and_removed(cloud):
    api_id, _ = cloud.api(description="mine")
    added = update(
        cloud,
        api_id,
        patch("add", "/binaryMediaTypes/image~1png"),
        patch("add", "/binaryMediaTypes/image~1jpeg"),
    )
    assert added["binaryMediaTypes"] == ["image/png", "image/jpeg"]
    replaced = update(cloud, api_id, patch("replace", "/binaryMediaTypes/image~1png", "image/gif"))
    assert replaced["binaryMediaTypes"] == ["image/jpeg", "image/gif"]
    left = update(
        cloud, api_id, patch("remove", "/binaryMediaTypes/image~1gif"), patch("remove", "/description")
    )
    assert left["binaryMediaTypes"] == ["image/jpeg"]
    assert "description" not in left


@pytest.mark.parametrize("op", ["add", "replace", "remove"])
def test_the_list_of_binary_media_types_has_no_path_of_its_own(cloud, op):
    api_id, _ = cloud.api()
    asked = refused(
        cloud.client.update_rest_api,
        restApiId=api_id,
        patchOperations=[patch(op, "/binaryMediaTypes", "image/gif")],
    )
    assert asked == (BAD, "Invalid patch path /binaryMediaTypes")


def test_compression_is_turned_on_and_off(cloud):
    api_id, _ = cloud.api()
    path = "/minimumCompressionSize"
    assert update(cloud, api_id, patch("replace", path, "10"))["minimumCompressionSize"] == 10
    assert "minimumCompressionSize" not in update(cloud, api_id, patch("replace", path))
    assert update(cloud, api_id, patch("replace", path, "0"))["minimumCompressionSize"] == 0
    sentence = "Invalid minimum compression size, must be between 0 and 10485760"
    for value in ("-1", "test", "10485761"):
        asked = refused(
            cloud.client.update_rest_api, restApiId=api_id, patchOperations=[patch("replace", path, value)]
        )
        assert asked == (BAD, sentence)
    asked = refused(
        cloud.client.update_rest_api, restApiId=api_id, patchOperations=[patch("add", path, "10")]
    )
    assert asked == (BAD, "Invalid patch operation specified. Must be one of: [replace]")


def test_an_api_becomes_private_and_stays_dualstack(cloud):
    api_id, _ = cloud.api()
    changed = update(cloud, api_id, patch("replace", "/endpointConfiguration/types/EDGE", "PRIVATE"))
    assert changed["endpointConfiguration"] == {"types": ["PRIVATE"], "ipAddressType": "dualstack"}

    def sentence(*operation):
        return refused(cloud.client.update_rest_api, restApiId=api_id, patchOperations=[patch(*operation)])[1]

    addresses = "/endpointConfiguration/ipAddressType"
    types = "/endpointConfiguration/types/0"
    assert sentence("replace", addresses, "ipv4") == (
        "Only dualstack ipAddressType is supported for Private APIs."
    )
    assert sentence("replace", addresses, "wrong") == "ipAddressType must be either ipv4 or dualstack."
    assert sentence("replace", types, "wrong") == (
        "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE"
    )
    assert sentence("add", addresses, "ipv4") == (
        "Invalid patch operation specified. Must be one of: [replace]"
    )
    assert sentence("copy", types, "EDGE") == (
        "Invalid patch operation specified. Must be 'add'|'remove'|'replace'"
    )


def test_a_patch_that_fails_in_its_second_operation_changes_nothing(cloud):
    api_id, _ = cloud.api(name="before")
    refused(
        cloud.client.update_rest_api,
        restApiId=api_id,
        patchOperations=[patch("replace", "/name", "after"), patch("replace", "/nowhere", "x")],
    )
    assert cloud.client.get_rest_api(restApiId=api_id)["name"] == "before"


def test_a_policy_is_written_out_and_shown_escaped(cloud):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke"}
    given = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": "execute-api:/*"}]})
    made = cloud.client.create_rest_api(name="pets", policy=given)
    shown = json.loads(json.loads(f'"{made["policy"]}"'))
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{made['id']}/*"
    assert shown["Statement"][0]["Resource"] == arn
    assert "policy" not in update(cloud, made["id"], patch("replace", "/policy", ""))


@pytest.mark.parametrize(
    "policy", ["{", "[]", '{"Version":"2012-10-17"}', '{"Statement":[{"Effect":"Maybe"}]}']
)
def test_what_is_no_policy_is_refused(cloud, policy):
    code, message = refused(cloud.client.create_rest_api, name="pets", policy=policy)
    assert code == BAD
    assert message.startswith("Invalid policy document.")


def test_pages_hold_every_api_once(cloud):
    made = [cloud.api(f"api{at}")[0] for at in range(7)]
    seen, position = [], None
    for _ in range(10):
        page = cloud.client.get_rest_apis(limit=3, **({"position": position} if position else {}))
        seen += [one["id"] for one in page["items"]]
        position = page.get("position")
        if position is None:
            break
    assert sorted(seen) == sorted(made)
    assert refused(cloud.client.get_rest_apis, position="nonsense")[0] == BAD


def test_an_api_can_be_made_of_another(cloud):
    api_id, root = cloud.api()
    cloud.mock(api_id, root)
    other = cloud.client.create_rest_api(name="copy", cloneFrom=api_id)["id"]
    items = cloud.client.get_resources(restApiId=other)["items"]
    assert items[0]["resourceMethods"] == {"GET": {}}
    assert refused(cloud.client.create_rest_api, name="copy", cloneFrom="nope")[0] == MISSING


def test_an_api_survives_a_restart_whole(cloud):
    api_id, root, _ = cloud.deployed()
    before = plain(cloud.client.get_resources(restApiId=api_id, embed=["methods"]))
    shown = plain(cloud.client.get_rest_api(restApiId=api_id))
    cloud.reopen()
    assert plain(cloud.client.get_resources(restApiId=api_id, embed=["methods"])) == before
    assert plain(cloud.client.get_rest_api(restApiId=api_id)) == shown
    assert root == shown["rootResourceId"]


def test_an_api_with_mapped_domains_stays(cloud):
    api_id, *_ = cloud.deployed()
    cloud.mapped.add((api_id, ""))
    assert refused(cloud.client.delete_rest_api, restApiId=api_id)[0] == BAD
    assert cloud.published.find(api_id, "dev") is not None


def test_deleting_an_api_takes_everything_of_it_away(cloud):
    api_id, *_ = cloud.deployed()
    cloud.client.delete_rest_api(restApiId=api_id)
    assert cloud.published.find(api_id, "dev") is None
    assert len(cloud.house.records.stages) == len(cloud.house.records.deployments) == 0
