"""Which service a request is for, and which operation of it."""

import re
from collections.abc import Mapping

import msgspec

from cumulo.wire.http import Request
from cumulo.wire.models import Metadata, Models, OperationModel, ServiceModel
from cumulo.wire.paths import Paths
from cumulo.wire.protocols.base import Malformed
from cumulo.wire.protocols.registry import REST
from cumulo.wire.sigv4 import Scope

_DATED = re.compile(r"/(\d{4}-\d{2}-\d{2})(?:/|$)", re.ASCII)
_AWS_HOST = re.compile(r"^(?P<name>[a-z0-9.-]+?)(?:\.[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com(?:\.cn)?$")
_JSON_TYPES = frozenset({"", "application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"})
FORM = "application/x-www-form-urlencoded"


class Found(msgspec.Struct, frozen=True):
    """What a request asks of a service: an operation of the model, or a name that it does not have."""

    protocol: str
    operation: OperationModel | None
    name: str = ""
    labels: Mapping[str, str] = {}


class Operations:
    """Finds the operations of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._rest = next((p for p in _protocols(model.metadata) if p in REST), "")
        self._form = next((p for p in _protocols(model.metadata) if p in {"query", "ec2"}), "")
        self._json = "json" if model.speaks("json") else ""
        self.paths = Paths(model) if self._rest else None

    def find(self, request: Request) -> Found | None:
        """By target or path; None when only the body can tell (query)."""
        target = request.headers.get("x-amz-target")
        if self._json and (target or not self._form):
            prefix, _, name = target.rpartition(".")
            known = prefix == self._model.metadata.target_prefix and _is_json(request)
            return Found("json", self._model.operations.get(name) if known else None, name)
        if "smithy-protocol" in request.headers or not (self._form or self.paths):
            return Found(self.protocol, None, request.path)  # rpc-v2-cbor is not spoken here
        if self.paths is not None:
            match = self.paths.find(request.method, request.path, request.query)
            if match is None:
                return Found(self._rest, None, f"{request.method} {request.path}")
            return Found(self._rest, match.operation, match.operation.name, match.labels)
        return None

    def find_action(self, fields: list[tuple[str, str]]) -> Found:
        """By the Action of a form."""
        name = next((text for key, text in fields if key == "Action"), "")
        return Found(self._form, self._model.operations.get(name), name)

    @property
    def protocol(self) -> str:
        """The protocol to answer in while the operation is unknown."""
        return self._rest or self._form or "json"


class Router:
    """Finds the service of ours that a request is for, without its body."""

    def __init__(self, models: Models, names: list[str]) -> None:
        self._models = models
        self._operations: dict[str, Operations] = {}
        self._by_scope: dict[str, list[str]] = {}
        self._by_target: dict[str, str] = {}
        self._by_host: dict[str, list[str]] = {}
        self._by_version: dict[str, list[str]] = {}
        self._rest: list[str] = []
        for name in names:
            metadata = models.metadata(name)
            self._by_scope.setdefault(metadata.scope, []).append(name)
            self._by_host.setdefault(metadata.endpoint_prefix, []).append(name)
            if metadata.target_prefix:
                self._by_target[metadata.target_prefix] = name
            if REST & set(_protocols(metadata)):
                self._rest.append(name)
            if {"query", "ec2"} & set(_protocols(metadata)):
                self._by_version.setdefault(metadata.api_version, []).append(name)

    def operations(self, name: str) -> Operations:
        """The operations of one of our services."""
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = Operations(self._models.service(name))
        return found

    def service(self, request: Request, scope: Scope | None) -> str | None:
        """By signature, then target, then host, then dated path; None when it is not ours."""
        if scope is not None and scope.service:
            return self._pick(self._by_scope.get(scope.service), request)
        target = request.headers.get("x-amz-target")
        if target:
            return self._by_target.get(target.partition(".")[0])
        name = self._pick(self._by_host.get(_host_prefix(request.headers.get("host"))), request)
        return name or self._by_path(request)

    def wants_form(self, request: Request) -> bool:
        """Whether an unsigned request may be a form for a service of ours, so that its body must be looked at."""
        return (
            bool(self._by_version)
            and request.path in {"", "/"}
            and ("Action=" in request.query or request.headers.get("content-type").lower().startswith(FORM))
        )

    def service_of_form(self, fields: list[tuple[str, str]]) -> str | None:
        """By the Version and Action of a form."""
        form = dict(reversed(fields))
        for name in self._by_version.get(form.get("Version", ""), ()):
            if form.get("Action", "") in self._models.service(name).operations:
                return name
        return None

    def _pick(self, names: list[str] | None, request: Request) -> str | None:
        """One of several services that share a name: the one that has the path, or the target."""
        if not names or len(names) == 1:
            return names[0] if names else None
        target = request.headers.get("x-amz-target").partition(".")[0]
        for name in names:
            if target and self._models.metadata(name).target_prefix == target:
                return name
            paths = self.operations(name).paths
            if paths is not None and _has(paths, request):
                return name
        return names[0]

    def _by_path(self, request: Request) -> str | None:
        if _DATED.match(request.path) is None:
            return None
        for name in self._rest:
            paths = self.operations(name).paths
            if paths is not None and request.path.split("/", 2)[1] in paths.firsts():
                return name
        return None


def _has(paths: Paths, request: Request) -> bool:
    try:
        return paths.find(request.method, request.path, request.query) is not None
    except Malformed:
        return False


def _is_json(request: Request) -> bool:
    """AWS does not know an operation by its target when the content type is of another protocol."""
    kind = request.headers.get("content-type").partition(";")[0].strip().lower()
    return kind in _JSON_TYPES


def _protocols(metadata: Metadata) -> tuple[str, ...]:
    return metadata.protocols or (metadata.protocol,)


def _host_prefix(host: str) -> str:
    match = _AWS_HOST.match(host.partition(":")[0].lower())
    return match["name"] if match else ""
