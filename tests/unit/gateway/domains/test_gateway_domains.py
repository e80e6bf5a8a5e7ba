"""Custom domain names: what may be wished, who answers, whom they trust."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.tls_kit import BROKEN, Authority, pem

from cumulo.base.clock import SystemClock, VirtualClock
from cumulo.base.errors import AwsError
from cumulo.base.ports import Certificate as Kept
from cumulo.gateway.domains import truststore
from cumulo.gateway.domains.clients import moment, read_certificate, serial
from cumulo.gateway.domains.directory import Directory
from cumulo.gateway.domains.matching import Match
from cumulo.gateway.domains.model import REGIONAL, ApiMapping, DomainName, Endpoint, Truststore
from cumulo.gateway.domains.records import DomainRecords
from cumulo.gateway.domains.showing import Showing
from cumulo.gateway.domains.wishes import Wish, checked, checked_path, covers
from cumulo.net.authority import Authority as Local
from cumulo.state.store import Store
from cumulo.wire.http import Secured

ARN = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
EDGE_ARN = "arn:aws:acm:us-east-1:123456789012:certificate/1"
_DER = serialization.Encoding.DER
NOW = datetime(2026, 11, 26, tzinfo=UTC)


# -- wishes --------------------------------------------------------------------------------------------------


def wish(**members: Any) -> Wish:
    return Wish(**{"name": "api.example.com", "regional_certificate_arn": ARN} | members)


def why(**members: Any) -> str:
    with pytest.raises(AwsError) as caught:
        checked(wish(**members), "eu-west-1")
    return caught.value.message


def test_the_type_follows_from_the_certificates():
    assert checked(wish(), "eu-west-1").types == (REGIONAL,)
    edge = Wish(name="api.example.com", certificate_arn=EDGE_ARN)
    assert checked(edge, "eu-west-1").types == ("EDGE",)


@pytest.mark.parametrize(
    "name",
    ["localhost", "", "API.example.com", "a..com", "-a.com", "*.*.com", "a.*.com", "127.0.0.1", "x.amazonaws.com",
     "a.execute-api.localhost", "a b.com", "a.com/", "x" * 64 + ".com", ".".join(["abcdefgh"] * 30)],
)  # fmt: skip
def test_what_is_no_domain_name_of_anybody_s_own_is_refused(name: str):
    assert why(name=name) == "Invalid domain name specified"


def test_wildcards_and_names_below_localhost_are_domain_names():
    for name in ("*.example.com", "api.localhost", "a-b.c1.example.co.uk"):
        assert checked(wish(name=name), "eu-west-1").name == name


def test_certificates_lie_where_their_endpoints_want_them():
    assert why(types=("EDGE",), certificate_arn=ARN) == (
        f"Invalid certificate ARN: {ARN}. Certificate must be in 'us-east-1'."
    )
    assert why(regional_certificate_arn=EDGE_ARN) == (
        f"Invalid certificate ARN: {EDGE_ARN}. Certificate must be in 'eu-west-1'."
    )
    assert why(regional_certificate_arn="x") == "Invalid certificate ARN: x."
    assert why(types=(REGIONAL,), regional_certificate_arn="") == (
        "A certificate was not provided for the endpoint type REGIONAL."
    )


def test_mutual_tls_is_for_regional_names_with_modern_tls():
    trust = {"truststore_uri": "s3://bucket/key"}
    assert checked(wish(**trust), "eu-west-1").truststore_uri == "s3://bucket/key"
    assert "REGIONAL" in why(**trust, types=("EDGE",), certificate_arn=EDGE_ARN)
    assert "TLS 1.2" in why(**trust, security_policy="TLS_1_0")
    assert "s3://" in why(truststore_uri="http://x/y")
    assert "without a truststore URI" in why(truststore_version="1")


def test_what_is_not_built_is_refused_by_name():
    with pytest.raises(AwsError) as caught:
        checked(wish(types=("PRIVATE",)), "eu-west-1")
    assert (caught.value.code, "private" in caught.value.message) == ("NotImplemented", True)


def test_a_certificate_covers_a_name_by_itself_or_by_one_wildcard_label():
    assert covers(("example.com", "*.example.com"), "api.example.com")
    assert covers(("*.example.com",), "*.example.com")
    assert not covers(("*.example.com",), "a.b.example.com")
    assert not covers(("api.example.com",), "*.example.com")


def test_base_paths():
    assert checked_path("(none)", several=False) == ""
    assert checked_path("v1/a.b", several=True) == "v1/a.b"
    for path in ("/", "/a", "a/", "a//b", "a b", "ä", "x" * 301):
        with pytest.raises(AwsError):
            checked_path(path, several=True)
    with pytest.raises(AwsError, match="slash character"):
        checked_path("a/b", several=False)


# -- trust stores --------------------------------------------------------------------------------------------


def test_a_truststore_keeps_what_counts_and_says_what_is_wrong_with_the_rest():
    one, other = Authority("one"), Authority("other")
    late, _ = Authority("lates").issue("late", days=-1)
    text = (
        pem(one.certificate)
        + b"comment\n"
        + BROKEN
        + pem(other.certificate)
        + pem(one.certificate)
        + pem(late)
    )
    read = truststore.read(text, datetime.fromtimestamp(SystemClock().now(), UTC))
    assert read.pem.encode() == pem(one.certificate) + pem(other.certificate)
    assert [line.split("truststore ")[1].split(" (")[0] for line in read.warnings] == [
        "cannot be read.",
        "is there twice.",
        "(CN=late,O=Example,C=US) has expired.",
    ]


def test_weak_certificates_do_not_count():
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
    weak = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(truststore.BadTruststore, match="no valid certificate"):
        truststore.read(pem(weak), NOW)


def test_a_truststore_has_a_bound():
    with pytest.raises(truststore.BadTruststore, match="at most"):
        truststore.read(BROKEN * 1001, NOW)


# -- clients' certificates -----------------------------------------------------------------------------------


def test_a_certificate_is_told_in_aws_s_words():
    certificate, _ = Authority("clients").issue("client, the first")
    told = read_certificate(certificate.public_bytes(_DER))
    assert told.subject == "C=US,O=Example,CN=client\\, the first"
    assert told.issuer == "C=US,O=Example,CN=clients"
    assert told.serial == "4711"
    assert told.pem.startswith("-----BEGIN CERTIFICATE-----\n")


def test_serial_numbers_and_times_are_openssl_s():
    assert (serial(1), serial(0xA1 << 80)) == ("1", "a1:00:00:00:00:00:00:00:00:00:00")
    assert moment(datetime(2120, 8, 5, 0, 28, 21, tzinfo=UTC)) == "Aug  5 00:28:21 2120 GMT"


# -- who answers ---------------------------------------------------------------------------------------------


class Names:
    """Records on a temporary store, and the directory of them."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "x.db", synchronous="OFF")
        self.records = DomainRecords(self.store)
        self.directory = Directory(self.records)

    def add(
        self, name: str, *paths: str, region: str = "eu-west-1", created: float = 1.0, **more: Any
    ) -> DomainName:
        target = f"d-{name.replace('.', '').replace('*', 'w')}.execute-api.{region}.amazonaws.com"
        domain = DomainName(
            account="123456789012",
            region=region,
            name=name,
            created=created,
            regional=Endpoint(target=target, certificate_arn=ARN),
            **more,
        )
        self.records.names.put(domain)
        for path in paths:
            self.records.mappings.put(
                ApiMapping(
                    domain=domain.key, id=path, api_id=f"api-{name}", kind="HTTP", path=path, stage="s"
                )
            )
        self.directory.refresh(domain.key)
        return domain


@pytest.fixture
def names(tmp_path: Path):
    made = Names(tmp_path)
    yield made
    asyncio.run(made.store.close())


def test_an_exact_name_goes_before_a_wildcard_and_a_wildcard_has_one_label(names: Names):
    names.add("*.example.com", "")
    names.add("api.example.com", "v1")
    find = names.directory.find
    assert find("api.example.com", "/v1/x") == Match("api-api.example.com", "s", "v1")
    assert find("api.example.com", "/v2") is None
    assert find("other.example.com", "/v2") == Match("api-*.example.com", "s", "")
    assert not names.directory.knows("a.b.example.com")
    assert not names.directory.knows("example.com")


def test_an_endpoint_s_own_name_is_known_and_leads_nowhere(names: Names):
    domain = names.add("api.example.com", "")
    assert domain.regional is not None
    assert names.directory.knows(domain.regional.target)
    assert names.directory.find(domain.regional.target, "/") is None


def test_the_same_name_in_two_regions_is_answered_by_the_older_one(names: Names):
    names.add("api.example.com", "new", region="us-east-1", created=2.0)
    names.add("api.example.com", "old", created=1.0)
    assert names.directory.find("api.example.com", "/old") is not None
    assert names.directory.find("api.example.com", "/new") is None


def test_a_name_that_has_gone_is_known_no_more(names: Names):
    domain = names.add("api.example.com", "")
    names.records.names.delete(domain)
    names.directory.refresh(domain.key)
    assert not names.directory.knows("api.example.com")


def test_clients_of_a_mutual_name_must_have_greeted_it_itself(names: Names):
    authority = Authority("clients")
    trust = Truststore(uri="s3://a/b", pem=pem(authority.certificate).decode())
    names.add("m.example.com", "", truststore=trust)
    names.add("n.example.com", "")
    der = authority.issue("client")[0].public_bytes(_DER)
    client = names.directory.client
    assert names.directory.mutual("m.example.com")
    assert not names.directory.mutual("n.example.com")
    found = client("m.example.com", Secured("m.example.com", der))
    assert found is not None
    assert found.subject == "C=US,O=Example,CN=client"
    for secured in (None, Secured("m.example.com"), Secured("n.example.com", der), Secured("", der)):
        assert client("m.example.com", secured) is None
    self_signed = authority.certificate.public_bytes(_DER)
    assert client("m.example.com", Secured("m.example.com", self_signed)) is None, "AWS refuses these"


# -- what TLS shows ------------------------------------------------------------------------------------------


class Keeper:
    """ACM: certificates by ARN."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.asked = 0

    async def certificate(self, caller: Any, arn: str) -> Kept | None:
        self.asked += 1
        return self.kept.get(arn)


def names_in(context: ssl.SSLContext | None, trusted: str, name: str) -> tuple[str, ...]:
    """What a client sees: whether it trusts it, by a handshake in memory."""
    assert context is not None
    client = ssl.create_default_context(cadata=trusted)
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(outward, inward, server_side=True)
    theirs = client.wrap_bio(inward, outward, server_hostname=name)
    for _ in range(3):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    seen = theirs.getpeercert()
    assert seen
    return tuple(value for kind, value in seen["subjectAltName"] if kind == "DNS")  # type: ignore[misc]


def test_a_domain_name_s_certificate_is_acm_s_and_read_again_after_a_while(names: Names, tmp_path: Path):
    async def story() -> None:
        clock, keeper = VirtualClock(SystemClock().now()), Keeper()
        local, theirs = Local(tmp_path / "ca", clock), Local(tmp_path / "acm", clock)
        showing = Showing(names.directory, local, keeper, clock)
        names.add("api.example.com")
        assert names_in(await showing.context_for("api.example.com"), local.certificate(), "api.example.com")
        issued = theirs.issue(["api.example.com", "more.example.com"])
        keeper.kept[ARN] = Kept(arn=ARN, certificate=issued.chain, key=issued.key, names=issued.names)
        assert names_in(await showing.context_for("api.example.com"), local.certificate(), "api.example.com")
        assert keeper.asked == 1
        clock.advance(301)
        seen = names_in(await showing.context_for("api.example.com"), theirs.certificate(), "api.example.com")
        assert (seen, keeper.asked) == (("api.example.com", "more.example.com"), 2)

    asyncio.run(story())


def test_other_names_get_a_certificate_of_the_authority_if_they_are_the_cloud_s(names: Names, tmp_path: Path):
    async def story() -> None:
        clock = VirtualClock(SystemClock().now())
        local = Local(tmp_path / "ca", clock)
        showing = Showing(names.directory, local, Keeper(), clock, ("10.1.2.3", "0.0.0.0", "example.org"))
        trusted = local.certificate()
        for name in ("a.localhost", "x.execute-api.us-east-1.amazonaws.com"):
            assert names_in(await showing.context_for(name), trusted, name) == (name,)
        assert await showing.context_for("a.localhost") is await showing.context_for("a.localhost")
        assert await showing.context_for("www.example.org") is await showing.context_for("")
        assert names_in(await showing.context_for(""), trusted, "localhost") == ("localhost",)
        assert names_in(await showing.context_for(""), trusted, "10.1.2.3") == ("localhost",)

    asyncio.run(story())
