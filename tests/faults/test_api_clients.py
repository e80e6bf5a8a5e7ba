"""Clients of APIs that are many, slow, gone or greedy: others are served, limits hold to the request, memory comes back."""

import contextlib
import json
import re
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.api_torture_kit import HOST, Attacked, drained, json_of, statuses
from tests.support import until

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("clients"))
    yield made
    made.close()


def memory_mib(attacked: Attacked) -> float:
    """What the server's process holds."""
    assert attacked.process.child is not None
    text = Path(f"/proc/{attacked.process.child.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024


def latency(attacked: Attacked, count: int = 60) -> float:
    """The median of what one request takes, in seconds."""
    took = []
    for _ in range(count):
        began = time.monotonic()
        assert statuses(attacked.ask(attacked.http_host, "/fn/a")) == [200]
        took.append(time.monotonic() - began)
    return sorted(took)[count // 2]


def all_at_once(attacked: Attacked, host: str, path: str, count: int, *lines: str) -> Counter[int]:
    """How often each status was answered to so many clients at the same moment."""
    ready = threading.Barrier(count)

    def one(_: int) -> int:
        with socket.create_connection(attacked.address, 30) as client:
            head = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""])
            ready.wait(30)
            client.sendall(head.encode())
            return statuses(drained(client))[0]

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


def test_a_burst_is_as_large_as_it_was_said_to_be(attacked: Attacked) -> None:
    """With a rate of next to nothing: exactly `burst` pass, of all that come at once."""
    settings = {"ThrottlingBurstLimit": 20, "ThrottlingRateLimit": 0.001}
    attacked.route("GET /limited/{proxy+}", IntegrationType="AWS_PROXY", IntegrationUri=attacked.function,
                   PayloadFormatVersion="2.0")  # fmt: skip
    attacked.v2.update_stage(
        ApiId=attacked.http_api, StageName="$default", RouteSettings={"GET /limited/{proxy+}": settings}
    )
    for path, host in (("/limited/a", attacked.http_host),):
        assert all_at_once(attacked, host, path, 100) == {200: 20, 429: 80}
    attacked.rest.update_stage(
        restApiId=attacked.rest_api,
        stageName="dev",
        patchOperations=[
            {"op": "replace", "path": "/~1mock/ANY/throttling/burstLimit", "value": "20"},
            {"op": "replace", "path": "/~1mock/ANY/throttling/rateLimit", "value": "0.001"},
        ],
    )
    assert all_at_once(attacked, attacked.rest_host, "/dev/mock", 100) == {200: 20, 429: 80}
    attacked.rest.update_stage(
        restApiId=attacked.rest_api,
        stageName="dev",
        patchOperations=[
            {"op": "replace", "path": "/~1mock/ANY/throttling/burstLimit", "value": "5000"},
            {"op": "replace", "path": "/~1mock/ANY/throttling/rateLimit", "value": "10000"},
        ],
    )
    attacked.alive()


def test_a_quota_is_not_overdrawn_however_many_come_at_once(attacked: Attacked) -> None:
    gateway = attacked.rest
    api = gateway.create_rest_api(name="quota")
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE", apiKeyRequired=True)
    gateway.put_integration(
        **where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    gateway.put_method_response(**where, statusCode="200")
    gateway.put_integration_response(**where, statusCode="200")
    gateway.create_deployment(restApiId=api["id"], stageName="dev")
    key = gateway.create_api_key(name="k", enabled=True, value="k" * 30)["id"]
    host = HOST.format(api=api["id"])
    for limits, passed in (
        ({"quota": {"limit": 50, "period": "DAY"}}, 50),
        ({"throttle": {"burstLimit": 7, "rateLimit": 0.001}}, 7),
    ):
        plan = gateway.create_usage_plan(
            name="p", apiStages=[{"apiId": api["id"], "stage": "dev"}], **limits
        )["id"]
        gateway.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
        assert all_at_once(attacked, host, "/dev/", 150, "X-Api-Key: " + "k" * 30) == {
            200: passed,
            429: 150 - passed,
        }
        gateway.update_usage_plan(
            usagePlanId=plan,
            patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{api['id']}:dev"}],
        )
        gateway.delete_usage_plan_key(usagePlanId=plan, keyId=key)
    assert all_at_once(attacked, host, "/dev/", 20) == {403: 20}
    attacked.alive()


def test_ten_thousand_idle_clients_keep_nobody_waiting(attacked: Attacked) -> None:
    """As many as this process may have; nobody is told that there are too many."""
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    before, usual = memory_mib(attacked), latency(attacked)
    clients: list[socket.socket] = []
    try:
        for at in range(count):
            client = socket.socket()
            client.bind((f"127.0.0.{1 + at % 4}", 0))
            client.connect(attacked.address)
            clients.append(client)
        slow = latency(attacked)
        during = memory_mib(attacked)
        print(
            f"{count} clients: {before:.0f} -> {during:.0f} MiB, {usual * 1000:.2f} -> {slow * 1000:.2f} ms"
        )
        assert slow < 10 * usual + 0.05, (usual, slow)
        assert (during - before) * 1024 / count < 20, "KiB for each"
    finally:
        for client in clients:
            client.close()
    attacked.alive()
    until(lambda: memory_mib(attacked) < before + 60, "memory comes back", 20)
    assert latency(attacked) < 5 * usual + 0.02


def test_clients_that_send_slowly_keep_nobody_waiting(attacked: Attacked) -> None:
    """Half a head, half a body with a length, half a chunk: to a function, a backend, and a MOCK."""
    usual = latency(attacked)
    begun = []
    for host, prefix in attacked.hosts:
        for path in ("/fn/a", "/back/a"):
            head = f"POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\n"
            begun += [head, head + "Content-Length: 1000\r\n\r\nx", head + "Content-Length: 5000000\r\n\r\nx",
                      head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", head + "Transfer-Encoding: chunked\r\n\r\n"]  # fmt: skip
    attacked.backend.reset()
    clients = []
    for at in range(1000):
        client = socket.create_connection(attacked.address, 10)
        client.sendall(begun[at % len(begun)].encode())
        clients.append(client)
    slow = latency(attacked)
    assert slow < 10 * usual + 0.05, (usual, slow)
    for client in clients:
        client.close()
    until(lambda: not attacked.backend.open, "the backend is left in peace", 20)
    attacked.backend.reset()
    attacked.alive()


def test_clients_that_go_in_the_middle_leave_nothing_behind(attacked: Attacked) -> None:
    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)

    attacked.backend.reset(answer)
    before = memory_mib(attacked)
    for round_ in range(300):
        host, prefix = attacked.hosts[round_ % 2]
        with socket.create_connection(attacked.address, 10) as client:
            client.sendall(f"GET {prefix}/back/a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            if round_ % 3:
                client.recv(1 + 1000 * (round_ % 5))
            if round_ % 4 == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    until(lambda: not attacked.backend.open, "the backend is left in peace", 30)
    until(lambda: memory_mib(attacked) < before + 80, f"memory comes back to {before}", 20)
    attacked.backend.reset()
    attacked.alive()


def test_a_client_that_has_closed_its_side_gets_its_answer(attacked: Attacked) -> None:
    for host, prefix in attacked.hosts:
        for path in ("/fn/a", "/back/a"):
            sent = f"GET {prefix}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            assert statuses(attacked.send(sent, half_close=True)) == [200]
            cut = f"POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nabc".encode()
            assert statuses(attacked.send(cut, half_close=True)) in ([], [400], [503], [504])
    attacked.alive()


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_the_most(attacked: Attacked, more: int, *, chunked: bool) -> None:
    size = 10 * MIB + more
    attacked.backend.reset()
    for host, prefix in attacked.hosts:
        head = f"POST {prefix}/back/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        body = b"x" * size
        if chunked:
            body = (
                b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:MIB], body[MIB:]))
                + b"0\r\n\r\n"
            )
        got = attacked.send(f"{head}{framing}\r\n\r\n".encode(), body, half_close=False, seconds=30)
        if more <= 0:
            assert statuses(got) == [200], got[:300]
            assert len(attacked.backend.bodies[-1]) == size
        else:
            assert statuses(got) == [413], got[:300]
            assert size not in [len(one) for one in attacked.backend.bodies]
    attacked.alive()


def test_many_large_bodies_at_once_are_held_within_bounds(attacked: Attacked) -> None:
    before = memory_mib(attacked)
    body = b"x" * (9 * MIB)
    highest = before
    ended = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not ended.is_set():
            highest = max(highest, memory_mib(attacked))
            time.sleep(0.02)

    def upload(at: int) -> tuple[int, ...]:
        host, prefix = attacked.hosts[at % 2]
        path = ("/back/a", "/fn/a")[at // 2 % 2]
        head = f"POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(OSError):
            return tuple(statuses(attacked.send(head.encode(), body, half_close=False, seconds=60)))
        return ()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with ThreadPoolExecutor(64) as pool:
        seen = Counter(pool.map(upload, range(64)))
    ended.set()
    watcher.join()
    print(f"{before:.0f} -> {highest:.0f} MiB", seen)
    assert set(seen) <= {(200,), (413,), (503,), (504,), (500,), ()}, seen
    assert highest - before < 1400, (before, highest)
    attacked.backend.reset()
    until(lambda: memory_mib(attacked) < before + 250, f"memory comes back to {before}", 30)
    attacked.alive()


def test_large_uploads_are_streamed_to_backends(attacked: Attacked) -> None:
    """Of an HTTP API: the backend has its first bytes before the last ones are sent."""
    attacked.backend.reset()
    with socket.create_connection(attacked.address, 10) as client:
        size = 8 * MIB
        client.sendall(
            f"POST /back/a HTTP/1.1\r\nHost: {attacked.http_host}\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        client.sendall(b"x" * MIB)
        until(lambda: attacked.backend.open > 0, "the backend is being asked", 10)
        client.sendall(b"x" * (size - MIB))
        assert statuses(client.recv(65536)) == [200]
    attacked.alive()


def test_no_request_is_answered_by_half_an_api(attacked: Attacked) -> None:
    """Sixteen threads change an API while traffic flows: every answer is that of one of its versions, never a mixture."""
    api = attacked.v2.create_api(Name="changing", ProtocolType="HTTP")["ApiId"]
    attacked.v2.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    host = HOST.format(api=api)
    integration = attacked.v2.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=attacked.function, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    target = f"integrations/{integration}"
    attacked.v2.create_route(ApiId=api, RouteKey="GET /kept/{proxy+}", Target=target)
    ended = threading.Event()
    faults: list[object] = []

    def change(at: int) -> None:
        client = attacked.process.client("apigatewayv2")
        for round_ in range(8):
            try:
                route = client.create_route(ApiId=api, RouteKey=f"GET /r{at}/{round_}", Target=target)[
                    "RouteId"
                ]
                client.update_integration(ApiId=api, IntegrationId=integration, TimeoutInMillis=10000 + at)
                client.update_stage(ApiId=api, StageName="$default", StageVariables={"v": str(round_)})
                client.delete_route(ApiId=api, RouteId=route)
            except Exception as fault:
                faults.append(fault)

    def ask() -> None:
        while not ended.is_set():
            got = attacked.ask(host, "/kept/a")
            if statuses(got) != [200] or json_of(got)["parameters"] != {"proxy": "a"}:
                faults.append(got[:300])

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in asking:
        thread.start()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(change, range(16)))
    ended.set()
    for thread in asking:
        thread.join(20)
    assert not faults, faults[:3]
    keys = [one["RouteKey"] for one in attacked.v2.get_routes(ApiId=api)["Items"]]
    assert keys == ["GET /kept/{proxy+}"]
    attacked.alive()


def test_apis_that_come_and_go_leave_nothing(attacked: Attacked) -> None:
    def storm(at: int) -> None:
        v2, rest = attacked.process.client("apigatewayv2"), attacked.process.client("apigateway")
        for _ in range(12):
            api = v2.create_api(Name="x", ProtocolType="HTTP", Target=attacked.function)["ApiId"]
            assert statuses(attacked.ask(HOST.format(api=api), f"/{at}")) == [200]
            v2.delete_api(ApiId=api)
            assert statuses(attacked.ask(HOST.format(api=api), f"/{at}")) == [403]
            made = rest.create_rest_api(name="x")
            where = {"restApiId": made["id"], "resourceId": made["rootResourceId"], "httpMethod": "GET"}
            rest.put_method(**where, authorizationType="NONE")
            rest.put_integration(
                **where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
            )
            rest.put_method_response(**where, statusCode="200")
            rest.put_integration_response(**where, statusCode="200")
            rest.create_deployment(restApiId=made["id"], stageName="dev")
            assert statuses(attacked.ask(HOST.format(api=made["id"]), "/dev/")) == [200]
            rest.delete_rest_api(restApiId=made["id"])
            assert statuses(attacked.ask(HOST.format(api=made["id"]), "/dev/")) == [403]

    def counted() -> int:
        return len(attacked.v2.get_apis(MaxResults="500")["Items"]) + len(
            attacked.rest.get_rest_apis(limit=500)["items"]
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(storm, range(4)))
    apis, before = counted(), memory_mib(attacked)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(storm, range(4)))
    assert counted() == apis
    assert memory_mib(attacked) < before + 40
    attacked.alive()


def test_resources_have_a_limit(attacked: Attacked) -> None:
    made = attacked.rest.create_rest_api(name="many")
    for at in range(299):
        attacked.rest.create_resource(
            restApiId=made["id"], parentId=made["rootResourceId"], pathPart=f"r{at}"
        )
    with pytest.raises(attacked.rest.exceptions.LimitExceededException):
        attacked.rest.create_resource(restApiId=made["id"], parentId=made["rootResourceId"], pathPart="more")
    assert len(attacked.rest.get_resources(restApiId=made["id"], limit=500)["items"]) == 300
    assert json.loads(json.dumps(made["id"])) == made["id"]
