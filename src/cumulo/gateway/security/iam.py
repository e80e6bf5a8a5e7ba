"""AWS_IAM: requests that are signed with somebody's access key, for the service execute-api in the API's region.

    mode shared   the key must be one of the cloud's, and the signature its owner's
    mode local    any key will do, but a whole signature must be there

An access key may do in its own account what it likes, as its root user may; another account's needs the API's resource
policy too.
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cumulo.base.errors import AwsError
from cumulo.base.policy_principals import Who
from cumulo.gateway.tools import Tools
from cumulo.gateway.visit import Grant, Refused, Visit
from cumulo.wire.http import BodyCutShort, Request
from cumulo.wire.keys import Key
from cumulo.wire.sigv4 import Scope, Verifier, signature_of

SERVICE = "execute-api"
BODY_BYTES_MAX = 10 << 20
_KINDS = {
    "MissingAuthenticationTokenException": "MISSING_AUTHENTICATION_TOKEN",
    "ExpiredTokenException": "EXPIRED_TOKEN",
    "RequestEntityTooLargeException": "REQUEST_TOO_LARGE",
}


class Signer(msgspec.Struct, frozen=True):
    """Who signed a request."""

    account: str
    access_key: str
    arn: str
    user_id: str

    @property
    def who(self) -> Who:
        """For policies."""
        return Who(account=self.account, arn=self.arn, user_id=self.user_id)


class Signatures:
    """Finds out who signed requests to APIs of a region."""

    def __init__(self, region: str, account: str, tools: Tools) -> None:
        self._region = region
        self._account = account
        self._keys = tools.keys
        self._verifier = Verifier(tools.keys.find, tools.clock.now) if tools.shared else None

    async def signer(self, visit: Visit) -> Signer:
        """Who signed.  Refused as API Gateway refuses; the visit's body is read where a signature is verified."""
        request = visit.request
        _check_form(request)
        try:
            scope = signature_of(request).scope
            self._check_scope(scope)
            if self._verifier is None:
                return self._stranger(scope)
            self._verifier.identify(request)
            _, key = self._verifier.verify(request, await _body(visit))
        except AwsError as error:
            raise _refused(error) from None
        return _known(key)

    def _check_scope(self, scope: Scope) -> None:
        if scope.region != self._region:
            text = f"Credential should be scoped to a valid region, not '{scope.region[:32]}'. "
            raise AwsError("InvalidSignatureException", text, status=403)
        if scope.service != SERVICE:
            text = f"Credential should be scoped to correct service: '{SERVICE}'. "
            raise AwsError("InvalidSignatureException", text, status=403)

    def _stranger(self, scope: Scope) -> Signer:
        """Whom a key stands for where any is accepted: twelve digits are an account."""
        name = scope.access_key
        key = self._keys.find(name)
        if key is not None:
            return _known(key)
        account = name if len(name) == 12 and name.isascii() and name.isdigit() else self._account
        return Signer(account, name, f"arn:aws:iam::{account}:root", account)


def _known(key: Key) -> Signer:
    if key.role_arn:
        role = key.role_arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{key.account}:assumed-role/{role}/{key.name}"
        return Signer(key.account, key.access_key, arn, f"{key.access_key}:{key.name}")
    if key.name:
        return Signer(
            key.account, key.access_key, f"arn:aws:iam::{key.account}:user/{key.name}", key.access_key
        )
    return Signer(key.account, key.access_key, f"arn:aws:iam::{key.account}:root", key.account)


async def _body(visit: Visit) -> bytes:
    if visit.body is None:
        try:
            visit.body = await visit.request.body.read(BODY_BYTES_MAX)
        except BodyCutShort:
            raise Refused("BAD_REQUEST_BODY") from None
    return visit.body


def _check_form(request: Request) -> None:
    """An Authorization header of another kind is told as AWS tells it; its text only as a hash."""
    header = request.headers.get("authorization")
    if not header:
        return
    _, _, rest = header.strip().partition(" ")
    pieces = [piece.strip() for piece in (rest or header).split(",")]
    if any("=" not in piece for piece in pieces):
        told = (
            "Invalid key=value pair (missing equal-sign) in Authorization header "
            f"(hashed with SHA-256 and encoded with Base64): '{_hashed(header)}'."
        )
        raise Refused("INVALID_SIGNATURE", told, error_type="IncompleteSignatureException")


def _hashed(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("latin-1", "replace")).digest()).decode()


def _refused(error: AwsError) -> Refused:
    return Refused(_KINDS.get(error.code, "INVALID_SIGNATURE"), error.message, error_type=error.code)


def identity_of(signer: Signer) -> dict[str, Any]:
    """`$context.identity` of an IAM caller."""
    return {
        "accessKey": signer.access_key,
        "accountId": signer.account,
        "caller": signer.user_id,
        "user": signer.user_id,
        "userArn": signer.arn,
        "principalOrgId": None,
    }


def http_authorization(region: str, account: str, tools: Tools) -> Callable[[Visit], Awaitable[Grant]]:
    """What a route of an HTTP API with AWS_IAM asks for; whatever is wrong is Forbidden."""
    signatures = Signatures(region, account, tools)

    async def authorize(visit: Visit) -> Grant:
        try:
            signer = await signatures.signer(visit)
            if signer.account != account:
                raise Refused("ACCESS_DENIED", "the caller is of another account")
        except Refused as refused:
            if refused.kind == "REQUEST_TOO_LARGE":
                raise
            visit.context["authorizer"] = {"error": refused.message, "status": 403}
            raise Refused("ACCESS_DENIED", "Forbidden") from None
        told = {
            "accessKey": signer.access_key,
            "accountId": signer.account,
            "callerId": signer.user_id,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": signer.arn,
            "userId": signer.user_id,
        }
        return Grant(kind="IAM", context=told, identity=identity_of(signer))

    return authorize
