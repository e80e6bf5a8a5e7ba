"""What holds for all REST APIs of an account in a region."""

import re
from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.finding import owner_of
from cumulo.services.apigateway.model import Account
from cumulo.services.apigateway.patches import Field, Patch, Table
from cumulo.services.apigateway.quotas import ACCOUNT_BURST, ACCOUNT_RATE
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.wire.service import Operation, Values

_ROLE: Final = re.compile(r"role/.+")
_PERMISSIONS: Final = (
    "The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add the "
    "required role policy."
)


class AccountSettings:
    """The operations on an account."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "GetAccount": Operation(self.get),
            "UpdateAccount": Operation(self.update, note="what the role may do is not looked at"),
        }

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetAccount."""
        del values
        return _view(self._account(caller))

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateAccount."""
        account = _PATCHES.apply(self._account(caller), values.get("patchOperations"))
        self._records.accounts.put(account)
        await self._records.store.commit()
        return _view(account)

    def _account(self, caller: Caller) -> Account:
        found = self._records.accounts.get(owner_of(caller))
        return found or Account(account=caller.account, region=caller.region)


def _view(account: Account) -> Values:
    return {
        **filled(cloudwatchRoleArn=account.cloudwatch_role_arn),
        "throttleSettings": {"burstLimit": ACCOUNT_BURST, "rateLimit": ACCOUNT_RATE},
        "features": ["UsagePlans"],
        "apiKeyVersion": "4",
    }


def _change_role(account: Account, patch: Patch) -> Account:
    text = "" if patch.op == "remove" else patch.text
    arn = parse_arn(text) if text else None
    if text and arn is None:
        raise refusals.bad_request(f"Invalid ARN. ARN is not well formed {text}")
    if arn is not None and (arn.service != "iam" or not _ROLE.fullmatch(arn.resource)):
        raise refusals.bad_request(_PERMISSIONS)
    return replace(account, cloudwatch_role_arn=text)


def _change_features(account: Account, patch: Patch) -> Account:
    if patch.text != "UsagePlans":
        raise refusals.bad_request(f"Invalid feature specified: {patch.text}")
    if patch.op == "remove":
        raise refusals.bad_request("Usage Plans cannot be disabled once they are enabled")
    return account


_PATCHES: Table[Account] = Table(
    Field("/cloudwatchRoleArn", ("replace", "remove"), _change_role),
    Field("/features", ("add", "remove"), _change_features),
)
