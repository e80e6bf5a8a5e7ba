"""Tells the data plane which stages answer, and with which deployment."""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.stages import Compiled, Place, Stages
from cumulo.services.apigatewayv2.records import Api, Deployment, Records, Stage
from cumulo.state.store import SEPARATOR, join_key

Compile = Callable[[V2Definition, V2Stage], Compiled]


class Publisher:
    """Publishes stages.  `compilers` by protocol type: they may import what they need when they are called."""

    def __init__(self, records: Records, stages: Stages, compilers: Mapping[str, Compile]) -> None:
        self._records = records
        self._stages = stages
        self._compilers = compilers

    def know(self, api: Api) -> None:
        """Tell the data plane of an API, which may have no stage yet."""
        if api.is_http:
            self._stages.know_http(api.id)

    def publish(self, api_key: str, name: str) -> None:
        """Let a stage answer as it is kept now; one that has no deployment, or is gone, does not."""
        account, region, api_id = api_key.split(SEPARATOR)
        api = self._records.apis.get(api_key)
        stage = self._records.stages.get(join_key(api_key, name))
        deployment = None
        if stage is not None and stage.settings.deployment_id:
            deployment = self._records.deployments.get(join_key(api_key, stage.settings.deployment_id))
        if api is None or stage is None or deployment is None:
            self._stages.withdraw(api_id, name)
            return
        kind = api.definition.protocol_type
        place = Place(
            account=account,
            region=region,
            api_id=api_id,
            stage=name,
            kind=kind,
            api_name=deployment.api_name,
            disable_execute_api_endpoint=deployment.disable_execute_api_endpoint,
        )
        self._stages.publish(place, partial(_compile, self._compilers[kind], deployment, stage))

    def publish_all(self) -> None:
        """Let every stage answer; compiling waits until the first request."""
        for api in self._records.apis.all():
            self.know(api)
        for stage in self._records.stages.all():
            self.publish(stage.api_key, stage.name)

    def forget(self, api_id: str) -> None:
        """An API is gone."""
        self._stages.forget(api_id)


def encode(definition: V2Definition) -> bytes:
    """A snapshot of a definition."""
    return msgspec.msgpack.encode(definition)


def decode(snapshot: bytes) -> V2Definition:
    """The definition of a snapshot."""
    return msgspec.msgpack.decode(snapshot, type=V2Definition)


def _compile(compile_: Compile, deployment: Deployment, stage: Stage) -> Compiled:
    return compile_(decode(deployment.snapshot), stage.settings)
