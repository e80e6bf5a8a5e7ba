"""A registry of its own in a process of its own, that can be killed; and a client that speaks plain HTTP to it.

python -m tests.registry_kit DATA [local|shared]      prints its port; /_test/ makes repositories and tokens
"""

import asyncio
import base64
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.base.ids import Ids
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.layer_upkeep import LayerUpkeep, needed_by
from cumulo.services.ecr.layers import StoredLayers
from cumulo.services.ecr.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Repository
from cumulo.services.ecr.registry.access import Access, anybody, own_account_only
from cumulo.services.ecr.registry.registry import Registry
from cumulo.services.ecr.tokens import TOKEN_SECONDS, Tokens
from cumulo.state.content import Content
from cumulo.state.store import Store
from cumulo.wire.http import Request, Response
from cumulo.wire.server import Server

ACCOUNT, REGION = "000000000000", "us-east-1"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


class Shifted(SystemClock):
    """The machine's time, and some."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.now = lambda: SystemClock.now() + self.seconds  # type: ignore[method-assign]


class App:
    """The registry and what it stands on, as the integration builds it, and a back door for tests."""

    def __init__(self, data: Path, *, shared: bool) -> None:
        clock, ids = Shifted(), Ids()
        self.store = Store(data / "db")
        self.content = Content(data / "content")
        self.layers = StoredLayers(content=self.content, store=self.store, clock=clock, ids=ids)
        self.catalog = StoredCatalog(self.store, self.layers, clock)
        self.tokens = Tokens(self.store, clock)
        self.clock = clock
        needs = needed_by(self.catalog)
        self.upkeep = LayerUpkeep(self.layers, needs)
        self.registry = Registry(
            catalog=self.catalog,
            layers=self.layers,
            access=Access(tokens=self.tokens, ids=ids, verify=shared, account=ACCOUNT, region=REGION),
            authorize=own_account_only if shared else anybody,
            needs=needs,
            sources=self.layers.sources,
        )
        self.server = Server(self, clock=clock)

    async def __call__(self, request: Request, /) -> Response:
        if self.registry.wants(request):
            return await self.registry(request)
        asked = {key: values[0] for key, values in parse_qs(request.query).items()}
        return Response(
            200, body=msgspec.json.encode(await getattr(self, request.path.rpartition("/")[2])(**asked))
        )

    async def repository(
        self, name: str, account: str = ACCOUNT, region: str = REGION, mutability: str = "MUTABLE"
    ):
        made = Repository(
            account=account, region=region, name=name, mutability=mutability, created_at=self.clock.now()
        )
        await self.catalog.create(made)
        return name

    async def token(self, account: str = ACCOUNT, region: str = REGION):
        return (await self.tokens.issue(account, region, "AKIATEST"))[0]

    async def expired(self):
        """A token of yesterday."""
        yesterday = VirtualClock(self.clock.now() - TOKEN_SECONDS - 1)
        return (await Tokens(self.store, yesterday).issue(ACCOUNT, REGION))[0]

    async def shift(self, seconds: str):
        """Let it be so much later (or earlier) than it is."""
        self.clock.seconds = float(seconds)

    async def tidy(self, seconds: str = "3600"):
        return await self.upkeep.tidy(file_seconds_min=float(seconds))

    async def memory(self):
        text = Path("/proc/self/status").read_text()
        return {
            line.split(":")[0]: line.split(":")[1].strip()
            for line in text.splitlines()
            if line.startswith("Vm")
        }

    async def archive(self, name: str, tag: str):
        repository = self.catalog.repository(ACCOUNT, REGION, name)
        image = self.catalog.image(repository, tag=tag)
        await self.catalog.change_image(msgspec.structs.replace(image, status="ARCHIVED"), "archived")


async def serve(data: Path, *, shared: bool) -> None:
    app = App(data, shared=shared)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print(await app.server.listen("127.0.0.1", 0), flush=True)
    await stopping.wait()
    await app.server.stop(1.0)
    app.content.close()
    await app.store.close()


class RegistryProcess:
    """The server, started, killed and started again on the same data."""

    def __init__(self, data: Path, mode: str = "local") -> None:
        self.data = data
        self.mode = mode
        self.port = 0
        self.log = data.parent / f"{data.name}.log"
        self.child: subprocess.Popen[str] | None = None
        data.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        argv = [sys.executable, "-m", "tests.registry_kit", str(self.data), self.mode]
        with self.log.open("a") as log:
            self.child = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, text=True, env=env, cwd=Path(__file__).parent.parent
            )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, f"the registry did not start:\n{self.log.read_text()[-4000:]}"
        self.port = int(line)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.child is None:
            return
        self.child.send_signal(number)
        self.child.wait(20)
        assert self.child.stdout is not None
        self.child.stdout.close()
        self.child = None

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def client(self, *, token: str = "", host: str = "") -> "Client":
        return Client(self.port, token=token, host=host)

    def do(self, what: str, **asked: str) -> Any:
        """Use the back door."""
        query = "&".join(f"{key}={value}" for key, value in asked.items())
        with self.client() as client:
            answer = client.ask("GET", f"/_test/{what}?{query}")
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The specification's error code; the body must have its form."""
        assert self.headers["content-type"].startswith("application/json")
        errors = self.json()["errors"]
        assert isinstance(errors, list)
        assert errors[0].keys() <= {"code", "message", "detail"}
        return errors[0]["code"]

    @property
    def message(self) -> str:
        return self.json()["errors"][0]["message"]


class Client:
    """One connection, kept alive."""

    def __init__(self, port: int, *, token: str = "", host: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = ({"Authorization": f"Basic {token}"} if token else {}) | (
            {"Host": host} if host else {}
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        self._connection.request(
            method, path, body, {**self._headers, **(headers or {})}, encode_chunked=chunked
        )
        response = self._connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    # What tests do all the time

    def begin(self, name: str) -> str:
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/", b"")
        assert answer.status == 202, answer.body
        return answer.headers["location"]

    def push_blob(self, name: str, data: bytes) -> str:
        digest = sha256(data)
        answer = self.ask("PUT", f"{self.begin(name)}?digest={digest}", data)
        assert answer.status == 201, answer.body
        return digest

    def push_manifest(
        self, name: str, reference: str, manifest: Mapping[str, Any], **headers: str
    ) -> tuple[str, bytes]:
        data = json.dumps(manifest).encode()
        answer = self.ask(
            "PUT",
            f"/v2/{name}/manifests/{reference}",
            data,
            {"Content-Type": manifest["mediaType"], **headers},
        )
        assert answer.status == 201, answer.body
        return sha256(data), data

    def push_image(self, name: str, tag: str, content: bytes = b"layer", **more: Any) -> tuple[str, bytes]:
        config = b'{"architecture":"amd64","os":"linux"}'
        self.push_blob(name, config)
        self.push_blob(name, content)
        return self.push_manifest(name, tag, manifest_of(config, content, **more))


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest_of(config: bytes, *layers: bytes, kind: str = OCI_MANIFEST, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": CONFIG_TYPE, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": sha256(one), "size": len(one)} for one in layers],
    } | more


def index_of(*children: tuple[str, int, str], kind: str = OCI_INDEX, **more: Any) -> dict[str, Any]:
    """Of (digest, size, architecture)."""
    return {
        "schemaVersion": 2,
        "mediaType": kind,
        "manifests": [
            {
                "mediaType": DOCKER_MANIFEST if kind == DOCKER_LIST else OCI_MANIFEST,
                "digest": digest,
                "size": size,
                "platform": {"architecture": architecture, "os": "linux"},
            }
            for digest, size, architecture in children
        ],
    } | more


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(Path(sys.argv[1]), shared=sys.argv[2:] == ["shared"]))
