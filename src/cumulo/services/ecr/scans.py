"""Scanning, which needs a scanner that Cumulo does not have: refused by name, and nothing is made up."""

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError, not_implemented
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.finding import repository_of
from cumulo.services.ecr.images import well_formed
from cumulo.services.ecr.model import Image, Repository
from cumulo.services.ecr.refusals import no_scan
from cumulo.wire.service import Values


class Scans:
    """The operations on image scans."""

    def __init__(self, catalog: StoredCatalog) -> None:
        self._catalog = catalog

    async def start(self, caller: Caller, values: Values) -> Values | None:
        """StartImageScan."""
        _, image = self._image(caller, values)
        if image.status != "ACTIVE":
            raise AwsError("ImageArchivedException", "The specified image is archived and cannot be scanned.")
        raise not_implemented("ecr", "StartImageScan", "no image scanner is configured")

    async def describe(self, caller: Caller, values: Values) -> Values | None:
        """DescribeImageScanFindings: no scan ever ran."""
        repository, _ = self._image(caller, values)
        asked = values["imageId"]
        raise no_scan(repository, asked.get("imageDigest", ""), asked.get("imageTag", ""))

    def _image(self, caller: Caller, values: Values) -> tuple[Repository, Image]:
        repository = repository_of(self._catalog, caller, values)
        one = values["imageId"]
        well_formed(one)
        tag, digest = one.get("imageTag", ""), one.get("imageDigest", "")
        return repository, self._catalog.image(repository, tag=tag, digest=digest)
