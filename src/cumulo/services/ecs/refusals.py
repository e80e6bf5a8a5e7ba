"""AWS's sentences for what clients of ECS can get wrong; those that more than one noun says."""

from cumulo.base.errors import AwsError


def invalid(message: str) -> AwsError:
    """A parameter's value cannot be accepted."""
    return AwsError("InvalidParameterException", message)


def client(message: str) -> AwsError:
    """What ECS calls the client's action."""
    return AwsError("ClientException", message)


def no_cluster() -> AwsError:
    """The cluster is not there, or is INACTIVE."""
    return AwsError("ClusterNotFoundException", "Cluster not found.")
