"""What TLS shows to whom: certificates of custom domain names, and those of the cloud's own authority for all else.

name ──▶ a custom domain name ──▶ its certificate of ACM's, when the key is to be had; whose clients it trusts
    └──▶ localhost, *.localhost, *.execute-api.*, a domain name without a key ──▶ issued by the authority
"""

import ipaddress
import logging
import re
import ssl
from collections.abc import Sequence
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ports import Certificates
from cumulo.gateway.domains.directory import Directory
from cumulo.gateway.domains.model import TLS_1_0, DomainName, Uploaded
from cumulo.net.authority import Authority
from cumulo.net.tls import ALPN, Certificate, load

ISSUED_MAX: Final = 512
FRESH_SECONDS: Final = 300.0  # then a certificate may have been imported again under its ARN
LEAF_SECONDS: Final = 30 * 86_400.0  # then a new one is issued
_ISSUED: Final = re.compile(
    r"(?:[a-z0-9_-]{1,63}\.)+localhost|(?:[a-z0-9-]{1,63}\.)+execute-api\.[a-z0-9.-]{1,100}"
)

_log = logging.getLogger(__name__)

Kept = tuple[float, ssl.SSLContext]


class Showing:
    """The Contexts of the secure listeners.

    addresses   at which the cloud itself is reached, besides localhost
    """

    def __init__(
        self,
        directory: Directory,
        authority: Authority,
        certificates: Certificates,
        clock: Clock,
        addresses: Sequence[str] = (),
    ) -> None:
        self._directory = directory
        self._authority = authority
        self._certificates = certificates
        self._clock = clock
        self._plain = ("localhost", "127.0.0.1", "::1", *(one for one in addresses if _is_address(one)))
        self._issued: dict[str, Kept] = {}
        self._domains: dict[str, tuple[DomainName, Kept]] = {}

    async def context_for(self, name: str) -> ssl.SSLContext | None:
        """What is shown to a client that asks for a name; None when nothing can be."""
        domain = self._directory.domain(name)
        try:
            if domain is not None:
                return await self._of_domain(domain)
            return self._of_authority(name if _ISSUED.fullmatch(name) else "")
        except (OSError, ValueError):
            _log.exception("no certificate can be shown", extra={"server": name})
            return None

    async def _of_domain(self, domain: DomainName) -> ssl.SSLContext:
        now = self._clock.monotonic()
        known = self._domains.get(domain.key)
        if known is not None and known[0] == domain and now - known[1][0] < FRESH_SECONDS:
            return known[1][1]
        context = context_of(await self._certificate(domain), domain)
        if len(self._domains) >= ISSUED_MAX:
            del self._domains[next(iter(self._domains))]
        self._domains[domain.key] = (domain, (now, context))
        return context

    async def _certificate(self, domain: DomainName) -> Certificate:
        if domain.uploaded is not None and not domain.certificate_arn:
            return certificate_of(domain.uploaded)
        region = domain.region if domain.regional is not None else "us-east-1"
        caller = Caller(account=domain.account, region=region)
        try:
            found = await self._certificates.certificate(caller, domain.certificate_arn)
        except AwsError as error:
            _log.warning("ACM cannot be asked", extra={"domain": domain.name, "why": error.message})
            found = None
        if found is None or found.self_signed:
            return self._authority.issue([domain.name])
        return Certificate(f"{found.certificate.strip()}\n{found.chain.strip()}", found.key)

    def _of_authority(self, name: str) -> ssl.SSLContext:
        now = self._clock.monotonic()
        known = self._issued.get(name)
        if known is not None and now - known[0] < LEAF_SECONDS:
            return known[1]
        context = context_of(self._authority.issue([name] if name else self._plain))
        self._issued.pop(name, None)
        if len(self._issued) >= ISSUED_MAX:
            del self._issued[next(iter(self._issued))]
        self._issued[name] = (now, context)
        return context


def context_of(certificate: Certificate, domain: DomainName | None = None) -> ssl.SSLContext:
    """A server's context with a certificate, and a domain name's rules.  ValueError for a certificate that is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    if domain is not None:
        if domain.security_policy == TLS_1_0:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else OpenSSL refuses what it allows
        elif domain.security_policy.startswith("SecurityPolicy_TLS13_1_3"):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        if domain.truststore is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=domain.truststore.pem)
    load(context, certificate)
    return context


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def uploadable(uploaded: Uploaded) -> bool:
    """Whether TLS could show a certificate that was handed in."""
    try:
        context_of(certificate_of(uploaded))
    except ValueError:
        return False
    return True


def certificate_of(uploaded: Uploaded) -> Certificate:
    """As TLS wants it."""
    return Certificate(f"{uploaded.body.strip()}\n{uploaded.chain.strip()}", uploaded.key)
