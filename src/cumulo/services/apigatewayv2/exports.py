"""HTTP APIs as OpenAPI documents: what a stage answers with, or what is being worked on."""

import asyncio
from datetime import UTC, datetime

from cumulo.base.caller import Caller
from cumulo.gateway.definitions.v2 import V2Definition
from cumulo.services.apigatewayv2 import identifiers
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.publishing import decode
from cumulo.services.apigatewayv2.records import DEFAULT_STAGE, Api
from cumulo.services.apigatewayv2.refusals import bad, missing
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values


class Exports:
    """The operations that write documents."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {"ExportApi": Operation(self.export_api)}

    async def export_api(self, caller: Caller, values: Values) -> Values:
        """Write an API as a document."""
        from cumulo.gateway.openapi.http.writing import HttpExport, write_http
        from cumulo.gateway.openapi.texts import write

        api = self._desk.api(caller, values)
        if not api.is_http:
            raise bad("Exporting an API is only supported for HTTP APIs.")
        version = values.get("ExportVersion") or "1.0"
        if version != "1.0":
            raise bad(f"Unsupported export version: {version}. The only supported version is 1.0")
        stage = values.get("StageName") or ""
        path = f"/{stage}" if stage not in ("", DEFAULT_STAGE) else ""
        export = HttpExport(
            url=identifiers.api_endpoint(caller.endpoint, api.id, http=True) + path,
            version=api.version or datetime.fromtimestamp(api.created, UTC).strftime("%Y-%m-%d %H:%M:%SUTC"),
            description=api.description,
            tags=api.tags,
            extensions=values.get("IncludeExtensions") is not False,
        )
        document = write_http(self._definition(api, stage), export)
        yaml = values["OutputType"] == "YAML"
        return {"body": await asyncio.to_thread(write, document, yaml=yaml)}

    def _definition(self, api: Api, stage: str) -> V2Definition:
        """What a stage answers with; of no stage, the working copy.  NotFoundException."""
        if not stage:
            return api.definition
        settings = self._desk.stage(api, stage).settings
        found = self._desk.records.deployments.get(join_key(api.key, settings.deployment_id))
        if found is None:
            raise missing("Deployment")
        return decode(found.snapshot)
