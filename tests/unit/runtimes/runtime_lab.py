"""Runs a RuntimeHost as a real process against a small Runtime API of the tests' own."""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cumulo.sandbox.contract import Exit, RuntimeHost, SandboxSpec
from cumulo.sandbox.plain import PlainLauncher, PlainSandbox
from cumulo.sandbox.runtimes import HostRuntimes

SECONDS_MAX = 30.0
HANDLER = "index.handler"
FUNCTION = {
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "LAMBDA_TASK_ROOT": "/var/task",
}


class Said(msgspec.Struct, kw_only=True):
    """One thing that a runtime told the API."""

    path: str
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str] = {}

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Frame(msgspec.Struct):
    kind: int
    text: str


class Played(msgspec.Struct, kw_only=True):
    """What came of it."""

    said: list[Said]
    frames: list[Frame]
    output: str
    exit: Exit | None
    first_next_ms: float

    @property
    def answers(self) -> list[Any]:
        return [said.value for said in self.said if said.path.endswith("/response")]

    @property
    def errors(self) -> list[Any]:
        return [said.value for said in self.said if said.path.endswith("/error")]


class FakeApi:
    """Hands out events in order; answers whatever it is told with 202."""

    def __init__(self, events: Sequence[bytes], headers: Mapping[str, str], enough: int) -> None:
        self._events = list(enumerate(events))
        self._headers = headers
        self._enough = enough
        self.said: list[Said] = []
        self.done = asyncio.Event()
        self.first_next = 0.0
        if enough == 0:
            self.done.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:  # an ended test cancels this; the streams of asyncio complain of tasks that end so
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        _, path, _ = head[0].split(" ")
        headers = _headers(head[1:])
        if path.endswith("/invocation/next"):
            self.first_next = self.first_next or time.perf_counter()
            if not self._events:
                await asyncio.Event().wait()
            index, event = self._events.pop(0)
            lines = {
                "Lambda-Runtime-Aws-Request-Id": f"request-{index}",
                "Lambda-Runtime-Deadline-Ms": str(int(time.time_ns() / 1e6) + 3000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
                "Lambda-Runtime-Trace-Id": f"Root=1-trace-{index}",
                "Content-Type": "application/json",
                "Content-Length": str(len(event)),
            } | dict(self._headers)
            writer.write(b"HTTP/1.1 200 OK\r\n" + _lines(lines) + b"\r\n" + event)
            return True
        if headers.get("transfer-encoding") == "chunked":
            body, trailers = await _chunks(reader)
        else:
            body, trailers = await reader.readexactly(int(headers.get("content-length", "0"))), {}
        self.said.append(Said(path=path, headers=headers, body=body, trailers=trailers))
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        if len(self.said) >= self._enough:
            await writer.drain()
            self.done.set()
        return True


def play(
    host: RuntimeHost,
    code: Path,
    *events: object,
    handler: str = HANDLER,
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    enough: int | None = None,
    until_exit: bool = False,
) -> Played:
    """Start the runtime, give it the events, and wait until it has said enough (or ended)."""
    spec = SandboxSpec(
        name="lab",
        argv=host.argv,
        env={**host.env, **FUNCTION, "_HANDLER": handler, **(env or {})},
        code=code,
        binds=host.binds,
        memory_mib=256,
        vcpus=1.0,
        tmp_name="lab",
        tmp_mib=512,
    )
    raw = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    api_enough = len(raw) if enough is None else enough
    return asyncio.run(_play(spec, raw, headers or {}, api_enough, until_exit=until_exit))


async def _play(
    spec: SandboxSpec, events: list[bytes], headers: Mapping[str, str], enough: int, *, until_exit: bool
) -> Played:
    with tempfile.TemporaryDirectory() as tmp:
        launcher = PlainLauncher(Path(tmp) / "tmp")
        api = FakeApi(events, headers, enough)
        started = time.perf_counter()
        sandbox = await launcher.start(spec)
        output, frames = bytearray(), bytearray()
        loop = asyncio.get_running_loop()
        loop.add_reader(sandbox.output, _drain, sandbox.output, output)
        loop.add_reader(sandbox.telemetry, _drain, sandbox.telemetry, frames)
        server = await asyncio.start_server(api.serve, sock=sandbox.runtime_socket, limit=1 << 24)
        ended = asyncio.ensure_future(sandbox.wait())
        said = asyncio.ensure_future(api.done.wait())
        awaited = [ended] if until_exit else [ended, said]
        await asyncio.wait(awaited, timeout=SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        exited = ended.result() if ended.done() else None
        said.cancel()
        await _end(sandbox, server, loop, (output, frames))
        await ended
        await launcher.close()
        return Played(
            said=api.said,
            frames=_frames(bytes(frames)),
            output=output.decode(),
            exit=exited,
            first_next_ms=(api.first_next - started) * 1e3,
        )


async def _end(
    sandbox: PlainSandbox,
    server: asyncio.Server,
    loop: asyncio.AbstractEventLoop,
    sinks: tuple[bytearray, bytearray],
) -> None:
    sandbox.kill()
    await sandbox.wait()
    for fd, sink in zip((sandbox.output, sandbox.telemetry), sinks, strict=True):
        loop.remove_reader(fd)
        _drain(fd, sink)
    server.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "FakeApi.serve" in repr(task.get_coro()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _drain(fd: int, into: bytearray) -> None:
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(fd, 65536):
            into += chunk


def _frames(data: bytes) -> list[Frame]:
    frames, at = [], 0
    while at < len(data):
        kind, length, _ = struct.unpack_from(">IIQ", data, at)
        frames.append(Frame(kind, data[at + 16 : at + 16 + length].decode()))
        at += 16 + length
    return frames


async def _chunks(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, str]]:
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    lines = []
    while line := (await reader.readline()).decode("latin-1").strip():
        lines.append(line)
    return body, _headers(lines)


def _headers(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in lines if line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a function's code."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@functools.cache
def machine() -> HostRuntimes:
    """This machine's runtimes, made once for all tests."""
    folder = tempfile.mkdtemp(prefix="cumulo-test-runtimes-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return HostRuntimes(Path(folder))
