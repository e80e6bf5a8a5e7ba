"""The opening of a WebSocket, from the server's side: what a client must say, and what it is answered."""

import base64
import binascii

from cumulo.wire.http import Request, Response


def refusal(request: Request) -> Response | None:
    """What is wrong with a request for a WebSocket; None when nothing is."""
    headers = request.headers
    words = {word.strip().lower() for line in headers.get_all("connection") for word in line.split(",")}
    if "upgrade" not in words or not _is_key(headers.get("sec-websocket-key")):
        return _bad(400, "Bad Request")
    if headers.get("sec-websocket-version") != "13":
        return _bad(426, "Upgrade Required", ("Sec-WebSocket-Version", "13"))
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return _bad(400, "Bad Request")
    return None


def acceptance(request: Request, subprotocol: str = "") -> list[tuple[str, str]]:
    """The headers of the answer 101; `Connection` is the server's."""
    from websockets.utils import accept_key

    headers = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", accept_key(request.headers.get("sec-websocket-key"))),
    ]
    if subprotocol:
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    return headers


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.encode(), validate=True)) == 16
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return False


def _bad(status: int, message: str, *headers: tuple[str, str]) -> Response:
    body = b'{"message":"%b"}' % message.encode()
    return Response(status, [("Content-Type", "application/json"), *headers], body)
