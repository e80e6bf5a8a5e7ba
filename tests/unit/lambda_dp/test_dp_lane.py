"""The short cut answers the common call and leaves the rest to the ordinary path."""

import asyncio
import base64
import json

from tests.unit.lambda_dp.dp_cloud import DataPlane, with_plane

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.services.lambda_.lane import InvokeLane
from cumulo.wire.http import BytesBody, Headers, Request, Response

PATH = "/2015-03-31/functions/{}/invocations"


def lane_of(plane: DataPlane, *, denied: bool = False) -> InvokeLane:
    def authenticate(request: Request, body: bytes) -> Caller:
        if denied:
            raise AwsError("InvalidSignatureException", "no", status=403)
        return Caller(request_id="12345678-1234-4234-8234-123456789012")

    def refuse(error: AwsError, caller: Caller) -> Response:
        return Response(error.status, [("x-amzn-ErrorType", error.code)], error.message.encode())

    return InvokeLane(
        resolver=plane.resolver,
        fleet=plane.fleet,
        authenticate=authenticate,
        refuse=refuse,
        ids=Ids(),
        tracer=plane.tracer,
    )


def request(name: str = "f", headers: dict[str, str] | None = None, query: str = "") -> Request:
    raw = [(key.encode(), value.encode()) for key, value in (headers or {}).items()]
    return Request("POST", PATH.format(name), query, Headers(raw), BytesBody(b""))


async def answer(lane: InvokeLane, req: Request, body: bytes) -> Response | None:
    done: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    return await done if lane.take(req, body, done.set_result) else None


def test_the_common_call_is_answered(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy(
            "f", "def handler(event, context):\n    print('x')\n    return [event, context.aws_request_id]\n"
        )
        lane = lane_of(plane)
        assert lane.wants("POST", PATH.format("f"), Headers([]))
        assert not lane.wants("GET", PATH.format("f"), Headers([]))
        assert not lane.wants("POST", "/2015-03-31/functions/f/code", Headers([]))
        response = await answer(lane, request(), b'{"a": 1}')
        assert response is not None
        assert (response.status, json.loads(response.body)) == (
            200,
            [{"a": 1}, "12345678-1234-4234-8234-123456789012"],
        )
        headers = dict(response.headers)
        assert headers["x-amzn-RequestId"] == "12345678-1234-4234-8234-123456789012"
        assert headers["X-Amz-Executed-Version"] == "$LATEST"
        assert "X-Amz-Function-Error" not in headers
        assert "X-Amz-Log-Result" not in headers
        response = await answer(lane, request(headers={"x-amz-log-type": "Tail"}), b"")
        assert response is not None
        assert json.loads(response.body)[0] == {}
        tail = base64.b64decode(dict(response.headers)["X-Amz-Log-Result"]).decode()
        assert tail.startswith("START RequestId: 12345678")
        assert "\nx\nEND RequestId" in tail
        assert plane.flushes == 2

    with_plane(tmp_path, story)


def test_an_error_of_the_function_is_still_200(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("f", "def handler(event, context):\n    1 / 0\n")
        response = await answer(lane_of(plane), request(), b"{}")
        assert response is not None
        assert response.status == 200
        assert dict(response.headers)["X-Amz-Function-Error"] == "Unhandled"

    with_plane(tmp_path, story)


def test_a_throttled_call_is_answered_429(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("f", "def handler(event, context): pass\n", reserved=0)
        response = await answer(lane_of(plane), request(), b"{}")
        assert response is not None
        assert response.status == 429

    with_plane(tmp_path, story)


def test_the_unusual_goes_the_ordinary_way_and_nothing_runs(tmp_path):
    async def story(plane: DataPlane) -> None:
        plane.deploy("f", "def handler(event, context): pass\n")
        lane = lane_of(plane)
        for req, body in (
            (request(headers={"x-amz-invocation-type": "Event"}), b"{}"),
            (request(headers={"x-amz-invocation-type": "DryRun"}), b"{}"),
            (request(headers={"x-amz-invocation-type": "Nonsense"}), b"{}"),
            (request(headers={"x-amz-log-type": "Nonsense"}), b"{}"),
            (request(headers={"x-amz-client-context": "e30="}), b"{}"),
            (request("unknown"), b"{}"),
            (request(query="Qualifier=1&x=2"), b"{}"),
            (request(query="x=2"), b"{}"),
            (request(), b"{no json"),
            (request(), b'"' + b"x" * 6291456 + b'"'),
        ):
            assert await answer(lane, req, body) is None
        assert await answer(lane_of(plane, denied=True), request(), b"{}") is None
        assert sum(plane.fleet.counts().values()) == 0

    with_plane(tmp_path, story)
