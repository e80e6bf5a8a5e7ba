"""What AWS says of custom domain names that cannot be; both versions of the API share the sentences."""

from cumulo.base.errors import AwsError


def bad(message: str) -> AwsError:
    """The request cannot be right."""
    return AwsError("BadRequestException", message)


def unknown_domain() -> AwsError:
    """There is no such domain name."""
    return AwsError("NotFoundException", "Invalid domain name identifier specified", status=404)


def domain_exists(code: str) -> AwsError:
    """There is such a domain name already."""
    status = 409 if code == "ConflictException" else 400
    return AwsError(code, "The domain name you provided already exists.", status=status)


def path_exists(message: str) -> AwsError:
    """There is such a mapping already."""
    return AwsError("ConflictException", message, status=409)


def mixed_kinds() -> AwsError:
    """The first version maps REST APIs alone."""
    return bad(
        "Mixing of REST APIs and HTTP APIs on the same domain name can only be accomplished through API Gateway's V2 "
        "DomainName interface. Currently, WebSocket APIs can only be attached to a domain name with other WebSocket "
        "APIs. This must also occur through API Gateway's V2 DomainName interface."
    )


def only_websockets() -> AwsError:
    """WebSocket APIs share their domain name with nobody else."""
    return bad("Currently, WebSocket APIs can only be attached to a domain name with other WebSocket APIs.")


def only_modern() -> AwsError:
    """The second version knows regional domain names and TLS 1.2."""
    return bad(
        "Only REGIONAL domain names with a security policy of TLS 1.2 can be managed through the API Gateway V2 API. "
        "For TLS 1.0 domain names, please use the API Gateway V1 API to upgrade your security policy to TLS 1.2. "
        "Currently, only REST APIs can be attached to a domain name with a security policy of TLS 1.0."
    )


def conflict() -> AwsError:
    """Somebody else changed it meanwhile."""
    return AwsError(
        "ConflictException",
        "Unable to complete operation due to concurrent modification. Please try again later.",
        status=409,
    )


def no_certificate(owner: str, account: str) -> AwsError:
    """There is no such certificate, or not in this account."""
    if owner and owner != account:
        return bad("The certificate provided must be owned by the account creating the domain.")
    return bad("The provided certificate does not exist.")


def too_many(what: str, where: str, code: str) -> AwsError:
    """A limit of AWS's is reached."""
    return AwsError(
        code,
        f"Maximum number of {what} for this {where} has been reached. Please contact AWS if you need additional {what}.",
        status=429,
    )
