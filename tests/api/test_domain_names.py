"""Custom domain names through real clients: boto3 for the API; curl, openssl and Python's ssl for TLS."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from tests.support import Process, deploy
from tests.tls_kit import BROKEN, Authority, pem, private

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:echo"
ECHO = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event)}
"""


class Secure(NamedTuple):
    """A cloud with a port for TLS, an HTTP API, and certificates."""

    process: Process
    port: int
    ca: Path
    api: str
    certificate: str

    def client(self, service: str) -> Any:
        return self.process.client(service)

    def curl(self, url: str, *more: str, trust: Path | None = None) -> tuple[int, str]:
        """curl's exit code, and what it printed; every name leads to the port for TLS."""
        trusted = str(trust or self.ca)
        argv = [
            "curl",
            "-sS",
            "--max-time",
            "20",
            "--cacert",
            trusted,
            "--connect-to",
            f"::127.0.0.1:{self.port}",
        ]
        done = subprocess.run([*argv, *more, url], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def shown(self, name: str | None) -> x509.Certificate:
        """The certificate that a client sees that asks for a name."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as sock,
            context.wrap_socket(sock, server_hostname=name) as tls,
        ):
            der = tls.getpeercert(binary_form=True)
        assert der
        return x509.load_der_x509_certificate(der)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("domains")
    process = Process(folder / "data", "--tls-port", "0")
    process.start()
    try:
        port = int(process.gauges()["tls_port"])
        aws = process.client("lambda")
        deploy(aws, "echo", ECHO)
        api = process.client("apigatewayv2").create_api(Name="echo", ProtocolType="HTTP", Target=FUNCTION)[
            "ApiId"
        ]
        names = ["*.example.com", "example.com"]
        arn = process.client("acm").request_certificate(
            DomainName="example.org", SubjectAlternativeNames=names
        )
        yield Secure(process, port, folder / "data/ca/ca.pem", api, arn["CertificateArn"])
    finally:
        process.stop()


def make(cloud: Secure, name: str, **more: Any) -> Any:
    """A domain name of the second version."""
    configuration = {"CertificateArn": more.pop("arn", cloud.certificate)}
    return cloud.client("apigatewayv2").create_domain_name(
        DomainName=name, DomainNameConfigurations=[configuration], **more
    )


def lead(cloud: Secure, name: str, path: str = "", stage: str = "$default") -> str:
    """A mapping to the API."""
    made = cloud.client("apigatewayv2").create_api_mapping(
        DomainName=name, ApiId=cloud.api, Stage=stage, ApiMappingKey=path
    )
    return str(made["ApiMappingId"])


def refused(call: Any, **values: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**values)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# -- the API -------------------------------------------------------------------------------------------------


def test_a_domain_name_of_the_second_version_leads_to_an_api_by_its_longest_path(cloud: Secure):
    made = make(cloud, "a.example.com", Tags={"team": "pets"})
    (configuration,) = made["DomainNameConfigurations"]
    assert configuration["ApiGatewayDomainName"].endswith(".execute-api.us-east-1.amazonaws.com")
    assert configuration["DomainNameStatus"] == "AVAILABLE"
    assert (configuration["HostedZoneId"], configuration["SecurityPolicy"]) == ("Z1UJRXOUMOOFQ8", "TLS_1_2")
    lead(cloud, "a.example.com", "v1/orders")
    code, body = cloud.curl("https://a.example.com/v1/orders/7?x=1")
    event = json.loads(body)
    assert code == 0
    assert event["requestContext"]["domainName"] == "a.example.com"
    assert event["rawQueryString"] == "x=1"
    assert cloud.curl("https://a.example.com/v1/others")[1] == '{"message":"Forbidden"}'
    v2 = cloud.client("apigatewayv2")
    assert v2.get_tags(ResourceArn=made["DomainNameArn"])["Tags"] == {"team": "pets"}
    assert v2.get_api_mappings(DomainName="a.example.com")["Items"][0]["ApiMappingKey"] == "v1/orders"


def test_both_versions_see_the_same_domain_names(cloud: Secure):
    rest = cloud.client("apigateway")
    made = rest.create_domain_name(
        domainName="b.example.com",
        regionalCertificateArn=cloud.certificate,
        endpointConfiguration={"types": ["REGIONAL"]},
        securityPolicy="TLS_1_2",
        tags={"a": "1"},
    )
    assert made["endpointConfiguration"] == {"types": ["REGIONAL"], "ipAddressType": "ipv4"}
    assert made["regionalHostedZoneId"] == "Z1UJRXOUMOOFQ8"
    lead(cloud, "b.example.com", "http")
    assert json.loads(cloud.curl("https://b.example.com/http/x")[1])["version"] == "2.0"
    api = rest.create_rest_api(name="mock")
    rest.put_method(
        restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod="GET", authorizationType="NONE"
    )
    rest.put_integration(
        restApiId=api["id"],
        resourceId=api["rootResourceId"],
        httpMethod="GET",
        type="MOCK",
        requestTemplates={"application/json": '{"statusCode": 200}'},
    )
    rest.put_method_response(
        restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod="GET", statusCode="200"
    )
    rest.put_integration_response(
        restApiId=api["id"],
        resourceId=api["rootResourceId"],
        httpMethod="GET",
        statusCode="200",
        responseTemplates={
            "application/json": '{"stage": "$context.stage", "domain": "$context.domainName"}'
        },
    )
    rest.create_deployment(restApiId=api["id"], stageName="prod")
    code, message = refused(
        rest.create_base_path_mapping, domainName="b.example.com", restApiId=api["id"], stage="prod"
    )
    assert (code, message[:22]) == ("BadRequestException", "Mixing of REST APIs an")
    v2 = cloud.client("apigatewayv2")
    v2.create_api_mapping(DomainName="b.example.com", ApiId=api["id"], Stage="prod", ApiMappingKey="rest/v1")
    assert json.loads(cloud.curl("https://b.example.com/rest/v1")[1]) == {
        "stage": "prod",
        "domain": "b.example.com",
    }
    code, message = refused(rest.delete_stage, restApiId=api["id"], stageName="prod")
    assert message == (
        "Deleting stage prod failed. Please remove all base path mappings related to the stage in your domains: "
        "b.example.com"
    )
    assert refused(v2.delete_api, ApiId=cloud.api)[1].startswith(f"Deleting API {cloud.api} failed.")
    rest.delete_domain_name(domainName="b.example.com")
    rest.delete_rest_api(restApiId=api["id"])
    assert refused(v2.get_domain_name, DomainName="b.example.com") == (
        "NotFoundException",
        "Invalid domain name identifier specified",
    )


def test_what_aws_refuses_is_refused_in_its_words(cloud: Secure):
    v2, rest = cloud.client("apigatewayv2"), cloud.client("apigateway")
    make(cloud, "c.example.com")
    lead(cloud, "c.example.com")
    there = [{"CertificateArn": cloud.certificate}]
    assert refused(v2.create_domain_name, DomainName="c.example.com", DomainNameConfigurations=there) == (
        "ConflictException",
        "The domain name you provided already exists.",
    )
    nobodys = cloud.certificate[:-4] + "0000"
    assert refused(
        v2.create_domain_name,
        DomainName="d.example.com",
        DomainNameConfigurations=[{"CertificateArn": nobodys}],
    ) == ("BadRequestException", "The provided certificate does not exist.")
    assert refused(v2.create_domain_name, DomainName="d.example.com") == (
        "BadRequestException",
        "Invalid input. Expected one domain name configuration",
    )
    assert (
        refused(
            v2.create_api_mapping,
            DomainName="c.example.com",
            ApiId=cloud.api,
            Stage="$default",
            ApiMappingKey="/",
        )[1]
        == "An ApiMapping key may contain only letters, numbers and one of $-_.+!*'()"
    )
    assert refused(v2.create_api_mapping, DomainName="c.example.com", ApiId=cloud.api, Stage="$default") == (
        "ConflictException",
        "ApiMapping key already exists for this domain name",
    )
    assert refused(v2.create_api_mapping, DomainName="c.example.com", ApiId=cloud.api, Stage="none")[1] == (
        "Invalid stage identifier specified"
    )
    assert refused(rest.create_domain_name, domainName="d.example.com") == (
        "BadRequestException",
        "A certificate was not provided for the endpoint type EDGE.",
    )
    assert refused(rest.get_base_path_mapping, domainName="c.example.com", basePath="x") == (
        "NotFoundException",
        "Invalid base path mapping identifier specified",
    )
    code, message = refused(
        v2.update_domain_name, DomainName="c.example.com", RoutingMode="ROUTING_RULE_ONLY"
    )
    assert (code, "ROUTING_RULE_ONLY" in message) == ("NotImplemented", True)


def test_a_cloud_that_starts_again_answers_as_before(tmp_path: Path):
    process = Process(tmp_path / "data")
    process.start()
    try:
        v2 = process.client("apigatewayv2")
        arn = process.client("acm").request_certificate(DomainName="*.example.com")["CertificateArn"]
        api = v2.create_api(Name="a", ProtocolType="HTTP", Target=FUNCTION)["ApiId"]
        process.stop()
        process.arguments = ("--tls-port", "0")
        process.start()
        v2 = process.client("apigatewayv2")
        v2.create_domain_name(DomainName="x.example.com", DomainNameConfigurations=[{"CertificateArn": arn}])
        v2.create_api_mapping(DomainName="x.example.com", ApiId=api, Stage="$default")
        process.kill()
        process.start()
        port = int(process.gauges()["tls_port"])
        argv = ["curl", "-sS", "--cacert", str(tmp_path / "data/ca/ca.pem")]
        done = subprocess.run(
            [*argv, "--connect-to", f"::127.0.0.1:{port}", "https://x.example.com/"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, '{"message":"Internal Server Error"}'), (
            "there is no function"
        )
    finally:
        process.stop()


# -- TLS -----------------------------------------------------------------------------------------------------


def test_the_port_for_tls_answers_whatever_the_plain_one_does(cloud: Secure):
    assert cloud.curl(f"https://{cloud.api}.execute-api.localhost/hello")[0] == 0
    assert cloud.curl(f"https://{cloud.api}.execute-api.eu-west-1.amazonaws.com/hello")[0] == 0
    assert json.loads(cloud.curl("https://localhost/_cumulo/ready")[1]) == {"ready": True}
    assert json.loads(cloud.curl("https://127.0.0.1/_cumulo/ready")[1]) == {"ready": True}
    import boto3

    lambda_ = boto3.client(
        "lambda",
        endpoint_url=f"https://localhost:{cloud.port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        verify=str(cloud.ca),
    )
    assert (
        json.loads(lambda_.invoke(FunctionName="echo", Payload=b'{"a": 1}')["Payload"].read())["statusCode"]
        == 200
    )


def test_each_name_is_shown_a_certificate_of_its_own(cloud: Secure):
    make(cloud, "e.example.com")

    def names(name: str | None) -> list[str]:
        extension = cloud.shown(name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return extension.get_values_for_type(x509.DNSName)

    assert names("e.example.com") == ["e.example.com"]
    assert names("abc.execute-api.localhost") == ["abc.execute-api.localhost"]
    assert names(None) == ["localhost"]
    assert names("www.google.com") == ["localhost"], "nobody is shown a certificate for somebody else"


def test_an_imported_certificate_is_shown_as_it_is(cloud: Secure, tmp_path: Path):
    ours = Authority("imports")
    certificate, key = ours.issue("f.example.com")
    arn = cloud.client("acm").import_certificate(
        Certificate=pem(certificate), PrivateKey=private(key), CertificateChain=pem(ours.certificate)
    )["CertificateArn"]
    make(cloud, "f.example.com", arn=arn)
    assert cloud.shown("f.example.com") == certificate
    (tmp_path / "trust.pem").write_bytes(pem(ours.certificate))
    assert cloud.curl("https://f.example.com/", trust=tmp_path / "trust.pem") == (
        0,
        '{"message":"Forbidden"}',
    )
    code, _ = refused(cloud.client("acm").export_certificate, CertificateArn=arn, Passphrase=b"secret")
    assert code == "ValidationException", "clients get no key"


def test_openssl_finds_the_chain_in_order(cloud: Secure):
    done = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{cloud.port}",
            "-servername",
            "x.execute-api.localhost",
            "-verify_hostname",
            "x.execute-api.localhost",
            "-CAfile",
            str(cloud.ca),
            "-x509_strict",
            "-verify_return_error",
        ],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert b"Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr


# -- mutual TLS ----------------------------------------------------------------------------------------------


class Mutual(NamedTuple):
    cloud: Secure
    authority: Authority
    folder: Path

    def shows(self, name: str, authority: Authority, *, days: int = 10) -> list[str]:
        """curl's options for a client with a certificate."""
        certificate, key = authority.issue(name, days=days)
        path = self.folder / "client.pem"
        path.write_bytes(private(key) + pem(certificate))
        return ["--cert", str(path)]


@pytest.fixture
def mutual(cloud: Secure, tmp_path: Path) -> Iterator[Mutual]:
    authority = Authority("clients")
    s3, v2 = cloud.client("s3"), cloud.client("apigatewayv2")
    s3.create_bucket(Bucket="trust")
    s3.put_object(Bucket="trust", Key="a/store.pem", Body=pem(authority.certificate))
    made = make(cloud, "m.example.com", MutualTlsAuthentication={"TruststoreUri": "s3://trust/a/store.pem"})
    assert made["MutualTlsAuthentication"] == {"TruststoreUri": "s3://trust/a/store.pem"}
    lead(cloud, "m.example.com")
    yield Mutual(cloud, authority, tmp_path)
    v2.delete_domain_name(DomainName="m.example.com")


def test_who_shows_a_certificate_of_the_truststore_s_authority_is_let_in(mutual: Mutual):
    code, body = mutual.cloud.curl("https://m.example.com/in", *mutual.shows("client 1", mutual.authority))
    assert code == 0
    shown = json.loads(body)["requestContext"]["authentication"]["clientCert"]
    assert shown["subjectDN"] == "C=US,O=Example,CN=client 1"
    assert shown["issuerDN"] == "C=US,O=Example,CN=clients"
    assert shown["serialNumber"] == "4711"
    assert shown["clientCertPem"].startswith("-----BEGIN CERTIFICATE-----\n")
    assert shown["validity"]["notAfter"].endswith(" GMT")


def test_who_shows_none_or_another_s_or_an_expired_one_is_not(mutual: Mutual):
    url = "https://m.example.com/in"
    for options in (
        [],
        mutual.shows("stranger", Authority("others")),
        mutual.shows("client 1", Authority("clients")),  # the same name, another key
        mutual.shows("late", mutual.authority, days=-1),
    ):
        code, body = mutual.cloud.curl(url, *options)
        assert (code != 0, body) == (True, ""), options


def test_a_domain_that_asks_for_certificates_cannot_be_reached_around_them(mutual: Mutual):
    cloud = mutual.cloud
    plain = subprocess.run(
        ["curl", "-sS", "-H", "Host: m.example.com", f"{cloud.process.endpoint}/in"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert plain.stdout == '{"message":"Forbidden"}', "without TLS"
    make(cloud, "n.example.com")
    forged = ["-H", "Host: m.example.com"]
    assert cloud.curl("https://n.example.com/in", *forged)[1] == '{"message":"Forbidden"}', (
        "by another's greeting"
    )
    certificate = mutual.shows("client 1", mutual.authority)
    assert cloud.curl("https://n.example.com/in", *forged, *certificate)[1] == '{"message":"Forbidden"}'
    cloud.client("apigatewayv2").delete_domain_name(DomainName="n.example.com")


def test_another_truststore_counts_from_the_next_connection_on(mutual: Mutual):
    v2, s3 = mutual.cloud.client("apigatewayv2"), mutual.cloud.client("s3")
    others = Authority("others")
    s3.put_object(Bucket="trust", Key="b.pem", Body=pem(others.certificate) + b"\n" + BROKEN)
    changed = v2.update_domain_name(
        DomainName="m.example.com", MutualTlsAuthentication={"TruststoreUri": "s3://trust/b.pem"}
    )
    assert changed["MutualTlsAuthentication"]["TruststoreWarnings"] == [
        "Certificate 2 of the truststore cannot be read."
    ]
    url = "https://m.example.com/in"
    assert mutual.cloud.curl(url, *mutual.shows("client 1", mutual.authority))[0] != 0
    assert mutual.cloud.curl(url, *mutual.shows("client 1", others))[0] == 0
    v2.update_domain_name(DomainName="m.example.com", MutualTlsAuthentication={"TruststoreUri": ""})
    assert mutual.cloud.curl(url)[0] == 0, "mutual TLS has ended"


def test_a_truststore_that_cannot_be_used_is_refused(cloud: Secure):
    cloud.client("s3").create_bucket(Bucket="bad")
    cloud.client("s3").put_object(Bucket="bad", Key="x", Body=b"nothing")
    for uri in ("s3://bad/none", "s3://bad/x", "https://bad/x"):
        code, message = refused(
            cloud.client("apigatewayv2").create_domain_name,
            DomainName="o.example.com",
            DomainNameConfigurations=[{"CertificateArn": cloud.certificate}],
            MutualTlsAuthentication={"TruststoreUri": uri},
        )
        assert (code, uri in message) == ("BadRequestException", True), message
