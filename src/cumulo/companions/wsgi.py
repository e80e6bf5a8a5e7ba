"""Lets a WSGI application answer requests of our own server, in threads."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cumulo.wire.http import Request, Response

BODY_BYTES_MAX: Final = 5 * 1024 * 1024 * 1024  # S3's largest single upload
PIECE_BYTES: Final = 256 * 1024

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]
Adapt = Callable[[Request, Environ], None]


class Threads:
    """A handler that answers in threads."""

    def __init__(self, answer: Callable[[Request, bytes], Response], executor: Executor) -> None:
        self._answer = answer
        self._executor = executor

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        body = await request.body.read(BODY_BYTES_MAX)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._answer, request, body)


class WsgiBridge:
    """Asks a WSGI application.  `adapt` may change the environ before it is used."""

    def __init__(self, application: Application, adapt: Adapt) -> None:
        self._application = application
        self._adapt = adapt

    def answer(self, request: Request, body: bytes) -> Response:
        """Run the application for a request whose body is all here."""
        if request.path.startswith("/moto-api"):
            return Response(404)  # moto's own back door, through which a client could empty the cloud
        environ = environ_of(request, body)
        self._adapt(request, environ)
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            started[:] = [int(status.split(" ", 1)[0]), headers]

        pieces = self._application(environ, start_response)
        try:
            whole = b"".join(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
        status, headers = started
        if len(whole) <= PIECE_BYTES:
            return Response(status, headers, whole)
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers = [*headers, ("Content-Length", str(len(whole)))]
        return Response(status, headers, _slices(whole))


def environ_of(request: Request, body: bytes) -> Environ:
    """Make the WSGI environ of a request."""
    raw_uri = f"{request.path}?{request.query}" if request.query else request.path
    environ: Environ = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "REQUEST_URI": raw_uri,
        "RAW_URI": raw_uri,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    for name, value in request.headers.items():
        if "_" in name or name == "transfer-encoding":
            continue  # WSGI could not tell x_y from x-y; the body is all here
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


async def _slices(whole: bytes) -> AsyncIterator[bytes]:
    view = memoryview(whole)
    for at in range(0, len(whole), PIECE_BYTES):
        yield bytes(view[at : at + PIECE_BYTES])
