"""The nouns of a registry's rules."""

from collections.abc import Mapping

import msgspec

from cumulo.base.arn import Arn, partition_of
from cumulo.base.errors import AwsError
from cumulo.services.ecr.model import TagFilter
from cumulo.state.store import join_key

ROOT = "ROOT"  # the prefix of everything
PAGE_DEFAULT = 100


class Destination(msgspec.Struct, frozen=True):
    """Where a replication goes."""

    account: str
    region: str


class ReplicationRule(msgspec.Struct, frozen=True):
    """Repositories whose name begins with one of `prefixes` (all of them when there is none) go to all destinations."""

    destinations: tuple[Destination, ...]
    prefixes: tuple[str, ...] = ()


class ScanRule(msgspec.Struct, frozen=True):
    """Repositories that match one of the wildcard `filters` are to be scanned so often."""

    frequency: str
    filters: tuple[str, ...]


class SigningRule(msgspec.Struct, frozen=True):
    """Images of repositories that match one of the wildcard `filters` (all when there is none) are to be signed."""

    profile_arn: str
    filters: tuple[str, ...] = ()


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has set for its registry in a region.  `signing` is None when nothing was ever put."""

    policy: str = ""
    replication: tuple[ReplicationRule, ...] = ()
    replication_since: float = 0.0  # when it was put: what was pushed before stays where it is
    settings: Mapping[str, str] = {}
    scan_type: str = "BASIC"
    scan_rules: tuple[ScanRule, ...] = ()
    signing: tuple[SigningRule, ...] | None = None


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """One image on its way to one destination: IN_PROGRESS, COMPLETE or FAILED.

    `tags` are those that still have to be written there; the empty text stands for the image without a tag.
    """

    account: str
    region: str
    repository: str
    digest: str
    to: Destination
    tags: tuple[str, ...]
    status: str = "IN_PROGRESS"
    failure: str = ""
    updated_at: float

    @property
    def key(self) -> str:
        """Its key in the store."""
        return join_key(
            self.account, self.region, self.repository, self.digest, self.to.account, self.to.region
        )


class CacheRule(msgspec.Struct, frozen=True, kw_only=True):
    """`<prefix>/<image>` is cached from `upstream_url`, from `<upstream_prefix>/<image>` there."""

    account: str
    region: str
    prefix: str
    upstream_url: str
    upstream: str = ""
    credential_arn: str = ""
    role_arn: str = ""
    upstream_prefix: str = ""  # when nobody said: everything
    created_at: float
    updated_at: float

    @property
    def key(self) -> str:
        """Its key in the store."""
        return join_key(self.account, self.region, self.prefix)


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that came from upstream, and when it was last compared with it."""

    digest: str
    checked_at: float


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of repositories under a prefix that come into being by themselves."""

    account: str
    region: str
    prefix: str
    description: str | None = None
    encryption_type: str = "AES256"
    kms_key: str = ""
    tags: Mapping[str, str] = {}
    mutability: str = "MUTABLE"
    mutability_filters: tuple[TagFilter, ...] = ()
    policy: str = ""
    lifecycle: str = ""
    applied_for: tuple[str, ...] = ()
    role_arn: str = ""
    created_at: float
    updated_at: float

    @property
    def key(self) -> str:
        """Its key in the store."""
        return join_key(self.account, self.region, self.prefix)


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """A principal whose pulls leave an image's pull time alone."""

    principal: str
    created_at: float


def repository_arn(account: str, region: str, name: str) -> str:
    """The ARN of a repository that may not be there."""
    return str(Arn("ecr", region, account, f"repository/{name}", partition_of(region)))


def unfit(parameter: str, why: str) -> AwsError:
    """AWS's sentence for a parameter that the model allows and the service does not."""
    return AwsError(
        "InvalidParameterException",
        f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{why}'",
    )


def own_registry(account: str, asked: str | None) -> None:
    """Refuse to work on the registry of another account."""
    if asked is not None and asked != account:
        raise AwsError(
            "InvalidParameterException",
            f"The registry with id '{asked}' is not the registry of the account '{account}'",
        )
