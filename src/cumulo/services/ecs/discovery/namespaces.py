"""Which namespace a name or an ARN means: asked once, and known from then on without Cloud Map."""

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.discovery import CloudMap
from cumulo.services.ecs.discovery.model import DiscoveryRecords, KnownNamespace
from cumulo.state.store import join_key


class Namespaces:
    """Namespaces by what clients call them."""

    def __init__(self, kept: DiscoveryRecords, cloud_map: CloudMap) -> None:
        self._kept = kept
        self._map = cloud_map

    async def resolve(self, account: str, region: str, text: str, *, make: bool = False) -> KnownNamespace:
        """Ask Cloud Map, and remember.  AwsError NamespaceNotFoundException."""
        try:
            found = await self._map.namespace(account, region, text, make=make)
        except AwsError as error:
            if error.code != "NamespaceNotFound":
                raise
            raise AwsError("NamespaceNotFoundException", "The specified namespace wasn't found.") from None
        known = KnownNamespace(
            account=account, region=region, text=text, id=found.id, arn=found.arn, name=found.name
        )
        if self.known(account, region, text) != known:
            self._kept.namespaces.put(known)
        return known

    async def for_cluster(self, caller: Caller, text: str) -> str:
        """The ARN of the namespace that is to be a cluster's default; one for HTTP is made when its name is new."""
        return (await self.resolve(caller.account, caller.region, text, make=True)).arn

    def known(self, account: str, region: str, text: str) -> KnownNamespace | None:
        """What it meant when it was last asked for."""
        return self._kept.namespaces.get(join_key(account, region, text))
