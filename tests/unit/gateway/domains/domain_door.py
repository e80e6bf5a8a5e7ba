"""The operations of both versions on custom domain names behind one real door, with certificates and objects of a test's own."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from tests.door_kit import a_door, client_of
from tests.elb_kit import Subnets

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import Certificate
from cumulo.gateway.domains.desk import DomainDesk
from cumulo.gateway.domains.directory import Directory
from cumulo.gateway.domains.records import DomainRecords
from cumulo.services.apigateway import domain_names as v1
from cumulo.services.apigateway.base_path_mappings import BasePathMappings
from cumulo.services.apigateway.records import Records
from cumulo.services.apigateway.tags import Tagging
from cumulo.services.apigatewayv2 import domain_names as v2
from cumulo.services.apigatewayv2.api_mappings import ApiMappings
from cumulo.services.apigatewayv2.house import ApiGatewayV2House
from cumulo.state.store import Store
from cumulo.wire.service import Service

ACCOUNT, REGION = "123456789012", "eu-west-1"
REST, HTTP, SOCKETS = "restapi001", "httpapi001", "sockets001"
KINDS = {REST: "REST", HTTP: "HTTP", SOCKETS: "WEBSOCKET"}


def arn(name: str, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:acm:{region}:{account}:certificate/{name}"


class Acm:
    """Certificates by the last part of their ARNs, for *.example.com."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, ...]] = {"good": ("*.example.com",), "other": ("*.example.com",)}
        self.pause: asyncio.Event | None = None

    async def certificate(self, caller: Any, arn: str) -> Certificate | None:
        if self.pause is not None:
            await self.pause.wait()
        names = self.names.get(arn.rpartition("/")[2])
        if names is None or f":{caller.account}:" not in arn or f":{caller.region}:" not in arn:
            return None
        return Certificate(arn=arn, certificate="", key="", names=names)


class Objects:
    """S3: what lies at bucket/key, of any version."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.read: list[tuple[str, str | None]] = []

    async def read_object(
        self, caller: Any, bucket: str, key: str, version: str | None, *, bytes_max: int
    ) -> bytes:
        del caller, bytes_max
        self.read.append((f"{bucket}/{key}", version))
        if f"{bucket}/{key}" not in self.data:
            raise AwsError("NoSuchKey", "The specified key does not exist.", status=404)
        return self.data[f"{bucket}/{key}"]


class Book:
    """Three APIs with a stage `prod` each."""

    def kind(self, account: str, region: str, api_id: str) -> str:
        return KINDS.get(api_id, "") if (account, region) == (ACCOUNT, REGION) else ""

    def has_stage(self, account: str, region: str, api_id: str, stage: str) -> bool:
        return bool(self.kind(account, region, api_id)) and stage == "prod"


class Door:
    """Clients of both versions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = VirtualClock(SystemClock().now())
        self.acm, self.objects = Acm(), Objects()
        self.told: list[str] = []
        self.open()

    def open(self) -> None:
        self.store = Store(self.path / "store.db", synchronous="OFF")
        self.records = DomainRecords(self.store)
        self.directory = Directory(self.records)
        self.desk = DomainDesk(
            self.records,
            clock=self.clock,
            ids=Ids(),
            certificates=self.acm,
            objects=self.objects,
            book=Book(),
            after=self._after,
        )
        self.v1, self.v2 = self.clients(ACCOUNT)

    def clients(self, account: str, region: str = REGION) -> tuple[Any, Any]:
        house = ApiGatewayV2House(
            store=self.store, clock=self.clock, ids=Ids(), stages=_stages(), compilers={}, network=Subnets()
        )
        house.keep_tags("domainnames", v2.DomainTags(self.desk))
        nouns = (v1.DomainNames(self.desk), BasePathMappings(self.desk))
        tagging = Tagging(Records(self.store), {"domainnames": v1.DomainTags(self.desk)})
        first = {name: one for noun in (*nouns, tagging) for name, one in noun.operations().items()}
        second = {**v2.DomainNames(self.desk).operations(), **ApiMappings(self.desk).operations()}
        services = {"apigateway": Service("apigateway", first), "apigatewayv2": house.service(second)}
        door = a_door(services, store=self.store, clock=self.clock, account=account, region=region)
        return client_of("apigateway", door, account, region), client_of(
            "apigatewayv2", door, account, region
        )

    def close(self) -> None:
        asyncio.run(self.store.close())

    def reopen(self) -> None:
        self.close()
        self.open()

    async def _after(self, key: str) -> None:
        self.directory.refresh(key)
        self.told.append(key)

    # -- short ways --------------------------------------------------------------------------------------

    def regional(self, name: str = "api.example.com", **more: Any) -> Any:
        wanted = {
            "regionalCertificateArn": arn("good"),
            "endpointConfiguration": {"types": ["REGIONAL"]},
            "securityPolicy": "TLS_1_2",
        }
        return self.v1.create_domain_name(domainName=name, **(wanted | more))

    def patch(self, name: str, *operations: tuple[str, str, str | None]) -> Any:
        made = [
            {"op": op, "path": path} | ({} if value is None else {"value": value})
            for op, path, value in operations
        ]
        return self.v1.update_domain_name(domainName=name, patchOperations=made)


def _stages() -> Any:
    from cumulo.gateway.stages import Stages

    return Stages()


@contextlib.contextmanager
def refused(code: str, message: str = ""):
    """AWS's refusal, by its code and sentence (or a part of it)."""
    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == code, said
        assert message in said["Message"], said
    else:
        raise AssertionError(f"{code} was expected")
