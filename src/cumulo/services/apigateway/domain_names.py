"""Custom domain names, as the first version of the API has them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.gateway.domains import naming
from cumulo.gateway.domains.desk import V1, DomainDesk
from cumulo.gateway.domains.model import EDGE, REGIONAL, TLS_1_2, DomainName, Uploaded
from cumulo.gateway.domains.refusals import unknown_domain
from cumulo.gateway.domains.wishes import Wish, check_routing, wish_of
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.naming import checked_tags
from cumulo.services.apigateway.patches import Field, Patch, Table, value
from cumulo.services.apigateway.views import filled
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_NOTE = "routing rules and private domain names are refused"


class DomainNames:
    """The operations; records and rules are those of both versions."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateDomainName": Operation(self.create, note=_NOTE),
            "GetDomainName": Operation(self.get),
            "GetDomainNames": Operation(self.list),
            "UpdateDomainName": Operation(self.update, note=_NOTE),
            "DeleteDomainName": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateDomainName."""
        check_routing(values.get("routingMode"))
        if values.get("policy"):
            raise not_implemented(
                "API Gateway", "a policy of a domain name", "private domain names are not built"
            )
        wish = _wish(values)
        return view(await self._desk.create(caller, wish, V1))

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetDomainName."""
        return view(find_domain(self._desk, caller, values))

    async def list(self, caller: Caller, values: Values) -> Values | None:
        """GetDomainNames; there are none of other accounts."""
        found = self._desk.names_of(caller) if values.get("resourceOwner") != "OTHER_ACCOUNTS" else []
        return listed(found, lambda one: one.name, values, view)

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateDomainName."""
        domain = find_domain(self._desk, caller, values)
        wish = _PATCHES.apply(wish_of(domain), values.get("patchOperations"))
        return view(await self._desk.update(caller, domain, wish))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteDomainName, with its mappings."""
        await self._desk.delete(find_domain(self._desk, caller, values))
        return {}


class DomainTags:
    """Tags of domain names, for the operations on tags."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def tags(self, account: str, region: str, name: str) -> Mapping[str, str] | None:
        """The tags, or None when there is no such domain name."""
        found = self._desk.records.names.get(join_key(account, region, name))
        return None if found is None else found.tags

    def put_tags(self, account: str, region: str, name: str, tags: Mapping[str, str]) -> None:
        """Write the tags; the caller commits."""
        found = self._desk.records.names.get(join_key(account, region, name))
        if found is not None:
            self._desk.put_tags(found, dict(tags))


def find_domain(desk: DomainDesk, caller: Caller, values: Values) -> DomainName:
    """The domain name.  NotFoundException, also for an id: only private ones have ids, and there are none."""
    if values.get("domainNameId"):
        raise unknown_domain()
    return desk.find(caller, values["domainName"])


def view(domain: DomainName) -> Values:
    """A domain name, as clients see it."""
    edge, regional = domain.edge, domain.regional
    shown = filled(
        domainName=domain.name,
        domainNameArn=naming.arn_of(domain.region, domain.name),
        securityPolicy=domain.security_policy,
        endpointAccessMode=domain.access_mode,
        domainNameStatus="AVAILABLE",
        ownershipVerificationCertificateArn=domain.ownership_arn,
        routingMode="BASE_PATH_MAPPING_ONLY",
    )
    if edge is not None:
        shown |= filled(
            certificateArn=edge.certificate_arn,
            certificateName=edge.certificate_name,
            certificateUploadDate=edge.certified,
            distributionDomainName=edge.target,
            distributionHostedZoneId=naming.CLOUDFRONT_ZONE,
        )
    if regional is not None:
        shown |= filled(
            regionalCertificateArn=regional.certificate_arn,
            regionalCertificateName=regional.certificate_name,
            certificateUploadDate=regional.certified,
            regionalDomainName=regional.target,
            regionalHostedZoneId=naming.zone_of(domain.region),
        )
    shown["endpointConfiguration"] = {"types": list(domain.types), "ipAddressType": domain.ip_address_type}
    if domain.truststore is not None:
        trust = domain.truststore
        shown["mutualTlsAuthentication"] = filled(
            truststoreUri=trust.uri, truststoreVersion=trust.version, truststoreWarnings=list(trust.warnings)
        )
    return shown | {"tags": dict(domain.tags)}


def _wish(values: Values) -> Wish:
    endpoint = values.get("endpointConfiguration") or {}
    trust = values.get("mutualTlsAuthentication") or {}
    if endpoint.get("vpcEndpointIds"):
        raise refusals.bad_request("VPC endpoint IDs cannot be specified for a domain name")
    return Wish(
        name=values["domainName"],
        types=tuple(endpoint.get("types") or ()),
        certificate_arn=values.get("certificateArn") or "",
        certificate_name=values.get("certificateName") or "",
        uploaded=_uploaded(values),
        regional_certificate_arn=values.get("regionalCertificateArn") or "",
        regional_certificate_name=values.get("regionalCertificateName") or "",
        security_policy=values.get("securityPolicy") or TLS_1_2,
        access_mode=values.get("endpointAccessMode") or "",
        ip_address_type=endpoint.get("ipAddressType") or "ipv4",
        truststore_uri=trust.get("truststoreUri") or "",
        truststore_version=trust.get("truststoreVersion") or "",
        ownership_arn=values.get("ownershipVerificationCertificateArn") or "",
        tags=checked_tags(values.get("tags") or {}, {}),
    )


def _uploaded(values: Values) -> Uploaded | None:
    """A certificate that comes with its key.  BadRequestException for one that TLS could not show."""
    body, key = values.get("certificateBody"), values.get("certificatePrivateKey")
    if not body and not key:
        return None
    if not body or not key or not values.get("certificateName"):
        raise refusals.bad_request(
            "A certificate that is uploaded needs certificateName, certificateBody and certificatePrivateKey."
        )
    uploaded = Uploaded(body=body, key=key, chain=values.get("certificateChain") or "")
    from cumulo.gateway.domains.showing import uploadable

    if not uploadable(uploaded):
        raise refusals.bad_request("The provided certificate is invalid, or the private key is not its own.")
    return uploaded


# -- patches -----------------------------------------------------------------------------------------------


def _types(wish: Any, patch: Patch) -> Any:
    """Adds a type, removes one, or puts another in the place of the only one (or of the one in the path)."""
    kind = patch.text
    have: list[str] = list(wish.types)
    if patch.op == "add":
        have.append(kind)
    elif patch.op == "remove":
        have = [one for one in have if one != (kind or patch.names.get("type"))]
    else:
        old = patch.names.get("type", "0")
        at = int(old) if old.isdigit() else have.index(old) if old in have else -1
        if not 0 <= at < len(have):
            raise refusals.bad_request(f"Invalid patch path {patch.path}")
        have[at] = kind
    if not have:
        raise refusals.bad_request("A domain name needs an endpoint type.")
    return _moved(msgspec.structs.replace(wish, types=tuple(dict.fromkeys(have))))


def _moved(wish: Wish) -> Wish:
    """Without the certificates of types that are no longer there."""
    if EDGE not in wish.types:
        wish = msgspec.structs.replace(wish, certificate_arn="", certificate_name="", uploaded=None)
    if REGIONAL not in wish.types:
        wish = msgspec.structs.replace(wish, regional_certificate_arn="", regional_certificate_name="")
    return wish


def _truststore(wish: Any, patch: Patch) -> Any:
    """Another trust store; an empty URI ends mutual TLS."""
    uri = "" if patch.op == "remove" else patch.text
    version = wish.truststore_version if uri == wish.truststore_uri else ""
    return msgspec.structs.replace(wish, truststore_uri=uri, truststore_version=version, reread=True)


def _version(wish: Any, patch: Patch) -> Any:
    text = "" if patch.op == "remove" else patch.text
    return msgspec.structs.replace(wish, truststore_version=text, reread=True)


def _routing(wish: Any, patch: Patch) -> Any:
    check_routing(patch.text)
    return wish


_SET = ("add", "replace", "remove")
_PATCHES: Table[Wish] = Table(
    value("/certificateName", "certificate_name", ops=_SET),
    value("/certificateArn", "certificate_arn", ops=_SET),
    value("/regionalCertificateName", "regional_certificate_name", ops=_SET),
    value("/regionalCertificateArn", "regional_certificate_arn", ops=_SET),
    Field("/endpointConfiguration/types", _SET, _types),
    Field("/endpointConfiguration/types/{type}", ("replace", "remove"), _types),
    value("/endpointConfiguration/ipAddressType", "ip_address_type"),
    value("/securityPolicy", "security_policy"),
    value("/endpointAccessMode", "access_mode", ops=_SET),
    Field("/mutualTlsAuthentication/truststoreUri", _SET, _truststore),
    Field("/mutualTlsAuthentication/truststoreVersion", _SET, _version),
    value("/ownershipVerificationCertificateArn", "ownership_arn", ops=_SET),
    Field("/routingMode", ("replace",), _routing),
)
