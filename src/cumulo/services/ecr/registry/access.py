"""Who asks which registry: by host name, by the name that a mirror was asked for (`ns`), by token, or the default."""

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.registry.answers import RegistryError
from cumulo.services.ecr.tokens import BadToken, Grant, Tokens
from cumulo.wire.http import Request

_HOST = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z]{2}[a-z0-9-]*)\.[A-Za-z0-9.-]+(?::\d*)?")
_EXPIRED = "Your authorization token has expired. Reauthenticate and try again."

Authorize = Callable[[Caller, str, Repository], None]
"""(who, an action such as ecr:BatchGetImage, on what); raises AwsError AccessDeniedException."""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A request's caller, and the registry that it is about; `assumed` when nothing in the request says which."""

    caller: Caller
    account: str
    region: str
    assumed: bool = False


class Access:
    """Finds out, in microseconds, and without looking anything up but the key of the tokens.

    `verify`: shared mode, where nobody comes in without a good token.  Otherwise anonymous clients and any password
    are welcome; only a token of ours must be a good one.
    """

    def __init__(self, *, tokens: Tokens, ids: Ids, verify: bool, account: str, region: str) -> None:
        self._tokens = tokens
        self._ids = ids
        self._verify = verify
        self._account = account
        self._region = region

    def visit(self, request: Request) -> Visit:
        """Who asks for what.  RegistryError 401."""
        request.request_id = self._ids.uuid()
        grant = self._grant(request)
        host = request.headers.get("host")
        named = _HOST.fullmatch(host) or _HOST.fullmatch(_mirrored(request.query))
        if named:
            account, region = named[1], named[2]
        elif grant is not None:
            account, region = grant.account, grant.region
        else:
            account, region = self._account, self._region
        caller = Caller(
            account=grant.account if grant is not None else account,
            region=region,
            access_key=grant.access_key if grant is not None else "",
            request_id=request.request_id,
            endpoint=f"{request.scheme}://{host}",
        )
        assumed = not named and grant is None
        return Visit(caller=caller, account=account, region=region, assumed=assumed)

    def _grant(self, request: Request) -> Grant | None:
        header = request.headers.get("authorization")
        password = password_of(header)
        if password is None or not (self._verify or self._tokens.is_ours(password)):
            if self._verify:
                raise _unauthorized(request, "UNAUTHORIZED", "Not Authorized")
            return None
        try:
            return self._tokens.read(password)
        except BadToken as bad:
            if bad.expired:
                raise _unauthorized(request, "DENIED", _EXPIRED) from None
            raise _unauthorized(request, "UNAUTHORIZED", "Not Authorized") from None


def _mirrored(query: str) -> str:
    """The registry whose mirror containerd takes us for, which it names in each request."""
    if "ns=" not in query:
        return ""
    found = next((part for part in query.split("&") if part.startswith("ns=")), "")
    return unquote(found[3:])


def password_of(header: str) -> str | None:
    """The password of a Basic Authorization header; None when there is none."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return password if colon and user else None


def own_account_only(caller: Caller, action: str, repository: Repository) -> None:
    """The rule of a registry without policies: nobody but its account."""
    if caller.account != repository.account:
        raise AwsError(
            "AccessDeniedException",
            f"User: arn:aws:iam::{caller.account}:root is not authorized to perform: {action} on resource: "
            f"{repository.arn} because no resource-based policy allows the {action} action",
            status=403,
        )


def anybody(caller: Caller, action: str, repository: Repository) -> None:
    """The rule of local mode."""


def _unauthorized(request: Request, code: str, message: str) -> RegistryError:
    realm = f"{request.scheme}://{request.headers.get('host')}/"
    challenge = f'Basic realm="{realm}",service="ecr.amazonaws.com"'
    return RegistryError(401, code, message, headers=[("Www-Authenticate", challenge)])
