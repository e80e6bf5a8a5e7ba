"""What somebody wants a custom domain name to be, and whether it can be that.  Pure."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.errors import not_implemented
from cumulo.gateway.domains import refusals
from cumulo.gateway.domains.model import EDGE, REGIONAL, TLS_1_0, TLS_1_2, DomainName, Uploaded

CERTIFICATES_REGION_OF_EDGE: Final = "us-east-1"
NAME_CHARACTERS_MAX: Final = 253
PATH_CHARACTERS_MAX: Final = 300
_NAME: Final = re.compile(
    r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_OURS: Final = re.compile(r".*\.amazonaws\.com(?:\.cn)?|.*\.(?:execute-api|elb|lambda-url)\..*|[0-9.]+")
_PATH: Final = re.compile(r"[A-Za-z0-9$\-_.+!*'()/]*")
_TRUSTSTORE: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)
_MODERN: Final = "SecurityPolicy_"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A custom domain name as it shall be.

    types    of its endpoints; empty: what the certificates say
    version  of the trust store's object; empty: the newest
    reread   read the trust store again, though it lies where it lay
    """

    name: str
    types: tuple[str, ...] = ()
    certificate_arn: str = ""
    certificate_name: str = ""
    uploaded: Uploaded | None = None
    regional_certificate_arn: str = ""
    regional_certificate_name: str = ""
    security_policy: str = TLS_1_2
    access_mode: str = ""
    ip_address_type: str = "ipv4"
    truststore_uri: str = ""
    truststore_version: str = ""
    reread: bool = False
    ownership_arn: str = ""
    tags: Mapping[str, str] = {}


def wish_of(domain: DomainName) -> Wish:
    """What there is, as a wish."""
    edge, regional, trust = domain.edge, domain.regional, domain.truststore
    return Wish(
        name=domain.name,
        types=domain.types,
        certificate_arn=edge.certificate_arn if edge is not None else "",
        certificate_name=edge.certificate_name if edge is not None else "",
        uploaded=domain.uploaded,
        regional_certificate_arn=regional.certificate_arn if regional is not None else "",
        regional_certificate_name=regional.certificate_name if regional is not None else "",
        security_policy=domain.security_policy,
        access_mode=domain.access_mode,
        ip_address_type=domain.ip_address_type,
        truststore_uri=trust.uri if trust is not None else "",
        truststore_version=trust.version if trust is not None else "",
        ownership_arn=domain.ownership_arn,
        tags=domain.tags,
    )


def checked(wish: Wish, region: str) -> Wish:
    """The wish with its types.  AwsError for what cannot be."""
    _check_name(wish.name)
    if not wish.types:
        only_regional = wish.regional_certificate_arn and not (wish.certificate_arn or wish.uploaded)
        wish = msgspec.structs.replace(wish, types=(REGIONAL,) if only_regional else (EDGE,))
    _check_types(wish.types)
    if EDGE in wish.types and not (wish.certificate_arn or wish.uploaded):
        raise refusals.bad("A certificate was not provided for the endpoint type EDGE.")
    if REGIONAL in wish.types and not wish.regional_certificate_arn:
        raise refusals.bad("A certificate was not provided for the endpoint type REGIONAL.")
    if EDGE in wish.types and wish.certificate_arn:
        check_certificate_arn(wish.certificate_arn, CERTIFICATES_REGION_OF_EDGE)
    if REGIONAL in wish.types:
        check_certificate_arn(wish.regional_certificate_arn, region)
    _check_policy(wish)
    if wish.truststore_uri:
        _check_mutual(wish)
    elif wish.truststore_version:
        raise refusals.bad("A truststore version cannot be specified without a truststore URI.")
    return wish


def check_certificate_arn(arn: str, region: str) -> None:
    """BadRequestException for what is no certificate of ACM's in this region."""
    found = parse_arn(arn)
    if found is None or found.service != "acm" or not found.resource.startswith("certificate/"):
        raise refusals.bad(f"Invalid certificate ARN: {arn}.")
    if found.region != region:
        raise refusals.bad(f"Invalid certificate ARN: {arn}. Certificate must be in '{region}'.")


def covers(names: tuple[str, ...], wanted: str) -> bool:
    """Whether a certificate for these names is one for a (perhaps wildcard) domain name."""
    _, _, parent = wanted.partition(".")
    known = {name.lower() for name in names}
    return wanted in known or f"*.{parent}" in known


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Where a trust store lies.  BadRequestException."""
    found = _TRUSTSTORE.fullmatch(uri)
    if found is None:
        raise refusals.bad(f"Invalid truststore URI: {uri}. It must have the form s3://bucket-name/key-name.")
    return found[1], found[2]


def checked_path(path: str, *, several: bool) -> str:
    """A base path (`(none)` and nothing mean the empty one).  `several`: of more than one segment.  BadRequestException."""
    if path in ("", "(none)"):
        return ""
    if not several and "/" in path:
        raise refusals.bad(
            "API Gateway V1 doesn't support the slash character (/) in base path mappings. To create a multi-level "
            "base path mapping, use API Gateway V2."
        )
    if not _PATH.fullmatch(path) or "" in path.split("/"):
        raise refusals.bad("An ApiMapping key may contain only letters, numbers and one of $-_.+!*'()")
    if len(path) > PATH_CHARACTERS_MAX:
        raise refusals.bad(f"An ApiMapping key may have at most {PATH_CHARACTERS_MAX} characters")
    return path


def check_routing(mode: str | None) -> None:
    """Refuses routing rules, by name."""
    if mode and "RULE" in mode:
        raise not_implemented("API Gateway", f"RoutingMode {mode}", "routing rules are not built")


def _check_name(name: str) -> None:
    if len(name) > NAME_CHARACTERS_MAX or not _NAME.fullmatch(name) or _OURS.fullmatch(name):
        raise refusals.bad("Invalid domain name specified")


def _check_types(types: tuple[str, ...]) -> None:
    for kind in types:
        if kind == "PRIVATE":
            raise not_implemented(
                "API Gateway", "a private custom domain name", "endpoint type PRIVATE is not built"
            )
        if kind not in (EDGE, REGIONAL):
            raise refusals.bad(f"Invalid endpoint type {kind}: it must be one of [REGIONAL, EDGE, PRIVATE]")
    if len(set(types)) != len(types):
        raise refusals.bad("An endpoint type can be specified only once")


def _check_policy(wish: Wish) -> None:
    modern = wish.security_policy.startswith(_MODERN)
    if not modern and wish.security_policy not in (TLS_1_0, TLS_1_2):
        raise refusals.bad(f"Invalid security policy {wish.security_policy}")
    if wish.access_mode and not modern:
        raise refusals.bad(
            "The endpoint access mode is for security policies that start with SecurityPolicy_"
        )


def _check_mutual(wish: Wish) -> None:
    bucket_and_key(wish.truststore_uri)
    if wish.types != (REGIONAL,):
        raise refusals.bad("Mutual TLS is supported for REGIONAL domain names only.")
    if wish.security_policy == TLS_1_0:
        raise refusals.bad("Mutual TLS requires a security policy of TLS 1.2.")
