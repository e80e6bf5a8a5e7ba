"""What cannot be beaten: a bare httptools echo, with a ping-pong to a Python worker over a unix socket.

python -m benchmarks.floors        prints its port, serves until killed
"""

import asyncio
import os
import socket
import sys
from typing import Any

import httptools
import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def worker(sock: socket.socket) -> None:
    """Answer every message, as a runtime would."""
    while data := sock.recv(65536):
        sock.sendall(data)


class Echo(asyncio.Protocol):
    """One HTTP connection; each request makes one round trip to the worker."""

    def __init__(self, worker_side: "Worker") -> None:
        self._worker = worker_side
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._worker.ask(self._transport)


class Worker(asyncio.Protocol):
    """The unix socket's end here: answers come back in order."""

    def __init__(self) -> None:
        self._waiting: list[Any] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, client: Any) -> None:
        self._waiting.append(client)
        self._transport.write(b"x")

    def data_received(self, data: bytes) -> None:
        for _ in data:
            self._waiting.pop(0).write(ANSWER)


async def main() -> None:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        worker(theirs)
        os._exit(0)
    theirs.close()
    loop = asyncio.get_running_loop()
    _, side = await loop.create_connection(Worker, sock=ours)
    server = await loop.create_server(lambda: Echo(side), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
