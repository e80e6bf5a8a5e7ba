"""Functions whose code is a container image: what clients may ask for, and what they are shown."""

import asyncio

import pytest
from tests.unit.lambda_.lambda_control_kit import ARN, CALLER, CODE, OTHER_CODE, Cloud, refused, run

from cumulo.base.errors import AwsError
from cumulo.base.ports.images import ResolvedImage
from cumulo.engines.engine import EngineError
from cumulo.engines.images import Config, Image, PullError
from cumulo.services.lambda_.images import DELETED, DENIED, FunctionImages

HOST = "123456789012.dkr.ecr.eu-west-1.localhost:4566"
APP = f"{HOST}/app:1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
GONE = AwsError("ImageNotFoundException", "it is not there")


class Registry:
    """Tags of one host, and what each manifest is."""

    def __init__(self):
        self.tags = {APP: "a" * 64, f"{HOST}/app:2": "b" * 64}
        self.media_type = MANIFEST
        self.architecture = "amd64"
        self.ours = True
        self.error: AwsError | None = None
        self.asked: list[tuple[str, str]] = []

    async def resolve(self, caller, uri):
        self.asked.append((caller.account, uri))
        if self.error is not None:
            raise self.error
        name = uri.partition("@")[0].rpartition(":")[0] if "@" not in uri else uri.partition("@")[0]
        digest = self.tags.get(uri)
        if "@sha256:" in uri and uri.partition("@sha256:")[2] in self.tags.values():
            digest = uri.partition("@sha256:")[2]
        if digest is None:
            raise GONE
        pinned = f"{name}@sha256:{digest}"
        return ResolvedImage(
            uri=pinned,
            reference=pinned,
            digest=f"sha256:{digest}",
            media_type=self.media_type,
            architecture=self.architecture,
            ours=self.ours,
        )


class EngineImages:
    """What an engine has pulled."""

    def __init__(self):
        self.here: dict[str, Image] = {}
        self.error: PullError | None = None
        self.busy: set[str] = set()
        self.why_not = ""
        self.why_not_once_open = ""
        self.config = Config(entrypoint=("/run",), command=("app.handler",), cwd="/app")
        self.pulled: list[tuple[str, str]] = []

    async def pull(self, reference, *, login=None, platform=None, source=None, only_missing=False):
        self.pulled.append((reference, platform.architecture))
        if self.error is not None:
            raise self.error
        image = Image(
            id="sha256:" + "c" * 64, digest="sha256:" + "d" * 64, platform=platform, config=self.config
        )
        self.here[reference] = image
        return image

    async def get(self, name):
        self.why_not = self.why_not_once_open
        return self.here.get(name) or next((i for i in self.here.values() if i.id == name), None)

    async def remove(self, name):
        if name in self.busy:
            raise EngineError("a container uses it")
        self.here.pop(name, None)


class ImageCloud(Cloud):
    """A control plane with an engine."""

    def __init__(self, folder, **options):
        self.registry = options.pop("registry", None) or Registry()
        self.engine = options.pop("engine", None) or EngineImages()
        images = FunctionImages(
            self.registry,
            self.engine,
            machine="x86_64",
            runtime_images={"ruby3.3": APP},
            why_not=lambda: self.engine.why_not,
        )
        super().__init__(folder, images=images, **options)

    async def create(self, name="f", **values):
        if values.get("PackageType") == "Image":
            base = {
                "FunctionName": name,
                "Role": "arn:aws:iam::123456789012:role/app",
                "Code": {"ImageUri": APP},
            }
            return await self.call("CreateFunction", **(base | values))
        return await super().create(name, **values)

    async def active_image(self, name="f", **values):
        return await self.active(name, PackageType="Image", **values)


async def _a_function_from_an_image(folder):
    async with ImageCloud(folder) as cloud:
        created = await cloud.create(PackageType="Image", Environment={"Variables": {"A": "1"}})
        assert created["State"] == "Pending"
        assert created["StateReasonCode"] == "Creating"
        assert created["PackageType"] == "Image"
        assert created["CodeSize"] == 0
        assert created["CodeSha256"] == "a" * 64
        assert created["Runtime"] is None
        assert created["Handler"] is None
        assert "ImageConfigResponse" not in created
        assert "RuntimeVersionConfig" not in created
        await cloud.control.settled()
        shown = await cloud.call("GetFunction", FunctionName="f")
        assert shown["Configuration"]["State"] == "Active"
        assert shown["Configuration"]["LastUpdateStatus"] == "Successful"
        assert shown["Code"] == {
            "RepositoryType": "ECR",
            "ImageUri": APP,
            "ResolvedImageUri": f"{HOST}/app@sha256:{'a' * 64}",
        }
        assert cloud.engine.pulled == [(f"{HOST}/app@sha256:{'a' * 64}", "amd64")]


def test_a_function_from_an_image_is_active_once_its_image_is_pulled(tmp_path):
    run(_a_function_from_an_image, tmp_path / "c")


async def _pinned(folder):
    async with ImageCloud(folder) as cloud:
        await cloud.active_image()
        cloud.registry.tags[APP] = "e" * 64
        await cloud.call("UpdateFunctionConfiguration", FunctionName="f", Description="new")
        await cloud.control.settled()
        shown = await cloud.call("GetFunction", FunctionName="f")
        assert shown["Configuration"]["CodeSha256"] == "a" * 64
        assert shown["Code"]["ResolvedImageUri"].endswith("a" * 64)
        assert {reference for reference, _ in cloud.engine.pulled} == {f"{HOST}/app@sha256:{'a' * 64}"}
        await cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=APP)
        await cloud.control.settled()
        assert (await cloud.config())["CodeSha256"] == "e" * 64


def test_a_tag_that_moves_changes_a_function_only_when_it_is_updated(tmp_path):
    run(_pinned, tmp_path / "c")


async def _image_config(folder):
    given = {"EntryPoint": ["sh"], "Command": ["-c", "echo test"], "WorkingDirectory": "/app1"}
    async with ImageCloud(folder) as cloud:
        created = await cloud.active_image(ImageConfig=given)
        assert {
            name: _listed(value) for name, value in created["ImageConfigResponse"]["ImageConfig"].items()
        } == given
        version = cloud.control.resolve(CALLER, "f", None).version
        host = await cloud.control.ready(version)
        assert host.argv == ("sh", "-c", "echo test")
        assert host.image is not None
        assert host.image.cwd == "/app1"
        await cloud.call(
            "UpdateFunctionConfiguration", FunctionName="f", ImageConfig={"Command": ["other.handler"]}
        )
        await cloud.control.settled()
        host = await cloud.control.ready(cloud.control.resolve(CALLER, "f", None).version)
        assert host.argv == ("/run", "other.handler")
        assert host.image is not None
        assert host.image.cwd == "/app"
        await cloud.call("UpdateFunctionConfiguration", FunctionName="f", ImageConfig={})
        await cloud.control.settled()
        assert "ImageConfigResponse" not in await cloud.config()


def _listed(value):
    return list(value) if isinstance(value, tuple) else value


def test_what_a_function_says_of_its_command_counts_more_than_its_image(tmp_path):
    run(_image_config, tmp_path / "c")


NO_RUNTIME = (
    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Runtime": "python3.12", "Handler": "a.b"}, NO_RUNTIME),
        ({"Handler": "a.b"}, NO_RUNTIME),
        (
            {"Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:x:1"]},
            "Lambda layers are not supported for functions created with container images.",
        ),
        (
            {"SnapStart": {"ApplyOn": "PublishedVersions"}},
            "ContainerImage is not supported for SnapStart enabled functions.",
        ),
        (
            {"CodeSigningConfigArn": "arn:aws:lambda:eu-west-1:123456789012:code-signing-config:csc-0"},
            "Code signing is not supported for functions created with container images.",
        ),
        (
            {"Code": {"ZipFile": CODE}},
            "Please provide ImageUri when creating a function with packageType Image.",
        ),
        ({"Code": {}}, "Please provide ImageUri when creating a function with packageType Image."),
        (
            {"Code": {"ImageUri": f"{HOST}/app:9"}},
            f"Source image {HOST}/app:9 does not exist. Provide a valid source image.",
        ),
        (
            {"ImageConfig": {"Command": ["x" * 1000] * 17}},
            (
                "Lambda was unable to configure your container image settings because the settings you have"
                " provided exceeded the 16KB limit."
            ),
        ),
        (
            {"PackageType": "Zip"},
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
    ],
)
def test_what_is_wrong_at_creation_changes_nothing(tmp_path, values, message):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            error = await refused(
                cloud.call(
                    "CreateFunction",
                    **(
                        {"FunctionName": "f", "Role": "r", "PackageType": "Image", "Code": {"ImageUri": APP}}
                        | values
                    ),
                )
            )
            assert (error.code, error.message) == ("InvalidParameterValueException", message)
            assert (await cloud.call("ListFunctions"))["Functions"] == []
            assert cloud.engine.pulled == []

    run(main)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            AwsError("InvalidParameterException", "no tag"),
            "InvalidParameterValueException",
            f"Source image {APP} is not valid. Provide a valid source image.",
        ),
        (
            AwsError("RepositoryNotFoundException", "none"),
            "InvalidParameterValueException",
            f"Source image {APP} does not exist. Provide a valid source image.",
        ),
        (
            AwsError("AccessDeniedException", "no"),
            "AccessDeniedException",
            "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
        ),
        (
            AwsError("ServerException", "connection refused"),
            "ServiceException",
            f"Source image {APP} could not be looked up: connection refused",
        ),
    ],
)
def test_what_a_registry_says_is_told_in_lambdas_words(tmp_path, error, code, message):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.registry.error = error
            told = await refused(cloud.create(PackageType="Image"))
            assert (told.code, told.message) == (code, message)

    run(main)


def test_an_index_is_taken_from_other_registries_but_not_from_ecr(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.registry.media_type, cloud.registry.architecture = INDEX, ""
            error = await refused(cloud.create(PackageType="Image"))
            assert error.message == (
                f"The image manifest, config or layer media type for the source image {APP} is not supported."
            )
            cloud.registry.ours = False
            await cloud.active_image(Architectures=["arm64"])
            assert cloud.engine.pulled[-1][1] == "arm64"

    run(main)


def test_an_image_of_another_architecture_cannot_be_executed(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.registry.architecture = "arm64"
            shown = await cloud.active_image()
            assert shown["State"] == "Active"  # as on AWS: it is the first call that fails
            host = await cloud.control.ready(cloud.control.resolve(CALLER, "f", None).version)
            assert host.image is not None
            assert host.image.unfit == "exec format error"
            assert host.warning == "the image is for arm64, and this machine is amd64"

    run(main)


def test_the_package_type_cannot_be_changed(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image("image")
            await cloud.active("zip")
            error = await refused(cloud.call("UpdateFunctionCode", FunctionName="image", ZipFile=OTHER_CODE))
            assert error.message == "Please provide ImageUri when updating a function with packageType Image."
            error = await refused(cloud.call("UpdateFunctionCode", FunctionName="zip", ImageUri=APP))
            assert (
                error.message
                == "Please don't provide ImageUri when updating a function with packageType Zip."
            )
            error = await refused(
                cloud.call("UpdateFunctionConfiguration", FunctionName="image", Handler="app.handler")
            )
            assert error.message == NO_RUNTIME
            error = await refused(
                cloud.call("UpdateFunctionConfiguration", FunctionName="zip", ImageConfig={"Command": ["x"]})
            )
            assert error.code == "InvalidParameterValueException"
            assert (await cloud.config("image"))["PackageType"] == "Image"
            assert (await cloud.config("zip"))["PackageType"] == "Zip"

    run(main)


def test_an_update_of_the_code_can_be_tried_guarded_and_published(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            before = await cloud.active_image()
            other = f"{HOST}/app:2"
            error = await refused(
                cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=other, RevisionId="stale")
            )
            assert error.code == "PreconditionFailedException"
            tried = await cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=other, DryRun=True)
            assert tried["CodeSha256"] == "b" * 64
            assert (await cloud.config())["CodeSha256"] == "a" * 64
            done = await cloud.call(
                "UpdateFunctionCode",
                FunctionName="f",
                ImageUri=other,
                Publish=True,
                RevisionId=before["RevisionId"],
            )
            assert done["Version"] == "1"
            await cloud.control.settled()
            first = await cloud.config(Qualifier="1")
            assert (first["State"], first["CodeSha256"]) == ("Active", "b" * 64)

    run(main)


def test_the_same_image_is_published_once_by_whatever_tag(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
            first = await cloud.call("PublishVersion", FunctionName="f", CodeSha256="a" * 64)
            cloud.registry.tags[f"{HOST}/app:again"] = "a" * 64
            await cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=f"{HOST}/app:again")
            await cloud.control.settled()
            again = await cloud.call("PublishVersion", FunctionName="f")
            assert again["FunctionArn"] == first["FunctionArn"] == f"{ARN}f:1"
            await cloud.call("UpdateFunctionConfiguration", FunctionName="f", ImageConfig={"Command": ["x"]})
            await cloud.control.settled()
            assert (await cloud.call("PublishVersion", FunctionName="f"))["Version"] == "2"
            error = await refused(cloud.call("PublishVersion", FunctionName="f", CodeSha256="c" * 64))
            assert error.message == (
                f"CodeSHA256 ({'c' * 64}) is different from current CodeSHA256 in $LATEST ({'a' * 64})."
                " Please try again with the CodeSHA256 in $LATEST."
            )

    run(main)


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("not-found", "ImageDeleted", DELETED),
        ("unauthorized", "ImageAccessDenied", DENIED),
        ("corrupt", "InvalidImage", "layer 2 is broken"),
        ("refused", "InvalidImage", "layer 2 is broken"),
        ("platform", "InvalidImage", "layer 2 is broken"),
        ("unreachable", "InternalError", "The image could not be pulled: layer 2 is broken"),
        ("no-space", "InternalError", "The image could not be pulled: layer 2 is broken"),
    ],
)
def test_an_image_that_cannot_be_pulled_fails_the_function_with_its_reason(tmp_path, kind, code, reason):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.engine.error = PullError(kind, "layer 2 is broken")
            shown = await cloud.active_image()
            assert (shown["State"], shown["StateReasonCode"]) == ("Failed", code)
            assert shown["StateReason"] == reason
            cloud.engine.error = None
            await cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=APP)
            await cloud.control.settled()
            assert (await cloud.config())["State"] == "Active"

    run(main)


def test_an_update_that_fails_leaves_the_old_image_serving(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
            cloud.engine.error = PullError("corrupt", "bad layer")
            await cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=f"{HOST}/app:2")
            await cloud.control.settled()
            shown = await cloud.config()
            assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Failed")
            assert shown["LastUpdateStatusReasonCode"] == "InvalidImage"
            assert cloud.control.resolve(CALLER, "f", None).version.code_sha256 == "a" * 64

    run(main)


def test_after_a_restart_an_image_that_is_here_is_not_asked_for_again(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
            engine = cloud.engine
        registry = Registry()
        registry.error = GONE
        async with ImageCloud(tmp_path / "c", registry=registry, engine=engine) as cloud:
            host = await cloud.control.ready(cloud.control.resolve(CALLER, "f", None).version)
            assert host.argv == ("/run", "app.handler")
            assert registry.asked == []

    run(main)


def test_an_image_that_must_be_pulled_again_and_is_gone_makes_the_function_inactive_until_it_is_back(
    tmp_path,
):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.registry.error = GONE
            error = await refused(cloud.control.ready(cloud.control.resolve(CALLER, "f", None).version))
            assert error.code == "ResourceConflictException"
            assert DELETED in error.message
            shown = await cloud.config()
            assert (shown["State"], shown["StateReasonCode"]) == ("Inactive", "ImageDeleted")
            cloud.registry.error = None
            await cloud.control.ready(cloud.control.resolve(CALLER, "f", None).version)
            assert (await cloud.config())["State"] == "Active"

    run(main)


def test_an_image_that_somebody_removed_is_pulled_again_for_the_next_environment(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
            version = cloud.control.resolve(CALLER, "f", None).version
            await cloud.control.ready(version)
            assert len(cloud.engine.pulled) == 1
            cloud.engine.here.clear()
            await cloud.control.ready(version)
            assert len(cloud.engine.pulled) == 2

    run(main)


def test_images_go_when_no_version_refers_to_them_any_more_and_no_container_uses_them(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            transitions = cloud.control._transitions
            one, two = (f"{HOST}/app@sha256:{letter * 64}" for letter in "ab")
            await cloud.active_image()
            await cloud.call("PublishVersion", FunctionName="f")
            await cloud.call("UpdateFunctionCode", FunctionName="f", ImageUri=f"{HOST}/app:2")
            await cloud.control.settled()
            cloud.clock.advance(60)
            assert await transitions.remove_unused_images() == 0  # the version still has the first
            assert set(cloud.engine.here) == {one, two}
            await cloud.call("DeleteFunction", FunctionName="f", Qualifier="1")
            assert await transitions.remove_unused_images() == 0  # not at once
            cloud.clock.advance(60)
            assert await transitions.remove_unused_images() == 1
            assert set(cloud.engine.here) == {two}
            await cloud.call("DeleteFunction", FunctionName="f")
            cloud.engine.busy = {two}
            cloud.clock.advance(60)
            assert await transitions.remove_unused_images() == 0
            cloud.engine.busy = set()
            cloud.clock.advance(60)
            assert await transitions.remove_unused_images() == 1
            assert cloud.engine.here == {}

    run(main)


def test_a_registry_that_is_away_is_not_the_functions_fault(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.registry.error = AwsError("ServerException", "connection refused")
            error = await refused(cloud.control.ready(cloud.control.resolve(CALLER, "f", None).version))
            assert (error.code, error.status) == ("ServiceException", 500)
            assert "connection refused" in error.message
            assert (await cloud.config())["State"] == "Active"

    run(main)


def test_an_engine_that_cannot_be_asked_is_told_and_asked_again(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            get = cloud.engine.get

            async def broken(name):
                raise EngineError("the daemon is gone")

            cloud.engine.get = broken
            shown = await cloud.active_image()
            assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InternalError")
            assert shown["StateReason"] == "The engine cannot be asked for images: the daemon is gone"
            cloud.engine.get = get
            await cloud.active_image("g")
            version = cloud.control.resolve(CALLER, "g", None).version
            cloud.engine.get = broken
            error = await refused(cloud.control.ready(version))
            assert (error.code, error.status) == ("ServiceException", 500)
            cloud.engine.get = get
            assert (await cloud.control.ready(version)).argv == ("/run", "app.handler")
            assert (await cloud.config("g"))["State"] == "Active"

    run(main)


def test_an_image_that_arrives_after_its_function_was_deleted_goes_too(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            gate = asyncio.Event()
            pull = cloud.engine.pull

            async def slow(reference, **options):
                await gate.wait()
                return await pull(reference, **options)

            cloud.engine.pull = slow
            await cloud.create(PackageType="Image")
            await asyncio.sleep(0.01)
            await cloud.call("DeleteFunction", FunctionName="f")
            cloud.clock.advance(60)
            await cloud.control._transitions.remove_unused_images()
            gate.set()
            await cloud.control.settled()
            assert len(cloud.engine.here) == 1
            cloud.clock.advance(60)
            assert await cloud.control._transitions.remove_unused_images() == 1
            assert cloud.engine.here == {}

    run(main)


def test_a_pull_that_a_restart_interrupted_is_done_again(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:

            async def never(reference, **options):
                await asyncio.Event().wait()

            cloud.engine.pull = never
            await cloud.create(PackageType="Image")
            await asyncio.sleep(0.01)
            assert (await cloud.config())["State"] == "Pending"
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.registry.tags[APP] = "e" * 64  # the tag has moved meanwhile; the digest counts
            cloud.registry.tags["old"] = "a" * 64
            await cloud.control.settled()
            shown = await cloud.config()
            assert (shown["State"], shown["CodeSha256"]) == ("Active", "a" * 64)
            assert [reference for reference, _ in cloud.engine.pulled] == [f"{HOST}/app@sha256:{'a' * 64}"]

    run(main)


def test_images_that_take_long_to_pull_do_not_hold_up_zips(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            gate = asyncio.Event()
            pull = cloud.engine.pull

            async def slow(reference, **options):
                await gate.wait()
                return await pull(reference, **options)

            cloud.engine.pull = slow
            for number in range(12):
                await cloud.create(f"image{number}", PackageType="Image")
            await cloud.create("zip")
            for _ in range(1000):
                if (await cloud.config("zip"))["State"] == "Active":
                    break
                await asyncio.sleep(0.005)
            assert (await cloud.config("zip"))["State"] == "Active"
            assert (await cloud.config("image0"))["State"] == "Pending"
            gate.set()
            await cloud.control.settled()
            assert {(await cloud.config(f"image{n}"))["State"] for n in range(12)} == {"Active"}

    run(main)


def test_without_an_engine_functions_from_images_are_refused_by_name(tmp_path):
    async def main():
        async with Cloud(tmp_path / "c") as cloud:
            error = await refused(
                cloud.call(
                    "CreateFunction", FunctionName="f", Role="r", PackageType="Image", Code={"ImageUri": APP}
                )
            )
            assert error.code == "NotImplemented"
            assert "CreateFunction with PackageType Image" in error.message
            assert "cumulo doctor" in error.message

    run(main)


def test_on_an_engine_that_cannot_run_functions_they_are_refused_once_that_is_known(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.engine.why_not_once_open = "the docker engine lacks a limb"
            failed = await cloud.active_image()
            assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "InternalError")
            assert failed["StateReason"] == "the docker engine lacks a limb"
            assert cloud.engine.pulled == []
            error = await refused(cloud.create("g", PackageType="Image"))
            assert error.code == "NotImplemented"
            assert "CreateFunction with PackageType Image" in error.message
            assert "lacks a limb" in error.message
            assert (await cloud.active("zip"))["State"] == "Active"
            cloud.runtimes.missing = {"ruby3.3"}
            failed = await cloud.active("ruby", Runtime="ruby3.3")
            assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "InvalidRuntime")
            assert "lacks a limb" in failed["StateReason"]

    run(main)


def test_a_runtime_that_the_machine_lacks_runs_in_the_image_configured_for_it(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            cloud.runtimes.missing = {"ruby3.3", "dotnet8"}
            shown = await cloud.active("ruby", Runtime="ruby3.3", Handler="app.main")
            assert shown["State"] == "Active"
            assert shown["PackageType"] == "Zip"
            host = await cloud.control.ready(cloud.control.resolve(CALLER, "ruby", None).version)
            assert host.argv == ("/run", "app.main")
            assert host.image is not None
            assert host.image.code
            assert host.version.startswith("ruby:3.3")
            assert APP in host.warning
            failed = await cloud.active("net", Runtime="dotnet8")
            assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "InvalidRuntime")
            cloud.engine.here.clear()
            cloud.registry.error = GONE
            failed = await cloud.active("other", Runtime="ruby3.3")
            assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "InvalidRuntime")
            assert APP in failed["StateReason"]

    run(main)


def test_what_concerns_only_zips_is_refused_for_images(tmp_path):
    async def main():
        async with ImageCloud(tmp_path / "c") as cloud:
            await cloud.active_image()
            error = await refused(cloud.call("GetFunctionCodeSigningConfig", FunctionName="f"))
            assert (
                error.message == "Code signing is not supported for functions created with container images."
            )
            error = await refused(cloud.call("GetRuntimeManagementConfig", FunctionName="f"))
            assert error.message == (
                "Lambda couldn't get a runtime management configuration because f is a container image function."
            )

    run(main)
