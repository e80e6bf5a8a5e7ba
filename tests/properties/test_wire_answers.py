"""What we answer, botocore understands: any output of any operation arrives as it was."""

import asyncio

import pytest
from botocore.eventstream import EventStream
from botocore.parsers import EventStreamJSONParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_oracle import Side, ours_of, plain, same, structures, without_empties

SIDES = {
    name: Side(name)
    for name in ("lambda", "logs", "ecs", "apigateway", "batch", "ec2", "s3", "sts", "autoscaling", "sqs")
}
QUICK = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("service", SIDES)
@QUICK
@given(data=st.data())
def test_what_we_answer_reaches_botocore_as_it_was(service, data):
    side = SIDES[service]
    names = [name for name in side.names() if not side.theirs.operation_model(name).has_event_stream_output]
    name = data.draw(st.sampled_from(names))
    shape = side.theirs.operation_model(name).output_shape
    drawn = data.draw(structures(shape, side.protocol)) if shape is not None else {}
    status = next(
        (
            key
            for key, m in (shape.members if shape else {}).items()
            if m.serialization.get("location") == "statusCode"
        ),
        None,
    )
    if status is not None:
        drawn[status] = 200
    ours = ours_of(drawn, shape) if shape is not None else {}
    response = side.render(name, ours)
    assert response.status < 300
    theirs = side.read(name, response)
    got = plain(theirs, shape, "json") if shape is not None else {}
    for header in {"contentType", "ContentType"} - ours.keys():  # HTTP's own, which is always there
        got.pop(header, None)
    assert same(without_empties(ours), without_empties(got)), (name, ours, got, response.body)


class Raw:
    def __init__(self, data):
        self.data = data

    def stream(self):
        yield self.data

    def close(self):
        pass


async def collect(chunks):
    return b"".join([chunk async for chunk in chunks])


def test_an_event_stream_of_lambda_is_read_by_botocore():
    side = SIDES["lambda"]

    async def events():
        yield {"PayloadChunk": {"Payload": b"\x00hello"}}
        yield {"InvokeComplete": {"ErrorCode": "E", "LogResult": "bG9n"}}

    response = side.render(
        "InvokeWithResponseStream", {"StatusCode": 200, "ExecutedVersion": "3", "EventStream": events()}
    )
    data = asyncio.run(collect(response.body))
    shape = side.theirs.operation_model("InvokeWithResponseStream").output_shape.members["EventStream"]
    got = list(EventStream(Raw(data), shape, EventStreamJSONParser(), "InvokeWithResponseStream"))
    assert got == [
        {"PayloadChunk": {"Payload": b"\x00hello"}},
        {"InvokeComplete": {"ErrorCode": "E", "LogResult": "bG9n"}},
    ]
    assert ("Content-Type", "application/vnd.amazon.eventstream") in response.headers
    assert ("X-Amz-Executed-Version", "3") in response.headers


def test_an_event_stream_of_logs_begins_with_an_initial_response():
    side = SIDES["logs"]

    async def events():
        yield {"sessionStart": {"requestId": "r", "logGroupIdentifiers": ["a"]}}
        yield {
            "sessionUpdate": {
                "sessionMetadata": {"sampled": False},
                "sessionResults": [{"message": "m", "timestamp": 5}],
            }
        }

    response = side.render("StartLiveTail", {"responseStream": events()})
    data = asyncio.run(collect(response.body))
    shape = side.theirs.operation_model("StartLiveTail").output_shape.members["responseStream"]
    stream = EventStream(Raw(data), shape, EventStreamJSONParser(), "StartLiveTail")
    stream.get_initial_response()
    got = list(stream)
    assert got[0] == {"sessionStart": {"requestId": "r", "logGroupIdentifiers": ["a"]}}
    assert got[1]["sessionUpdate"]["sessionResults"] == [{"message": "m", "timestamp": 5}]
