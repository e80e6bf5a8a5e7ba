"""The small nouns: links, the account, tags, client certificates, documentation; and the doors for other rooms."""

import asyncio

import msgspec
import pytest
from cryptography import x509
from tests.unit.apigateway.rest_kit import ACCOUNT, FUNCTION_URI, REGION, Cloud, patch, plain, refused

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.rest import Resource
from cumulo.wire.service import Operation

BAD, MISSING, CONFLICT = "BadRequestException", "NotFoundException", "ConflictException"
TARGET = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/net/web/1234"
CALLER = Caller(account=ACCOUNT, region=REGION)


# -- links ---------------------------------------------------------------------------------------------------


def test_a_link_is_pending_and_then_available(cloud):
    made = cloud.client.create_vpc_link(name="link", targetArns=[TARGET])
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    at = {"vpcLinkId": made["id"]}
    assert plain(made) == {
        "id": made["id"],
        "name": "link",
        "status": "PENDING",
        "targetArns": [TARGET],
    }
    ready = {"status": "AVAILABLE", "statusMessage": "Your vpc link is ready for use"}
    assert plain(cloud.client.get_vpc_link(**at)) == plain(made) | ready | {"tags": {}}
    assert cloud.client.get_vpc_links()["items"] == [plain(made) | ready]
    changed = cloud.client.update_vpc_link(**at, patchOperations=[patch("replace", "/name", "other")])
    assert changed["name"] == "other"
    cloud.client.delete_vpc_link(**at)
    for call in (cloud.client.get_vpc_link, cloud.client.delete_vpc_link, cloud.client.update_vpc_link):
        assert refused(call, **at) == (MISSING, "Invalid Vpc Link identifier specified")


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"name": "x", "targetArns": ["invalid-arn"]}, "Invalid ARN. ARN is not well formed invalid-arn"),
        ({"name": "", "targetArns": [TARGET]}, "Name cannot be empty"),
    ],
)
def test_what_is_no_link_is_refused(cloud, link, sentence):
    assert refused(cloud.client.create_vpc_link, **link) == (BAD, sentence)


def test_a_link_that_a_stage_uses_stays(cloud):
    link = cloud.client.create_vpc_link(name="link", targetArns=[TARGET])["id"]
    api_id, root = cloud.api()
    cloud.method(api_id, root)
    cloud.client.put_integration(
        restApiId=api_id,
        resourceId=root,
        httpMethod="GET",
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri="http://x.example.com",
        connectionType="VPC_LINK",
        connectionId=link,
    )
    cloud.client.create_deployment(restApiId=api_id, stageName="dev")
    assert refused(cloud.client.delete_vpc_link, vpcLinkId=link) == (
        BAD,
        f"Cannot delete vpc link. Vpc link '{link}', is referenced in [GET:{root}:dev] in format of "
        "[Method:Resource:Stage]",
    )


# -- the account ---------------------------------------------------------------------------------------------


def test_an_account_shows_its_limits_and_keeps_a_role(cloud):
    shown = plain(cloud.client.get_account())
    assert shown == {
        "throttleSettings": {"burstLimit": 5000, "rateLimit": 10000.0},
        "features": ["UsagePlans"],
        "apiKeyVersion": "4",
    }
    role = f"arn:aws:iam::{ACCOUNT}:role/logs"

    def set_role(value):
        return plain(
            cloud.client.update_account(patchOperations=[patch("replace", "/cloudwatchRoleArn", value)])
        )

    assert set_role(role) == shown | {"cloudwatchRoleArn": role}
    cloud.reopen()
    assert cloud.client.get_account()["cloudwatchRoleArn"] == role
    assert set_role("") == shown
    for wrong in ("role", "arn:aws:s3:::bucket", f"arn:aws:iam::{ACCOUNT}:user/x"):
        asked = refused(
            cloud.client.update_account, patchOperations=[patch("replace", "/cloudwatchRoleArn", wrong)]
        )
        assert asked[0] == BAD


# -- tags ----------------------------------------------------------------------------------------------------


def arns(cloud):
    api_id, *_ = cloud.deployed()
    key = cloud.client.create_api_key(name="k")["id"]
    plan = cloud.client.create_usage_plan(name="p")["id"]
    link = cloud.client.create_vpc_link(name="l", targetArns=[TARGET])["id"]
    return [
        f"arn:aws:apigateway:{REGION}::/{path}"
        for path in (
            f"restapis/{api_id}",
            f"restapis/{api_id}/stages/dev",
            f"apikeys/{key}",
            f"usageplans/{plan}",
            f"vpclinks/{link}",
        )
    ]


def test_everything_with_an_arn_is_tagged_and_untagged(cloud):
    for arn in arns(cloud):
        done = cloud.client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
        assert done["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert cloud.client.get_tags(resourceArn=arn)["tags"] == {"a": "1", "b": "2"}
        cloud.client.untag_resource(resourceArn=arn, tagKeys=["a", "c"])
        assert cloud.client.get_tags(resourceArn=arn)["tags"] == {"b": "2"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("restapis/nope", MISSING),
        ("restapis/nope/stages/dev", MISSING),
        ("apikeys/nope", MISSING),
        ("domainnames/nope", BAD),
        ("nonsense/x", BAD),
        ("restapis", BAD),
    ],
)
def test_what_is_not_there_has_no_tags(cloud, path, code):
    asked = refused(cloud.client.get_tags, resourceArn=f"arn:aws:apigateway:{REGION}::/{path}")
    assert asked[0] == code


@pytest.mark.parametrize(
    "tags",
    [{"aws:x": "1"}, {"": "1"}, {"x" * 129: "1"}, {"x": "y" * 257}, {f"k{at}": "" for at in range(51)}],
)
def test_tags_that_aws_refuses(cloud, tags):
    api_id, _ = cloud.api()
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{api_id}"
    assert refused(cloud.client.tag_resource, resourceArn=arn, tags=tags)[0] == BAD
    assert cloud.client.get_tags(resourceArn=arn)["tags"] == {}


class Domains:
    def __init__(self):
        self.kept = {"example.com": {"a": "1"}}

    def tags(self, account, region, name):
        assert (account, region) == (ACCOUNT, REGION)
        return self.kept.get(name)

    def put_tags(self, account, region, name, tags):
        self.kept[name] = dict(tags)


def test_others_have_tags_by_hand_in(tmp_path):
    cloud = Cloud(tmp_path, tagged={"domainnames": Domains()})
    try:
        arn = f"arn:aws:apigateway:{REGION}::/domainnames/example.com"
        cloud.client.tag_resource(resourceArn=arn, tags={"b": "2"})
        assert cloud.client.get_tags(resourceArn=arn)["tags"] == {"a": "1", "b": "2"}
        other = arn.replace("example", "other")
        assert refused(cloud.client.get_tags, resourceArn=other)[0] == MISSING
    finally:
        cloud.close()


# -- certificates --------------------------------------------------------------------------------------------


def test_a_client_certificate_is_a_certificate_and_its_key_is_never_shown(cloud):
    made = plain(cloud.client.generate_client_certificate(description="mine"))
    parsed = x509.load_pem_x509_certificate(made["pemEncodedCertificate"].encode())
    assert parsed.not_valid_after_utc == made["expirationDate"]
    assert not any("PRIVATE" in str(value) for value in made.values())
    at = {"clientCertificateId": made["clientCertificateId"]}
    api_id, *_ = cloud.deployed()
    use = patch("replace", "/clientCertificateId", made["clientCertificateId"])
    cloud.client.update_stage(restApiId=api_id, stageName="dev", patchOperations=[use])
    assert refused(cloud.client.delete_client_certificate, **at)[0] == CONFLICT
    wrong = patch("replace", "/clientCertificateId", "nope")
    asked = refused(cloud.client.update_stage, restApiId=api_id, stageName="dev", patchOperations=[wrong])
    assert asked == (BAD, "Invalid Client Certificate identifier specified")
    changed = cloud.client.update_client_certificate(
        **at, patchOperations=[patch("replace", "/description", "other")]
    )
    assert changed["description"] == "other"
    assert len(cloud.client.get_client_certificates()["items"]) == 1


# -- documentation -------------------------------------------------------------------------------------------


def test_parts_are_written_and_kept_as_versions(cloud):
    api_id, *_ = cloud.deployed()
    api = {"restApiId": api_id}
    made = plain(
        cloud.client.create_documentation_part(**api, location={"type": "API"}, properties='{"foo": "bar"}')
    )
    at = api | {"documentationPartId": made["id"]}
    assert made == {"id": made["id"], "location": {"type": "API"}, "properties": '{"foo": "bar"}'}
    asked = refused(cloud.client.create_documentation_part, **api, location={"type": "API"}, properties="{}")
    assert asked[0] == CONFLICT
    changed = cloud.client.update_documentation_part(
        **at, patchOperations=[patch("replace", "/properties", '{"a": 1}')]
    )
    assert changed["properties"] == '{"a": 1}'
    assert refused(
        cloud.client.update_documentation_part, **at, patchOperations=[patch("add", "/properties", "{}")]
    ) == (
        BAD,
        "Invalid patch path  '/properties' specified for op 'add'. Please choose supported operations",
    )
    assert refused(
        cloud.client.update_documentation_part, **at, patchOperations=[patch("replace", "/invalidPath", "x")]
    ) == (
        BAD,
        "Invalid patch path  '/invalidPath' specified for op 'replace'. Must be one of: [/properties]",
    )
    version = plain(
        cloud.client.create_documentation_version(**api, documentationVersion="v123", stageName="dev")
    )
    assert version.keys() == {"version", "createdDate"}
    stage = cloud.client.get_stage(restApiId=api_id, stageName="dev")
    assert stage["documentationVersion"] == "v123"
    described = cloud.client.update_documentation_version(
        **api,
        documentationVersion="v123",
        patchOperations=[patch("replace", "/description", "doc version new")],
    )
    assert described["description"] == "doc version new"
    assert (
        refused(cloud.client.delete_documentation_version, **api, documentationVersion="v123")[0] == CONFLICT
    )
    cloud.client.delete_documentation_part(**at)
    assert refused(cloud.client.get_documentation_part, **at) == (
        MISSING,
        "Invalid Documentation part identifier specified",
    )
    assert cloud.client.get_documentation_parts(**api)["items"] == []


@pytest.mark.parametrize("properties", ["", "x", "[]", "[" * 100_000])
def test_what_are_no_properties_is_refused(cloud, properties):
    api_id, _ = cloud.api()
    asked = refused(
        cloud.client.create_documentation_part,
        restApiId=api_id,
        location={"type": "API"},
        properties=properties,
    )
    assert asked[0] == BAD


# -- for other rooms -----------------------------------------------------------------------------------------


def test_contents_are_read_and_replaced_whole(cloud):
    api_id, root, _ = cloud.deployed()
    contents = cloud.house.contents
    before = contents.definition_of(CALLER, api_id)
    more = Resource(id="abc123", path="/x", parent_id=root, path_part="x")
    after = msgspec.structs.replace(before, resources=(*before.resources, more), account="other")
    asyncio.run(contents.replace_contents(CALLER, api_id, after))
    cloud.reopen()
    paths = [one["path"] for one in cloud.client.get_resources(restApiId=api_id)["items"]]
    assert paths == ["/", "/x"]
    assert cloud.house.contents.definition_of(CALLER, api_id).account == ACCOUNT
    assert len(cloud.compiled(api_id, "dev").definition.resources) == 1


def test_methods_and_authorizers_are_tried_by_what_was_handed_in(tmp_path):
    async def try_method(definition, resource, method, values):
        return {
            "status": 200,
            "body": f"{definition.name} {resource.path} {method.http_method} {values['body']}",
        }

    async def try_authorizer(definition, authorizer, values):
        return {"clientStatus": 200, "principalId": f"{definition.name} {authorizer.name} {values['body']}"}

    cloud = Cloud(tmp_path, try_method=try_method, try_authorizer=try_authorizer)
    try:
        api_id, root, _ = cloud.deployed()
        at = {"restApiId": api_id, "resourceId": root}
        tried = cloud.client.test_invoke_method(**at, httpMethod="GET", body="x")
        assert (tried["status"], tried["body"]) == (200, "pets / GET x")
        asked = refused(cloud.client.test_invoke_method, **at, httpMethod="PUT")
        assert asked == (MISSING, "Invalid Method identifier specified")
        who = cloud.client.create_authorizer(
            restApiId=api_id,
            name="who",
            type="TOKEN",
            authorizerUri=FUNCTION_URI,
            identitySource="method.request.header.A",
        )["id"]
        tried = cloud.client.test_invoke_authorizer(restApiId=api_id, authorizerId=who, body="y")
        assert tried["principalId"] == "pets who y"
    finally:
        cloud.close()


def test_what_nobody_can_try_is_refused_by_name(cloud):
    api_id, root, _ = cloud.deployed()
    code, _ = refused(cloud.client.test_invoke_method, restApiId=api_id, resourceId=root, httpMethod="GET")
    assert code == "NotImplemented"


def test_operations_that_are_built_elsewhere_are_taken_in(tmp_path):
    async def export(caller, values):
        return {"body": b"{}", "contentType": "application/json"}

    cloud = Cloud(tmp_path, more={"GetExport": Operation(export)})
    try:
        api_id, *_ = cloud.deployed()
        made = cloud.client.get_export(restApiId=api_id, stageName="dev", exportType="oas30")
        assert made["body"].read() == b"{}"
    finally:
        cloud.close()


def test_the_bill_finds_tags_and_calls_find_links(cloud):
    api_id, _ = cloud.api(tags={"team": "pets"})
    link = cloud.client.create_vpc_link(name="link", targetArns=[TARGET])["id"]
    house = cloud.house
    assert house.tags_of(ACCOUNT, REGION, api_id) == {"team": "pets"}
    assert house.tags_of("210987654321", REGION, api_id) == house.tags_of(ACCOUNT, REGION, "nope") == {}
    assert house.link_target(ACCOUNT, REGION, link) == TARGET
    assert house.link_target("210987654321", REGION, link) == ""


def test_a_reset_forgets_everything(cloud):
    api_id, *_ = cloud.deployed()
    cloud.client.create_api_key(name="mine")
    asyncio.run(cloud.house.reset())
    assert cloud.client.get_rest_apis()["items"] == cloud.client.get_api_keys()["items"] == []
    assert cloud.published.find(api_id, "dev") is None
