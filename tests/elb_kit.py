"""Load balancing in a process of its own, that can be killed: `python -m tests.elb_kit DATA [moto]` prints its port.

The neighbours (EC2, certificates, functions) are small stand-ins that answer alike in every process; with `moto`, EC2 and
ACM are the companions that a cloud has.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import uvloop

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import Certificate
from cumulo.base.ports.functions import InvokeResult
from cumulo.base.ports.networks import InstanceFact, Subnet
from cumulo.companions.certificates import CertificateReader, self_signed
from cumulo.companions.companions import Companions
from cumulo.companions.subnets import SubnetBook
from cumulo.services.elbv2.house import ElbHouse, Surroundings
from cumulo.services.elbv2.plane import Machine
from cumulo.state.store import Store
from cumulo.wire.door import Door
from cumulo.wire.http import Request, Response
from cumulo.wire.keys import Keys
from cumulo.wire.models import Models
from cumulo.wire.server import Server
from tests.support import client

NETWORK = "vpc-1"
SUBNETS = {
    "subnet-a": Subnet("subnet-a", NETWORK, "us-east-1a"),
    "subnet-b": Subnet("subnet-b", NETWORK, "us-east-1b"),
    "subnet-b2": Subnet("subnet-b2", NETWORK, "us-east-1b"),
    "subnet-c": Subnet("subnet-c", NETWORK, "us-east-1c"),
    "subnet-x": Subnet("subnet-x", "vpc-2", "us-east-1a"),
}
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"


class Subnets:
    """An EC2 with a few subnets; `states` are its instances that do not run here."""

    async def subnets(self, _caller: Caller, ids: Sequence[str]) -> list[Subnet]:
        for one in ids:
            if one not in SUBNETS:
                raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{one}' does not exist")
        return [SUBNETS[one] for one in ids]

    def __init__(self) -> None:
        self.states: dict[str, InstanceFact] = {}

    async def check_security_groups(self, _caller: Caller, groups: Sequence[str]) -> None:
        for one in groups:
            if "missing" in one:
                raise AwsError("InvalidGroup.NotFound", f"The security group '{one}' does not exist")

    async def default_security_group(self, _caller: Caller, network: str) -> str:
        return f"sg-default-{network}"

    async def instances(self, _caller: Caller, ids: Sequence[str]) -> Mapping[str, InstanceFact]:
        return {one: self.states[one] for one in ids if one in self.states}

    async def has_network(self, _caller: Caller, network: str) -> bool:
        return network in {one.network for one in SUBNETS.values()}


class Keeper:
    """An ACM in which the last part of an ARN is the name of its certificate; `missing` are not there."""

    def __init__(self) -> None:
        self.kept: dict[str, Certificate] = {}

    async def certificate(self, _caller: Caller, arn: str) -> Certificate | None:
        name = arn.rpartition("/")[2]
        if "missing" in name:
            return None
        if arn not in self.kept:
            text, key = self_signed((name,), SystemClock.now())
            self.kept[arn] = Certificate(arn=arn, certificate=text, key=key, names=(name,))
        return self.kept[arn]


class Instances:
    """Instances by id."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {"i-here": "127.0.0.1"}

    def address_of(self, instance_id: str) -> str:
        return self.addresses.get(instance_id, "")


class Functions:
    """Runs `answer` with each event; a request for /say is answered with the very bytes of its body."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Any] = lambda event: {
            "statusCode": 200,
            "headers": {"Content-Type": "text/plain"},
            "body": f"{event['httpMethod']} {event['path']} {event['body']}",
        }

    async def invoke(
        self,
        _caller: Caller,
        _function: str,
        payload: bytes,
        *,
        client_context: str = "",
        want_log: bool = False,
    ) -> InvokeResult:
        del client_context, want_log
        event = json.loads(payload)
        self.events.append(event)
        if event["path"] == "/say":
            return InvokeResult(payload=event["body"].encode())
        return InvokeResult(payload=json.dumps(self.answer(event)).encode())


def loopback(name: str) -> str:
    """An address of this machine for a name; the same for the same name."""
    digest = hashlib.sha256(f"{os.getuid()}{name}".encode()).digest()
    return f"127.66.{digest[0]}.{digest[1] % 254 + 1}"


class Addresses:
    """A machine that gives loopback addresses, and remembers what was published."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self.published: dict[str, list[str]] = {}

    async def address_for(self, name: str) -> str:
        self.given[name] = loopback(name)
        return self.given[name]

    async def give_back(self, name: str) -> None:
        self.given.pop(name, None)

    async def publish(self, records: Mapping[str, Sequence[str]]) -> None:
        self.published = {name: list(addresses) for name, addresses in records.items()}

    def machine(self) -> Machine:
        return Machine(self.address_for, self.give_back, self.publish)


class App:
    """The house behind a real door and a real server."""

    def __init__(self, data: Path, *, moto: bool) -> None:
        self.clock, ids = SystemClock(), Ids()
        self.store = Store(data / "cumulo.db")
        self.companions = Companions(
            endpoints={},
            account_default="000000000000",
            region_default="us-east-1",
            data=data,
            service_of=self._service_of,
            account_of=lambda _: None,
        )
        self.house = ElbHouse(
            Surroundings(
                subnets=SubnetBook(self.companions) if moto else Subnets(),
                certificates=CertificateReader(self.companions, self.clock, ids) if moto else Keeper(),
                instances=Instances(),
                invoker=Functions(),
                machine=Addresses().machine(),
            ),
            store=self.store,
            clock=self.clock,
            ids=ids,
        )
        self.door = Door(
            {"elbv2": self.house.service()},
            self.companions if moto else nobody,
            models=Models(),
            keys=Keys(store=self.store, clock=self.clock, ids=ids),
            ids=ids,
            clock=self.clock,
            verify=False,
            account="000000000000",
            region="us-east-1",
        )
        self.server = Server(self, clock=self.clock)

    def _service_of(self, request: Request) -> str:
        scope = self.door.authenticate.scope(request)
        return scope.service if scope else ""

    async def __call__(self, request: Request, /) -> Response:
        if request.path == "/_test/figures":
            figures = {arn: (one.requests, one.by_target) for arn, one in self.house.figures().items()}
            return Response(200, body=json.dumps(figures).encode())
        if self.house.owns(request.headers.get("host")):
            return await self.house.handle(request)
        return await self.door(request)


async def nobody(_request: Request, /) -> Response:
    """There are no companions."""
    return Response(404)


async def serve(data: Path, *, moto: bool) -> None:
    app = App(data, moto=moto)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await app.house.start()
    running = asyncio.create_task(app.house.run())
    print(await app.server.listen("127.0.0.1", 0), flush=True)
    await stopping.wait()
    await app.server.stop(1.0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await app.house.close()
    await app.companions.close()
    await app.store.close()


class ElbProcess:
    """The server, started, killed and started again on the same data."""

    def __init__(self, data: Path, *words: str) -> None:
        self.data = data
        self.words = words
        self.port = 0
        self.log = data.parent / f"{data.name}.log"
        self.child: subprocess.Popen[str] | None = None
        data.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with self.log.open("a") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tests.elb_kit", str(self.data), *self.words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=env,
                cwd=Path(__file__).parent.parent,
            )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, f"it did not start:\n{self.log.read_text()[-4000:]}"
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

    def client(self, service: str = "elbv2") -> Any:
        return client(f"http://127.0.0.1:{self.port}", service)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Backend:
    """A program that answers with its name; `status` is that of its answers, `slow` holds them until it is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Semaphore(0)
        self.seen: list[tuple[str, dict[str, str]]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                checks = self.headers.get("User-Agent", "").startswith("ELB-HealthChecker")
                if not checks:
                    backend.seen.append((self.path, dict(self.headers.items())))
                    backend.waiting.release()
                    backend.gate.wait(30)
                body = backend.name.encode()
                self.send_response(backend.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def backends(*names: str) -> Iterator[list[Backend]]:
    made = [Backend(name) for name in names]
    try:
        yield made
    finally:
        for one in made:
            one.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), moto="moto" in sys.argv[2:]))
