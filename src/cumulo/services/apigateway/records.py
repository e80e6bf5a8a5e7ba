"""Where the records of REST APIs lie: shelves with the ways in which they are looked for."""

from typing import Any

from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.changing import replace
from cumulo.services.apigateway.key_model import Allowance, ApiKey, DayUse, PlanKey, UsagePlan
from cumulo.services.apigateway.model import (
    Account,
    Api,
    ClientCertificate,
    Deployment,
    DocumentationPart,
    DocumentationVersion,
    Stage,
    VpcLink,
)
from cumulo.state.shelf import Shelf
from cumulo.state.store import Store, join_key


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
        self.client_certificates: Shelf[ClientCertificate] = Shelf(
            store,
            "apigateway_client_certificates",
            ClientCertificate,
            lambda one: one.key,
            owner=lambda one: one.owner,
        )
        self.documentation_parts: Shelf[DocumentationPart] = Shelf(
            store,
            "apigateway_documentation_parts",
            DocumentationPart,
            lambda one: one.key,
            api=lambda one: one.api,
        )
        self.documentation_versions: Shelf[DocumentationVersion] = Shelf(
            store,
            "apigateway_documentation_versions",
            DocumentationVersion,
            lambda one: one.key,
            api=lambda one: one.api,
        )
        self.accounts: Shelf[Account] = Shelf(store, "apigateway_accounts", Account, lambda one: one.key)
        self._open_keys(store)

    def _open_keys(self, store: Store) -> None:
        self.api_keys: Shelf[ApiKey] = Shelf(
            store,
            "apigateway_api_keys",
            ApiKey,
            lambda one: one.key,
            owner=lambda one: one.owner,
            value=lambda one: one.by_value,
        )
        self.usage_plans: Shelf[UsagePlan] = Shelf(
            store, "apigateway_usage_plans", UsagePlan, lambda one: one.key, owner=lambda one: one.owner
        )
        self.plan_keys: Shelf[PlanKey] = Shelf(
            store,
            "apigateway_plan_keys",
            PlanKey,
            lambda one: one.key,
            plan=lambda one: one.plan,
            api_key=lambda one: one.api_key,
        )
        self.uses: Shelf[DayUse] = Shelf(
            store, "apigateway_uses", DayUse, lambda one: one.key, plan_key=lambda one: one.plan_key
        )
        self.allowances: Shelf[Allowance] = Shelf(
            store, "apigateway_allowances", Allowance, lambda one: one.plan_key
        )

    # -- what goes together ----------------------------------------------------------------------------------

    def forget_api(self, api: Api) -> None:
        """Remove an API with everything that is its own."""
        for stage in self.stages.by("api", api.key):
            self.forget_stage(stage)
        for shelf in (self.deployments, self.documentation_parts, self.documentation_versions):
            every: Shelf[Any] = shelf
            for one in every.by("api", api.key):
                every.delete(one)
        self.apis.delete(api)

    def forget_stage(self, stage: Stage) -> None:
        """Remove a stage, also from the plans and keys that open it."""
        for plan in self.usage_plans.by("owner", join_key(stage.account, stage.region)):
            kept = tuple(one for one in plan.stages if (one.api_id, one.stage) != (stage.api_id, stage.name))
            if len(kept) != len(plan.stages):
                self.usage_plans.put(replace(plan, stages=kept))
        name = f"{stage.api_id}/{stage.name}"
        for key in self.api_keys.by("owner", join_key(stage.account, stage.region)):
            if name in key.stage_keys:
                self.api_keys.put(
                    replace(key, stage_keys=tuple(one for one in key.stage_keys if one != name))
                )
        self.stages.delete(stage)

    def forget_plan_key(self, link: PlanKey) -> None:
        """Take a key out of a plan, with what was counted of it."""
        for use in self.uses.by("plan_key", link.key):
            self.uses.delete(use)
        allowance = self.allowances.get(link.key)
        if allowance is not None:
            self.allowances.delete(allowance)
        self.plan_keys.delete(link)

    def check_stage_references(self, stage: Stage) -> None:
        """BadRequestException for a stage that names what is not there."""
        certificate = stage.client_certificate_id
        if certificate and not self.client_certificates.get(
            join_key(stage.account, stage.region, certificate)
        ):
            raise refusals.bad_request("Invalid Client Certificate identifier specified")
        version = stage.documentation_version
        if version and not self.documentation_versions.get(join_key(stage.api, version)):
            raise refusals.bad_request("Invalid Documentation version identifier specified")

    def clear(self) -> None:
        """Forget everything."""
        for shelf in self._all():
            shelf.clear()

    def _all(self) -> tuple[Shelf[Any], ...]:
        return (
            self.apis,
            self.deployments,
            self.stages,
            self.vpc_links,
            self.client_certificates,
            self.documentation_parts,
            self.documentation_versions,
            self.accounts,
            self.api_keys,
            self.usage_plans,
            self.plan_keys,
            self.uses,
            self.allowances,
        )
