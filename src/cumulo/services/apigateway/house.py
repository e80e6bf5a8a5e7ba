"""REST APIs, whole: the operations on their records, and the stages that the gateway answers from; app.py builds one.

operations ──▶ Records ──after the commit──▶ Publishing ──▶ gateway/stages.py ──compiled at the first request──▶ answers
"""

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway.stages import Stages as Published
from cumulo.services.apigateway.contents import Contents
from cumulo.services.apigateway.deployments import Deployments
from cumulo.services.apigateway.integration_responses import IntegrationResponses
from cumulo.services.apigateway.integrations import Integrations
from cumulo.services.apigateway.method_responses import MethodResponses
from cumulo.services.apigateway.methods import Methods
from cumulo.services.apigateway.publishing import Make, Mapped, Publishing, nobody_maps
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.resources import Resources
from cumulo.services.apigateway.rest_apis import RestApis
from cumulo.services.apigateway.stages import Stages
from cumulo.state.store import Store
from cumulo.wire.service import Service


class RestHouse:
    """Everything of REST APIs but answering requests.

    make      compiles a stage of a deployment: gateway/rest/compile.py with its tools bound
    mapped    whether a custom domain leads to an API or a stage
    log_role  whether stages may log only when the account has named a role, as on AWS
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
    ) -> None:
        self._records = Records(store)
        self._publishing = Publishing(self._records, stages, make, mapped)
        self.contents = Contents(self._records)
        ours = Stages(self._records, self._publishing, clock, log_role=log_role)
        nouns = (
            RestApis(self._records, self._publishing, clock, ids),
            Resources(self._records, ids),
            Methods(self._records),
            MethodResponses(self._records),
            Integrations(self._records),
            IntegrationResponses(self._records),
            ours,
            Deployments(self._records, self._publishing, ours, clock, ids),
        )
        self._service = Service(
            "apigateway", {name: one for noun in nouns for name, one in noun.operations().items()}
        )

    def service(self) -> Service:
        """As the door wants it."""
        return self._service

    def start(self) -> None:
        """Publish what is stored; nothing is compiled yet."""
        self._publishing.publish_all()

    def count(self) -> int:
        """How many REST APIs there are, of all accounts."""
        return len(self._records.apis)

    async def reset(self) -> None:
        """Forget everything."""
        for api in self._records.apis.all():
            self._publishing.forget(api)
        self._records.clear()
        await self._records.store.commit()
