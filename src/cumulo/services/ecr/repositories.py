"""Repositories: create, describe, delete; how their tags may move, and whether pushes are to be scanned."""

import re
import uuid
from collections.abc import Iterable

from cumulo.base.arn import Arn, partition_of
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.services.ecr import refusals
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.finding import account_of, no_paging, one_page, repository_of
from cumulo.services.ecr.model import Repository, TagFilter
from cumulo.services.ecr.mutability import filters_of
from cumulo.services.ecr.tags import checked_tags
from cumulo.services.ecr.views import filters_view, named, repository_view
from cumulo.wire.service import Values

_KEY_ID = re.compile(r"(mrk-)?[0-9a-f-]{32,36}")


class Repositories:
    """The operations on repositories."""

    def __init__(self, catalog: StoredCatalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateRepository."""
        mutability = values.get("imageTagMutability", "MUTABLE")
        account = account_of(caller, values)
        kind, key = _encryption(values.get("encryptionConfiguration"), account, caller.region)
        repository = Repository(
            account=account,
            region=caller.region,
            name=values["repositoryName"],
            created_at=self._clock.now(),
            mutability=mutability,
            mutability_filters=_filters(mutability, values),
            scan_on_push=bool(values.get("imageScanningConfiguration", {}).get("scanOnPush", False)),
            encryption_type=kind,
            kms_key=key,
            tags=checked_tags(values.get("tags", []), {}),
        )
        return {"repository": repository_view(await self._catalog.create(repository), caller)}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeRepositories."""
        account = account_of(caller, values)
        names = values.get("repositoryNames")
        no_paging(values, "repositoryNames")
        if names:
            found = [self._catalog.repository(account, caller.region, name) for name in dict.fromkeys(names)]
            return {"repositories": [repository_view(one, caller) for one in found]}

        def after(name: str) -> Iterable[Repository]:
            return self._catalog.repositories(account, caller.region, name)

        found, token = await one_page(after, lambda one: one.name, values)
        return {"repositories": [repository_view(one, caller) for one in found], "nextToken": token}

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRepository."""
        repository = repository_of(self._catalog, caller, values)
        await self._catalog.remove(repository, force=bool(values.get("force", False)))
        return {"repository": repository_view(repository, caller)}

    async def put_mutability(self, caller: Caller, values: Values) -> Values | None:
        """PutImageTagMutability."""
        mutability = values["imageTagMutability"]
        filters = _filters(mutability, values)
        repository = repository_of(self._catalog, caller, values)
        repository = await self._catalog.update(repository, mutability=mutability, mutability_filters=filters)
        return named(
            repository,
            imageTagMutability=repository.mutability,
            imageTagMutabilityExclusionFilters=filters_view(repository),
        )

    async def put_scanning(self, caller: Caller, values: Values) -> Values | None:
        """PutImageScanningConfiguration: kept and shown; no scanner acts on it."""
        wanted = bool(values["imageScanningConfiguration"].get("scanOnPush", False))
        repository = repository_of(self._catalog, caller, values)
        repository = await self._catalog.update(repository, scan_on_push=wanted)
        return named(repository, imageScanningConfiguration={"scanOnPush": wanted})


def _filters(mutability: str, values: Values) -> tuple[TagFilter, ...]:
    return filters_of(mutability, values.get("imageTagMutabilityExclusionFilters"))


def _encryption(asked: Values | None, account: str, region: str) -> tuple[str, str]:
    """Kind and key, the key as an ARN, as AWS shows it."""
    if asked is None:
        return "AES256", ""
    kind, key = asked["encryptionType"], asked.get("kmsKey", "")
    if kind == "AES256":
        if key:
            rule = "A KMS key can only be specified when the encryption type is KMS or KMS_DSSE"
            raise refusals.constraint("encryptionConfiguration", rule)
        return kind, ""
    if key.startswith("arn:"):
        return kind, key
    key = key or _own_key(account, region)
    resource = f"key/{key}" if _KEY_ID.fullmatch(key) else key
    return kind, str(Arn("kms", region, account, resource, partition_of(region)))


def _own_key(account: str, region: str) -> str:
    """The id of the key that AWS keeps for ECR in an account: always the same one."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"arn:aws:kms:{region}:{account}:alias/aws/ecr"))
