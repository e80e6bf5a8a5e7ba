"""Account settings: what a principal, or everybody in an account, has chosen for new things in a region."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from cumulo.base.arn import partition_of
from cumulo.base.caller import Caller
from cumulo.services.ecs.listing import one_page
from cumulo.services.ecs.refusals import invalid
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Coverage, Operation, Values

PAGE_MAX = 10
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):(root|(user|role)/[\w+=,.@/-]{1,512})", re.ASCII)
_SWITCH = ("enabled", "disabled")
_LONG_ARNS = ("serviceLongArnFormat", "taskLongArnFormat", "containerInstanceLongArnFormat")
_MANAGED = "guardDutyActivate"  # by AWS itself
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(_LONG_ARNS, ("enabled",)),
        "awsvpcTrunking": ("disabled", "enabled"),
        "containerInsights": ("disabled", "enabled", "enhanced"),
        "dualStackIPv6": ("disabled", "enabled"),
        "fargateFIPSMode": ("disabled", "enabled"),
        "tagResourceAuthorization": ("on", "off"),
        "fargateTaskRetirementWaitPeriod": ("7", "0", "14"),
        _MANAGED: ("off",),
        "defaultLogDriverMode": ("non-blocking", "blocking"),
        "fargateEventWindows": ("disabled", "enabled"),
    }
)
"""What each setting may be; the first is what it is when nobody has chosen."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a principal has chosen; the account's root stands for everybody."""

    account: str
    region: str
    principal: str
    name: str
    value: str


class AccountSettings:
    """The operations.  `principal_of` gives the ARN of who holds an access key; empty when it is not known."""

    def __init__(self, store: Store, principal_of: Callable[[str], str]) -> None:
        self._store = store
        self._principal_of = principal_of
        self._table = store.table("ecs_account_settings", Setting)

    def operations(self) -> Mapping[str, Operation]:
        """By AWS's names."""
        stored, note = Coverage.STORED, "containerInsights is what new clusters get"
        return {
            "PutAccountSetting": Operation(self.put, stored, note),
            "PutAccountSettingDefault": Operation(self.put_default, stored, note),
            "DeleteAccountSetting": Operation(self.delete, stored),
            "ListAccountSettings": Operation(self.list_),
        }

    def effective(self, caller: Caller, name: str) -> str:
        """What a setting is for a caller."""
        return self._effective(caller, self._own(caller), name)

    async def put(self, caller: Caller, values: Values) -> Values | None:
        """PutAccountSetting: for one principal; the caller, when nobody is named."""
        return await self._put(caller, self._principal(caller, values), values)

    async def put_default(self, caller: Caller, values: Values) -> Values | None:
        """PutAccountSettingDefault: for everybody who has not chosen."""
        return await self._put(caller, _root(caller), values)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteAccountSetting."""
        principal, name = self._principal(caller, values), values["name"]
        _known(name)
        self._table.delete(_key(caller, principal, name))
        await self._store.commit()
        return {"setting": _view(principal, name, self._effective(caller, principal, name))}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListAccountSettings: what was chosen, or with `effectiveSettings` all that holds."""
        principal = self._principal(caller, values)
        wanted, value = values.get("name"), values.get("value")
        if wanted is not None:
            _known(wanted)
        if values.get("effectiveSettings"):
            found = {name: self._effective(caller, principal, name) for name in VALUES}
        else:
            chosen = (self._table.get(_key(caller, principal, name)) for name in VALUES)
            found = {one.name: one.value for one in chosen if one is not None}
        shown = [
            _view(principal, name, setting)
            for name, setting in sorted(found.items())
            if wanted in (None, name) and value in (None, setting)
        ]
        taken, token = one_page(shown, lambda one: str(one["name"]), values, most=PAGE_MAX)
        return {"settings": taken, "nextToken": token}

    def clear(self) -> None:
        """Forget every choice."""
        self._table.clear()

    async def _put(self, caller: Caller, principal: str, values: Values) -> Values:
        name, value = values["name"], values["value"]
        _known(name)
        if name == _MANAGED:
            raise invalid(f"'{name}' is managed by AWS and cannot be changed.")
        if name in _LONG_ARNS and value == "disabled":
            raise invalid(f"'{name}' can no longer be disabled: resources have the long ARN format.")
        if value not in VALUES[name]:
            raise invalid("Invalid setting 'value'")
        self._table.put(
            _key(caller, principal, name),
            Setting(
                account=caller.account, region=caller.region, principal=principal, name=name, value=value
            ),
        )
        await self._store.commit()
        return {"setting": _view(principal, name, value)}

    def _effective(self, caller: Caller, principal: str, name: str) -> str:
        for who in (principal, _root(caller)):
            chosen = self._table.get(_key(caller, who, name))
            if chosen is not None:
                return chosen.value
        return VALUES[name][0]

    def _principal(self, caller: Caller, values: Values) -> str:
        """Whom a request is about: the caller, when nobody is named."""
        named = values.get("principalArn")
        if not named:
            return self._own(caller)
        found = _PRINCIPAL.fullmatch(named)
        if found is None or found[1] != caller.account:
            raise invalid("Invalid principal arn")
        return str(named)

    def _own(self, caller: Caller) -> str:
        return self._principal_of(caller.access_key) or _root(caller)


def _root(caller: Caller) -> str:
    return f"arn:{partition_of(caller.region)}:iam::{caller.account}:root"


def _key(caller: Caller, principal: str, name: str) -> str:
    return join_key(caller.account, caller.region, principal, name)


def _known(name: str) -> None:
    if name not in VALUES:
        raise invalid(f"unknown should be one of [{','.join(VALUES)}]")


def _view(principal: str, name: str, value: str) -> Values:
    kind = "aws_managed" if name == _MANAGED else "user"
    return {"name": name, "value": value, "principalArn": principal, "type": kind}
