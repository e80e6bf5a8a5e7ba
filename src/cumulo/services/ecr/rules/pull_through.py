"""Pull through cache rules: which repositories are caches, and of what."""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.pages import page
from cumulo.base.ports import Secrets
from cumulo.engines.images import Login
from cumulo.services.ecr.rules import upstreams
from cumulo.services.ecr.rules.model import PAGE_DEFAULT, ROOT, CacheRule, own_registry, unfit
from cumulo.services.ecr.rules.plan import Upstream, upstream_of
from cumulo.services.ecr.views import moment
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Values

RULES_MAX = 50
_SECRET_ERRORS = {
    "ResourceNotFoundException": ("SecretNotFoundException", "The ARN of the secret was not found"),
    "DecryptionFailure": ("UnableToDecryptSecretValueException", "The secret could not be decrypted"),
}

Probe = Callable[[CacheRule], Awaitable[str]]
"""Asks an upstream whether it lets us in; why not, in a sentence, or the empty text."""


class _Secret(msgspec.Struct, frozen=True, rename="camel"):
    """What AWS wants to find in a secret for an upstream."""

    username: str
    access_token: str


class PullThroughRules:
    """The operations on cache rules.  `local`: whether a registry on this machine may be an upstream."""

    def __init__(self, store: Store, clock: Clock, secrets: Secrets, *, local: bool) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets
        self._local = local
        self._table = store.table("ecr_cache_rules", CacheRule)
        self.probe: Probe | None = None  # given by the cache, which can ask upstreams

    def upstream(self, account: str, region: str, name: str) -> Upstream | None:
        """What a repository is a cache of, if of anything."""
        if not len(self._table):
            return None
        found = upstream_of(self._table.scan(join_key(account, region, "")), name)
        if found is not None and not self._local and upstreams.is_local(found.rule.upstream_url):
            return None  # the rule is from a time when it was allowed
        return found

    async def login(self, rule: CacheRule) -> Login | None:
        """User and password for an upstream.  AwsError when the secret cannot be had or is not one."""
        if not rule.credential_arn:
            return None
        try:
            text = await self._secrets.secret(rule.account, rule.region, rule.credential_arn)
        except AwsError as error:
            code, sentence = _SECRET_ERRORS.get(
                error.code, ("UnableToAccessSecretException", "The secret could not be read")
            )
            raise AwsError(code, f"{sentence}: {rule.credential_arn}") from error
        try:
            secret = msgspec.json.decode(text, type=_Secret)
        except msgspec.DecodeError:
            raise AwsError(
                "UnableToAccessSecretException",
                "The secret must be a JSON object with the members username and accessToken",
            ) from None
        return Login(secret.username, secret.access_token)

    # -- operations --------------------------------------------------------------------------------------

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreatePullThroughCacheRule."""
        own_registry(caller.account, values.get("registryId"))
        now = self._clock.now()
        url = values["upstreamRegistryUrl"].removeprefix("https://").removesuffix("/")
        if upstreams.is_local(url.removeprefix("http://")):
            url = url.removeprefix("http://")
        rule = CacheRule(
            account=caller.account,
            region=caller.region,
            prefix=values["ecrRepositoryPrefix"].removesuffix("/"),
            upstream_url=url,
            upstream=values.get("upstreamRegistry", "") or upstreams.kind_of(url, local=self._local).name,
            credential_arn=values.get("credentialArn", ""),
            role_arn=values.get("customRoleArn", ""),
            upstream_prefix=values.get("upstreamRepositoryPrefix", "").removesuffix("/"),
            created_at=now,
            updated_at=now,
        )
        upstreams.kind_of(url, local=self._local)
        upstreams.check(rule)
        if rule.prefix == ROOT and rule.upstream_prefix not in ("", ROOT):
            raise unfit(
                "upstreamRepositoryPrefix", "The upstream prefix must be ROOT when the ECR prefix is ROOT"
            )
        if self._table.get(rule.key) is not None:
            raise AwsError(
                "PullThroughCacheRuleAlreadyExistsException",
                f"A pull through cache rule with prefix '{rule.prefix}' already exists"
                f" in the registry with id '{caller.account}'",
            )
        if len(self._table.items(join_key(caller.account, caller.region, ""))) >= RULES_MAX:
            raise AwsError(
                "LimitExceededException", f"A registry can have at most {RULES_MAX} pull through cache rules"
            )
        await self.login(rule)
        await self._put(rule)
        return _shown(rule, "createdAt", "upstreamRegistry", "upstreamRegistryUrl")

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdatePullThroughCacheRule: other credentials, or another role."""
        rule = self._named(caller, values)
        if "credentialArn" not in values and "customRoleArn" not in values:
            raise unfit("credentialArn", "Either credentialArn or customRoleArn must be given")
        rule = replace(
            rule,
            credential_arn=values.get("credentialArn", rule.credential_arn),
            role_arn=values.get("customRoleArn", rule.role_arn),
            updated_at=self._clock.now(),
        )
        upstreams.check(rule)
        await self.login(rule)
        await self._put(rule)
        return _shown(rule, "updatedAt")

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeletePullThroughCacheRule: what was cached stays."""
        rule = self._named(caller, values)
        self._table.delete(rule.key)
        await self._store.commit()
        return _shown(rule, "createdAt", "upstreamRegistryUrl")

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribePullThroughCacheRules."""
        own_registry(caller.account, values.get("registryId"))
        prefixes = values.get("ecrRepositoryPrefixes")
        if prefixes is None:
            found = self._table.scan(join_key(caller.account, caller.region, ""))
        else:
            wanted = sorted({prefix.removesuffix("/") for prefix in prefixes})
            found = [self._named(caller, {"ecrRepositoryPrefix": prefix}) for prefix in wanted]
        shown, marker = page(
            found,
            lambda rule: rule.prefix,
            marker=values.get("nextToken"),
            size=values.get("maxResults", PAGE_DEFAULT),
            error="InvalidParameterException",
        )
        members = ("createdAt", "updatedAt", "upstreamRegistry", "upstreamRegistryUrl")
        return {"pullThroughCacheRules": [_shown(rule, *members) for rule in shown], "nextToken": marker}

    async def validate(self, caller: Caller, values: Values) -> Values | None:
        """ValidatePullThroughCacheRule: really asks the upstream."""
        rule = self._named(caller, values)
        assert self.probe is not None, "the cache gives it"
        if not self._local and upstreams.is_local(rule.upstream_url):
            failure = "A registry on this machine cannot be an upstream in shared mode"
        else:
            failure = await self.probe(rule)
        return {
            **_shown(rule, "upstreamRegistryUrl"),
            "isValid": not failure,
            "failure": failure or None,
        }

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()

    def _named(self, caller: Caller, values: Values) -> CacheRule:
        own_registry(caller.account, values.get("registryId"))
        prefix = values["ecrRepositoryPrefix"].removesuffix("/")
        found = self._table.get(join_key(caller.account, caller.region, prefix))
        if found is None:
            raise AwsError(
                "PullThroughCacheRuleNotFoundException",
                f"The pull through cache rule with prefix '{prefix}' does not exist"
                f" in the registry with id '{caller.account}'",
            )
        return found

    async def _put(self, rule: CacheRule) -> None:
        self._table.put(rule.key, rule)
        await self._store.commit()


def _shown(rule: CacheRule, *more: str) -> Values:
    further = {
        "createdAt": moment(rule.created_at),
        "updatedAt": moment(rule.updated_at),
        "upstreamRegistry": rule.upstream or None,
        "upstreamRegistryUrl": rule.upstream_url,
    }
    return {
        "ecrRepositoryPrefix": rule.prefix,
        "registryId": rule.account,
        "credentialArn": rule.credential_arn or None,
        "customRoleArn": rule.role_arn or None,
        "upstreamRepositoryPrefix": rule.upstream_prefix or None,
        **{name: further[name] for name in more},
    }
