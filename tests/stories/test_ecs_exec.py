"""Commands in running containers: cumulo exec, and ExecuteCommand as the AWS CLI's plugin speaks it."""

import contextlib
import json
import os
import pty
import shutil
import subprocess
import uuid

import pytest
from tests.containers_kit import needs_local
from tests.ecs_kit import ROLE, a_region, fargate, push_tools, run, running, shell
from tests.support import CUMULO
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cumulo.services.ecs.executing.messages import (
    INPUT,
    Flags,
    Message,
    PayloadType,
    acknowledgement,
    decode,
    encode,
)

pytestmark = needs_local


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with a_region(tmp_path_factory.mktemp("exec") / "data") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def image(cloud):
    return push_tools(cloud)


@pytest.fixture(scope="module")
def task(cloud, image):
    aws = cloud.client("ecs")
    aws.create_cluster(clusterName="default")
    container = shell(image, "echo here > /tmp/mark; sleep 1000", user="app")
    definition = fargate(aws, "sleeper", container, taskRoleArn=ROLE)
    arn = run(aws, cloud, definition, enableExecuteCommand=True)["taskArn"]
    return running(aws, arn)


def cumulo_exec(cloud, *words, stdin=b""):
    argv = [*CUMULO, "exec", "--endpoint", cloud.endpoint, "--data", str(cloud.data), *words]
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)


def test_output_errors_and_the_exit_code_are_mine(cloud, task):
    done = cumulo_exec(cloud, task["taskArn"], "sh", "-c", "cat /tmp/mark; id -u; echo oops >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"here\n0\n", b"oops\n", 7)


def test_what_i_type_goes_in_to_its_end(cloud, task):
    text = b"line\n" * 50_000
    done = cumulo_exec(cloud, task["taskArn"].split("/")[-1][:12], "wc", "-c", stdin=text)
    assert (done.stdout.strip(), done.returncode) == (str(len(text)).encode(), 0)


def test_a_service_or_family_names_a_task_and_nonsense_is_said_so(cloud, task):
    assert cumulo_exec(cloud, "sleeper", "echo", "hi").stdout == b"hi\n"
    done = cumulo_exec(cloud, "nothing", "echo", "hi")
    assert done.returncode != 0
    assert b"No running task" in done.stderr
    assert cumulo_exec(cloud, "sleeper", "no-such-command").returncode == 127


def test_with_a_terminal_the_command_has_one(cloud, task):
    ours, theirs = pty.openpty()
    argv = [*CUMULO, "exec", "--endpoint", cloud.endpoint, "--data", str(cloud.data), "sleeper", "sh", "-c",
            "test -t 0 && echo terminal; until stty size 2>/dev/null; do :; done"]  # fmt: skip
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"COLUMNS": "91", "LINES": "31"}
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 1000)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert process.wait(30) == 0
    assert b"terminal" in said
    assert b"31 91" in said  # which comes as a message after the command began, as on AWS


def test_the_api_gives_a_session_that_the_plugins_protocol_can_use(cloud, task):
    aws = cloud.client("ecs")
    answer = aws.execute_command(
        task=task["taskArn"], command="sh -c 'read x; echo got $x'", interactive=True
    )
    assert answer["containerName"] == "main"
    assert answer["session"]["sessionId"].startswith("ecs-execute-command-")
    printed = b""
    sequence = 0
    with connect(answer["session"]["streamUrl"], compression=None, proxy=None) as socket:
        opening = {"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "ClientId": str(uuid.uuid4()),
                   "TokenValue": answer["session"]["tokenValue"], "ClientVersion": "1.2.650.0"}  # fmt: skip
        socket.send(json.dumps(opening))

        def say(payload, kind):
            nonlocal sequence
            socket.send(encode(Message(type=INPUT, sequence=sequence, payload=payload, payload_type=kind,
                                       flags=Flags.DATA, id=uuid.uuid4(), created_ms=0)))  # fmt: skip
            sequence += 1

        for raw in socket:
            message = decode(raw)
            if message.type == "output_stream_data":
                with contextlib.suppress(ConnectionClosed):  # the session has ended meanwhile
                    socket.send(encode(acknowledgement(message, uuid.uuid4(), 0)))
            if message.type == "channel_closed":
                break
            if message.payload_type == PayloadType.HANDSHAKE_REQUEST:
                assert json.loads(message.payload)["RequestedClientActions"][0]["ActionType"] == "SessionType"
                say(
                    b'{"ClientVersion": "1.2.650.0", "ProcessedClientActions": [], "Errors": []}',
                    PayloadType.HANDSHAKE_RESPONSE,
                )
            elif message.payload_type == PayloadType.HANDSHAKE_COMPLETE:
                say(b"tea\r", PayloadType.OUTPUT)
            elif message.payload_type == PayloadType.OUTPUT:
                printed += message.payload
    assert b"got tea" in printed


def test_a_task_that_did_not_ask_for_it_is_refused_by_the_api_and_not_by_its_owner(cloud, image):
    aws = cloud.client("ecs")
    definition = fargate(aws, "plain", shell(image, "sleep 1000"))
    arn = run(aws, cloud, definition)["taskArn"]
    running(aws, arn)
    with pytest.raises(aws.exceptions.InvalidParameterException, match="execute command was not enabled"):
        aws.execute_command(task=arn, command="ls", interactive=True)
    assert cumulo_exec(cloud, "plain", "echo", "mine").stdout == b"mine\n"


NODE_CLIENT = """
const { ssm } = require("ssm-session"), WebSocket = require("ws");
const [, , url, token] = process.argv, size = { rows: 34, cols: 97 };
const socket = new WebSocket(url), text = new TextDecoder();
socket.binaryType = "arraybuffer";
socket.on("open", () => ssm.init(socket, { token, termOptions: size }));
socket.on("message", (data) => {
  const message = ssm.decode(data);
  ssm.sendACK(socket, message);
  if (message.payloadType === 5) {
    ssm.sendInitMessage(socket, size);
    ssm.sendText(socket, new TextEncoder().encode("stty size; echo got-$((40+2)); exit\\r"));
  }
  if (message.payloadType === 1) process.stdout.write(text.decode(message.payload));
});
socket.on("close", () => process.exit(0));
"""


def test_a_client_that_others_wrote_holds_a_session(cloud, task, tmp_path):
    """npm's ssm-session, which was made for Session Manager itself."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    (tmp_path / "client.js").write_text(NODE_CLIENT)
    argv = ["npm", "install", "--no-audit", "--no-fund", "--silent", "ssm-session@1.0.6", "ws@8"]
    if subprocess.run(argv, cwd=tmp_path, capture_output=True, timeout=120, check=False).returncode != 0:
        pytest.skip("npm cannot install ssm-session here")
    session = cloud.client("ecs").execute_command(task=task["taskArn"], command="sh", interactive=True)[
        "session"
    ]
    done = subprocess.run(
        ["node", "client.js", session["streamUrl"], session["tokenValue"]],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "34 97" in done.stdout
    assert "got-42" in done.stdout
