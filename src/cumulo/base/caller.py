"""Who asks, where, and under which request id."""

import msgspec

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """What the door learned about one request before an operation sees it.

    `endpoint` is the scheme and host the client used (http://127.0.0.1:4566), for URLs in answers.
    """

    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    access_key: str = ""
    request_id: str = ""
    endpoint: str = ""
