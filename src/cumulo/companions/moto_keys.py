"""Keys of certificates that were imported into ACM, which are never given away, but shown by the cloud's own listeners.

Asked by ExportCertificate, in a request of the cloud's own alone: a client's is answered as on AWS.
"""

import base64
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from cumulo.companions.headers import ACCOUNT_HEADER, OWN_HEADER
from cumulo.wire.http import Request, Response

_TARGET: Final = "CertificateManager.ExportCertificate"
_REGION: Final = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/")

Answer = Callable[[Request, bytes], Response]


def answer_own(request: Request, body: bytes, answer: Answer) -> Response:
    """Answer any request; whether one is the cloud's own is the door's to say."""
    headers = request.headers
    if headers.get(OWN_HEADER) and headers.get("x-amz-target") == _TARGET:
        found = _imported(headers.get(ACCOUNT_HEADER), headers.get("authorization"), body)
        if found is not None:
            return Response(200, [("Content-Type", "application/x-amz-json-1.1")], msgspec.json.encode(found))
    return answer(request, body)


def _imported(account: str, authorization: str, body: bytes) -> dict[str, str] | None:
    """The certificate, its chain and its key, encrypted as asked for; None when none was imported under this ARN."""
    from moto.acm.models import AWS_ROOT_CA, acm_backends

    region = _REGION.search(authorization)
    try:
        values: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        secret = base64.b64decode(values["Passphrase"])
        bundle: Any = acm_backends[account][region[1] if region else ""].get_certificate(
            values["CertificateArn"]
        )
        if bundle.type != "IMPORTED":
            return None
        chain = bundle.chain.replace(AWS_ROOT_CA, b"").strip()  # moto adds it to every chain
        return {
            "Certificate": bundle.cert.decode(),
            "CertificateChain": chain.decode(),
            "PrivateKey": bundle.serialize_pk(secret),
        }
    except Exception:  # noqa: BLE001 - moto's own answer says what is wrong
        return None
