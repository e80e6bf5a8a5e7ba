"""tools.HttpCalls over the house's client for HTTP/1.1."""

from collections.abc import AsyncIterator

from cumulo.gateway.tools import Answer, CallFailed, Pairs
from cumulo.net.http_client import HttpClient
from cumulo.net.http_connection import HttpFailed


class HttpBackends:
    """Asks backends.  `client` is closed by who made it."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def send(
        self,
        method: str,
        url: str,
        headers: Pairs,
        body: bytes | AsyncIterator[bytes],
        *,
        seconds: float,
        verify: bool = True,
        server_name: str = "",
        stream: bool = False,
        bytes_max: int = 0,
    ) -> Answer:
        """Ask, and give the answer.  CallFailed."""
        try:
            answered = await self._client.send(
                method,
                url,
                headers,
                body,
                seconds=seconds,
                verify=verify,
                server_name=server_name,
                stream=stream,
                bytes_max=bytes_max,
            )
        except HttpFailed as failed:
            raise CallFailed(str(failed), timed_out=failed.timed_out) from failed
        return Answer(status=answered.status, headers=answered.headers, body=answered.body)
