"""Runtimes that break the Runtime API's rules: they hurt themselves, nobody else."""

import asyncio
import json
import sys

import pytest
from tests.unit.lambda_dp.dp_cloud import DataPlane, until, with_plane

TOOLS = f"""#!{sys.executable}
import os, socket, time, sys, json
HOST, PORT = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
ROOT = '/2018-06-01/runtime'
def connect():
    return socket.create_connection((HOST, int(PORT)))
def head_of(sock):
    data = b''
    while b'\\r\\n\\r\\n' not in data:
        piece = sock.recv(65536)
        if not piece: return data, b''
        data += piece
    head, _, body = data.partition(b'\\r\\n\\r\\n')
    return head, body
def answer(sock):
    head, body = head_of(sock)
    length = 0
    for line in head.split(b'\\r\\n'):
        if line.lower().startswith(b'content-length:'): length = int(line.split(b':')[1])
    while len(body) < length: body += sock.recv(65536)
    return int(head.split()[1]), head.decode('latin-1'), body
def request(sock, method, path, body=b'', headers=''):
    sock.sendall(f'{{method}} {{path}} HTTP/1.1\\r\\nHost: x\\r\\n{{headers}}Content-Length: {{len(body)}}\\r\\n\\r\\n'.encode() + body)
    return answer(sock)
def next_call(sock):
    status, head, body = request(sock, 'GET', ROOT + '/invocation/next')
    assert status == 200, head
    found = dict(line.split(': ', 1) for line in head.split('\\r\\n')[1:] if ': ' in line)
    return found['Lambda-Runtime-Aws-Request-Id'], body, found
"""


def bootstrap(plane: DataPlane, name: str, code: str, **over: object) -> None:
    plane.deploy(name, TOOLS + code, file="bootstrap", runtime="provided.al2023", **over)


def run(tmp_path, code, check, **over):
    async def story(plane: DataPlane) -> None:
        plane.deploy("good", "def handler(event, context):\n    return 'fine'\n")
        bootstrap(plane, "odd", code, **over)
        await check(plane)
        assert (await plane.call("good")).payload == b'"fine"'

    with_plane(tmp_path, story)


def test_the_headers_of_next_are_awss(tmp_path):
    async def check(plane: DataPlane) -> None:
        before = plane.clock.now()
        head = json.loads((await plane.call("odd", b'{"a":1}')).payload)
        assert (
            head["Lambda-Runtime-Invoked-Function-Arn"]
            == "arn:aws:lambda:us-east-1:000000000000:function:odd"
        )
        assert 4.5 < int(head["Lambda-Runtime-Deadline-Ms"]) / 1000 - before < 7
        assert head["Lambda-Runtime-Trace-Id"].startswith("Root=1-")
        assert head["Content-Type"] == "application/json"
        assert head["Lambda-Runtime-Invocation-Id"]

    code = """
s = connect()
while True:
    id, body, head = next_call(s)
    status, _, said = request(s, 'POST', f'{ROOT}/invocation/{id}/response', json.dumps(head).encode())
    assert (status, said) == (202, b'{"status":"OK"}\\n')
"""
    run(tmp_path, code, check)


def test_a_second_answer_and_a_foreign_id_are_refused(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("odd")).payload == b'"first"'
        result = json.loads((await plane.call("odd")).payload)
        assert result["second"] == [403, "InvalidStateTransition"]
        assert result["foreign"] == [400, "InvalidRequestID"]
        assert result["next while busy"] == [403, "InvalidStateTransition"]
        assert result["echo"] == [400, "InvalidInvocationId"]
        assert result["restore"][0] == 404
        assert result["extension"][0] == 501
        assert result["method"][0] == 405

    code = """
def said(triple): return [triple[0], json.loads(triple[2])['errorType']]
s = connect()
id, _, _ = next_call(s)
request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'"first"')
found = {'second': said(request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'"again"'))}
id, _, _ = next_call(s)
found['foreign'] = said(request(s, 'POST', f'{ROOT}/invocation/11111111-2222-3333-4444-555555555555/response', b'1'))
found['next while busy'] = said(request(s, 'GET', f'{ROOT}/invocation/next'))
found['echo'] = said(request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'1', 'Lambda-Runtime-Invocation-Id: other\\r\\n'))
found['restore'] = said(request(s, 'GET', f'{ROOT}/restore/next'))
found['extension'] = said(request(s, 'POST', '/2020-01-01/extension/register', b'{}'))
found['method'] = said(request(s, 'PUT', f'{ROOT}/invocation/{id}/response', b'{}'))
request(s, 'POST', f'{ROOT}/invocation/{id}/response', json.dumps(found).encode())
next_call(s)
"""
    run(tmp_path, code, check)


def test_half_an_answer_is_overtaken_by_a_whole_one_and_refused_itself(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("odd")).payload == b'"whole"'

    code = """
s = connect()
id, _, _ = next_call(s)
half = connect()
half.sendall(f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n\\r\\n"ha'.encode())
status, _, _ = request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'"whole"')
assert status == 202, status
half.sendall(b'x' * 97)
assert b' 403 ' in half.recv(65536)
next_call(s)
"""
    run(tmp_path, code, check)


def test_garbage_floods_and_slow_bodies_end_in_a_timeout_of_that_call_only(tmp_path):
    async def check(plane: DataPlane) -> None:
        slow = asyncio.create_task(plane.call("odd"))
        for _ in range(20):
            assert (await plane.call("good")).payload == b'"fine"'
        assert json.loads((await slow).payload)["errorType"] == "Sandbox.Timedout"

    code = """
keep = []
s = connect()
id, _, _ = next_call(s)
for junk in (b'\\x00\\xff\\x16\\x03' * 100, b'GET ' + b'/' * 2000000, b'POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n'):
    try:
        c = connect(); keep.append(c); c.sendall(junk)
    except OSError: pass
try:
    c = connect(); keep.append(c)
    c.sendall(b'GET /x HTTP/1.1\\r\\n')
    for i in range(40): c.sendall(b'X-H%d: ' % i + b'y' * 50000 + b'\\r\\n')
except OSError: pass
for _ in range(200):
    try: keep.append(connect())
    except OSError: pass
s.sendall(f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000\\r\\n\\r\\n'.encode())
while True:
    s.sendall(b'x'); time.sleep(0.2)
"""
    run(tmp_path, code, check, timeout_s=2)


def test_a_poll_with_another_request_behind_it_is_cut_off(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("odd")).payload == b'"before"'
        await until((tmp_path / "odd-1" / "cut").exists, "cut")
        assert (await plane.call("odd")).payload == b'"after"'
        assert len(plane.logs.streams) == 1

    code = """
s = connect()
id, _, _ = next_call(s)
request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'"before"')
get = f'GET {ROOT}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode()
s.sendall(get + get)
try:
    assert s.recv(100) == b''
except ConnectionResetError: pass
open('cut', 'w').close()
s = connect()
id, _, _ = next_call(s)
request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'"after"')
next_call(s)
"""
    run(tmp_path, code, check)


def test_a_runtime_that_answers_and_exits_at_once_has_answered(tmp_path):
    async def check(plane: DataPlane) -> None:
        for _ in range(3):
            assert (await plane.call("odd")).payload == b'"bye"'

    code = """
s = connect()
id, _, _ = next_call(s)
s.sendall(f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 5\\r\\n\\r\\n"bye"'.encode())
os._exit(0)
"""
    run(tmp_path, code, check)


def test_a_streamed_answer_is_collected_and_a_broken_stream_is_an_error(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("odd")).payload == b'{"a":1}'
        result = await plane.call("odd")
        assert (result.payload, result.function_error) == (b'{"errorType":"Oops"}', "Unhandled")

    code = """
import base64
stream = 'Lambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\n'
s = connect()
id, _, _ = next_call(s)
s.sendall(f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\n{stream}\\r\\n3\\r\\n{{"a\\r\\n'.encode())
time.sleep(0.05)
s.sendall(b'4\\r\\n":1}\\r\\n0\\r\\n\\r\\n')
assert answer(s)[0] == 202
id, _, _ = next_call(s)
trailer = base64.b64encode(b'{"errorType":"Oops"}').decode()
s.sendall(f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\n{stream}Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n\\r\\n2\\r\\nab\\r\\n0\\r\\nLambda-Runtime-Function-Error-Type: Oops\\r\\nLambda-Runtime-Function-Error-Body: {trailer}\\r\\n\\r\\n'.encode())
assert answer(s)[0] == 202
next_call(s)
"""
    run(tmp_path, code, check)


def test_an_endless_answer_is_cut_at_the_limit(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert json.loads((await plane.call("odd")).payload)["errorType"] == "Function.ResponseSizeTooLarge"

    code = """
s = connect()
id, _, _ = next_call(s)
s.sendall(f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'.encode())
while True: s.sendall(b'10000\\r\\n' + b'x' * 65536 + b'\\r\\n')
"""
    run(tmp_path, code, check, timeout_s=2)


def test_garbage_on_the_telemetry_pipe_is_dropped_and_told(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("odd")).payload == b"1"
        assert "framed\n" in plane.logs.lines
        assert "[cumulo] 26 bytes of output dropped\n" in plane.logs.lines

    code = """
s = connect()
id, _, _ = next_call(s)
fd = int(os.environ['_LAMBDA_TELEMETRY_LOG_FD'])
os.write(fd, bytes.fromhex('a55a0003') + (7).to_bytes(4, 'big') + bytes(8) + b'framed\\n' + b'this is not a frame at all')
request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'1')
next_call(s)
"""
    run(tmp_path, code, check)


def test_a_runtime_that_never_asks_again_is_reset(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("odd")).payload == b"1"
        assert (await plane.call("odd")).payload == b"1"

    code = """
s = connect()
id, _, _ = next_call(s)
request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'1')
time.sleep(99)
"""
    run(tmp_path, code, check, timeout_s=1)


HOLDING = """
sock = connect()
stream = sock.makefile('rb')
POLL = f'GET {ROOT}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode()
def message():
    status, length, request_id = int(stream.readline().split()[1]), 0, ''
    while line := stream.readline().strip().decode():
        name, value = line.split(': ', 1)
        if name == 'Content-Length': length = int(value)
        if name == 'Lambda-Runtime-Aws-Request-Id': request_id = value
    return status, request_id, stream.read(length)
def post(request_id, body, verb='response', more=''):
    head = f'POST {ROOT}/invocation/{request_id}/{verb} HTTP/1.1\\r\\nCumulo-Hold-Answer: 1\\r\\n'
    return (head + f'Content-Length: {len(body)}\\r\\nHost: x\\r\\n{more}\\r\\n').encode() + body + POLL
sock.sendall(POLL)
statuses = []
while True:
    status, request_id, event = message()
    if status != 200:
        statuses.append(status)
        continue
    kind = json.loads(event)
    plain = post(request_id, json.dumps(statuses).encode())
    if kind == 'plain': sock.sendall(plain)
    if kind == 'pieces':
        sock.sendall(plain[:70]); time.sleep(0.05); sock.sendall(plain[70:])
    if kind == 'error': sock.sendall(post(request_id, b'{"errorMessage":"no"}', 'error'))
    if kind == 'large': sock.sendall(post(request_id, b'1' * 6_300_000))
    if kind == 'wrong id': sock.sendall(post('0' * 36, b'{}')[:-len(POLL)] + plain)
    if kind == 'twice': sock.sendall(plain[:-len(POLL)] + plain)
    if kind == 'early': sock.sendall(POLL)
"""


def test_a_runtime_whose_answers_are_known_may_still_answer_otherwise(tmp_path):
    async def check(plane: DataPlane) -> None:
        async def call(kind: str):
            return await plane.call("odd", json.dumps(kind).encode())

        for count in range(4):
            assert json.loads((await call("plain")).payload) == [202] * count
        assert (await call("error")).function_error == "Unhandled"
        assert json.loads((await call("plain")).payload) == [202] * 5
        assert json.loads((await call("pieces")).payload) == [202] * 6
        assert json.loads((await call("plain")).payload) == [202] * 7

    run(tmp_path, HOLDING, check)


def test_a_runtime_that_polls_instead_of_answering_gets_nothing(tmp_path):
    async def check(plane: DataPlane) -> None:
        for _ in range(3):
            await plane.call("odd", b'"plain"')
        outcome = await plane.call("odd", b'"early"')
        assert outcome.function_error == "Unhandled"

    run(tmp_path, HOLDING, check, timeout_s=1)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("large", b"ResponseSizeTooLarge"), ("wrong id", b"Runtime.ExitError"), ("twice", b"[202, 202]")],
)
def test_the_poll_that_came_with_a_refused_answer_gets_no_call(tmp_path, kind, said):
    async def check(plane: DataPlane) -> None:
        for _ in range(2):
            for count in range(2):
                assert json.loads((await plane.call("odd", b'"plain"')).payload) == [202] * count
            assert said in (await plane.call("odd", json.dumps(kind).encode())).payload

    run(tmp_path, HOLDING, check)
