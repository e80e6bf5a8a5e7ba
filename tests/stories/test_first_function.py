"""A user creates a function from a zip, calls it, reads its logs and sees what it cost, with real clients."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError
from tests.support import BIN, PYTHON, ROLE, call, deploy, package, until

HELLO = """
import os
def handler(event, context):
    print("hello", event)
    return {"got": event, "name": context.function_name, "id": context.aws_request_id}
"""
BOOTSTRAP = """#!/bin/sh
API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
exec /usr/bin/perl -e '
use IO::Socket::INET;
my $api = $ENV{AWS_LAMBDA_RUNTIME_API};
while (1) {
  my $s = IO::Socket::INET->new($api) or die;
  print $s "GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n";
  local $/; my $r = <$s>; my ($id) = $r =~ /aws-request-id: (\\S+)/i;
  my $body = "{\\"from\\":\\"perl\\"}";
  my $p = IO::Socket::INET->new($api) or die;
  print $p "POST /2018-06-01/runtime/invocation/$id/response HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: " . length($body) . "\\r\\n\\r\\n$body";
  my $a = <$p>;
}'
"""


def test_a_function_is_created_called_and_logged(cumulo_empty):
    aws, logs = cumulo_empty.client("lambda"), cumulo_empty.client("logs")
    deploy(aws, "hello", HELLO)
    answer = aws.invoke(FunctionName="hello", Payload=b'{"a": 1}', LogType="Tail")
    payload = json.load(answer["Payload"])
    assert payload["got"] == {"a": 1}
    assert payload["name"] == "hello"
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert payload["id"] == request_id
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert f"START RequestId: {request_id} Version: $LATEST" in tail
    assert re.search(
        r"\nREPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\t", tail
    )
    events = logs.filter_log_events(logGroupName="/aws/lambda/hello")["events"]
    messages = [event["message"] for event in events]
    assert messages[0].startswith("INIT_START Runtime Version: python:3.")
    start = next(i for i, message in enumerate(messages) if message.startswith("START"))
    assert messages[start + 1].startswith("hello {'a': 1}")
    assert messages[start + 2].startswith("END RequestId")
    assert messages[start + 3].startswith("REPORT RequestId")


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_a_node_function_runs(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    deploy(aws, "node", {"index.mjs": "export const handler = async (e) => ({n: e.n + 1});"},
           Runtime="nodejs20.x", Handler="index.handler")  # fmt: skip
    assert call(aws, "node", {"n": 41}) == {"n": 42}


def test_a_bootstrap_runs(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    deploy(aws, "custom", {"bootstrap": BOOTSTRAP}, Runtime="provided.al2023", Handler="x")
    assert call(aws, "custom") == {"from": "perl"}
    assert call(aws, "custom") == {"from": "perl"}


def test_code_may_come_from_s3_and_go_back_to_it(cumulo_empty):
    aws, s3 = cumulo_empty.client("lambda"), cumulo_empty.client("s3")
    s3.create_bucket(Bucket="code")
    source = """
import boto3
def handler(event, context):
    s3 = boto3.client("s3")
    s3.put_object(Bucket="code", Key="out", Body=b"written inside")
    return boto3.client("sts").get_caller_identity()["Account"]
"""
    s3.put_object(Bucket="code", Key="f.zip", Body=package(source))
    aws.create_function(FunctionName="s3f", Runtime=PYTHON, Handler="app.handler", Role=ROLE, Timeout=30, MemorySize=512,
                        Code={"S3Bucket": "code", "S3Key": "f.zip"})  # fmt: skip
    aws.get_waiter("function_active_v2").wait(FunctionName="s3f", WaiterConfig={"Delay": 1})
    assert call(aws, "s3f") == "000000000000"
    assert s3.get_object(Bucket="code", Key="out")["Body"].read() == b"written inside"
    with pytest.raises(ClientError) as error:
        aws.create_function(FunctionName="none", Runtime=PYTHON, Handler="app.handler", Role=ROLE,
                            Code={"S3Bucket": "code", "S3Key": "missing.zip"})  # fmt: skip
    assert "S3 Error Code: NoSuchKey" in error.value.response["Error"]["Message"]


def test_an_event_is_answered_at_once_and_run_later(cumulo_empty):
    aws, logs = cumulo_empty.client("lambda"), cumulo_empty.client("logs")
    deploy(aws, "later", HELLO)
    answer = aws.invoke(FunctionName="later", InvocationType="Event", Payload=b'{"late": true}')
    assert answer["StatusCode"] == 202
    assert aws.invoke(FunctionName="later", InvocationType="DryRun")["StatusCode"] == 204

    def ran():
        try:
            events = logs.filter_log_events(logGroupName="/aws/lambda/later", filterPattern='"late"')[
                "events"
            ]
        except logs.exceptions.ResourceNotFoundException:
            return None
        return events

    assert "late" in until(ran, "the event ran")[0]["message"]


def test_old_code_serves_until_the_new_is_ready_and_then_the_new(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    deploy(aws, "twice", "def handler(e, c): return 1")
    assert call(aws, "twice") == 1
    aws.update_function_code(FunctionName="twice", ZipFile=package("def handler(e, c): return 2"))
    aws.get_waiter("function_updated_v2").wait(FunctionName="twice", WaiterConfig={"Delay": 1})
    assert call(aws, "twice") == 2


def test_the_bill_shows_what_was_used(cumulo_empty):
    aws = cumulo_empty.client("lambda")
    deploy(aws, "paid", HELLO)
    for _ in range(3):
        call(aws, "paid", {})
    bill = json.load(urlopen(cumulo_empty.endpoint + "/_cumulo/bill"))
    text = json.dumps(bill)
    assert "lambda" in text
    assert "requests" in text


def test_the_aws_cli_works(cumulo_empty, tmp_path: Path):
    (tmp_path / "f.zip").write_bytes(package(HELLO))

    def aws(*words: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": cumulo_empty.endpoint,
               "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(BIN / "aws"), *words],
            env=env,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    aws("lambda", "create-function", "--function-name", "cli", "--runtime", PYTHON, "--handler", "app.handler",
        "--role", ROLE, "--zip-file", "fileb://f.zip")  # fmt: skip
    aws("lambda", "wait", "function-active-v2", "--function-name", "cli")
    (tmp_path / "event.json").write_text('{"x": 1}')
    aws("lambda", "invoke", "--function-name", "cli", "--payload", "fileb://event.json", "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["got"] == {"x": 1}
    assert "hello {'x': 1}" in aws("logs", "filter-log-events", "--log-group-name", "/aws/lambda/cli")
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == "000000000000"
    aws("iam", "create-role", "--role-name", "r", "--assume-role-policy-document", "{}")
    aws("s3", "mb", "s3://bucket")
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    aws("s3", "cp", "file", "s3://bucket/file")
    aws("s3", "cp", "s3://bucket/file", "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_reset_empties_everything(cumulo_empty):
    aws, s3 = cumulo_empty.client("lambda"), cumulo_empty.client("s3")
    deploy(aws, "gone", HELLO)
    s3.create_bucket(Bucket="gone")
    urlopen(Request(cumulo_empty.endpoint + "/_cumulo/reset", method="POST")).close()
    assert aws.list_functions()["Functions"] == []
    assert s3.list_buckets()["Buckets"] == []
