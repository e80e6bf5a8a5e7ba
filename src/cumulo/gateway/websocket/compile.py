"""Makes a stage of a WebSocket API ready to answer."""

from cumulo.gateway.definitions.v2 import V2Definition, V2Stage
from cumulo.gateway.stages import Place
from cumulo.gateway.tools import Tools
from cumulo.gateway.websocket.connections import Connections
from cumulo.gateway.websocket.stage import CompiledWebSocket


def compile_websocket(
    definition: V2Definition, stage: V2Stage, tools: Tools, connections: Connections
) -> CompiledWebSocket:
    """The stage.  Wrong templates, mappings and targets show when a message comes to them, as on AWS."""
    place = Place(
        account=definition.account,
        region=definition.region,
        api_id=definition.api_id,
        stage=stage.stage_name,
        kind="WEBSOCKET",
        api_name=definition.name,
        disable_execute_api_endpoint=definition.disable_execute_api_endpoint,
    )
    return CompiledWebSocket(place, definition, stage, tools, connections)
