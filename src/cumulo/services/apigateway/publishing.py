"""What the gateway shall answer from: stages are published after every change, compiled there when first asked for."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from cumulo.gateway.definitions.rest import MethodSetting, RestDefinition, RestStage
from cumulo.gateway.stages import Compiled, Place, Published, Stages
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.model import Api, Deployment, Setting, Stage
from cumulo.services.apigateway.records import Records
from cumulo.state.store import join_key

Make = Callable[[RestDefinition, RestStage, RestDefinition | None], Compiled]
"""Compiles a stage of a deployment; the last is the canary's deployment."""
Mapped = Callable[[str, str], Sequence[str]]
"""The custom domain names that lead to an API (id), or to a stage of it (name; empty: to any)."""


@runtime_checkable
class Flushable(Protocol):
    """A compiled stage that can let go of what it has cached."""

    def flush_cache(self) -> None:
        """Forget cached answers of integrations."""
        ...

    def flush_authorizers(self) -> None:
        """Forget cached answers of authorizers."""
        ...


def nobody_maps(api_id: str, stage: str) -> Sequence[str]:
    """No custom domain leads anywhere."""
    del api_id, stage
    return ()


class Publishing:
    """Publishes the stages of REST APIs."""

    def __init__(self, records: Records, stages: Stages, make: Make, mapped: Mapped = nobody_maps) -> None:
        self._records = records
        self._stages = stages
        self._make = make
        self._mapped = mapped

    def publish_all(self) -> None:
        """Publish what is stored: at start, and when everything may have changed."""
        for stage in self._records.stages.all():
            self.publish(stage)

    def publish(self, stage: Stage) -> None:
        """From now on requests get what the stage is now; what is cached stays, as on AWS."""
        deployment = self._deployment(stage, stage.deployment_id)
        if deployment is None:
            return

        def make() -> Compiled:
            canary = stage.canary
            other = self._deployment(stage, canary.deployment_id) if canary is not None else None
            other_definition = definition_of(other) if other is not None else None
            return self._make(definition_of(deployment), rest_stage(stage), other_definition)

        self._stages.publish(_place(stage, deployment), make)

    def withdraw(self, stage: Stage) -> None:
        """The stage is gone, with what it has cached: another one of its name begins with nothing."""
        published = self._stages.find(stage.api_id, stage.name)
        if published is not None:
            _let_go(published)
        self._stages.withdraw(stage.api_id, stage.name)

    def forget(self, api: Api) -> None:
        """The API is gone."""
        for published in self._stages.of(api.id):
            _let_go(published)
        self._stages.forget(api.id)

    def flush(self, stage: Stage, *, authorizers: bool) -> None:
        """Let go of cached answers of integrations, or of authorizers."""
        published = self._stages.find(stage.api_id, stage.name)
        if published is None:
            return
        compiled = published.compiled
        if not isinstance(compiled, Flushable):
            self.publish(stage)
        elif authorizers:
            compiled.flush_authorizers()
        else:
            compiled.flush_cache()

    def refuse_if_mapped(self, api_id: str, stage: str = "") -> None:
        """BadRequestException while a custom domain leads to what is to be deleted."""
        names = self._mapped(api_id, stage)
        if names:
            what, kind = (f"stage {stage}", "stage") if stage else (f"RestApi {api_id}", "RestApi")
            raise refusals.bad_request(
                f"Deleting {what} failed. Please remove all base path mappings related to the {kind} in your domains: "
                + ", ".join(names)
            )

    def _deployment(self, stage: Stage, deployment_id: str) -> Deployment | None:
        return self._records.deployments.get(join_key(stage.api, deployment_id))


def _let_go(published: Published) -> None:
    compiled = published.made
    if isinstance(compiled, Flushable):
        compiled.flush_cache()
        compiled.flush_authorizers()


def definition_of(deployment: Deployment) -> RestDefinition:
    """What a deployment keeps."""
    return msgspec.msgpack.decode(deployment.snapshot, type=RestDefinition)


def snapshot_of(definition: RestDefinition) -> bytes:
    """A definition as a deployment keeps it."""
    return msgspec.msgpack.encode(definition)


def rest_stage(stage: Stage) -> RestStage:
    """A stage as the gateway needs it."""
    return RestStage(
        stage_name=stage.name,
        deployment_id=stage.deployment_id,
        variables=stage.variables,
        method_settings={key: _setting(one) for key, one in stage.method_settings.items()},
        canary=stage.canary,
        cache_size=stage.cache_size if stage.cache_enabled else "",
        client_certificate_id=stage.client_certificate_id,
        access_log_arn=stage.access_log_arn,
        access_log_format=stage.access_log_format,
        tracing_enabled=stage.tracing_enabled,
    )


def _setting(one: Setting) -> MethodSetting:
    rate, burst = one.throttling_rate_limit, one.throttling_burst_limit
    return MethodSetting(
        metrics_enabled=one.metrics_enabled,
        logging_level=one.logging_level or "OFF",
        data_trace_enabled=one.data_trace_enabled,
        throttling_burst_limit=None if burst is not None and burst < 0 else burst,
        throttling_rate_limit=None if rate is not None and rate < 0 else rate,
        caching_enabled=one.caching_enabled,
        cache_ttl_in_seconds=one.cache_ttl_in_seconds,
        cache_data_encrypted=one.cache_data_encrypted,
        require_authorization_for_cache_control=one.require_authorization_for_cache_control,
        unauthorized_cache_control_header_strategy=one.unauthorized_cache_control_header_strategy,
    )


def _place(stage: Stage, deployment: Deployment) -> Place:
    return Place(
        account=stage.account,
        region=stage.region,
        api_id=stage.api_id,
        stage=stage.name,
        kind="REST",
        api_name=deployment.api_name,
        disable_execute_api_endpoint=deployment.disable_execute_api_endpoint,
    )
