"""What CloudWatch Logs answers through the front door, as AWS was seen to answer."""

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cumulo.base.clock import SystemClock

ARN = "arn:aws:logs:us-east-1:000000000000:log-group:"
DAY_MS = 86_400_000
INVALID = "InvalidParameterException"
MISSING = "ResourceNotFoundException"
NO_GROUP = (400, MISSING, "The specified log group does not exist.")
NO_STREAM = (400, MISSING, "The specified log stream does not exist.")


def now_ms():
    return int(SystemClock().now() * 1000)


@pytest.fixture
def logs(cumulo_empty):
    return cumulo_empty.client(
        "logs", config=Config(parameter_validation=False, retries={"total_max_attempts": 1})
    )


@pytest.fixture
def filled(logs):
    """Group g, stream s, with twenty events a second apart; the first one's time."""
    start = now_ms() - 60_000
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    events = [{"timestamp": start + 1000 * n, "message": f"line {n}"} for n in range(20)]
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=events)
    return start


def refusal(call, **values):
    with pytest.raises(ClientError) as error:
        call(**values)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def constraint(value, member, sentence):
    said = (
        f"1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {sentence}"
    )
    return 400, INVALID, said


def test_a_group_is_described_with_everything_and_by_pattern_with_less(logs):
    logs.create_log_group(logGroupName="/app/a", kmsKeyId="arn:aws:kms:us-east-1:000000000000:key/k")
    logs.create_log_group(logGroupName="/app/b")
    first, second = logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"]
    assert abs(first.pop("creationTime") - now_ms()) < 60_000
    assert first == {
        "logGroupName": "/app/a",
        "arn": f"{ARN}/app/a:*",
        "logGroupArn": f"{ARN}/app/a",
        "logGroupClass": "STANDARD",
        "kmsKeyId": "arn:aws:kms:us-east-1:000000000000:key/k",
        "metricFilterCount": 0,
        "storedBytes": 0,
        "deletionProtectionEnabled": False,
    }
    assert "kmsKeyId" not in second
    [found] = logs.describe_log_groups(logGroupNamePattern="p/b")["logGroups"]
    del found["creationTime"]
    assert found == {
        "logGroupName": "/app/b",
        "arn": f"{ARN}/app/b:*",
        "logGroupArn": f"{ARN}/app/b",
        "logGroupClass": "STANDARD",
        "metricFilterCount": 0,
    }


def test_a_stream_is_described_before_and_after_its_first_event(logs):
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    [empty] = logs.describe_log_streams(logGroupName="g")["logStreams"]
    del empty["creationTime"]
    assert empty == {"logStreamName": "s", "arn": f"{ARN}g:log-stream:s", "storedBytes": 0}
    now = now_ms()
    put = logs.put_log_events(
        logGroupName="g",
        logStreamName="s",
        logEvents=[{"timestamp": now - 5, "message": "a"}, {"timestamp": now, "message": "b"}],
    )
    assert len(put["nextSequenceToken"]) == 56
    assert "rejectedLogEventsInfo" not in put
    for named in ({"logGroupName": "g"}, {"logGroupIdentifier": "g"}, {"logGroupIdentifier": ARN + "g"}):
        [used] = logs.describe_log_streams(**named)["logStreams"]
        assert (used["firstEventTimestamp"], used["lastEventTimestamp"]) == (now - 5, now)
        assert used["lastIngestionTime"] >= now
        assert len(used["uploadSequenceToken"]) == 56


def test_groups_and_streams_are_made_once(logs):
    logs.create_log_group(logGroupName="g")
    exists = "ResourceAlreadyExistsException"
    told = refusal(logs.create_log_group, logGroupName="g")
    assert told == (400, exists, "The specified log group already exists")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    told = refusal(logs.create_log_stream, logGroupName="g", logStreamName="s")
    assert told == (400, exists, "The specified log stream already exists")


def test_a_name_that_is_too_long_has_a_sentence_of_its_own(logs):
    said = "Invalid LogGroup or LogStream, both must have length less than or equal to 512."
    assert refusal(logs.create_log_group, logGroupName="a" * 513) == (400, INVALID, said)
    logs.create_log_group(logGroupName="a" * 512)
    told = refusal(logs.create_log_stream, logGroupName="a" * 512, logStreamName="b" * 513)
    assert told == (400, INVALID, said)


def test_what_is_not_there_is_not_found(logs, filled):
    event = [{"timestamp": now_ms(), "message": "x"}]
    for call, extra in (
        (logs.delete_log_group, {}),
        (logs.create_log_stream, {"logStreamName": "s"}),
        (logs.describe_log_streams, {}),
        (logs.get_log_events, {"logStreamName": "s"}),
        (logs.put_log_events, {"logStreamName": "s", "logEvents": event}),
        (logs.filter_log_events, {}),
        (logs.put_retention_policy, {"retentionInDays": 7}),
        (logs.describe_subscription_filters, {}),
    ):
        assert refusal(call, logGroupName="none", **extra) == NO_GROUP
    for call, extra in (
        (logs.delete_log_stream, {}),
        (logs.get_log_events, {}),
        (logs.put_log_events, {"logEvents": event}),
    ):
        assert refusal(call, logGroupName="g", logStreamName="none", **extra) == NO_STREAM


def test_requests_are_refused_in_awss_words(logs, filled):
    least, most = (
        "Member must have value greater than or equal to ",
        "Member must have value less than or equal to ",
    )
    for call, extra in ((logs.get_log_events, {"logStreamName": "s"}), (logs.filter_log_events, {})):
        told = refusal(call, logGroupName="g", limit=10_001, **extra)
        assert told == constraint("'10001'", "limit", f"{most}10000")
        told = refusal(call, logGroupName="g", nextToken="n/none", **extra)
        assert told == (400, INVALID, "The specified nextToken is invalid.")
    assert refusal(logs.describe_log_groups, limit=51) == constraint("'51'", "limit", f"{most}50")
    assert refusal(logs.describe_log_groups, limit=0) == constraint("'0'", "limit", f"{least}1")
    told = refusal(logs.describe_log_groups, logGroupNamePrefix="a", logGroupNamePattern="b")
    said = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
    assert told == (400, INVALID, said)
    told = refusal(logs.describe_log_streams, logGroupName="g", logGroupIdentifier="g")
    said = "LogGroup name and LogGroup ARN are mutually exclusive parameters."
    assert told == (400, "ValidationException", said)
    told = refusal(logs.create_log_stream, logGroupName="g", logStreamName="a:b")
    assert told == constraint(
        "'a:b'", "logStreamName", "Member must satisfy regular expression pattern: [^:*]*"
    )
    status, code, said = refusal(logs.filter_log_events, logGroupName="g", filterPattern="{ $.a = ")
    assert (status, code, said) == (400, INVALID, "If a filter pattern starts with '{' it must end with '}'")
    assert refusal(logs.put_retention_policy, logGroupName="g", retentionInDays=8)[:2] == (400, INVALID)


def test_events_out_of_order_are_refused_and_events_out_of_time_are_left_out(logs, filled):
    now = now_ms()
    told = refusal(
        logs.put_log_events,
        logGroupName="g",
        logStreamName="s",
        logEvents=[{"timestamp": now, "message": "late"}, {"timestamp": now - 1, "message": "early"}],
    )
    said = "Log events in a single PutLogEvents request must be in chronological order."
    assert told == (400, INVALID, said)
    put = logs.put_log_events(
        logGroupName="g",
        logStreamName="s",
        logEvents=[
            {"timestamp": now - 15 * DAY_MS, "message": "too old"},
            {"timestamp": now, "message": "kept"},
            {"timestamp": now + 3 * 3_600_000, "message": "too new"},
        ],
    )
    assert put["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    messages = [event["message"] for event in logs.filter_log_events(logGroupName="g")["events"]]
    assert "kept" in messages
    assert not {"late", "early", "too old", "too new"} & set(messages)


def test_events_are_read_backwards_and_forwards_by_tokens(logs, filled):
    def read(**extra):
        answer = logs.get_log_events(logGroupName="g", logStreamName="s", **extra)
        numbers = [int(event["message"].split()[1]) for event in answer["events"]]
        return numbers, answer["nextForwardToken"], answer["nextBackwardToken"]

    last, forward, backward = read(limit=5)
    assert last == [15, 16, 17, 18, 19]
    assert (forward[:2], backward[:2]) == ("f/", "b/")
    end, same, _ = read(limit=5, nextToken=forward)
    assert (end, same) == ([], forward), "the same token says that there is no more"
    before, _, backward = read(limit=5, nextToken=backward)
    assert before == [10, 11, 12, 13, 14]
    after, _, _ = read(limit=3, nextToken=read(limit=5, startFromHead=True)[1])
    assert after == [5, 6, 7]
    assert read(startFromHead=True)[0] == list(range(20))
    part = read(startFromHead=True, startTime=filled + 3000, endTime=filled + 6000)[0]
    assert part == [3, 4, 5], "the end is not included"
    [event] = logs.get_log_events(logGroupName="g", logStreamName="s", limit=1)["events"]
    assert event.keys() == {"timestamp", "message", "ingestionTime"}


def test_every_paginator_sees_everything_once(logs, filled):
    for number in range(5):
        logs.create_log_group(logGroupName=f"group-{number}")
        logs.create_log_stream(logGroupName="g", logStreamName=f"stream-{number}")

    def every(operation, member, size, **extra):
        pages = logs.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **extra)
        return pages.build_full_result()[member]

    groups = every("describe_log_groups", "logGroups", 2, logGroupNamePrefix="group-")
    assert [group["logGroupName"] for group in groups] == [f"group-{number}" for number in range(5)]
    streams = every("describe_log_streams", "logStreams", 2, logGroupName="g", logStreamNamePrefix="stream-")
    assert [stream["logStreamName"] for stream in streams] == [f"stream-{number}" for number in range(5)]
    newest = every(
        "describe_log_streams", "logStreams", 2, logGroupName="g", orderBy="LastEventTime", descending=True
    )
    assert newest[0]["logStreamName"] == "s"
    assert len(newest) == 6
    events = every("filter_log_events", "events", 7, logGroupName="g")
    assert [event["message"] for event in events] == [f"line {number}" for number in range(20)]
    assert len({event["eventId"] for event in events}) == 20


def test_events_are_filtered_by_pattern_stream_and_time(logs, filled):
    def found(**extra):
        events = logs.filter_log_events(logGroupName="g", **extra)["events"]
        return [event["message"] for event in events]

    assert found(filterPattern='"line 7"') == ["line 7"]
    assert found(filterPattern="?7 ?8") == found(filterPattern="?8 ?7")
    assert found(startTime=filled, endTime=filled + 1000) == ["line 0", "line 1"]
    assert found(logStreamNames=["s"], limit=2) == ["line 0", "line 1"]
    assert found(logStreamNamePrefix="none") == []
    now = now_ms()
    logs.put_log_events(
        logGroupName="g",
        logStreamName="s",
        logEvents=[{"timestamp": now, "message": '{"level": "error", "took": 12}'}],
    )
    assert len(found(filterPattern='{ $.level = "error" && $.took > 10 }')) == 1
    assert found(filterPattern="{ $.took > 12 }") == []
    [event] = logs.filter_log_events(logGroupName="g", filterPattern="{ $.took = 12 }")["events"]
    assert event.keys() == {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"}


def test_retention_and_tags_come_and_go(logs):
    logs.create_log_group(logGroupName="g", tags={"env": "testing1"})
    logs.put_retention_policy(logGroupName="g", retentionInDays=7)
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName="g")
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]

    def tags():
        older = logs.list_tags_log_group(logGroupName="g")["tags"]
        assert logs.list_tags_for_resource(resourceArn=ARN + "g")["tags"] == older
        return older

    assert tags() == {"env": "testing1"}
    logs.tag_resource(resourceArn=ARN + "g", tags={"test1": "val1"})
    logs.tag_log_group(logGroupName="g", tags={"test2": "val2"})
    assert tags() == {"env": "testing1", "test1": "val1", "test2": "val2"}
    logs.untag_resource(resourceArn=ARN + "g", tagKeys=["env", "none"])
    logs.untag_log_group(logGroupName="g", tags=["test1"])
    assert tags() == {"test2": "val2"}


def test_what_is_deleted_is_gone_with_its_events(logs, filled):
    logs.delete_log_stream(logGroupName="g", logStreamName="s")
    assert logs.describe_log_streams(logGroupName="g")["logStreams"] == []
    assert logs.filter_log_events(logGroupName="g")["events"] == []
    logs.delete_log_group(logGroupName="g")
    assert logs.describe_log_groups()["logGroups"] == []
    logs.create_log_group(logGroupName="g")
    assert logs.describe_log_streams(logGroupName="g")["logStreams"] == []
