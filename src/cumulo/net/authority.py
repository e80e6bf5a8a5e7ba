"""A certificate authority of the cloud's own: made once in its data folder, issues certificates for names by themselves.

ca/ca.pem   its certificate: what clients are told to trust
ca/ca.key   its key, for its owner alone; whoever has it can pretend to be anybody to those who trust it
"""

import fcntl
import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cumulo.base.clock import Clock
from cumulo.net.tls import Certificate

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

YEARS: Final = 10
LEAF_DAYS: Final = 397  # clients refuse certificates that are good for much longer
_EARLIER: Final = timedelta(days=1)  # for clients whose clock is behind
_COMMON_NAME_MAX: Final = 64


class Authority:
    """Made when it is first asked for anything: importing what it needs takes a moment, and most clouds have no use for it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._issuer: tuple[x509.Certificate, EllipticCurvePrivateKey] | None = None

    @property
    def path(self) -> Path:
        """Where its certificate lies."""
        return self.folder / "ca.pem"

    @property
    def made(self) -> bool:
        """Whether there is one."""
        return self.path.exists()

    def certificate(self) -> str:
        """Its certificate in PEM; it is made when there is none.  OSError."""
        if not self.made:
            self._open()
        return self.path.read_text()

    def issue(self, names: Sequence[str]) -> Certificate:
        """A certificate for host names and addresses, and its key.  OSError; ValueError for what is no name."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        issuer, secret = self._open()
        key = ec.generate_private_key(ec.SECP256R1())
        now = self._now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(names[0]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .not_valid_after(min(now + timedelta(days=LEAF_DAYS), issuer.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        made = _signed(builder, key, secret, now)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = made.public_bytes(serialization.Encoding.PEM) + issuer.public_bytes(
            serialization.Encoding.PEM
        )
        return Certificate(chain.decode(), private.decode(), tuple(names))

    def _open(self) -> "tuple[x509.Certificate, EllipticCurvePrivateKey]":
        if self._issuer is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)  # a server and a command line may both be the first
                if not self.made:
                    self._make()
                self._issuer = self._read()
            finally:
                os.close(lock)
        return self._issuer

    def _read(self) -> "tuple[x509.Certificate, EllipticCurvePrivateKey]":
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError(
                f"{self.folder}/ca.key is not the key of ca.pem: remove both, and trust the new one"
            )
        return certificate, key

    def _make(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        now = self._now()
        name = _named(f"Cumulo local authority {x509.random_serial_number() % 16**8:08x}")
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .not_valid_after(now + timedelta(days=365 * YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
        )
        made = _signed(builder, key, key, now)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(self.folder / "ca.key", private, 0o600)
        _write(self.path, made.public_bytes(serialization.Encoding.PEM), 0o644)  # last: with it, all is there

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


def _signed(
    builder: "x509.CertificateBuilder",
    key: "EllipticCurvePrivateKey",
    secret: "EllipticCurvePrivateKey",
    now: datetime,
) -> "x509.Certificate":
    """The certificate of `key`, signed with `secret`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(secret.public_key())
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(by, critical=False)
        .sign(secret, hashes.SHA256())
    )


def _usage(*, signs: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _named(text: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:_COMMON_NAME_MAX])])


def _general(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, data: bytes, mode: int) -> None:
    """A file that is there whole or not at all, and whose mode holds from its first byte."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
