"""How custom domain names and their mappings are changed: checked, written in one transaction, then told to who answers."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from cumulo.base.arn import parse_arn
from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.ports import Certificates, ObjectReader
from cumulo.gateway.domains import naming, refusals, truststore
from cumulo.gateway.domains.model import (
    EDGE,
    REGIONAL,
    WEBSOCKET,
    ApiMapping,
    DomainName,
    Endpoint,
    Truststore,
)
from cumulo.gateway.domains.records import DomainRecords
from cumulo.gateway.domains.wishes import (
    CERTIFICATES_REGION_OF_EDGE,
    Wish,
    bucket_and_key,
    checked,
    covers,
    wish_of,
)
from cumulo.state.store import join_key

DOMAINS_MAX: Final = 120  # of an account in a region
MAPPINGS_MAX: Final = 200  # of a domain name


class ApiBook(Protocol):
    """Which APIs there are, of all kinds."""

    def kind(self, account: str, region: str, api_id: str) -> str:
        """REST, HTTP or WEBSOCKET; empty when there is no such API."""
        ...

    def has_stage(self, account: str, region: str, api_id: str, stage: str) -> bool:
        """Whether the API has such a stage."""
        ...


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """In which the two versions of the API differ.

    exists       the error when a domain name is there
    too_many     the error when there are too many
    path_exists  the sentence when a mapping is there
    """

    exists: str
    too_many: str
    path_exists: str


V1: Final = Words(
    exists="BadRequestException",
    too_many="LimitExceededException",
    path_exists="Base path already exists for this domain name",
)
V2: Final = Words(
    exists="ConflictException",
    too_many="TooManyRequestsException",
    path_exists="ApiMapping key already exists for this domain name",
)


class DomainDesk:
    """Records, and how they are changed.

    book    which APIs and stages there are
    after   awaited after the commit, with the key of a domain name that has changed, or has gone
    """

    def __init__(
        self,
        records: DomainRecords,
        *,
        clock: Clock,
        ids: Ids,
        certificates: Certificates,
        objects: ObjectReader,
        book: ApiBook,
        after: Callable[[str], Awaitable[None]],
    ) -> None:
        self.records = records
        self.book = book
        self._after = after
        self._clock = clock
        self._ids = ids
        self._certificates = certificates
        self._objects = objects

    # -- domain names ----------------------------------------------------------------------------------------

    def find(self, caller: Caller, name: str) -> DomainName:
        """The domain name.  NotFoundException."""
        found = self.records.names.get(join_key(caller.account, caller.region, name.lower()))
        if found is None:
            raise refusals.unknown_domain()
        return found

    def names_of(self, caller: Caller) -> list[DomainName]:
        """All of the caller's account and region, sorted."""
        return self.records.names.all(join_key(caller.account, caller.region, ""))

    async def create(self, caller: Caller, wish: Wish, words: Words) -> DomainName:
        """Make a domain name.  AwsError for what cannot be."""
        wish = checked(wish, caller.region)
        self._check_new(caller, wish, words)
        await self._check_certificates(caller, wish)
        trust = await self._trust(caller, wish, None)
        self._check_new(caller, wish, words)  # somebody else may have been quicker
        blank = DomainName(
            account=caller.account, region=caller.region, name=wish.name, created=self._clock.now()
        )
        domain = self._made(blank, wish, trust)
        self.records.names.put(domain)
        await self._settle(domain)
        return domain

    async def update(self, caller: Caller, before: DomainName, wish: Wish) -> DomainName:
        """Make a domain name what it shall be.  AwsError for what cannot be."""
        wish = checked(wish, caller.region)
        old = wish_of(before)
        if (wish.certificate_arn, wish.regional_certificate_arn, wish.ownership_arn) != (
            old.certificate_arn,
            old.regional_certificate_arn,
            old.ownership_arn,
        ):
            await self._check_certificates(caller, wish)
        trust = await self._trust(caller, wish, before.truststore)
        if self.records.names.get(before.key) != before:
            raise refusals.conflict()
        domain = self._made(before, wish, trust)
        self.records.names.put(domain)
        await self._settle(domain)
        return domain

    async def delete(self, domain: DomainName) -> None:
        """Remove a domain name and its mappings."""
        for mapping in self.records.mappings_of(domain):
            self.records.mappings.delete(mapping)
        self.records.names.delete(domain)
        await self._settle(domain)

    def put_tags(self, domain: DomainName, tags: "dict[str, str]") -> None:
        """Write tags; the caller commits."""
        self.records.names.put(replace(domain, tags=tags))

    # -- mappings --------------------------------------------------------------------------------------------

    def mappings_of(self, domain: DomainName) -> list[ApiMapping]:
        """All of a domain name, by their ids."""
        return sorted(self.records.mappings_of(domain), key=lambda one: one.id)

    async def map(self, domain: DomainName, mapping: ApiMapping, words: Words) -> ApiMapping:
        """Write a mapping, new (without an id) or changed, whose API and stage were checked.  AwsError."""
        others = [one for one in self.records.mappings_of(domain) if one.id != mapping.id]
        if any(one.path == mapping.path for one in others):
            raise refusals.path_exists(words.path_exists)
        if any((one.kind == WEBSOCKET) != (mapping.kind == WEBSOCKET) for one in others):
            raise refusals.only_websockets()
        if not mapping.id:
            if len(others) >= MAPPINGS_MAX:
                raise refusals.too_many("API mappings", "domain name", words.too_many)
            mapping = replace(mapping, id=naming.mapping_id(self._ids))
        self.records.mappings.put(mapping)
        await self._settle(domain)
        return mapping

    async def unmap(self, domain: DomainName, mapping: ApiMapping) -> None:
        """Remove a mapping."""
        self.records.mappings.delete(mapping)
        await self._settle(domain)

    def mapped_by(self, api_id: str, stage: str = "") -> list[str]:
        """The domain names that lead to an API, or to a stage of it."""
        mappings = self.records.mappings.by("api", api_id)
        found = (self.records.names.get(one.domain) for one in mappings if stage in ("", one.stage))
        return sorted({one.name for one in found if one is not None})

    # -- details ---------------------------------------------------------------------------------------------

    async def _settle(self, domain: DomainName) -> None:
        await self.records.store.commit()
        await self._after(domain.key)

    def _check_new(self, caller: Caller, wish: Wish, words: Words) -> None:
        for other in self.records.names.by("host", wish.name):
            if other.region == caller.region or EDGE in (*wish.types, *other.types):
                raise refusals.domain_exists(words.exists)
        if len(self.names_of(caller)) >= DOMAINS_MAX:
            raise refusals.too_many("custom domain names", "account", words.too_many)

    def _made(self, before: DomainName, wish: Wish, trust: Truststore | None) -> DomainName:
        now = self._clock.now()
        edge = regional = None
        if EDGE in wish.types:
            target = before.edge.target if before.edge is not None else naming.distribution_name(self._ids)
            edge = _endpoint(before.edge, target, wish.certificate_arn, wish.certificate_name, now)
        if REGIONAL in wish.types:
            region = before.region
            target = before.regional.target if before.regional else naming.regional_name(self._ids, region)
            arn, name = wish.regional_certificate_arn, wish.regional_certificate_name
            regional = _endpoint(before.regional, target, arn, name, now)
        return replace(
            before,
            edge=edge,
            regional=regional,
            uploaded=wish.uploaded,
            security_policy=wish.security_policy,
            access_mode=wish.access_mode,
            ip_address_type=wish.ip_address_type,
            truststore=trust,
            ownership_arn=wish.ownership_arn,
            tags=wish.tags,
        )

    async def _check_certificates(self, caller: Caller, wish: Wish) -> None:
        if EDGE in wish.types and wish.certificate_arn:
            await self._check_certificate(
                caller, wish.certificate_arn, wish.name, CERTIFICATES_REGION_OF_EDGE
            )
        if REGIONAL in wish.types:
            await self._check_certificate(caller, wish.regional_certificate_arn, wish.name, caller.region)
        if wish.ownership_arn:
            await self._check_certificate(caller, wish.ownership_arn, wish.name, caller.region)

    async def _check_certificate(self, caller: Caller, arn: str, name: str, region: str) -> None:
        there = Caller(account=caller.account, region=region)
        found = await self._certificates.certificate(there, arn)
        if found is None:
            parsed = parse_arn(arn)
            raise refusals.no_certificate(parsed.account if parsed is not None else "", caller.account)
        if not covers(found.names, name):
            raise refusals.bad(f"The certificate {arn} does not cover the domain name {name}.")

    async def _trust(self, caller: Caller, wish: Wish, before: Truststore | None) -> Truststore | None:
        if not wish.truststore_uri:
            return None
        if before is not None and (before.uri, before.version) == (
            wish.truststore_uri,
            wish.truststore_version,
        ):
            return before
        bucket, key = bucket_and_key(wish.truststore_uri)
        version = wish.truststore_version
        try:
            data = await self._objects.read_object(
                caller, bucket, key, version or None, bytes_max=truststore.BYTES_MAX
            )
            read = truststore.read(data, datetime.fromtimestamp(self._clock.now(), UTC))
        except AwsError as error:
            raise refusals.bad(
                f"Unable to read the truststore {wish.truststore_uri}: {error.code}: {error.message}"
            ) from error
        except truststore.BadTruststore as error:
            raise refusals.bad(f"Invalid truststore {wish.truststore_uri}: {error}") from error
        return Truststore(uri=wish.truststore_uri, version=version, pem=read.pem, warnings=read.warnings)


def _endpoint(before: Endpoint | None, target: str, arn: str, name: str, now: float) -> Endpoint:
    same = before is not None and before.certificate_arn == arn
    certified = before.certified if before is not None and same else now
    return Endpoint(target=target, certificate_arn=arn, certificate_name=name, certified=certified)
