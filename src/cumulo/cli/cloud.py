"""Finding the cloud that runs, and talking to it: what the words that read have in common."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from cumulo.cli.running import Running, runtime_folder

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"
DEFAULT_REGION = "us-east-1"
TOKEN_HEADER = "x-cumulo-token"  # noqa: S105 - a name
_LOOPBACK = ("127.", "localhost", "::1", "[::1]")


class Failed(click.ClickException):
    """What the user is told in one sentence."""

    def show(self, file: Any = None) -> None:
        """Print the sentence, without a traceback."""
        click.echo(self.format_message(), err=file is None, file=file)


class Unreachable(Failed):
    """No cloud answers."""

    exit_code = 3

    def __init__(self, endpoint: str, why: str = "") -> None:
        reason = f" ({why})" if why else ""
        super().__init__(
            f"No cloud answers at {endpoint}{reason}: start one with `cumulo up`, or name another with --endpoint."
        )


def endpoint_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--endpoint`."""
    text = "The cloud's address. Default: CUMULO_ENDPOINT, AWS_ENDPOINT_URL, the cloud that runs here."
    return click.option("--endpoint", metavar="URL", help=text)(function)


def find_endpoint(option: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The address of the cloud to talk to."""
    named = option or environ.get("CUMULO_ENDPOINT") or environ.get("AWS_ENDPOINT_URL")
    if named:
        address = named if "://" in named else f"http://{named}"
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(f"{named!r} is no address such as {DEFAULT_ENDPOINT}")
        return address.rstrip("/")
    running = Running.list(runtime_folder(environ))
    return running[0].endpoint if running else DEFAULT_ENDPOINT


def is_local(endpoint: str) -> bool:
    """Whether an address is on this machine, where no proxy must come between."""
    return (urlsplit(endpoint).hostname or "").startswith(_LOOPBACK)


def find_token(endpoint: str, data: Path | None = None) -> str:
    """The secret of the cloud's data folder, which only its owner can read."""
    folders = (
        [data]
        if data
        else [Path(one.data) for one in Running.list(runtime_folder()) if one.port == urlsplit(endpoint).port]
    )
    if not folders:
        raise Failed(
            f"the cloud at {endpoint} does not run on this machine as this user, so its data cannot be read"
        )
    try:
        return (folders[0] / "admin-token").read_text().strip()
    except OSError as error:
        raise Failed(f"{folders[0]} is no data folder of a cloud: {error.strerror}") from error


def fetch(endpoint: str, path: str, token: str = "") -> bytes:
    """GET one of the cloud's own pages; those of a shared cloud ask for its token."""
    import http.client
    import urllib.error
    import urllib.request

    proxies: dict[str, str] | None = {} if is_local(endpoint) else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    asked = urllib.request.Request(endpoint + path, headers={TOKEN_HEADER: token} if token else {})  # noqa: S310
    try:
        with opener.open(asked, timeout=60) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as exc:
        raise Failed(_told(exc.read()) or f"{endpoint}{path} answered {exc.code} {exc.reason}") from exc
    except urllib.error.URLError as exc:
        raise Unreachable(endpoint, _why(exc.reason)) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise Unreachable(endpoint, _why(exc)) from exc


def post(endpoint: str, path: str, order: Mapping[str, Any], token: str) -> dict[str, Any]:
    """POST an order to one of the cloud's own pages, as the owner of its data folder; what it answers."""
    import http.client
    import json

    parts = urlsplit(endpoint)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=60)
    headers = {"content-type": "application/json", TOKEN_HEADER: token}
    try:
        connection.request("POST", path, json.dumps(order), headers)
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(endpoint, str(error)) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Failed(str(told.get("message") or f"the cloud answered {answer.status}"))
    return told


def aws_environment(endpoint: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that point AWS tools to a cloud: what is set stays, what is missing is made up."""
    found = {"AWS_ENDPOINT_URL": endpoint}
    if environ.get("AWS_PROFILE"):  # it has its own keys and region
        return found
    if not environ.get("AWS_ACCESS_KEY_ID"):
        found |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    if not (environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")):
        found["AWS_DEFAULT_REGION"] = DEFAULT_REGION
    return found


def client(service: str, endpoint: str, environ: Mapping[str, str] = os.environ) -> Any:
    """A boto3 client for the cloud, which asks once and waits as long as a function may run."""
    import boto3
    from botocore.config import Config

    made_up = aws_environment(endpoint, environ)
    region = environ.get("AWS_REGION") or made_up.get("AWS_DEFAULT_REGION")  # None: boto3 knows
    config = Config(
        connect_timeout=5,
        read_timeout=930,
        retries={"total_max_attempts": 1},
        proxies={} if is_local(endpoint) else None,
    )
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=made_up.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=made_up.get("AWS_SECRET_ACCESS_KEY"),
        config=config,
    )


@contextlib.contextmanager
def talking(endpoint: str) -> Iterator[None]:
    """Turn what boto3 raises into a sentence and an exit code."""
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as exc:
        error = exc.response.get("Error", {})
        raise Failed(f"{error.get('Code', 'Error')}: {error.get('Message', '')}") from exc
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as exc:
        raise Unreachable(endpoint, _why(exc)) from exc
    except (exceptions.BotoCoreError, ValueError) as exc:
        raise Failed(str(exc)) from exc


def error_code(exc: Exception) -> str:
    """The AWS error code of a boto3 exception."""
    response = getattr(exc, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def on_terminal() -> bool:
    """Whether to print colour: a terminal, and nobody said NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _told(body: bytes) -> str:
    import json

    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _why(reason: object) -> str:
    cause: object = reason
    for _ in range(10):  # boto3 wraps urllib3's error, which wraps the socket's
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        cause = getattr(cause, "__cause__", None) or getattr(cause, "__context__", None)
    text = str(reason)
    return text if len(text) <= 80 else type(reason).__name__
