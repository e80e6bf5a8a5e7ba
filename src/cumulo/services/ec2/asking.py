"""Finds out what an instance is to be, from its type, its image and its user data."""

from typing import Final

import msgspec

from cumulo.base.errors import AwsError
from cumulo.base.instances import AgentSettings, Machines, SeenImage
from cumulo.services.ec2.images import is_optimised, may_have_agent
from cumulo.services.ec2.kinds import Kind, Kinds, kind_told
from cumulo.services.ec2.user_data import settings_of

REMEMBERED_MAX: Final = 1000


class Wanted(msgspec.Struct, frozen=True):
    """An instance that runs an ECS agent.  `cluster_said` is False when it joins `default` for want of a name."""

    kind: Kind
    agent: AgentSettings
    cluster_said: bool


class Asking:
    """Asks EC2 for what is not known by heart, once for each thing."""

    def __init__(self, machines: Machines, kinds: Kinds, machine: str) -> None:
        """`machine` is this machine's architecture (x86_64, aarch64)."""
        self._machines = machines
        self._kinds = kinds
        self._architecture = "arm64" if machine in ("aarch64", "arm64") else "x86_64"
        self._images: dict[tuple[str, str, str], SeenImage] = {}
        self._told: dict[str, Kind] = {}

    async def wanted(
        self, account: str, region: str, *, kind: str, image: str, user_data: str
    ) -> Wanted | None:
        """What an instance is to be; None for one without an agent.  AwsError for one that cannot be."""
        said = settings_of(user_data) if user_data else None
        shown = await self._image(account, region, image)
        named = said is not None and bool(said.cluster)
        if not (is_optimised(shown) or (named and may_have_agent(shown))):
            return None
        known = await self.kind(account, region, kind)
        if known is None:
            raise AwsError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
        if shown is not None and shown.architecture != known.architecture:
            raise AwsError("InvalidParameterValue", _MISMATCH.format(known.architecture, shown.architecture))
        if known.architecture != self._architecture:
            raise AwsError("Unsupported", f"{_UNSUPPORTED} This machine is {self._architecture}.")
        return Wanted(known, said or AgentSettings(), named)

    def known(self, name: str) -> Kind | None:
        """An instance type that is known by heart, or was asked for before."""
        return self._kinds.get(name) or self._told.get(name)

    async def kind(self, account: str, region: str, name: str) -> Kind | None:
        """An instance type, or None when there is none of this name."""
        known = self.known(name)
        if known is None:
            told = await self._machines.kind(account, region, name)
            if told is None:
                return None
            known = kind_told(name, *told)
            if len(self._told) < REMEMBERED_MAX:
                self._told[name] = known
        return known

    async def _image(self, account: str, region: str, image_id: str) -> SeenImage | None:
        key = (account, region, image_id)
        if key in self._images:
            return self._images[key]
        found = await self._machines.image(account, region, image_id) if image_id else None
        if found is not None and len(self._images) < REMEMBERED_MAX:
            self._images[key] = found
        return found


_MISMATCH = (
    "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. "
    "Specify an instance type and an AMI that have matching architectures, and try again. You can use "
    "'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI."
)
_UNSUPPORTED = (
    "The requested configuration is currently not supported. Please check the documentation for supported "
    "configurations."
)
