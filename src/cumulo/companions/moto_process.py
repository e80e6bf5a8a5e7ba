"""The process that answers for the AWS services that are not ours, with moto.

`python -m cumulo.companions.moto_process SOCKET JOURNAL ACCOUNT` does again what the journal says (none when it
is empty), serves on a unix socket, says `ready` on its output, and ends when its input does: it cannot outlive
the server that started it.  Who can open the socket is trusted; internal headers say whose request it is.
"""

import asyncio
import ctypes
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from cumulo.base.clock import SystemClock
from cumulo.companions import moto_time
from cumulo.companions.headers import ACCOUNT_HEADER, SERVICE_HEADER, UNKNOWN_HEADER
from cumulo.companions.journal import Journal
from cumulo.companions.moto_keys import answer_own
from cumulo.companions.polls import answer_poll
from cumulo.companions.wsgi import Application, Environ, Threads, WsgiBridge
from cumulo.wire.http import Handler, Request
from cumulo.wire.server import Limits, Server

THREADS_MAX: Final = 128  # a long poll of SQS keeps one for up to 20 s
BODIES_BYTES_MAX: Final = 8 * 1024 * 1024 * 1024

_PR_SET_PDEATHSIG: Final = 1
_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]+)/([0-9]{8}/[^/,\s]+/[^/,\s]+/aws4_request)")
_QUERY_CREDENTIAL: Final = re.compile(r"X-Amz-Credential=([^&]+)")
_BUCKET_HOST: Final = re.compile(r"(.+?)\.(?:s3[.-].*|s3|localhost)(?::[0-9]+)?", re.IGNORECASE)
_PLAIN_HOST: Final = re.compile(r"localhost|[0-9.]+|\[.*\]|[^.:]+")


def main(arguments: list[str]) -> None:
    """Serve until the input ends."""
    socket_path, journal_path, account = arguments
    _die_with_parent()
    handler = _moto(account, Path(journal_path) if journal_path else None)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(socket_path)
    sock.listen(128)
    asyncio.run(_serve(sock, handler))


async def _serve(sock: socket.socket, handler: Handler) -> None:
    limits = Limits(
        adopted_connections_max=4096, bodies_bytes_max=BODIES_BYTES_MAX, idle_seconds_max=24 * 3600.0
    )
    server = Server(handler, clock=SystemClock(), limits=limits)
    await server.adopt(sock, "")
    _say("ready")
    await asyncio.Event().wait()


def _moto(account: str, journal_path: Path | None) -> Handler:
    pinned = None if journal_path is None else moto_time.install()

    from moto.server import DomainDispatcherApplication, create_backend_app

    bridge = WsgiBridge(Known(DomainDispatcherApplication(create_backend_app)), Adapter(account))
    answer = bridge.answer
    if journal_path is not None and pinned is not None:
        journal = Journal(journal_path, bridge.answer, pinned, partial(moto_time.seed_backends, pinned))
        count, failed = journal.replay(lambda done: _say(f"replaying {done}"))
        if count:
            _say(f"replayed {count} failed {failed}")
        answer = partial(answer_poll, answer=journal.answer)
    answer = partial(answer_own, answer=answer)
    return Threads(answer, ThreadPoolExecutor(THREADS_MAX, "moto"))


class Known:
    """moto's dispatcher, which fails in an odd way on services that it does not have."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        try:
            application: Application = self._dispatcher.get_application(environ)
        except AttributeError:  # of the service that was not found
            start_response("501 Not Implemented", [(UNKNOWN_HEADER, "1"), ("Content-Length", "0")])
            return []
        return application(environ, start_response)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Adapter:
    """Tells moto what the door knows: the account, and where the name of a bucket is."""

    def __init__(self, account_default: str) -> None:
        self._account_default = account_default

    def __call__(self, request: Request, environ: Environ) -> None:
        """Change an environ in place."""
        account = environ.pop(_environ_key(ACCOUNT_HEADER), "")
        service = environ.pop(_environ_key(SERVICE_HEADER), "")
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account or self._account_of_key(environ)
        if service == "s3":
            _name_bucket(environ)
        elif "HTTP_AUTHORIZATION" not in environ:
            _show_scope(environ)
        _keep_metadata_names(request, environ)

    def _account_of_key(self, environ: Environ) -> str:
        """The account of a key that moto itself has handed out (CreateAccessKey, AssumeRole)."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.iam.models import get_account_id_from

        credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if credential is None:
            return self._account_default
        account = str(get_account_id_from(credential[1]))
        return self._account_default if account == DEFAULT_ACCOUNT_ID else account


def _name_bucket(environ: Environ) -> None:
    """Give S3 a host by which moto finds the bucket, or finds that the path has it."""
    host = environ.get("HTTP_HOST", "")
    bucket = _BUCKET_HOST.fullmatch(host)
    if bucket is not None:
        environ["HTTP_HOST"] = f"{bucket[1]}.s3.amazonaws.com"
    elif not _PLAIN_HOST.fullmatch(host.rsplit(":", 1)[0]):
        environ["HTTP_HOST"] = "localhost"


def _show_scope(environ: Environ) -> None:
    """Let moto route a presigned request by its scope, which it looks for in the header only."""
    presigned = _QUERY_CREDENTIAL.search(environ["QUERY_STRING"])
    if presigned is not None:
        scope = presigned[1].replace("%2F", "/").replace("%2f", "/")
        environ["HTTP_AUTHORIZATION"] = (
            f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        )


def _keep_metadata_names(request: Request, environ: Environ) -> None:
    """Keep x-amz-meta-a_b apart from x-amz-meta-a-b, which WSGI would make one."""
    from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY

    names: dict[str, str] = {}
    for name, value in request.headers.items():
        if "_" in name and name.startswith("x-amz-meta-"):
            key = _environ_key(name)
            if key not in environ:
                names[key] = name
                environ[key] = value
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = names


def _environ_key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _die_with_parent() -> None:
    """End when the parent does, however it does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which stops us in its time

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def environment(base: dict[str, str], home: Path) -> dict[str, str]:
    """The environment of the process: nothing by which moto could reach real AWS, Docker or other places."""
    kept: dict[str, str] = {
        name: base[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV") if name in base
    }
    package = str(Path(__file__).parents[2])
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([package, *(p for p in sys.path if p)]),
        "PYTHONDONTWRITEBYTECODE": base.get("PYTHONDONTWRITEBYTECODE", ""),
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "DOCKER_HOST": f"unix://{home}/no-docker",
        "MOTO_ALLOW_NONEXISTENT_REGION": "true",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }


if __name__ == "__main__":
    main(sys.argv[1:])
