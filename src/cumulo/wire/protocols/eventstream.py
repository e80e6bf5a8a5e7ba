"""Answers as event streams: application/vnd.amazon.eventstream frames.

total length | headers' length | crc of these | headers | payload | crc of all
"""

import logging
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

from cumulo.base.errors import AwsError
from cumulo.wire.models import ServiceModel, Shape
from cumulo.wire.protocols import jsonvalues
from cumulo.wire.service import Values

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_log = logging.getLogger(__name__)


def frame(headers: list[tuple[str, Any]], payload: bytes) -> bytes:
    """One message; header values are str, bytes, bool, int, or float (a timestamp)."""
    packed = b"".join(_header(name, value) for name, value in headers)
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed
    crc = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((head, payload, struct.pack(">I", crc)))


def _header(name: str, value: Any) -> bytes:
    label = name.encode()
    return struct.pack(">B", len(label)) + label + _header_value(value)


def _header_value(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x00" if value else b"\x01"
    if isinstance(value, int):
        return b"\x04" + struct.pack(">i", value) if -(2**31) <= value < 2**31 else _long(value)
    if isinstance(value, float):
        return b"\x08" + struct.pack(">q", round(value * 1000))
    if isinstance(value, bytes):
        return b"\x06" + struct.pack(">H", len(value)) + value
    data = str(value).encode()[:0xFFFF]
    return b"\x07" + struct.pack(">H", len(data)) + data


def _long(value: int) -> bytes:
    return b"\x05" + struct.pack(">q", value)


class JsonEvents:
    """Frames the events of one stream shape, with JSON in the payloads."""

    def __init__(
        self, model: ServiceModel, shape: Shape, writers: jsonvalues.JsonWriters, content_type: str
    ) -> None:
        self._content_type = content_type
        members = model.members(shape)
        self._exceptions = {name for name, member in members.items() if member.exception}
        self._writers = {name: _EventWriter(model, member, writers) for name, member in members.items()}

    async def frames(
        self, events: AsyncIterator[Values], *, initial: bytes | None = None
    ) -> AsyncIterator[bytes]:
        """Each event as a frame; an AwsError in the middle becomes the stream's last frame."""
        if initial is not None:
            yield frame(self._head("event", "initial-response", self._content_type), initial)
        try:
            async for event in events:
                for name, value in event.items():
                    if value is not None:
                        yield self._event(name, value)
        except AwsError as error:
            yield self._fault(error)
        except Exception:  # noqa: BLE001 - whatever it is, the client must learn that its stream broke
            _log.exception("an event stream broke")
            yield frame(
                [
                    (":message-type", "error"),
                    (":error-code", "InternalFailure"),
                    (":error-message", "The service failed to process the request."),
                ],
                b"",
            )
        finally:
            close = getattr(events, "aclose", None)  # the client may have gone in the middle
            if close is not None:
                await close()

    def _event(self, name: str, value: Values) -> bytes:
        extra, payload, content_type = self._writers[name].write(value, self._content_type)
        kind = "exception" if name in self._exceptions else "event"
        return frame(self._head(kind, name, content_type) + extra, payload)

    def _fault(self, error: AwsError) -> bytes:
        if error.code in self._exceptions:
            return self._event(
                error.code, {"message": error.message, "Message": error.message, **error.fields}
            )
        return frame(
            [(":message-type", "error"), (":error-code", error.code), (":error-message", error.message)], b""
        )

    def _head(self, kind: str, name: str, content_type: str) -> list[tuple[str, Any]]:
        return [(f":{kind}-type", name), (":content-type", content_type), (":message-type", kind)]


class _EventWriter:
    """Splits one event into headers and payload."""

    def __init__(self, model: ServiceModel, shape: Shape, writers: jsonvalues.JsonWriters) -> None:
        members = model.members(shape)
        self._headers = [name for name, member in members.items() if member.eventheader]
        self._payload = next((name for name, member in members.items() if member.eventpayload), None)
        kind = members[self._payload].type if self._payload else ""
        self._kind = kind
        if self._payload and kind not in {"blob", "string"}:
            self._write = writers.writer(members[self._payload])
        else:
            body = {name: m for name, m in members.items() if not m.eventheader}
            self._write = writers.structure(writers.fields(body))

    def write(self, value: Values, content_type: str) -> tuple[list[tuple[str, Any]], bytes, str]:
        """The event's own headers, its payload, and the payload's type."""
        headers = [(name, value[name]) for name in self._headers if value.get(name) is not None]
        if self._payload is None:
            assert self._write is not None
            return headers, jsonvalues.dump(self._write(value)), content_type
        inner = value.get(self._payload)
        if self._kind == "blob":
            return headers, bytes(inner or b""), "application/octet-stream"
        if self._kind == "string":
            return headers, (inner or "").encode(), "text/plain"
        return headers, jsonvalues.dump(self._write(inner) if self._write else inner), content_type
