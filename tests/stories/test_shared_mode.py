"""A cloud that several people share: only who signs with a key of its own gets anything."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.leftovers import leftovers
from tests.support import CUMULO, Process, call, deploy, until

ACCOUNT = "111122223333"
FUNCTIONS = "/2015-03-31/functions"
INSIDE = """
import boto3
def handler(event, context):
    s3 = boto3.client("s3")
    s3.put_object(Bucket=event["bucket"], Key="from-inside", Body=b"hello")
    names = [f["FunctionName"] for f in boto3.client("lambda").list_functions()["Functions"]]
    return [s3.get_object(Bucket=event["bucket"], Key="from-inside")["Body"].read().decode(), names]
"""


class Key:
    def __init__(self, access: str, secret: str) -> None:
        self.access, self.secret = access, secret


class Shared:
    """The cloud with its keys."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.endpoint = process.endpoint
        self.token = (process.data / "admin-token").read_text()

    def cumulo(self, *words: str) -> str:
        """The command line, next to this cloud only."""
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | self.process.environment
        done = subprocess.run(
            [*CUMULO, *words], env=env, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    def make_key(self, name: str, account: str = ACCOUNT) -> Key:
        out = self.cumulo("keys", "create", name, "--account", account)
        values = dict(line.split("=", 1) for line in out.split())
        return Key(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"])

    def client(self, service: str, key: Key, **options: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key.access,
            aws_secret_access_key=key.secret,
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """A request without a signature."""
        try:
            with urlopen(
                Request(self.endpoint + path, method=method, headers=headers or {}), timeout=10
            ) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    process = Process(folder / "data", "--mode", "shared")
    process.environment = {"XDG_RUNTIME_DIR": str(folder / "run")}
    (folder / "run").mkdir(mode=0o700)
    process.start()
    try:
        yield Shared(process)
    finally:
        process.stop()
    until(lambda: not leftovers(process.data), "nothing is left", 15)


@pytest.fixture(scope="module")
def key(shared: Shared) -> Key:
    return shared.make_key("mine")


def refusal(request) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        request()
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_an_unsigned_request_is_refused(shared: Shared):
    status, headers, body = shared.ask("GET", FUNCTIONS)
    assert status == 403
    assert headers["x-amzn-errortype"].startswith("MissingAuthenticationToken")
    assert json.loads(body)["message"]
    status, _, _ = shared.ask("POST", f"{FUNCTIONS}/any/invocations")
    assert status == 403
    assert shared.ask("GET", "/a-bucket/a-key")[0] == 403  # what is not ours asks for a signature too


def test_the_right_key_works_and_has_its_account(shared: Shared, key: Key):
    assert shared.client("lambda", key).list_functions()["Functions"] == []
    assert shared.client("sts", key).get_caller_identity()["Account"] == ACCOUNT
    logs = shared.client("logs", key)
    logs.create_log_group(logGroupName="mine")
    assert logs.describe_log_groups()["logGroups"][0]["arn"].split(":")[4] == ACCOUNT
    other = shared.make_key("other", "444455556666")
    assert shared.client("logs", other).describe_log_groups()["logGroups"] == []


def test_a_wrong_secret_is_refused(shared: Shared, key: Key):
    wrong = Key(key.access, "x" * len(key.secret))
    assert refusal(shared.client("lambda", wrong).list_functions) == (403, "InvalidSignatureException")
    assert refusal(shared.client("logs", wrong).describe_log_groups)[1] == "InvalidSignatureException"
    assert refusal(shared.client("s3", wrong).list_buckets) == (403, "SignatureDoesNotMatch")
    assert refusal(shared.client("iam", wrong).list_roles) == (403, "SignatureDoesNotMatch")
    invoke = shared.client("lambda", wrong).invoke
    assert refusal(lambda: invoke(FunctionName="any", Payload=b"{}")) == (403, "InvalidSignatureException")


def test_an_unknown_key_is_refused(shared: Shared):
    nobody = Key("AKIAAAAAAAAAAAAAAAAA", "x" * 40)
    assert refusal(shared.client("lambda", nobody).list_functions)[0] == 403
    assert refusal(shared.client("s3", nobody).list_buckets) == (403, "InvalidAccessKeyId")
    assert refusal(shared.client("lambda", Key(ACCOUNT, "test")).list_functions)[0] == 403


def test_a_presigned_link_works_until_it_is_changed(shared: Shared, key: Key):
    s3 = shared.client("s3", key, signature_version="s3v4", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="k", Body=b"content")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"}, ExpiresIn=60)
    path = link.removeprefix(shared.endpoint)
    assert shared.ask("GET", path)[::2] == (200, b"content")
    assert shared.ask("GET", path.replace("/k?", "/other?"))[0] == 403
    assert shared.ask("DELETE", path)[0] == 403
    listing = shared.client("lambda", key).generate_presigned_url("list_functions", ExpiresIn=60)
    assert shared.ask("GET", listing.removeprefix(shared.endpoint))[0] == 200


def signed_at(shared: Shared, key: Key, minutes: int) -> dict[str, str]:
    """Headers of ListFunctions as they were signed some minutes from now."""

    class Then(SigV4Auth):
        def add_auth(self, request):
            moment = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)  # noqa: TID251
            request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
            self._modify_request_before_signing(request)
            text = self.string_to_sign(request, self.canonical_request(request))
            self._inject_signature_to_request(request, self.signature(text, request))

    request = AWSRequest("GET", shared.endpoint + FUNCTIONS, headers={"Host": shared.endpoint.split("//")[1]})
    Then(Credentials(key.access, key.secret), "lambda", "us-east-1").add_auth(request)
    return dict(request.headers)


def test_a_request_is_good_for_a_quarter_of_an_hour(shared: Shared, key: Key):
    assert shared.ask("GET", FUNCTIONS, signed_at(shared, key, 0))[0] == 200
    assert shared.ask("GET", FUNCTIONS, signed_at(shared, key, -13))[0] == 200
    for minutes in (-16, 16, -60 * 24 * 8):
        status, headers, _ = shared.ask("GET", FUNCTIONS, signed_at(shared, key, minutes))
        assert status == 403
        assert headers["x-amzn-errortype"].split(":")[0] in (
            "InvalidSignatureException",
            "RequestTimeTooSkewed",
        )


def test_a_deleted_key_is_refused_and_stays_so_after_a_kill(shared: Shared):
    gone, kept = shared.make_key("gone"), shared.make_key("kept")
    shared.client("lambda", gone).list_functions()
    assert gone.access in shared.cumulo("keys", "list")
    shared.cumulo("keys", "delete", gone.access)
    assert refusal(shared.client("lambda", gone).list_functions)[0] == 403
    shared.process.kill()
    shared.process.start()
    shared.endpoint = shared.process.endpoint
    assert refusal(shared.client("lambda", gone).list_functions)[0] == 403
    assert shared.client("lambda", kept).list_functions()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_function_works_with_its_role_from_inside(shared: Shared, key: Key):
    shared.client("s3", key).create_bucket(Bucket="inside")
    aws = shared.client("lambda", key)
    role = f"arn:aws:iam::{ACCOUNT}:role/test"
    deploy(aws, "inside", INSIDE, Role=role, Timeout=60, MemorySize=1024)
    assert call(aws, "inside", {"bucket": "inside"}) == ["hello", ["inside"]]
    found = shared.client("s3", key).get_object(Bucket="inside", Key="from-inside")
    assert found["Body"].read() == b"hello"


@pytest.mark.parametrize("page", ["/_cumulo/bill", "/metrics", "/_cumulo/metrics", "/_cumulo/keys"])
def test_guarded_pages_ask_for_the_admin_token(shared: Shared, page: str):
    assert shared.ask("GET", page)[0] == 403
    assert shared.ask("GET", page, {"x-cumulo-token": "x" * 64})[0] == 403
    assert shared.ask("GET", page, {"x-cumulo-token": shared.token})[0] == 200


@pytest.mark.parametrize("name", ["admin-token", "cumulo.db", "cumulo.db-wal", "journal", "blobs"])
def test_secrets_are_for_the_owner_only(shared: Shared, name: str):
    """Also when the data folder itself was made by somebody who lets others look into it."""
    assert (shared.process.data / name).stat().st_mode & 0o077 == 0


def test_reset_is_refused(shared: Shared):
    assert shared.ask("POST", "/_cumulo/reset")[0] == 403
    assert shared.ask("POST", "/_cumulo/reset", {"x-cumulo-token": shared.token})[0] == 403


def test_health_needs_no_key(shared: Shared):
    assert shared.ask("GET", "/_cumulo/health")[0] == 200
    assert shared.ask("GET", "/_cumulo/ready")[0] == 200


def test_local_mode_on_all_addresses_says_what_that_means(tmp_path: Path):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_RUNTIME_DIR": str(tmp_path)}
    argv = [*CUMULO, "up", "--port", "0", "--ephemeral", "--host", "0.0.0.0"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as child:
        try:
            assert child.stdout is not None
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Ready."):
                lines.append(child.stdout.readline())
                assert lines[-1], lines
        finally:
            child.terminate()
            child.wait(20)
    assert any(line.startswith("note:") and "accepts any key" in line for line in lines)
