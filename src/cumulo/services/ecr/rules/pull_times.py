"""Principals whose pulls do not count for an image's last recorded pull time."""

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.pages import page
from cumulo.services.ecr.rules.model import PAGE_DEFAULT, Exclusion
from cumulo.services.ecr.views import moment
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Values

EXCLUSIONS_MAX = 100


class PullTimes:
    """The operations on pull time update exclusions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._table = store.table("ecr_pull_time_exclusions", Exclusion)

    def excluded(self, account: str, region: str, principal: str) -> bool:
        """Whether a principal's pulls leave pull times alone.  A session counts as its role."""
        if not len(self._table):
            return False
        return self._table.get(join_key(account, region, _role_of(principal))) is not None

    async def register(self, caller: Caller, values: Values) -> Values | None:
        """RegisterPullTimeUpdateExclusion."""
        principal = values["principalArn"]
        prefix = join_key(caller.account, caller.region, "")
        if self._table.get(prefix + principal) is not None:
            raise AwsError(
                "ExclusionAlreadyExistsException",
                f"The pull time update exclusion for '{principal}' already exists"
                f" in the registry with id '{caller.account}'",
            )
        if len(self._table.items(prefix)) >= EXCLUSIONS_MAX:
            raise AwsError(
                "LimitExceededException",
                f"A registry can have at most {EXCLUSIONS_MAX} pull time update exclusions",
            )
        made = Exclusion(principal=principal, created_at=self._clock.now())
        self._table.put(prefix + principal, made)
        await self._store.commit()
        return {"principalArn": principal, "createdAt": moment(made.created_at)}

    async def deregister(self, caller: Caller, values: Values) -> Values | None:
        """DeregisterPullTimeUpdateExclusion."""
        principal = values["principalArn"]
        key = join_key(caller.account, caller.region, principal)
        if self._table.get(key) is None:
            raise AwsError(
                "ExclusionNotFoundException",
                f"The pull time update exclusion for '{principal}' does not exist"
                f" in the registry with id '{caller.account}'",
            )
        self._table.delete(key)
        await self._store.commit()
        return {"principalArn": principal}

    async def list_(self, caller: Caller, values: Values) -> Values | None:
        """ListPullTimeUpdateExclusions."""
        found, marker = page(
            self._table.scan(join_key(caller.account, caller.region, "")),
            lambda exclusion: exclusion.principal,
            marker=values.get("nextToken"),
            size=min(values.get("maxResults", PAGE_DEFAULT), PAGE_DEFAULT),
            error="InvalidParameterException",
        )
        return {"pullTimeUpdateExclusions": [e.principal for e in found], "nextToken": marker}

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()


def _role_of(principal: str) -> str:
    """arn:aws:sts::1:assumed-role/name/session as arn:aws:iam::1:role/name; anything else as it is."""
    head, found, rest = principal.partition(":assumed-role/")
    if not found:
        return principal
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"
