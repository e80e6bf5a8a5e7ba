"""What every protocol offers: `Codec`, and the plain request that its parsers read."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from cumulo.wire.http import Headers, Response
from cumulo.wire.models import OperationModel
from cumulo.wire.service import Values


class Malformed(Exception):
    """A request that is no sentence of its protocol; `kind` picks the error's code for it."""

    def __init__(self, message: str, kind: str = "serialization") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


class Raw(msgspec.Struct, frozen=True, gc=False):
    """A request whose operation is known; `labels` are the path's, decoded."""

    headers: Headers
    query: str
    labels: Mapping[str, str]
    body: bytes


def later(made: Mapping[object, Callable[[Any], Any]], key: object) -> Callable[[Any], Any]:
    """A function that is still being compiled, for shapes that contain themselves."""

    def call(value: Any) -> Any:
        return made[key](value)

    return call


Parse = Callable[[Raw], Values]
Render = Callable[[Values, str], Response]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error on its way out: everything that the protocols spell differently."""

    status: int
    code: str
    message: str
    message_key: str = "message"
    fields: dict[str, object] = {}
    sender: bool = True
    query_code: str = ""
    modeled: bool = False


class Codec(Protocol):
    """One protocol of one service; what it compiles is kept by the caller."""

    def parser(self, operation: OperationModel) -> Parse:
        """Compile a function from requests to values; it raises Malformed."""
        ...

    def renderer(self, operation: OperationModel) -> Render:
        """Compile a function from values and a request id to answers."""
        ...

    def error(self, error: ErrorBody, request_id: str) -> Response:
        """An error's answer."""
        ...
