"""REST APIs as OpenAPI documents: what a stage answers with."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cumulo.base.caller import Caller
from cumulo.base.errors import not_implemented
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.finding import api_of, stage_of
from cumulo.services.apigateway.model import Api, Stage
from cumulo.services.apigateway.publishing import definition_of
from cumulo.services.apigateway.records import Records
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

if TYPE_CHECKING:  # as in imports.py
    from cumulo.gateway.openapi.rest.writing import RestExport

_TYPES: Final = ("oas30", "swagger")
_EXTENSIONS: Final = frozenset(
    {"apigateway", "authorizers", "documentation", "gatewayresponses", "integrations", "validators"}
)


class Exports:
    """The operations that write documents."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {"GetExport": Operation(self.get_export, note="Postman's extensions are refused")}

    async def get_export(self, caller: Caller, values: Values) -> Values | None:
        """GetExport: the API of a stage's deployment."""
        from cumulo.gateway.openapi.rest.writing import write_rest
        from cumulo.gateway.openapi.texts import write

        kind = values["exportType"]
        if kind not in _TYPES:
            raise refusals.bad_request(f"No API exporter for type '{kind}'")
        yaml = _is_yaml(values.get("accepts") or "application/json")
        api = api_of(self._records, caller, values)
        stage = stage_of(self._records, caller, values)
        deployment = self._records.deployments.get(join_key(stage.api, stage.deployment_id))
        if deployment is None:
            raise refusals.unknown("Deployment")
        export = self._export(caller, api, stage, values)
        document = write_rest(definition_of(deployment), export)
        ending = "yaml" if yaml else "json"
        return {
            "contentType": "application/octet-stream",
            "contentDisposition": f'attachment; filename="{kind}_{_plain(export.version)}.{ending}"',
            "body": await asyncio.to_thread(write, document, yaml=yaml),  # seconds for the largest in YAML
        }

    def _export(self, caller: Caller, api: Api, stage: Stage, values: Values) -> "RestExport":
        from cumulo.gateway.openapi.rest.writing import RestExport

        return RestExport(
            three=values["exportType"] == "oas30",
            url=f"{_host(caller, api.id)}/{stage.name}",
            description=api.description or "",
            version=api.version or _time(api.created_at),
            security_policy=api.security_policy,
            endpoint_access_mode=api.endpoint_access_mode,
            vpc_endpoint_ids=api.vpc_endpoint_ids,
            tags=api.tags,
            documentation=self._documentation(stage),
            extensions=_extensions(values.get("parameters", {})),
        )

    def _documentation(self, stage: Stage) -> Mapping[str, Any] | None:
        """The documentation version that the stage names."""
        from cumulo.gateway.openapi.documentation import Part, write_documentation

        version = self._records.documentation_versions.get(join_key(stage.api, stage.documentation_version))
        if not stage.documentation_version or version is None:
            return None
        parts = [
            Part(
                type=one.type,
                properties=one.properties,
                path=one.path,
                method=one.method,
                status_code=one.status_code,
                name=one.name,
            )
            for one in version.parts
        ]
        return write_documentation(parts, version.version, _time(version.created_at))


def _extensions(parameters: Mapping[str, str]) -> frozenset[str]:
    wanted = frozenset(one.strip() for one in parameters.get("extensions", "").split(",") if one.strip())
    if "postman" in wanted or "postman" in parameters:
        raise not_implemented("apigateway", "GetExport", "Postman's extensions")
    if wanted - _EXTENSIONS:
        raise refusals.bad_request(
            f"Invalid extensions specified. Valid options are {','.join(sorted(_EXTENSIONS))}"
        )
    return wanted


def _is_yaml(accepts: str) -> bool:
    """Whether the document shall be YAML.  BadRequestException for what it cannot be."""
    types = [one.partition(";")[0].strip().lower() for one in accepts.split(",")]
    for one in types:
        if one in ("application/yaml", "application/x-yaml", "text/yaml"):
            return True
        if one in ("application/json", "application/*", "*/*"):
            return False
    raise refusals.bad_request(f"Unsupported Accept header specified: {accepts[:200]}")


def _host(caller: Caller, api_id: str) -> str:
    """Where clients on this machine reach an API: a name below .localhost, at the port that the caller used."""
    parts = urlsplit(caller.endpoint)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme or 'https'}://{api_id}.execute-api.localhost{port}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(text: str) -> str:
    """A text that may stand in a header's quotes."""
    return "".join(one if one.isascii() and (one.isalnum() or one in ".:-_+ ") else "_" for one in text)[:200]
