"""Reads parameters of Systems Manager through the companions, wherever it lives."""

from cumulo.base.arn import parse_arn
from cumulo.companions.calls import call_json
from cumulo.companions.companions import Companions


class ParameterReader:
    """The Parameters of the house."""

    def __init__(self, companions: Companions) -> None:
        self._companions = companions

    async def parameter(self, account: str, region: str, name: str) -> str:
        """The decrypted value of a parameter (name or ARN).  AwsError as Systems Manager says it."""
        arn = parse_arn(name)
        if arn is not None and arn.service == "ssm":
            # parameter/a/b is the parameter /a/b, and parameter/a is the parameter a: AWS knows it by either.
            plain = arn.resource.removeprefix("parameter")
            name = plain if plain.count("/") > 1 else plain.removeprefix("/")
            region = arn.region or region
        found = await call_json(
            self._companions,
            "ssm",
            "AmazonSSM.GetParameter",
            account=account,
            region=region,
            values={"Name": name, "WithDecryption": True},
        )
        return str(found.get("Parameter", {}).get("Value", ""))
