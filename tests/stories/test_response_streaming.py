"""A user's functions stream their answers, and boto3 reads them while they are being made."""

import base64
import json
import shutil
import socket

import pytest
from botocore.config import Config
from tests.support import deploy, until

NODE = pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
STORY = """
const fs = require('fs');
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  if (event.fail === 'before') throw new TypeError('before');
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'x-from': 'node' } });
  for (let i = 0; i < event.count; i++) {
    stream.write(`${i};`);
    await pause(event.pause);
    if (event.fail === 'amid' && i === 1) throw new RangeError('amid');
    if (event.fail === 'exit' && i === 1) process.exit(7);
  }
  console.log('all written');
  stream.end();
  await stream.finished;
});
"""
BOOTSTRAP = r"""#!/usr/bin/perl
use strict; use IO::Socket::INET;
my $api = $ENV{AWS_LAMBDA_RUNTIME_API};
my $root = "/2018-06-01/runtime/invocation";
$| = 1;
while (1) {
  my $poll = IO::Socket::INET->new($api) or die;
  print $poll "GET $root/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  local $/; my $call = <$poll>;
  my ($id) = $call =~ /aws-request-id: (\S+)/i;
  my ($count) = $call =~ /"count": (\d+)/;
  my ($size) = $call =~ /"size": (\d+)/;
  my $out = IO::Socket::INET->new($api) or die;
  print $out "POST $root/$id/response HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  print $out "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n";
  print $out sprintf("%x\r\n%s\r\n", $size, "x" x $size) for 1..$count;
  print "written $count\n";
  print $out "0\r\n\r\n";
  my $taken = <$out>;
  die $taken unless $taken =~ / 202 /;
}
"""
PRELUDE = b'{"statusCode":201,"headers":{"x-from":"node"}}' + bytes(8)


@pytest.fixture
def aws(cumulo_empty):
    return cumulo_empty.client("lambda", config=Config(retries={"total_max_attempts": 1}, read_timeout=60))


def opened(aws, name, event, **options):
    answer = aws.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **options)
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    return answer["EventStream"]


def read(events):
    """The pieces, and what came last."""
    found = list(events)
    assert [next(iter(event)) for event in found] == ["PayloadChunk"] * (len(found) - 1) + ["InvokeComplete"]
    return [event["PayloadChunk"]["Payload"] for event in found[:-1]], found[-1]["InvokeComplete"]


def lines(cumulo):
    """What is in the function's log; nothing before its first line."""
    logs = cumulo.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/story")["logGroups"]:
        return []
    events = logs.filter_log_events(logGroupName="/aws/lambda/story")["events"]
    return [event["message"] for event in events]


def reports(cumulo):
    return [line for line in lines(cumulo) if line.startswith("REPORT")]


@NODE
def test_a_node_function_streams_and_its_errors_come_last(aws, cumulo_empty):
    deploy(aws, "story", {"index.js": STORY}, Runtime="nodejs20.x", Handler="index.handler", Timeout=5)
    pieces, complete = read(opened(aws, "story", {"count": 3, "pause": 20}, LogType="Tail"))
    assert b"".join(pieces) == PRELUDE + b"0;1;2;"
    assert len(pieces) > 3
    assert "all written" in base64.b64decode(complete["LogResult"]).decode()
    assert not {"ErrorCode", "ErrorDetails"} & complete.keys()
    pieces, complete = read(opened(aws, "story", {"count": 3, "pause": 20, "fail": "amid"}))
    assert b"".join(pieces) == PRELUDE + b"0;1;"
    assert complete["ErrorCode"] == "RangeError"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "amid"
    pieces, complete = read(opened(aws, "story", {"count": 3, "pause": 20, "fail": "exit"}))
    assert (b"".join(pieces), complete["ErrorCode"]) == (PRELUDE + b"0;1;", "Runtime.ExitError")
    pieces, complete = read(opened(aws, "story", {"fail": "before"}))
    assert json.loads(complete["ErrorDetails"])["errorType"] == "TypeError"
    pieces, complete = read(opened(aws, "story", {"count": 1000, "pause": 20}))
    assert pieces[0].startswith(b'{"statusCode":201')
    assert complete["ErrorCode"] == "Sandbox.Timedout"
    assert [line.partition("Status: ")[2].strip() for line in reports(cumulo_empty)] == [
        "", "", "error\tError Type: Runtime.ExitError", "", "timeout",
    ]  # fmt: skip
    answer = aws.invoke(FunctionName="story", Payload=json.dumps({"count": 2, "pause": 0}))
    assert answer["Payload"].read() == PRELUDE + b"0;1;"


def test_a_function_that_does_not_stream_answers_in_one_piece(aws):
    deploy(aws, "plain", "def handler(event, context):\n    return {'got': event['a']}\n")
    pieces, complete = read(opened(aws, "plain", {"a": 1}))
    assert ([json.loads(piece) for piece in pieces], complete) == ([{"got": 1}], {})
    pieces, complete = read(opened(aws, "plain", {}))
    assert (pieces, complete["ErrorCode"]) == ([], "Unhandled")
    assert json.loads(complete["ErrorDetails"])["errorType"] == "KeyError"
    dry = aws.invoke_with_response_stream(FunctionName="plain", InvocationType="DryRun")
    assert (dry["StatusCode"], list(dry["EventStream"])) == (204, [])
    dry["EventStream"].close()
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.invoke_with_response_stream(FunctionName="nobody")
    with pytest.raises(aws.exceptions.InvalidRequestContentException):
        aws.invoke_with_response_stream(FunctionName="plain", Payload=b"{")


def test_a_custom_runtime_streams_more_than_an_answer_may_hold_to_a_slow_reader(aws, cumulo_empty):
    deploy(aws, "story", {"bootstrap": BOOTSTRAP}, Runtime="provided.al2023", Handler="x", Timeout=60)
    events = opened(aws, "story", {"count": 1024, "size": 65536})
    first = next(iter(events))["PayloadChunk"]["Payload"]
    assert not reports(cumulo_empty)  # it cannot be ready while nobody reads
    pieces, complete = read(events)
    assert (len(first) + sum(map(len, pieces)), complete) == (64 * 1024 * 1024, {})
    assert len(reports(cumulo_empty)) == 1


def test_a_client_that_goes_away_does_not_stop_the_function(aws, cumulo_empty):
    deploy(aws, "story", {"bootstrap": BOOTSTRAP}, Runtime="provided.al2023", Handler="x", Timeout=60)
    host, port = cumulo_empty.endpoint.removeprefix("http://").split(":")
    body = json.dumps({"count": 500, "size": 65536}).encode()
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /2021-11-15/functions/story/response-streaming-invocations HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
            b"SignedHeaders=host, Signature=0\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert b" 200 OK" in client.recv(1024)
    until(lambda: len(reports(cumulo_empty)) == 1, "the function came to its end")
    assert "written 500\n" in lines(cumulo_empty)
    pieces, _ = read(opened(aws, "story", {"count": 1, "size": 5}))
    assert pieces == [b"xxxxx"]
