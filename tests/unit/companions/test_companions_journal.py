"""The companions' journal on a full disk: what was refused is not half there."""

import contextlib
import resource
import signal

import pytest

from cumulo.companions.journal import Journal
from cumulo.wire.http import BytesBody, Headers, Request, Response


class Pinned:
    """Time that stands still."""

    def time(self) -> float:
        return 1.0

    @contextlib.contextmanager
    def pin(self, at, seed):
        yield


def put(name: str) -> Request:
    return Request("PUT", f"/{name}", "", Headers([]), BytesBody(b""))


def test_a_line_that_did_not_fit_does_not_spoil_the_next(tmp_path):
    path, seen = tmp_path / "companions.jsonl", []

    def run(request, body):
        seen.append(request.path)
        return Response(200)

    journal = Journal(path, run, Pinned())
    journal.replay(lambda done: None)
    journal.answer(put("first"), b"")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))  # room for a part of it
    try:
        with pytest.raises(OSError, match=r"File too large|No space"):
            journal.answer(put("refused"), b"")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    journal.answer(put("second"), b"")
    seen.clear()
    assert Journal(path, run, Pinned()).replay(lambda done: None) == (2, 0)
    assert seen == ["/first", "/second"]
