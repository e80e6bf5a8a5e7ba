"""Which codec speaks which protocol."""

from cumulo.wire.models import ServiceModel
from cumulo.wire.protocols.base import Codec

REST = frozenset({"rest-json", "rest-xml"})


class ProtocolMissing(Exception):
    """A protocol that is not built."""


def codec(model: ServiceModel, protocol: str) -> Codec:
    """The codec of a service in one of its protocols; ProtocolMissing when it is not built."""
    if protocol == "json":
        from cumulo.wire.protocols.jsonrpc import JsonRpc

        return JsonRpc(model)
    if protocol == "rest-json":
        from cumulo.wire.protocols.restjson import RestJson

        return RestJson(model)
    if protocol == "rest-xml":  # XML is only imported where it is spoken
        from cumulo.wire.protocols.restxml import RestXml

        return RestXml(model)
    if protocol in {"query", "ec2"}:
        from cumulo.wire.protocols.query import Query

        return Query(model, ec2=protocol == "ec2")
    raise ProtocolMissing(protocol)
