"""The rest-xml protocol: path, query and headers from the model, the rest as XML."""

from typing import Any

from cumulo.wire.http import Response
from cumulo.wire.models import OperationModel, ServiceModel, Shape
from cumulo.wire.protocols import rest, xmlvalues
from cumulo.wire.protocols.base import ErrorBody, Parse, Raw, Render
from cumulo.wire.service import Values

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class RestXml:
    """The rest-xml codec of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._readers = xmlvalues.XmlReaders(model)
        self._writers = xmlvalues.XmlWriters(model)
        self._bare_errors = model.metadata.service_id == "S3"
        self._request_id = "x-amz-request-id" if self._bare_errors else "x-amzn-RequestId"
        space = model.metadata.xml_namespace
        self._space = f' xmlns="{xmlvalues.escape(space)}"' if space else ""

    def parser(self, operation: OperationModel) -> Parse:
        """Compile the request's parser."""
        if operation.input is None:
            return lambda _raw: {}
        bound = rest.Bound(self._model, self._model.shape(operation.input))
        binders = rest.binders(self._model, operation, bound)
        body = self._body_reader(bound)
        empty = bound.empty

        def parse(raw: Raw) -> Values:
            values: Values = body(raw.body) if body is not None and raw.body else dict(empty)
            for bind in binders:
                bind(raw, values)
            return values

        return parse

    def _body_reader(self, bound: rest.Bound) -> Any:
        name, shape = bound.payload, bound.payload_shape
        if name is None or shape is None:
            if not bound.body:
                return None
            read = self._readers.structure(bound.body)
            return lambda body: read(xmlvalues.load(body))
        if shape.type == "blob":
            return lambda body: {name: body}
        if shape.type == "string":
            return lambda body: {name: body.decode("utf-8", "replace")}
        read_payload = self._readers.reader(shape)
        return lambda body: {name: read_payload(xmlvalues.load(body))}

    def renderer(self, operation: OperationModel) -> Render:
        """Compile the answer's renderer."""
        request_id_header = self._request_id
        if operation.output is None:
            return lambda _values, request_id: Response(
                operation.http.response_code, [(request_id_header, request_id)]
            )
        output = self._model.shape(operation.output)
        bound = rest.Bound(self._model, output)
        lines = rest.HeaderWriters(self._model, bound)
        write = self._body_writer(output, bound)
        raw = bound.payload_shape is not None and bound.payload_shape.type in {"blob", "string"}

        def render(values: Values, request_id: str) -> Response:
            headers = [(request_id_header, request_id), *lines.write(values)]
            body = write(values)
            if body and not raw:
                headers.append(("Content-Type", "application/xml"))
            elif raw and not rest.has_header(headers, "content-type"):
                headers.append(("Content-Type", "application/octet-stream"))
            return Response(rest.status_of(operation, bound, values), headers, body)

        return render

    def _body_writer(self, output: Shape, bound: rest.Bound) -> Any:
        name, shape = bound.payload, bound.payload_shape
        if name is None or shape is None:
            if not bound.body:
                return lambda _values: b""
            return self._document_writer(output.location_name or output.name, bound.body, output)
        if shape.type == "blob":
            return lambda values: b"" if values.get(name) is None else values[name]
        if shape.type == "string":
            return lambda values: str(values.get(name) or "").encode()
        write = self._document_writer(shape.location_name or shape.name, self._model.members(shape), shape)
        return lambda values: b"" if values.get(name) is None else write(values[name])

    def _document_writer(self, root: str, members: dict[str, Shape], shape: Shape) -> Any:
        inner = self._writers.members(members)
        space = xmlvalues.namespace(shape) or self._space

        def write(values: Values) -> bytes:
            out = [f"{_HEAD}<{root}{space}>"]
            inner(out, values)
            out.append(f"</{root}>")
            return "".join(out).encode()

        return write

    def error(self, error: ErrorBody, request_id: str) -> Response:
        """S3's <Error>, or <ErrorResponse><Error> as elsewhere."""
        parts = [f"<Code>{xmlvalues.escape(error.code)}</Code>"]
        parts.append(f"<Message>{xmlvalues.escape(error.message)}</Message>")
        parts += [f"<{k}>{xmlvalues.escape(str(v))}</{k}>" for k, v in error.fields.items()]
        ident = f"<RequestId>{request_id}</RequestId>"
        if self._bare_errors:
            text = f"{_HEAD}<Error>{''.join(parts)}{ident}</Error>"
        else:
            kind = "Sender" if error.sender else "Receiver"
            inner = f"<Error><Type>{kind}</Type>{''.join(parts)}</Error>"
            text = f"{_HEAD}<ErrorResponse{self._space}>{inner}{ident}</ErrorResponse>"
        headers = [(self._request_id, request_id), ("Content-Type", "application/xml")]
        return Response(error.status, headers, text.encode())
