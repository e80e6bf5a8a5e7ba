"""Who looks at calls of a companion: before they are passed on, and after they have changed something.

Only services that speak the query protocol have guards; their calls are small forms.
"""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlencode

import msgspec

from cumulo.base.errors import AwsError
from cumulo.wire.http import BytesBody, Headers, Request, Response

BODY_BYTES_MAX: Final = 4 * 1024 * 1024

Form = Mapping[str, str]


class Call(msgspec.Struct, frozen=True):
    """One call: its operation and parameters by the names of the query protocol (`InstanceId.1`)."""

    account: str
    region: str
    action: str
    form: Form


class Guard(Protocol):
    """Looks at the calls of a service."""

    async def before(self, call: Call) -> Form | None:
        """Nothing, or the parameters to pass on instead.  AwsError is answered, and nothing is passed on."""
        ...

    def after(self, call: Call, *, done: bool) -> None:
        """The call, which `before` let pass, has succeeded, or failed.  The same `call`; must return at once."""
        ...


def call_of(request: Request, body: bytes, *, account: str, region: str) -> Call | None:
    """The call that a request is, or None when it is no form with an action."""
    text = body.decode("latin-1") if body else request.query
    form = dict(parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="surrogateescape"))
    action = form.get("Action", "")
    return Call(account, region, action, form) if action else None


def with_form(request: Request, form: Form) -> Request:
    """The request with other parameters, in the place where it had its own."""
    text = urlencode(form, encoding="utf-8", errors="surrogateescape")
    if request.method == "GET":
        return Request(request.method, request.path, text, request.headers, request.body, peer=request.peer)
    body = text.encode()
    raw = [
        (name, str(len(body)).encode() if name == b"content-length" else value)
        for name, value in request.headers.raw
    ]
    return Request(
        request.method, request.path, request.query, Headers(raw), BytesBody(body), peer=request.peer
    )


def refusal_of(service: str, error: AwsError) -> Response:
    """An error as the service's clients read it: EC2 has a form of its own, the others the query protocol's."""
    inner = f"<Code>{_escaped(error.code)}</Code><Message>{_escaped(error.message)}</Message>"
    if service == "ec2":
        whole = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>0</RequestID></Response>"
    else:
        side = "Receiver" if error.status >= 500 else "Sender"
        whole = f"<ErrorResponse><Error><Type>{side}</Type>{inner}</Error></ErrorResponse>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}'.encode()
    return Response(error.status, [("Content-Type", "text/xml")], body)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
