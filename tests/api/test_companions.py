"""AWS services that are not ours, asked by real clients through the front door."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import boto3
import pytest
import uvloop
from botocore.config import Config
from botocore.exceptions import ClientError

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.companions.companions import Companions
from cumulo.companions.s3 import S3Reader
from cumulo.wire.http import Request
from cumulo.wire.server import Server

AWS = Path(sys.executable).with_name("aws")
ISSUED = "ASIA" + "2" * 16


def service_of(request: Request) -> str:
    found = re.search(r"/([^/]+)/aws4_request", request.headers.get("authorization"))
    return found[1] if found else "s3"


class Cloud:
    """Companions behind a server, on a loop in a thread of its own."""

    def __init__(self, data: Path | None = None, endpoints: dict[str, str] | None = None) -> None:
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.companions, self.server, self.port = self.do(self._start(data, endpoints or {}))

    async def _start(self, data, endpoints):
        companions = Companions(
            endpoints=endpoints,
            account_default="000000000000",
            region_default="us-east-1",
            data=data,
            service_of=service_of,
            account_of={ISSUED: "222233334444"}.get,
        )
        server = Server(companions, clock=SystemClock())
        return companions, server, await server.listen("127.0.0.1", 0)

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def client(
        self, name: str, key: str = "test", region: str = "us-east-1", host: str = "127.0.0.1", **config
    ):
        return boto3.client(
            name,
            endpoint_url=f"http://{host}:{self.port}",
            aws_access_key_id=key,
            aws_secret_access_key="x",
            region_name=region,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def close(self) -> None:
        self.do(self.server.stop(1))
        self.do(self.companions.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    waiting = threading.Event()
    return any(not alive(pid) or waiting.wait(0.05) for _ in range(100)) and not alive(pid)


def test_the_account_is_that_of_the_key(cloud: Cloud):
    def account(key: str) -> str:
        return cloud.client("sts", key).get_caller_identity()["Account"]

    assert account("test") == "000000000000"
    assert account("111122223333") == "111122223333"
    assert account(ISSUED) == "222233334444"
    made = cloud.client("iam", "111122223333")
    made.create_user(UserName="u")
    key = made.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]
    assert account(key) == "111122223333"


def test_a_client_cannot_choose_another_account_by_header(cloud: Cloud):
    async def ask(header: str) -> bytes:
        headers = {header: "999999999999", "content-type": "application/x-www-form-urlencoded"}
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        answer = await cloud.companions.call("sts", "POST", "/", caller=Caller(), headers=headers, body=body)
        assert isinstance(answer.body, bytes)
        return answer.body

    for header in ("x-moto-account-id", "x-cumulo-account"):
        body = cloud.do(ask(header))
        assert b"<Account>000000000000</Account>" in body


def test_a_role_can_be_made_and_given_a_managed_policy(cloud: Cloud):
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/r"
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName="r", PolicyArn=basic)
    assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"][0]["PolicyArn"] == basic


def test_objects_small_and_large_come_back_as_they_went(cloud: Cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket-one")
    for key, body in (
        ("small", b"hello"),
        ("empty", b""),
        ("large", os.urandom(20_000_000)),
        ("a b/ü+%", b"x"),
    ):
        s3.put_object(Bucket="bucket-one", Key=key, Body=body, Metadata={"my_key": "v", "my-key": "w"})
        got = s3.get_object(Bucket="bucket-one", Key=key)
        assert got["Body"].read() == body, key
        assert s3.head_object(Bucket="bucket-one", Key=key)["ContentLength"] == len(body)
    upload = s3.create_multipart_upload(Bucket="bucket-one", Key="parts")["UploadId"]
    parts = []
    for number in (1, 2):
        answer = s3.upload_part(
            Bucket="bucket-one",
            Key="parts",
            UploadId=upload,
            PartNumber=number,
            Body=b"%d" % number * 6_000_000,
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(
        Bucket="bucket-one", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert (
        s3.get_object(Bucket="bucket-one", Key="parts")["Body"].read() == b"1" * 6_000_000 + b"2" * 6_000_000
    )
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket-one", "Key": "small"})
    with urlopen(url) as answer:
        assert answer.read() == b"hello"


def test_buckets_may_be_in_the_host_name(cloud: Cloud):
    async def ask(host: str, path: str) -> tuple[int, bytes]:
        answer = await cloud.companions.call("s3", "GET", path, caller=Caller(), headers={"host": host})
        assert isinstance(answer.body, bytes)
        return answer.status, answer.body

    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket.two")
    s3.put_object(Bucket="bucket.two", Key="k", Body=b"v")
    for host in (
        "bucket.two.s3.localhost:4566",
        "bucket.two.s3.us-east-1.amazonaws.com",
        "bucket.two.localhost",
    ):
        assert cloud.do(ask(host, "/k")) == (200, b"v"), host
    for host in (
        "localhost:4566",
        "127.0.0.1:4566",
        "cumulo.example.com",
        "s3.us-east-1.amazonaws.com",
        "[::1]:1",
    ):
        assert cloud.do(ask(host, "/bucket.two/k")) == (200, b"v"), host


@pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed beside this Python")
def test_the_aws_cli_copies_files(cloud: Cloud, tmp_path: Path):
    (tmp_path / "file").write_bytes(os.urandom(10_000_000))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cloud.port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for words in (
        ("s3", "mb", "s3://bucket-cli"),
        ("s3", "cp", str(tmp_path / "file"), "s3://bucket-cli/a/file"),
        ("s3", "cp", "s3://bucket-cli/a/file", str(tmp_path / "back")),
    ):
        done = subprocess.run([AWS, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_a_queue_delivers(cloud: Cloud):
    sqs = cloud.client("sqs", region="eu-west-1")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "hello"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"] == (
        "arn:aws:sqs:eu-west-1:000000000000:q"
    )


def test_the_next_call_works_after_moto_was_killed(cloud: Cloud):
    sts = cloud.client("sts")
    sts.get_caller_identity()
    for _ in range(3):
        before = cloud.companions.pid
        assert before is not None
        os.kill(before, 9)
        assert sts.get_caller_identity()["Account"] == "000000000000"
        assert cloud.companions.pid != before


def test_a_service_that_nobody_has_is_refused_by_its_name(cloud: Cloud):
    with pytest.raises(ClientError, match="nobody answers for ecr-public here") as refused:
        cloud.client("ecr-public").describe_repositories()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_reset_forgets_everything(cloud: Cloud):
    iam = cloud.client("iam")
    iam.create_role(RoleName="forgotten", AssumeRolePolicyDocument="{}")
    cloud.do(cloud.companions.reset())
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName="forgotten")


def test_objects_are_read_for_the_house(cloud: Cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket-code")
    s3.put_bucket_versioning(Bucket="bucket-code", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="bucket-code", Key="a b/ü.zip", Body=b"one")["VersionId"]
    s3.put_object(Bucket="bucket-code", Key="a b/ü.zip", Body=b"two")
    s3.put_object(Bucket="bucket-code", Key="big", Body=b"x" * 3_000_000)
    reader = S3Reader(cloud.companions)

    def read(bucket: str, key: str, version: str | None = None, bytes_max: int = 10_000_000) -> bytes:
        return cloud.do(reader.read_object(Caller(), bucket, key, version, bytes_max=bytes_max))

    assert read("bucket-code", "a b/ü.zip") == b"two"
    assert read("bucket-code", "a b/ü.zip", first) == b"one"
    assert len(read("bucket-code", "big")) == 3_000_000
    for arguments, code in (
        (("bucket-none", "k"), "NoSuchBucket"),
        (("bucket-code", "none"), "NoSuchKey"),
        (("bucket-code", "a b/ü.zip", "none"), "NoSuchVersion"),
        (("bucket-code", "big", None, 1000), "EntityTooLarge"),
        (("bucket-code", "a b/ü.zip", None, 2), "EntityTooLarge"),
    ):
        with pytest.raises(AwsError) as caught:
            read(*arguments)
        assert caught.value.code == code


def test_moto_starts_at_the_first_request_and_ends_with_the_cloud():
    cloud = Cloud()
    assert not cloud.companions.started
    cloud.client("sts").get_caller_identity()
    assert cloud.companions.started
    pid = cloud.companions.pid
    assert pid is not None
    cloud.close()
    assert gone(pid)


PARENT = """
import asyncio, sys
from cumulo.base.caller import Caller
from cumulo.companions.companions import Companions

async def main():
    companions = Companions(endpoints={}, account_default="000000000000", region_default="us-east-1",
                            data=None, service_of=lambda request: "s3")
    await companions.call("s3", "GET", "/", caller=Caller())
    print(companions.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_killing_the_cloud_leaves_no_process_behind():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_a_real_endpoint_is_used_where_one_is_configured():
    real = Cloud()
    here = Cloud(endpoints={"s3": f"http://127.0.0.1:{real.port}"})
    try:
        here.client("s3").create_bucket(Bucket="bucket-real")
        assert [b["Name"] for b in real.client("s3").list_buckets()["Buckets"]] == ["bucket-real"]
        assert not here.companions.started
        body = os.urandom(5_000_000)
        here.client("s3").put_object(Bucket="bucket-real", Key="k", Body=body)
        assert here.client("s3").get_object(Bucket="bucket-real", Key="k")["Body"].read() == body
    finally:
        here.close()
        real.close()


def test_an_endpoint_that_is_not_there_gives_a_clear_503():
    cloud = Cloud(endpoints={"s3": "http://127.0.0.1:1", "ssm": "http://127.0.0.1:1"})
    try:
        with pytest.raises(ClientError, match=r"ServiceUnavailable.*companion for s3") as caught:
            cloud.client("s3").list_buckets()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        with pytest.raises(ClientError, match=r"ServiceUnavailable.*companion for ssm"):
            cloud.client("ssm").describe_parameters()
    finally:
        cloud.close()


def test_a_missing_moto_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'moto'\")")
    monkeypatch.syspath_prepend(str(tmp_path))
    cloud = Cloud()
    try:
        with pytest.raises(ClientError, match=r"pip install 'moto\[server,all\]'"):
            cloud.client("sqs").list_queues()
        with pytest.raises(ClientError, match=r"pip install 'moto\[server,all\]'"):
            cloud.client("iam").list_roles()
    finally:
        cloud.close()


def test_a_journal_that_cannot_be_opened_is_a_clear_503(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    cloud = Cloud(data=tmp_path / "file")
    try:
        with pytest.raises(ClientError, match="companion for sts is not available") as caught:
            cloud.client("sts").get_caller_identity()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    finally:
        cloud.close()


def test_a_nonsense_endpoint_is_refused_at_once():
    with pytest.raises(ValueError, match="is no endpoint"):
        Companions(
            endpoints={"s3": "minio:9000"},
            account_default="0",
            region_default="x",
            data=None,
            service_of=lambda _: "s3",
        )


def make_something_of_everything(cloud: Cloud) -> dict[str, object]:
    """Use the services that applications use most; gives what a client holds on to."""
    iam, s3, sqs = cloud.client("iam"), cloud.client("s3"), cloud.client("sqs")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    s3.create_bucket(Bucket="bucket-kept")
    s3.put_bucket_versioning(Bucket="bucket-kept", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="bucket-kept", Key="k", Body=b"v1")["VersionId"]
    upload = s3.create_multipart_upload(Bucket="bucket-kept", Key="parts")["UploadId"]
    etag = s3.upload_part(Bucket="bucket-kept", Key="parts", UploadId=upload, PartNumber=1, Body=b"part")[
        "ETag"
    ]
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    for text in ("one", "two"):
        sqs.send_message(QueueUrl=url, MessageBody=text)
    first = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=3, MaxNumberOfMessages=1)["Messages"][0]
    table = cloud.client("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]
    cloud.client("dynamodb").put_item(TableName="t", Item={"id": {"S": "1"}})
    cloud.client("ssm").put_parameter(Name="/p", Value="v", Type="SecureString")
    secret = cloud.client("secretsmanager").create_secret(Name="s", SecretString="hidden")
    rule = cloud.client("events").put_rule(Name="rule", ScheduleExpression="rate(1 minute)")["RuleArn"]
    topic = cloud.client("sns").create_topic(Name="topic")["TopicArn"]
    kms = cloud.client("kms").create_key()["KeyMetadata"]
    stream = cloud.client("kinesis").create_stream(StreamName="k", ShardCount=1) and "k"
    return {
        "role": role, "key": key, "version": version, "upload": upload, "etag": etag, "url": url,
        "first": first, "table": table, "secret": secret, "rule": rule, "topic": topic, "kms": kms,
        "stream": stream,
    }  # fmt: skip


def test_what_was_acknowledged_is_there_after_moto_was_killed(tmp_path: Path):
    cloud = Cloud(data=tmp_path)
    try:
        made = make_something_of_everything(cloud)
        pid = cloud.companions.pid
        assert pid is not None
        os.kill(pid, 9)
        iam, s3, sqs = cloud.client("iam"), cloud.client("s3"), cloud.client("sqs")
        role = iam.get_role(RoleName="r")["Role"]
        assert role["RoleId"] == made["role"]["RoleId"]
        assert role["CreateDate"] == made["role"]["CreateDate"]
        assert (
            iam.list_access_keys(UserName="u")["AccessKeyMetadata"][0]["AccessKeyId"]
            == (made["key"]["AccessKeyId"])
        )
        got = s3.get_object(Bucket="bucket-kept", Key="k", VersionId=made["version"])
        assert got["Body"].read() == b"v1"
        s3.complete_multipart_upload(
            Bucket="bucket-kept",
            Key="parts",
            UploadId=made["upload"],
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": made["etag"]}]},
        )
        assert s3.get_object(Bucket="bucket-kept", Key="parts")["Body"].read() == b"part"
        sqs.delete_message(QueueUrl=made["url"], ReceiptHandle=made["first"]["ReceiptHandle"])
        (second,) = sqs.receive_message(QueueUrl=made["url"], MaxNumberOfMessages=10)["Messages"]
        assert second["Body"] == "two"
        dynamodb = cloud.client("dynamodb")
        table = dynamodb.describe_table(TableName="t")["Table"]
        assert table["CreationDateTime"] == made["table"]["CreationDateTime"]
        assert dynamodb.get_item(TableName="t", Key={"id": {"S": "1"}})["Item"] == {"id": {"S": "1"}}
        parameter = cloud.client("ssm").get_parameter(Name="/p", WithDecryption=True)["Parameter"]
        assert parameter["Value"] == "v"
        secret = cloud.client("secretsmanager").get_secret_value(SecretId=made["secret"]["ARN"])
        assert (secret["SecretString"], secret["VersionId"]) == ("hidden", made["secret"]["VersionId"])
        assert cloud.client("events").describe_rule(Name="rule")["Arn"] == made["rule"]
        assert cloud.client("sns").list_topics()["Topics"] == [{"TopicArn": made["topic"]}]
        assert cloud.client("kms").describe_key(KeyId=made["kms"]["KeyId"])["KeyMetadata"]["Enabled"]
        assert cloud.client("kinesis").list_streams()["StreamNames"] == [made["stream"]]
    finally:
        cloud.close()
    journal = tmp_path / "companions.jsonl"
    assert journal.stat().st_mode & 0o077 == 0
    with journal.open("ab") as file:
        file.write(b'{"number":1000,"at":1.0,"meth')  # the server was killed in the middle of a line
    again = Cloud(data=tmp_path)
    try:
        assert again.client("iam").get_role(RoleName="r")["Role"]["RoleId"] == made["role"]["RoleId"]
        again.client("iam").create_role(RoleName="later", AssumeRolePolicyDocument="{}")
        again.do(again.companions.reset())
        with pytest.raises(ClientError, match="NoSuchEntity"):
            again.client("iam").get_role(RoleName="r")
    finally:
        again.close()


def test_nobody_waits_for_the_long_poll_of_another(tmp_path: Path):
    cloud = Cloud(data=tmp_path)
    try:
        sqs = cloud.client("sqs")
        url = sqs.create_queue(QueueName="q", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})["QueueUrl"]
        for wait in ({"WaitTimeSeconds": 20}, {}):
            got: list[str] = []

            def poll(wait: dict[str, int] = wait, got: list[str] = got) -> None:
                answer = cloud.client("sqs").receive_message(QueueUrl=url, **wait)
                got.extend(message["Body"] for message in answer["Messages"])

            polling = threading.Thread(target=poll)
            polling.start()
            sqs.send_message(QueueUrl=url, MessageBody="hello")
            polling.join(10)
            assert got == ["hello"]
    finally:
        cloud.close()


def test_a_client_cannot_reach_the_back_door_of_moto(cloud: Cloud):
    cloud.client("iam").create_role(RoleName="stays", AssumeRolePolicyDocument="{}")
    answer = cloud.do(cloud.companions.call("s3", "POST", "/moto-api/reset", caller=Caller()))
    assert answer.status == 404
    assert cloud.client("iam").get_role(RoleName="stays")
