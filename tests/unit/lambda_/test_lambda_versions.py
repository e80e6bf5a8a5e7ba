"""Published versions."""

from tests.unit.lambda_.lambda_control_kit import ARN, CALLER, CODE, OTHER_CODE, Cloud, refused, run


def test_versions_are_frozen_and_numbered(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            before = await cloud.active(Description="first")
            one = await cloud.call("PublishVersion", FunctionName="f")
            assert (one["Version"], one["FunctionArn"], one["Description"]) == ("1", ARN + "f:1", "first")
            assert (one["State"], one["LastUpdateStatus"]) == ("Active", "Successful")
            after = await cloud.config()
            assert len({before["RevisionId"], one["RevisionId"], after["RevisionId"]}) == 3
            await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE)
            await cloud.control.settled()
            two = await cloud.call("PublishVersion", FunctionName="f", Description="second")
            assert (two["Version"], two["Description"]) == ("2", "second")
            assert (await cloud.config(Qualifier="1"))["CodeSha256"] == one["CodeSha256"]
            listed = await cloud.call("ListVersionsByFunction", FunctionName="f")
            assert [v["FunctionArn"] for v in listed["Versions"]] == [
                ARN + "f:$LATEST",
                ARN + "f:1",
                ARN + "f:2",
            ]
            old, new = (cloud.control.resolve(CALLER, "f:" + n, None) for n in "12")
            assert old.invoked_arn == ARN + "f:1"
            assert old.code != new.code
            assert old.code.is_dir()

    run(main)


def test_publishing_what_has_not_changed_gives_the_last_version_again(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            first = await cloud.call("PublishVersion", FunctionName="f")
            assert await cloud.call("PublishVersion", FunctionName="f", Description="other") == first
            await cloud.call("TagResource", Resource=ARN + "f", Tags={"a": "b"})
            assert (await cloud.call("PublishVersion", FunctionName="f"))["Version"] == "1"
            await cloud.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=4)
            await cloud.control.settled()
            assert (await cloud.call("PublishVersion", FunctionName="f"))["Version"] == "2"

    run(main)


def test_a_function_can_be_published_as_it_is_made(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            cloud.runtimes.gate.clear()
            made = await cloud.create(Publish=True)
            assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", ARN + "f", "Pending")
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            shown = await cloud.config(Qualifier="1")
            assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
            assert shown["RevisionId"] == made["RevisionId"]
            assert cloud.control.resolve(CALLER, "f", "1").version.version == "1"

    run(main)


def test_an_update_can_publish_too_and_its_version_waits_with_it(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            cloud.runtimes.gate.clear()
            made = await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE, Publish=True)
            assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", ARN + "f:1", "Pending")
            assert made["LastUpdateStatus"] is None
            error = await refused(_resolve(cloud, "f:1"))
            assert "following state: Pending" in error.message
            cloud.runtimes.gate.set()
            await cloud.control.settled()
            assert (await cloud.config(Qualifier="1"))["State"] == "Active"

    run(main)


def test_the_code_that_is_meant_can_be_named_when_publishing(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            sha = (await cloud.active())["CodeSha256"]
            error = await refused(cloud.call("PublishVersion", FunctionName="f", CodeSha256="x"))
            assert error.message == (
                f"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({sha}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
            await cloud.call("PublishVersion", FunctionName="f", CodeSha256=sha)

    run(main)


def test_a_version_can_be_deleted_and_its_number_is_not_used_again(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active(Publish=True)
            error = await refused(cloud.call("DeleteFunction", FunctionName="f", Qualifier="$LATEST"))
            assert error.message == "$LATEST version cannot be deleted without deleting the function."
            generation = cloud.control.resolve(CALLER, "f", "1").generation
            await cloud.call("DeleteFunction", FunctionName="f:1")
            assert cloud.fleet.retired == [generation]
            error = await refused(cloud.config(Qualifier="1"))
            assert error.message == f"Function not found: {ARN}f:1"
            await cloud.call("DeleteFunction", FunctionName="f", Qualifier="1")
            assert (await cloud.call("PublishVersion", FunctionName="f"))["Version"] == "2"
            assert (await cloud.call("GetFunction", FunctionName="f"))["Configuration"]["State"] == "Active"

    run(main)


def test_more_than_nine_versions_stay_in_the_order_of_their_numbers(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active()
            for number in range(1, 12):
                await cloud.call("UpdateFunctionConfiguration", FunctionName="f", Timeout=number)
                await cloud.control.settled()
                await cloud.call("PublishVersion", FunctionName="f")
            found, marker = [], None
            while True:
                page = await cloud.call(
                    "ListVersionsByFunction",
                    FunctionName="f",
                    MaxItems=5,
                    **({"Marker": marker} if marker else {}),
                )
                found += [v["Version"] for v in page["Versions"]]
                marker = page["NextMarker"]
                if marker is None:
                    break
            assert found == ["$LATEST", *map(str, range(1, 12))]
            listed = await cloud.call("ListFunctions", FunctionVersion="ALL")
            assert [v["Version"] for v in listed["Functions"]] == found

    run(main)


def test_code_of_a_version_outlives_updates_of_latest(tmp_path):
    async def main():
        async with Cloud(tmp_path) as cloud:
            await cloud.active(Publish=True)
            await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE)
            await cloud.control.settled()
            cloud.clock.advance(10_000)
            assert await cloud.control._transitions.remove_unused_code() == 0
            assert cloud.control.resolve(CALLER, "f", "1").code.is_dir()
            assert len(cloud.trees()) == 2
            await cloud.call("DeleteFunction", FunctionName="f", Qualifier="1")
            cloud.clock.advance(10_000)
            assert await cloud.control._transitions.remove_unused_code() == 1
            assert len(cloud.trees()) == 1
            await cloud.call("UpdateFunctionCode", FunctionName="f", ZipFile=CODE)
            await cloud.control.settled()
            assert cloud.control.resolve(CALLER, "f", None).code.is_dir()

    run(main)


async def _resolve(cloud, name):
    return cloud.control.resolve(CALLER, name, None)
