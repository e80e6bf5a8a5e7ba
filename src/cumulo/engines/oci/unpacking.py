"""Runs the process that unpacks a layer, and gives it the layer: a file, or pieces as they arrive."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import msgspec

from cumulo.engines.images import PullError
from cumulo.engines.oci.refusals import Bounds

# -S leaves out site-packages, which would cost as much as all the rest; the search path is handed over.
_CODE = "import sys; sys.path[:] = sys.argv[2:]; from cumulo.engines.oci.unpack import main; sys.exit(main(sys.argv[1]))"


class Unpacked(msgspec.Struct, frozen=True):
    """`size` in bytes of files."""

    size: int
    entries: int


async def unpack(
    folder: Path,
    diff_id: str,
    layer: Path | AsyncIterator[bytes],
    bounds: Bounds,
    *,
    digest: str,
    packed_size: int,
) -> Unpacked:
    """Unpack a layer into an empty folder and check it in the same pass.  PullError; then the folder may hold anything.

    digest, packed_size   of the compressed layer; "" and -1 when they are known to be right
    """
    argv = child(folder, diff_id, bounds, digest=digest, packed_size=packed_size)
    if not isinstance(layer, Path):
        return await _finish(await _start(argv, asyncio.subprocess.PIPE), layer)
    try:
        file = await asyncio.to_thread(layer.open, "rb")
    except OSError as error:
        raise PullError("corrupt", f"the layer cannot be read: {error.strerror}") from None
    with file:
        process = await _start(argv, file.fileno())
    return await _finish(process, None)


def child(folder: Path, diff_id: str, bounds: Bounds, *, digest: str, packed_size: int) -> list[str]:
    """The command that unpacks what it reads from stdin."""
    request = {
        "folder": str(folder),
        "bounds": vars(bounds),
        "diff_id": diff_id,
        "digest": digest,
        "packed_size": packed_size,
        "parent": os.getpid(),
    }
    path = [os.path.abspath(one) for one in sys.path if one]  # noqa: PTH100 - strings in, strings out
    return [sys.executable, "-I", "-S", "-c", _CODE, json.dumps(request), *path]


async def _start(argv: list[str], stdin: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={},
        )  # fmt: skip
    except OSError as error:
        raise PullError("no-space", f"the process that unpacks cannot be started: {error}") from error


async def _finish(process: asyncio.subprocess.Process, pieces: AsyncIterator[bytes] | None) -> Unpacked:
    assert process.stdout is not None
    assert process.stderr is not None
    outcome = asyncio.gather(process.stdout.read(), process.stderr.read(), process.wait())
    try:
        if pieces is not None:
            await _feed(
                process, pieces
            )  # its own error (the registry is gone) says more than "it ends early"
        out, err, code = await outcome
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        outcome.cancel()
        await asyncio.gather(outcome, return_exceptions=True)
        await process.wait()
        raise
    return _outcome(code, out, err[-2000:])


def _outcome(code: int | None, out: bytes, err: bytes) -> Unpacked:
    try:
        answer = json.loads(out)
    except ValueError:
        raise PullError(
            "corrupt", f"the process that unpacks ended with {code}: {err.decode(errors='replace').strip()}"
        ) from None
    if "kind" in answer:
        raise PullError(answer["kind"], answer["message"])
    return Unpacked(answer["size"], answer["entries"])


async def _feed(process: asyncio.subprocess.Process, pieces: AsyncIterator[bytes]) -> None:
    """Write the pieces; returns early when the process has seen enough (it then says why)."""
    stdin = process.stdin
    assert stdin is not None
    try:
        async for piece in pieces:
            if stdin.is_closing():  # it died: uvloop refuses to write then, and not as asyncio does
                break
            stdin.write(piece)
            await stdin.drain()
    except ConnectionError:
        pass
    finally:
        stdin.close()
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
