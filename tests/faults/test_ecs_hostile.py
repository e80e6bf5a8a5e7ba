"""Hostile calls of ECS, load balancing and sessions: refused by name, and the cloud goes on answering."""

import contextlib
import http.client
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from tests.containers_kit import needs_local, port_of
from tests.ecs_kit import a_region, address, fargate, network, push_tools, run, running, shell, stopped
from tests.support import Process, until
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from cumulo.services.ecs.executing.messages import INPUT, Flags, Message, PayloadType, decode, encode

pytestmark = needs_local
BAD_TEXTS = ("x\r\ny", "x\0y", "../../etc/passwd", "a b", "\u202e", "x" * 5000, "", "/", "..", "-")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with a_region(tmp_path_factory.mktemp("hostile") / "data", "--overcommit", "8") as made:
        made.client("ecs").create_cluster()
        yield made


@pytest.fixture(scope="module")
def image(cloud: Process) -> str:
    return push_tools(cloud)


@pytest.fixture(scope="module")
def opened(cloud: Process, image: str) -> dict[str, Any]:
    """A running task that allows ExecuteCommand."""
    ecs = cloud.client("ecs")
    definition = fargate(
        ecs,
        "opened",
        shell(image, "sleep 1000", stopTimeout=2),
        taskRoleArn="arn:aws:iam::000000000000:role/t",
    )
    return running(ecs, run(ecs, cloud, definition, enableExecuteCommand=True)["taskArn"])


def outcome(call: Any) -> int:
    """The status with which a call was refused; 0 when it was not.  Nothing hostile may be the server's own fault."""
    refused: dict[str, Any] = {}
    try:
        call()
    except ClientError as error:
        refused = error.response
    except (ValueError, ParamValidationError):  # boto3 itself does not send it
        return 400
    if not refused:
        return 0
    status = int(refused["ResponseMetadata"]["HTTPStatusCode"])
    assert status < 500 or refused["Error"]["Code"] == "NotImplemented", refused
    return status


def defined(cloud: Process, container: dict[str, Any], **more: Any) -> Any:
    wanted = {
        "family": "hostile", "networkMode": "bridge",
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 64} | container],
    } | more  # fmt: skip
    return cloud.client("ecs").register_task_definition(**wanted)


# -- definitions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", BAD_TEXTS, ids=repr)
def test_names_of_everything_are_checked_or_kept_as_they_are(cloud: Process, text: str):
    """A family, a container, a volume, a cluster or a service of such a name is refused; no call breaks."""
    ecs = cloud.client("ecs")
    plain = {"name": "main", "image": "busybox", "memory": 64}
    calls = [
        lambda: defined(cloud, {}, family=text),
        lambda: defined(cloud, {"name": text}),
        lambda: defined(cloud, {}, volumes=[{"name": text}]),
        lambda: ecs.create_cluster(clusterName=text) if text else _refuse(),
        lambda: ecs.create_service(serviceName=text, taskDefinition="hostile", desiredCount=0),
        lambda: ecs.run_task(taskDefinition=text),
        lambda: ecs.describe_task_definition(taskDefinition=text),
    ]
    accepted = [number for number, call in enumerate(calls) if outcome(call) == 0]
    assert accepted == ([0, 1, 2, 3, 4, 6] if text == "-" else []), "a dash is a name like any other"
    for member in ("image", "command", "entryPoint", "user", "workingDirectory", "hostname", "dnsServers"):
        value: Any = [text] if member in ("command", "entryPoint", "dnsServers") else text
        outcome(lambda m=member, v=value: defined(cloud, plain | {m: v}))
    assert ecs.list_clusters()["clusterArns"]


def _refuse() -> None:
    raise ValueError("no name is the default one")


@pytest.mark.parametrize(
    ("container", "more"),
    [
        ({"mountPoints": [{"sourceVolume": "nowhere", "containerPath": "/x"}]}, {}),
        ({"mountPoints": [{"sourceVolume": "../../etc", "containerPath": "/x"}]}, {}),
        ({}, {"volumes": [{"name": "../x"}]}),
        ({}, {"volumes": [{"name": "v", "host": {"sourcePath": "/a"}, "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]}),
        ({"systemControls": [{"namespace": "kernel.core_pattern", "value": "|/bin/x"}]}, {}),
        ({"systemControls": [{"namespace": "kernel.shm_rmid_forced/../core_pattern", "value": "x"}]}, {}),
        ({"systemControls": [{"namespace": "net/../kernel.core_pattern", "value": "x"}]}, {}),
        ({"systemControls": [{"namespace": "net.ipv4.ip_forward", "value": "1"}]}, {"networkMode": "host"}),
        ({"systemControls": [{"namespace": "vm.overcommit_memory", "value": "1"}]}, {}),
        ({"ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 5}]}, {}),
        ({"ulimits": [{"name": "nofile", "softLimit": -5, "hardLimit": -5}]}, {}),
        ({"linuxParameters": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}, {}),
        ({"linuxParameters": {"capabilities": {"add": ["sys_admin"]}}}, {}),
        ({"linuxParameters": {"tmpfs": [{"containerPath": "relative", "size": 1}]}}, {}),
        ({"linuxParameters": {"tmpfs": [{"containerPath": "/x", "size": -1}]}}, {}),
        ({"links": ["main"]}, {"networkMode": "awsvpc"}),
        ({"cpu": -1}, {}),
        ({"memory": -1}, {}),
        ({"image": "x\ny"}, {}),
        ({"environmentFiles": [{"type": "s3", "value": "file:///etc/passwd"}]}, {}),
        ({"secrets": [{"name": "x", "valueFrom": "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"}]}, {}),
        ({"portMappings": [{"containerPort": 70000}]}, {}),
        ({"portMappings": [{"containerPort": 80, "hostPort": -1}]}, {}),
        ({"environment": [{"name": "x", "value": "y" * 70_000}]}, {}),
    ],
    ids=lambda one: json.dumps(one)[:60],
)  # fmt: skip
def test_definitions_that_reach_for_too_much_are_refused(
    cloud: Process, container: dict[str, Any], more: dict[str, Any]
):
    assert outcome(lambda: defined(cloud, container, **more)) == 400


@pytest.mark.parametrize(
    "container",
    [
        {"privileged": True},
        {"linuxParameters": {"devices": [{"hostPath": "/dev/mem"}]}},
        {"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        {"linuxParameters": {"capabilities": {"add": ["ALL"]}}},
        {"dockerSecurityOptions": ["seccomp:unconfined"]},
        {"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2_000_000}]},
    ],
    ids=str,
)
def test_fargate_gives_nobody_privileges(cloud: Process, container: dict[str, Any]):
    ecs = cloud.client("ecs")
    assert outcome(lambda: fargate(ecs, "greedy", {"name": "main", "image": "busybox"} | container)) == 400
    # Nor by the way of a definition that does not say where it will run.
    arn = defined(cloud, container, networkMode="awsvpc", cpu="256", memory="512")["taskDefinition"]
    call = lambda: ecs.run_task(  # noqa: E731
        taskDefinition=arn["taskDefinitionArn"], launchType="FARGATE", networkConfiguration=network(cloud)
    )
    assert outcome(call) == 400


def test_system_controls_of_a_task_stay_its_own(cloud: Process, image: str):
    """Every way to write a path with dots and slashes: the machine's settings are what they were."""
    ecs = cloud.client("ecs")
    watched = [
        Path("/proc/sys/kernel/core_pattern"),
        Path("/proc/sys/net/ipv4/ip_forward"),
        Path("/proc/sys/net/ipv4/conf/all/rp_filter"),
        Path("/proc/sys/kernel/msgmax"),
    ]
    before = [path.read_text() for path in watched]
    for namespace in (
        "net.x/../../kernel/core_pattern",
        "net.../../kernel/core_pattern",
        "net.ipv4.conf.all.rp_filter",
        "net.ipv4.ip_forward",
        "net./proc/sys/kernel/core_pattern",
        "kernel.msgmax",
    ):
        controls = [{"namespace": namespace, "value": "1"}]
        if outcome(lambda c=controls: fargate(ecs, "tuned", shell(image, "true", systemControls=c))):
            continue
        stopped(ecs, run(ecs, cloud, "tuned")["taskArn"])
        assert [path.read_text() for path in watched] == before, namespace


# -- load balancers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def balancer(cloud: Process) -> dict[str, str]:
    elb, subnets = cloud.client("elbv2"), cloud.client("ec2").describe_subnets()["Subnets"]
    made = elb.create_load_balancer(Name="front", Subnets=[one["SubnetId"] for one in subnets[:2]])
    group = elb.create_target_group(
        Name="group", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="ip"
    )
    listener = elb.create_listener(
        LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )  # fmt: skip
    return {
        "name": made["LoadBalancers"][0]["DNSName"],
        "vpc": subnets[0]["VpcId"],
        "group": group["TargetGroups"][0]["TargetGroupArn"],
        "listener": listener["Listeners"][0]["ListenerArn"],
    }


@pytest.mark.parametrize(
    "target",
    ["169.254.169.254", "169.254.170.2", "0.0.0.0", "255.255.255.255", "224.0.0.1", "8.8.8.8", "::1", "1", "0x7f.1",
     "127.1", "2130706433", "localhost", "10.0.0.1\r\nx", "10.0.0.1/8", "010.0.0.1"],
)  # fmt: skip
def test_targets_that_are_no_private_addresses_are_refused(
    cloud: Process, balancer: dict[str, str], target: str
):
    elb = cloud.client("elbv2")
    targets = [{"Id": target, "Port": 80}]
    assert outcome(lambda: elb.register_targets(TargetGroupArn=balancer["group"], Targets=targets)) == 400


@pytest.mark.parametrize(
    "path", ["/ HTTP/1.1\r\nX: y", "/\r\n", "/a\nb", "/\0", "/a b", "/é", "x", ""], ids=repr
)
def test_paths_of_health_checks_cannot_carry_a_second_request(
    cloud: Process, balancer: dict[str, str], path: str
):
    elb = cloud.client("elbv2")
    assert (
        outcome(lambda: elb.modify_target_group(TargetGroupArn=balancer["group"], HealthCheckPath=path))
        == 400
    )
    call = lambda: elb.create_target_group(  # noqa: E731
        Name="other", Protocol="HTTP", Port=80, VpcId=balancer["vpc"], HealthCheckPath=path
    )
    assert outcome(call) == 400


@pytest.mark.parametrize("text", ["x\r\nSet-Cookie: a=b", "x\ny", "x\0"], ids=repr)
def test_redirects_and_answers_cannot_split_a_response(cloud: Process, balancer: dict[str, str], text: str):
    """Whatever is accepted, what comes out is one well-formed answer without the header that was smuggled in."""
    elb = cloud.client("elbv2")
    for config in ({"Host": text}, {"Path": f"/{text}"}, {"Query": text}, {"Port": text}):
        action = [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_302"} | config}]
        call = lambda a=action: elb.modify_listener(ListenerArn=balancer["listener"], DefaultActions=a)  # noqa: E731
        assert outcome(call) == 400
    fixed = {"StatusCode": "200", "ContentType": f"text/plain{text}"}
    action = [{"Type": "fixed-response", "FixedResponseConfig": fixed}]
    assert (
        outcome(lambda: elb.modify_listener(ListenerArn=balancer["listener"], DefaultActions=action)) == 400
    )
    attribute = {"Key": "routing.http.response.server.enabled", "Value": text}
    outcome(lambda: elb.modify_listener_attributes(ListenerArn=balancer["listener"], Attributes=[attribute]))
    for key in ("strict_transport_security", "access_control_allow_origin", "x_frame_options"):
        attribute = {"Key": f"routing.http.response.{key}.header_value", "Value": text}
        outcome(
            lambda a=attribute: elb.modify_listener_attributes(
                ListenerArn=balancer["listener"], Attributes=[a]
            )
        )
    connection = http.client.HTTPConnection("127.0.0.1", port_of(cloud), timeout=10)
    connection.request("GET", "/", headers={"Host": balancer["name"]})
    with connection.getresponse() as answer:
        assert answer.getheader("set-cookie") is None
        assert answer.status < 500
    connection.close()


# -- user data -----------------------------------------------------------------------------------------------


def test_user_data_is_read_and_never_run(cloud: Process, tmp_path: Path):
    mark = tmp_path / "ran"
    cloud.client("ecs").create_cluster(clusterName="farm")
    ami = cloud.client("ssm").get_parameter(
        Name="/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    )["Parameter"]["Value"]
    data = (
        f"#!/bin/bash\ntouch {mark}\necho ECS_CLUSTER=$(touch {mark}; echo farm) >> /etc/ecs/ecs.config\n"
        f"`touch {mark}`\necho 'ECS_CLUSTER=farm' > /etc/ecs/../../{mark}\necho ECS_CLUSTER=farm >> /etc/ecs/ecs.config\n"
        + "cat <<EOF"
        * 2000
    )
    ec2 = cloud.client("ec2")
    outcome(
        lambda: ec2.run_instances(ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1, UserData=data)
    )
    for text in ("#!/bin/bash\n" + "ECS_CLUSTER=" * 1200, "\0" * 100, "((" * 5000, "$(" * 5000):
        outcome(
            lambda t=text: ec2.run_instances(
                ImageId=ami, InstanceType="t3.nano", MinCount=1, MaxCount=1, UserData=t
            )
        )
    assert cloud.client("ecs").list_clusters()["clusterArns"]
    assert not mark.exists()


# -- sessions ------------------------------------------------------------------------------------------------


def session(cloud: Process, opened: dict[str, Any], command: str = "cat") -> dict[str, Any]:
    answer = cloud.client("ecs").execute_command(task=opened["taskArn"], command=command, interactive=True)
    return dict(answer["session"])


def opening(token: str) -> str:
    return json.dumps({"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "TokenValue": token,
                       "ClientId": str(uuid.uuid4()), "ClientVersion": "1.2.0"})  # fmt: skip


def is_served(url: str, *messages: str | bytes) -> bool:
    """Whether the agent's side begins its handshake."""
    with connect(url, compression=None, proxy=None, open_timeout=10, close_timeout=2) as channel:
        try:
            for message in messages:
                channel.send(message)
            first = channel.recv(timeout=5)
            return isinstance(first, bytes) and decode(first).payload_type == PayloadType.HANDSHAKE_REQUEST
        except (WebSocketException, TimeoutError, OSError):
            return False


def test_a_session_is_joined_once_and_only_with_its_own_token(cloud: Process, opened: dict[str, Any]):
    one, other = session(cloud, opened), session(cloud, opened)
    base = one["streamUrl"].rpartition("/")[0]
    for token in (
        "",
        "0" * 128,
        one["tokenValue"][:-1],
        one["tokenValue"].upper(),
        other["tokenValue"],
        "é" * 64,
    ):
        assert not is_served(one["streamUrl"], opening(token)), token
    for message in (
        "",
        "{}",
        "[]",
        '{"TokenValue": null}',
        '{"TokenValue": 1}',
        b"\xff" * 200,
        "{" * 100_000,
    ):
        assert not is_served(one["streamUrl"], message)
    for name in ("", "x", "../keys", "ecs-execute-command-" + "0" * 17, "%2e%2e", other["sessionId"] + "/x"):
        with contextlib.suppress(WebSocketException, OSError):
            assert not is_served(f"{base}/{name}", opening(one["tokenValue"])), name
    assert is_served(one["streamUrl"], opening(one["tokenValue"])), "wrong guesses have not used it up"
    assert not is_served(one["streamUrl"], opening(one["tokenValue"])), "a second time"
    assert is_served(other["streamUrl"], opening(other["tokenValue"]))


def frame(sequence: int, payload: bytes, kind: int = PayloadType.OUTPUT, flags: int = Flags.DATA) -> bytes:
    return encode(
        Message(type=INPUT, sequence=sequence, payload=payload, payload_type=kind, flags=flags, id=uuid.uuid4(),
                created_ms=0)
    )  # fmt: skip


def test_nonsense_on_the_data_channel_ends_its_session_and_nothing_else(
    cloud: Process, opened: dict[str, Any]
):
    """No handshake, wrong sequences, lengths that lie, frames beyond every bound."""
    hostile: list[list[bytes | str]] = [
        [frame(5, b"early")],
        [frame(-1, b"x"), frame(2**63 - 1, b"x")],
        [b"\0" * 119],
        [encode(Message(type=INPUT, sequence=0, payload=b"abc", id=uuid.uuid4(), created_ms=0))[:-1]],
        [frame(0, b"{}", PayloadType.HANDSHAKE_RESPONSE), frame(1, b'{"rows": -1, "cols": 1e99}', PayloadType.SIZE)],
        [frame(0, b"{}", PayloadType.HANDSHAKE_RESPONSE), frame(1, b'{"rows": [], "cols": {}}', PayloadType.SIZE)],
        [frame(0, b"{}", PayloadType.HANDSHAKE_RESPONSE), frame(1, b"x" * 100, PayloadType.FLAG)],
        [frame(0, b"{}", PayloadType.HANDSHAKE_RESPONSE), frame(1, b'{"rows": 1e400, "cols": 1}', PayloadType.SIZE)],
        [b"x" * (3 << 20)],
        ["{" * (3 << 20)],
    ]  # fmt: skip
    for messages in hostile:
        made = session(cloud, opened)
        with (
            contextlib.suppress(WebSocketException, OSError, TimeoutError),
            connect(
                made["streamUrl"], compression=None, proxy=None, close_timeout=1, max_size=None
            ) as channel,
        ):
            channel.send(opening(made["tokenValue"]))
            for message in messages:
                channel.send(message)
            while channel.recv(timeout=0.5):
                pass
    assert cloud.client("ecs").list_tasks()["taskArns"]
    log = cloud.log.read_text(errors="replace")
    assert "Traceback" not in log, log[-3000:]


def memory_kib(cloud: Process) -> int:
    assert cloud.child is not None
    text = Path(f"/proc/{cloud.child.pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def raw_channel(cloud: Process) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port_of(cloud)), timeout=10)
    sock.sendall(
        b"GET /_cumulo/ecs/data-channel/x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert sock.recv(4096).startswith(b"HTTP/1.1 101")
    return sock


def test_strangers_on_the_data_channel_cannot_fill_the_memory(cloud: Process):
    """Pings whose answers nobody reads, messages that nobody takes: the server stops reading."""
    before = memory_kib(cloud)
    ping = b"\x89\xfd" + b"\0" * 4 + b"x" * 125
    message = b"\x82\xff" + (900_000).to_bytes(8, "big") + b"\0" * 4 + b"x" * 900_000
    socks = [raw_channel(cloud) for _ in range(12)]
    try:

        def push(sock: socket.socket, data: bytes) -> None:
            sock.settimeout(1.0)
            with contextlib.suppress(OSError):
                for _ in range(48 * 1024 * 1024 // len(data)):
                    sock.sendall(data)

        threads = [
            threading.Thread(target=push, args=(sock, ping * 512 if number % 2 else message))
            for number, sock in enumerate(socks)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        grown = (memory_kib(cloud) - before) // 1024
        assert grown < 128, f"{grown} MiB more"
    finally:
        for sock in socks:
            sock.close()
    assert cloud.client("ecs").list_clusters()["clusterArns"]


def test_a_thousand_offered_sessions_are_the_end_and_not_the_clouds(cloud: Process, opened: dict[str, Any]):
    """There is a bound, said by name; who joins what was offered is served."""
    kept = session(cloud, opened)
    ecs = cloud.client("ecs")
    codes: list[str] = []
    for _ in range(1100):
        try:
            ecs.execute_command(task=opened["taskArn"], command="cat", interactive=True)
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
            if len(codes) > 3:
                break
    assert set(codes) == {"ServerException"}
    assert is_served(kept["streamUrl"], opening(kept["tokenValue"]))
    assert ecs.list_clusters()["clusterArns"]


def test_the_exec_page_wants_the_token_of_the_data_folder(cloud: Process):
    order = json.dumps({"task": "opened", "argv": ["id"]})
    for headers in ({}, {"x-cumulo-token": ""}, {"x-cumulo-token": "x" * 64}, {"x-cumulo-token": "0"}):
        connection = http.client.HTTPConnection("127.0.0.1", port_of(cloud), timeout=10)
        connection.request("POST", "/_cumulo/ecs/exec", order, headers)
        with connection.getresponse() as answer:
            assert answer.status == 403
        connection.close()
    assert (cloud.data / "admin-token").stat().st_mode & 0o077 == 0


# -- what tasks are told to do -------------------------------------------------------------------------------


def test_overrides_give_no_more_than_the_definition(cloud: Process, image: str):
    ecs = cloud.client("ecs")
    fargate(ecs, "plain", shell(image, "true"))
    for overrides in (
        {"containerOverrides": [{"name": "nobody", "command": ["x"]}]},
        {"containerOverrides": [{"name": "main", "memory": -1}]},
        {"containerOverrides": [{"name": "main", "environment": [{"name": "x", "value": "y" * 9000}]}]},
        {"cpu": "-1"},
        {"memory": "99999999"},
        {"cpu": "1e9"},
        {"ephemeralStorage": {"sizeInGiB": 100_000}},
    ):
        call = lambda o=overrides: ecs.run_task(  # noqa: E731
            taskDefinition="plain", launchType="FARGATE", networkConfiguration=network(cloud), overrides=o
        )
        assert outcome(call) == 400, overrides


def test_tags_of_hostile_shapes(cloud: Process):
    ecs = cloud.client("ecs")
    arn = ecs.describe_clusters(clusters=["default"])["clusters"][0]["clusterArn"]
    for tags in (
        [{"key": "aws:x", "value": "y"}],
        [{"key": "k" * 129, "value": "y"}],
        [{"key": "k", "value": "y" * 257}],
        [{"key": f"k{number}", "value": "y"} for number in range(51)],
        [{"key": "k", "value": "a\0b"}],
    ):
        assert outcome(lambda t=tags: ecs.tag_resource(resourceArn=arn, tags=t)) in (0, 400)
    shown = ecs.list_tags_for_resource(resourceArn=arn)["tags"]
    assert all(not one["key"].startswith("aws:") for one in shown)
    assert len(shown) <= 50


def test_a_pattern_that_would_keep_a_matcher_busy_for_ever_is_refused(cloud: Process):
    ecs = cloud.client("ecs")
    for expression in ("attribute:x =~ (a+)+$", "attribute:x =~ (a|a)*$", "attribute:x =~ .*.*.*.*.*.*.*.*x",
                       "(" * 2000 + "attribute:x == y" + ")" * 2000, "not(" * 500 + "attribute:x == y" + ")" * 500):  # fmt: skip
        constraint = [{"type": "memberOf", "expression": expression}]
        assert outcome(lambda c=constraint: defined(cloud, {}, placementConstraints=c)) in (0, 400)
        outcome(lambda c=constraint: ecs.run_task(taskDefinition="hostile", placementConstraints=c))
    assert ecs.list_clusters()["clusterArns"]


def test_service_connect_cannot_take_the_names_that_tasks_rely_on(cloud: Process, image: str):
    """An alias that is called localhost, or like the metadata's address, leads nobody astray."""
    ecs = cloud.client("ecs")
    cloud.client("logs").create_log_group(logGroupName="/sc")
    options = {"awslogs-group": "/sc", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "x"}
    look = "cat /etc/hosts; wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task | grep -c TaskARN; sleep 100"
    definition = fargate(
        ecs, "mesh",
        shell(image, look, stopTimeout=2, logConfiguration={"logDriver": "awslogs", "options": options},
              portMappings=[{"containerPort": 8080, "name": "web"}]),
    )  # fmt: skip
    for number, alias in enumerate(
        ("localhost", "169.254.170.2", "host.docker.internal", "a b", "x\n127.0.0.9 y")
    ):
        service = f"mesh{number}"
        configuration = {"enabled": True, "namespace": f"ns{number}", "services": [
            {"portName": "web", "clientAliases": [{"port": 80, "dnsName": alias}]}]}  # fmt: skip
        with contextlib.suppress(ClientError):
            cloud.client("servicediscovery").create_http_namespace(Name=f"ns{number}")
        call = lambda s=service, c=configuration: ecs.create_service(  # noqa: E731
            serviceName=s,
            taskDefinition=definition,
            desiredCount=1,
            launchType="FARGATE",
            networkConfiguration=network(cloud),
            serviceConnectConfiguration=c,
        )
        if outcome(call):
            continue
        arn = until(lambda s=service: ecs.list_tasks(serviceName=s)["taskArns"], "a task", 20)[0]
        described = running(ecs, arn)
        stream = f"x/main/{arn.split('/')[-1]}"

        def said(stream: str = stream) -> list[str]:
            with contextlib.suppress(ClientError):
                events = cloud.client("logs").get_log_events(logGroupName="/sc", logStreamName=stream)[
                    "events"
                ]
                lines = [one["message"] for one in events]
                return lines if lines and lines[-1].strip().isdigit() else []
            return []

        lines = until(said, "it has looked", 20)
        assert lines[-1] == "1", (alias, lines, address(described))
        assert lines[0].split() == ["127.0.0.1", "localhost"], "the first line for a name counts"
        ecs.delete_service(service=service, force=True)
