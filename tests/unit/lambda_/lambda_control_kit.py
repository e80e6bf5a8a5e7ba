"""What the tests of the control plane are built with: small real stand-ins, and zips."""

import asyncio
import io
import random
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from cumulo.base.caller import Caller
from cumulo.base.clock import VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.sandbox.contract import RuntimeHost, RuntimeMissing
from cumulo.services.lambda_.service import Lambda
from cumulo.state.blobs import Blobs
from cumulo.state.store import Store

CALLER = Caller(account="123456789012", region="eu-west-1", endpoint="http://127.0.0.1:4566")
ROLE = "arn:aws:iam::123456789012:role/app"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:"


def zipped(files=None, **more) -> bytes:
    """A zip of names and contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {
            **(files or {"app.py": "def handler(event, context): return event\n"}),
            **more,
        }.items():
            archive.writestr(name, content)
    return out.getvalue()


CODE = zipped()
OTHER_CODE = zipped({"app.py": "def handler(event, context): return 2\n"})


class FakeFleet:
    def __init__(self):
        self.retired: list[str] = []
        self.forgotten: list[str] = []

    def retire(self, generation: str) -> None:
        self.retired.append(generation)

    def forget(self, account: str, region: str, name: str) -> None:
        self.forgotten.append(name)


class FakeRuntimes:
    """Has every runtime but those in `missing`; while `gate` is clear, preparations wait."""

    def __init__(self):
        self.missing: set[str] = set()
        self.broken = False
        self.prepared: list[tuple[str, str, Path]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def prepare(self, runtime: str, handler: str, code: Path) -> RuntimeHost:
        self.entered.set()
        assert self.gate.wait(20)
        self.prepared.append((runtime, handler, code))
        if runtime in self.missing:
            raise RuntimeMissing(f"{runtime} is not here: apt-get install it")
        if self.broken:
            raise KeyError("a bug")
        return RuntimeHost(
            runtime=runtime,
            argv=("run", handler),
            env={},
            binds=(),
            version=f"{runtime}.v1",
            version_arn="arn:aws:lambda:{region}::runtime:" + "a" * 64,
        )


class FakeObjects:
    def __init__(self):
        self.objects: dict[tuple[str, str, str | None], bytes] = {}

    async def read_object(self, caller, bucket, key, version, *, bytes_max):
        found = self.objects.get((bucket, key, version))
        if found is None:
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404)
        if len(found) > bytes_max:
            raise AwsError("EntityTooLarge", "too large")
        return found


class Cloud:
    """A control plane on a folder; another one on the same folder is a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        clock=None,
        runtimes=None,
        concurrency=1000,
        code_in_use=None,
        seed=1,
        images=None,
    ):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.clock = clock or VirtualClock()
        self.fleet = FakeFleet()
        self.runtimes = runtimes or FakeRuntimes()
        self.objects = FakeObjects()
        self.store = Store(folder / "db", synchronous="OFF")
        self.control = Lambda(
            store=self.store,
            blobs=Blobs(folder / "blobs"),
            code_root=folder / "code",
            objects=self.objects,
            runtimes=self.runtimes,
            fleet=self.fleet,
            clock=self.clock,
            ids=Ids(random.Random(seed)),
            concurrency=concurrency,
            machine="x86_64",
            code_in_use=code_in_use,
            images=images,
        )

    async def __aenter__(self):
        await self.control.start()
        return self

    async def __aexit__(self, *_):
        self.runtimes.gate.set()
        await self.control.close()
        await self.store.close()

    async def call(self, operation: str, caller: Caller = CALLER, **values):
        answer = await self.control.operations()[operation].run(caller, values)
        check_shape(operation, answer)
        return {} if answer is None else answer

    async def create(self, name="f", **values):
        values = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": ROLE,
            "Code": {"ZipFile": CODE},
        } | values
        return await self.call("CreateFunction", **values)

    async def active(self, name="f", **values):
        await self.create(name, **values)
        await self.control.settled()
        return await self.call("GetFunctionConfiguration", FunctionName=name)

    async def config(self, name="f", **values):
        return await self.call("GetFunctionConfiguration", FunctionName=name, **values)

    def trees(self) -> set[str]:
        return {entry.name for entry in (self.folder / "code").iterdir()}


async def refused(awaitable) -> AwsError:
    """The error that an operation answers with."""
    try:
        await awaitable
    except AwsError as error:
        return error
    raise AssertionError("it was accepted")


def run(main: Callable, *args):
    return asyncio.run(main(*args))


MODEL = ServiceModel(Loader().load_service_model("lambda", "service-2"))


def check_shape(operation: str, answer) -> None:
    """The answer has only members of the model, each of its type."""
    shape = MODEL.operation_model(operation).output_shape
    if shape is None:
        assert answer is None, f"{operation} has no output"
        return
    _check(shape, answer, operation)


def _check(shape: Shape, value, where: str) -> None:
    kinds = {
        "string": str,
        "integer": int,
        "long": int,
        "boolean": bool,
        "structure": dict,
        "map": dict,
        "list": (list, tuple),
        "double": (int, float),
    }
    assert isinstance(value, kinds[shape.type_name]), f"{where}: {value!r} is no {shape.type_name}"
    if shape.type_name == "structure":
        for name, member in value.items():
            assert name in shape.members, f"{where} has no member {name}"
            if member is not None:
                _check(shape.members[name], member, f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            _check(shape.member, item, f"{where}[]")
    elif shape.type_name == "map":
        for item in value.values():
            _check(shape.value, item, f"{where}{{}}")
