"""What a stage says of one of its methods."""

from collections.abc import Iterator

from cumulo.gateway.definitions.rest import MethodSetting, RestStage

_NOTHING = MethodSetting()


def setting_of(stage: RestStage, path: str, method: str) -> MethodSetting:
    """The settings of `method` of the resource at `path`: its own, else those of all methods, else AWS's defaults."""
    own = _own(stage, path, method)
    return own if own is not None else stage.method_settings.get("*/*", _NOTHING)


def caches(stage: RestStage, path: str, method: str) -> frozenset[str] | None:
    """The request methods whose answers a method keeps; None: any (where it says so itself), empty: none."""
    setting = setting_of(stage, path, method)
    if not stage.cache_size or not setting.caching_enabled or setting.cache_ttl_in_seconds <= 0:
        return frozenset()
    return None if _own(stage, path, method) is not None else frozenset({"GET"})


def _own(stage: RestStage, path: str, method: str) -> MethodSetting | None:
    settings = stage.method_settings
    return next((settings[key] for key in _keys(path, method) if key in settings), None) if settings else None


def _keys(path: str, method: str) -> Iterator[str]:
    """The ways in which AWS, and its clients, write a method's key."""
    escaped = path[1:].replace("/", "~1")
    yield f"{escaped}/{method}"
    yield f"~1{escaped}/{method}"
    yield f"{path[1:]}/{method}"
    yield f"{path}/{method}"
