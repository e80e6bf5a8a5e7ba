"""What is kept of HTTP and WebSocket APIs, and the shelves on which it lies.

Api ── definition: V2Definition, the working copy: routes, integrations, authorizers, models
 ├── Deployment ── snapshot: a V2Definition as it was, encoded
 └── Stage ── names a Deployment
VpcLink
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from cumulo.gateway.definitions.v2 import RouteSetting, V2Definition, V2Stage
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store, join_key

HTTP: Final = "HTTP"
WEBSOCKET: Final = "WEBSOCKET"
DEFAULT_STAGE: Final = "$default"


class Api(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API: what routes and integrations need is in its definition.  `created` in seconds since the epoch."""

    definition: V2Definition
    created: float
    description: str = ""
    version: str = ""
    ip_address_type: str = "ipv4"
    tags: Mapping[str, str] = {}
    import_info: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Its id."""
        return self.definition.api_id

    @property
    def is_http(self) -> bool:
        """Whether it is an HTTP API, and no WebSocket API."""
        return self.definition.protocol_type == HTTP

    @property
    def key(self) -> str:
        """Its key on the shelf; those of its stages and deployments begin with it."""
        return join_key(self.definition.account, self.definition.region, self.definition.api_id)


class Stage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stage.  `managed`: made by quick create.  Times in seconds since the epoch."""

    api_key: str
    settings: V2Stage
    created: float
    updated: float
    auto_deploy: bool = False
    managed: bool = False
    description: str = ""
    status_message: str = ""
    tags: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.stage_name

    @property
    def key(self) -> str:
        """Its key on the shelf."""
        return join_key(self.api_key, self.settings.stage_name)


class Deployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API as it was at one moment.

    snapshot    its V2Definition, encoded: decoded when a stage is compiled
    automatic   made because a stage deploys by itself
    """

    api_key: str
    id: str
    created: float
    snapshot: bytes
    api_name: str = ""
    disable_execute_api_endpoint: bool = False
    automatic: bool = False
    description: str = ""

    @property
    def key(self) -> str:
        """Its key on the shelf."""
        return join_key(self.api_key, self.id)


class VpcLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A way into a network.  Times in seconds since the epoch; `deleted` is 0 while it is wanted."""

    account: str
    region: str
    id: str
    name: str
    created: float
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    deleted: float = 0.0

    @property
    def key(self) -> str:
        """Its key on the shelf."""
        return join_key(self.account, self.region, self.id)


class Records:
    """The shelves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.apis = Shelf(store, "apigatewayv2_apis", Api, lambda one: one.key, id=lambda one: one.id)
        self.stages = Shelf(
            store, "apigatewayv2_stages", Stage, lambda one: one.key, api=lambda one: one.api_key
        )
        self.deployments = Shelf(
            store,
            "apigatewayv2_deployments",
            Deployment,
            lambda one: one.key,
            api=lambda one: one.api_key,
        )
        self.links = Shelf(store, "apigatewayv2_vpc_links", VpcLink, lambda one: one.key)

    def clear(self) -> None:
        """Forget everything; durable after the store's next commit."""
        self.apis.clear()
        self.stages.clear()
        self.deployments.clear()
        self.links.clear()


def default_settings(*, http: bool) -> RouteSetting:
    """What a stage says of its routes when nobody says otherwise."""
    if http:
        return RouteSetting(detailed_metrics_enabled=False)
    return RouteSetting(detailed_metrics_enabled=False, data_trace_enabled=False, logging_level="OFF")
