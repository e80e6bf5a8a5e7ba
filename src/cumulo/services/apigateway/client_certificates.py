"""Client certificates: what the gateway shows to backends, so that these know who calls."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.finding import owner_of
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import ClientCertificate
from cumulo.services.apigateway.naming import checked_tags, new_id
from cumulo.services.apigateway.patches import Table, value
from cumulo.services.apigateway.quotas import CLIENT_CERTIFICATES_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.state.store import join_key
from cumulo.wire.service import Coverage, Operation, Values

_DAYS_VALID: Final = 365
_NOTE: Final = "kept and named by stages; backends are not shown it"


class ClientCertificates:
    """The operations on client certificates."""

    def __init__(self, records: Records, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "GenerateClientCertificate": Operation(self.generate, Coverage.STORED, _NOTE),
            "GetClientCertificate": Operation(self.get),
            "GetClientCertificates": Operation(self.get_all),
            "UpdateClientCertificate": Operation(self.update),
            "DeleteClientCertificate": Operation(self.delete),
        }

    async def generate(self, caller: Caller, values: Values) -> Values | None:
        """GenerateClientCertificate."""
        if self._records.client_certificates.count("owner", owner_of(caller)) >= CLIENT_CERTIFICATES_MAX:
            raise refusals.too_many("client certificates", "this account")
        begin = datetime.fromtimestamp(int(self._clock.now()), UTC)
        end = begin + timedelta(days=_DAYS_VALID)
        pem, private_key = self_signed(begin, end)
        certificate = ClientCertificate(
            account=caller.account,
            region=caller.region,
            id=new_id(self._ids),
            pem=pem,
            private_key=private_key,
            created_at=begin.timestamp(),
            expires_at=end.timestamp(),
            description=values.get("description"),
            tags=checked_tags(values.get("tags", {}), {}),
        )
        self._records.client_certificates.put(certificate)
        await self._records.store.commit()
        return _view(certificate, tags=False)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetClientCertificate."""
        return _view(self._find(caller, values), tags=True)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetClientCertificates."""
        found = self._records.client_certificates.by("owner", owner_of(caller))
        return listed(found, lambda one: one.id, values, lambda one: _view(one, tags=False))

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateClientCertificate."""
        certificate = _PATCHES.apply(self._find(caller, values), values.get("patchOperations"))
        self._records.client_certificates.put(certificate)
        await self._records.store.commit()
        return _view(certificate, tags=True)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteClientCertificate, unless a stage shows it."""
        certificate = self._find(caller, values)
        for stage in self._records.stages.all(join_key(caller.account, caller.region, "")):
            if stage.client_certificate_id == certificate.id:
                raise refusals.conflict(
                    f"Client Certificate {certificate.id} is used by stage {stage.name} of API {stage.api_id}"
                )
        self._records.client_certificates.delete(certificate)
        await self._records.store.commit()
        return {}

    def _find(self, caller: Caller, values: Values) -> ClientCertificate:
        key = join_key(caller.account, caller.region, values["clientCertificateId"])
        found = self._records.client_certificates.get(key)
        if found is None:
            raise refusals.unknown("Client Certificate")
        return found


def self_signed(begin: datetime, end: datetime) -> tuple[str, str]:
    """A new certificate of ApiGateway's for itself, and its private key, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Washington"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Seattle"),
            x509.NameAttribute(NameOID.COMMON_NAME, "ApiGateway"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, private.decode()


def _view(certificate: ClientCertificate, *, tags: bool) -> Values:
    view = filled(
        clientCertificateId=certificate.id,
        description=certificate.description,
        pemEncodedCertificate=certificate.pem,
        tags=dict(certificate.tags),
    )
    if tags:
        view["tags"] = dict(certificate.tags)
    return view | {
        "createdDate": int(certificate.created_at),
        "expirationDate": int(certificate.expires_at),
    }


_PATCHES: Table[ClientCertificate] = Table(value("/description", "description", lambda text: text or None))
