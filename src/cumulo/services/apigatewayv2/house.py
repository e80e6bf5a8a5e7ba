"""HTTP and WebSocket APIs, whole: the API of their control plane, and what tells the data plane; app.py builds one.

operations (one file a noun) ──▶ desk ──▶ records, commit ──▶ publisher ──▶ gateway's Stages
                                  └──▶ deployer: a snapshot on every change, where a stage deploys by itself
"""

from collections.abc import Mapping
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.base.ports.networks import NetworkFacts
from cumulo.gateway.definitions.v2 import V2Definition
from cumulo.gateway.stages import Stages as PublishedStages
from cumulo.services.apigatewayv2.apis import Apis
from cumulo.services.apigatewayv2.authorizers import Authorizers
from cumulo.services.apigatewayv2.contents import Contents
from cumulo.services.apigatewayv2.deploying import Deployer
from cumulo.services.apigatewayv2.deployments import Deployments
from cumulo.services.apigatewayv2.desk import Desk, Guard
from cumulo.services.apigatewayv2.exports import Exports
from cumulo.services.apigatewayv2.imports import Imports
from cumulo.services.apigatewayv2.integration_responses import IntegrationResponses
from cumulo.services.apigatewayv2.integrations import Integrations
from cumulo.services.apigatewayv2.models import Models
from cumulo.services.apigatewayv2.publishing import Compile, Publisher
from cumulo.services.apigatewayv2.records import Records
from cumulo.services.apigatewayv2.route_responses import RouteResponses
from cumulo.services.apigatewayv2.routes import Routes
from cumulo.services.apigatewayv2.service import service_of
from cumulo.services.apigatewayv2.stages import MayLog, Stages
from cumulo.services.apigatewayv2.tagging import Keeper, Tagging
from cumulo.services.apigatewayv2.vpc_links import VpcLinks
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Operation, Service

LINK_SECONDS: Final = 1.0


class ApiGatewayV2House:
    """Everything of the control plane.  `start` before requests are served.

    stages        where what answers is published
    compilers     of HTTP and WEBSOCKET: called at a stage's first request, so they may import late
    network       checks what VPC links name; None: nobody can
    may_log       whether an account and region has a role that writes execution and access logs of WebSocket APIs
    link_seconds  how long VPC links are on their way
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        stages: PublishedStages,
        compilers: Mapping[str, Compile],
        network: NetworkFacts | None = None,
        may_log: MayLog = lambda _account, _region: True,
        link_seconds: float = LINK_SECONDS,
    ) -> None:
        self._store = store
        self._records = Records(store)
        self._publisher = Publisher(self._records, stages, compilers)
        self._desk = Desk(self._records, Deployer(self._records, clock, ids), self._publisher, clock, ids)
        self._tagging = Tagging(self._desk)
        self._apis = Apis(self._desk)
        self._nouns = (
            self._apis,
            Routes(self._desk),
            RouteResponses(self._desk),
            Integrations(self._desk),
            IntegrationResponses(self._desk),
            Models(self._desk),
            Authorizers(self._desk),
            Stages(self._desk, may_log),
            Deployments(self._desk),
            VpcLinks(self._desk, network, link_seconds),
            self._tagging,
        )
        self.contents = Contents(self._desk, self._apis)
        self._documents = (Imports(self.contents), Exports(self._desk))

    def service(self, extra: Mapping[str, Operation] | None = None) -> Service:
        """As the door wants it, with the operations that others build."""
        return service_of(*self._nouns, *self._documents, extra=extra or {})

    def count(self) -> int:
        """How many APIs there are, of all accounts."""
        return len(self._records.apis)

    def definition_of(self, api_id: str) -> V2Definition | None:
        """The working copy of an API of any account, or None."""
        found = self._records.apis.by("id", api_id)
        return found[0].definition if found else None

    def kind(self, account: str, region: str, api_id: str) -> str:
        """HTTP or WEBSOCKET; empty when there is no such API."""
        found = self._records.apis.get(join_key(account, region, api_id))
        return found.definition.protocol_type if found is not None else ""

    def has_stage(self, account: str, region: str, api_id: str, stage: str) -> bool:
        """Whether there is such a stage, for who maps to it."""
        found = self._records.apis.by("id", api_id)
        if not found or (found[0].definition.account, found[0].definition.region) != (account, region):
            return False
        return any(one.name == stage for one in self._records.stages.by("api", found[0].key))

    def tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """The tags of an API, for the bill."""
        found = [
            one
            for one in self._records.apis.by("id", resource)
            if (one.definition.account, one.definition.region) == (account, region)
        ]
        return found[0].tags if found else {}

    def guard(self, ask: Guard) -> None:
        """Ask before an API (and before a stage of it) is deleted."""
        self._desk.guards.append(ask)

    def keep_tags(self, word: str, keeper: Keeper) -> None:
        """Let somebody else keep the tags of what lies behind ARNs whose path begins with a word."""
        self._tagging.keepers[word] = keeper

    async def start(self) -> None:
        """Let everything answer that did before."""
        self._publisher.publish_all()

    async def reset(self) -> None:
        """Forget everything."""
        for api in self._records.apis.all():
            self._publisher.forget(api.id)
        self._records.clear()
        await self._store.commit()
