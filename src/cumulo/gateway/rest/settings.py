"""What a stage says of one of its methods."""

from cumulo.gateway.definitions.rest import MethodSetting, RestStage

_NOTHING = MethodSetting()


def setting_of(stage: RestStage, path: str, method: str) -> MethodSetting:
    """The settings of `method` of the resource at `path`: its own, else those of all methods, else AWS's defaults."""
    settings = stage.method_settings
    if not settings:
        return _NOTHING
    escaped = path[1:].replace("/", "~1")
    for key in (f"{escaped}/{method}", f"~1{escaped}/{method}", f"{path[1:]}/{method}", "*/*"):
        found = settings.get(key)
        if found is not None:
            return found
    return _NOTHING
