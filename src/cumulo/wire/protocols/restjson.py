"""The rest-json protocol: path, query and headers from the model, the rest as JSON."""

from collections.abc import AsyncIterator
from typing import Any

from cumulo.wire.http import Response
from cumulo.wire.models import OperationModel, ServiceModel, Shape
from cumulo.wire.protocols import jsonvalues, rest
from cumulo.wire.protocols.base import ErrorBody, Parse, Raw, Render
from cumulo.wire.protocols.eventstream import CONTENT_TYPE, JsonEvents
from cumulo.wire.service import Values


class RestJson:
    """The rest-json codec of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._readers = jsonvalues.JsonReaders(model)
        self._writers = jsonvalues.JsonWriters(model)

    def parser(self, operation: OperationModel) -> Parse:
        """Compile the request's parser."""
        if operation.input is None:
            return lambda _raw: {}
        bound = rest.Bound(self._model, self._model.shape(operation.input))
        binders = rest.binders(self._model, operation, bound)
        body = self._body_reader(bound)
        empty = bound.empty

        def parse(raw: Raw) -> Values:
            values = body(raw.body) if body is not None and raw.body else dict(empty)
            for bind in binders:
                bind(raw, values)
            return values

        return parse

    def _body_reader(self, bound: rest.Bound) -> "jsonvalues.Convert | None":
        if bound.payload is not None:
            assert bound.payload_shape is not None
            name = bound.payload
            return self._payload_reader(name, bound.payload_shape)
        if not bound.body:
            return None
        read = self._readers.structure(self._readers.fields(bound.body))
        return lambda body: read(jsonvalues.load(body))

    def _payload_reader(self, name: str, shape: Shape) -> "jsonvalues.Convert":
        if shape.type == "blob":
            return lambda body: {name: body}
        if shape.type == "string":
            return lambda body: {name: body.decode("utf-8", "replace")}
        read = self._readers.reader(shape)

        def parse(body: bytes) -> Values:
            value = jsonvalues.load(body)
            return {} if value is None else {name: read(value)}

        return parse

    def renderer(self, operation: OperationModel) -> Render:
        """Compile the answer's renderer."""
        if operation.output is None:
            return lambda _values, request_id: Response(
                operation.http.response_code, [("x-amzn-RequestId", request_id)]
            )
        bound = rest.Bound(self._model, self._model.shape(operation.output))
        if bound.payload is not None:
            return self._payload_renderer(operation, bound)
        lines = rest.HeaderWriters(self._model, bound)
        write = self._writers.structure(self._writers.fields(bound.body)) if bound.body else None

        def render(values: Values, request_id: str) -> Response:
            status = rest.status_of(operation, bound, values)
            headers = [("x-amzn-RequestId", request_id), *lines.write(values)]
            if write is None or status == 204:
                return Response(status, headers)
            headers.append(("Content-Type", "application/json"))
            return Response(status, headers, jsonvalues.dump(write(values)))

        return render

    def _payload_renderer(self, operation: OperationModel, bound: rest.Bound) -> Render:
        shape, name = bound.payload_shape, bound.payload
        assert shape is not None
        assert name is not None
        lines = rest.HeaderWriters(self._model, bound)
        write = self._payload_writer(shape)
        content_type = CONTENT_TYPE if shape.eventstream else "application/json"

        def render(values: Values, request_id: str) -> Response:
            headers = [("x-amzn-RequestId", request_id), *lines.write(values)]
            value = values.get(name)
            body = b"" if value is None else write(value)
            if (value is not None or shape.type == "blob") and not rest.has_header(headers, "content-type"):
                headers.append(("Content-Type", content_type))
            return Response(rest.status_of(operation, bound, values), headers, body)

        return render

    def _payload_writer(self, shape: Shape) -> "jsonvalues.Convert":
        if shape.eventstream:
            return JsonEvents(self._model, shape, self._writers, "application/json").frames
        if shape.type == "blob":
            return _as_body
        if shape.type == "string":
            return lambda text: str(text).encode()
        write = self._writers.writer(shape)
        return lambda value: jsonvalues.dump(write(value) if write is not None else value)

    def error(self, error: ErrorBody, request_id: str) -> Response:
        """x-amzn-ErrorType, and {"message": ...} with the shape's other members."""
        body: dict[str, object] = dict(error.fields)
        body[error.message_key] = error.message
        headers = [
            ("x-amzn-RequestId", request_id),
            ("x-amzn-ErrorType", rest.clean(error.code)),
            ("Content-Type", "application/json"),
        ]
        return Response(error.status, headers, jsonvalues.dump(body))


def _as_body(value: Any) -> bytes | AsyncIterator[bytes]:
    if isinstance(value, str):
        return value.encode()
    return value  # type: ignore[no-any-return]
