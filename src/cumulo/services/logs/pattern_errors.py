"""What a malformed filter pattern raises."""

from cumulo.base.errors import AwsError


class InvalidPattern(AwsError):
    """AWS's answer for every malformed filter pattern."""

    def __init__(self, message: str = "Invalid filter pattern") -> None:
        super().__init__("InvalidParameterException", message)
