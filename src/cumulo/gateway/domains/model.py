"""What is kept of custom domain names and of what they lead to."""

from collections.abc import Mapping
from typing import Final

import msgspec

from cumulo.state.store import join_key

EDGE: Final = "EDGE"
REGIONAL: Final = "REGIONAL"
TLS_1_0: Final = "TLS_1_0"
TLS_1_2: Final = "TLS_1_2"

REST: Final = "REST"
HTTP: Final = "HTTP"
WEBSOCKET: Final = "WEBSOCKET"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A domain name at one type of endpoint.

    target           where DNS shall lead: `d-....execute-api.<region>.amazonaws.com`, or a distribution's name
    certificate_arn  ACM's; empty when the certificate was handed in
    certified        when the certificate was set (seconds since the epoch)
    """

    target: str
    certificate_arn: str = ""
    certificate_name: str = ""
    certified: float = 0.0


class Uploaded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate that was handed in with its key, as PEM texts."""

    body: str
    key: str
    chain: str = ""


class Truststore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a domain name trusts to certify clients.

    pem       the certificates that count
    warnings  what is wrong with the others, a sentence each
    """

    uri: str
    pem: str
    version: str = ""
    warnings: tuple[str, ...] = ()


class DomainName(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A custom domain name; `name` may begin with `*.`.  It has an endpoint of one type, or (on its way to another) of both."""

    account: str
    region: str
    name: str
    created: float
    edge: Endpoint | None = None
    regional: Endpoint | None = None
    uploaded: Uploaded | None = None
    security_policy: str = TLS_1_2
    access_mode: str = ""
    ip_address_type: str = "ipv4"
    truststore: Truststore | None = None
    ownership_arn: str = ""
    tags: Mapping[str, str] = {}

    @property
    def key(self) -> str:
        """Its key on the shelf; those of its mappings begin with it."""
        return join_key(self.account, self.region, self.name)

    @property
    def types(self) -> tuple[str, ...]:
        """The types of its endpoints."""
        return tuple(kind for kind, one in ((EDGE, self.edge), (REGIONAL, self.regional)) if one is not None)

    @property
    def certificate_arn(self) -> str:
        """The certificate that clients are shown."""
        shown = self.regional or self.edge
        return shown.certificate_arn if shown is not None else ""


class ApiMapping(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a domain name leads to.

    path   the base path, without slashes at its ends; empty: whatever no other mapping wants
    stage  empty: the path's next segment names it
    kind   REST, HTTP or WEBSOCKET
    """

    domain: str
    id: str
    api_id: str
    kind: str
    path: str = ""
    stage: str = ""

    @property
    def key(self) -> str:
        """Its key on the shelf."""
        return join_key(self.domain, self.id)
