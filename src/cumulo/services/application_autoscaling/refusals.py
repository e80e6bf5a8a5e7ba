"""AWS's sentences for what clients of Application Auto Scaling can get wrong."""

from cumulo.base.errors import AwsError
from cumulo.services.application_autoscaling.model import Subject


def invalid(message: str) -> AwsError:
    """A parameter's value cannot be accepted."""
    return AwsError("ValidationException", message)


def _named(subject: Subject) -> str:
    return (
        f"service namespace: {subject.namespace}, resource ID: {subject.resource}, "
        f"scalable dimension: {subject.dimension}"
    )


def not_registered(subject: Subject) -> AwsError:
    """Something is asked for a target that nobody registered."""
    return AwsError("ObjectNotFoundException", f"No scalable target registered for {_named(subject)}")


def no_target(subject: Subject) -> AwsError:
    """There is no such target to deregister."""
    return AwsError("ObjectNotFoundException", f"No scalable target found for {_named(subject)}")


def no_policy(subject: Subject, name: str) -> AwsError:
    """There is no such policy."""
    return AwsError(
        "ObjectNotFoundException", f"No scaling policy found for {_named(subject)}, policy name: {name}"
    )


def no_action(subject: Subject, name: str) -> AwsError:
    """There is no such scheduled action."""
    return AwsError(
        "ObjectNotFoundException",
        f"No scheduled action found for {_named(subject)}, scheduled action name: {name}",
    )


def no_resource(arn: str) -> AwsError:
    """There is nothing with this ARN to be tagged."""
    return AwsError(
        "ResourceNotFoundException",
        f"Unable to find any scalable targets matching: {arn}",
        fields={"ResourceName": arn},
    )
