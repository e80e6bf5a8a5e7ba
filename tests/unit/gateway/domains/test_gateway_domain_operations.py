"""Custom domain names and mappings through both versions of the API."""

import asyncio
from pathlib import Path

import pytest
from tests.tls_kit import BROKEN, Authority, pem, private
from tests.unit.gateway.domains.domain_door import ACCOUNT, HTTP, REST, SOCKETS, Door, arn, refused

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.domains.desk import V1, V2
from cumulo.gateway.domains.wishes import Wish

NAME = "api.example.com"


@pytest.fixture
def it(tmp_path: Path):
    made = Door(tmp_path)
    yield made
    made.close()


# -- the first version ---------------------------------------------------------------------------------------


def test_a_regional_name_has_what_dns_needs(it: Door):
    made = it.regional(tags={"a": "b"}, regionalCertificateName="mine")
    assert made["domainName"] == NAME
    assert made["domainNameArn"] == f"arn:aws:apigateway:eu-west-1::/domainnames/{NAME}"
    assert made["regionalDomainName"].startswith("d-")
    assert made["regionalDomainName"].endswith(".execute-api.eu-west-1.amazonaws.com")
    assert made["regionalHostedZoneId"] == "ZLY8HYME6SFDD"
    assert made["endpointConfiguration"] == {"types": ["REGIONAL"], "ipAddressType": "ipv4"}
    assert (made["domainNameStatus"], made["securityPolicy"]) == ("AVAILABLE", "TLS_1_2")
    assert (made["regionalCertificateName"], made["tags"]) == ("mine", {"a": "b"})
    shown = it.v1.get_domain_name(domainName=NAME)
    del made["ResponseMetadata"], shown["ResponseMetadata"]
    assert shown == made
    assert [one["domainName"] for one in it.v1.get_domain_names()["items"]] == [NAME]
    assert it.v1.get_domain_names(resourceOwner="OTHER_ACCOUNTS")["items"] == []


def test_an_edge_name_has_a_distribution(it: Door):
    made = it.v1.create_domain_name(domainName=NAME, certificateArn=arn("good", "us-east-1"))
    assert made["distributionDomainName"].endswith(".cloudfront.net")
    assert made["distributionHostedZoneId"] == "Z2FDTNDATAQYW2"
    assert made["endpointConfiguration"]["types"] == ["EDGE"]
    assert "regionalDomainName" not in made


def test_names_are_unique_and_survive(it: Door):
    made = it.regional()
    with refused("BadRequestException", "The domain name you provided already exists."):
        it.regional()
    stranger, _ = it.clients("210987654321")
    with refused("BadRequestException", "The domain name you provided already exists."):
        stranger.create_domain_name(
            domainName=NAME,
            regionalCertificateArn=arn("good", account="210987654321"),
            endpointConfiguration={"types": ["REGIONAL"]},
        )
    with refused("NotFoundException", "Invalid domain name identifier specified"):
        stranger.get_domain_name(domainName=NAME)
    it.reopen()
    assert it.v1.get_domain_name(domainName=NAME)["regionalDomainName"] == made["regionalDomainName"]
    assert it.directory.knows(NAME)


def test_the_same_name_may_be_regional_in_two_regions(it: Door):
    it.regional()
    elsewhere, _ = it.clients(ACCOUNT, "us-west-2")
    made = elsewhere.create_domain_name(
        domainName=NAME,
        regionalCertificateArn=arn("good", "us-west-2"),
        endpointConfiguration={"types": ["REGIONAL"]},
    )
    assert made["regionalHostedZoneId"] == "Z2OJLYMUO9EFXC"


def test_certificates_must_be_there_and_cover_the_name(it: Door):
    with refused("BadRequestException", "The provided certificate does not exist."):
        it.regional(regionalCertificateArn=arn("none"))
    with refused(
        "BadRequestException", "The certificate provided must be owned by the account creating the domain."
    ):
        it.regional(regionalCertificateArn=arn("good", account="210987654321"))
    with refused("BadRequestException", "does not cover the domain name api.example.org"):
        it.regional("api.example.org")
    with refused("BadRequestException", "A certificate was not provided for the endpoint type REGIONAL."):
        it.v1.create_domain_name(domainName=NAME, endpointConfiguration={"types": ["REGIONAL"]})
    assert it.v1.get_domain_names()["items"] == [], "nothing was made"


def test_a_certificate_may_be_handed_in_with_its_key(it: Door):
    certificate, key = Authority("own").issue(NAME)
    handed = {"certificateName": "x", "certificateBody": pem(certificate).decode()}
    with refused("BadRequestException", "certificatePrivateKey"):
        it.v1.create_domain_name(domainName=NAME, **handed)
    other = private(Authority("other").key).decode()
    with refused("BadRequestException", "not its own"):
        it.v1.create_domain_name(domainName=NAME, **handed, certificatePrivateKey=other)
    made = it.v1.create_domain_name(domainName=NAME, **handed, certificatePrivateKey=private(key).decode())
    assert made["certificateName"] == "x"
    assert "certificateArn" not in made


def test_what_is_not_built_is_refused_by_name(it: Door):
    for more in (
        {"routingMode": "ROUTING_RULE_ONLY"},
        {"endpointConfiguration": {"types": ["PRIVATE"]}},
        {"policy": "{}"},
    ):
        with refused("NotImplemented"):
            it.regional(**more)


def test_only_private_names_have_ids_and_endpoints_in_networks(it: Door):
    it.regional()
    with refused("NotFoundException", "Invalid domain name identifier specified"):
        it.v1.get_domain_name(domainName=NAME, domainNameId="abc")
    with refused("NotFoundException", "Invalid domain name identifier specified"):
        it.v1.create_base_path_mapping(domainName=NAME, domainNameId="abc", restApiId=REST)
    with refused("BadRequestException", "VPC endpoint IDs"):
        it.regional(
            "b.example.com", endpointConfiguration={"types": ["REGIONAL"], "vpcEndpointIds": ["vpce-1"]}
        )


def test_patches_change_what_they_name(it: Door):
    it.regional()
    made = it.patch(
        NAME,
        ("replace", "/regionalCertificateArn", arn("other")),
        ("replace", "/securityPolicy", "TLS_1_0"),
        ("replace", "/endpointConfiguration/ipAddressType", "dualstack"),
    )
    assert (made["regionalCertificateArn"], made["securityPolicy"]) == (arn("other"), "TLS_1_0")
    assert made["endpointConfiguration"]["ipAddressType"] == "dualstack"
    with refused("BadRequestException", "The provided certificate does not exist."):
        it.patch(NAME, ("replace", "/regionalCertificateArn", arn("none")))
    with refused("BadRequestException", "Invalid patch path /domainName"):
        it.patch(NAME, ("replace", "/domainName", "x.example.com"))
    with refused("NotImplemented", "ROUTING_RULE_ONLY"):
        it.patch(NAME, ("replace", "/routingMode", "ROUTING_RULE_ONLY"))
    with refused("NotFoundException", "Invalid domain name identifier specified"):
        it.patch("none.example.com")
    assert it.v1.get_domain_name(domainName=NAME)["regionalCertificateArn"] == arn("other")


@pytest.mark.parametrize("path", ["/endpointConfiguration/types/0", "/endpointConfiguration/types/EDGE"])
def test_a_name_moves_from_edge_to_regional(it: Door, path: str):
    it.v1.create_domain_name(domainName=NAME, certificateArn=arn("good", "us-east-1"))
    made = it.patch(NAME, ("replace", "/regionalCertificateArn", arn("good")), ("replace", path, "REGIONAL"))
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert "distributionDomainName" not in made
    with refused("BadRequestException", "Invalid patch path"):
        it.patch(NAME, ("replace", "/endpointConfiguration/types/EDGE", "REGIONAL"))


def test_a_name_may_have_both_endpoints_on_its_way(it: Door):
    edge = it.v1.create_domain_name(domainName=NAME, certificateArn=arn("good", "us-east-1"))
    both = it.patch(
        NAME,
        ("add", "/endpointConfiguration/types", "REGIONAL"),
        ("add", "/regionalCertificateArn", arn("good")),
    )
    assert both["endpointConfiguration"]["types"] == ["EDGE", "REGIONAL"]
    assert both["distributionDomainName"] == edge["distributionDomainName"]
    done = it.patch(NAME, ("remove", "/endpointConfiguration/types", "EDGE"))
    assert done["regionalDomainName"] == both["regionalDomainName"]
    assert "certificateArn" not in done


def test_base_paths_of_rest_apis(it: Door):
    it.regional()
    made = it.v1.create_base_path_mapping(domainName=NAME, restApiId=REST, stage="prod", basePath="v1")
    assert (made["basePath"], made["restApiId"], made["stage"]) == ("v1", REST, "prod")
    bare = it.v1.create_base_path_mapping(domainName=NAME, restApiId=REST)
    assert (bare["basePath"], "stage" in bare) == ("(none)", False)
    with refused("ConflictException", "Base path already exists for this domain name"):
        it.v1.create_base_path_mapping(domainName=NAME, restApiId=REST, basePath="v1")
    with refused("BadRequestException", "Invalid REST API identifier specified"):
        it.v1.create_base_path_mapping(domainName=NAME, restApiId="nothing", basePath="x")
    with refused("BadRequestException", "Invalid stage identifier specified"):
        it.v1.create_base_path_mapping(domainName=NAME, restApiId=REST, basePath="x", stage="none")
    with refused("BadRequestException", "doesn't support the slash character"):
        it.v1.create_base_path_mapping(domainName=NAME, restApiId=REST, basePath="a/b")
    with refused("BadRequestException", "Mixing of REST APIs and HTTP APIs"):
        it.v1.create_base_path_mapping(domainName=NAME, restApiId=HTTP, basePath="x", stage="prod")
    assert [one["basePath"] for one in it.v1.get_base_path_mappings(domainName=NAME)["items"]] == [
        "(none)",
        "v1",
    ]
    changed = it.v1.update_base_path_mapping(
        domainName=NAME,
        basePath="v1",
        patchOperations=[
            {"op": "replace", "path": "/basePath", "value": "v2"},
            {"op": "remove", "path": "/stage"},
        ],
    )
    assert (changed["basePath"], "stage" in changed) == ("v2", False)
    with refused("ConflictException", "Base path already exists"):
        it.v1.update_base_path_mapping(
            domainName=NAME,
            basePath="v2",
            patchOperations=[{"op": "replace", "path": "/basePath", "value": "(none)"}],
        )
    it.v1.delete_base_path_mapping(domainName=NAME, basePath="(none)")
    with refused("NotFoundException", "Invalid base path mapping identifier specified"):
        it.v1.get_base_path_mapping(domainName=NAME, basePath="(none)")
    assert it.desk.mapped_by(REST) == [NAME]
    it.v1.delete_domain_name(domainName=NAME)
    assert it.desk.mapped_by(REST) == []
    assert it.directory.find(NAME, "/v2/prod") is None


# -- the second version --------------------------------------------------------------------------------------


def test_the_second_version_makes_regional_names(it: Door):
    made = it.v2.create_domain_name(
        DomainName=NAME,
        DomainNameConfigurations=[{"CertificateArn": arn("good"), "EndpointType": "REGIONAL"}],
        Tags={"a": "b"},
    )
    assert made["ApiMappingSelectionExpression"] == "$request.basepath"
    (one,) = made["DomainNameConfigurations"]
    assert one["CertificateArn"] == arn("good")
    assert (one["EndpointType"], one["SecurityPolicy"], one["IpAddressType"]) == (
        "REGIONAL",
        "TLS_1_2",
        "ipv4",
    )
    shown = it.v2.get_domain_name(DomainName=NAME)
    del made["ResponseMetadata"], shown["ResponseMetadata"]
    assert shown == made
    with refused("ConflictException", "The domain name you provided already exists."):
        it.v2.create_domain_name(DomainName=NAME, DomainNameConfigurations=[{"CertificateArn": arn("good")}])
    for bad in ({"EndpointType": "EDGE"}, {"SecurityPolicy": "TLS_1_0"}):
        with refused("BadRequestException", "Only REGIONAL domain names with a security policy of TLS 1.2"):
            it.v2.create_domain_name(
                DomainName="b.example.com", DomainNameConfigurations=[{"CertificateArn": arn("good"), **bad}]
            )
    changed = it.v2.update_domain_name(
        DomainName=NAME,
        DomainNameConfigurations=[{"CertificateArn": arn("other"), "IpAddressType": "dualstack"}],
    )
    (two,) = changed["DomainNameConfigurations"]
    assert (two["CertificateArn"], two["IpAddressType"]) == (arn("other"), "dualstack")
    assert two["ApiGatewayDomainName"] == one["ApiGatewayDomainName"]
    with refused("BadRequestException", "Invalid input. Expected one domain name configuration"):
        it.v2.update_domain_name(DomainName=NAME, DomainNameConfigurations=[])
    it.v2.delete_domain_name(DomainName=NAME)
    assert it.v2.get_domain_names()["Items"] == []


def test_what_only_the_first_version_may_change_is_left_to_it(it: Door):
    it.regional(securityPolicy="TLS_1_0")
    for call in (
        lambda: it.v2.update_domain_name(DomainName=NAME),
        lambda: it.v2.create_api_mapping(DomainName=NAME, ApiId=HTTP, Stage="prod"),
    ):
        with refused("BadRequestException", "Only REGIONAL domain names with a security policy of TLS 1.2"):
            call()


def test_mappings_of_all_kinds(it: Door):
    it.regional()
    made = it.v2.create_api_mapping(DomainName=NAME, ApiId=HTTP, Stage="prod", ApiMappingKey="v1/orders")
    it.v2.create_api_mapping(DomainName=NAME, ApiId=REST, Stage="prod")
    with refused("BadRequestException", "WebSocket APIs can only be attached"):
        it.v2.create_api_mapping(DomainName=NAME, ApiId=SOCKETS, Stage="prod", ApiMappingKey="ws")
    with refused("ConflictException", "ApiMapping key already exists for this domain name"):
        it.v2.create_api_mapping(DomainName=NAME, ApiId=REST, Stage="prod", ApiMappingKey="v1/orders")
    with refused("BadRequestException", "Invalid API identifier specified"):
        it.v2.create_api_mapping(DomainName=NAME, ApiId="nothing", Stage="prod", ApiMappingKey="x")
    with refused("BadRequestException", "Invalid stage identifier specified"):
        it.v2.create_api_mapping(DomainName=NAME, ApiId=HTTP, Stage="none", ApiMappingKey="x")
    with refused("BadRequestException", "An ApiMapping key may contain only letters"):
        it.v2.create_api_mapping(DomainName=NAME, ApiId=HTTP, Stage="prod", ApiMappingKey="a//b")
    mapping = it.v2.get_api_mapping(DomainName=NAME, ApiMappingId=made["ApiMappingId"])
    assert (mapping["ApiId"], mapping["ApiMappingKey"], mapping["Stage"]) == (HTTP, "v1/orders", "prod")
    changed = it.v2.update_api_mapping(
        DomainName=NAME, ApiMappingId=made["ApiMappingId"], ApiId=REST, ApiMappingKey="v2"
    )
    assert (changed["ApiId"], changed["ApiMappingKey"], changed["Stage"]) == (REST, "v2", "prod")
    assert len(it.v2.get_api_mappings(DomainName=NAME)["Items"]) == 2
    found = it.directory.find(NAME, "/v2/x")
    assert found is not None
    assert found.api_id == REST
    it.v2.delete_api_mapping(DomainName=NAME, ApiMappingId=made["ApiMappingId"])
    with refused("NotFoundException", "Invalid ApiMapping identifier specified"):
        it.v2.get_api_mapping(DomainName=NAME, ApiMappingId=made["ApiMappingId"])


def test_a_name_of_websockets_takes_no_others(it: Door):
    it.regional()
    it.v2.create_api_mapping(DomainName=NAME, ApiId=SOCKETS, Stage="prod")
    with refused("BadRequestException", "WebSocket APIs can only be attached"):
        it.v2.create_api_mapping(DomainName=NAME, ApiId=HTTP, Stage="prod", ApiMappingKey="x")
    with refused("BadRequestException", "Mixing of REST APIs and HTTP APIs"):
        it.v1.create_base_path_mapping(domainName=NAME, restApiId=REST, basePath="x")


def test_tags_are_the_same_in_both(it: Door):
    name = it.regional(tags={"a": "1"})["domainNameArn"]
    it.v1.tag_resource(resourceArn=name, tags={"b": "2"})
    it.v2.tag_resource(ResourceArn=name, Tags={"c": "3"})
    it.v2.untag_resource(ResourceArn=name, TagKeys=["a"])
    assert it.v1.get_tags(resourceArn=name)["tags"] == {"b": "2", "c": "3"}
    assert it.v2.get_tags(ResourceArn=name)["Tags"] == {"b": "2", "c": "3"}
    with refused("NotFoundException"):
        it.v2.get_tags(ResourceArn=name + "x")


# -- trust stores --------------------------------------------------------------------------------------------


def test_a_truststore_is_read_when_it_is_named(it: Door):
    it.objects.data["trust/store.pem"] = pem(Authority("a").certificate) + BROKEN
    made = it.regional(
        mutualTlsAuthentication={"truststoreUri": "s3://trust/store.pem", "truststoreVersion": "v1"}
    )
    assert made["mutualTlsAuthentication"] == {
        "truststoreUri": "s3://trust/store.pem",
        "truststoreVersion": "v1",
        "truststoreWarnings": ["Certificate 2 of the truststore cannot be read."],
    }
    assert it.directory.mutual(NAME)
    it.patch(NAME, ("replace", "/regionalCertificateName", "x"))
    assert it.objects.read == [("trust/store.pem", "v1")], "what was not named is not read again"
    it.patch(NAME, ("replace", "/mutualTlsAuthentication/truststoreVersion", "v2"))
    assert it.objects.read[-1] == ("trust/store.pem", "v2")
    with refused("BadRequestException", "NoSuchKey"):
        it.patch(NAME, ("replace", "/mutualTlsAuthentication/truststoreUri", "s3://trust/none"))
    assert it.directory.mutual(NAME), "what failed changed nothing"
    done = it.patch(NAME, ("replace", "/mutualTlsAuthentication/truststoreUri", ""))
    assert "mutualTlsAuthentication" not in done
    assert not it.directory.mutual(NAME)


def test_ownership_certificates_are_looked_for(it: Door):
    with refused("BadRequestException", "The provided certificate does not exist."):
        it.regional(ownershipVerificationCertificateArn=arn("none"))
    made = it.regional(ownershipVerificationCertificateArn=arn("other"))
    assert made["ownershipVerificationCertificateArn"] == arn("other")


# -- at the same time ----------------------------------------------------------------------------------------


def test_of_two_who_make_the_same_name_at_once_one_is_told_so(it: Door):
    async def story() -> None:
        it.acm.pause = asyncio.Event()
        caller = Caller(account=ACCOUNT, region="eu-west-1")
        wish = Wish(name=NAME, regional_certificate_arn=arn("good"))
        both = [asyncio.ensure_future(it.desk.create(caller, wish, words)) for words in (V1, V2)]
        await asyncio.sleep(0)
        it.acm.pause.set()
        done = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(one).__name__ for one in done) == ["AwsError", "DomainName"]

    asyncio.run(story())


def test_a_change_that_was_overtaken_is_refused(it: Door):
    async def story() -> None:
        caller = Caller(account=ACCOUNT, region="eu-west-1")
        domain = await it.desk.create(caller, Wish(name=NAME, regional_certificate_arn=arn("good")), V1)
        it.acm.pause = asyncio.Event()
        wish = Wish(name=NAME, regional_certificate_arn=arn("other"))
        slow = asyncio.ensure_future(it.desk.update(caller, domain, wish))
        await asyncio.sleep(0)
        it.desk.put_tags(domain, {"quick": "er"})
        it.acm.pause.set()
        with pytest.raises(AwsError, match="concurrent modification"):
            await slow

    asyncio.run(story())


def test_there_are_so_many_and_no_more(it: Door):
    for number in range(120):
        it.regional(f"n{number}.example.com")
    with refused("LimitExceededException", "Maximum number of custom domain names"):
        it.regional("more.example.com")
    for number in range(200):
        it.v1.create_base_path_mapping(domainName="n0.example.com", restApiId=REST, basePath=f"p{number}")
    with refused("LimitExceededException", "Maximum number of API mappings"):
        it.v1.create_base_path_mapping(domainName="n0.example.com", restApiId=REST, basePath="more")
    with refused("TooManyRequestsException", "Maximum number of API mappings"):
        it.v2.create_api_mapping(DomainName="n0.example.com", ApiId=HTTP, Stage="prod", ApiMappingKey="more")
