"""Images of containers, and who finds them."""

from typing import Generic, Protocol, TypeVar

import msgspec

from cumulo.base.caller import Caller

SourceT = TypeVar("SourceT")


class ResolvedImage(msgspec.Struct, Generic[SourceT], frozen=True, kw_only=True):
    """An image that a registry has, pinned.

    uri           with the digest in place of the tag, as clients are shown it
    reference     the same for an engine to pull; the same digest always gives the same reference
    digest        of its manifest or index: sha256:<64 hex>
    media_type    of that
    architecture  in OCI's words (amd64, arm64); empty when it is an index, or cannot be known yet
    ours          whether it lies in this cloud's own registry
    source        where an engine gets it from; None: the registry that the reference names
    """

    uri: str
    reference: str
    digest: str
    media_type: str = ""
    architecture: str = ""
    ours: bool = False
    source: SourceT | None = None


class ImageRegistry(Protocol[SourceT]):
    """Finds images by what callers call them: in this cloud's registry, or in any other."""

    async def resolve(self, caller: Caller, uri: str) -> ResolvedImage[SourceT]:
        """The image that a reference (with a tag or a digest) means now.

        AwsError InvalidParameterException (no reference, or one without a tag where that is wanted),
        RepositoryNotFoundException, ImageNotFoundException, AccessDeniedException, or ServerException when the
        registry cannot be reached.
        """
        ...
