"""The AWS CLI, versions 1 and 2, against a cloud, as people type it."""

import json
import os
import shutil
import subprocess

import pytest
from tests.support import BIN, PYTHON, ROLE, package, until

HELLO = "def handler(event, context):\n    print('hello', event)\n    return {'got': event}\n"


def find(version):
    """The path of an AWS CLI of that major version."""
    for program in (
        str(BIN / "aws"),
        *(shutil.which("aws", path=folder) for folder in ("/usr/local/bin", "/usr/bin")),
    ):
        if program and os.access(program, os.X_OK):
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            if (told.stdout or told.stderr).startswith(f"aws-cli/{version}."):
                return program
    return None


CLIS = {version: find(version) for version in (1, 2)}


class Cli:
    """Runs `aws ...` at an endpoint, with folders of its own."""

    def __init__(self, program, version, endpoint, home):
        self.program, self.version, self.endpoint, self.home = program, version, endpoint, home
        gone = ("AWS_", "CUMULO_")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(gone)} | {
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "PYTHONUNBUFFERED": "1",
        }

    def argv(self, *words):
        return [self.program, "--endpoint-url", self.endpoint, *words]

    def run(self, *words):
        return subprocess.run(
            self.argv(*words), env=self.env, capture_output=True, text=True, timeout=60, check=False
        )

    def __call__(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.fixture(params=[1, 2])
def aws(request, cumulo_empty, tmp_path):
    program = CLIS[request.param]
    if program is None:
        pytest.skip(f"there is no AWS CLI of version {request.param} on this machine")
    return Cli(program, request.param, cumulo_empty.endpoint, tmp_path)


@pytest.fixture
def hello(aws, tmp_path):
    """A function, made with the CLI."""
    (tmp_path / "f.zip").write_bytes(package(HELLO))
    aws("lambda", "create-function", "--function-name", "hello", "--runtime", PYTHON, "--handler", "app.handler",
        "--role", ROLE, "--zip-file", f"fileb://{tmp_path}/f.zip", "--tags", "team=a")  # fmt: skip
    aws("lambda", "wait", "function-active-v2", "--function-name", "hello")
    return "hello"


def test_a_function_is_made_called_changed_and_deleted(aws, hello, tmp_path):
    out = tmp_path / "out.json"
    payload = ("--cli-binary-format", "raw-in-base64-out") if aws.version == 2 else ()
    answer = aws("lambda", "invoke", "--function-name", hello, "--payload", '{"a": 1}', "--log-type", "Tail",
                 *payload, str(out))  # fmt: skip
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads(out.read_text()) == {"got": {"a": 1}}
    shown = aws("lambda", "get-function", "--function-name", hello)
    assert (shown["Configuration"]["State"], shown["Tags"]) == ("Active", {"team": "a"})
    aws("lambda", "update-function-configuration", "--function-name", hello, "--timeout", "7",
        "--environment", "Variables={STAGE=test}")  # fmt: skip
    aws("lambda", "wait", "function-updated-v2", "--function-name", hello)
    assert aws("lambda", "publish-version", "--function-name", hello)["Version"] == "1"
    listed = aws("lambda", "list-functions")["Functions"]
    assert [(found["FunctionName"], found["Timeout"]) for found in listed] == [(hello, 7)]
    aws("lambda", "add-permission", "--function-name", hello, "--statement-id", "s3", "--action",
        "lambda:InvokeFunction", "--principal", "s3.amazonaws.com")  # fmt: skip
    policy = json.loads(aws("lambda", "get-policy", "--function-name", hello)["Policy"])
    assert policy["Statement"][0]["Principal"] == {"Service": "s3.amazonaws.com"}
    aws("lambda", "delete-function", "--function-name", hello)
    gone = aws.run("lambda", "get-function", "--function-name", hello)
    assert gone.returncode != 0
    assert (
        "An error occurred (ResourceNotFoundException) when calling the GetFunction operation: Function not found:"
        " arn:aws:lambda:us-east-1:000000000000:function:hello"
    ) in gone.stderr


def test_logs_are_described_and_filtered(aws, hello, tmp_path):
    aws("lambda", "invoke", "--function-name", hello, str(tmp_path / "out"))
    [group] = aws("logs", "describe-log-groups")["logGroups"]
    assert group["logGroupName"] == "/aws/lambda/hello"
    [stream] = aws("logs", "describe-log-streams", "--log-group-name", "/aws/lambda/hello")["logStreams"]
    assert "[$LATEST]" in stream["logStreamName"]
    found = aws(
        "logs", "filter-log-events", "--log-group-name", "/aws/lambda/hello", "--filter-pattern", "hello"
    )
    assert [event["message"] for event in found["events"]] == ["hello {}\n"]
    read = aws("logs", "get-log-events", "--log-group-name", "/aws/lambda/hello", "--log-stream-name",
               stream["logStreamName"])  # fmt: skip
    assert read["events"][0]["message"].startswith("INIT_START")


def test_logs_are_tailed_and_followed(aws, hello, cumulo_empty, tmp_path):
    if aws.version == 1:
        pytest.skip("`aws logs tail` is a word of version 2")
    functions = cumulo_empty.client("lambda")
    functions.invoke(FunctionName=hello, Payload=b'"before"')
    told = aws.run("logs", "tail", "/aws/lambda/hello", "--format", "short")
    assert "hello before" in told.stdout, told.stderr
    shown = tmp_path / "tail"
    with shown.open("w") as sink:
        process = subprocess.Popen(
            aws.argv("logs", "tail", "--follow", "/aws/lambda/hello", "--format", "short"), env=aws.env, stdout=sink, stderr=sink
        )  # fmt: skip
    try:
        until(lambda: "hello before" in shown.read_text(), "what was there is shown")
        for word in ("first", "second"):
            functions.invoke(FunctionName=hello, Payload=json.dumps(word))
            until(lambda word=word: f"hello {word}" in shown.read_text(), f"{word} is shown", 40)
        assert shown.read_text().count("hello first") == 1
    finally:
        process.terminate()
        process.wait(20)


def test_the_companions_answer_at_the_same_endpoint(aws, tmp_path):
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
                                                     "Action": "sts:AssumeRole"}]}  # fmt: skip
    role = aws(
        "iam", "create-role", "--role-name", "runs", "--assume-role-policy-document", json.dumps(trust)
    )["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/runs"
    assert aws.run("s3", "mb", "s3://code").returncode == 0
    (tmp_path / "g.zip").write_bytes(package(HELLO))
    copied = aws.run("s3", "cp", str(tmp_path / "g.zip"), "s3://code/g.zip")
    assert copied.returncode == 0, copied.stderr
    made = aws("lambda", "create-function", "--function-name", "g", "--runtime", PYTHON, "--handler", "app.handler",
               "--role", role["Arn"], "--code", "S3Bucket=code,S3Key=g.zip")  # fmt: skip
    assert made["Role"] == role["Arn"]
    back = aws.run("s3", "cp", "s3://code/g.zip", str(tmp_path / "back.zip"))
    assert back.returncode == 0, back.stderr
    assert (tmp_path / "back.zip").read_bytes() == package(HELLO)
