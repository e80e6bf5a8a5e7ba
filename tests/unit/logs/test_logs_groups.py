"""Groups, streams and tags, as clients see them."""

import asyncio

import pytest

from cumulo.base.errors import AwsError

G = {"logGroupName": "/aws/lambda/f"}
ARN = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/f"


def test_a_group_is_described_as_aws_does(in_world):
    async def main(world):
        await world("CreateLogGroup", **G, tags={"a": "b"})
        (group,) = (await world("DescribeLogGroups"))["logGroups"]
        assert group == {
            "logGroupName": "/aws/lambda/f",
            "creationTime": world.now_ms,
            "metricFilterCount": 0,
            "arn": ARN + ":*",
            "logGroupArn": ARN,
            "storedBytes": 0,
            "logGroupClass": "STANDARD",
            "deletionProtectionEnabled": False,
        }
        listed = (await world("ListLogGroups"))["logGroups"]
        assert listed == [{"logGroupName": "/aws/lambda/f", "logGroupArn": ARN, "logGroupClass": "STANDARD"}]

    in_world(main)


def test_a_second_group_of_the_same_name_is_refused(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        with pytest.raises(
            AwsError, match="ResourceAlreadyExistsException: The specified log group already exists"
        ):
            await world("CreateLogGroup", **G)
        await world("CreateLogStream", **G, logStreamName="s")
        with pytest.raises(
            AwsError, match="ResourceAlreadyExistsException: The specified log stream already exists"
        ):
            await world("CreateLogStream", **G, logStreamName="s")

    in_world(main)


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        ("DeleteLogGroup", G),
        ("CreateLogStream", {**G, "logStreamName": "s"}),
        ("DescribeLogStreams", G),
        ("PutLogEvents", {**G, "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}),
        ("GetLogEvents", {**G, "logStreamName": "s"}),
        ("FilterLogEvents", {"logGroupIdentifier": ARN}),
        ("PutRetentionPolicy", {**G, "retentionInDays": 7}),
        ("ListTagsForResource", {"resourceArn": ARN}),
        ("StartLiveTail", {"logGroupIdentifiers": [ARN]}),
    ],
)
def test_a_missing_group_is_named_as_aws_does(in_world, operation, values):
    async def main(world):
        with pytest.raises(
            AwsError, match=r"ResourceNotFoundException: The specified log group does not exist."
        ):
            await world(operation, **values)

    in_world(main)


def test_a_missing_stream_is_named_as_aws_does(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        message = "ResourceNotFoundException: The specified log stream does not exist."
        events = [{"timestamp": world.now_ms, "message": "m"}]
        for operation, values in [
            ("PutLogEvents", {"logStreamName": "s", "logEvents": events}),
            ("GetLogEvents", {"logStreamName": "s"}),
            ("FilterLogEvents", {"logStreamNames": ["s"]}),
            ("DeleteLogStream", {"logStreamName": "s"}),
        ]:
            with pytest.raises(AwsError, match=message):
                await world(operation, **G, **values)

    in_world(main)


def test_groups_are_found_by_prefix_pattern_class_and_identifier_page_by_page(in_world):
    async def main(world):
        for i in range(7):
            await world("CreateLogGroup", logGroupName=f"/a/{i}", tags={"n": str(i)})
        await world("CreateLogGroup", logGroupName="/b/3", logGroupClass="INFREQUENT_ACCESS")

        async def names(operation="DescribeLogGroups", **values):
            found, token = [], {}
            while True:
                answer = await world(operation, **values, **token)
                found += [g["logGroupName"] for g in answer["logGroups"]]
                if "nextToken" not in answer:
                    return found
                token = {"nextToken": answer["nextToken"]}

        assert await names(logGroupNamePrefix="/a/", limit=3) == [f"/a/{i}" for i in range(7)]
        assert await names(logGroupNamePattern="3", limit=1) == ["/a/3", "/b/3"]
        assert await names(logGroupClass="INFREQUENT_ACCESS") == ["/b/3"]
        assert await names(logGroupIdentifiers=["/a/1", "/b/3"]) == ["/a/1", "/b/3"]
        assert await names("ListLogGroups", logGroupNamePattern="^/b/|/a/1", limit=1) == ["/a/1", "/b/3"]
        assert await names("ListLogGroups", logGroupTags=[{"key": "n", "values": ["!5"]}]) == [
            f"/a/{i}" for i in range(7) if i != 5
        ]
        with pytest.raises(AwsError, match=r"mutually exclusive"):
            await names(logGroupNamePrefix="a", logGroupNamePattern="b")
        with pytest.raises(AwsError, match=r"InvalidParameterException"):
            await names(nextToken="rubbish")

    in_world(main)


def test_a_protected_group_is_not_deleted(in_world):
    async def main(world):
        await world("CreateLogGroup", **G, deletionProtectionEnabled=True)
        with pytest.raises(AwsError, match=r"ValidationException"):
            await world("DeleteLogGroup", **G)
        await world("PutLogGroupDeletionProtection", logGroupIdentifier=ARN, deletionProtectionEnabled=False)
        await world("DeleteLogGroup", **G)
        assert (await world("DescribeLogGroups"))["logGroups"] == []

    in_world(main)


def test_retention_takes_only_the_days_that_aws_lists(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        await world("PutRetentionPolicy", **G, retentionInDays=2557)
        assert (await world("DescribeLogGroups"))["logGroups"][0]["retentionInDays"] == 2557
        with pytest.raises(AwsError, match=r"Valid values are: \[1, 3, 5"):
            await world("PutRetentionPolicy", **G, retentionInDays=2)
        await world("DeleteRetentionPolicy", **G)
        assert "retentionInDays" not in (await world("DescribeLogGroups"))["logGroups"][0]

    in_world(main)


def test_tags_are_one_set_by_name_and_by_arn(in_world):
    async def main(world):
        await world("CreateLogGroup", **G, tags={"a": "1"})
        await world("TagLogGroup", **G, tags={"b": "2"})
        await world("TagResource", resourceArn=ARN, tags={"c": "3"})
        assert (await world("ListTagsLogGroup", **G))["tags"] == {"a": "1", "b": "2", "c": "3"}
        await world("UntagLogGroup", **G, tags=["a"])
        await world("UntagResource", resourceArn=ARN, tagKeys=["c", "zzz"])
        assert (await world("ListTagsForResource", resourceArn=ARN))["tags"] == {"b": "2"}
        with pytest.raises(AwsError, match=r"TooManyTagsException"):
            await world("TagResource", resourceArn=ARN, tags={str(i): "" for i in range(50)})
        with pytest.raises(AwsError, match=r"InvalidParameterException"):
            await world("TagResource", resourceArn="rubbish", tags={"a": "b"})

    in_world(main)


def test_groups_of_another_account_or_region_are_not_seen(in_world):
    async def main(world):
        world.logs.append("111111111111", "us-east-1", "g", "s", [])
        world.logs.storage.make_group("111111111111", "us-east-1", "g")
        world.logs.storage.make_group("000000000000", "eu-west-1", "g")
        assert (await world("DescribeLogGroups"))["logGroups"] == []
        with pytest.raises(AwsError, match=r"ResourceNotFoundException"):
            await world(
                "FilterLogEvents", logGroupIdentifier="arn:aws:logs:us-east-1:111111111111:log-group:g"
            )

    in_world(main)


def test_streams_are_described_in_both_orders_page_by_page(in_world):
    async def main(world):
        t = world.now_ms
        for i, name in enumerate(["c", "a", "d", "b", "e"]):
            world.put("g", name, (t + i, "x"), (t - 100, "earlier"))
        await world("CreateLogStream", logGroupName="g", logStreamName="empty")

        async def names(**values):
            found, token = [], {}
            while True:
                answer = await world("DescribeLogStreams", logGroupName="g", limit=2, **values, **token)
                found += [s["logStreamName"] for s in answer["logStreams"]]
                if "nextToken" not in answer:
                    return found
                token = {"nextToken": answer["nextToken"]}

        assert await names() == ["a", "b", "c", "d", "e", "empty"]
        assert await names(descending=True) == ["empty", "e", "d", "c", "b", "a"]
        assert await names(logStreamNamePrefix="e") == ["e", "empty"]
        assert await names(orderBy="LastEventTime") == ["empty", "c", "a", "d", "b", "e"]
        assert await names(orderBy="LastEventTime", descending=True) == ["e", "b", "d", "a", "c", "empty"]
        (stream,) = (await world("DescribeLogStreams", logGroupIdentifier="g", logStreamNamePrefix="c"))[
            "logStreams"
        ]
        assert stream["firstEventTimestamp"] == t - 100
        assert stream["lastEventTimestamp"] == t
        assert stream["lastIngestionTime"] == t
        assert stream["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:c"
        with pytest.raises(AwsError, match=r"Cannot order by LastEventTime with a logStreamNamePrefix."):
            await names(orderBy="LastEventTime", logStreamNamePrefix="e")

    in_world(main)


def test_a_deleted_group_is_gone_with_its_events_and_a_new_one_is_empty(in_world):
    async def main(world):
        for folded in (False, True):
            world.put("g", "s", (world.now_ms, "old"))
            if folded:
                await world.journal.fold()
            await world("DeleteLogGroup", logGroupName="g")
            await world("CreateLogGroup", logGroupName="g")
            assert (await world("FilterLogEvents", logGroupName="g"))["events"] == []
            assert (await world("DescribeLogStreams", logGroupName="g"))["logStreams"] == []
        await world.logs.keep_up()
        assert await world.store.query("SELECT * FROM log_chunks") == []
        assert await world.store.query("SELECT * FROM log_garbage") == []

    in_world(main)


def test_a_deleted_stream_is_gone_with_its_events_and_its_size(in_world):
    async def main(world):
        world.put("g", "s", (world.now_ms, "old"))
        world.put("g", "other", (world.now_ms, "1234"))
        await world.journal.fold()
        world.put("g", "s", (world.now_ms, "in the tail"))
        await world("DeleteLogStream", logGroupName="g", logStreamName="s")
        await world("CreateLogStream", logGroupName="g", logStreamName="s")
        assert (await world("GetLogEvents", logGroupName="g", logStreamName="s"))["events"] == []
        assert [e["message"] for e in (await world("FilterLogEvents", logGroupName="g"))["events"]] == [
            "1234"
        ]
        await world.logs.keep_up()
        assert (await world("DescribeLogGroups"))["logGroups"][0]["storedBytes"] == 30

    in_world(main)


def test_reset_forgets_everything(in_world):
    async def main(world):
        world.put("g", "s", (world.now_ms, "x"))
        await world.journal.fold()
        world.put("h", "s", (world.now_ms, "y"))
        await world.logs.reset()
        again = await world.killed()
        assert (await again("DescribeLogGroups"))["logGroups"] == []
        await again.close()

    in_world(main)


def test_metric_filters_are_tested_and_the_lists_of_filters_are_empty(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        answer = await world(
            "TestMetricFilter", filterPattern="[level=ERROR, code]", logEventMessages=["INFO 1", "ERROR 2"]
        )
        assert answer["matches"] == [
            {
                "eventNumber": 2,
                "eventMessage": "ERROR 2",
                "extractedValues": {"$level": "ERROR", "$code": "2"},
            }
        ]
        assert await world("DescribeMetricFilters", **G) == {"metricFilters": []}
        assert await world("DescribeSubscriptionFilters", **G) == {"subscriptionFilters": []}
        assert await world("DescribeIndexPolicies", logGroupIdentifiers=[ARN]) == {"indexPolicies": []}

    in_world(main)


def test_live_tail_shows_what_comes_in_and_matches(in_world):
    async def main(world):
        await world("CreateLogGroup", **G)
        operation = world.logs.operations()["StartLiveTail"]
        answer = await operation.run(
            world.caller, {"logGroupIdentifiers": [ARN], "logEventFilterPattern": "yes"}
        )
        stream = answer["responseStream"]
        first = await anext(stream)
        assert first["sessionStart"]["logGroupIdentifiers"] == [ARN]
        world.put("/aws/lambda/f", "s", (5, "yes 1"), (6, "no"), (7, "yes 2"))
        world.put("elsewhere", "s", (5, "yes 3"))
        update = (await anext(stream))["sessionUpdate"]
        assert [e["message"] for e in update["sessionResults"]] == ["yes 1", "yes 2"]
        assert update["sessionResults"][0]["logGroupIdentifier"] == "000000000000:/aws/lambda/f"
        await stream.aclose()
        assert world.logs.storage.listeners == []

    in_world(main)


def test_run_meters_and_stops_when_cancelled(in_world):
    async def main(world):
        task = asyncio.create_task(world.logs.run())
        await asyncio.sleep(0)
        world.put("g", "s", (world.now_ms, "1234"))
        await world.journal.fold()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (record,) = world.meter.records
        assert (record.service, record.kind) == ("logs", "ingestion")
        assert record.resource == "arn:aws:logs:us-east-1:000000000000:log-group:g"
        assert round(record.quantity * 2**30) == 30

    in_world(main)
