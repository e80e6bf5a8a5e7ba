"""Where the output of containers may go.  Pure."""

from collections.abc import Sequence

from cumulo.services.ecs.model import Document
from cumulo.services.ecs.refusals import client

_NEEDED = {"awslogs": ("awslogs-group", "awslogs-region"), "splunk": ("splunk-token", "splunk-url")}


def check_logs(containers: Sequence[Document]) -> None:
    """Every log configuration has what its driver needs; FireLens has a router, and the router somebody to route."""
    routed = [one for one in containers if _driver(one) == "awsfirelens"]
    routers = [one for one in containers if "firelensConfiguration" in one]
    if routed and not routers:
        raise client(
            "When awsfirelens log driver is specified in log configuration, "
            "a firelens configuration object must be specified."
        )
    if routers and not routed:
        raise client(
            "When a firelensConfiguration object is specified, at least one container has to be configured "
            "with the awsfirelens log driver."
        )
    if len(routers) > 1:
        raise client("Only one container can have a firelensConfiguration object.")
    for container in containers:
        _check_options(container)


def _driver(container: Document) -> str:
    return str(container.get("logConfiguration", {}).get("logDriver", ""))


def _check_options(container: Document) -> None:
    logging = container.get("logConfiguration")
    if logging is None:
        return
    driver, options = logging["logDriver"], logging.get("options", {})
    secret = {one["name"] for one in logging.get("secretOptions", ())}
    missing = [name for name in _NEEDED.get(driver, ()) if not options.get(name) and name not in secret]
    if missing:
        raise client(f"Log driver {driver} requires options: {', '.join(missing)}")
    mode = options.get("mode")
    if mode is not None and mode not in ("blocking", "non-blocking"):
        raise client(f"Invalid log driver option 'mode': {mode}. Must be one of [blocking,non-blocking]")
