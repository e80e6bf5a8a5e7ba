"""TLS from PEM texts: which certificate a client is shown, by the name that it asks for."""

import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

ALPN: Final = ["http/1.1"]


class Certificate(msgspec.Struct, frozen=True):
    """A certificate as PEM texts.

    chain  the certificate, and those between it and its root
    key    its private key, not encrypted
    names  host names, lower case, `*.` for one label; empty: those that the certificate has
    """

    chain: str
    key: str
    names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Certificate {self.names}>"


class Certificates:
    """What a listener shows.  `context` stays the same when certificates are replaced.

    ValueError for a text that is no certificate, or a key that does not belong to it.
    """

    def __init__(
        self,
        default: Certificate,
        others: Sequence[Certificate] = (),
        *,
        minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
        ciphers: str = "",
        alpn: Sequence[str] = ALPN,
    ) -> None:
        self._versions = (minimum, maximum)
        self._ciphers = ciphers
        self._alpn = list(alpn)
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._default = self._load(default)
        self.context = self._empty()
        self.context.sni_callback = self._choose
        self.replace(default, others)

    def replace(self, default: Certificate, others: Sequence[Certificate] = ()) -> None:
        """Show these from now on; connections that are there keep what they were shown."""
        loaded = self._load(default)
        by_name: dict[str, ssl.SSLContext] = {}
        for certificate in (*others, default):
            context = loaded if certificate is default else self._load(certificate)
            for name in certificate.names or names_of(certificate.chain):
                by_name.setdefault(name.lower(), context)
        load(self.context, default)  # for clients that ask for no name
        self._default, self._by_name = loaded, by_name

    def context_for(self, name: str | None) -> ssl.SSLContext:
        """What a client is shown that asks for a name."""
        wanted = (name or "").lower().rstrip(".")
        found = self._by_name.get(wanted)
        if found is None:
            _, dot, parent = wanted.partition(".")
            found = self._by_name.get(f"*.{parent}") if dot else None
        return found or self._default

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = self.context_for(name)

    def _load(self, certificate: Certificate) -> ssl.SSLContext:
        context = self._empty()
        load(context, certificate)
        return context

    def _empty(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self._versions
        if self._ciphers:
            context.set_ciphers(self._ciphers)
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context


def load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Load a certificate and its key.  ValueError when they are none, or do not belong together.

    The ssl module reads only files: these are for the owner alone, and removed at once.
    """
    descriptor, path = tempfile.mkstemp(prefix="cumulo-tls-")  # 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{certificate.key.strip()}\n{certificate.chain.strip()}\n")
        context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, OSError) as fault:
        raise ValueError(f"not a certificate with its key: {fault}") from None
    finally:
        Path(path).unlink()


def names_of(chain: str) -> tuple[str, ...]:
    """The host names of the first certificate of a PEM text, lower case.  ValueError when it is none."""
    from cryptography import x509  # heavy, and most clouds never serve TLS

    certificate = x509.load_pem_x509_certificate(chain.encode())
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    if not names:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = [str(name.value) for name in common]
    return tuple(name.lower() for name in names)


def trusting() -> ssl.SSLContext:
    """For connections to backends whose certificates are not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted")
