"""GetAuthorizationToken: the password for `docker login`."""

from cumulo.base.caller import Caller
from cumulo.services.ecr.model import registry_host
from cumulo.services.ecr.tokens import Tokens
from cumulo.services.ecr.views import moment
from cumulo.wire.service import Values


class Authorization:
    """The operation."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetAuthorizationToken: it lets the caller in, at its own registry and at those that are named."""
        token, expires_at = await self._tokens.issue(caller.account, caller.region, caller.access_key)
        scheme = caller.endpoint.partition("://")[0] or "http"
        return {
            "authorizationData": [
                {
                    "authorizationToken": token,
                    "expiresAt": moment(expires_at),
                    "proxyEndpoint": f"{scheme}://{registry_host(account, caller.region, caller.endpoint)}",
                }
                for account in dict.fromkeys(values.get("registryIds") or [caller.account])
            ]
        }
