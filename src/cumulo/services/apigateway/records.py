"""Where the records of REST APIs lie: shelves with the ways in which they are looked for."""

from typing import Any

from cumulo.services.apigateway.model import Account, Api, Deployment, Stage, VpcLink
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store


class Records:
    """All shelves of the service; changes are durable after `store.commit()`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.apis: Shelf[Api] = Shelf(
            store, "apigateway_apis", Api, lambda one: one.key, owner=lambda one: one.owner
        )
        self.deployments: Shelf[Deployment] = Shelf(
            store, "apigateway_deployments", Deployment, lambda one: one.key, api=lambda one: one.api
        )
        self.stages: Shelf[Stage] = Shelf(
            store, "apigateway_stages", Stage, lambda one: one.key, api=lambda one: one.api
        )
        self.vpc_links: Shelf[VpcLink] = Shelf(
            store, "apigateway_vpc_links", VpcLink, lambda one: one.key, owner=lambda one: one.owner
        )
        self.accounts: Shelf[Account] = Shelf(store, "apigateway_accounts", Account, lambda one: one.key)

    def forget_api(self, api: Api) -> None:
        """Remove an API with everything that is its own."""
        for stage in self.stages.by("api", api.key):
            self.stages.delete(stage)
        for deployment in self.deployments.by("api", api.key):
            self.deployments.delete(deployment)
        self.apis.delete(api)

    def forget_stage(self, stage: Stage) -> None:
        """Remove a stage."""
        self.stages.delete(stage)

    def check_stage_references(self, stage: Stage) -> None:
        """BadRequestException for a stage that names what is not there."""

    def clear(self) -> None:
        """Forget everything."""
        for shelf in self._all():
            shelf.clear()

    def _all(self) -> tuple[Shelf[Any], ...]:
        return (self.apis, self.deployments, self.stages, self.vpc_links, self.accounts)
