"""JSON to values and back, compiled once per shape into closures."""

from collections.abc import Callable
from typing import Any

import msgspec

from cumulo.wire.models import ServiceModel, Shape
from cumulo.wire.protocols import scalars
from cumulo.wire.protocols.base import Malformed, later

Convert = Callable[[Any], Any]
Fields = dict[str, tuple[str, Convert | None]]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def load(body: bytes) -> Any:
    """Decode JSON; Malformed when it is none, too deep, or not UTF-8."""
    try:
        return _decode(body)
    except UnicodeDecodeError:
        raise Malformed("The request body is not valid UTF-8", "json") from None
    except RecursionError:
        raise Malformed("The request body is nested too deeply", "json") from None
    except msgspec.MsgspecError as exc:
        raise Malformed(str(exc).split(" - at")[0], "json") from None


def dump(value: Any) -> bytes:
    """Encode JSON."""
    return _encode(value)


class JsonReaders:
    """Compiles the way from JSON to values."""

    def __init__(self, model: ServiceModel, timestamp_format: str = "unixTimestamp") -> None:
        self._model = model
        self._timestamp_format = timestamp_format
        self._made: dict[object, Convert] = {}
        self._making: set[object] = set()

    def reader(self, shape: Shape) -> Convert:
        """The function that reads this shape."""
        if shape.type not in {"structure", "list", "map"}:
            return _scalar_reader(shape)
        key = (shape.name, shape.document)
        if key in self._made:
            return self._made[key]
        if key in self._making:
            return later(self._made, key)
        self._making.add(key)
        self._made[key] = self._compile(shape)
        self._making.discard(key)
        return self._made[key]

    def fields(self, members: dict[str, Shape]) -> Fields:
        """JSON name to member name and reader."""
        return {m.location_name or name: (name, self.reader(m)) for name, m in members.items()}

    def structure(self, fields: Fields) -> Convert:
        """The function that reads an object with these fields."""
        lookup = fields.get

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise _wrong(value, "structure")
            out = {}
            for key, raw in value.items():
                if raw is not None and (field := lookup(key)) is not None:
                    name, convert = field
                    out[name] = convert(raw) if convert is not None else raw
            return out

        return read

    def _compile(self, shape: Shape) -> Convert:
        if shape.type == "structure":
            if shape.document:
                return lambda value: value
            return self.structure(self.fields(self._model.members(shape)))
        if shape.type == "list":
            assert shape.member is not None
            return _list_reader(self.reader(self._model.shape(shape.member)))
        assert shape.value is not None
        return _map_reader(self.reader(self._model.shape(shape.value)))


def _list_reader(item: Convert) -> Convert:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _wrong(value, "list")
        return [None if raw is None else item(raw) for raw in value]

    return read


def _map_reader(item: Convert) -> Convert:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong(value, "map")
        return {key: None if raw is None else item(raw) for key, raw in value.items()}

    return read


def _scalar_reader(shape: Shape) -> Convert:
    kind = shape.type
    if kind in {"integer", "long"}:
        return _read_long if kind == "long" else _read_integer
    return {
        "string": _read_string,
        "character": _read_string,
        "boolean": _read_boolean,
        "float": _read_float,
        "double": _read_float,
        "blob": _read_blob,
        "timestamp": _read_timestamp,
    }[kind]


def _read_string(value: Any) -> str:
    if type(value) is str:
        return value
    raise _wrong(value, "a String")


def _read_boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _wrong(value, "a Boolean")


def _read_integer(value: Any) -> int:
    if type(value) is int and -0x80000000 <= value <= 0x7FFFFFFF:
        return value
    return _read_whole(value, "integer", "an Integer")


def _read_long(value: Any) -> int:
    return _read_whole(value, "long", "a Long")


def _read_whole(value: Any, kind: str, noun: str) -> int:
    # AWS truncates a fraction silently.
    if type(value) is int or (type(value) is float and abs(value) < 2**63):
        return scalars.check_integer(int(value), kind)
    raise _wrong(value, noun)


def _read_float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and value in {"NaN", "Infinity", "-Infinity"}:
        return scalars.parse_float(value)
    raise _wrong(value, "a Double")


def _read_blob(value: Any) -> bytes:
    if type(value) is str:
        return scalars.decode_blob(value)
    raise _wrong(value, "a ByteBuffer")


def _read_timestamp(value: Any) -> float:
    if type(value) is str:
        return scalars.parse_timestamp(value)
    if type(value) is int or type(value) is float:
        return scalars.check_timestamp(value)
    raise _wrong(value, "a Date")


def _wrong(value: Any, wanted: str) -> Malformed:
    """AWS's words for a JSON value of the wrong type."""
    if isinstance(value, dict):
        return Malformed("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return Malformed("Start of list found where not expected.")
    if wanted in {"structure", "map", "list"}:
        return Malformed("Unexpected field type")
    token = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    if isinstance(value, bool):
        token = "TRUE_VALUE" if value else "FALSE_VALUE"
    return Malformed(f"{token} can not be converted to {wanted}")


class JsonWriters:
    """Compiles the way from values to JSON; None stands for a value that needs no change."""

    def __init__(self, model: ServiceModel, timestamp_format: str = "unixTimestamp") -> None:
        self._model = model
        self._timestamp_format = timestamp_format
        self._made: dict[object, Convert | None] = {}
        self._making: set[object] = set()

    def writer(self, shape: Shape) -> Convert | None:
        """The function that writes this shape."""
        if shape.type not in {"structure", "list", "map"}:
            return self._scalar(shape)
        key = (shape.name, shape.document)
        if key in self._made:
            return self._made[key]
        if key in self._making:
            return lambda value: value if (made := self._made[key]) is None else made(value)
        self._making.add(key)
        self._made[key] = self._compile(shape)
        self._making.discard(key)
        return self._made[key]

    def fields(self, members: dict[str, Shape]) -> Fields:
        """Member name to JSON name and writer."""
        return {name: (m.location_name or name, self.writer(m)) for name, m in members.items()}

    def structure(self, fields: Fields) -> Convert:
        """The function that writes an object with these fields; what the model does not know is left out."""
        lookup = fields.get

        def write(value: Any) -> dict[str, Any]:
            out = {}
            for name, member in value.items():
                if member is not None and (field := lookup(name)) is not None:
                    key, convert = field
                    out[key] = convert(member) if convert is not None else member
            return out

        return write

    def _compile(self, shape: Shape) -> Convert | None:
        if shape.type == "structure":
            return None if shape.document else self.structure(self.fields(self._model.members(shape)))
        if shape.type == "list":
            assert shape.member is not None
            item = self.writer(self._model.shape(shape.member))
            if item is None:
                return list
            return lambda value: [None if one is None else item(one) for one in value]
        assert shape.value is not None
        entry = self.writer(self._model.shape(shape.value))
        if entry is None:
            return dict
        return lambda value: {key: None if one is None else entry(one) for key, one in value.items()}

    def _scalar(self, shape: Shape) -> Convert | None:
        if shape.type == "timestamp":
            style = shape.timestamp_format or self._timestamp_format
            if style == "unixTimestamp":
                return scalars.unix
            return lambda seconds: scalars.format_timestamp(seconds, style)
        if shape.type in {"float", "double"}:
            return scalars.json_float
        return scalars.encode_blob if shape.type == "blob" else None
