"""The one exception that reaches clients, and the few that every service shares."""

from collections.abc import Mapping
from typing import Any


class AwsError(Exception):
    """An error as AWS answers it.

    `code` is the error's name in the service model (or a common one such as ValidationException).  The wire
    finds the HTTP status and the body's shape in the model by that name; `status` is used when the model does
    not know the code.  `fields` are further members of the error's shape (for instance `Type` or `Reason`).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields: Mapping[str, Any] = fields or {}
        self.headers: Mapping[str, str] = headers or {}


def not_implemented(service: str, operation: str, why: str = "") -> AwsError:
    """Say by name what is not built yet; never a fake success."""
    reason = f": {why}" if why else ""
    return AwsError(
        "NotImplemented", f"{service} {operation} is not implemented by Cumulo{reason}", status=501
    )
