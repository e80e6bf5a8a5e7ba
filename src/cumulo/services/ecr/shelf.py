"""What one repository holds, indexed: every question that a request asks is answered without looking at all of it."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from cumulo.services.ecr.model import Image, Tag


class Shelf:
    """Images and tags of one repository in memory.  100,000 images are one insertion into a sorted list each."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.tags: dict[str, Tag] = {}
        self._digests: list[str] = []  # sorted
        self._names: list[str] = []  # tags, sorted
        self._tags_of: dict[str, set[str]] = {}
        self._parents: dict[str, set[str]] = {}  # of a digest: the indexes that name it
        self._referrers: dict[str, set[str]] = {}  # of a digest: the artifacts about it
        self._blobs: dict[str, int] = {}  # of a blob: how many images need it
        self._kinds: dict[str, str] = {}  # of a configuration: its media type

    # -- asking ------------------------------------------------------------------------------------------

    def tags_of(self, digest: str) -> list[str]:
        """The tags of an image, sorted."""
        return sorted(self._tags_of.get(digest, ()))

    def tags_by_age(self, digest: str) -> list[str]:
        """The tags of an image, in the order in which it got them."""
        return sorted(self._tags_of.get(digest, ()), key=lambda name: (self.tags[name].tagged_at, name))

    def tag_names(self) -> list[str]:
        """All tags, sorted."""
        return self._names.copy()

    def is_tagged(self, digest: str) -> bool:
        """Whether an image has a tag."""
        return digest in self._tags_of

    def parents_of(self, digest: str) -> set[str]:
        """The indexes here that name this image."""
        return self._parents.get(digest, set()).copy()

    def is_child(self, digest: str) -> bool:
        """Whether an index here names this image."""
        return digest in self._parents

    def referrers_of(self, digest: str) -> list[Image]:
        """The artifacts about this digest."""
        return [self.images[found] for found in self._referrers.get(digest, ())]

    def needs(self, blob: str) -> bool:
        """Whether an image here needs a blob."""
        return blob in self._blobs

    def kind_of(self, blob: str) -> str:
        """The media type of a blob that is the configuration of an image here; empty for others."""
        return self._kinds.get(blob, "")

    def blobs(self) -> set[str]:
        """Every blob that an image here needs."""
        return set(self._blobs)

    def starting(self, digest: str = "") -> Iterator[Image]:
        """Images sorted by digest, from `digest` on.  Do not change the shelf meanwhile."""
        for at in range(bisect_left(self._digests, digest), len(self._digests)):
            yield self.images[self._digests[at]]

    # -- changing ----------------------------------------------------------------------------------------

    def put_image(self, image: Image) -> None:
        """Add an image, or what is new of it (its manifest cannot change)."""
        known = image.digest in self.images
        self.images[image.digest] = image
        if known:
            return
        insort(self._digests, image.digest)
        for child in image.children:
            self._parents.setdefault(child, set()).add(image.digest)
        if image.subject:
            self._referrers.setdefault(image.subject, set()).add(image.digest)
        for blob in _blobs_of(image):
            self._blobs[blob] = self._blobs.get(blob, 0) + 1
        if image.config_media_type:
            self._kinds[image.config] = image.config_media_type

    def drop_image(self, digest: str) -> None:
        """Remove an image; its tags must be gone."""
        assert digest not in self._tags_of, "tags go before their image"
        image = self.images.pop(digest)
        del self._digests[bisect_left(self._digests, digest)]
        for child in set(image.children):
            _discard(self._parents, child, digest)
        if image.subject:
            _discard(self._referrers, image.subject, digest)
        for blob in _blobs_of(image):
            left = self._blobs[blob] - 1
            if left:
                self._blobs[blob] = left
            else:
                del self._blobs[blob]
                self._kinds.pop(blob, None)

    def put_tag(self, tag: Tag) -> None:
        """Give a tag to an image, maybe taking it from another."""
        old = self.tags.get(tag.tag)
        if old is None:
            insort(self._names, tag.tag)
        else:
            _discard(self._tags_of, old.digest, tag.tag)
        self.tags[tag.tag] = tag
        self._tags_of.setdefault(tag.digest, set()).add(tag.tag)

    def drop_tag(self, name: str) -> None:
        """Remove a tag."""
        tag = self.tags.pop(name)
        del self._names[bisect_left(self._names, name)]
        _discard(self._tags_of, tag.digest, name)


def _blobs_of(image: Image) -> set[str]:
    return {*image.layers, image.config} if image.config else set(image.layers)


def _discard(index: dict[str, set[str]], key: str, value: str) -> None:
    found = index[key]
    found.discard(value)
    if not found:
        del index[key]
