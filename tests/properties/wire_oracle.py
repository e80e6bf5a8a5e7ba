"""botocore as the oracle: inputs and outputs drawn from its models, sent and read with its own code."""

import datetime as dt
import io
import math
import string
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import strategies as st

from cumulo.wire.http import Headers
from cumulo.wire.models import Models
from cumulo.wire.protocols.base import Raw
from cumulo.wire.protocols.registry import codec
from cumulo.wire.routing import Operations

TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from("abcXYZ012 <>&\"'/%+?=:,;.-_~*()[]{}\\\n\t"),
        st.characters(min_codepoint=0xA1, max_codepoint=0xD7FF),
    ),
    max_size=12,
)
VISIBLE = st.text(alphabet=string.ascii_letters + string.digits + "-_.:/ =+", min_size=1, max_size=12).map(
    lambda text: text.strip() or "x"
)
LABEL = TEXT.map(lambda text: "x" + text)
NAME = st.text(alphabet=string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8)
LOWER = st.text(alphabet=string.ascii_lowercase + string.digits + "-", min_size=1, max_size=8)
MOMENTS = st.integers(0, 4_000_000_000_000).map(
    lambda ms: dt.datetime.fromtimestamp(ms // 1000, dt.UTC).replace(microsecond=ms % 1000 * 1000)
)
SECONDS = st.integers(0, 4_000_000_000).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC))
AMBIGUOUS = {
    "PutBucketNotification",
    "GetBucketNotification",
}  # two members of one shape share an element's name
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | VISIBLE,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAME, inner, max_size=2),
    max_leaves=4,
)


class Side:
    """One service seen by botocore and by us, in one protocol."""

    def __init__(self, service, protocol=None):
        loaded = Loader().load_service_model(service, "service-2")
        if protocol:
            loaded["metadata"]["protocol"] = protocol
        self.theirs = BotocoreModel(loaded, service)
        self.model = Models().service(service)
        self.protocol = protocol or self.theirs.metadata["protocol"]
        self.codec = codec(self.model, self.protocol)
        self.operations = Operations(self.model)
        self.serializer = create_serializer(self.protocol, include_validation=False)
        self.reader = create_parser(self.protocol)
        self._parsers = {}
        self._renderers = {}

    def names(self):
        return [
            name
            for name in self.theirs.operation_names
            if not self.theirs.operation_model(name).has_event_stream_input and name not in AMBIGUOUS
        ]

    def send(self, name, params):
        """The request that botocore makes of these parameters, as ours; and the operation that we think it is."""
        operation = self.theirs.operation_model(name)
        made = self.serializer.serialize_to_request(params, operation)
        prepare_request_dict(made, "http://localhost:4566", context={})
        request = create_request_object(made).prepare()
        url = urlsplit(request.url)
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        headers = Headers(
            (key.lower().encode(), value if isinstance(value, bytes) else str(value).encode())
            for key, value in request.headers.items()
        )
        return request.method, url.path or "/", url.query, headers, body

    def parse(self, name, raw):
        if name not in self._parsers:
            self._parsers[name] = self.codec.parser(self.model.operations[name])
        return self._parsers[name](raw)

    def understand(self, name, params):
        method, path, query, headers, body = self.send(name, params)
        labels = {}
        if self.protocol in {"rest-json", "rest-xml"}:
            match = self.operations.paths.find(method, path, query)
            assert match is not None, (method, path, query)
            labels = match.labels
            if self.theirs.service_name != "s3":  # S3 tells operations apart by more than path and query
                assert match.operation.name == name
        values = self.parse(name, Raw(headers, query, labels, body))
        for member in ("ContentLength", "ContentType"):  # HTTP's own headers, which botocore adds itself
            if member not in params:
                values.pop(member, None)
        return values

    def render(self, name, values):
        if name not in self._renderers:
            self._renderers[name] = self.codec.renderer(self.model.operations[name])
        return self._renderers[name](values, "request-1")

    def read(self, name, response):
        """What botocore makes of our answer."""
        operation = self.theirs.operation_model(name)
        body = response.body
        if operation.has_streaming_output:
            body = io.BytesIO(body)
        parsed = self.reader.parse(
            {
                "status_code": response.status,
                "headers": HeadersDict({k: v.encode("latin-1").decode() for k, v in response.headers}),
                "body": body,
                "context": {"operation_name": name},
            },
            operation.output_shape,
        )
        parsed.pop("ResponseMetadata", None)
        return {
            key: value.read() if isinstance(value, io.BytesIO) else value for key, value in parsed.items()
        }


class Skipped(Exception):
    """A value that the protocol cannot carry."""


@st.composite
def values_of(draw, shape, protocol, *, depth=0, location=None):
    """A value of a botocore shape, as clients pass it in."""
    kind = shape.type_name
    if kind == "structure":
        return draw(structures(shape, protocol, depth=depth))
    if kind in {"list", "map"} and depth > 4:
        return [] if kind == "list" else {}
    if kind == "list":
        size = draw(st.integers(0, 2))
        return [
            draw(values_of(shape.member, protocol, depth=depth + 1, location=location)) for _ in range(size)
        ]
    if kind == "map":
        keys = draw(st.lists(LOWER if location else NAME, max_size=2, unique=True))
        return {
            key: draw(values_of(shape.value, protocol, depth=depth + 1, location=location)) for key in keys
        }
    return draw(scalars_of(shape, location))


def scalars_of(shape, location):
    kind = shape.type_name
    if kind == "timestamp":
        style = str(shape.serialization.get("timestampFormat", "")).lower()
        return SECONDS if style == "rfc822" or location == "header" else MOMENTS
    if kind == "string":
        if shape.serialization.get("jsonvalue") and location == "header":
            return JSON
        if shape.serialization.get("hostLabel"):
            return LOWER
        if getattr(shape, "enum", None):
            return st.sampled_from(shape.enum)
        return {"header": VISIBLE, "headers": VISIBLE, "uri": LABEL, "querystring": TEXT}.get(location, TEXT)
    return {
        "integer": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(width=32, allow_nan=False),
        "double": st.floats(allow_nan=False),
        "boolean": st.booleans(),
        "blob": st.binary(max_size=12),
        "character": TEXT,
    }[kind]


@st.composite
def structures(draw, shape, protocol, *, depth=0):
    if getattr(shape, "is_document_type", False):
        return draw(st.dictionaries(NAME, JSON, max_size=2))
    names = list(shape.members)
    if getattr(shape, "is_tagged_union", False) and names:
        chosen = [draw(st.sampled_from(names))]
    else:
        needed = [
            name
            for name, member in shape.members.items()
            if member.serialization.get("location") == "uri" or member.serialization.get("hostLabel")
        ]
        most = 6 if depth == 0 else 3 if depth < 4 else 0
        extra = draw(st.lists(st.sampled_from(names), max_size=most, unique=True)) if names and most else []
        chosen = list(dict.fromkeys(needed + extra))
    return {
        name: draw(
            values_of(
                shape.members[name],
                protocol,
                depth=depth + 1,
                location=shape.members[name].serialization.get("location"),
            )
        )
        for name in chosen
        if not shape.members[name].serialization.get("eventstream")
    }


def plain(value, shape, protocol, *, root=True):
    """What an operation of ours must see of a value."""
    kind = shape.type_name
    if value is None or getattr(shape, "is_document_type", False):
        return value
    if kind == "timestamp":
        return round(value.timestamp(), 6) if isinstance(value, dt.datetime) else value
    if kind == "structure":
        found = {name: plain(one, shape.members[name], protocol, root=False) for name, one in value.items()}
        payload = shape.serialization.get("payload")
        if payload and shape.members[payload].type_name == "blob" and root and protocol.startswith("rest"):
            if payload in shape.required_members:
                found.setdefault(payload, b"")  # an empty body is an empty payload where there must be one
            elif found.get(payload) == b"":
                del found[payload]
        return {name: one for name, one in found.items() if _carried(one, shape.members[name], protocol)}
    if kind == "list":
        found = [plain(one, shape.member, protocol, root=False) for one in value]
        if protocol in {"query", "ec2"} and any(one in ({}, []) for one in found):
            raise Skipped
        if protocol == "rest-xml" and any(isinstance(one, str) and one == "" for one in found):
            return found
        return found
    if kind == "map":
        found = {key: plain(one, shape.value, protocol, root=False) for key, one in value.items()}
        if protocol in {"query", "ec2"} and any(one in ({}, []) for one in found.values()):
            raise Skipped
        return found
    return value


def _carried(value, shape, protocol):
    """Whether the protocol can tell a value from its absence."""
    if value not in ([], {}):
        return True
    location = shape.serialization.get("location")
    if location:
        return False
    if protocol == "ec2":
        return False
    if protocol == "query":
        return shape.type_name == "list"
    if protocol == "rest-xml":
        return not shape.serialization.get("flattened")
    return True


def without_empties(value):
    """Without empty lists and structures, which XML cannot always tell from absent ones."""
    if isinstance(value, dict):
        found = {key: without_empties(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one not in ({}, [], b"", "")}
    return [without_empties(one) for one in value] if isinstance(value, list) else value


def same(ours, theirs):
    """Equal, to the microsecond and for NaN."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return ours == theirs or math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-6)
    return type(ours) is type(theirs) and ours == theirs


def ours_of(value, shape):
    """A value drawn for an output, as an operation of ours returns it."""
    return plain(value, shape, "json")
