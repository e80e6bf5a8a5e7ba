"""The engine of a machine that can run no containers: it says so, and what would help."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from cumulo.engines.engine import (
    Capability,
    ContainerStatus,
    ExecSession,
    ExecSpec,
    Exit,
    Finding,
    Limits,
    LogLine,
    NoSuchPod,
    PodSpec,
    PodStatus,
    Unsupported,
    Usage,
)
from cumulo.engines.images import Image, Images, Login, Platform, Source


def _sentence(findings: Sequence[Finding]) -> str:
    fixes = [f"{f.name}: {f.fix}" for f in findings if f.fix]
    helps = "; ".join(fixes) or "start with --engine local (Linux, root, runc) or --engine docker"
    return f"this machine runs no containers. To run them: {helps}"


class NoImages:
    """Images, refused."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def pull(
        self,
        reference: str,
        *,
        login: Login | None = None,  # noqa: ARG002
        platform: Platform | None = None,  # noqa: ARG002
        source: Source | None = None,  # noqa: ARG002
        only_missing: bool = False,  # noqa: ARG002
    ) -> Image:
        """Unsupported."""
        raise Unsupported(f"{reference} is not pulled: {self._why}")

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:  # noqa: ARG002
        """Unsupported."""
        raise Unsupported(f"{archive.name} is not loaded: {self._why}")

    async def get(self, name: str) -> Image | None:  # noqa: ARG002
        """There is none."""
        return None

    async def list(self) -> "list[Image]":
        """There are none."""
        return []

    async def remove(self, name: str) -> None:
        """There is none to remove."""


class NoEngine:
    """Engine that has no pods and makes none.  What reads finds nothing; what would run something is Unsupported."""

    name = "none"
    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, findings: Sequence[Finding] = ()) -> None:
        self.why = _sentence(findings)
        self.images: Images = NoImages(self.why)

    async def create(self, spec: PodSpec) -> PodStatus:
        """Unsupported."""
        raise Unsupported(f"{spec.name} is not made: {self.why}")

    async def start(self, pod: str, container: str, *, output: int | None = None) -> ContainerStatus:  # noqa: ARG002
        """No such pod."""
        raise self._no_such(pod)

    def _no_such(self, pod: str) -> NoSuchPod:
        return NoSuchPod(f"there is no pod {pod}: {self.why}")

    async def pause(self, pod: str, container: str) -> None:  # noqa: ARG002
        """No such pod."""
        raise self._no_such(pod)

    async def resume(self, pod: str, container: str) -> None:  # noqa: ARG002
        """No such pod."""
        raise self._no_such(pod)

    async def signal(self, pod: str, container: str, signal: str) -> None:  # noqa: ARG002
        """No such pod."""
        raise self._no_such(pod)

    async def wait(self, pod: str, container: str) -> Exit:  # noqa: ARG002
        """No such pod."""
        raise self._no_such(pod)

    async def remove(self, pod: str) -> None:
        """There is none to remove."""

    async def remove_volume(self, name: str) -> None:
        """There is none to remove."""

    async def exec(self, pod: str, container: str, spec: ExecSpec) -> ExecSession:  # noqa: ARG002
        """No such pod."""
        raise self._no_such(pod)

    async def logs(
        self,
        pod: str,
        container: str,  # noqa: ARG002
        *,
        after: str = "",  # noqa: ARG002
        follow: bool = False,  # noqa: ARG002
    ) -> AsyncIterator[LogLine]:
        """No such pod."""
        raise self._no_such(pod)
        yield  # what makes this an iterator

    async def usage(self, pod: str) -> Mapping[str, Usage]:
        """No such pod."""
        raise self._no_such(pod)

    async def inspect(self, pod: str) -> PodStatus:
        """No such pod."""
        raise self._no_such(pod)

    async def pods(self, owner: str = "") -> list[PodStatus]:  # noqa: ARG002
        """There are none."""
        return []

    async def listen_inside(
        self,
        pod: str,
        port: int,  # noqa: ARG002
        address: str = "127.0.0.1",  # noqa: ARG002
    ) -> socket.socket:
        """No such pod."""
        raise self._no_such(pod)

    async def make_slice(self, name: str, limits: Limits) -> None:  # noqa: ARG002
        """Unsupported."""
        raise Unsupported(f"the slice {name} is not made: {self.why}")

    async def remove_slice(self, name: str) -> None:
        """There is none to remove."""

    async def slices(self) -> list[str]:
        """There are none."""
        return []

    async def host_address(self, name: str) -> str:
        """Unsupported."""
        raise Unsupported(f"{name} has no address: {self.why}")

    async def free_host_address(self, name: str) -> None:
        """There is none to give back."""

    async def host_addresses(self) -> Mapping[str, str]:
        """There are none."""
        return {}

    async def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:  # noqa: ARG002
        """Unsupported."""
        raise Unsupported(f"names of {owner} are not published: {self.why}")

    async def close(self) -> None:
        """Nothing to let go of."""
