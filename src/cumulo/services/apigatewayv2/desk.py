"""What every operation works at: finds an API, changes it in one transaction, and publishes what it changed."""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.gateway.definitions.v2 import V2Definition
from cumulo.services.apigatewayv2 import identifiers
from cumulo.services.apigatewayv2.deploying import Deployer
from cumulo.services.apigatewayv2.publishing import Publisher
from cumulo.services.apigatewayv2.records import Api, Records, Stage
from cumulo.services.apigatewayv2.refusals import missing, missing_api
from cumulo.state.store import join_key
from cumulo.wire.service import Values

Guard = Callable[[Api, str | None], None]


class Desk:
    """Records, and how they are changed.

    guards   asked before an API (None) or one of its stages goes: they raise what AWS says when somebody needs it
    """

    def __init__(
        self, records: Records, deployer: Deployer, publisher: Publisher, clock: Clock, ids: Ids
    ) -> None:
        self.records = records
        self.deployer = deployer
        self.publisher = publisher
        self.clock = clock
        self.guards: list[Guard] = []
        self._ids = ids

    def new_id(self, length: int = identifiers.OTHER) -> str:
        """An id."""
        return identifiers.new_id(self._ids, length)

    def api(self, caller: Caller, values: Values) -> Api:
        """The API that ApiId names.  NotFoundException."""
        found = self.records.apis.get(join_key(caller.account, caller.region, values["ApiId"]))
        if found is None:
            raise missing_api(caller.account, values["ApiId"])
        return found

    def apis_of(self, caller: Caller) -> list[Api]:
        """Every API of the caller's account and region."""
        return self.records.apis.all(join_key(caller.account, caller.region, ""))

    def stage(self, api: Api, name: str) -> Stage:
        """A stage of an API.  NotFoundException."""
        found = self.records.stages.get(join_key(api.key, name))
        if found is None:
            raise missing("stage")
        return found

    async def change(self, api: Api, definition: V2Definition) -> Api:
        """Give an API another working copy, deploy it where stages do so by themselves, and commit."""
        return await self.put(replace(api, definition=definition))

    async def put(self, api: Api) -> Api:
        """The same, for what is not in the definition too."""
        self.records.apis.put(api)
        self.publisher.know(api)
        await self.settle(self.deployer.deploy_automatically(api))
        return api

    async def settle(self, stages: Iterable[Stage]) -> None:
        """Commit, and then let these stages answer as they are."""
        names = [(stage.api_key, stage.name) for stage in stages]
        await self.records.store.commit()
        for api_key, name in names:
            self.publisher.publish(api_key, name)

    def guard(self, api: Api, stage: str | None = None) -> None:
        """Ask whether an API, or a stage of it, may go."""
        for ask in self.guards:
            ask(api, stage)
