"""The server's side of isolated sandboxes: asks the warden, and holds what a started sandbox is to the server.

A start is one message to the warden and one answer with descriptors.  Freezing is one write to a descriptor,
killing one signal to another; neither needs the warden.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from cumulo.sandbox import cell, cgroups, main_process, messages
from cumulo.sandbox.contract import (
    BUNDLE_INSIDE,
    CA_INSIDE,
    FILES_MAX,
    Early,
    Exit,
    Isolation,
    Reach,
    SandboxSpec,
    StartError,
    trusting,
)
from cumulo.sandbox.wardship import WardenGone, Wardship

START_SECONDS_MAX = 30.0
CLOSE_SECONDS_MAX = 10.0
NAMES_BYTES_MAX = messages.MESSAGE_BYTES_MAX - 16 * 1024  # of all names that sandboxes are told
EARLY_KINDS_MAX = 2  # different runtimes that are kept waiting for functions
_log = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9-]{1,40}")
_TMP_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How the processor is shared out.

    boost_vcpus   what a sandbox has until `settle`, at least: AWS gives initialization a whole one
    floor_vcpus   what it has after, at least
    """

    boost_vcpus: float = 1.0
    floor_vcpus: float = 0.0


class CellSandbox:
    """A started sandbox."""

    def __init__(self, name: str, number: int, fds: list[int], ward: Wardship, *, early: bool) -> None:
        self.name = name
        self.early = early  # its runtime was started before the sandbox was asked for
        self.number = number
        self._ward = ward
        self._groups = cgroups.KINDS.get(ward.groups)
        self.runtime_socket = _adopt(fds[0])
        self.cloud_socket = _adopt(fds[1])
        self.secure_socket: socket.socket | None = _adopt(fds[2])
        self.output, self.telemetry, self._pidfd = fds[3:6]
        for fd in (self.output, self.telemetry):
            os.set_blocking(fd, False)
        self._freezer = fds[6] if self._groups else -1
        self._peak = fds[7] if self._groups else fds[6]
        self._stat = fds[8] if self._groups else -1
        self._fds = fds[3:]
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._peak_at_exit = 0
        self._closed = False

    def freeze(self) -> None:
        """Stop every process inside."""
        self._freeze_or_thaw(freeze=True)

    def thaw(self) -> None:
        """Let them run again."""
        self._freeze_or_thaw(freeze=False)

    def settle(self) -> None:
        """End the boost that initialization has: from here on, the processor time that was asked for."""
        if not self._exit.done():
            self._ward.say({"t": "settle", "id": self.number})

    def kill(self) -> None:
        """End every process inside, frozen or not."""
        if self._exit.done() or self._closed:
            return
        self._ward.say({"t": "hurry", "id": self.number})  # a thousand processes die slowly on a small share
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._groups:
            self._freeze_or_thaw(freeze=False)  # version 1 keeps even the killed from dying

    def memory_peak_bytes(self) -> int:
        """The most memory used, without the cache of files."""
        if self._closed or self._exit.done():
            return self._peak_at_exit
        try:
            peak = os.pread(self._peak, 64, 0)
            if self._groups is None:
                return int(peak or b"0")
            stat = os.pread(self._stat, 8192, 0).decode()
            return cgroups.used_bytes(self._groups, peak.decode(), stat)
        except (OSError, ValueError):
            return self._peak_at_exit

    async def wait(self) -> Exit:
        """How it ended."""
        return await asyncio.shield(self._exit)

    async def close(self) -> None:
        """Kill it, wait until everything inside is dead, and close the descriptors."""
        if self._closed:
            return
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self.wait()
        if self._closed:  # somebody else, meanwhile
            return
        self._closed = True
        self._ward.forget(self.number)
        self.runtime_socket.close()
        self.cloud_socket.close()
        if self.secure_socket is not None:
            self.secure_socket.close()
        messages.close_all(self._fds)

    def ended(self, message: dict[str, Any]) -> None:
        """The warden says that everything inside is dead."""
        self._peak_at_exit = message["peak"] or self.memory_peak_bytes()
        if not self._exit.done():
            self._exit.set_result(
                Exit(
                    code=message["code"],
                    signal=message["signal"],
                    out_of_memory=message["oom"],
                    entrypoint_failed=message["failed"] != 0,
                )
            )

    def orphaned(self) -> None:
        """The warden has gone, and with it the cell; a frozen one must be let run to die."""
        self.kill()
        self.ended({"peak": 0, "code": 0, "signal": int(signal.SIGKILL), "oom": False, "failed": 0})

    def _freeze_or_thaw(self, *, freeze: bool) -> None:
        if self._closed:
            return
        try:
            if self._groups:
                os.write(self._freezer, self._groups.frozen_word if freeze else self._groups.thawed_word)
            else:
                signal.pidfd_send_signal(self._pidfd, signal.SIGUSR1 if freeze else signal.SIGUSR2)
        except OSError:
            return  # it has ended, and its group was removed


class CellLauncher:
    """Starts sandboxes in cells.  `connect` starts a warden; it is called at the first start and after its death."""

    def __init__(
        self,
        *,
        connect: Callable[[], Awaitable[Wardship]],
        cloud_port: int,
        isolation: Isolation,
        limits: Limits,
        reap: Callable[[], None],
    ) -> None:
        self.isolation = isolation
        self._connect = connect
        self._cloud_port = cloud_port
        self._limits = limits
        self._reap = reap
        self._ward: Wardship | None = None
        self._connecting = asyncio.Lock()
        self._reach: Reach | None = None
        self._expected: list[tuple[Early, str]] = []  # each with its key, the most recent first
        self._warming: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def problems(self) -> dict[str, str]:
        """What the warden could not have, by name; known once it runs."""
        return self._ward.problems if self._ward else {}

    async def warm(self) -> None:
        """Start the warden now, so that the first start finds cells prepared."""
        await self._warden()

    async def start(self, spec: SandboxSpec) -> CellSandbox:
        """Start a sandbox."""
        if self._closed:
            raise StartError("Sandbox.Failed", "the launcher is closed")
        message = self._message(spec)
        if spec.early is not None and spec.files_max == FILES_MAX:
            self.expect(spec.early)
            message["early"] = next(key for early, key in self._expected if early == spec.early)
        for attempt in (1, 2):
            try:
                ward = await self._warden()
                return await self._start(ward, spec, message)
            except WardenGone as error:
                if attempt == 2:
                    raise StartError("Sandbox.Failed", str(error)) from error
        raise AssertionError("unreachable")

    def expect(self, early: Early) -> None:
        """Keep runtimes like this waiting for functions, instead of what was expected least recently."""
        if self._closed or (self._expected and self._expected[0][0] == early):
            return
        others = [(other, key) for other, key in self._expected if other != early]
        self._expected = [(early, _key(early)), *others][:EARLY_KINDS_MAX]
        if self._ward is not None and self._ward.alive:
            self._tell_expected(self._ward)
        elif self._warming is None or self._warming.done():
            self._warming = asyncio.get_running_loop().create_task(self._warm_quietly())

    async def _warm_quietly(self) -> None:
        with contextlib.suppress(StartError):  # whoever starts a sandbox will hear of it
            await self._warden()

    def _tell_expected(self, ward: Wardship) -> None:
        if self._expected:
            ward.say({"t": "expect", "wanted": [_expected(early, key) for early, key in self._expected]})

    def reach(self, reach: Reach) -> None:
        """Let sandboxes find these names; those that run do so as well."""
        self._reach = reach
        if self._ward is not None and self._ward.alive:
            self._tell_reach(self._ward)

    def _tell_reach(self, ward: Wardship) -> None:
        reach = self._reach
        if reach is not None:
            names = fitting(reach.names)
            if len(names) < len(reach.names):
                _log.warning(
                    "sandboxes cannot be told all names", extra={"missing": len(reach.names) - len(names)}
                )
            ward.say({"t": "reach", "names": names, "bundle": str(reach.bundle), "ca": str(reach.ca)})

    def drop_tmp(self, tmp_name: str) -> None:
        """Forget a volume."""
        if self._ward is not None and self._ward.alive:
            self._ward.say({"t": "drop", "name": tmp_name})

    async def close(self) -> None:
        """End all sandboxes, the warden, and everything they had."""
        self._closed = True
        if self._warming is not None:
            await self._warming
        if self._ward is not None:
            sandboxes = list(self._ward.sandboxes.values())
            await self._ward.close()
            for sandbox in sandboxes:
                await sandbox.close()
        await asyncio.to_thread(self._reap)

    async def _start(self, ward: Wardship, spec: SandboxSpec, message: dict[str, Any]) -> CellSandbox:
        number = ward.next_number()
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                return await ward.start(
                    number,
                    message,
                    lambda said, fds: CellSandbox(spec.name, number, fds, ward, early=said["early"]),
                )
        except TimeoutError:
            raise StartError("Sandbox.Failed", "the sandbox did not start in time") from None

    async def _warden(self) -> Wardship:
        if self._ward is not None and self._ward.alive:
            return self._ward
        async with self._connecting:
            if self._closed:
                raise StartError("Sandbox.Failed", "the launcher is closed")
            if self._ward is None or not self._ward.alive:
                if self._ward is not None:
                    await self._ward.close()
                try:
                    self._ward = await self._connect()
                except OSError as error:
                    raise StartError("Sandbox.Failed", f"no warden: {error}") from error
                self._tell_reach(self._ward)
                self._tell_expected(self._ward)
            return self._ward

    def _message(self, spec: SandboxSpec) -> dict[str, Any]:
        _check(spec)
        vcpus = max(spec.vcpus, self._limits.floor_vcpus)
        return {
            "t": "start",
            "argv": spec.argv,
            "env": (trusting(BUNDLE_INSIDE, CA_INSIDE) if self._reach is not None else {})
            | dict(spec.env)
            | {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{cell.RUNTIME_PORT}",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._cloud_port}",
                "_LAMBDA_TELEMETRY_LOG_FD": str(main_process.TELEMETRY_FD),
            },
            "code": str(spec.code),
            "layers": [str(layer) for layer in spec.layers],
            "binds": [(str(bind.source), bind.target) for bind in spec.binds],
            "memory_bytes": spec.memory_mib * 1024 * 1024,
            "vcpus": vcpus,
            "vcpus_first": max(vcpus, self._limits.boost_vcpus),
            "tmp_name": spec.tmp_name,
            "tmp_mib": spec.tmp_mib,
            "pids_max": spec.pids_max + 1,  # and pid 1, which is ours
            "files_max": spec.files_max,
            "early": "",
        }


def fitting(names: tuple[str, ...]) -> list[str]:
    """As many of the names as one message holds."""
    kept: list[str] = []
    left = NAMES_BYTES_MAX
    for name in names:
        left -= len(name) + 3  # quotes and a comma
        if left < 0:
            break
        kept.append(name)
    return kept


def _key(early: Early) -> str:
    return hashlib.sha256(msgspec.json.encode(early, enc_hook=str, order="sorted")).hexdigest()


def _expected(early: Early, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "argv": early.argv,
        "env": dict(early.env),
        "binds": [(str(bind.source), bind.target) for bind in early.binds],
        "files_max": FILES_MAX,
    }


def _check(spec: SandboxSpec) -> None:
    if not spec.argv or not spec.argv[0]:
        raise StartError("Runtime.InvalidEntrypoint", "there is no command")
    assert _NAME.fullmatch(spec.name), f"not a sandbox's name: {spec.name}"
    assert _TMP_NAME.fullmatch(spec.tmp_name), f"not a volume's name: {spec.tmp_name}"
    assert spec.memory_mib > 0, "memory is positive"
    assert spec.tmp_mib > 0, "/tmp has a size"
    assert len(spec.binds) + len(spec.layers) <= 64, "so many mounts fit into one message"


def _adopt(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock
