"""VPC links, and tags of everything that has them."""

import pytest
from tests.unit.apigatewayv2.v2_api import ACCOUNT, REGION, refused, shown

BAD, NOT_FOUND = "BadRequestException", "NotFoundException"
LISTENER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:listener/app/x/1/2"


def link(aws, **more):
    return aws.create_vpc_link(Name="link", SubnetIds=["subnet-a", "subnet-b"], **more)


def test_a_link_is_on_its_way_and_then_there(it, aws):
    made = link(aws, SecurityGroupIds=["sg-1"], Tags={"a": "b"})
    where = {"VpcLinkId": made["VpcLinkId"]}
    assert shown(made) == {
        "CreatedDate": made["CreatedDate"],
        "Name": "link",
        "SecurityGroupIds": ["sg-1"],
        "SubnetIds": ["subnet-a", "subnet-b"],
        "Tags": {"a": "b"},
        "VpcLinkId": made["VpcLinkId"],
        "VpcLinkStatus": "PENDING",
        "VpcLinkStatusMessage": "VPC link is provisioning ENIs",
        "VpcLinkVersion": "V2",
    }
    it.clock.advance(2)
    seen = aws.get_vpc_link(**where)
    assert seen["VpcLinkStatus"] == "AVAILABLE"
    assert seen["VpcLinkStatusMessage"] == "VPC link is ready to route traffic"
    assert aws.update_vpc_link(**where, Name="new")["Name"] == "new"
    assert [one["Name"] for one in aws.get_vpc_links()["Items"]] == ["new"]
    assert aws.delete_vpc_link(**where)["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert aws.get_vpc_link(**where)["VpcLinkStatus"] == "DELETING"
    it.clock.advance(2)
    assert aws.get_vpc_links()["Items"] == []
    for ask in (aws.get_vpc_link, aws.update_vpc_link, aws.delete_vpc_link):
        with refused() as refusal:
            ask(**where)
        assert refusal == (NOT_FOUND, f"Invalid VpcLink identifier specified {where['VpcLinkId']}")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"SubnetIds": []}, "SubnetIds for a vpc link cannot be empty"),
        ({"SubnetIds": ["subnet-no"]}, "The subnet ID 'subnet-no' does not exist"),
        (
            {"SubnetIds": ["subnet-a"], "SecurityGroupIds": ["sg-missing"]},
            "The security group 'sg-missing' does not exist",
        ),
        ({"SubnetIds": ["subnet-a", "subnet-x"]}, "All subnets of a vpc link must be in the same VPC"),
    ],
)
def test_what_a_link_cannot_be_told(aws, settings, sentence):
    with refused() as refusal:
        aws.create_vpc_link(Name="link", **settings)
    assert refusal == (BAD, sentence)
    assert aws.get_vpc_links()["Items"] == []


def test_a_link_through_which_a_route_leads_stays(it, aws):
    link_id = link(aws)["VpcLinkId"]
    api_id = it.http()
    integration = aws.create_integration(
        ApiId=api_id,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="ANY",
        IntegrationUri=LISTENER,
        ConnectionType="VPC_LINK",
        ConnectionId=link_id,
    )["IntegrationId"]
    route = it.route(api_id, "GET /", Target=f"integrations/{integration}")
    with refused() as refusal:
        aws.delete_vpc_link(VpcLinkId=link_id)
    assert refusal == (
        BAD,
        f"Cannot delete vpc link. Vpc link '{link_id}', is referenced in [ANY:{route}] in format of [Method:Resource].",
    )
    aws.delete_api(ApiId=api_id)
    aws.delete_vpc_link(VpcLinkId=link_id)


def test_tags_of_apis_stages_and_links(it, aws):
    api_id = it.http(Tags={"one": "1"})
    aws.create_stage(ApiId=api_id, StageName="$default", Tags={"one": "1"})
    link_id = link(aws, Tags={"one": "1"})["VpcLinkId"]
    seen = {
        f"/apis/{api_id}": lambda: aws.get_api(ApiId=api_id),
        f"/apis/{api_id}/stages/$default": lambda: aws.get_stage(ApiId=api_id, StageName="$default"),
        f"/vpclinks/{link_id}": lambda: aws.get_vpc_link(VpcLinkId=link_id),
    }
    for path, show in seen.items():
        arn = f"arn:aws:apigateway:{REGION}::{path}"
        assert aws.get_tags(ResourceArn=arn)["Tags"] == {"one": "1"}, path
        answer = aws.tag_resource(ResourceArn=arn, Tags={"one": "uno", "two": "2"})
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
        assert show()["Tags"] == {"one": "uno", "two": "2"}
        aws.untag_resource(ResourceArn=arn, TagKeys=["one", "never"])
        assert show()["Tags"] == aws.get_tags(ResourceArn=arn)["Tags"] == {"two": "2"}


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("nonsense", BAD),
        ("arn:aws:s3:::bucket", BAD),
        (f"arn:aws:apigateway:{REGION}::/apis", NOT_FOUND),
        (f"arn:aws:apigateway:{REGION}::/apis/missing", NOT_FOUND),
        (f"arn:aws:apigateway:{REGION}::/apis/missing/stages/x", NOT_FOUND),
        (f"arn:aws:apigateway:{REGION}::/restapis/x", NOT_FOUND),
        (f"arn:aws:apigateway:{REGION}::/vpclinks/x", NOT_FOUND),
        ("arn:aws:apigateway:eu-west-1::/apis/missing", NOT_FOUND),
    ],
)
def test_tags_of_what_is_not_there(aws, arn, code):
    for ask in (
        lambda: aws.get_tags(ResourceArn=arn),
        lambda: aws.tag_resource(ResourceArn=arn, Tags={"a": "b"}),
        lambda: aws.untag_resource(ResourceArn=arn, TagKeys=["a"]),
    ):
        with refused() as refusal:
            ask()
        assert refusal.code == code


def test_fifty_tags_are_enough(it, aws):
    arn = f"arn:aws:apigateway:{REGION}::/apis/{it.http(Tags={str(n): '' for n in range(50)})}"
    aws.tag_resource(ResourceArn=arn, Tags={"7": "seven"})
    with refused() as refusal:
        aws.tag_resource(ResourceArn=arn, Tags={"new": ""})
    assert refusal.code == BAD
    assert len(aws.get_tags(ResourceArn=arn)["Tags"]) == 50
