"""AWS's sentences for what clients of Elastic Load Balancing can get wrong; those that more than one noun says."""

from cumulo.base.errors import AwsError


def invalid(message: str) -> AwsError:
    """A parameter's value cannot be accepted."""
    return AwsError("ValidationError", message)


def misconfigured(message: str) -> AwsError:
    """The values do not go together."""
    return AwsError("InvalidConfigurationRequest", message)


def no_balancer() -> AwsError:
    """There is no such load balancer."""
    return AwsError("LoadBalancerNotFound", "One or more load balancers not found")


def no_group() -> AwsError:
    """There is no such target group."""
    return AwsError("TargetGroupNotFound", "One or more target groups not found")


def no_listener() -> AwsError:
    """There is no such listener."""
    return AwsError("ListenerNotFound", "One or more listeners not found")


def no_rule() -> AwsError:
    """There is no such rule."""
    return AwsError("RuleNotFound", "One or more rules not found")


def bad_arn(text: str, kind: str) -> AwsError:
    """The text is no ARN of such a thing in this region."""
    return invalid(f"'{text}' is not a valid {kind} ARN")
