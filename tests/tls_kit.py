"""Certificates for tests: an authority of somebody's own, and clients that it certifies."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cumulo.base.clock import SystemClock

BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


class Authority:
    """An authority of somebody's own."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name
        self.certificate = self._made(name, self.key, days=10, ca=True)

    def issue(self, name: str, *, days: int = 10) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._made(name, key, days=days, ca=False), key

    def _made(self, name: str, key: ec.EllipticCurvePrivateKey, *, days: int, ca: bool) -> x509.Certificate:
        now = dt.datetime.fromtimestamp(SystemClock().now(), dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(key.public_key())
            .serial_number(7 if ca else 4711)
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )


def _named(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, text),
        ]
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def shown(path: Path, authority: Authority, name: str, *, days: int = 10) -> Path:
    """A file with a certificate for a client, and its key."""
    certificate, key = authority.issue(name, days=days)
    path.write_bytes(private(key) + pem(certificate))
    return path
