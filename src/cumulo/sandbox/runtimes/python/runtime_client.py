# noqa: INP001 - a folder of files for functions, no package of ours
"""The transport of awslambdaric: the Runtime API on one connection, in the shape of its compiled module.

awslambdaric asks this module for the next call and hands it the answer.  Its own one (libcurl) makes four
system calls where one will do; this one sends the answer and the poll for the next call together, and the
server holds its "202" back until there is a next call.  So a warm call costs each side one read and one write.

Everything in an answer but the call's id and the body's length is the same each time, in the same order, so that
the server need not parse what it has understood before.

A refusal of an answer is therefore raised by the `next` that follows it; awslambdaric ends the process at
either.  Runs on every Python that a function can ask for.
"""

import os
from _socket import AF_INET, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY
from _socket import socket as new_socket

_ROOT = "/2018-06-01/runtime/invocation/"
_READ_BYTES = 65536
_LARGE_BYTES = 1024 * 1024
_HEAD_BYTES_MAX = 1024 * 1024
_SAID_BYTES_MAX = 256

# Every member of the call that awslambdaric may ask for; a proxy in between may have written them in lower case.
_NONE = dict.fromkeys(
    (
        "Lambda-Runtime-Aws-Request-Id",
        "Lambda-Runtime-Trace-Id",
        "Lambda-Runtime-Invoked-Function-Arn",
        "Lambda-Runtime-Deadline-Ms",
        "Lambda-Runtime-Client-Context",
        "Lambda-Runtime-Cognito-Identity",
        "Lambda-Runtime-Aws-Tenant-Id",
        "Lambda-Runtime-Invocation-Id",
        "Content-Type",
    )
)
_LENGTH = "Content-Length"
_NAMES = {name.lower(): name for name in (*_NONE, _LENGTH)}
_NAMES.update({name: name for name in (*_NONE, _LENGTH)})


class _Client:
    """One connection to the Runtime API."""

    def __init__(self) -> None:
        self.agent = "aws-lambda-python"
        self.poll = b""
        self.tail = ""
        self._socket: new_socket | None = None
        self._rest = b""
        self._owed = 0  # answers to our answers that were not read yet
        self._asked = False  # whether a poll is under way
        self._said = b""  # the last answer, when it was short
        self._accepted = b""  # how the server says 202

    def next(self) -> "tuple[bytes, dict[str, object]]":
        """Return the next call's event and headers."""
        if self._socket is None:
            self._socket = self._connect()
        if not self._asked:
            self._send(self.poll)
        self._asked = False
        self._settle()
        status, headers, body = self._receive()
        if status != 200:
            raise RuntimeError(f"Failed to get next: {status}")
        headers["Lambda-Runtime-Deadline-Ms"] = int(str(headers["Lambda-Runtime-Deadline-Ms"] or 0))
        return body, headers

    def _settle(self) -> None:
        while self._owed:
            self._owed -= 1
            accepted = self._accepted
            if not self._rest:
                self._rest = self._more()
            if accepted and self._rest.startswith(accepted):  # the same words as the last time
                self._rest = self._rest[len(accepted) :]
                continue
            status, _, body = self._receive()
            if status != 202:
                raise RuntimeError(f"Failed to post invocation response: {status} {body[:200]!r}")
            self._accepted = self._said

    def post(self, path: str, body: bytes, headers: str) -> None:
        """Send an answer, and the poll for what comes after it."""
        large = len(body) > _LARGE_BYTES  # may be refused: then this process ends before it polls
        hold = "" if large else "Cumulo-Hold-Answer: 1\r\n"
        length = f"Content-Length: {len(body)}"
        head = f"POST {_ROOT}{path} HTTP/1.1\r\n{hold}{length}{self.tail}{headers}\r\n".encode()
        self._owed += 1
        if large:
            self._send(head + body)
            self._settle()
        else:
            self._send(head + body + self.poll)
            self._asked = True

    def _send(self, data: bytes) -> None:
        assert self._socket is not None, "the first thing is to poll"
        self._socket.sendall(data)

    def _connect(self) -> new_socket:
        # Not before the first poll: a process can be started before its environment is the function's.
        address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
        self.tail = f"\r\nHost: {address}\r\nUser-Agent: {self.agent}\r\n"
        self.poll = f"GET {_ROOT}next HTTP/1.1{self.tail}\r\n".encode()
        host, _, port = address.rpartition(":")
        if not host.replace(".", "").isdigit():
            from _socket import getaddrinfo

            host = str(getaddrinfo(host, port, AF_INET, SOCK_STREAM)[0][4][0])
        connection = new_socket(AF_INET, SOCK_STREAM, 0)
        connection.connect((host, int(port)))
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        return connection

    def _receive(self) -> "tuple[int, dict[str, object], bytes]":
        data = self._rest
        end = data.find(b"\r\n\r\n")
        while end < 0:
            if len(data) > _HEAD_BYTES_MAX:
                raise RuntimeError("Failed to get next: the headers do not end")
            data += self._more()
            end = data.find(b"\r\n\r\n")
        lines = data[:end].decode("utf-8", "replace").split("\r\n")
        headers: dict[str, object] = dict(_NONE)
        for line in lines:
            name, _, value = line.partition(":")
            known = _NAMES.get(name) or _NAMES.get(name.lower())
            if known:
                headers[known] = value.strip()
        length = int(str(headers.pop(_LENGTH, 0)))
        start = end + 4
        self._said = data[: start + length] if length < _SAID_BYTES_MAX else b""
        if len(data) - start < length:
            pieces = [data[start:]]
            missing = length - len(pieces[0])
            while missing > 0:
                pieces.append(self._more())
                missing -= len(pieces[-1])
            data, start = b"".join(pieces), 0
            self._said = b""
        self._rest = data[start + length :]
        return int(lines[0][9:12]), headers, data[start : start + length]

    def _more(self) -> bytes:
        assert self._socket is not None, "nothing is received before something is sent"
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise RuntimeError("Failed to get next: the connection was closed")
        return data


_client = _Client()
next = _client.next  # noqa: A001 - the compiled module's name


def initialize_client(user_agent: str) -> None:
    """Say who we are."""
    _client.agent = user_agent


def post_invocation_result(
    invoke_id: str, data: bytes, content_type: str, invocation_id: "str | None" = None
) -> None:
    """Answer a call."""
    headers = f"Content-Type: {content_type}\r\n"
    if invocation_id and invocation_id != invoke_id:
        headers += f"Lambda-Runtime-Invocation-Id: {invocation_id}\r\n"
    _client.post(invoke_id + "/response", data, headers)


def post_error(
    invoke_id: str, error: "str | bytes", xray_fault: str, invocation_id: "str | None" = None
) -> None:
    """Answer a call with an error."""
    body = error.encode("utf-8") if isinstance(error, str) else error
    headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: Unhandled\r\n"
    if xray_fault:
        headers += f"Lambda-Runtime-Function-XRay-Error-Cause: {' '.join(xray_fault.splitlines())}\r\n"
    if invocation_id:
        headers += f"Lambda-Runtime-Invocation-Id: {invocation_id}\r\n"
    _client.post(invoke_id + "/error", body, headers)
