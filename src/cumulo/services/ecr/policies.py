"""Policies of repositories: who may do what, kept and shown."""

from cumulo.base.caller import Caller
from cumulo.services.ecr import policy_text
from cumulo.services.ecr.catalog import StoredCatalog
from cumulo.services.ecr.finding import repository_of
from cumulo.services.ecr.model import Repository
from cumulo.services.ecr.refusals import constraint, no_policy
from cumulo.services.ecr.views import named
from cumulo.wire.service import Values


class Policies:
    """The operations on repository policies."""

    def __init__(self, catalog: StoredCatalog) -> None:
        self._catalog = catalog

    async def set_(self, caller: Caller, values: Values) -> Values | None:
        """SetRepositoryPolicy."""
        repository = repository_of(self._catalog, caller, values)
        document = policy_text.read(values["policyText"])
        if not values.get("force") and policy_text.locks_out(document):
            raise constraint(
                "PolicyText",
                "The policy would prevent you from setting another policy in the future; set force to true",
            )
        repository = await self._catalog.update(repository, policy=policy_text.pretty(document))
        return named(repository, policyText=repository.policy)

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetRepositoryPolicy."""
        repository = self._having(caller, values)
        return named(repository, policyText=repository.policy)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteRepositoryPolicy."""
        repository = self._having(caller, values)
        await self._catalog.update(repository, policy="")
        return named(repository, policyText=repository.policy)

    def _having(self, caller: Caller, values: Values) -> Repository:
        repository = repository_of(self._catalog, caller, values)
        if not repository.policy:
            raise no_policy("RepositoryPolicyNotFoundException", "Repository policy", repository)
        return repository
