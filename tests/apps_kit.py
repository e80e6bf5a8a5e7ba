"""What tests of APIs with applications share: packages with their dependencies, APIs of both kinds, requests by host name."""

import http.client
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from packaging.requirements import Requirement

from tests.support import deploy

DOMAIN = "execute-api.us-east-1.amazonaws.com"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: headers by lower-case name, all values of each."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        """A header's values, joined; empty when there is none."""
        return ", ".join(self.headers.get(name.lower(), ()))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    endpoint: str,
    host: str,
    method: str,
    target: str,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
) -> Answer:
    """A request to the cloud with this Host header."""
    where = urlsplit(endpoint)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    try:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        content = body.encode() if isinstance(body, str) else body
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in pairs:
            connection.putheader(name, value)
        if content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        answer = connection.getresponse()
        found: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            found.setdefault(name.lower(), []).append(value)
        return Answer(status=answer.status, headers=found, body=answer.read())
    finally:
        connection.close()


class Site:
    """An API at one stage: `stage` is the beginning of its paths, empty for $default."""

    def __init__(self, cloud: Any, api: str, stage: str = "") -> None:
        self.cloud, self.id, self.stage = cloud, api, stage

    @property
    def host(self) -> str:
        return f"{self.id}.{DOMAIN}"

    def ask(self, method: str, path: str, body: bytes | str | None = None, headers: Any = ()) -> Answer:
        """A request below the stage."""
        prefix = f"/{self.stage}" if self.stage else ""
        return ask(self.cloud.endpoint, self.host, method, prefix + path, body, headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})


def http_api(cloud: Any, function: str, *, stage: str = "$default", **members: Any) -> Site:
    """An HTTP API that gives everything to a function in format 2.0."""
    v2 = cloud.client("apigatewayv2")
    api = v2.create_api(Name="app", ProtocolType="HTTP", **members)["ApiId"]
    integration = v2.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    v2.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{integration}")
    v2.create_stage(ApiId=api, StageName=stage, AutoDeploy=True)
    return Site(cloud, api, "" if stage == "$default" else stage)


def lambda_uri(function: str) -> str:
    """The URI of an integration with a function."""
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"


def rest_api(cloud: Any, function: str, *, stage: str = "dev", **members: Any) -> Site:
    """A REST API that gives everything, its root too, to a function."""
    rest = cloud.client("apigateway")
    api = rest.create_rest_api(name="app", **members)["id"]
    [root] = rest.get_resources(restApiId=api)["items"]
    proxy = rest.create_resource(restApiId=api, parentId=root["id"], pathPart="{proxy+}")["id"]
    for resource in (root["id"], proxy):
        rest.put_method(restApiId=api, resourceId=resource, httpMethod="ANY", authorizationType="NONE")
        rest.put_integration(
            restApiId=api, resourceId=resource, httpMethod="ANY", type="AWS_PROXY", integrationHttpMethod="POST",
            uri=lambda_uri(function),
        )  # fmt: skip
    rest.create_deployment(restApiId=api, stageName=stage)
    return Site(cloud, api, stage)


def distributions(*names: str) -> dict[str, bytes]:
    """The files of Python distributions that are installed here, and of all that they require."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = _plain(waiting.pop())
        if name in found:
            continue
        found[name] = distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    files: dict[str, bytes] = {}
    for one in found.values():
        for file in one.files or ():
            if file.suffix != ".pyc" and ".." not in file.parts:
                files[str(file)] = Path(str(file.locate())).read_bytes()
    return files


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def python_app(cloud: Any, name: str, source: str, *packages: str, **settings: Any) -> str:
    """Deploy app.py with the distributions it needs; the function's ARN."""
    files: dict[str, str | bytes] = {**distributions(*packages), "app.py": source}
    options = {"MemorySize": 512, "Timeout": 25} | settings
    return str(deploy(cloud.client("lambda"), name, files, **options)["FunctionArn"])


def node_modules(*packages: str) -> dict[str, bytes]:
    """The files of npm's packages, below node_modules; installed once a machine.  Skips where that cannot be."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("needs node and npm")
    folder = Path(tempfile.gettempdir()) / "cumulo-test-npm" / re.sub(r"[^a-z0-9.]+", "-", "_".join(packages))
    if not (folder / "node_modules" / ".package-lock.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        argv = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", *packages]
        if subprocess.run(argv, cwd=folder, capture_output=True, timeout=240, check=False).returncode != 0:
            shutil.rmtree(folder)
            pytest.skip("npm cannot install here")
    modules = folder / "node_modules"
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in modules.rglob("*")
        if file.is_file() and not file.is_symlink() and file.suffix in {".js", ".cjs", ".mjs", ".json"}
    }


def node_runtime() -> str:
    """The runtime of the node that is installed; skips when there is none."""
    if not shutil.which("node"):
        pytest.skip("needs node")
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return f"nodejs{done.stdout.strip().lstrip('v').split('.')[0]}.x"


def node_app(cloud: Any, name: str, source: str, *packages: str, **settings: Any) -> str:
    """Deploy index.js with what it needs of npm; the function's ARN."""
    runtime = node_runtime()
    files: dict[str, str | bytes] = {**node_modules(*packages), "index.js": source}
    options = {"Runtime": runtime, "Handler": "index.handler", "MemorySize": 512, "Timeout": 25} | settings
    return str(deploy(cloud.client("lambda"), name, files, **options)["FunctionArn"])
