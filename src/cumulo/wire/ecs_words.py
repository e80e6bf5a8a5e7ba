"""How ECS tells of a value that is none of its choices: it lists them, in words of its own."""

from collections.abc import Mapping

_ENUM = "Member must satisfy enum value set: "
_LAUNCH_TYPES = "[EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]"
CHOICES = "{path} should be one of [{choices}]"
OWN: Mapping[tuple[str, str], str] = {
    (
        "launchType",
        f"{_ENUM}{_LAUNCH_TYPES}",
    ): "launch type should be one of [EC2,FARGATE,EXTERNAL,FMI,MANAGED_INSTANCES]",
    (
        "schedulingStrategy",
        f"{_ENUM}[REPLICA, DAEMON]",
    ): "Scheduling strategy should be one of [REPLICA,DAEMON]",
    ("status", f"{_ENUM}[ACTIVE, DRAINING, REGISTERING, DEREGISTERING, REGISTRATION_FAILED]"): (
        "Container instances status should be one of [ACTIVE,DRAINING]"
    ),
}
"""(member, how the model's sentence ends): AWS's sentence."""


def choices(sentence: str) -> str:
    """The values that a sentence of the model lists, as ECS lists them; empty when it is about something else."""
    _, found, listed = sentence.partition(_ENUM)
    return listed.removeprefix("[").partition("]")[0].replace(", ", ",") if found else ""
