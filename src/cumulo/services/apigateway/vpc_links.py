"""VPC links: ways to Network Load Balancers."""

from typing import Final

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.ids import Ids
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.finding import owner_of
from cumulo.services.apigateway.listing import listed
from cumulo.services.apigateway.model import Stage, VpcLink
from cumulo.services.apigateway.naming import LONG_ID, checked_tags, new_id
from cumulo.services.apigateway.patches import Table, value
from cumulo.services.apigateway.publishing import definition_of
from cumulo.services.apigateway.quotas import VPC_LINKS_MAX
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.views import filled
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

_READY: Final = "Your vpc link is ready for use"


class VpcLinks:
    """The operations on VPC links; nothing has to be set up, so one is available once it was answered."""

    def __init__(self, records: Records, clock: Clock, ids: Ids) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateVpcLink": Operation(self.create, note="available at once"),
            "GetVpcLink": Operation(self.get),
            "GetVpcLinks": Operation(self.get_all),
            "UpdateVpcLink": Operation(self.update),
            "DeleteVpcLink": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values | None:
        """CreateVpcLink."""
        if self._records.vpc_links.count("owner", owner_of(caller)) >= VPC_LINKS_MAX:
            raise refusals.too_many("VPC links", "this account")
        link = VpcLink(
            account=caller.account,
            region=caller.region,
            id=new_id(self._ids, LONG_ID),
            name=_checked_name(values["name"]),
            target_arns=_checked_targets(values["targetArns"]),
            created_at=self._clock.now(),
            description=values.get("description"),
            tags=checked_tags(values.get("tags", {}), {}),
        )
        self._records.vpc_links.put(link)
        await self._records.store.commit()
        return {**_view(link, tags=False), "status": "PENDING", "statusMessage": None}

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetVpcLink."""
        return _view(self._find(caller, values), tags=True)

    async def get_all(self, caller: Caller, values: Values) -> Values | None:
        """GetVpcLinks."""
        found = self._records.vpc_links.by("owner", owner_of(caller))
        return listed(found, lambda one: one.id, values, lambda one: _view(one, tags=False))

    async def update(self, caller: Caller, values: Values) -> Values | None:
        """UpdateVpcLink."""
        link = _PATCHES.apply(self._find(caller, values), values.get("patchOperations"))
        self._records.vpc_links.put(link)
        await self._records.store.commit()
        return _view(link, tags=True)

    async def delete(self, caller: Caller, values: Values) -> Values | None:
        """DeleteVpcLink, unless a stage uses it."""
        link = self._find(caller, values)
        users = [user for stage in self._stages(caller) for user in self._users(stage, link.id)]
        if users:
            raise refusals.bad_request(
                f"Cannot delete vpc link. Vpc link '{link.id}', is referenced in [{', '.join(users)}] in format of "
                "[Method:Resource:Stage]"
            )
        self._records.vpc_links.delete(link)
        await self._records.store.commit()
        return {}

    def _find(self, caller: Caller, values: Values) -> VpcLink:
        found = self._records.vpc_links.get(join_key(caller.account, caller.region, values["vpcLinkId"]))
        if found is None:
            raise refusals.unknown("Vpc Link")
        return found

    def _stages(self, caller: Caller) -> list[Stage]:
        return self._records.stages.all(join_key(caller.account, caller.region, ""))

    def _users(self, stage: Stage, link_id: str) -> list[str]:
        deployment = self._records.deployments.get(join_key(stage.api, stage.deployment_id))
        if deployment is None:
            return []
        return [
            f"{method.http_method}:{resource.id}:{stage.name}"
            for resource in definition_of(deployment).resources
            for method in resource.methods.values()
            if method.integration is not None and method.integration.connection_id == link_id
        ]


def _view(link: VpcLink, *, tags: bool) -> Values:
    view = filled(id=link.id, name=link.name, description=link.description, tags=dict(link.tags))
    if tags:
        view["tags"] = dict(link.tags)
    return view | {"targetArns": list(link.target_arns), "status": "AVAILABLE", "statusMessage": _READY}


def _checked_name(name: str) -> str:
    if not name.strip():
        raise refusals.bad_request("Name cannot be empty")
    return name


def _checked_targets(arns: list[str]) -> tuple[str, ...]:
    if len(arns) != 1:
        raise refusals.bad_request("Only one target ARN can be specified for a vpc link")
    for arn in arns:
        parsed = parse_arn(arn)
        if parsed is None:
            raise refusals.bad_request(f"Invalid ARN. ARN is not well formed {arn}")
        if parsed.service != "elasticloadbalancing" or not parsed.resource.startswith("loadbalancer/net/"):
            raise refusals.bad_request(f"Invalid ARN. ARN is not of a network load balancer {arn}")
    return tuple(arns)


_PATCHES: Table[VpcLink] = Table(
    value("/name", "name", _checked_name), value("/description", "description", lambda text: text or None)
)
