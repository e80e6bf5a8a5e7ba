"""The shelves on which custom domain names and their mappings lie."""

from cumulo.gateway.domains.model import ApiMapping, DomainName
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store


class DomainRecords:
    """Changes are seen at once, and durable after the store's next commit."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.names: Shelf[DomainName] = Shelf(
            store, "apigateway_domains", DomainName, lambda one: one.key, host=lambda one: one.name
        )
        self.mappings: Shelf[ApiMapping] = Shelf(
            store,
            "apigateway_domain_mappings",
            ApiMapping,
            lambda one: one.key,
            domain=lambda one: one.domain,
            api=lambda one: one.api_id,
        )

    def mappings_of(self, domain: DomainName) -> list[ApiMapping]:
        """What a domain name leads to."""
        return self.mappings.by("domain", domain.key)

    def clear(self) -> None:
        """Forget everything."""
        self.mappings.clear()
        self.names.clear()
