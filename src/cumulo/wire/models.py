"""AWS's service models, read from the installed botocore's data folder without importing botocore.

    data/lambda/2015-03-31/service-2.json.gz  ->  ServiceModel(metadata, operations, shapes)

Only the traits that the wire acts on are kept (documentation is skipped while decoding), so a model costs
little memory.  A shape refers to others by name; `ServiceModel.shape` resolves a reference, and the traits of
the reference win over those of the shape, as in botocore.
"""

import gzip
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

_HEAD_BYTES = 8192  # the metadata stands in front of everything else in a model


class ModelMissing(Exception):
    """botocore has no model of that name, or is not installed."""


class XmlNamespace(msgspec.Struct, frozen=True):
    """Where an XML element belongs."""

    uri: str = ""
    prefix: str = ""


class ErrorTrait(msgspec.Struct, frozen=True, rename="camel"):
    """How an exception is spelled and numbered."""

    code: str = ""
    http_status_code: int = 0
    sender_fault: bool = False


class Shape(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """A shape, or a reference to one; `shape` is its name, the rest the model's traits."""

    shape: str = ""
    type: str = ""
    members: dict[str, "Shape"] = {}
    member: "Shape | None" = None
    key: "Shape | None" = None
    value: "Shape | None" = None
    required: tuple[str, ...] = ()
    enum: tuple[str, ...] = ()
    min: float | int | None = None
    max: float | int | None = None
    pattern: str | None = None
    payload: str | None = None
    exception: bool = False
    fault: bool = False
    error: ErrorTrait | None = None
    location: str | None = None
    location_name: str | None = None
    query_name: str | None = None
    flattened: bool = False
    sparse: bool = False
    sensitive: bool = False
    streaming: bool = False
    jsonvalue: bool = False
    document: bool = False
    union: bool = False
    eventstream: bool = False
    event: bool = False
    eventpayload: bool = False
    eventheader: bool = False
    idempotency_token: bool = False
    host_label: bool = False
    timestamp_format: str | None = None
    xml_attribute: bool = False
    xml_namespace: XmlNamespace | str | None = None
    result_wrapper: str | None = None

    @property
    def name(self) -> str:
        """The shape's name in the model."""
        return self.shape


class Http(msgspec.Struct, frozen=True, rename="camel"):
    """Where an operation lives."""

    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class Endpoint(msgspec.Struct, frozen=True, rename="camel"):
    """What an operation puts in front of the host name."""

    host_prefix: str = ""


class OperationModel(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One operation."""

    name: str
    http: Http = Http()
    input: Shape | None = None
    output: Shape | None = None
    errors: tuple[Shape, ...] = ()
    endpoint: Endpoint | None = None
    authtype: str = ""


class Metadata(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What routing needs to know of a service."""

    api_version: str
    endpoint_prefix: str
    protocol: str
    protocols: tuple[str, ...] = ()
    service_id: str = ""
    json_version: str = ""
    target_prefix: str = ""
    signing_name: str = ""
    xml_namespace: str = ""
    aws_query_compatible: dict[str, object] | None = None

    @property
    def scope(self) -> str:
        """The service's name in a SigV4 credential scope."""
        return self.signing_name or self.endpoint_prefix


class _File(msgspec.Struct, frozen=True):
    metadata: Metadata
    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]


class ServiceModel:
    """One service's model."""

    def __init__(
        self,
        name: str,
        metadata: Metadata,
        operations: Mapping[str, OperationModel],
        shapes: dict[str, Shape],
    ) -> None:
        self.name = name
        self.metadata = metadata
        self.operations = operations
        self._shapes = {key: msgspec.structs.replace(shape, shape=key) for key, shape in shapes.items()}
        self._errors = {
            code: shape
            for key, shape in self._shapes.items()
            if shape.exception
            for code in {key, (shape.error and shape.error.code) or key}
        }

    def shape(self, reference: Shape) -> Shape:
        """The shape that a reference names, with the reference's traits on top."""
        base = self._shapes[reference.shape]
        changes = {
            field: value
            for field, default in _TRAITS.items()
            if (value := getattr(reference, field)) != default
        }
        return msgspec.structs.replace(base, **changes) if changes else base

    def shape_named(self, name: str) -> Shape:
        """The shape of that name."""
        return self._shapes[name]

    def shapes(self) -> Iterator[Shape]:
        """Every shape."""
        return iter(self._shapes.values())

    def members(self, shape: Shape) -> dict[str, Shape]:
        """A structure's members, resolved."""
        return {name: self.shape(reference) for name, reference in shape.members.items()}

    def error(self, code: str) -> Shape | None:
        """The exception of that name or code."""
        return self._errors.get(code)

    def speaks(self, protocol: str) -> bool:
        """Whether clients may use a protocol."""
        return protocol == self.metadata.protocol or protocol in self.metadata.protocols


class Models:
    """Finds and reads models; keeps those that were asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or find_data()
        self._services: dict[str, ServiceModel] = {}
        self._metadata: dict[str, Metadata] = {}

    def names(self) -> list[str]:
        """Every service that botocore knows, by botocore's names."""
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def service(self, name: str) -> ServiceModel:
        """A service's model; ModelMissing when there is none."""
        if name not in self._services:
            path = self._file(name)
            data = path.read_bytes()
            file = msgspec.json.decode(gzip.decompress(data) if path.suffix == ".gz" else data, type=_File)
            self._services[name] = ServiceModel(name, file.metadata, file.operations, file.shapes)
        return self._services[name]

    def metadata(self, name: str) -> Metadata:
        """A service's metadata, without reading the whole model; ModelMissing when there is none."""
        if name in self._services:
            return self._services[name].metadata
        if name not in self._metadata:
            self._metadata[name] = _read_metadata(self._file(name)) or self.service(name).metadata
        return self._metadata[name]

    def _file(self, name: str) -> Path:
        folder = self._folder / name
        if "/" in name or not folder.is_dir():
            raise ModelMissing(name)
        for version in sorted((path for path in folder.iterdir()), reverse=True):
            for spelling in ("service-2.json.gz", "service-2.json"):
                if (version / spelling).is_file():
                    return version / spelling
        raise ModelMissing(name)


def find_data() -> Path:
    """The data folder of the installed botocore."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise ModelMissing("botocore is not installed")
    return Path(spec.origin).parent / "data"


def _read_metadata(path: Path) -> Metadata | None:
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            head = file.read(_HEAD_BYTES)
    else:
        with path.open("rb") as plain:
            head = plain.read(_HEAD_BYTES)
    text = head.decode("utf-8", "ignore")
    _, found, rest = text.partition('"metadata":')
    if not found:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(rest.lstrip())
    except ValueError:
        return None
    return msgspec.convert(value, Metadata)


_TRAITS = {
    field.name: field.default
    for field in msgspec.structs.fields(Shape)
    if field.name not in {"shape", "type", "members", "member", "key", "value", "required"}
    and field.default is not msgspec.NODEFAULT
}
