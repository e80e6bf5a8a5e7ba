"""Reads secrets through the companions, wherever Secrets Manager lives."""

import base64

from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions


class SecretReader:
    """The Secrets of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def secret(self, account: str, region: str, secret: str) -> str:
        """The text of a secret (name or ARN).  AwsError as Secrets Manager says it."""
        found = await call_json(
            self._companions,
            "secretsmanager",
            "secretsmanager.GetSecretValue",
            account=account,
            region=region,
            values={"SecretId": secret},
        )
        if isinstance(found.get("SecretString"), str):
            return str(found["SecretString"])
        return base64.b64decode(found.get("SecretBinary", "")).decode(errors="replace")
