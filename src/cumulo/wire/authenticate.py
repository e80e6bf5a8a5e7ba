"""Who asks: from a request to a Caller, in microseconds; the signature is verified where that is asked for."""

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.wire.http import Request
from cumulo.wire.keys import Keys
from cumulo.wire.sigv4 import Scope, Verifier, parse_scope, scope_text

_SCOPES_KEPT_MAX = 4096
_SCOPE_CHARACTERS_MAX = 512


class Authenticator:
    """Makes Callers.  Without `verify`, any key is accepted and a 12-digit access key is the account."""

    def __init__(
        self, *, keys: Keys, ids: Ids, clock: Clock, verify: bool, account: str, region: str
    ) -> None:
        self._keys = keys
        self._ids = ids
        self._verifier = Verifier(keys.find, clock.now) if verify else None
        self._account = account
        self._region = region
        self._scopes: dict[str, Scope | None] = {}

    @property
    def verifies(self) -> bool:
        """Whether signatures are checked."""
        return self._verifier is not None

    def scope(self, request: Request) -> Scope | None:
        """The request's credential scope; None when it has none that can be read."""
        text = scope_text(request)
        if not text or len(text) > _SCOPE_CHARACTERS_MAX:
            return None
        try:
            return self._scopes[text]
        except KeyError:
            if len(self._scopes) >= _SCOPES_KEPT_MAX:
                self._scopes.clear()
            scope = self._scopes[text] = parse_scope(text)
            return scope

    def identify(self, request: Request) -> None:
        """Turn away, before its body is read, who cannot be right: unsigned, unknown or out of time."""
        if self._verifier is not None:
            self._verifier.identify(request)

    def __call__(self, request: Request, body: bytes | None, *, service: str = "") -> Caller:
        """Who asks.  AwsError when signatures are verified and this one does not hold.

        `body` is what the payload's hash is checked against; None believes the hash that the client declared.
        `service` is what the scope must name, where that matters.
        """
        request_id = request.request_id = self._ids.uuid()
        endpoint = f"{request.scheme}://{request.headers.get('host')}"
        if self._verifier is not None:
            signature, key = self._verifier.verify(request, body)
            if service and signature.scope.service != service:
                raise AwsError(
                    "InvalidSignatureException",
                    f"Credential should be scoped to correct service: '{service}'.",
                    status=403,
                )
            return Caller(
                account=key.account,
                region=signature.scope.region,
                access_key=key.access_key,
                request_id=request_id,
                endpoint=endpoint,
            )
        scope = self.scope(request)
        if scope is None:
            return Caller(
                account=self._account, region=self._region, request_id=request_id, endpoint=endpoint
            )
        return Caller(
            account=self._account_of(scope.access_key),
            region=scope.region or self._region,
            access_key=scope.access_key,
            request_id=request_id,
            endpoint=endpoint,
        )

    def _account_of(self, access_key: str) -> str:
        if len(access_key) == 12 and access_key.isascii() and access_key.isdigit():
            return access_key
        key = self._keys.find(access_key)
        return key.account if key is not None else self._account
