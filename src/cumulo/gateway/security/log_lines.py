"""What execution logs and TestInvokeAuthorizer tell of an authorizer, in AWS's words.  Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

TEXT_CHARACTERS_MAX = 1_024
_SHOWN = 6


def starting(authorizer_id: str, request_id: str) -> str:
    """The first line."""
    return f"Starting authorizer: {authorizer_id} for request: {request_id}"


def incoming(names: Sequence[str], values: Sequence[str]) -> str:
    """Who is asked about; of secrets only the last characters.  Without names it is one token."""
    if not names:
        return f"Incoming identity: {hidden(values[0]) if values else ''}"
    pairs = ", ".join(f"{name}={hidden(value)}" for name, value in zip(names, values, strict=False))
    return f"Incoming identity: {{{pairs}}}"


def hidden(secret: str) -> str:
    """Stars, and the last six characters."""
    return "*" * max(0, len(secret) - _SHOWN) + secret[-_SHOWN:]


def endpoint(function: str) -> str:
    """The address of a function, as if it were called over HTTP."""
    region = function.split(":", 4)[3]
    return f"https://lambda.{region}.amazonaws.com/2015-03-31/functions/{function}/invocations"


def request(function: str, headers: Mapping[str, str], body: str) -> list[str]:
    """What is sent where."""
    shown = ", ".join(f"{name}={value}" for name, value in headers.items())
    return [
        f"Endpoint request URI: {endpoint(function)}",
        cut(f"Endpoint request headers: {{{shown}}}"),
        cut(f"Endpoint request body after transformations: {body}"),
        f"Sending request to {endpoint(function)}",
    ]


def result(body: str) -> str:
    """What the function answered."""
    return cut(f"Authorizer result body before parsing: {body}")


def accepted(principal: str) -> list[str]:
    """That a policy was found."""
    return [
        f"Using valid authorizer policy for principal: {hidden(principal)}",
        "Successfully completed authorizer execution",
    ]


def unauthorized(request_id: str) -> list[str]:
    """That nobody is there to be authorized."""
    return [f"Unauthorized request: {request_id}", "Unauthorized"]


def misconfigured(why: str) -> list[str]:
    """That the authorizer is at fault."""
    return [cut(f"Execution failed due to configuration error: {why}"), "AuthorizerConfigurationException"]


def cut(text: str) -> str:
    """The text, without its end where it is too long for a log."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]} [TRUNCATED]"


def written(request_id: str, lines: Sequence[tuple[int, str]]) -> str:
    """The log as TestInvokeMethod and TestInvokeAuthorizer answer it; lines with their milliseconds since the epoch."""
    told = [f"Execution log for request {request_id}"]
    for millis, text in lines:
        told.append(f"{datetime.fromtimestamp(millis / 1000, UTC):%a %b %d %H:%M:%S} UTC "
                    f"{datetime.fromtimestamp(millis / 1000, UTC):%Y} : {text}")  # fmt: skip
    return "\n".join(told) + "\n"
