"""What rest-json and rest-xml share: values bound to path, query, headers and status code."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from cumulo.wire.http import Headers
from cumulo.wire.models import OperationModel, ServiceModel, Shape
from cumulo.wire.protocols import scalars
from cumulo.wire.protocols.base import Malformed, Raw
from cumulo.wire.service import Values

FromText = Callable[[str], Any]
ToText = Callable[[Any], str]
Bind = Callable[[Raw, Values], None]
FIELDS_MAX = 20_000


class Bound:
    """The members of a structure, by where they travel."""

    def __init__(self, model: ServiceModel, shape: Shape) -> None:
        members = model.members(shape)
        self.payload = shape.payload
        self.payload_shape = members[shape.payload] if shape.payload else None
        # An empty body is an empty payload where there must be one, and no payload elsewhere.
        self.empty: Values = {}
        if shape.payload in shape.required and self.payload_shape and self.payload_shape.type == "blob":
            self.empty = {shape.payload: b""}
        places: dict[str, dict[str, Shape]] = {}
        for name, member in members.items():
            if name != shape.payload:
                places.setdefault(member.location or "body", {})[name] = member
        self.uri = places.get("uri", {})
        self.query = places.get("querystring", {})
        self.header = places.get("header", {})
        self.headers = places.get("headers", {})
        self.status = next(iter(places.get("statusCode", {})), None)
        self.body = places.get("body", {}) if shape.payload is None else {}


def binders(model: ServiceModel, operation: OperationModel, bound: Bound) -> list[Bind]:
    """Compile what reads path, query and headers into values."""
    constants = {part.partition("=")[0] for part in operation.http.request_uri.partition("?")[2].split("&")}
    found: list[Bind] = [_bind_label(name, member) for name, member in bound.uri.items()]
    if bound.query:
        found.append(_bind_query(model, bound.query, constants))
    found += [_bind_header(model, name, member) for name, member in bound.header.items()]
    found += [_bind_prefix(name, member) for name, member in bound.headers.items()]
    return found


def pairs(query: str) -> list[tuple[str, str]]:
    """A query string's names and values, decoded."""
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise Malformed("The query string is malformed", "query") from None


def form(query: str, body: bytes) -> list[tuple[str, str]]:
    """A form's names and values, from the query string and the body; Malformed when they are none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed("The request body is not valid UTF-8", "query") from None
    return pairs(query) + (pairs(text) if text else [])


def percent_decode(text: str) -> str:
    """Decode a label of a path; Malformed when it is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Malformed("The path is not valid UTF-8", "query") from None


def _bind_label(name: str, member: Shape) -> Bind:
    label = member.location_name or name
    convert = reader(member, "iso8601")

    def bind(raw: Raw, values: Values) -> None:
        text = raw.labels.get(label)
        if text is not None:
            values[name] = convert(text)

    return bind


def _bind_query(model: ServiceModel, members: dict[str, Shape], constants: set[str]) -> Bind:
    singles: dict[str, tuple[str, FromText]] = {}
    lists: dict[str, tuple[str, FromText]] = {}
    maps = [
        (name, model.shape(member.value).type == "list")
        for name, member in members.items()
        if member.type == "map" and member.value is not None
    ]
    for name, member in members.items():
        if member.type == "list" and member.member is not None:
            lists[member.location_name or name] = (name, reader(model.shape(member.member), "iso8601"))
        elif member.type != "map":
            singles[member.location_name or name] = (name, reader(member, "iso8601"))

    def bind(raw: Raw, values: Values) -> None:
        if not raw.query:
            return
        for key, text in pairs(raw.query):
            if key in singles:
                name, convert = singles[key]
                values.setdefault(name, convert(text))
            elif key in lists:
                name, convert = lists[key]
                values.setdefault(name, []).append(convert(text))
            elif key not in constants:
                _bind_map(maps, key, text, values)

    return bind


def _bind_map(maps: list[tuple[str, bool]], key: str, text: str, values: Values) -> None:
    """Put a parameter that no other member takes into the maps."""
    for name, many in maps:
        if many:
            values.setdefault(name, {}).setdefault(key, []).append(text)
        else:
            values.setdefault(name, {}).setdefault(key, text)


def _bind_header(model: ServiceModel, name: str, member: Shape) -> Bind:
    header = (member.location_name or name).lower()
    if member.type == "list":
        assert member.member is not None
        item_shape = model.shape(member.member)
        item = reader(item_shape, "rfc822")
        dated = item_shape.type == "timestamp"

        def bind_list(raw: Raw, values: Values) -> None:
            if header in raw.headers:
                text = ",".join(raw.headers.get_all(header))
                values[name] = [item(one) for one in split_header(text, dated=dated)]

        return bind_list
    convert = reader(member, "rfc822")

    def bind(raw: Raw, values: Values) -> None:
        if header in raw.headers:
            values[name] = convert(_utf8(raw.headers.get(header)))

    return bind


def _bind_prefix(name: str, member: Shape) -> Bind:
    prefix = (member.location_name or "").lower()

    def bind(raw: Raw, values: Values) -> None:
        found = {
            key[len(prefix) :]: _utf8(value) for key, value in raw.headers.items() if key.startswith(prefix)
        }
        if found:
            values[name] = found

    return bind


def _utf8(text: str) -> str:
    """Header text that was UTF-8, when it was; servers hand it over as latin-1."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def split_header(text: str, *, dated: bool = False) -> list[str]:
    """The items of a comma-separated header; quoted items may hold commas, HTTP dates hold one each."""
    items: list[str] = []
    current: list[str] = []
    quoted = was_quoted = False
    at = 0
    while at < len(text):
        char = text[at]
        if quoted and char == "\\" and at + 1 < len(text):
            at += 1
            current.append(text[at])
        elif char == '"':
            quoted, was_quoted = not quoted, True
        elif char == "," and not quoted and not (dated and "," not in current):
            items.append("".join(current) if was_quoted else "".join(current).strip())
            current, was_quoted = [], False
        elif not (char == " " and not quoted and (not current or was_quoted)):
            current.append(char)
        at += 1
    items.append("".join(current) if was_quoted else "".join(current).strip())
    return items


def reader(shape: Shape, timestamps: str) -> FromText:
    """The function that reads a scalar from text."""
    kind = shape.type
    if kind == "string" and shape.jsonvalue:
        return _read_json if timestamps == "rfc822" else str
    if kind in {"integer", "long"}:
        return lambda text: scalars.parse_integer(text, kind)
    table: dict[str, FromText] = {
        "boolean": scalars.parse_boolean,
        "float": scalars.parse_float,
        "double": scalars.parse_float,
        "timestamp": scalars.parse_timestamp,
        "blob": scalars.decode_blob,
    }
    return table.get(kind, str)


def _read_json(text: str) -> Any:
    try:
        return json.loads(scalars.decode_blob(text))
    except (ValueError, RecursionError):
        raise Malformed("A header's JSON value is malformed") from None


def writer(shape: Shape, timestamps: str) -> ToText:
    """The function that writes a scalar as text."""
    kind = shape.type
    if shape.jsonvalue and timestamps == "rfc822":
        return lambda value: scalars.encode_blob(json.dumps(value, separators=(",", ":")).encode())
    if kind == "timestamp":
        style = shape.timestamp_format or timestamps
        return lambda value: scalars.format_timestamp(value, style)
    table: dict[str, ToText] = {
        "boolean": lambda value: "true" if value else "false",
        "float": scalars.format_float,
        "double": scalars.format_float,
        "blob": scalars.encode_blob,
    }
    return table.get(kind, str)


class HeaderWriters:
    """Writes the header-bound members of an answer or an error."""

    def __init__(self, model: ServiceModel, bound: Bound) -> None:
        self._single = {
            name: (member.location_name or name, _header_writer(model, member))
            for name, member in bound.header.items()
        }
        self._maps = {name: member.location_name or "" for name, member in bound.headers.items()}

    def write(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The header lines."""
        lines = [
            (header, clean(convert(values[name])))
            for name, (header, convert) in self._single.items()
            if values.get(name) is not None
        ]
        for name, prefix in self._maps.items():
            for key, value in (values.get(name) or {}).items():
                lines.append((clean(prefix + key), clean(value)))
        return lines


def _header_writer(model: ServiceModel, member: Shape) -> ToText:
    if member.type != "list":
        return writer(member, "rfc822")
    assert member.member is not None
    item = writer(model.shape(member.member), "rfc822")
    return lambda values: ",".join(_quote(item(value)) for value in values)


def _quote(text: str) -> str:
    if '"' in text or ("," in text and not text.endswith(" GMT")):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def clean(text: str) -> str:
    """Text that cannot end its header line, as the latin-1 view of its UTF-8 bytes."""
    safe = text.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    return safe if safe.isascii() else safe.encode().decode("latin-1")


def status_of(operation: OperationModel, bound: Bound | None, values: Mapping[str, Any]) -> int:
    """The answer's status: a member bound to it, else the model's."""
    if bound is not None and bound.status is not None and values.get(bound.status) is not None:
        return int(values[bound.status])
    return operation.http.response_code


def has_header(headers: Headers | list[tuple[str, str]], name: str) -> bool:
    """Whether a header is among those to be sent."""
    if isinstance(headers, Headers):
        return name in headers
    return any(key.lower() == name for key, _ in headers)
