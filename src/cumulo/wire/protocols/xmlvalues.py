"""XML to values and back, compiled once per shape into closures."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from cumulo.wire.models import ServiceModel, Shape
from cumulo.wire.protocols import rest
from cumulo.wire.protocols.base import Malformed, later

Write = Callable[[list[str], str, Any], None]
Read = Callable[[Element], Any]

_UNSAFE = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_DEPTH_MAX = 100
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"}


def escape(text: str) -> str:
    """Text for XML; characters that XML 1.0 cannot hold become U+FFFD."""
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: _ESCAPES.get(match.group(), "\ufffd"), text)


def namespace(shape: Shape) -> str:
    """The xmlns attribute of an element of this shape, with a space in front, or nothing."""
    where = shape.xml_namespace
    if where is None:
        return ""
    if isinstance(where, str):
        return f' xmlns="{escape(where)}"'
    prefix = f":{where.prefix}" if where.prefix else ""
    return f' xmlns{prefix}="{escape(where.uri)}"'


class _Builder(TreeBuilder):
    """Refuses documents that are deep or declare entities."""

    depth = 0

    def start(self, tag: Any, attrs: Any) -> Element:
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise Malformed("The XML is nested too deeply", "xml")
        return super().start(tag, attrs)

    def end(self, tag: Any) -> Element:
        self.depth -= 1
        return super().end(tag)

    def doctype(self, _name: str, _pubid: str | None, _system: str | None) -> None:
        raise Malformed("The XML must not have a document type", "xml")


def load(body: bytes) -> Element:
    """Parse a document; Malformed when it is none."""
    parser = XMLParser(target=_Builder())  # noqa: S314 - document types, and with them entities, are refused
    try:
        parser.feed(body)
        root = parser.close()
    except (ParseError, ValueError, LookupError):
        raise Malformed("The XML you provided was not well-formed", "xml") from None
    assert isinstance(root, Element)
    return root


def local(tag: str) -> str:
    """An element's name without its namespace."""
    return tag.rpartition("}")[2]


class XmlWriters:
    """Compiles the way from values to XML."""

    def __init__(self, model: ServiceModel, *, ec2: bool = False) -> None:
        self._model = model
        self._ec2 = ec2
        self._made: dict[object, Write] = {}
        self._making: set[object] = set()

    def writer(self, shape: Shape) -> Write:
        """The function that appends this shape as an element."""
        if shape.type not in {"structure", "list", "map"}:
            return _scalar_writer(shape)
        key = (shape.name, shape.flattened, str(shape.xml_namespace))
        if key in self._made:
            return self._made[key]
        if key in self._making:

            def write_later(out: list[str], name: str, value: Any) -> None:
                self._made[key](out, name, value)

            return write_later
        self._making.add(key)
        compiled = {"structure": self._structure, "list": self._list, "map": self._map}[shape.type](shape)
        self._made[key] = compiled
        self._making.discard(key)
        return compiled

    def members(self, members: dict[str, Shape]) -> Callable[[list[str], dict[str, Any]], None]:
        """The function that appends a structure's members."""
        table = {name: (self.element_name(name, m), self.writer(m)) for name, m in members.items()}
        lookup = table.get

        def write(out: list[str], values: dict[str, Any]) -> None:
            for name, value in values.items():
                if value is not None and (field := lookup(name)) is not None:
                    field[1](out, field[0], value)

        return write

    def element_name(self, name: str, shape: Shape) -> str:
        """What a member's element is called; a flattened list is called as its items are."""
        if shape.type == "list" and shape.flattened and shape.member is not None:
            item = self._model.shape(shape.member).location_name
            if item is not None:
                return item
        return shape.location_name or name

    def _structure(self, shape: Shape) -> Write:
        members = self._model.members(shape)
        attributes = {
            name: (m.location_name or name, rest.writer(m, "iso8601"))
            for name, m in members.items()
            if m.xml_attribute
        }
        inner = self.members({name: m for name, m in members.items() if not m.xml_attribute})
        space = namespace(shape)

        def write(out: list[str], name: str, value: Any) -> None:
            head = space
            for member, (attribute, convert) in attributes.items():
                if value.get(member) is not None:
                    head += f' {attribute}="{escape(convert(value[member]))}"'
            out.append(f"<{name}{head}>")
            inner(out, value)
            out.append(f"</{name}>")

        return write

    def _list(self, shape: Shape) -> Write:
        assert shape.member is not None
        member = self._model.shape(shape.member)
        item = self.writer(member)
        if shape.flattened:

            def write_flat(out: list[str], name: str, value: Any) -> None:
                for one in value:
                    item(out, name, one)

            return write_flat
        tag = member.location_name or "member"
        space = namespace(shape)

        def write(out: list[str], name: str, value: Any) -> None:
            out.append(f"<{name}{space}>")
            for one in value:
                item(out, tag, one)
            out.append(f"</{name}>")

        return write

    def _map(self, shape: Shape) -> Write:
        assert shape.key is not None
        assert shape.value is not None
        key_shape, value_shape = self._model.shape(shape.key), self._model.shape(shape.value)
        key_tag = key_shape.location_name or "key"
        value_tag = value_shape.location_name or "value"
        key_writer, value_writer = self.writer(key_shape), self.writer(value_shape)
        space = namespace(shape)

        def entries(out: list[str], tag: str, value: Any) -> None:
            for key, one in value.items():
                out.append(f"<{tag}>")
                key_writer(out, key_tag, key)
                value_writer(out, value_tag, one)
                out.append(f"</{tag}>")

        if shape.flattened:
            return entries

        def write(out: list[str], name: str, value: Any) -> None:
            out.append(f"<{name}{space}>")
            entries(out, "entry", value)
            out.append(f"</{name}>")

        return write


def _scalar_writer(shape: Shape) -> Write:
    convert = rest.writer(shape, "iso8601")
    space = namespace(shape)
    if shape.type == "string":

        def write_text(out: list[str], name: str, value: Any) -> None:
            out.append(f"<{name}{space}>{escape(str(value))}</{name}>")

        return write_text

    def write(out: list[str], name: str, value: Any) -> None:
        out.append(f"<{name}{space}>{convert(value)}</{name}>")

    return write


class XmlReaders:
    """Compiles the way from XML to values."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._made: dict[object, Read] = {}
        self._making: set[object] = set()

    def reader(self, shape: Shape) -> Read:
        """The function that reads an element of this shape."""
        if shape.type not in {"structure", "list", "map"}:
            convert = rest.reader(shape, "iso8601")
            return lambda element: convert(element.text or "")
        key = (shape.name, shape.flattened)
        if key in self._made:
            return self._made[key]
        if key in self._making:
            return later(self._made, key)
        self._making.add(key)
        compiled: Read
        if shape.type == "structure":
            compiled = self.structure(self._model.members(shape))
        else:
            compiled = self._list(shape) if shape.type == "list" else self._map(shape)
        self._made[key] = compiled
        self._making.discard(key)
        return compiled

    def structure(self, members: dict[str, Shape]) -> Read:
        """The function that reads these members from an element's children and attributes."""
        attributes = {
            local_name(m.location_name or name): name for name, m in members.items() if m.xml_attribute
        }
        flat = {
            m.location_name or name: (name, self._flat_item(m), m.type == "map")
            for name, m in members.items()
            if m.flattened and m.type in {"list", "map"}
        }
        single = {
            m.location_name or name: (name, self.reader(m))
            for name, m in members.items()
            if not m.xml_attribute and not (m.flattened and m.type in {"list", "map"})
        }

        def read(element: Element) -> dict[str, Any]:
            values: dict[str, Any] = {}
            for child in element:
                tag = local(child.tag)
                if tag in single:
                    name, convert = single[tag]
                    values[name] = convert(child)
                elif tag in flat:
                    name, convert, many = flat[tag]
                    if many:
                        values.setdefault(name, {}).update(convert(child))
                    else:
                        values.setdefault(name, []).append(convert(child))
            for attribute, value in element.attrib.items():
                if local(attribute) in attributes:
                    values[attributes[local(attribute)]] = value
            return values

        return read

    def _flat_item(self, shape: Shape) -> Read:
        if shape.type == "map":
            return self._entry(shape)
        assert shape.member is not None
        return self.reader(self._model.shape(shape.member))

    def _list(self, shape: Shape) -> Read:
        assert shape.member is not None
        item = self.reader(self._model.shape(shape.member))
        return lambda element: [item(child) for child in element]

    def _map(self, shape: Shape) -> Read:
        entry = self._entry(shape)

        def read(element: Element) -> dict[str, Any]:
            values: dict[str, Any] = {}
            for child in element:
                values.update(entry(child))
            return values

        return read

    def _entry(self, shape: Shape) -> Read:
        assert shape.key is not None
        assert shape.value is not None
        key_shape, value_shape = self._model.shape(shape.key), self._model.shape(shape.value)
        key_tag, value_tag = key_shape.location_name or "key", value_shape.location_name or "value"
        read_key, read_value = self.reader(key_shape), self.reader(value_shape)

        def read(element: Element) -> dict[str, Any]:
            parts = {local(child.tag): child for child in element}
            if key_tag not in parts or value_tag not in parts:
                raise Malformed("A map's entry needs a key and a value", "xml")
            return {read_key(parts[key_tag]): read_value(parts[value_tag])}

        return read


def local_name(name: str) -> str:
    """A qualified attribute name (xsi:type) without its prefix."""
    return name.rpartition(":")[2]
