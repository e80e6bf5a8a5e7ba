"""PostToConnection, GetConnection and DeleteConnection as operations of the door.

Clients that send them to an API's own address (as they must on AWS) are answered by the data plane, gateway/websocket/
management.py.  Here come those that only know the cloud's address, by AWS_ENDPOINT_URL for instance.
"""

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.gateway.websocket.connection import Connection
from cumulo.gateway.websocket.connections import Connections
from cumulo.wire.service import Operation, Service, Values

NAME = "apigatewaymanagementapi"


class ExecuteApi:
    """Knows the connections of all APIs."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def service(self) -> Service:
        """As the door wants it."""
        return Service(NAME, self.operations())

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PostToConnection": Operation(self.post_to_connection),
            "GetConnection": Operation(self.get_connection),
            "DeleteConnection": Operation(self.delete_connection),
        }

    async def post_to_connection(self, caller: Caller, values: Values) -> None:
        """Send a message to a client."""
        if not self._find(caller, values).post(values.get("Data") or b""):
            raise AwsError("LimitExceededException", "Too many messages wait for the client", status=429)

    async def get_connection(self, caller: Caller, values: Values) -> Values:
        """Say who a client is, since when, and when it last was heard of."""
        found = self._find(caller, values)
        return {
            "ConnectedAt": found.connected_ms / 1000,
            "LastActiveAt": found.last_active_ms / 1000,
            "Identity": {"SourceIp": found.source, "UserAgent": found.agent},
        }

    async def delete_connection(self, caller: Caller, values: Values) -> None:
        """Say goodbye to a client."""
        self._find(caller, values).close(1000, "Connection Closed Normally")

    def _find(self, caller: Caller, values: Values) -> Connection:
        found = self._connections.anywhere(values["ConnectionId"])
        if not isinstance(found, Connection) or found.account != caller.account:
            raise AwsError("GoneException", "", status=410)
        return found
