"""Custom domain names, as the second version of the API has them: regional ones, with TLS 1.2 or newer."""

from collections.abc import Mapping

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.gateway.domains import naming
from cumulo.gateway.domains.desk import V2, DomainDesk
from cumulo.gateway.domains.model import REGIONAL, TLS_1_0, TLS_1_2, DomainName, Endpoint
from cumulo.gateway.domains.refusals import only_modern
from cumulo.gateway.domains.wishes import Wish, check_routing, wish_of
from cumulo.services.apigatewayv2 import bounds
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.refusals import bad
from cumulo.services.apigatewayv2.tagging import checked as checked_tags
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_NOTE = "routing rules are refused"


class DomainNames:
    """The operations; records and rules are those of both versions."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateDomainName": Operation(self.create, note=_NOTE),
            "GetDomainName": Operation(self.get),
            "GetDomainNames": Operation(self.get_all),
            "UpdateDomainName": Operation(self.update, note=_NOTE),
            "DeleteDomainName": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a domain name."""
        bounds.check(values)
        check_routing(values.get("RoutingMode"))
        blank = Wish(name=values["DomainName"], tags=checked_tags(values.get("Tags") or {}, {}))
        wish = _changed(_configured(blank, _only(values.get("DomainNameConfigurations"))), values)
        return view(await self._desk.create(caller, wish, V2))

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a domain name."""
        return view(self._desk.find(caller, values["DomainName"]))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show domain names."""
        return page(self._desk.names_of(caller), lambda one: one.name, view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Change what is sent of a domain name."""
        bounds.check(values)
        check_routing(values.get("RoutingMode"))
        domain = self._desk.find(caller, values["DomainName"])
        check_modern(domain)
        wish = wish_of(domain)
        if "DomainNameConfigurations" in values:
            wish = _configured(wish, _only(values["DomainNameConfigurations"]))
        return view(await self._desk.update(caller, domain, _changed(wish, values)))

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a domain name, with its mappings."""
        await self._desk.delete(self._desk.find(caller, values["DomainName"]))


class DomainTags:
    """Tags of domain names, for the operations on tags."""

    def __init__(self, desk: DomainDesk) -> None:
        self._desk = desk

    def tags(self, caller: Caller, path: list[str]) -> Mapping[str, str] | None:
        """The tags, or None when there is no such domain name."""
        found = self._find(caller, path)
        return None if found is None else found.tags

    def retag(self, caller: Caller, path: list[str], tags: Mapping[str, str]) -> None:
        """Keep these instead; who calls commits."""
        found = self._find(caller, path)
        if found is not None:
            self._desk.put_tags(found, dict(tags))

    def _find(self, caller: Caller, path: list[str]) -> DomainName | None:
        if len(path) != 2:
            return None
        return self._desk.records.names.get(join_key(caller.account, caller.region, path[1]))


def check_modern(domain: DomainName) -> None:
    """BadRequestException for a domain name that only the first version may change."""
    if domain.types != (REGIONAL,) or domain.security_policy == TLS_1_0:
        raise only_modern()


def view(domain: DomainName) -> Values:
    """A domain name, as clients see it."""
    shown: Values = {
        "ApiMappingSelectionExpression": "$request.basepath",
        "DomainName": domain.name,
        "DomainNameArn": naming.arn_of(domain.region, domain.name),
        "DomainNameConfigurations": [
            _configuration(domain, kind, end, zone)
            for kind, end, zone in (
                ("EDGE", domain.edge, naming.CLOUDFRONT_ZONE),
                ("REGIONAL", domain.regional, naming.zone_of(domain.region)),
            )
            if end is not None
        ],
        "RoutingMode": "API_MAPPING_ONLY",
        "Tags": dict(domain.tags),
    }
    trust = domain.truststore
    if trust is not None:
        shown["MutualTlsAuthentication"] = {
            "TruststoreUri": trust.uri,
            "TruststoreVersion": trust.version or None,
            "TruststoreWarnings": list(trust.warnings) or None,
        }
    return shown


def _configuration(domain: DomainName, kind: str, end: Endpoint, zone: str) -> Values:
    return {
        "ApiGatewayDomainName": end.target,
        "CertificateArn": end.certificate_arn or None,
        "CertificateName": end.certificate_name or None,
        "CertificateUploadDate": end.certified,
        "DomainNameStatus": "AVAILABLE",
        "EndpointType": kind,
        "HostedZoneId": zone or None,
        "IpAddressType": domain.ip_address_type,
        "OwnershipVerificationCertificateArn": domain.ownership_arn or None,
        "SecurityPolicy": domain.security_policy,
    }


def _only(configurations: list[Values] | None) -> Values:
    if not configurations or len(configurations) != 1:
        raise bad("Invalid input. Expected one domain name configuration")
    return configurations[0]


def _configured(wish: Wish, sent: Values) -> Wish:
    """The wish with what a configuration says."""
    if sent.get("EndpointType", "REGIONAL") != "REGIONAL" or sent.get("SecurityPolicy") == TLS_1_0:
        raise only_modern()
    return replace(
        wish,
        types=(REGIONAL,),
        regional_certificate_arn=sent.get("CertificateArn") or wish.regional_certificate_arn,
        regional_certificate_name=sent.get("CertificateName") or wish.regional_certificate_name,
        security_policy=sent.get("SecurityPolicy") or wish.security_policy or TLS_1_2,
        ip_address_type=sent.get("IpAddressType") or wish.ip_address_type,
        ownership_arn=sent.get("OwnershipVerificationCertificateArn") or wish.ownership_arn,
    )


def _changed(wish: Wish, values: Values) -> Wish:
    """The wish with the trust store that is sent; an empty URI ends mutual TLS."""
    sent = values.get("MutualTlsAuthentication")
    if sent is None:
        return wish
    uri = sent.get("TruststoreUri", wish.truststore_uri)
    kept = wish.truststore_version if uri == wish.truststore_uri else ""
    version = sent.get("TruststoreVersion", kept) if uri else ""
    return replace(wish, truststore_uri=uri, truststore_version=version, reread=True)
