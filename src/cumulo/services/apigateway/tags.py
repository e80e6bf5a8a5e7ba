"""Tags, by ARN: of APIs, stages, API keys, usage plans, VPC links and client certificates; others by hand-in."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.services.apigateway import refusals
from cumulo.services.apigateway.naming import checked_tags
from cumulo.services.apigateway.records import Records
from cumulo.state.shelf import Shelf
from cumulo.state.store import join_key
from cumulo.wire.service import Operation, Values


class Tagged(Protocol):
    """Things of another control plane that have tags and ARNs of this service (domain names)."""

    def tags(self, account: str, region: str, name: str) -> Mapping[str, str] | None:
        """The tags, or None when there is no such thing."""
        ...

    def put_tags(self, account: str, region: str, name: str, tags: Mapping[str, str]) -> None:
        """Write the tags; the caller commits."""
        ...


class Tagging:
    """The operations on tags.

    others   who else is asked, by the first segment of an ARN's path (`domainnames`)
    """

    def __init__(self, records: Records, others: Mapping[str, Tagged]) -> None:
        self._records = records
        self._others = others

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "TagResource": Operation(self.tag),
            "UntagResource": Operation(self.untag),
            "GetTags": Operation(self.get),
        }

    async def tag(self, caller: Caller, values: Values) -> Values | None:
        """TagResource."""
        have, put = self._find(caller, values["resourceArn"])
        put(checked_tags(values["tags"], have))
        await self._records.store.commit()
        return {}

    async def untag(self, caller: Caller, values: Values) -> Values | None:
        """UntagResource."""
        have, put = self._find(caller, values["resourceArn"])
        put({key: value for key, value in have.items() if key not in values["tagKeys"]})
        await self._records.store.commit()
        return {}

    async def get(self, caller: Caller, values: Values) -> Values | None:
        """GetTags; there are never so many that a page would not hold them."""
        have, _ = self._find(caller, values["resourceArn"])
        return {"tags": dict(have)}

    def _find(
        self, caller: Caller, text: str
    ) -> tuple[Mapping[str, str], Callable[[Mapping[str, str]], object]]:
        """The tags of what an ARN names, and what writes other ones."""
        arn = parse_arn(text)
        if arn is None or arn.service != "apigateway" or arn.region != caller.region or arn.account:
            raise refusals.bad_request("Invalid ARN specified in the request")
        parts = tuple(arn.resource.strip("/").split("/"))
        shelf, thing = self._shelf(parts)
        if shelf is None:
            return self._elsewhere(caller, parts)
        names = (parts[1], parts[3]) if len(parts) == 4 else (parts[1],)
        record: Any = shelf.get(join_key(caller.account, caller.region, *names))
        if record is None:
            if thing == "API":
                raise refusals.unknown_api(caller.account, parts[1])
            raise refusals.unknown(thing)
        return record.tags, lambda tags: shelf.put(msgspec.structs.replace(record, tags=dict(tags)))

    def _shelf(self, parts: tuple[str, ...]) -> tuple[Shelf[Any] | None, str]:
        if len(parts) == 4 and parts[0] == "restapis" and parts[2] == "stages":
            return self._records.stages, "Stage"
        if len(parts) != 2:
            return None, ""
        shelves: dict[str, tuple[Shelf[Any] | None, str]] = {
            "restapis": (self._records.apis, "API"),
            "apikeys": (self._records.api_keys, "API Key"),
            "usageplans": (self._records.usage_plans, "Usage Plan"),
            "vpclinks": (self._records.vpc_links, "Vpc Link"),
            "clientcertificates": (self._records.client_certificates, "Client Certificate"),
        }
        return shelves.get(parts[0], (None, ""))

    def _elsewhere(
        self, caller: Caller, parts: tuple[str, ...]
    ) -> tuple[Mapping[str, str], Callable[[Mapping[str, str]], object]]:
        other = self._others.get(parts[0]) if len(parts) == 2 else None
        if other is None:
            raise refusals.bad_request("Invalid ARN specified in the request")
        have = other.tags(caller.account, caller.region, parts[1])
        if have is None:
            raise refusals.not_found("Invalid domain name identifier specified")
        return have, lambda tags: other.put_tags(caller.account, caller.region, parts[1], tags)
