"""Answers that come in pieces, on the Runtime API and to whoever reads them."""

import asyncio
import json

import pytest
from tests.unit.lambda_dp.dp_cloud import CALLER, DataPlane, until, with_plane
from tests.unit.lambda_dp.test_dp_hostile_runtimes import TOOLS

from cumulo.base.errors import AwsError
from cumulo.services.lambda_ import streams
from cumulo.services.lambda_.calls import STREAM_BYTES_MAX, Outcome
from cumulo.services.lambda_.streams import AnswerStream

STREAM = """
def begin(id, headers='', sock=None):
    sock = sock or connect()
    sock.sendall((f'POST {ROOT}/invocation/{id}/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: text/x\\r\\n'
        f'Lambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\n{headers}\\r\\n').encode())
    return sock
def chunk(sock, data): sock.sendall(b'%x\\r\\n%b\\r\\n' % (len(data), data))
def end(sock, trailers=''):
    sock.sendall(f'0\\r\\n{trailers}\\r\\n'.encode())
    return answer(sock)
s = connect()
"""


def run(tmp_path, code, check, **over):
    async def story(plane: DataPlane) -> None:
        plane.deploy("streamer", TOOLS + STREAM + code, file="bootstrap", runtime="provided.al2023", **over)
        await check(plane)

    with_plane(tmp_path, story)


async def opened(plane: DataPlane, name: str = "streamer", payload: bytes = b"{}", **options: object):
    return await plane.functions.invoke_stream(CALLER, name, payload, **options)


async def read(stream: AnswerStream) -> list[bytes]:
    return [piece async for piece in stream]


def test_pieces_arrive_while_the_function_still_makes_them(tmp_path):
    async def check(plane: DataPlane) -> None:
        for calls in (1, 2):
            stream = await opened(plane, want_log=True, trace_id="Root=1-2-3;Sampled=1")
            assert (stream.content_type, stream.begun) == ("text/x", True)
            assert await anext(stream) == b"first"
            (tmp_path / "go").write_text("")
            assert b"".join(await read(stream)) == b"second"
            (tmp_path / "go").unlink()
            result = stream.result
            assert (result.payload, result.function_error, result.executed_version) == (b"", "", "$LATEST")
            assert (result.init_ms is None) == (calls == 2)
            assert result.duration_ms > 0 and result.waited_ms >= (result.init_ms or 0)
            assert result.trace_id == "Root=1-2-3;Sampled=1"
            assert f"END RequestId: {result.request_id}\n".encode() in result.log_tail
            assert plane.logs.text.count("REPORT") == calls
            assert len([one for one in plane.usages.records if one.kind == "requests"]) == calls

    code = f"""
while True:
    id, _, head = next_call(s)
    assert head['Lambda-Runtime-Trace-Id'] == 'Root=1-2-3;Sampled=1'
    out = begin(id)
    chunk(out, b'first')
    while not os.path.exists({str(tmp_path / "go")!r}): time.sleep(0.005)
    chunk(out, b'second')
    status, _, _ = end(out)
    assert status == 202
"""
    run(tmp_path, code, check)


def test_one_connection_may_stream_and_poll(tmp_path):
    async def check(plane: DataPlane) -> None:
        for _ in range(3):
            stream = await opened(plane)
            await asyncio.sleep(0.05)  # more is on its way than waits for a reader
            assert sum(map(len, await read(stream))) == 1_000_000

    code = """
while True:
    id, _, _ = next_call(s)
    begin(id, sock=s)
    for _ in range(100): chunk(s, b'x' * 10_000)
    assert end(s)[0] == 202
"""
    run(tmp_path, code, check)


def test_an_answer_in_one_piece_and_an_error_before_the_first(tmp_path):
    async def check(plane: DataPlane) -> None:
        plane.deploy("plain", "def handler(event, context):\n    return 1 / event['by']\n")
        for _ in range(3):
            stream = await opened(plane, "plain", b'{"by":1}')
            assert (stream.begun, await read(stream), stream.result.function_error) == (False, [b"1.0"], "")
        stream = await opened(plane, "plain", b'{"by":0}')
        assert await read(stream) == []
        assert stream.result.function_error == "Unhandled"
        assert json.loads(stream.result.payload)["errorType"] == "ZeroDivisionError"
        with pytest.raises(AwsError, match="not found"):
            await opened(plane, "nobody")

    run(tmp_path, "", check)


def test_a_streamed_answer_is_collected_for_who_wants_it_whole(tmp_path):
    async def check(plane: DataPlane) -> None:
        result = await plane.call("streamer")
        assert (result.payload, result.function_error) == (b"onetwo", "")
        failed = await plane.call("streamer")
        assert (failed.payload, failed.function_error, failed.error_type) == (
            b'{"a":1}',
            "Unhandled",
            "My.Error",
        )

    code = """
id, _, _ = next_call(s)
out = begin(id)
chunk(out, b'one')
chunk(out, b'two')
end(out)
id, _, _ = next_call(s)
out = begin(id, 'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n')
chunk(out, b'one')
end(out, 'Lambda-Runtime-Function-Error-Type: My.Error\\r\\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\\r\\n')
next_call(s)
"""
    run(tmp_path, code, check)


def test_an_error_in_the_middle_comes_after_what_was_sent(tmp_path):
    async def check(plane: DataPlane) -> None:
        stream = await opened(plane)
        assert b"".join(await read(stream)) == b"one"
        result = stream.result
        assert (result.payload, result.function_error, result.error_type) == (
            b'{"a":1}',
            "Unhandled",
            "My.Error",
        )
        broken = await opened(plane)
        assert await read(broken) == [b"half"]
        assert (broken.result.function_error, broken.result.error_type) == (
            "Unhandled",
            "Runtime.TruncatedResponse",
        )
        assert "Error Type: Runtime.TruncatedResponse" in plane.logs.text
        gone = await opened(plane)
        assert await read(gone) == [b"last words"]
        assert gone.result.error_type == "Runtime.ExitError"
        assert b"exit status 3" in gone.result.payload
        slow = await opened(plane)
        assert await read(slow) == [b"and then"]
        assert slow.result.error_type == "Sandbox.Timedout"

    code = f"""
if os.path.exists({str(tmp_path / "again")!r}):
    id, _, _ = next_call(s)
    out = begin(id)
    chunk(out, b'and then')
    time.sleep(60)
open({str(tmp_path / "again")!r}, 'w')
id, _, _ = next_call(s)
out = begin(id)
chunk(out, b'one')
end(out, 'Lambda-Runtime-Function-Error-Type: My.Error\\r\\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\\r\\n')
id, _, _ = next_call(s)
out = begin(id)
chunk(out, b'half')
out.close()
while True:  # 403 until it is over
    status, head, _ = request(s, 'GET', ROOT + '/invocation/next')
    if status == 200: break
    time.sleep(0.01)
id = dict(line.split(': ', 1) for line in head.split('\\r\\n')[1:] if ': ' in line)['Lambda-Runtime-Aws-Request-Id']
out = begin(id)
chunk(out, b'last words')
time.sleep(0.05)
os._exit(3)
"""
    run(tmp_path, code, check, timeout_s=1)


def test_once_it_has_begun_no_other_connection_brings_an_answer(tmp_path):
    async def check(plane: DataPlane) -> None:
        stream = await opened(plane)
        assert b"".join(await read(stream)) == b"mine[403, 403, 403]"

    code = """
id, _, _ = next_call(s)
out = begin(id)
chunk(out, b'mine')
time.sleep(0.05)
said = [request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'"other"')[0]]
said.append(request(s, 'POST', f'{ROOT}/invocation/{id}/error', b'{}')[0])
said.append(end(begin(id))[0])
chunk(out, json.dumps(said).encode())
end(out)
next_call(s)
"""
    run(tmp_path, code, check)


def test_a_mode_that_is_none_fails_the_call(tmp_path):
    async def check(plane: DataPlane) -> None:
        assert (await plane.call("streamer")).error_type == "Runtime.InvalidResponseModeHeader"
        said = json.loads((await plane.call("streamer")).payload)
        assert said == [400, "InvalidFunctionResponseMode"]

    code = """
id, _, _ = next_call(s)
status, _, body = request(s, 'POST', f'{ROOT}/invocation/{id}/response', b'x', 'Lambda-Runtime-Function-Response-Mode: odd\\r\\n')
id, _, _ = next_call(s)
said = json.dumps([status, json.loads(body)['errorType']]).encode()
request(s, 'POST', f'{ROOT}/invocation/{id}/response', said, 'Lambda-Runtime-Function-Response-Mode: Buffered\\r\\n')
next_call(s)
"""
    run(tmp_path, code, check)


def test_who_reads_slowly_slows_the_function_down(tmp_path):
    async def check(plane: DataPlane) -> None:
        stream = await opened(plane)
        sent = tmp_path / "sent"
        await until(sent.exists, "the function is stopped by us")
        assert int(sent.read_text()) < 32 * 1024 * 1024
        assert stream._waiting_bytes < streams.HIGH_BYTES + 1024 * 1024
        assert sum(map(len, await read(stream))) == 64 * 1024 * 1024

    code = f"""
import select
id, _, _ = next_call(s)
out = begin(id)
data = b'10000\\r\\n' + b'x' * 65536 + b'\\r\\n'
stuck = False
for number in range(1024):
    view = memoryview(data)
    while view:
        if not select.select([], [out], [], 0.5)[1] and not stuck:
            stuck = True
            open({str(tmp_path / "part")!r}, 'w').write(str(number * 65536))
            os.rename({str(tmp_path / "part")!r}, {str(tmp_path / "sent")!r})
            select.select([], [out], [])
        view = view[out.send(view[:16384]):]
end(out)
next_call(s)
"""
    run(tmp_path, code, check, timeout_s=30)


def test_a_reader_that_goes_away_does_not_stop_the_function(tmp_path):
    async def check(plane: DataPlane) -> None:
        stream = await opened(plane)
        assert await anext(stream) == b"x" * 1000
        stream.close()
        assert await read(stream) == []
        await until(lambda: "REPORT" in plane.logs.text, "the function ran to its end")
        assert "all of it is out" in plane.logs.text
        waiting = asyncio.create_task(opened(plane))
        await until(lambda: plane.fleet._in_flight == 1, "the second call runs")
        waiting.cancel()
        await until(lambda: plane.logs.text.count("REPORT") == 2, "so does the second")

    code = """
while True:
    id, _, _ = next_call(s)
    time.sleep(0.2)
    out = begin(id)
    for _ in range(5000): chunk(out, b'x' * 1000)
    print('all of it is out', flush=True)
    assert end(out)[0] == 202
"""
    run(tmp_path, code, check)


def test_more_than_a_stream_may_carry_ends_in_an_error(tmp_path):
    async def check(plane: DataPlane) -> None:
        stream = await opened(plane)
        total = 0
        async for piece in stream:
            total += len(piece)
        assert STREAM_BYTES_MAX - 1024 * 1024 <= total <= STREAM_BYTES_MAX
        assert stream.result.error_type == "Function.ResponseSizeTooLarge"
        assert str(STREAM_BYTES_MAX).encode() in stream.result.payload

    code = """
id, _, _ = next_call(s)
out = begin(id)
data = b'x' * 1048576
for _ in range(201): chunk(out, data)
status, _, _ = end(out)
assert status == 413, status
next_call(s)
"""
    run(tmp_path, code, check, timeout_s=60)


def test_trailers_without_end_are_cut_off(tmp_path):
    async def check(plane: DataPlane) -> None:
        stream = await opened(plane)
        assert await read(stream) == [b"x"]
        assert stream.result.error_type == "Runtime.TruncatedResponse"

    code = """
id, _, _ = next_call(s)
out = begin(id)
chunk(out, b'x')
out.sendall(b'0\\r\\nA: ')
try:
    for _ in range(100): out.sendall(b'b' * 100000)
except OSError: pass
time.sleep(60)
"""
    run(tmp_path, code, check, timeout_s=20)


def test_a_callers_trace_is_passed_on_and_what_is_no_header_is_not(tmp_path):
    async def story(plane: DataPlane) -> None:
        source = "import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
        plane.deploy("traced", source)
        for header, kept in (
            ("Root=1-a-b;Sampled=0", True),
            ("a\r\nX: y", False),
            ("", False),
            ("a" * 513, False),
        ):
            result = await plane.functions.invoke(CALLER, "traced", b"{}", trace_id=header)
            assert json.loads(result.payload) == result.trace_id
            assert (result.trace_id == header) is kept
            assert kept or result.trace_id.startswith("Root=1-")
        assert result.init_ms is None and result.duration_ms > 0 and result.request_id

    with_plane(tmp_path, story)


class Tap:
    def __init__(self) -> None:
        self.said: list[str] = []

    def hold(self) -> None:
        self.said.append("hold")

    def release(self) -> None:
        self.said.append("release")


def a_stream() -> AnswerStream:
    return AnswerStream(executed_version="1", request_id="r", trace_id="t")


def test_a_source_rests_while_enough_waits():
    async def main() -> None:
        stream, tap = a_stream(), Tap()
        stream.begin(tap, "")
        for _ in range(10):
            stream.put(b"x" * (streams.HIGH_BYTES // 8))
        assert tap.said == ["hold"]
        for _ in range(9):
            await anext(stream)
        assert tap.said == ["hold", "release"]
        for _ in range(streams.HIGH_BYTES // streams.PIECE_BYTES):
            stream.put(b"x")  # many small pieces cost more than their bytes
        assert tap.said == ["hold", "release", "hold"]
        stream.close()
        assert tap.said == ["hold", "release", "hold", "release"]
        stream.put(b"x")
        assert await read(stream) == []

    asyncio.run(main())


def test_a_source_is_let_go_when_the_call_is_over():
    async def main() -> None:
        stream, tap = a_stream(), Tap()
        stream.begin(tap, "")
        stream.put(b"x" * streams.HIGH_BYTES)
        stream.finish(Outcome(b"", "", b"", "1"))
        assert tap.said == ["hold", "release"]
        stream.put(b"late")
        assert [len(piece) for piece in await read(stream)] == [streams.HIGH_BYTES]
        assert stream.result.executed_version == "1"

    asyncio.run(main())


def test_a_refusal_is_raised_where_the_reader_is():
    async def main() -> None:
        stream = a_stream()
        stream.finish(Outcome(refusal=AwsError("ServiceException", "no", status=500)))
        with pytest.raises(AwsError):
            await stream.started()
        stream = a_stream()
        stream.begin(Tap(), "")
        await stream.started()
        stream.put(b"x")
        stream.finish(Outcome(refusal=AwsError("ServiceException", "no", status=500)))
        assert await anext(stream) == b"x"
        with pytest.raises(AwsError):
            await anext(stream)

    asyncio.run(main())
