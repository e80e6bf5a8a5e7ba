"""REST APIs, whole: the operations on their records, and the stages that the gateway answers from; app.py builds one.

operations ──▶ Records ──after the commit──▶ Publishing ──▶ gateway/stages.py ──compiled at the first request──▶ answers
                  └──heard──▶ KeyPlans ◀──admit── the gateway;  Counting ──every second──▶ Records
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway.stages import Stages as Published
from cumulo.gateway.tools import Plans
from cumulo.services.apigateway.account import AccountSettings
from cumulo.services.apigateway.api_keys import ApiKeys
from cumulo.services.apigateway.authorizers import Authorizers
from cumulo.services.apigateway.client_certificates import ClientCertificates
from cumulo.services.apigateway.contents import Contents
from cumulo.services.apigateway.counting import Counting
from cumulo.services.apigateway.deployments import Deployments
from cumulo.services.apigateway.documentation import Documentation
from cumulo.services.apigateway.exports import Exports
from cumulo.services.apigateway.gateway_responses import GatewayResponses
from cumulo.services.apigateway.imports import Imports
from cumulo.services.apigateway.integration_responses import IntegrationResponses
from cumulo.services.apigateway.integrations import Integrations
from cumulo.services.apigateway.method_responses import MethodResponses
from cumulo.services.apigateway.methods import Methods
from cumulo.services.apigateway.model import Stage
from cumulo.services.apigateway.models import Models
from cumulo.services.apigateway.plans import KeyPlans
from cumulo.services.apigateway.publishing import Make, Mapped, Publishing, nobody_maps
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.request_validators import RequestValidators
from cumulo.services.apigateway.resources import Resources
from cumulo.services.apigateway.rest_apis import RestApis
from cumulo.services.apigateway.stages import Stages
from cumulo.services.apigateway.tags import Tagged, Tagging
from cumulo.services.apigateway.trying import TryAuthorizer, Trying, TryMethod
from cumulo.services.apigateway.usage import Usage
from cumulo.services.apigateway.usage_plans import UsagePlans
from cumulo.services.apigateway.vpc_links import VpcLinks
from cumulo.state.store import Store, StoreError, join_key
from cumulo.wire.service import Operation, Service

FLUSH_SECONDS: Final = 1.0


class RestHouse:
    """Everything of REST APIs but answering requests.  `start` before requests are served, `run` beside the server.

    make            compiles a stage of a deployment: gateway/rest/compile.py with its tools bound
    mapped          whether a custom domain leads to an API or a stage
    log_role        whether stages may log only when the account has named a role, as on AWS
    tagged          who else has tags, by the first segment of its ARNs' paths (`domainnames`)
    try_method      runs TestInvokeMethod;  try_authorizer  runs TestInvokeAuthorizer
    more            operations that are built elsewhere (imports, exports, domain names)
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        stages: Published,
        make: Make,
        mapped: Mapped = nobody_maps,
        log_role: bool = False,
        tagged: Mapping[str, Tagged] | None = None,
        try_method: TryMethod | None = None,
        try_authorizer: TryAuthorizer | None = None,
        more: Mapping[str, Operation] | None = None,
    ) -> None:
        records = self.records = Records(store)
        self._publishing = Publishing(records, stages, make, mapped)
        self._counting = Counting(records, clock)
        self._plans = KeyPlans(records, self._counting, clock)
        self.contents = Contents(records)
        ours = Stages(records, self._publishing, clock, log_role=log_role)
        rest_apis = RestApis(records, self._publishing, clock, ids)
        nouns = (
            rest_apis,
            Imports(records, rest_apis, ids),
            Exports(records),
            Resources(records, ids),
            Methods(records),
            MethodResponses(records),
            Integrations(records),
            IntegrationResponses(records),
            ours,
            Deployments(records, self._publishing, ours, clock, ids),
            Models(records, ids),
            RequestValidators(records, ids),
            Authorizers(records, ids),
            GatewayResponses(records),
            VpcLinks(records, clock, ids),
            AccountSettings(records),
            Tagging(records, tagged or {}),
            ApiKeys(records, clock, ids),
            UsagePlans(records, ids),
            Usage(records, self._counting),
            ClientCertificates(records, clock, ids),
            Documentation(records, clock, ids),
            Trying(records, try_method, try_authorizer),
        )
        operations = {name: one for noun in nouns for name, one in noun.operations().items()}
        self._service = Service("apigateway", {**operations, **(more or {})})

    @property
    def plans(self) -> Plans:
        """API keys and usage plans, for the gateway's tools."""
        return self._plans

    def tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """The tags of an API, for the bill; none when there is no such API."""
        api = self.records.apis.get(join_key(account, region, resource))
        return api.tags if api is not None else {}

    def link_target(self, account: str, region: str, link_id: str) -> str:
        """The ARN that a VPC link leads to; empty when there is no such link."""
        link = self.records.vpc_links.get(join_key(account, region, link_id))
        return link.target_arns[0] if link is not None and link.target_arns else ""

    def service(self) -> Service:
        """As the door wants it."""
        return self._service

    def start(self) -> None:
        """Publish what is stored; nothing is compiled yet."""
        self._publishing.publish_all()

    async def run(self) -> None:
        """Write down how often keys were used, for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write down how often keys were used up to now; on a full disk, later."""
        if self._counting.flush():
            try:
                await self.records.store.commit()
            except StoreError:  # the store keeps it and writes it first when there is space again
                return

    def kind(self, account: str, region: str, api_id: str) -> str:
        """REST when there is such an API; else empty."""
        return "REST" if self.records.apis.get(join_key(account, region, api_id)) is not None else ""

    def has_stage(self, account: str, region: str, api_id: str, stage: str) -> bool:
        """Whether there is such a stage, for who maps to it."""
        return self.records.stages.get(join_key(account, region, api_id, stage)) is not None

    def count(self) -> int:
        """How many REST APIs there are, of all accounts."""
        return len(self.records.apis)

    def cached_stages(self) -> Iterator[Stage]:
        """The stages that have a cache cluster."""
        return (stage for stage in self.records.stages.all() if stage.cache_enabled and stage.cache_size)

    async def close(self) -> None:
        """Write down what was counted last."""
        await self.flush()

    async def reset(self) -> None:
        """Forget everything."""
        for api in self.records.apis.all():
            self._publishing.forget(api)
        self.records.clear()
        self._plans.clear()
        self._counting.clear()
        await self.records.store.commit()
