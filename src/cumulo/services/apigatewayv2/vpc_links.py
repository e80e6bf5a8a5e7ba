"""VPC links: ways into a network, for private integrations of HTTP APIs.

PENDING ──a moment──▶ AVAILABLE ──DeleteVpcLink──▶ DELETING ──a moment──▶ gone

Nothing has to be built for them here: every network of this cloud can be reached.  States follow from the clock.
"""

from typing import Final

from msgspec.structs import replace

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.networks import NetworkFacts
from cumulo.services.apigatewayv2 import bounds, tagging
from cumulo.services.apigatewayv2.desk import Desk
from cumulo.services.apigatewayv2.paging import page
from cumulo.services.apigatewayv2.records import VpcLink
from cumulo.services.apigatewayv2.refusals import bad, missing
from cumulo.services.apigatewayv2.route_rules import target_of
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values

LINKS_MAX: Final = 10
_MESSAGES: Final = {
    "PENDING": "VPC link is provisioning ENIs",
    "AVAILABLE": "VPC link is ready to route traffic",
    "DELETING": "VPC link is deleting",
}
_NOTE: Final = "subnets and security groups are kept; traffic does not pass through them"


def state_of(link: VpcLink, now: float, seconds: float) -> str:
    """The link's state, or empty when it is gone.  `seconds`: how long making and unmaking takes."""
    if link.deleted:
        return "DELETING" if now < link.deleted + seconds else ""
    return "PENDING" if now < link.created + seconds else "AVAILABLE"


class VpcLinks:
    """The operations on VPC links.  `network` checks subnets and security groups; None: nobody can."""

    def __init__(self, desk: Desk, network: NetworkFacts | None, seconds: float) -> None:
        self._desk = desk
        self._network = network
        self._seconds = seconds

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "CreateVpcLink": Operation(self.create, note=_NOTE),
            "GetVpcLink": Operation(self.get),
            "GetVpcLinks": Operation(self.get_all),
            "UpdateVpcLink": Operation(self.update),
            "DeleteVpcLink": Operation(self.delete),
        }

    async def create(self, caller: Caller, values: Values) -> Values:
        """Make a link."""
        bounds.check(values)
        _check_name(values["Name"])
        subnets = tuple(values["SubnetIds"])
        groups = tuple(values.get("SecurityGroupIds") or ())
        tags = tagging.checked(values.get("Tags") or {}, {})
        if not subnets:
            raise bad("SubnetIds for a vpc link cannot be empty")
        await self._check(caller, subnets, groups)
        if sum(1 for link in self._links(caller) if not link.deleted) >= LINKS_MAX:
            raise AwsError(
                "TooManyRequestsException", "Maximum number of VPC links has been reached.", status=429
            )
        made = VpcLink(
            account=caller.account,
            region=caller.region,
            id=self._desk.new_id(),
            name=values["Name"],
            created=self._desk.clock.now(),
            subnet_ids=subnets,
            security_group_ids=groups,
            tags=tags,
        )
        self._desk.records.links.put(made)
        await self._desk.settle([])
        return self._view(made)

    async def get(self, caller: Caller, values: Values) -> Values:
        """Show a link."""
        return self._view(self._link(caller, values))

    async def get_all(self, caller: Caller, values: Values) -> Values:
        """Show links."""
        return page(self._links(caller), lambda one: one.id, self._view, values)

    async def update(self, caller: Caller, values: Values) -> Values:
        """Give a link another name."""
        bounds.check(values)
        made = self._link(caller, values)
        if values.get("Name") is not None:
            _check_name(values["Name"])
            made = self._desk.records.links.put(replace(made, name=values["Name"]))
        await self._desk.settle([])
        return self._view(made)

    async def delete(self, caller: Caller, values: Values) -> None:
        """Delete a link that no route leads through."""
        have = self._link(caller, values)
        users = self._users(have)
        if users:
            raise bad(
                f"Cannot delete vpc link. Vpc link '{have.id}', is referenced in [{', '.join(users)}] in format of "
                "[Method:Resource]."
            )
        if not have.deleted:
            self._desk.records.links.put(replace(have, deleted=self._desk.clock.now()))
        await self._desk.settle([])

    async def _check(self, caller: Caller, subnets: tuple[str, ...], groups: tuple[str, ...]) -> None:
        if self._network is None:
            return
        try:
            found = await self._network.subnets(caller, subnets)
            await self._network.check_security_groups(caller, groups)
        except AwsError as error:
            if error.status >= 500:
                raise
            raise bad(error.message) from None
        if len({one.network for one in found}) > 1:
            raise bad("All subnets of a vpc link must be in the same VPC")

    def _users(self, link: VpcLink) -> list[str]:
        found = []
        for api in self._desk.records.apis.all(join_key(link.account, link.region, "")):
            through = {
                one.id: one.integration_method
                for one in api.definition.integrations.values()
                if one.connection_id == link.id
            }
            for route in api.definition.routes:
                integration_id = target_of(route.target)
                if integration_id in through:
                    found.append(f"{through[integration_id]}:{route.id}")
        return found

    def _link(self, caller: Caller, values: Values) -> VpcLink:
        found = self._desk.records.links.get(join_key(caller.account, caller.region, values["VpcLinkId"]))
        if found is None or not self._state(found):
            raise missing("VpcLink", values["VpcLinkId"])
        return found

    def _links(self, caller: Caller) -> list[VpcLink]:
        """The caller's links; those whose time is over go with the next commit."""
        left = []
        for link in self._desk.records.links.all(join_key(caller.account, caller.region, "")):
            if self._state(link):
                left.append(link)
            else:
                self._desk.records.links.delete(link)
        return left

    def _state(self, link: VpcLink) -> str:
        return state_of(link, self._desk.clock.now(), self._seconds)

    def _view(self, one: VpcLink) -> Values:
        state = self._state(one)
        return {
            "CreatedDate": one.created,
            "Name": one.name,
            "SecurityGroupIds": list(one.security_group_ids),
            "SubnetIds": list(one.subnet_ids),
            "Tags": dict(one.tags),
            "VpcLinkId": one.id,
            "VpcLinkStatus": state,
            "VpcLinkStatusMessage": _MESSAGES[state],
            "VpcLinkVersion": "V2",
        }


def _check_name(name: str) -> None:
    if not name.strip():
        raise bad("Invalid VpcLink name specified")
