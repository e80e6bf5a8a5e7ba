"""AWS's sentences for what clients of the control plane can get wrong."""

from cumulo.base.errors import AwsError

_USER = {"Type": "User"}
UNQUALIFIED_ONLY = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this"
    " operation. Please specify either a function name or an unqualified function ARN."
)
BAD_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
EMPTY_ZIP = "Uploaded file must be a non-empty zip"
NO_CODE_SIGNING = "Code signing is not supported for functions created with container images."
STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to"
    " retrieve the latest Revision Id"
)


def invalid(message: str) -> AwsError:
    """A parameter's value cannot be accepted."""
    return AwsError("InvalidParameterValueException", message, status=400, fields=_USER)


def broken_constraint(value: object, member: str, constraint: str) -> AwsError:
    """The sentence of the model's validation, for bounds that are narrower than the model's."""
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
        status=400,
    )


def conflict(message: str) -> AwsError:
    """The resource is not in a state, or already there."""
    return AwsError("ResourceConflictException", message, status=409, fields=_USER)


def not_found(message: str) -> AwsError:
    """There is no such resource."""
    return AwsError("ResourceNotFoundException", message, status=404, fields=_USER)


def function_not_found(arn: str) -> AwsError:
    """There is no such function or version."""
    return not_found(f"Function not found: {arn}")


def alias_not_found(arn: str) -> AwsError:
    """There is no such alias."""
    return not_found(f"Cannot find alias arn: {arn}")


def nothing_there() -> AwsError:
    """There is no such thing belonging to the function."""
    return not_found("The resource you requested does not exist.")


def already_exists(name: str) -> AwsError:
    """CreateFunction for a name that is taken."""
    return conflict(f"Function already exist: {name}")


def update_in_progress(arn: str) -> AwsError:
    """An update while another is not finished."""
    return conflict(
        "The operation cannot be performed at this time."
        f" An update is in progress for resource: {arn}"
    )  # fmt: skip


def not_in_state(state: str, reason: str = "") -> AwsError:
    """A call or an update of what is Pending or Failed."""
    tail = f". {reason}" if reason else ""
    return conflict(
        "The operation cannot be performed at this time."
        f" The function is currently in the following state: {state}{tail}"
    )


def stale_revision() -> AwsError:
    """RevisionId is not the latest."""
    return AwsError("PreconditionFailedException", STALE_REVISION, status=412, fields=_USER)


def too_large(message: str) -> AwsError:
    """The request holds too much."""
    return AwsError("RequestEntityTooLargeException", message, status=413, fields=_USER)


def access_denied(account: str, operation: str, arn: str) -> AwsError:
    """Another account's function."""
    return AwsError(
        "AccessDeniedException",
        f"User: arn:aws:iam::{account}:root is not authorized to perform: lambda:{operation} on resource: {arn}"
        f" because no resource-based policy allows the lambda:{operation} action",
        status=403,
    )
