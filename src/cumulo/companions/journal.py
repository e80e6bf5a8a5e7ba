"""Remembers what changed moto's state, so that it is there again after the process was killed.

The journal is a file of lines: a salt, then every request that changed something, written before its answer
leaves.  Each has the moment and the number that its random values were drawn from, so that the same roles,
buckets, queues and ids come of it again; and an entry can be left out without changing what the others make.
"""

import logging
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from cumulo.companions.headers import PASSING_HEADER
from cumulo.companions.moto_time import Pinned
from cumulo.wire.http import BytesBody, Headers, Request, Response

_READS: Final = re.compile(
    r"(Batch|Transact)?(Get|List|Describe|Query|Scan|Lookup|Search|Head|Test|Validate|Simulate|Check|Preview"
    r"|Estimate|Decode|Verify|Encrypt|Decrypt|Select)([A-Z].*)?"
)
_ACTION: Final = re.compile(rb"(?:^|&)Action=([A-Za-z]+)")

Run = Callable[[Request, bytes], Response]

_log = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True):
    """One request that changed something."""

    number: int
    at: float
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


class _Salt(msgspec.Struct, frozen=True):
    salt: str
    backends: bool = False  # journals from before `seed_backends` are repeated without it


class Journal:
    """Runs requests one at a time, and writes down those that changed something.

    begin   told, before anything runs, what the services' own beginnings are to be seeded with
    """

    def __init__(
        self, path: Path, run: Run, pinned: Pinned, begin: Callable[[str], None] = lambda _salt: None
    ) -> None:
        self._path = path
        self._run = run
        self._pinned = pinned
        self._begin = begin
        self._lock = threading.Lock()
        self._number = 0
        self._salt = secrets.token_hex(16)
        self._file = -1
        self._size = 0

    def replay(self, progress: Callable[[int], None]) -> tuple[int, int]:
        """Do again what was done; gives how many requests that were, and how many of them failed now."""
        count = failed = 0
        for entry in self._load():
            headers = Headers((n.encode("latin-1"), v.encode("latin-1")) for n, v in entry.headers)
            request = Request(entry.method, entry.path, entry.query, headers, BytesBody(entry.body))
            with self._pinned.pin(entry.at, self._seed(entry.number)):
                failed += self._run(request, entry.body).status >= 400
            self._number = max(self._number, entry.number)
            count += 1
            if count % 100 == 0:
                progress(count)
        return count, failed

    def answer(self, request: Request, body: bytes) -> Response:
        """Run a request; when it has changed something, write it down before answering."""
        with self._lock:
            if PASSING_HEADER in request.headers or not changes(request, body):
                return self._run(request, body)
            self._number += 1
            at = self._pinned.time()
            with self._pinned.pin(at, self._seed(self._number)):
                response = self._run(request, body)
            if response.status < 400 and not _received_nothing(request, body, response):
                headers = list(request.headers.items())
                self._append(
                    Entry(self._number, at, request.method, request.path, request.query, headers, body)
                )
            return response

    def _seed(self, number: int) -> str:
        return f"{self._salt}:{number}"

    def _append(self, line: Entry | _Salt) -> None:
        whole = msgspec.json.encode(line) + b"\n"
        data = memoryview(whole)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            os.ftruncate(self._file, self._size)  # or the next line would be a part of this one
            raise
        self._size += len(whole)

    def _load(self) -> Iterator[Entry]:
        """Read the journal, cut off a line that was not finished, and open it for more."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        good = 0
        decoder = msgspec.json.Decoder(Entry)
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                try:
                    if good == 0:
                        told = msgspec.json.decode(line, type=_Salt)
                        self._salt = told.salt
                        if told.backends:
                            self._begin(told.salt)
                    else:
                        yield decoder.decode(line)
                except msgspec.DecodeError:
                    _log.exception("a line of the journal cannot be read and is left out")
                good += len(line)
        os.ftruncate(self._file, good)
        self._size = good
        if good == 0:
            self._append(_Salt(self._salt, backends=True))
            self._begin(self._salt)


def changes(request: Request, body: bytes) -> bool:
    """Whether a request may change something."""
    operation = operation_of(request, body)
    if operation:
        return _READS.fullmatch(operation) is None
    return request.method not in {"GET", "HEAD", "OPTIONS"}


def operation_of(request: Request, body: bytes) -> str:
    """The operation's name where the protocol says it; empty for REST."""
    target = request.headers.get("x-amz-target")
    if target:
        return target.rsplit(".", 1)[-1]
    form = request.headers.get("content-type").startswith("application/x-www-form-urlencoded")
    action = _ACTION.search(body[:4096] if form else b"") or _ACTION.search(request.query.encode())
    return action[1].decode() if action else ""


def _received_nothing(request: Request, body: bytes, response: Response) -> bool:
    """Whether this is one of the many polls of a queue that brought no message."""
    if operation_of(request, body) != "ReceiveMessage":
        return False
    return isinstance(response.body, bytes) and b"ReceiptHandle" not in response.body
