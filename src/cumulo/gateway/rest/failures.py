"""Refusals that say more than their kind: a status of their own, and why, for the execution log."""

from cumulo.gateway.visit import Refused


class Failed(Refused):
    """The gateway gives up on a request.

    status  in place of the kind's (502 for what an integration got wrong); 0: the kind's
    log     why, for the execution log alone: clients do not get to see it
    """

    def __init__(self, kind: str, message: str | None = None, *, status: int = 0, log: str = "") -> None:
        super().__init__(kind, message)
        self.status = status
        self.log = log


def misconfigured(why: str) -> Failed:
    """The API itself is wrong: 500, Internal server error."""
    return Failed("API_CONFIGURATION_ERROR", log=f"Execution failed due to configuration error: {why}")


def malformed(why: str) -> Failed:
    """An integration answered what cannot be understood: 502, Internal server error."""
    return Failed("DEFAULT_5XX", status=502, log=f"Execution failed due to configuration error: {why}")
