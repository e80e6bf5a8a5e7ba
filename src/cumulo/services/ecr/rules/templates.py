"""Repository creation templates: the settings of repositories that come into being by themselves.

A pull through the cache, a replication, or (only with a template) a push into a repository that is not there.
"""

from typing import Any

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.pages import page
from cumulo.services.ecr import lifecycle_rules, policy_text
from cumulo.services.ecr.core import Catalog
from cumulo.services.ecr.model import TAGS_PER_RESOURCE_MAX, Repository, TagFilter
from cumulo.services.ecr.rules.model import PAGE_DEFAULT, Template, unfit
from cumulo.services.ecr.rules.plan import longest
from cumulo.services.ecr.views import moment
from cumulo.state.store import Store, join_key
from cumulo.wire.service import Values

TEMPLATES_MAX = 100
PULL_THROUGH_CACHE, REPLICATION, CREATE_ON_PUSH = "PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH"


class Templates:
    """The operations on creation templates, and `apply`, which makes repositories by them."""

    def __init__(self, store: Store, clock: Clock, catalog: Catalog) -> None:
        self._store = store
        self._clock = clock
        self._catalog = catalog
        self._table = store.table("ecr_templates", Template)

    # -- making repositories -----------------------------------------------------------------------------

    def chosen(self, account: str, region: str, name: str, purpose: str) -> Template | None:
        """The template with the longest prefix for a repository that comes into being for a purpose."""
        mine = self._table.scan(join_key(account, region, ""))
        return longest((template for template in mine if purpose in template.applied_for), name)

    async def apply(self, account: str, region: str, name: str, purpose: str) -> Repository | None:
        """Create a repository by the template that applies; None when none does."""
        template = self.chosen(account, region, name, purpose)
        return None if template is None else await self._create(account, region, name, template)

    async def make(self, account: str, region: str, name: str, purpose: str) -> Repository:
        """Create a repository by the template that applies, or with AWS's defaults."""
        made = await self.apply(account, region, name, purpose)
        return made or await self._create(account, region, name, None)

    async def _create(self, account: str, region: str, name: str, template: Template | None) -> Repository:
        wanted = Repository(account=account, region=region, name=name, created_at=self._clock.now())
        if template is not None:
            wanted = replace(
                wanted,
                mutability=template.mutability,
                mutability_filters=template.mutability_filters,
                encryption_type=template.encryption_type,
                kms_key=template.kms_key,
                tags=template.tags,
                policy=policy_text.pretty(policy_text.read(template.policy)) if template.policy else "",
                lifecycle=lifecycle_rules.normal(template.lifecycle) if template.lifecycle else "",
            )
        try:
            return await self._catalog.create(wanted)
        except AwsError as error:
            found = self._catalog.find(account, region, name)
            if error.code != "RepositoryAlreadyExistsException" or found is None:
                raise
            return found  # somebody else needed it at the same moment

    # -- operations --------------------------------------------------------------------------------------

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateRepositoryCreationTemplate."""
        now = self._clock.now()
        blank = Template(
            account=caller.account,
            region=caller.region,
            prefix=_prefix(values),
            created_at=now,
            updated_at=now,
        )
        if self._table.get(blank.key) is not None:
            raise AwsError(
                "TemplateAlreadyExistsException",
                f"The repository creation template with prefix '{blank.prefix}' already exists"
                f" in the registry with id '{caller.account}'",
            )
        if len(self._table.items(join_key(caller.account, caller.region, ""))) >= TEMPLATES_MAX:
            raise AwsError(
                "LimitExceededException", f"A registry can have at most {TEMPLATES_MAX} creation templates"
            )
        return await self._put(caller, self._changed(blank, values))

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateRepositoryCreationTemplate: what is not named stays."""
        template = self._changed(self._named(caller, _prefix(values)), values)
        return await self._put(caller, replace(template, updated_at=self._clock.now()))

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRepositoryCreationTemplate."""
        template = self._named(caller, _prefix(values))
        self._table.delete(template.key)
        await self._store.commit()
        return {"registryId": caller.account, "repositoryCreationTemplate": _shown(template)}

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeRepositoryCreationTemplates."""
        prefixes = values.get("prefixes")
        if prefixes:
            wanted = {_cut(prefix) for prefix in prefixes}
            found = [self._named(caller, prefix) for prefix in sorted(wanted)]
        else:
            found = self._table.scan(join_key(caller.account, caller.region, ""))
        shown, marker = page(
            found,
            lambda template: template.prefix,
            marker=values.get("nextToken"),
            size=values.get("maxResults", PAGE_DEFAULT),
            error="InvalidParameterException",
        )
        return {
            "registryId": caller.account,
            "repositoryCreationTemplates": [_shown(template) for template in shown],
            "nextToken": marker,
        }

    def clear(self) -> None:
        """Forget all."""
        self._table.clear()

    def _named(self, caller: Caller, prefix: str) -> Template:
        found = self._table.get(join_key(caller.account, caller.region, prefix))
        if found is None:
            raise AwsError(
                "TemplateNotFoundException",
                f"The repository creation template with prefix '{prefix}' does not exist"
                f" in the registry with id '{caller.account}'",
            )
        return found

    async def _put(self, caller: Caller, template: Template) -> Values:
        self._table.put(template.key, template)
        await self._store.commit()
        return {"registryId": caller.account, "repositoryCreationTemplate": _shown(template)}

    def _changed(self, template: Template, values: Values) -> Template:
        """The template with what a request names; AwsError for what cannot be."""
        changes: dict[str, Any] = {}
        for name, member in _PLAIN.items():
            if name in values:
                changes[member] = values[name]
        if "appliedFor" in values:
            changes["applied_for"] = tuple(dict.fromkeys(values["appliedFor"]))
        if "resourceTags" in values:
            changes["tags"] = _tags(values["resourceTags"])
        changes |= _mutability(template, values)
        changes |= _encryption(values)
        made = replace(template, **changes)
        if not made.applied_for:
            raise unfit("appliedFor", "At least one repository creation scenario must be given")
        if made.policy:
            policy_text.read(made.policy)
        if made.lifecycle:
            lifecycle_rules.read(made.lifecycle)
        return made


_PLAIN = {
    "description": "description",
    "repositoryPolicy": "policy",
    "lifecyclePolicy": "lifecycle",
    "customRoleArn": "role_arn",
}


def _cut(prefix: str) -> str:
    return prefix.removesuffix("/")


def _prefix(values: Values) -> str:
    return _cut(values["prefix"])


def _tags(given: list[Values]) -> dict[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len(tags) != len(given):
        raise AwsError("InvalidTagParameterException", "Tag keys must be unique")
    if len(tags) > TAGS_PER_RESOURCE_MAX:
        raise unfit("resourceTags", f"A repository can have at most {TAGS_PER_RESOURCE_MAX} tags")
    if any(not 1 <= len(key) <= 128 or len(value) > 256 for key, value in tags.items()):
        raise unfit("resourceTags", "A tag's key has 1 to 128 characters, its value at most 256")
    if any(key.lower().startswith("aws:") for key in tags):
        raise unfit("resourceTags", "Tag keys that begin with aws: are reserved")
    return tags


def _mutability(template: Template, values: Values) -> dict[str, Any]:
    if "imageTagMutability" not in values and "imageTagMutabilityExclusionFilters" not in values:
        return {}
    kind = values.get("imageTagMutability", template.mutability)
    filters = tuple(
        TagFilter(given["filter"], given["filterType"])
        for given in values.get("imageTagMutabilityExclusionFilters", [])
    )
    if kind.endswith("_WITH_EXCLUSION") != bool(filters):
        raise unfit(
            "imageTagMutabilityExclusionFilters",
            f"Exclusion filters are {'not allowed' if filters else 'required'} with {kind}",
        )
    return {"mutability": kind, "mutability_filters": filters}


def _encryption(values: Values) -> dict[str, Any]:
    given = values.get("encryptionConfiguration")
    if given is None:
        return {}
    key = given.get("kmsKey", "")
    if key and given["encryptionType"] == "AES256":
        raise unfit("encryptionConfiguration", "A KMS key is not allowed with the encryption type AES256")
    return {"encryption_type": given["encryptionType"], "kms_key": key}


def _shown(template: Template) -> Values:
    encryption = {"encryptionType": template.encryption_type, "kmsKey": template.kms_key or None}
    filters = [{"filterType": f.filter_type, "filter": f.filter} for f in template.mutability_filters]
    return {
        "prefix": template.prefix,
        "description": template.description,
        "encryptionConfiguration": encryption,
        "resourceTags": [{"Key": key, "Value": value} for key, value in template.tags.items()],
        "imageTagMutability": template.mutability,
        "imageTagMutabilityExclusionFilters": filters or None,
        "repositoryPolicy": template.policy or None,
        "lifecyclePolicy": template.lifecycle or None,
        "appliedFor": list(template.applied_for),
        "customRoleArn": template.role_arn or None,
        "createdAt": moment(template.created_at),
        "updatedAt": moment(template.updated_at),
    }
