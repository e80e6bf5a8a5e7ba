"""One health check of an address, through net's probes."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from cumulo.net.probe import Failure, Probed, probe_http, probe_tcp
from cumulo.net.tls import trusting
from cumulo.services.elbv2.health import FAILED, PASSED, TIMED_OUT, Outcome, answered
from cumulo.services.elbv2.model import HealthCheck

AGENT: Final = "ELB-HealthChecker/2.0"

Probe = Callable[[str, int, HealthCheck], Awaitable[Outcome]]


class Probing:
    """The Probe of the house."""

    def __init__(self) -> None:
        self._tls: ssl.SSLContext = trusting()

    async def __call__(self, address: str, port: int, check: HealthCheck) -> Outcome:
        """Check an address once, within the check's time."""
        if check.protocol == "TCP":
            probed = await probe_tcp(address, port, timeout_seconds=check.timeout)
            return outcome_of(probed, None)
        tls = self._tls if check.protocol == "HTTPS" else None
        probed = await probe_http(
            address, port, check.path, timeout_seconds=check.timeout, agent=AGENT, tls=tls
        )
        return outcome_of(probed, check.codes)


def outcome_of(probed: Probed, codes: str | None) -> Outcome:
    """What a probe means; `codes` None: a connection is enough."""
    if probed.failure is Failure.TIMEOUT:
        return TIMED_OUT
    if probed.failure is not None:
        return FAILED
    return PASSED if codes is None else answered(probed.status, codes)
