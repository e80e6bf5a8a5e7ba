"""Reads certificates through the companions, wherever ACM and IAM live.

Neither gives a private key away, but ACM for those that may be exported.  For all others a certificate is made here for
the same names, signed by itself: clients are shown the right name, and have to be told to trust it.
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import Certificate
from cumulo.companions.calls import call_json, small, told_in_xml
from cumulo.companions.companions import Companions

KEPT_MAX: Final = 256
_DAYS: Final = 825
_BODY: Final = re.compile(rb"<CertificateBody>(.*?)</CertificateBody>", re.DOTALL)
_GONE: Final = frozenset(
    {"ResourceNotFoundException", "InvalidArnException", "NoSuchEntity", "ValidationException"}
)


class CertificateReader:
    """The Certificates of the house.  Those that were made here stay the same as long as it lives."""

    def __init__(self, companions: Companions, clock: Clock, ids: Ids) -> None:
        self._companions = companions
        self._clock = clock
        self._ids = ids
        self._made: dict[tuple[str, tuple[str, ...]], Certificate] = {}

    async def certificate(self, caller: Caller, arn: str) -> Certificate | None:
        """The certificate with this ARN; None when there is none.  AwsError when its keeper cannot be asked."""
        parsed = parse_arn(arn)
        if parsed is None or parsed.service not in ("acm", "iam"):
            return None
        try:
            if parsed.service == "iam":
                return self._self_signed(arn, await self._names_of_iam(caller, parsed.resource))
            described = await self._acm(caller, "DescribeCertificate", {"CertificateArn": arn})
            detail = described.get("Certificate", {})
            exported = await self._export(caller, arn)
        except AwsError as error:
            if error.code in _GONE:
                return None
            raise
        names = tuple(
            dict.fromkeys([detail.get("DomainName", ""), *detail.get("SubjectAlternativeNames", ())])
        )
        names = tuple(name for name in names if name)
        if exported is None:
            return self._self_signed(arn, names)
        certificate, chain, key = exported
        return Certificate(arn=arn, certificate=certificate, chain=chain, key=key, names=names)

    async def _acm(self, caller: Caller, operation: str, values: dict[str, Any]) -> dict[str, Any]:
        return await call_json(
            self._companions,
            "acm",
            f"CertificateManager.{operation}",
            account=caller.account,
            region=caller.region,
            values=values,
        )

    async def _export(self, caller: Caller, arn: str) -> tuple[str, str, str] | None:
        """Certificate, chain and key; None when the key is not to be had."""
        secret = self._ids.hex(32).encode()
        try:
            found = await self._acm(
                caller,
                "ExportCertificate",
                {"CertificateArn": arn, "Passphrase": base64.b64encode(secret).decode()},
            )
            key = _decrypted(found["PrivateKey"], secret)
        except (AwsError, KeyError, ValueError, TypeError):
            return None
        return found["Certificate"], found.get("CertificateChain", ""), key

    async def _names_of_iam(self, caller: Caller, resource: str) -> tuple[str, ...]:
        name = resource.rpartition("/")[2]
        asked = {"Action": "GetServerCertificate", "Version": "2010-05-08", "ServerCertificateName": name}
        answer = await self._companions.call(
            "iam",
            "POST",
            "/",
            caller=caller,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode(asked).encode(),
        )
        body = await small(answer)
        if answer.status != 200:
            code, message = told_in_xml(body)
            raise AwsError(code or "InternalError", message or f"IAM answered with status {answer.status}")
        found = _BODY.search(body)
        return _names_in(found[1].decode()) if found else ()

    def _self_signed(self, arn: str, names: tuple[str, ...]) -> Certificate:
        wanted = (arn, names or ("localhost",))
        made = self._made.get(wanted)
        if made is None:
            if len(self._made) >= KEPT_MAX:
                self._made.pop(next(iter(self._made)))
            certificate, key = self_signed(wanted[1], self._clock.now())
            made = self._made[wanted] = Certificate(
                arn=arn, certificate=certificate, key=key, names=wanted[1], self_signed=True
            )
        return made


def self_signed(names: tuple[str, ...], at: float) -> tuple[str, str]:
    """A certificate for these names, good from now (`at`, seconds since the epoch) on, and its key, in PEM."""
    # Here, since importing it takes 50 ms, which most starts have no use for.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.fromtimestamp(at, UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _decrypted(text: str, secret: bytes) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(text.encode(), secret)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _names_in(text: str) -> tuple[str, ...]:
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(text.encode())
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(alternatives.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(one.value) for one in common)
