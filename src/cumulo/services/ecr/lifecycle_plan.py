"""Which images a lifecycle policy removes or archives.  Pure: (images, rules, now) -> actions.

All rules look at the repository as it was, and then are applied by priority: an image that a rule selects by its tags
is that rule's alone, whether the rule does something to it or not, and the counts of later rules still see it.
Oldest images go first.  An image of a manifest list that stays is left alone.
https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html#lp_evaluation_rules
"""

from collections.abc import Iterable, Sequence

import msgspec

from cumulo.services.ecr.lifecycle_rules import Rule
from cumulo.services.ecr.mutability import matches

DAY_SECONDS = 86_400.0


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the rules look at of an image.  Moments in seconds since the epoch; 0 when it never was."""

    digest: str
    tags: tuple[str, ...] = ()
    pushed_at: float
    pulled_at: float = 0.0
    archived_at: float = 0.0
    activated_at: float = 0.0
    archived: bool = False
    parents: tuple[str, ...] = ()  # the lists and indexes that name it
    subject: str = ""  # of an artifact: rules do not select it, it goes with its subject

    @property
    def since(self) -> float:
        """When it came, or came back from the archive."""
        return max(self.pushed_at, self.activated_at)


class Action(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happens to an image: `expire` or `transition` (to the archive), by the rule of this priority."""

    digest: str
    kind: str
    priority: int


def plan(images: Iterable[Candidate], rules: Sequence[Rule], now: float) -> list[Action]:
    """The actions, in the order in which they can be carried out: a list before its images."""
    known = {image.digest: image for image in images}
    every = [image for image in known.values() if not image.subject]
    every.sort(key=lambda image: image.since)  # of the same age, in the order in which they are given
    taken: set[str] = set()
    marked: dict[str, Action] = {}
    for rule in sorted(rules, key=lambda rule: rule.priority):
        selected = [image for image in every if selects(rule, image)]
        for image in _due(rule, selected, now):
            if image.digest not in taken:
                marked[image.digest] = Action(digest=image.digest, kind=rule.action, priority=rule.priority)
        taken.update(image.digest for image in selected)
    _protect(known, marked)
    _follow(known, marked, now)
    return _in_order(known, marked)


def selects(rule: Rule, image: Candidate) -> bool:
    """Whether a rule is about this image, by its storage class and its tags."""
    if image.archived != (rule.storage_class == "archive"):
        return False
    if rule.tag_status == "any":
        return True
    if rule.tag_status == "untagged":
        return not image.tags
    return (
        all(any(tag.startswith(prefix) for tag in image.tags) for prefix in rule.prefixes)
        and all(any(matches(pattern, tag) for tag in image.tags) for pattern in rule.patterns)
        and bool(image.tags)
    )


def _due(rule: Rule, selected: list[Candidate], now: float) -> list[Candidate]:
    """Those of the selected (oldest first) that the rule's count is up for."""
    if rule.count_type == "imageCountMoreThan":
        return selected[: max(0, len(selected) - rule.count)]
    before = now - rule.count * DAY_SECONDS
    return [image for image in selected if _moment(rule, image) < before]


def _moment(rule: Rule, image: Candidate) -> float:
    if rule.count_type == "sinceImagePulled":
        return max(image.since, image.pulled_at)
    return image.archived_at if rule.count_type == "sinceImageTransitioned" else image.since


def _protect(known: dict[str, Candidate], marked: dict[str, Action]) -> None:
    """Take back what a list that stays needs; and then what this one needs, for it may be a list itself."""
    children = _children(known.values())
    unsure = list(marked)
    while unsure:
        digest = unsure.pop()
        action = marked.get(digest)
        if action is None or all(_goes_too(marked.get(parent), action) for parent in known[digest].parents):
            continue
        del marked[digest]
        unsure += children.get(digest, ())


def _goes_too(parent: Action | None, child: Action) -> bool:
    """Whether a list goes with its image: into the archive together, or removed."""
    return parent is not None and parent.kind in {"expire", child.kind}


def _follow(known: dict[str, Candidate], marked: dict[str, Action], now: float) -> None:
    """Artifacts go the way of their subject, and a day after they came when it is not there any more."""
    about: dict[str, list[str]] = {}
    for image in known.values():
        if image.subject:
            about.setdefault(image.subject, []).append(image.digest)
    orphans = [
        digest
        for subject, digests in about.items()
        if subject not in known
        for digest in digests
        if known[digest].pushed_at < now - DAY_SECONDS
    ]
    waiting = [(digest, Action(digest=digest, kind="expire", priority=0)) for digest in orphans]
    waiting += [(digest, action) for one, action in marked.items() for digest in about.get(one, ())]
    while waiting:
        digest, action = waiting.pop()
        image = known[digest]
        idle = action.kind == "transition" and image.archived
        if digest in marked or idle or not all(_goes_too(marked.get(one), action) for one in image.parents):
            continue
        marked[digest] = Action(digest=digest, kind=action.kind, priority=action.priority)
        waiting += [(one, action) for one in about.get(digest, ())]


def _in_order(known: dict[str, Candidate], marked: dict[str, Action]) -> list[Action]:
    """Each list before its images.  Lists cannot form a circle: each names the digests of its images."""
    above = {digest: sum(parent in marked for parent in known[digest].parents) for digest in marked}
    children = _children(known[digest] for digest in marked)
    ready = [digest for digest, count in above.items() if not count]
    ordered: list[Action] = []
    for digest in ready:  # it grows while we go
        ordered.append(marked[digest])
        for child in children.get(digest, ()):
            above[child] -= 1
            if not above[child]:
                ready.append(child)
    return ordered


def _children(images: Iterable[Candidate]) -> dict[str, list[str]]:
    """By list, the images among these that it names."""
    found: dict[str, list[str]] = {}
    for image in images:
        for parent in image.parents:
            found.setdefault(parent, []).append(image.digest)
    return found
