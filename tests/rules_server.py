"""The registry with its rules in a process of its own, that can be killed.

python -m tests.rules_server DATA      prints its port; /_test/call runs an operation of ECR
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.engines.oci.registry import Patience
from cumulo.engines.oci.registry import Registry as OtherRegistry
from cumulo.services.ecr.layer_upkeep import needed_by
from cumulo.services.ecr.registry.access import Access, anybody
from cumulo.services.ecr.registry.registry import Registry
from cumulo.services.ecr.rules.model import Cached
from cumulo.services.ecr.rules.service import Rules
from tests.registry_kit import ACCOUNT, REGION, App, RegistryProcess


class Nothing:
    """No secrets; a bus that nobody listens to."""

    async def secret(self, _account, _region, _secret):
        raise AwsError("ResourceNotFoundException", "there are no secrets here")

    async def put(self, *_arguments, **_more):
        await asyncio.sleep(0)


class RulesApp(App):
    """The registry and its rules, as the integration puts them together."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, shared=False)
        self.rules = Rules(
            self.store,
            self.clock,
            catalog=self.catalog,
            layers=self.layers,
            incoming=data / "arriving",
            secrets=Nothing(),
            bus=Nothing(),
            open_source=lambda login: OtherRegistry(
                login, clock=self.clock, patience=Patience(tries_max=2, pause=0.01)
            ),
            principal_of=lambda _key: "",
        )
        self.catalog.listeners.append(self.rules.heard)
        self.registry = Registry(
            catalog=self.catalog,
            layers=self.layers,
            access=Access(tokens=self.tokens, ids=Ids(), verify=False, account=ACCOUNT, region=REGION),
            authorize=anybody,
            needs=needed_by(self.catalog),
            sources=self.layers.sources,
            missing=self.rules.missing,
            on_push=self.rules.on_push,
            mounts=self.rules.blob_mounting,
        )

    async def age(self):
        """Let a day pass since the cache last compared its tags."""
        cached = self.store.table("ecr_cached", Cached)
        for key, found in cached.items():
            cached.put(key, msgspec.structs.replace(found, checked_at=found.checked_at - 90_000))
        return len(cached)

    async def call(self, operation: str, values: str = "{}", account: str = ACCOUNT, region: str = REGION):
        caller = Caller(account=account, region=region)
        return await self.rules.operations()[operation].run(caller, json.loads(values))


class RulesProcess(RegistryProcess):
    """The server, started, killed and started again on the same data."""

    def start(self) -> None:
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        argv = [sys.executable, "-m", "tests.rules_server", str(self.data)]
        with self.log.open("a") as log:
            self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, f"the registry did not start:\n{self.log.read_text()[-4000:]}"
        self.port = int(line)

    def call(self, operation: str, region: str = REGION, **values):
        return self.do("call", operation=operation, region=region, values=json.dumps(values).replace(" ", ""))


async def serve(data: Path) -> None:
    app = RulesApp(data)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await app.rules.start()
    running = asyncio.ensure_future(app.rules.run())
    print(await app.server.listen("127.0.0.1", 0), flush=True)
    await stopping.wait()
    await app.server.stop(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await app.rules.close()
    app.content.close()
    await app.store.close()


def copy(*arguments: str, ok: bool = True) -> str:
    """skopeo copy; what it said."""
    done = subprocess.run(
        ["skopeo", "--insecure-policy", "copy", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stderr
    return done.stderr


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
