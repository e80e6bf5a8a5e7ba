"""Certificates that clients show, in the words of `identity.clientCert`."""

import ssl
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cumulo.gateway.visit import ClientCertificate

if TYPE_CHECKING:
    from cryptography import x509

KEPT_MAX: Final = 512
_SHORT_SERIAL_MAX: Final = 1 << 63
_WORDS: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "1.2.840.113549.1.9.1": "emailAddress",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}


class Clients:
    """Reads a certificate once for all the requests of its client."""

    def __init__(self) -> None:
        self._read: dict[bytes, ClientCertificate] = {}

    def read(self, der: bytes) -> ClientCertificate:
        """What a certificate says.  ValueError for what is none (TLS lets none of these through)."""
        found = self._read.get(der)
        if found is None:
            if len(self._read) >= KEPT_MAX:
                del self._read[next(iter(self._read))]
            found = self._read[der] = read_certificate(der)
        return found


def read_certificate(der: bytes) -> ClientCertificate:
    """What a certificate (DER) says."""
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    return ClientCertificate(
        pem=ssl.DER_cert_to_PEM_cert(der),
        subject=distinguished(certificate.subject),
        issuer=distinguished(certificate.issuer),
        serial=serial(certificate.serial_number),
        not_before=moment(certificate.not_valid_before_utc),
        not_after=moment(certificate.not_valid_after_utc),
    )


def distinguished(name: "x509.Name") -> str:
    """C=US,O=Example,CN=client: in the order in which it is written."""
    return ",".join(
        f"{_WORDS.get(one.oid.dotted_string, one.oid.dotted_string)}={_escaped(one.value)}" for one in name
    )


def serial(number: int) -> str:
    """As OpenSSL prints it: small ones in decimal, others as bytes."""
    if 0 <= number < _SHORT_SERIAL_MAX:
        return str(number)
    return number.to_bytes((number.bit_length() + 7) // 8, "big").hex(":")


def moment(at: datetime) -> str:
    """Aug  5 00:28:21 2120 GMT."""
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[at.month - 1]
    return f"{month} {at.day:2d} {at:%H:%M:%S} {at.year} GMT"


def _escaped(value: str | bytes) -> str:
    text = value if isinstance(value, str) else "#" + value.hex()
    return "".join(f"\\{one}" if one in ',+"\\<>;=' else one for one in text)
