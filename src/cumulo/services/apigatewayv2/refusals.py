"""How API Gateway's second version says no."""

from cumulo.base.errors import AwsError


def bad(message: str) -> AwsError:
    """The request cannot be right."""
    return AwsError("BadRequestException", message)


def missing(what: str, id_: str = "") -> AwsError:
    """There is no such thing: `Route`, `stage`, ... in AWS's spelling; what is named by an id is told of with it."""
    return AwsError("NotFoundException", f"Invalid {what} identifier specified {id_}".rstrip(), status=404)


def missing_api(account: str, api_id: str) -> AwsError:
    """There is no such API in this account and region."""
    return AwsError("NotFoundException", f"Invalid API identifier specified {account}:{api_id}", status=404)


def conflict(message: str) -> AwsError:
    """It does not go together with what is there."""
    return AwsError("ConflictException", message, status=409)


def too_many(what: str) -> AwsError:
    """One more than an API may have; `what` in the plural, in AWS's spelling."""
    return AwsError(
        "TooManyRequestsException",
        f"Maximum number of {what} for this API has been reached. "
        f"Please contact AWS if you need additional {what}.",
        status=429,
        fields={"LimitType": what},
    )


def bad_mapping(*errors: str) -> AwsError:
    """Parameters that are mapped from or to what there is not."""
    return bad(
        f"Invalid mapping expression specified: Validation Result: warnings : [], errors : [{', '.join(errors)}]"
    )
