"""The json 1.0 and 1.1 protocols: one path, the operation in X-Amz-Target, JSON in and out."""

from cumulo.wire.http import Response
from cumulo.wire.models import OperationModel, ServiceModel
from cumulo.wire.protocols import jsonvalues, rest
from cumulo.wire.protocols.base import ErrorBody, Parse, Raw, Render
from cumulo.wire.protocols.eventstream import CONTENT_TYPE, JsonEvents
from cumulo.wire.service import Values


class JsonRpc:
    """The json codec of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._readers = jsonvalues.JsonReaders(model)
        self._writers = jsonvalues.JsonWriters(model)
        self._content_type = f"application/x-amz-json-{model.metadata.json_version or '1.1'}"

    def parser(self, operation: OperationModel) -> Parse:
        """Compile the request's parser."""
        if operation.input is None:
            return _parse_nothing
        members = self._model.members(self._model.shape(operation.input))
        read = self._readers.structure(self._readers.fields(members))

        def parse(raw: Raw) -> Values:
            return read(jsonvalues.load(raw.body)) if raw.body else {}

        return parse

    def renderer(self, operation: OperationModel) -> Render:
        """Compile the answer's renderer."""
        content_type = self._content_type
        if operation.output is None:
            return lambda _values, request_id: Response(
                200, [("x-amzn-RequestId", request_id), ("Content-Type", content_type)]
            )
        members = self._model.members(self._model.shape(operation.output))
        stream = next((name for name, member in members.items() if member.eventstream), None)
        write = self._writers.structure(
            self._writers.fields({name: m for name, m in members.items() if name != stream})
        )
        if stream is not None:
            events = JsonEvents(self._model, members[stream], self._writers, content_type)

            def render_stream(values: Values, request_id: str) -> Response:
                first = jsonvalues.dump(write(values))
                headers = [("x-amzn-RequestId", request_id), ("Content-Type", CONTENT_TYPE)]
                return Response(200, headers, events.frames(values[stream], initial=first))

            return render_stream

        def render(values: Values, request_id: str) -> Response:
            headers = [("x-amzn-RequestId", request_id), ("Content-Type", content_type)]
            return Response(200, headers, jsonvalues.dump(write(values)))

        return render

    def error(self, error: ErrorBody, request_id: str) -> Response:
        """{"__type": ..., "message": ...}, and x-amzn-ErrorType as AWS's newer JSON services have it."""
        body: dict[str, object] = {"__type": error.code}
        if error.message:
            body[error.message_key] = error.message
        body.update(error.fields)
        headers = [
            ("x-amzn-RequestId", request_id),
            ("x-amzn-ErrorType", rest.clean(error.code)),
            ("Content-Type", self._content_type),
        ]
        if self._model.metadata.aws_query_compatible is not None:
            fault = "Sender" if error.sender else "Receiver"
            headers.append(("x-amzn-query-error", f"{error.query_code or error.code};{fault}"))
        return Response(error.status, headers, jsonvalues.dump(body))


def _parse_nothing(raw: Raw) -> Values:
    if raw.body:
        jsonvalues.load(raw.body)
    return {}
