"""What cannot be beaten: a bare httptools echo, with a ping-pong over a unix socket to a Python worker.

No routing, no signature, no isolation, no logs, no Runtime API: the request's body goes to the worker in a
frame, the worker decodes it, calls a handler, encodes the answer, and the answer goes back.

    python -m benchmarks.floors        prints its port, serves until killed
"""

import asyncio
import json
import os
import socket
import sys
from collections import deque
from typing import Any

import httptools
import uvloop


def handler(event: Any, _context: Any) -> Any:
    """What the measured functions do."""
    print("hello", file=sys.stderr)
    return {"ok": True, "event": event}


def worker(sock: socket.socket) -> None:
    """Answer every frame, as the smallest possible runtime would."""
    sys.stderr = open(os.devnull, "w", buffering=1)  # noqa: SIM115 - for the life of the process
    stream = sock.makefile("rb")
    while head := stream.read(4):
        event = json.loads(stream.read(int.from_bytes(head, "big")))
        answer = json.dumps(handler(event, None)).encode()
        sock.sendall(len(answer).to_bytes(4, "big") + answer)


class Echo(asyncio.Protocol):
    """One HTTP connection; each request makes one round trip to the worker."""

    def __init__(self, worker_side: "Worker") -> None:
        self._worker = worker_side
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, chunk: bytes) -> None:
        self._body += chunk

    def on_message_complete(self) -> None:
        self._worker.ask(self._transport, self._body)
        self._body = b""


class Worker(asyncio.Protocol):
    """The unix socket's end here: answers come back in order."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, client: Any, body: bytes) -> None:
        self._waiting.append(client)
        self._transport.write(len(body).to_bytes(4, "big") + body)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= 4:
            end = 4 + int.from_bytes(self._data[:4], "big")
            if len(self._data) < end:
                return
            answer, self._data = self._data[4:end], self._data[end:]
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
            self._waiting.popleft().write(head.encode() + answer)


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
