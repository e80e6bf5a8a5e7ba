"""APIs under attack: a cloud with an HTTP and a REST API, a backend that remembers every byte, and clients without manners."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support import Process, deploy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WAIT_SECONDS_MAX = (
    5.0  # of anybody else (a template takes 0.8 s at worst on an idle machine), and ten times the usual
)
HOST = "{api}.execute-api.us-east-1.amazonaws.com"
FUNCTION = """
import base64, json

def handler(event, context):
    told = event.get("body") or ""
    if event.get("isBase64Encoded"):
        told = base64.b64decode(told).decode("utf-8", "replace")
    if "answer" in (event.get("queryStringParameters") or {}):
        return json.loads(told)
    return {"statusCode": 200, "headers": {"content-type": "application/json"},
            "body": json.dumps({"path": event.get("rawPath", event.get("path")), "size": len(event.get("body") or ""),
                                "headers": event.get("headers"), "parameters": event.get("pathParameters")})}
"""


class RawBackend:
    """A strict server that remembers what it was asked, and answers as it is told, byte for byte.

    answer   bytes that are sent for each request; or what is called with the connection
    faults   requests that a strict reader cannot read
    """

    def __init__(self, answer: "bytes | Callable[[socket.socket], None]" = OK) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.faults: list[bytes] = []
        self.open = 0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._server.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self._server.close()

    def reset(self, answer: "bytes | Callable[[socket.socket], None]" = OK) -> None:
        """Forget, and answer otherwise."""
        self.answer = answer
        for kept in (self.heads, self.bodies, self.faults):
            kept.clear()

    @property
    def lines(self) -> list[bytes]:
        """The request lines."""
        return [head.partition(b"\r\n")[0] for head in self.heads]

    def headers(self, name: str) -> list[str]:
        """The values of a header of the last request."""
        return re.findall(rf"\r\n{name}: *([^\r]*)", self.heads[-1].decode("latin-1"), re.IGNORECASE)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.open += 1
        try:
            with (
                contextlib.suppress(OSError, ValueError, EOFError),
                connection,
                connection.makefile("rb") as stream,
            ):
                while head := self._head(stream):
                    body = self._body(head, stream)
                    if body is None:
                        self.faults.append(head)
                        return
                    self.heads.append(head)
                    self.bodies.append(body)
                    if callable(self.answer):
                        self.answer(connection)
                        return
                    connection.sendall(self.answer)
        finally:
            self.open -= 1

    def _head(self, stream: Any) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                if head:
                    self.faults.append(head)
                return b""
            head += line
        return head

    def _body(self, head: bytes, stream: Any) -> bytes | None:
        """The body; None when two readers could see two of them."""
        lower = head.lower()
        lengths = re.findall(rb"\r\ncontent-length: *(\d+)\r\n", lower)
        chunked = lower.count(b"\r\ntransfer-encoding:")
        if (
            len(lengths) + chunked > 1
            or lower.count(b"\r\nhost:") != 1
            or re.search(rb"[^\r]\n|\r[^\n]", head)
        ):
            return None
        if not chunked:
            body = bytes(stream.read(int(lengths[0])) if lengths else b"")
            if lengths and len(body) < int(lengths[0]):
                raise EOFError("cut short")
            return body
        body = b""
        while size := int(stream.readline().partition(b";")[0], 16):
            body += stream.read(size)
            if stream.readline() != b"\r\n":
                return None
        return body if stream.readline() == b"\r\n" else None


class Attacked:
    """A cloud with an HTTP API and a REST API, each with ways to a function (/fn), a backend (/back), and a MOCK (/mock)."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = Process(folder / "data", *arguments)
        self.process.start()
        where = urlsplit(self.process.endpoint)
        self.address = (str(where.hostname), int(where.port or 0))
        self.backend = RawBackend()
        self.function = str(deploy(self.process.client("lambda"), "attacked", FUNCTION)["FunctionArn"])
        self.v2 = self.process.client("apigatewayv2")
        self.rest = self.process.client("apigateway")
        self.http_api = self._http_api()
        self.rest_api = self._rest_api()
        self.http_host = HOST.format(api=self.http_api)
        self.rest_host = HOST.format(api=self.rest_api)

    def close(self) -> None:
        """Stop."""
        self.backend.close()
        self.process.stop()

    @property
    def hosts(self) -> tuple[tuple[str, str], ...]:
        """Host and the beginning of paths, of each API."""
        return ((self.http_host, ""), (self.rest_host, "/dev"))

    def send(self, *pieces: bytes, seconds: float = 10.0, half_close: bool = True) -> bytes:
        """All that comes back until the server closes, or is silent for so long."""
        with socket.create_connection(self.address, seconds) as client:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    client.sendall(piece)
                if half_close:
                    client.shutdown(socket.SHUT_WR)
            return drained(client)

    def ask(
        self,
        host: str,
        path: str = "/",
        *lines: str,
        method: str = "GET",
        body: bytes = b"",
        seconds: float = 10.0,
    ) -> bytes:
        """One request with these header lines, and the whole answer."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "Connection: close"]
        if body or method in {"POST", "PUT"}:
            head.append(f"Content-Length: {len(body)}")
        sent = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
        return self.send(sent, seconds=seconds, half_close=False)

    def says(self, host: str, prefix: str, answer: Any, *lines: str, method: str = "POST") -> bytes:
        """What a client gets when the function answers this."""
        told = json.dumps(answer).encode()
        return self.ask(host, f"{prefix}/fn/x?answer=1", *lines, method=method, body=told)

    def alive(self) -> None:
        """Everybody else is served, by every API and all that is behind them."""
        self.backend.reset()
        for host, prefix in self.hosts:
            for path in ("/fn/a", "/back/a"):
                got = self.ask(host, prefix + path)
                assert got.startswith(b"HTTP/1.1 200 "), (host, path, got[:300])
        assert self.ask(self.rest_host, "/dev/mock").startswith(b"HTTP/1.1 200 ")
        assert not self.backend.faults

    def route(self, key: str, **integration: Any) -> str:
        """A route of the HTTP API to an integration of its own; the integration's id."""
        wanted = {
            "IntegrationType": "HTTP_PROXY",
            "IntegrationMethod": "ANY",
            "PayloadFormatVersion": "1.0",
        } | integration
        made = self.v2.create_integration(ApiId=self.http_api, **wanted)["IntegrationId"]
        self.v2.create_route(ApiId=self.http_api, RouteKey=key, Target=f"integrations/{made}")
        return str(made)

    def resource(self, part: str, parent: str = "") -> str:
        """A resource of the REST API; its id."""
        made = self.rest.create_resource(restApiId=self.rest_api, parentId=parent or self.root, pathPart=part)
        return str(made["id"])

    def method(
        self, resource: str, *, verb: str = "ANY", parameters: Sequence[str] = (), **integration: Any
    ) -> None:
        """A method of the REST API with an integration and one integration response."""
        where = {"restApiId": self.rest_api, "resourceId": resource, "httpMethod": verb}
        responses = integration.pop("responses", {"200": {}})
        wanted = dict.fromkeys(parameters, False)
        self.rest.put_method(**where, authorizationType="NONE", requestParameters=wanted)
        self.rest.put_integration(**where, **integration)
        for status, response in responses.items():
            shown = dict.fromkeys(response.get("responseParameters", {}), False)
            self.rest.put_method_response(**where, statusCode=status, responseParameters=shown)
            self.rest.put_integration_response(**where, statusCode=status, **response)

    def deploy(self, stage: str = "dev", **more: Any) -> None:
        """Deploy the REST API."""
        self.rest.create_deployment(restApiId=self.rest_api, stageName=stage, **more)

    def _http_api(self) -> str:
        api = str(self.v2.create_api(Name="attacked", ProtocolType="HTTP")["ApiId"])
        self.http_api = api
        self.v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
        self.route("ANY /fn/{proxy+}", IntegrationType="AWS_PROXY", IntegrationUri=self.function,
                   PayloadFormatVersion="2.0")  # fmt: skip
        self.route("ANY /old/{proxy+}", IntegrationType="AWS_PROXY", IntegrationUri=self.function,
                   PayloadFormatVersion="1.0")  # fmt: skip
        self.route("ANY /back/{proxy+}", IntegrationUri=self.backend.url + "/{proxy}")
        return api

    def _rest_api(self) -> str:
        made = self.rest.create_rest_api(name="attacked")
        self.rest_api, self.root = str(made["id"]), str(made["rootResourceId"])
        uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{self.function}/invocations"
        self.method(self.resource("{proxy+}", self.resource("fn")), type="AWS_PROXY", integrationHttpMethod="POST", uri=uri,
                    responses={})  # fmt: skip
        self.method(
            self.resource("{proxy+}", self.resource("back")),
            type="HTTP_PROXY",
            integrationHttpMethod="ANY",
            uri=self.backend.url + "/{proxy}",
            parameters=["method.request.path.proxy"],
            requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
            responses={},
        )
        self.method(
            self.resource("mock"),
            type="MOCK",
            requestTemplates={"application/json": '{"statusCode": 200}'},
            responses={"200": {"responseTemplates": {"application/json": '{"mock": true}'}}},
        )
        self.deploy()
        return self.rest_api


class Others:
    """Somebody who asks all the time, and how long the longest answer took."""

    def __init__(self, attacked: Attacked) -> None:
        self._attacked = attacked
        self._ended = threading.Event()
        self.usual = max(self._one() for _ in range(5))
        self.longest = 0.0
        self.answered = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Others":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)
        assert self.answered
        assert self.longest < WAIT_SECONDS_MAX + 10 * self.usual, (self.longest, self.usual)

    def _run(self) -> None:
        while not self._ended.is_set():
            self.longest = max(self.longest, self._one())
            self.answered += 1
            self._ended.wait(0.01)

    def _one(self) -> float:
        began = time.monotonic()
        got = self._attacked.ask(self._attacked.rest_host, "/dev/mock", seconds=60)
        assert statuses(got) == [200]
        return time.monotonic() - began


def drained(client: socket.socket) -> bytes:
    """All that still comes."""
    got = b""
    with contextlib.suppress(OSError):
        while piece := client.recv(65536):
            got += piece
    return got


def statuses(got: bytes) -> list[int]:
    """The statuses of answers that came one behind another."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


def json_of(got: bytes) -> Any:
    """The body of a whole answer as JSON."""
    return json.loads(got.partition(b"\r\n\r\n")[2])
