"""Trust stores: the certificates that count for certifying clients, and what is wrong with the others."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from cryptography import x509

BYTES_MAX: Final = 1024 * 1024
CERTIFICATES_MAX: Final = 1000
WARNINGS_MAX: Final = 100
RSA_BITS_MIN: Final = 2048
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_WEAK: Final = frozenset({"md5", "sha1"})


class Read(msgspec.Struct, frozen=True):
    """What a text gives: PEM of the certificates that count, and warnings."""

    pem: str
    warnings: tuple[str, ...]


class BadTruststore(Exception):
    """Nothing in it counts."""


def read(data: bytes, now: datetime) -> Read:
    """Look through a text of PEM certificates.  BadTruststore when none of them counts."""
    found = _PEM.findall(data)
    if len(found) > CERTIFICATES_MAX:
        raise BadTruststore(f"a truststore can have at most {CERTIFICATES_MAX} certificates")
    good: dict[bytes, str] = {}
    warnings: list[str] = []
    for number, pem in enumerate(found, 1):
        wrong = _look(pem, now, good)
        if wrong and len(warnings) < WARNINGS_MAX:
            warnings.append(f"Certificate {number} of the truststore {wrong}")
    if not good:
        raise BadTruststore("it contains no valid certificate")
    return Read("".join(good.values()), tuple(warnings))


def _look(pem: bytes, now: datetime, good: dict[bytes, str]) -> str:
    """Add a certificate to the good ones; what is wrong with it otherwise."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        mark = certificate.fingerprint(hashes.SHA256())
        wrong = _wrong(certificate, now)
    except ValueError:
        return "cannot be read."
    if wrong:
        return wrong
    if mark in good:
        return "is there twice."
    good[mark] = pem.decode("ascii", "replace") + "\n"
    return ""


def _wrong(certificate: "x509.Certificate", now: datetime) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    name = certificate.subject.rfc4514_string()
    if certificate.not_valid_after_utc < now:
        return f"({name}) has expired."
    if certificate.not_valid_before_utc > now:
        return f"({name}) is not valid yet."
    hashed = certificate.signature_hash_algorithm
    if hashed is not None and hashed.name in _WEAK:
        return f"({name}) is signed with an insecure algorithm ({hashed.name})."
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return f"({name}) has a key of less than {RSA_BITS_MIN} bits."
    if not isinstance(key, (RSAPublicKey, EllipticCurvePublicKey)):
        return f"({name}) has a key that is neither RSA nor ECDSA."
    return ""
