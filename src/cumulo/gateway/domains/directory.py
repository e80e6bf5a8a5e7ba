"""Who answers for which custom domain name, ready to be asked by every request."""

from cumulo.gateway.domains.clients import Clients
from cumulo.gateway.domains.matching import Mappings, Match
from cumulo.gateway.domains.model import DomainName
from cumulo.gateway.domains.records import DomainRecords
from cumulo.gateway.visit import ClientCertificate
from cumulo.wire.http import Secured


class Directory:
    """The front's Domains.  `refresh` after every commit that changed something."""

    def __init__(self, records: DomainRecords) -> None:
        self._records = records
        self._by_name: dict[str, DomainName] = {}
        self._by_target: dict[str, DomainName] = {}
        self._mappings: dict[str, Mappings] = {}
        self._clients = Clients()
        self.refresh()

    def refresh(self, key: str = "") -> None:
        """See what there is now; of mappings only those of the domain name with this key, when one is given."""
        names: dict[str, DomainName] = {}
        for one in sorted(self._records.names.all(), key=lambda one: one.created):
            names.setdefault(one.name, one)  # the same name in two regions: the older one answers
        self._by_name = names
        self._by_target = {
            end.target: one
            for one in self._records.names.all()
            for end in (one.edge, one.regional)
            if end is not None
        }
        if key:
            self._mappings.pop(key, None)
        else:
            self._mappings.clear()

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)

    def domain(self, host: str) -> DomainName | None:
        """The domain name that a host (lower case, without a port) belongs to, perhaps as one label of a wildcard."""
        found = self._by_name.get(host)
        if found is None and self._by_name:
            _, dot, parent = host.partition(".")
            found = self._by_name.get(f"*.{parent}") if dot else None
        return found

    def knows(self, host: str) -> bool:
        """Whether a host is one, or the name of an endpoint of one."""
        return self.domain(host) is not None or host in self._by_target

    def find(self, host: str, path: str) -> Match | None:
        """The mapping with the longest base path that `path` begins with."""
        domain = self.domain(host)
        if domain is None:
            return None
        mappings = self._mappings.get(domain.key)
        if mappings is None:
            mappings = self._mappings[domain.key] = Mappings(self._records.mappings_of(domain))
        return mappings.find(path)

    def mutual(self, host: str) -> bool:
        """Whether clients of this host have to show a certificate."""
        domain = self.domain(host)
        return domain is not None and domain.truststore is not None

    def client(self, host: str, secured: Secured | None) -> ClientCertificate | None:
        """Whom a client of such a host showed to be; None when it may not come in.

        It must have greeted the very domain name that it asks: others trust others, or everybody.
        """
        if secured is None or not secured.certificate or self.domain(secured.name) is not self.domain(host):
            return None
        client = self._clients.read(secured.certificate)
        return client if client.subject != client.issuer else None  # AWS refuses those who certify themselves
