# noqa: INP001 - a folder of files for functions, no package of ours
"""The transport of awslambdaric: the Runtime API on one connection, in the shape of its compiled module.

awslambdaric asks this module for the next call and hands it the answer.  Its own one (libcurl) makes four
system calls where one will do; this one sends the answer and the poll for the next call together, and the
server holds its "202" back until there is a next call.  So a warm call costs each side one read and one write.

A refusal of an answer is therefore raised by the `next` that follows it; awslambdaric ends the process at
either.  Runs on every Python that a function can ask for.
"""

import os
from _socket import AF_INET, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY
from _socket import socket as new_socket

_ROOT = "/2018-06-01/runtime/invocation/"
_READ_BYTES = 65536
_HEAD_BYTES_MAX = 1024 * 1024

# Every member of the call that awslambdaric may ask for, by its name on the wire.
_MEMBERS = {
    name.lower().encode(): name
    for name in (
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
}


class _Client:
    """One connection to the Runtime API."""

    def __init__(self) -> None:
        self.host = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
        self.poll = b""
        self.head = ""
        self.introduce("aws-lambda-python")
        self._socket: new_socket | None = None
        self._rest = b""
        self._owed = 0  # answers to our answers that were not read yet
        self._asked = False  # whether a poll is under way

    def introduce(self, agent: str) -> None:
        """Say who asks, with the first poll and every answer."""
        self.poll = f"GET {_ROOT}next HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: {agent}\r\n\r\n".encode()
        self.head = f" HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: {agent}\r\nCumulo-Hold-Answer: 1\r\n"

    def next(self) -> "tuple[bytes, dict[str, object]]":
        """Return the next call's event and headers."""
        if not self._asked:
            self._send(self.poll)
        self._asked = False
        while self._owed:
            self._owed -= 1
            status, _, body = self._receive()
            # 413: the caller has been told, and the poll that went out with the answer may have brought the next
            # call already: to end here would fail that one.
            if status not in (202, 413):
                raise RuntimeError(f"Failed to post invocation response: {status} {body[:200]!r}")
        status, lines, body = self._receive()
        if status != 200:
            raise RuntimeError(f"Failed to get next: {status}")
        headers: dict[str, object] = dict.fromkeys(_MEMBERS.values())
        for line in lines:
            name, _, value = line.partition(b":")
            member = _MEMBERS.get(name.lower())
            if member is not None:
                headers[member] = value.strip().decode("utf-8", "replace")
        headers["Lambda-Runtime-Deadline-Ms"] = int(str(headers["Lambda-Runtime-Deadline-Ms"] or 0))
        return body, headers

    def post(self, path: str, body: bytes, headers: str) -> None:
        """Send an answer, and the poll for what comes after it."""
        head = f"POST {_ROOT}{path}{self.head}{headers}Content-Length: {len(body)}\r\n\r\n"
        self._send(head.encode("utf-8") + body + self.poll)
        self._owed += 1
        self._asked = True

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = self._connect()
        self._socket.sendall(data)

    def _connect(self) -> new_socket:
        host, _, port = self.host.rpartition(":")
        if not host.replace(".", "").isdigit():
            from _socket import getaddrinfo

            host = str(getaddrinfo(host, port, AF_INET, SOCK_STREAM)[0][4][0])
        connection = new_socket(AF_INET, SOCK_STREAM, 0)
        connection.connect((host, int(port)))
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        return connection

    def _receive(self) -> "tuple[int, list[bytes], bytes]":
        data = self._rest
        end = data.find(b"\r\n\r\n")
        while end < 0:
            if len(data) > _HEAD_BYTES_MAX:
                raise RuntimeError("Failed to get next: the headers do not end")
            data += self._more()
            end = data.find(b"\r\n\r\n")
        lines = data[:end].split(b"\r\n")
        length = 0
        for line in lines:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        start = end + 4
        if len(data) - start < length:
            pieces = [data[start:]]
            missing = length - len(pieces[0])
            while missing > 0:
                pieces.append(self._more())
                missing -= len(pieces[-1])
            data, start = b"".join(pieces), 0
        self._rest = data[start + length :]
        return int(lines[0][9:12]), lines[1:], data[start : start + length]

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
    _client.introduce(user_agent)


def post_invocation_result(
    invoke_id: str, data: bytes, content_type: str, invocation_id: "str | None" = None
) -> None:
    """Answer a call."""
    headers = f"Content-Type: {content_type}\r\n"
    if invocation_id:
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
