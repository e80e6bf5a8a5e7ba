"""Starts the moto process when it is first needed, again when it has died, and ends it."""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from cumulo.companions.moto_process import environment

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 5.0
NEWS_SECONDS_MAX: Final = 0.5
LINE_BYTES_MAX: Final = 1024 * 1024
INSTALL: Final = "pip install 'moto[server,all]'"

_PREFIX: Final = "cumulo-moto-"

_log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The process cannot be started; the message says what to do."""


class MotoProcess:
    """The process, which may not run yet.  `journal` None: it keeps nothing."""

    def __init__(self, *, account: str, journal: Path | None) -> None:
        self._account = account
        self._journal = journal
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._forget_last()

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to it; starts it when it does not run.  CannotStart."""
        try:
            return await asyncio.open_unix_connection(str(await self._ready()), limit=LINE_BYTES_MAX)
        except ConnectionError:
            await self.stop()  # it died, and that was not noticed yet
        return await asyncio.open_unix_connection(str(await self._ready()), limit=LINE_BYTES_MAX)

    async def has_died(self) -> bool:
        """Whether it has ended by itself; waits a moment for the news."""
        process = self._process
        if process is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEWS_SECONDS_MAX):
                await process.wait()
        return process.returncode is not None

    async def stop(self) -> None:
        """End it; the next `connect` starts it again."""
        async with self._starting:
            await self._end()

    async def close(self) -> None:
        """End it for good."""
        self._closed = True
        await self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._forget_last()

    @property
    def _note(self) -> Path | None:
        """Where the name of the temporary folder is kept, for a server that is killed."""
        return None if self._journal is None else self._journal.with_suffix(".folder")

    def _forget_last(self) -> None:
        """Remove the temporary folder of a server that was killed."""
        if self._note is None or not self._note.exists():
            return
        last = Path(self._note.read_text())
        if last.name.startswith(_PREFIX) and last.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(last, ignore_errors=True)
        self._note.unlink(missing_ok=True)

    async def _ready(self) -> Path:
        async with self._starting:
            if self._closed:
                raise CannotStart("the cloud is stopping")
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
                if self._note is not None:
                    self._note.write_text(str(self._folder))
            path = self._folder / "socket"
            if not self.running:
                path.unlink(missing_ok=True)
                await self._start(path)
            return path

    async def _start(self, path: Path) -> None:
        assert self._folder is not None
        errors = self._folder / "errors"
        journal = "" if self._journal is None else str(self._journal)
        with errors.open("wb") as error_file:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cumulo.companions.moto_process",
                str(path),
                journal,
                self._account,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=error_file,
                env=environment(dict(os.environ), self._folder),
                start_new_session=True,
            )
        assert process.stdout is not None
        if not await _gets_ready(process.stdout):
            await self._end()
            raise CannotStart(_why(errors))
        _log.info("moto has started", extra={"pid": process.pid})

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # which it takes as the sign to end
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _gets_ready(output: asyncio.StreamReader) -> bool:
    """Wait until it says that it is ready; each sign of life gives it more time."""
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(START_SECONDS_MAX):
                line = await output.readline()
            if line == b"ready\n":
                return True
            if not line:
                return False
            words = line.split()
            if words[0] == b"replayed" and words[-1] != b"0":
                _log.warning("moto could not repeat all it had done", extra={"what": line.decode()})
    return False


def _why(errors: Path) -> str:
    text = errors.read_text(errors="replace").strip()
    last = text.rsplit("\n", 1)[-1] if text else "it did not get ready in time"
    if "ModuleNotFoundError" in last or "ImportError" in last:
        return f"{last}. It needs: {INSTALL}"
    return last
