"""APIs made and replaced as wholes, guards, and which operations there are."""

import asyncio

import pytest
from tests.unit.apigatewayv2.v2_api import ACCOUNT, FUNCTION, INVOKE, REGION, refused

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.definitions.v2 import Integration, Route
from cumulo.services.apigatewayv2.refusals import conflict

CALLER = Caller(account=ACCOUNT, region=REGION, endpoint="http://127.0.0.1:4566")
CALLS = Integration(
    id="aaaaaaa", integration_type="AWS_PROXY", integration_uri=INVOKE, payload_format_version="2.0"
)


def replaced(struct, **changes):
    import msgspec

    return msgspec.structs.replace(struct, **changes)


def with_routes(definition, *keys):
    return replaced(
        definition,
        name="brought",
        integrations={CALLS.id: CALLS},
        routes=tuple(
            Route(id=f"r{number}", route_key=key, target=f"integrations/{CALLS.id}")
            for number, key in enumerate(keys)
        ),
    )


def test_an_api_is_made_of_a_definition(it, aws):
    contents = it.house.contents
    definition = with_routes(contents.blank(CALLER, "HTTP"), "GET /a", "GET /b")
    api = asyncio.run(
        contents.assemble(definition, description="d", version="2", tags={"a": "b"}, warnings=["w"])
    )
    seen = aws.get_api(ApiId=api.id)
    assert (seen["Name"], seen["Description"], seen["Version"], seen["Warnings"]) == (
        "brought",
        "d",
        "2",
        ["w"],
    )
    assert contents.view(api, CALLER)["ApiId"] == api.id
    assert {one["RouteKey"] for one in aws.get_routes(ApiId=api.id)["Items"]} == {"GET /a", "GET /b"}
    assert it.house.definition_of(api.id) == definition


def test_contents_are_replaced_at_once_and_deployed_where_stages_do_so(it, aws):
    api_id = it.http(Target=FUNCTION, Description="stays")
    contents = it.house.contents
    api = contents.find(CALLER, api_id)
    asyncio.run(contents.replace_contents(api, with_routes(contents.blank(CALLER, "HTTP"), "GET /a")))
    assert [one["RouteKey"] for one in aws.get_routes(ApiId=api_id)["Items"]] == ["GET /a"]
    assert [one["IntegrationId"] for one in aws.get_integrations(ApiId=api_id)["Items"]] == [CALLS.id]
    assert aws.get_api(ApiId=api_id)["Description"] == "stays"
    compiled = it.compiled(api_id)
    assert compiled.definition.api_id == api_id
    assert [one.route_key for one in compiled.definition.routes] == ["GET /a"]


@pytest.mark.parametrize("keys", [("GET /a", "GET /a"), ("nonsense",)])
def test_contents_that_do_not_hold_change_nothing(it, aws, keys):
    api_id = it.http(Target=FUNCTION)
    contents = it.house.contents
    before = it.house.definition_of(api_id)
    with pytest.raises(AwsError):
        asyncio.run(
            contents.replace_contents(
                contents.find(CALLER, api_id), with_routes(contents.blank(CALLER, "HTTP"), *keys)
            )
        )
    assert it.house.definition_of(api_id) == before


def test_who_needs_an_api_is_asked_before_it_goes(it, aws):
    api_id = it.http(Target=FUNCTION)
    aws.create_stage(ApiId=api_id, StageName="a")
    asked = []

    def ask(api, stage):
        asked.append((api.id, stage))
        raise conflict("somebody needs it")

    it.house.guard(ask)
    for delete in (
        lambda: aws.delete_api(ApiId=api_id),
        lambda: aws.delete_stage(ApiId=api_id, StageName="a"),
    ):
        with refused() as refusal:
            delete()
        assert refusal == ("ConflictException", "somebody needs it")
    assert asked == [(api_id, None), (api_id, "a")]
    assert len(aws.get_stages(ApiId=api_id)["Items"]) == 2


def test_a_stage_can_be_looked_for_by_who_maps_to_it(it):
    api_id = it.http(Target=FUNCTION, Tags={"a": "b"})
    assert it.house.has_stage(ACCOUNT, REGION, api_id, "$default")
    assert not it.house.has_stage(ACCOUNT, REGION, api_id, "other")
    assert not it.house.has_stage("999999999999", REGION, api_id, "$default")
    assert it.house.tags_of(ACCOUNT, REGION, api_id) == {"a": "b"}


def test_others_may_keep_the_tags_of_other_things(it, aws):
    class Keeper:
        def __init__(self):
            self.kept = {"x": "1"}

        def tags(self, _caller, path):
            return self.kept if path == ["domainnames", "example.com"] else None

        def retag(self, _caller, _path, tags):
            self.kept = dict(tags)

    it.house.keep_tags("domainnames", Keeper())
    arn = f"arn:aws:apigateway:{REGION}::/domainnames/example.com"
    aws.tag_resource(ResourceArn=arn, Tags={"y": "2"})
    assert aws.get_tags(ResourceArn=arn)["Tags"] == {"x": "1", "y": "2"}


def test_the_operations_that_are_built(it):
    nouns = ("Api", "Authorizer", "Deployment", "Integration", "IntegrationResponse", "Model", "Route")
    nouns += ("RouteResponse", "Stage", "VpcLink")
    built = {f"{verb}{noun}" for verb in ("Create", "Get", "Update", "Delete") for noun in nouns}
    built |= {f"Get{noun}s" for noun in nouns} | {"GetTags", "TagResource", "UntagResource"}
    built |= {"DeleteAccessLogSettings", "DeleteCorsConfiguration", "DeleteRouteRequestParameter"}
    built |= {"DeleteRouteSettings", "GetModelTemplate", "ResetAuthorizersCache"}
    built |= {"ExportApi", "ImportApi", "ReimportApi"}
    assert set(it.house.service().operations) == built


def test_what_is_not_built_is_refused_by_name(aws):
    with refused() as refusal:
        aws.create_routing_rule(DomainName="x", Actions=[], Conditions=[], Priority=1)
    assert (refusal.code, refusal.status) == ("NotImplemented", 501)
