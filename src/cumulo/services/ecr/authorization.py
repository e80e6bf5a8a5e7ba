"""GetAuthorizationToken: what `aws ecr get-login-password` gives to `docker login`."""

from cumulo.base.caller import Caller
from cumulo.services.ecr.model import registry_host
from cumulo.services.ecr.tokens import Tokens
from cumulo.wire.service import Values


class Authorization:
    """The operation.  A token stands for who asked for it; what it may do is the registry's business."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def get(self, caller: Caller, values: Values) -> Values:
        """GetAuthorizationToken: a token for each registry that is named, or for the caller's own."""
        scheme = caller.endpoint.partition("://")[0] or "http"
        data = []
        for account in dict.fromkeys(values.get("registryIds") or [caller.account]):
            token, expires_at = await self._tokens.issue(caller.account, caller.region, caller.access_key)
            data.append(
                {
                    "authorizationToken": token,
                    "expiresAt": expires_at,
                    "proxyEndpoint": f"{scheme}://{registry_host(account, caller.region, caller.endpoint)}",
                }
            )
        return {"authorizationData": data}
