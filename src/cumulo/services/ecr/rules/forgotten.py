"""Decides which replications a kill between a push and the note of its destinations has lost.  Pure."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from cumulo.services.ecr.model import Image, Tag
from cumulo.services.ecr.rules.model import Replication


class Lost(NamedTuple):
    """A push whose destinations are to be noted again."""

    image: Image
    tag: str


def forgotten(
    images: Iterable[Image],
    tags: Iterable[Tag],
    *,
    since: float,
    noted: dict[str, float],
    arrived: Collection[str],
) -> Iterator[Lost]:
    """The pushes into one repository after `since` that no note knows.

    noted     by digest, when its destinations were last noted
    arrived   digests that came by a replication themselves
    """
    by_digest = {image.digest: image for image in images}
    tagged = set()
    for tag in tags:
        image = by_digest.get(tag.digest)
        tagged.add(tag.digest)
        if image is None or tag.digest in arrived or tag.tagged_at <= since:
            continue
        if noted.get(tag.digest, 0.0) < tag.tagged_at:
            yield Lost(image, tag.tag)
    for digest, image in by_digest.items():
        if digest not in tagged | noted.keys() and digest not in arrived and image.pushed_at > since:
            yield Lost(image, "")


def notes_of(replications: Iterable[Replication]) -> dict[str, float]:
    """By digest, when its destinations were last noted."""
    found: dict[str, float] = {}
    for note in replications:
        found[note.digest] = max(found.get(note.digest, 0.0), note.updated_at)
    return found
