"""Models, bodies, paths and scalars, each by itself."""

import gzip
import subprocess
import sys

import pytest
from wire_door import MODELS

from cumulo.base.errors import AwsError
from cumulo.wire.bodies import gunzip, unchunk
from cumulo.wire.models import ModelMissing, Models
from cumulo.wire.paths import Paths
from cumulo.wire.protocols.base import Malformed
from cumulo.wire.protocols.rest import split_header
from cumulo.wire.protocols.scalars import (
    format_timestamp,
    http_date,
    iso8601,
    parse_boolean,
    parse_float,
    parse_integer,
    parse_timestamp,
)


def test_models_are_read_without_importing_botocore():
    code = (
        "import sys; from cumulo.wire.models import Models; Models().service('lambda').operations['Invoke'];"
        "import cumulo.wire.door; print([m for m in sys.modules if m.startswith('botocore')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


def test_metadata_is_read_without_the_model():
    models = Models()
    assert models.metadata("logs").target_prefix == "Logs_20140328"
    assert models.metadata("apigatewayv2").scope == "apigateway"
    assert models.metadata("ecr").scope == "ecr"
    assert models.metadata("ecr").endpoint_prefix == "api.ecr"
    assert {"lambda", "s3", "ec2"} <= set(models.names())


@pytest.mark.parametrize("name", ["nothing", "../data", "", "lambda/2015-03-31"])
def test_a_service_that_does_not_exist_is_missing(name):
    with pytest.raises(ModelMissing):
        Models().service(name)


def test_every_model_of_botocore_can_be_read():
    models = Models()
    read = 0
    for name in ("lambda", "ec2", "s3", "cloudwatch", "route53", "dynamodb", "iam", "events"):
        assert models.service(name).operations
        read += 1
    assert read == 8


@pytest.mark.parametrize(
    ("method", "path", "query", "operation", "labels"),
    [
        ("GET", "/2015-03-31/functions", "", "ListFunctions", {}),
        ("GET", "/2015-03-31/functions/", "MaxItems=1", "ListFunctions", {}),
        ("POST", "/2015-03-31/functions/a%2Fb%3Ac/invocations", "", "Invoke", {"FunctionName": "a/b:c"}),
        ("GET", "/2018-10-31/layers", "find=LayerVersion&Arn=x", "GetLayerVersionByArn", {}),
        ("GET", "/2018-10-31/layers", "", "ListLayers", {}),
        (
            "GET",
            "/2018-10-31/layers/x/versions/3",
            "",
            "GetLayerVersion",
            {"LayerName": "x", "VersionNumber": "3"},
        ),
    ],
)
def test_a_path_leads_to_its_operation(method, path, query, operation, labels):
    match = Paths(MODELS.service("lambda")).find(method, path, query)
    assert (match.operation.name, match.labels) == (operation, labels)


@pytest.mark.parametrize(
    "path", ["", "/", "//", "/2015-03-31", "/2015-03-31/functions//invocations", "/" + "a/" * 100_000]
)
def test_a_path_that_leads_nowhere_leads_nowhere(path):
    assert Paths(MODELS.service("lambda")).find("POST", path, "") is None


def test_a_greedy_label_takes_the_rest():
    match = Paths(MODELS.service("s3")).find("GET", "/bucket/a/b%20c/d", "")
    assert match.labels == {"Bucket": "bucket", "Key": "a/b c/d"}


def test_aws_chunked_is_undone():
    body = b"5;chunk-signature=abc\r\nhello\r\n3\r\n wo\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n"
    assert unchunk(body) == b"hello wo"


@pytest.mark.parametrize(
    "body",
    [b"", b"5\r\nhel", b"zz\r\n", b"fffffffff\r\n", b"-1\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\r\n"],
)
def test_a_broken_aws_chunked_body_is_malformed(body):
    with pytest.raises(Malformed):
        unchunk(body)


def test_gzip_is_undone_within_a_bound():
    assert gunzip(gzip.compress(b"x" * 100), 100) == b"x" * 100
    with pytest.raises(AwsError):
        gunzip(gzip.compress(b"x" * 101), 100)
    for body in (b"", b"xx", gzip.compress(b"abc")[:-3], gzip.compress(b"abc") + b"tail"):
        with pytest.raises(Malformed):
            gunzip(body, 100)


@pytest.mark.parametrize(
    ("text", "items", "dated"),
    [
        ("a,b , c", ["a", "b", "c"], False),
        ('"a,b",c', ["a,b", "c"], False),
        (r'"say \"x\"",y', ['say "x"', "y"], False),
        ("Mon, 16 Dec 2019 23:48:18 GMT, Tue, 17 Dec 2019 00:00:00 GMT", ["Mon, 16 Dec 2019 23:48:18 GMT", "Tue, 17 Dec 2019 00:00:00 GMT"], True),
        ('"unclosed', ["unclosed"], False),
        ('"', [""], False),
    ],
)  # fmt: skip
def test_a_header_splits_at_its_commas(text, items, dated):
    assert split_header(text, dated=dated) == items


def test_timestamps_in_all_formats():
    assert iso8601(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert iso8601(1_700_000_000.5) == "2023-11-14T22:13:20.500Z"
    assert http_date(1_700_000_000.9) == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert format_timestamp(1_700_000_000.0, "unixTimestamp") == "1700000000"
    for text in (
        "2023-11-14T22:13:20Z",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "1700000000",
        "1.7e9",
        "2023-11-15T00:13:20+02:00",
    ):
        assert parse_timestamp(text) == 1_700_000_000


@pytest.mark.parametrize(
    "text", ["", "x", "nan", "inf", "1e300", "2023-13-45", "Mon, nonsense", "9" * 5000, "-"]
)
def test_what_is_no_timestamp_is_malformed(text):
    with pytest.raises(Malformed):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("read", "text"),
    [(parse_integer, "1_0"), (parse_integer, "\u0661"), (parse_integer, ""), (parse_integer, "9" * 5000), (parse_integer, str(2**63)),
     (parse_float, "1_0"), (parse_float, "inf"), (parse_float, "x"), (parse_float, "1e999"), (parse_boolean, "yes"), (parse_boolean, "")],
)  # fmt: skip
def test_what_is_no_number_is_malformed(read, text):
    with pytest.raises(Malformed):
        read(text)
