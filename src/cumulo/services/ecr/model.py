"""ECR's nouns and the rules that need no I/O.

    registry (account, region) ─┬─ repository ─┬─ image (by digest of its manifest) ── tag, tag, ...
                                │              ├─ layer (by digest): which blobs the repository may show
                                │              └─ upload: a layer that is still arriving
                                └─ rules: policies, replication, pull-through cache, templates, settings

Blobs themselves are files of the content store (`state/content.py`), by digest, shared by all; manifests are rows of
a table (`manifest_store.py`), written together with their image.
"""

from collections.abc import Mapping

import msgspec

from cumulo.base.arn import Arn, partition_of
from cumulo.base.errors import AwsError
from cumulo.state.store import join_key

MIB = 1024 * 1024
MANIFEST_BYTES_MAX = 4 * MIB
LAYER_PART_BYTES_MIN = 5 * MIB  # of every part but the last
LAYER_PART_BYTES_MAX = 10 * MIB  # what AWS's clients use; larger parts are taken
LAYER_BYTES_MAX = 52_000 * MIB
TAGS_PER_RESOURCE_MAX = 50
DIGEST_PATTERN = r"sha256:[0-9a-f]{64}"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})
MANIFESTS = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})


class TagFilter(msgspec.Struct, frozen=True):
    """An exception to a repository's mutability: tags that match a pattern with wildcards."""

    filter: str
    filter_type: str = "WILDCARD"


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A place for images.  `policy` and `lifecycle` are AWS's JSON texts, empty when there is none."""

    account: str
    region: str
    name: str
    created_at: float
    mutability: str = "MUTABLE"  # IMMUTABLE, IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION
    mutability_filters: tuple[TagFilter, ...] = ()
    scan_on_push: bool = False
    encryption_type: str = "AES256"
    kms_key: str = ""
    tags: Mapping[str, str] = {}
    policy: str = ""
    lifecycle: str = ""
    lifecycle_evaluated_at: float = 0.0

    @property
    def key(self) -> str:
        """Its key in the store."""
        return join_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""
        return str(
            Arn("ecr", self.region, self.account, f"repository/{self.name}", partition_of(self.region))
        )


class Image(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A manifest (of an image, an index, or an artifact) in a repository.

    digest        of the manifest
    size_bytes    what AWS shows: the compressed layers and the configuration; of an index, its largest image's
    config        digest of the configuration; layers: digests of the layers; children: digests of an index's manifests
    subject       digest of the image that this artifact is about; empty for ordinary images
    artifact_type what kind of artifact; for referrers
    pulled_at     0 when nobody has pulled it yet
    """

    account: str
    region: str
    repository: str
    digest: str
    media_type: str
    manifest_bytes: int
    size_bytes: int
    config: str = ""
    config_media_type: str = ""
    layers: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    subject: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, str] = {}
    pushed_at: float
    pulled_at: float = 0.0
    archived_at: float = 0.0  # when it last was moved to the archive
    activated_at: float = 0.0  # when it last came back
    status: str = "ACTIVE"  # ARCHIVED, ACTIVATING

    @property
    def key(self) -> str:
        """Its key in the store."""
        return join_key(self.account, self.region, self.repository, self.digest)


class Tag(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A name for an image: the store has it by (account, region, repository, tag)."""

    tag: str
    digest: str
    tagged_at: float


class Layer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A blob that a repository may show: the store has it by (account, region, repository, digest)."""

    account: str
    region: str
    repository: str
    digest: str
    size_bytes: int
    media_type: str = ""
    added_at: float


def registry_host(account: str, region: str, endpoint: str) -> str:
    """The host (and port) of a registry, as a client that uses `endpoint` (http://127.0.0.1:4566) can reach it."""
    authority = endpoint.partition("://")[2]
    _, colon, port = authority.rpartition(":")
    return f"{account}.dkr.ecr.{region}.localhost" + (f":{port}" if colon and port.isdecimal() else "")


def repository_uri(repository: Repository, endpoint: str) -> str:
    """What a client pulls from."""
    return f"{registry_host(repository.account, repository.region, endpoint)}/{repository.name}"


def no_repository(name: str, account: str) -> AwsError:
    """There is none of that name."""
    return AwsError(
        "RepositoryNotFoundException",
        f"The repository with name '{name}' does not exist in the registry with id '{account}'",
    )


def invalid(message: str) -> AwsError:
    """A parameter that AWS does not take."""
    return AwsError("InvalidParameterException", message)
