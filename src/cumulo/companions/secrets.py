"""Reads secrets through the companions, wherever Secrets Manager lives."""

import base64

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.errors import AwsError
from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions


class Wanted(msgspec.Struct, frozen=True):
    """A part of a secret: `secret` is its name or ARN, `key` a member of the JSON in it."""

    secret: str
    region: str
    key: str = ""
    stage: str = ""
    version: str = ""


def wanted(region: str, text: str) -> Wanted:
    """What a name, an ARN, or `<ARN>:<JSON key>:<version stage>:<version id>` asks for."""
    arn = parse_arn(text)
    if arn is None or arn.service != "secretsmanager":
        return Wanted(text, region)
    kind, _, rest = arn.resource.partition(":")
    name, *more = rest.split(":")
    key, stage, version = (*more, "", "", "")[:3]
    whole = f"arn:{arn.partition}:{arn.service}:{arn.region}:{arn.account}:{kind}:{name}"
    return Wanted(whole, arn.region or region, key, stage, version)


class SecretReader:
    """The Secrets of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def secret(self, account: str, region: str, secret: str) -> str:
        """The text of a secret (name or ARN, with ECS's suffix for a part of it).  AwsError as Secrets Manager says it."""
        asked = wanted(region, secret)
        values = {
            "SecretId": asked.secret,
            "VersionStage": asked.stage or None,
            "VersionId": asked.version or None,
        }
        found = await call_json(
            self._companions,
            "secretsmanager",
            "secretsmanager.GetSecretValue",
            account=account,
            region=asked.region,
            values={name: value for name, value in values.items() if value},
        )
        if isinstance(found.get("SecretString"), str):
            text = str(found["SecretString"])
        else:
            text = base64.b64decode(found.get("SecretBinary", "")).decode(errors="replace")
        return member(text, asked.key) if asked.key else text


def member(text: str, key: str) -> str:
    """A member of the JSON in a secret, as text.  AwsError."""
    try:
        said = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise AwsError("InvalidParameterException", f"the secret is not JSON: {error}") from error
    if not isinstance(said, dict) or key not in said:
        raise AwsError(
            "ResourceNotFoundException",
            f"retrieved secret from Secrets Manager did not contain json key {key}",
        )
    value = said[key]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
