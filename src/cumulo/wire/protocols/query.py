"""The query and ec2 protocols: a form with Action, Version and dotted names in; XML out."""

from collections.abc import Callable
from typing import Any

from cumulo.wire.http import Response
from cumulo.wire.models import OperationModel, ServiceModel, Shape
from cumulo.wire.protocols import rest, xmlvalues
from cumulo.wire.protocols.base import ErrorBody, Malformed, Parse, Raw, Render, later
from cumulo.wire.service import Values

Node = dict[str, Any]  # parts of dotted names to nodes; the text itself stands under ""
Read = Callable[[Node], Any]
_DEPTH_MAX = 50
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def tree(fields: list[tuple[str, str]]) -> Node:
    """Dotted names as a tree."""
    root: Node = {}
    for name, text in fields:
        node = root
        parts = name.split(".")
        if len(parts) > _DEPTH_MAX:
            raise Malformed("The request is nested too deeply", "query")
        for part in parts:
            node = node.setdefault(part or " ", {})
        node[""] = text
    return root


class Query:
    """The query codec of one service, and with `ec2` the ec2 dialect of it."""

    def __init__(self, model: ServiceModel, *, ec2: bool = False) -> None:
        self._model = model
        self._ec2 = ec2
        self._writers = xmlvalues.XmlWriters(model, ec2=ec2)
        self._made: dict[object, Read] = {}
        self._making: set[object] = set()
        self._space = f' xmlns="{xmlvalues.escape(self._namespace())}"'

    def _namespace(self) -> str:
        space = self._model.metadata.xml_namespace
        return space if not self._ec2 or space.endswith("/") else space + "/"

    # -- requests ------------------------------------------------------------------------------------------

    def parser(self, operation: OperationModel) -> Parse:
        """Compile the request's parser."""
        if operation.input is None:
            return lambda _raw: {}
        read = self._structure(self._model.shape(operation.input))

        def parse(raw: Raw) -> Values:
            return read(tree(rest.form(raw.query, raw.body)))  # type: ignore[no-any-return]

        return parse

    def _reader(self, shape: Shape) -> Read:
        if shape.type not in {"structure", "list", "map"}:
            return _scalar(shape)
        key = (shape.name, shape.flattened)
        if key in self._made:
            return self._made[key]
        if key in self._making:
            return later(self._made, key)
        self._making.add(key)
        self._made[key] = {"structure": self._structure, "list": self._list, "map": self._map}[shape.type](
            shape
        )
        self._making.discard(key)
        return self._made[key]

    def _field_name(self, name: str, member: Shape) -> str:
        if self._ec2:
            if member.query_name:
                return member.query_name
            spelled = member.location_name or name
            return spelled[:1].upper() + spelled[1:] if member.location_name else name
        if member.type == "list" and member.flattened and member.member is not None:
            item = self._model.shape(member.member).location_name
            if item:
                return item
        return member.location_name or name

    def _structure(self, shape: Shape) -> Read:
        members = self._model.members(shape)
        fields = {self._field_name(name, m): (name, self._reader(m)) for name, m in members.items()}

        def read(node: Node) -> Values:
            values = {}
            for part, child in node.items():
                if part in fields:
                    name, convert = fields[part]
                    values[name] = convert(child)
            return values

        return read

    def _list(self, shape: Shape) -> Read:
        assert shape.member is not None
        member = self._model.shape(shape.member)
        item = self._reader(member)
        inside = None if self._ec2 or shape.flattened else (member.location_name or "member")

        def read(node: Node) -> list[Any]:
            if inside is not None:
                node = node.get(inside) or node.get("member") or {}
            return [item(child) for child in _numbered(node)]

        return read

    def _map(self, shape: Shape) -> Read:
        assert shape.key is not None
        assert shape.value is not None
        key_shape, value_shape = self._model.shape(shape.key), self._model.shape(shape.value)
        key_name, value_name = key_shape.location_name or "key", value_shape.location_name or "value"
        read_key, read_value = self._reader(key_shape), self._reader(value_shape)
        flat = shape.flattened

        def read(node: Node) -> Values:
            entries = _numbered(node if flat else node.get("entry") or {})
            values = {}
            for entry in entries:
                if key_name not in entry or value_name not in entry:
                    raise Malformed("A map's entry needs a key and a value", "query")
                values[read_key(entry[key_name])] = read_value(entry[value_name])
            return values

        return read

    # -- answers -------------------------------------------------------------------------------------------

    def renderer(self, operation: OperationModel) -> Render:
        """Compile the answer's renderer."""
        wrapper = ""
        members: dict[str, Shape] = {}
        if operation.output is not None:
            output = self._model.shape(operation.output)
            wrapper = output.result_wrapper or ""
            members = self._model.members(output)
        inner = self._writers.members(members)
        name, space, ec2 = operation.name, self._space, self._ec2

        def render(values: Values, request_id: str) -> Response:
            out = [f"{_HEAD}<{name}Response{space}>"]
            if ec2:
                out.append(f"<requestId>{request_id}</requestId>")
            out.append(f"<{wrapper}>" if wrapper else "")
            inner(out, values)
            out.append(f"</{wrapper}>" if wrapper else "")
            if not ec2:
                out.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
            out.append(f"</{name}Response>")
            headers = [("x-amzn-RequestId", request_id), ("Content-Type", "text/xml;charset=UTF-8")]
            return Response(200, headers, "".join(out).encode())

        return render

    def error(self, error: ErrorBody, request_id: str) -> Response:
        """<ErrorResponse><Error>, or ec2's <Response><Errors><Error>."""
        parts = [f"<Code>{xmlvalues.escape(error.query_code or error.code)}</Code>"]
        parts.append(f"<Message>{xmlvalues.escape(error.message)}</Message>")
        parts += [f"<{k}>{xmlvalues.escape(str(v))}</{k}>" for k, v in error.fields.items()]
        if self._ec2:
            inner = f"<Errors><Error>{''.join(parts)}</Error></Errors><RequestID>{request_id}</RequestID>"
            text = f"{_HEAD}<Response>{inner}</Response>"
        else:
            kind = "Sender" if error.sender else "Receiver"
            inner = f"<Error><Type>{kind}</Type>{''.join(parts)}</Error>"
            text = f"{_HEAD}<ErrorResponse{self._space}>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
        headers = [("x-amzn-RequestId", request_id), ("Content-Type", "text/xml;charset=UTF-8")]
        return Response(error.status, headers, text.encode())


def _numbered(node: Node) -> list[Node]:
    """The children 1, 2, 3, ... in their order; gaps do not matter."""
    try:
        return [node[key] for key in sorted((k for k in node if k), key=_index)]
    except ValueError:
        raise Malformed("The members of a list must be numbered", "query") from None


def _index(part: str) -> int:
    if len(part) > 9 or not part.isdecimal():
        raise ValueError(part)
    return int(part)


def _scalar(shape: Shape) -> Read:
    convert = rest.reader(shape, "iso8601")

    def read(node: Node) -> Any:
        if "" not in node:
            raise Malformed("A value was expected instead of a structure", "query")
        return convert(node[""])

    return read
