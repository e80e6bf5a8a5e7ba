"""Why the head of a queue cannot start, in AWS's words.

https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
"""

from collections.abc import Sequence
from typing import Final

from cumulo.services.batch.scheduling.environments import EnvironmentState, Outlook
from cumulo.services.batch.scheduling.facts import Need
from cumulo.services.batch.scheduling.launching import CAPACITY

MAX_RESOURCE: Final = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet"
    " the CPU requirement of the job."
)
JOB_RESOURCE: Final = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher"
    " than that can be met by the CE(s) attached to the job queue."
)
INVALID: Final = "ACTION_REQUIRED - CE(s) associated with the job queue are invalid."

HOPEFUL: Final = (Outlook.LAUNCH, Outlook.ROOM, Outlook.MAXIMUM)


def reason_of(
    need: Need, all_invalid: bool, outlooks: Sequence[tuple[EnvironmentState, Outlook]], now: float
) -> str:
    """Why a job cannot start; empty: it only has to wait (or all its environments are disabled)."""
    if all_invalid:
        return INVALID
    found = [outlook for _, outlook in outlooks]
    if not found or any(outlook in (Outlook.ROOM, Outlook.MAXIMUM) for outlook in found):
        return ""
    possible = [one for one, outlook in outlooks if outlook not in (Outlook.TOO_LARGE, Outlook.NO_KIND)]
    if not possible:
        return MAX_RESOURCE if all(outlook is Outlook.TOO_LARGE for outlook in found) else JOB_RESOURCE
    failing = [one.launching.failing(need, now) for one in possible]
    # A type that failed counts as failing until an instance of it was launched: the reason does not come and go.
    if all(failing) and not any(one.rooms.could_hold(need) >= need.nodes for one in possible):
        first = failing[0]
        assert first is not None
        return _capacity(*first)
    return ""


def _capacity(kind: str, reason: str) -> str:
    if " - " in reason:
        return reason
    if not reason.startswith(CAPACITY):
        return f"{reason or CAPACITY} - Service cannot launch instances of type [{kind}]"
    return f"{CAPACITY} - Service cannot fulfill the capacity requested for instance type [{kind}]"
