"""The errors of the service, by AWS's names and in its sentences."""

from cumulo.base.errors import AwsError


def bad_request(message: str) -> AwsError:
    """What was asked for cannot be."""
    return AwsError("BadRequestException", message)


def conflict(message: str) -> AwsError:
    """Something is in the way."""
    return AwsError("ConflictException", message, status=409)


def not_found(message: str) -> AwsError:
    """There is no such thing."""
    return AwsError("NotFoundException", message, status=404)


def unknown(thing: str) -> AwsError:
    """NotFoundException in the form that most things share: `Invalid Resource identifier specified`."""
    return not_found(f"Invalid {thing} identifier specified")


def unknown_api(account: str, api_id: str) -> AwsError:
    """There is no such API in this account and region."""
    return not_found(f"Invalid API identifier specified {account}:{api_id}")


def too_many(things: str, where: str = "this API") -> AwsError:
    """A limit of AWS's is reached; `things` in the plural."""
    return AwsError(
        "LimitExceededException",
        f"Maximum number of {things} for {where} has been reached. Please contact AWS if you need additional {things}.",
        status=429,
    )


def busy() -> AwsError:
    """What AWS says where something it relies on is not there (an API that does not exist, of an authorizer)."""
    return conflict("Unable to complete operation due to concurrent modification. Please try again later.")
