"""ECR, put together: `Ecr` is what app.py builds and registers at the door.

StoredCatalog, Layers ──▶ Ecr ──▶ operations of repositories, images, layers, policies, lifecycle
                                  + `extra`: those of the registry as a whole (replication, rules, settings, tokens)
"""

from collections.abc import Mapping

from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.core import Layers
from cumulo.services.ecr.downloads import Downloads
from cumulo.services.ecr.images import Images, Missing
from cumulo.services.ecr.layer_uploads import LayerUploads
from cumulo.services.ecr.lifecycle import Lifecycle
from cumulo.services.ecr.lifecycle_run import SETTLE_SECONDS, LifecycleRun
from cumulo.services.ecr.policies import Policies
from cumulo.services.ecr.repositories import Repositories
from cumulo.services.ecr.scans import Scans
from cumulo.services.ecr.tags import Tags
from cumulo.wire.service import Coverage, Operation

_NO_SCANNER = "no image scanner is configured"
_ONE_OWNER = "registryId may be any account: one machine has one owner"


class Ecr:
    """The service.  Answer requests under `downloads.PREFIX` with `downloads`; run `run` beside the server.

    missing   asked before BatchGetImage answers: a pull-through cache
    extra     more operations, by AWS's names
    """

    name = "ecr"

    def __init__(
        self,
        catalog: StoredCatalog,
        layers: Layers,
        clock: Clock,
        ids: Ids,
        *,
        missing: Missing | None = None,
        extra: Mapping[str, Operation] | None = None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.catalog = catalog
        self.downloads = Downloads(layers, clock, bytes.fromhex(ids.hex(64)))
        self._extra = extra or {}
        self._lifecycle_run = LifecycleRun(catalog, clock, settle_seconds=settle_seconds)
        self._repositories = Repositories(catalog, clock)
        self._images = Images(catalog, clock, missing)
        self._layers = LayerUploads(catalog, layers, self.downloads)
        self._tags = Tags(catalog)
        self._policies = Policies(catalog)
        self._lifecycle = Lifecycle(catalog, self._lifecycle_run)
        self._scans = Scans(catalog)

    def operations(self) -> Mapping[str, Operation]:
        """Every operation that is built, by AWS's name."""
        return {**self._of_repositories(), **self._of_images(), **self._of_policies(), **self._extra}

    def _of_repositories(self) -> dict[str, Operation]:
        stored = Coverage.STORED
        return {
            "CreateRepository": Operation(
                self._repositories.create, note="encryption is kept and shown; blobs lie as they came"
            ),
            "DescribeRepositories": Operation(self._repositories.describe, note=_ONE_OWNER),
            "DeleteRepository": Operation(self._repositories.delete),
            "PutImageTagMutability": Operation(self._repositories.put_mutability),
            "PutImageScanningConfiguration": Operation(self._repositories.put_scanning, stored, _NO_SCANNER),
            "TagResource": Operation(self._tags.tag, stored),
            "UntagResource": Operation(self._tags.untag, stored),
            "ListTagsForResource": Operation(self._tags.list_, stored),
        }

    def _of_images(self) -> dict[str, Operation]:
        refused = Coverage.REFUSED
        return {
            "ListImages": Operation(self._images.list_),
            "DescribeImages": Operation(self._images.describe),
            "BatchGetImage": Operation(
                self._images.get, note="manifests are not converted to another media type"
            ),
            "BatchDeleteImage": Operation(self._images.delete),
            "PutImage": Operation(self._images.put),
            "ListImageReferrers": Operation(self._images.referrers),
            "UpdateImageStorageClass": Operation(self._images.move, note="a restore takes no time"),
            "StartImageScan": Operation(self._scans.start, refused, _NO_SCANNER),
            "DescribeImageScanFindings": Operation(self._scans.describe, refused, _NO_SCANNER),
            "BatchCheckLayerAvailability": Operation(self._layers.check),
            "GetDownloadUrlForLayer": Operation(self._layers.url),
            "InitiateLayerUpload": Operation(self._layers.begin),
            "UploadLayerPart": Operation(self._layers.append),
            "CompleteLayerUpload": Operation(self._layers.complete),
        }

    def _of_policies(self) -> dict[str, Operation]:
        stored = Coverage.STORED
        return {
            "SetRepositoryPolicy": Operation(self._policies.set_, stored),
            "GetRepositoryPolicy": Operation(self._policies.get, stored),
            "DeleteRepositoryPolicy": Operation(self._policies.delete, stored),
            "PutLifecyclePolicy": Operation(self._lifecycle.put),
            "GetLifecyclePolicy": Operation(self._lifecycle.get),
            "DeleteLifecyclePolicy": Operation(self._lifecycle.delete),
            "StartLifecyclePolicyPreview": Operation(self._lifecycle.start_preview),
            "GetLifecyclePolicyPreview": Operation(self._lifecycle.get_preview),
        }

    async def run(self) -> None:
        """Apply lifecycle policies, for ever."""
        await self._lifecycle_run.run()

    async def reset(self) -> None:
        """Forget every repository and image."""
        self._lifecycle_run.previews.clear()
        await self.catalog.clear()
