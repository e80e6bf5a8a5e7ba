"""A streamed answer on its way from a runtime's connection to whoever reads it.

    Connection ──put──▶ pieces ──▶ reader          the connection rests while HIGH_BYTES wait
                                       result      once the call's end has been written down

A reader that is slow slows the function down; one that goes away is forgotten, and the function runs on.
"""

import asyncio
from collections import deque
from typing import Protocol

import msgspec

from cumulo.base.ports.functions import InvokeResult
from cumulo.services.lambda_.calls import Outcome

HIGH_BYTES = 256 * 1024
LOW_BYTES = 64 * 1024
PIECE_BYTES = 64  # what a piece costs beyond its own bytes


class Source(Protocol):
    """Where the pieces come from."""

    def hold(self) -> None:
        """Bring no more for now."""
        ...

    def release(self) -> None:
        """Bring more."""
        ...


def result_of(outcome: Outcome, request_id: str, trace_id: str) -> InvokeResult:
    """An outcome as the house sees it."""
    return InvokeResult(
        payload=outcome.payload,
        function_error=outcome.function_error,
        error_type=outcome.error_type,
        log_tail=outcome.log_tail,
        executed_version=outcome.version,
        request_id=request_id,
        trace_id=trace_id,
        waited_ms=outcome.waited_ms,
        init_ms=outcome.init_ms,
        duration_ms=outcome.duration_ms,
    )


class AnswerStream:
    """An answer that may come in pieces (`ports.InvokeStream`)."""

    def __init__(self, *, executed_version: str, request_id: str, trace_id: str) -> None:
        self.content_type = ""
        self.executed_version = executed_version
        self.request_id = request_id
        self.trace_id = trace_id
        self.begun = False  # whether the function streams
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._source: Source | None = None
        self._held = False
        self._outcome: Outcome | None = None
        self._closed = False
        self._wake: asyncio.Future[None] | None = None

    # -- from the runtime ----------------------------------------------------------------------------------------

    def begin(self, source: Source, content_type: str) -> None:
        """The function begins to stream."""
        self.begun = True
        self.content_type = content_type
        self._source = source
        self._stir()

    def put(self, piece: bytes) -> None:
        """A piece of the answer."""
        if self._closed or self._outcome is not None:
            return
        self._pieces.append(piece)
        self._waiting_bytes += len(piece) + PIECE_BYTES
        if self._waiting_bytes >= HIGH_BYTES and self._source is not None and not self._held:
            self._held = True
            self._source.hold()
        self._stir()

    def finish(self, outcome: Outcome) -> None:
        """The call is over (`calls.OnDone`); an answer that was not streamed is one piece."""
        if self._held:
            self._release()
        self._source = None
        self._outcome = outcome
        if not self.begun and not outcome.function_error and outcome.refusal is None and not self._closed:
            self._pieces.append(outcome.payload)
            self._waiting_bytes += len(outcome.payload) + PIECE_BYTES
        self._stir()

    # -- to the reader -------------------------------------------------------------------------------------------

    async def started(self) -> None:
        """Wait until the answer begins, or the call is over.  AwsError when it was refused."""
        while not self.begun and self._outcome is None:
            await self._stirred()
        if not self.begun:
            self._check()

    def __aiter__(self) -> "AnswerStream":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._outcome is not None or self._closed:
                self._check()
                raise StopAsyncIteration
            await self._stirred()
        piece = self._pieces.popleft()
        self._waiting_bytes -= len(piece) + PIECE_BYTES
        if self._held and self._waiting_bytes <= LOW_BYTES:
            self._release()
        return piece

    @property
    def result(self) -> InvokeResult:
        """What it came to; read it after the last piece."""
        assert self._outcome is not None, "the answer is not complete"
        found = result_of(self._outcome, self.request_id, self.trace_id)
        return found if found.function_error else msgspec.structs.replace(found, payload=b"")

    def close(self) -> None:
        """Hear no more of it."""
        self._closed = True
        self._pieces.clear()
        self._waiting_bytes = 0
        if self._held:
            self._release()
        self._stir()

    def _check(self) -> None:
        if self._outcome is not None and self._outcome.refusal is not None:
            raise self._outcome.refusal

    def _release(self) -> None:
        self._held = False
        if self._source is not None:
            self._source.release()

    def _stir(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _stirred(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None
