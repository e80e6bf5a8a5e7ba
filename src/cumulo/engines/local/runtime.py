"""Calls of the OCI runtime and of the monitor.  Blocking: they belong into the engine's own threads.

conmon ──▶ runtime create ──▶ the container's first process, waiting
  │  says its process id, or why not, on a pipe
  ▼
runtime start ──▶ it runs.  conmon stays: writes the log, waits, writes the exit code into a file
"""

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec

from cumulo.base.killing import kill_those
from cumulo.engines.engine import StartFailed
from cumulo.engines.local import processes

CALL_SECONDS_MAX = 30.0
_ANSWER_BYTES_MAX = 64 * 1024
_ROUNDS_MAX = 50
_LINES_MAX = 20  # of what a runtime says
_RUN_ID = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+\.\d+")
_NOT_FOUND = (
    "executable file not found", "no such file or directory", "not found in $path", "not a directory",
)  # fmt: skip
_NOT_EXECUTABLE = (
    "permission denied", "is a directory", "exec format error", "open executable: operation not permitted",
    "too many levels of symbolic links",
)  # fmt: skip


class Tools(msgspec.Struct, frozen=True):
    """The programs on this machine.  `init` is empty where there is none."""

    runtime: str
    conmon: str
    init: str = ""


class Launched(msgspec.Struct, frozen=True):
    """A container whose first process exists and waits."""

    pid: int
    born: int
    monitor: int
    monitor_born: int


class Runtime:
    """The runtime with its own folder of states, which no other instance uses."""

    def __init__(
        self, tools: Tools, root: Path, sockets: Path, seconds_max: float = CALL_SECONDS_MAX
    ) -> None:
        self.tools = tools
        self.root = root
        self._sockets = sockets
        self._seconds_max = seconds_max

    def launch(
        self,
        run: str,
        bundle: Path,
        *,
        exit_file: Path,
        log: Path | None,
        log_bytes_max: int,
        terminal: bool,
        output: int | None,
        said_file: Path,
    ) -> Launched:
        """Create the container under a monitor.  StartFailed; what is left then is for `clear`.

        output     takes stdout and stderr, when there is no log
        said_file  takes what the runtime says: without a log the monitor would not hear it
        """
        exit_file.parent.mkdir(exist_ok=True)
        monitor_file = bundle / "monitor.pid"
        monitor_file.unlink(missing_ok=True)
        said_file.unlink(missing_ok=True)
        answer, say = os.pipe()
        argv = self._monitor_argv(run, bundle, exit_file, monitor_file, said_file)
        argv += [
            "--log-path",
            f"k8s-file:{log}" if log else "passthrough:",
            "--log-size-max",
            str(log_bytes_max),
        ]
        argv += ["--terminal"] if terminal else []
        sink = subprocess.DEVNULL if output is None else output
        try:
            with subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                pass_fds=(say,),
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "_OCI_SYNCPIPE": str(say),
                    "XDG_RUNTIME_DIR": str(self.root),
                },
                start_new_session=True,
                cwd=bundle,  # a file `oom` is what it leaves where it stands
            ) as first:  # it forks and ends at once
                os.close(say)
                say = -1
                pid = self._answer(answer, said_file)
                self._await(first)
        except OSError as error:
            raise StartFailed("engine", f"the monitor could not be started: {error}") from error
        finally:
            os.close(answer)
            if say >= 0:
                os.close(say)
        monitor = _number(monitor_file)
        return Launched(pid, processes.born(pid), monitor, processes.born(monitor))

    def start(self, run: str) -> None:
        """Let it run.  StartFailed."""
        done = self._call("start", run)
        if done.returncode != 0:
            raise failure(done.stderr)

    def waits(self, run: str) -> bool:
        """Whether a container was made and never started, by nobody who may still be at it."""
        gate = self.root / run / "exec.fifo"  # it is removed when the container is let go
        deadline = time.monotonic() + self._seconds_max
        while gate.exists():
            starting = [pid for pid in processes.mentioning(run) if self._is_starting(pid)]
            if not starting:
                return gate.exists()
            if time.monotonic() > deadline:
                kill_those(starting, lambda: processes.mentioning(run))
            time.sleep(0.002)
        return False

    def clear(self, run: str) -> None:
        """End monitor and runtime of a run and forget its state.  The container's processes are its group's matter."""
        for _ in range(_ROUNDS_MAX):  # a runtime may have been born while we looked
            left = [pid for pid in processes.mentioning(run) if self._is_ours(pid)]
            kill_those(left, lambda: processes.mentioning(run))
            if not left:
                break
            time.sleep(0.002)
        self.forget(run)

    def forget(self, run: str) -> None:
        """Remove the state of a run that has ended.

        The runtime's own `delete` would take a process, refuse what was left half made, and do nothing more.
        """
        shutil.rmtree(self.root / run, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self._sockets / run).unlink()
        shutil.rmtree(self._sockets / run, ignore_errors=True)

    def states(self) -> set[str]:
        """The runs that have a state."""
        try:
            with os.scandir(self.root) as entries:
                return {entry.name for entry in entries if _RUN_ID.fullmatch(entry.name)}
        except FileNotFoundError:
            return set()

    def runs(self) -> set[str]:
        """The runs that have a state, or a monitor or runtime alive: this looks at every process of the machine."""
        found = self.states()
        for pid in processes.mentioning(str(self.root)):
            found.update(word for word in processes.command_line(pid) if _RUN_ID.fullmatch(word))
        return found

    @property
    def sends_terminals(self) -> bool:
        """Whether an exec that we wait for can give us its terminal."""
        return Path(self.tools.runtime).name == "crun"

    def exec_argv(
        self, run: str, process: Path, pid_file: Path, log: Path, console: Path | None
    ) -> list[str]:
        """The command that starts a further process and lives as long."""
        argv = [*self._argv(), "--log", str(log), "--log-format", "json", "exec"]
        argv += ["--console-socket", str(console)] if console is not None else []
        return [*argv, "--process", str(process), "--pid-file", str(pid_file), run]

    def _argv(self) -> list[str]:
        return [self.tools.runtime, "--root", str(self.root)]

    def _monitor_argv(
        self, run: str, bundle: Path, exit_file: Path, monitor_file: Path, said_file: Path
    ) -> list[str]:
        further = ["--root", str(self.root), "--log", str(said_file)]
        # fmt: off
        return [
            self.tools.conmon, "--api-version", "1", "--cid", run, "--cuuid", run, "--name", run,
            "--runtime", self.tools.runtime, *(word for one in further for word in ("--runtime-arg", one)),
            "--bundle", str(bundle), "--persist-dir", str(bundle), "--exit-dir", str(exit_file.parent),
            "--container-pidfile", str(bundle / "pid"), "--conmon-pidfile", str(monitor_file),
            "--socket-dir-path", str(self._sockets), "--no-sync-log", "--full-attach",
        ]
        # fmt: on

    def _is_ours(self, pid: int) -> bool:
        return str(self.root) in processes.command_line(pid)

    def _is_starting(self, pid: int) -> bool:
        return "start" in processes.command_line(pid) and self._is_ours(pid)

    def _call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        argv = [*self._argv(), *words]
        try:
            return subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._seconds_max,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StartFailed("engine", f"{words[0]} took longer than {self._seconds_max} s") from error
        except OSError as error:
            raise StartFailed("engine", f"{self.tools.runtime} could not be run: {error}") from error

    def _answer(self, pipe: int, said_file: Path) -> int:
        """The process id that the monitor says.  StartFailed with what the runtime said instead."""
        text = self._line(pipe)
        try:
            told: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
            pid = int(told.get("data", told.get("pid", -1)))
        except (msgspec.MsgspecError, ValueError) as error:
            if errors := said(said_file):
                raise failure(errors) from error
            raise StartFailed("engine", f"the monitor said {text[:200]!r}") from error
        if pid <= 0:
            why = said(said_file) or str(told.get("message", ""))
            raise failure(why or "the runtime ended without a word")
        return pid

    def _line(self, pipe: int) -> bytes:
        deadline = time.monotonic() + self._seconds_max
        text = b""
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while not text.endswith(b"\n") and len(text) < _ANSWER_BYTES_MAX:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise StartFailed(
                    "engine", f"the runtime did not make the container within {self._seconds_max} s"
                )
            piece = os.read(pipe, 4096)
            if not piece:
                break
            text += piece
        return text

    def _await(self, first: "subprocess.Popen[bytes]") -> None:
        try:
            first.wait(self._seconds_max)
        except subprocess.TimeoutExpired:
            first.kill()


def failure(message: str) -> StartFailed:
    """What a runtime's message means."""
    text = re.sub(r"\s+", " ", message).strip()
    lower = text.lower()
    about_command = "exec" in lower and "mount" not in lower
    kind = "engine"
    if about_command and any(word in lower for word in (*_NOT_FOUND, *_NOT_EXECUTABLE)):
        kind = "entrypoint"
    elif "mount" in lower:
        kind = "mount"
    elif "unable to find user" in lower or "unable to find group" in lower:
        kind = "user"
    return StartFailed(kind, text[-1000:] or "the runtime failed without a word")


def said(path: Path) -> str:
    """What a runtime wrote into its log, in JSON: its errors, or all when it called nothing one; empty when there is none."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()[-_LINES_MAX:]
    except OSError:
        return ""
    entries = [_entry(line) for line in lines]
    errors = [message for level, message in entries if level in {"error", "fatal"}]
    return " ".join(errors or [message for _, message in entries])


def _entry(line: str) -> tuple[str, str]:
    try:
        entry = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.MsgspecError:
        return "", line
    return str(entry.get("level", "")), str(entry.get("msg", ""))


def exit_code(error: StartFailed) -> int:
    """As Docker has it: 127 for no such command, 126 for one that cannot be executed, 128 for all else."""
    if error.kind != "entrypoint":
        return 128
    lower = str(error).lower()
    return 126 if any(word in lower for word in _NOT_EXECUTABLE) else 127


def read_exit(path: Path) -> tuple[int, float] | None:
    """The exit code that the monitor wrote, and when; None when there is none."""
    try:
        text = path.read_text().strip()
        return int(text), path.stat().st_mtime
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
