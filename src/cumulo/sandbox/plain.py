"""Plain processes: no isolation at all, for machines where nothing better is allowed (and for quick tests).

Differences that matter: the code is seen at its host path, /tmp is a folder that is not bounded, memory and
CPU are not limited, the sockets are on loopback where other processes can reach them, and names lead where the
machine's resolver says.
"""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from cumulo.sandbox.contract import Early, Exit, Isolation, Reach, SandboxSpec, StartError, trusting


class PlainSandbox:
    """A process group of its own."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        sockets: tuple[socket.socket, socket.socket],
        pipes: tuple[int, int],
    ) -> None:
        self.name = name
        self.runtime_socket, self.cloud_socket = sockets
        self.secure_socket: socket.socket | None = None  # port 443 is the machine's
        self.output, self.telemetry = pipes
        self._process = process
        self._closed = False

    def freeze(self) -> None:
        """Stop the group."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the group."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the group."""
        self._signal(signal.SIGKILL)

    def memory_peak_bytes(self) -> int:
        """The main process's high-water mark."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    async def wait(self) -> Exit:
        """How the main process ended."""
        code = await self._process.wait()
        return Exit(signal=-code) if code < 0 else Exit(code=code)

    async def close(self) -> None:
        """Kill what is left and close the descriptors."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        await self._process.wait()
        self.runtime_socket.close()
        self.cloud_socket.close()
        os.close(self.output)
        os.close(self.telemetry)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


class PlainLauncher:
    """Starts plain processes; `tmp_root` holds their /tmp folders."""

    isolation = Isolation.NONE

    def __init__(self, tmp_root: Path | None = None) -> None:
        self._tmp_root = tmp_root or Path(tempfile.mkdtemp(prefix="cumulo-plain-"))
        self._living: set[PlainSandbox] = set()
        self._reach: Reach | None = None

    async def start(self, spec: SandboxSpec) -> PlainSandbox:
        """Start a process group in the code's folder."""
        sockets = (_listener(), _listener())
        output_read, output_write = os.pipe2(os.O_CLOEXEC)
        telemetry_read, telemetry_write = os.pipe2(os.O_CLOEXEC)
        tmp = self._tmp_root / spec.tmp_name
        tmp.mkdir(parents=True, exist_ok=True)
        try:
            process = await asyncio.create_subprocess_exec(
                *_here(spec, spec.argv),
                env=self._environment(spec, sockets, telemetry_write) | {"TMPDIR": str(tmp)},
                cwd=spec.code,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(telemetry_write,),
                start_new_session=True,
            )
        except OSError as error:
            for fd in (output_read, telemetry_read):
                os.close(fd)
            for sock in sockets:
                sock.close()
            raise StartError("Runtime.InvalidEntrypoint", str(error)) from error
        finally:
            os.close(output_write)
            os.close(telemetry_write)
        os.set_blocking(output_read, False)
        os.set_blocking(telemetry_read, False)
        sandbox = PlainSandbox(spec.name, process, sockets, (output_read, telemetry_read))
        self._living.add(sandbox)
        return sandbox

    def expect(self, early: Early) -> None:
        """Nothing is started beforehand here."""

    def reach(self, reach: Reach) -> None:
        """Trust these authorities; the names are the resolver's business."""
        self._reach = reach

    def drop_tmp(self, tmp_name: str) -> None:
        """Remove a folder."""
        shutil.rmtree(self._tmp_root / tmp_name, ignore_errors=True)

    async def close(self) -> None:
        """End everything."""
        for sandbox in self._living:
            await sandbox.close()
        shutil.rmtree(self._tmp_root, ignore_errors=True)

    def _environment(
        self, spec: SandboxSpec, sockets: tuple[socket.socket, socket.socket], telemetry: int
    ) -> dict[str, str]:
        here: Callable[[str], str] = lambda value: _here(spec, (value,))[0]  # noqa: E731
        runtime, cloud = (sock.getsockname()[1] for sock in sockets)
        reach = self._reach
        trust = trusting(str(reach.bundle), str(reach.ca)) if reach is not None else {}
        return (
            trust
            | {name: here(value) for name, value in spec.env.items()}
            | {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime}",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cloud}",
                "_LAMBDA_TELEMETRY_LOG_FD": str(telemetry),
            }
        )


def _here(spec: SandboxSpec, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words with the paths of the inside replaced by those of the host."""
    pairs = [(bind.target, str(bind.source)) for bind in spec.binds] + [("/var/task", str(spec.code))]
    translated = []
    for word in words:
        for inside, outside in sorted(pairs, key=lambda pair: -len(pair[0])):
            if inside != outside:
                word = word.replace(inside, outside)  # noqa: PLW2901
        translated.append(word)
    return tuple(translated)


def _listener() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen(16)
    sock.setblocking(False)
    return sock
