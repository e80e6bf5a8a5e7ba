"""Asking the cloud to run an image, and passing on what it prints: the client of /_cumulo/containers."""

import base64
import http.client
import json
import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cumulo.cli.cloud import TOKEN_HEADER, Failed, Unreachable, find_token

CONNECT_SECONDS_MAX = 10.0
INTERRUPTED = 130
RESET = struct.pack(
    "ii", 1, 0
)  # however this process ends, the cloud hears at once that nobody listens any more


def run(endpoint: str, order: Mapping[str, Any]) -> int:
    """Run it; the exit code of the container, 125 when it could not be run, 130 after Ctrl-C (which ends it)."""
    parts = urlsplit(endpoint)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS_MAX)
    headers = {"content-type": "application/json", TOKEN_HEADER: find_token(endpoint)}
    try:
        connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(None)  # a container may be silent for as long as it likes
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.request("POST", "/_cumulo/containers", json.dumps(order), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failed(
                json.loads(answer.read() or b"{}").get("message") or f"the cloud answered {answer.status}"
            )
        return _follow(answer)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(endpoint, str(error)) from error
    finally:
        connection.close()  # the cloud then removes what still runs


def _follow(answer: http.client.HTTPResponse) -> int:
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    for line in answer:
        event = json.loads(line)
        for name, sink in streams.items():
            if name in event:
                sink.write(base64.b64decode(event[name]))
                sink.flush()
        if "refused" in event:
            raise Failed(event["refused"])
        if "exit" in event:
            if event["error"]:
                print(event["error"], file=sys.stderr)
            elif event["out_of_memory"]:
                print("The container ran out of memory.", file=sys.stderr)
            return int(event["exit"])
    raise Failed("the cloud went away before the container had ended")
