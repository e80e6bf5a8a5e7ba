"""Which image, to the byte, the containers of a service's tasks run: what their deployment began with."""

from typing import Protocol

from cumulo.services.ecs.model import Document, Task


class Pins(Protocol):
    """Keeps the digests that the first task of a deployment has found."""

    def pinned(self, task: Task, container: str) -> str:
        """The digest that every task of the task's deployment uses for a container; empty while there is none."""
        ...

    def pin(self, task: Task, container: str, digest: str) -> str:
        """Keep a digest with the next commit, unless there is one; the digest that is to be used."""
        ...


class NoPins:
    """Pins of tasks that belong to no deployment: every task looks its images up."""

    def pinned(self, task: Task, container: str) -> str:  # noqa: ARG002 - what a Protocol says
        """See Pins."""
        return ""

    def pin(self, task: Task, container: str, digest: str) -> str:  # noqa: ARG002 - what a Protocol says
        """See Pins."""
        return digest


def is_consistent(told: Document) -> bool:
    """Whether a container definition lets its image be pinned (`versionConsistency`)."""
    return told.get("versionConsistency") != "disabled"


def with_digest(uri: str, digest: str) -> str:
    """The image's reference, pinned; one that has a digest of its own stays."""
    return uri if "@" in uri or not digest else f"{uri}@{digest}"
