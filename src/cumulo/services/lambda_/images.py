"""Code that is a container image: found and pinned when a function names it, pulled when the function is prepared.

ImageUri -> resolve (a registry) -> ImageCode: the digest -> host: pulled, unpacked -> RuntimeHost
runtime  -> runtime_host: a configured image that runs zips, where this machine lacks the runtime
"""

from collections.abc import Callable, Collection, Mapping

from cumulo.base.caller import Caller
from cumulo.base.errors import AwsError
from cumulo.base.ports.images import ImageRegistry, ResolvedImage
from cumulo.engines.engine import EngineError
from cumulo.engines.images import Image, Images, Platform, PullError, Source
from cumulo.sandbox.contract import ImageRoot, RuntimeHost
from cumulo.sandbox.runtimes import catalog
from cumulo.services.lambda_ import errors
from cumulo.services.lambda_.model import ImageCode, ImageConfig, Version

DELETED = "The function is trying to use a deleted image."
DENIED = "The function does not have permission to access the specified image."
KEEP_UNUSED_SECONDS = 30.0  # a call that has resolved the old version may still start a container
LOST_CODES = frozenset({"ImageDeleted", "ImageAccessDenied", "InvalidImage"})
_INDEXES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
_MANIFESTS = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    }
)
_OCI = {"x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64", "amd64": "amd64"}
_MISSING = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})
_DENIED = frozenset({"AccessDeniedException", "RepositoryPolicyNotFoundException"})


class ImageUnusable(Exception):
    """An image cannot be had; `code` is one of AWS's reason codes."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FunctionImages:
    """The images of functions.

    registry        finds what references mean
    images          the engine's
    machine         this machine's processor, in the words of `platform.machine()`
    runtime_images  for runtimes that this machine lacks: their names, and the images that have them
    why_not         why the engine cannot run functions, as far as it is known; empty when it can, or is not open yet
    """

    def __init__(
        self,
        registry: ImageRegistry[Source],
        images: Images,
        *,
        machine: str,
        runtime_images: Mapping[str, str] | None = None,
        why_not: Callable[[], str] = str,
    ) -> None:
        self.why_not = why_not
        self._registry = registry
        self._images = images
        self._machine = _OCI.get(machine, machine)
        self._runtime_images = dict(runtime_images or {})
        self._unused: dict[str, float] = {}  # references that a version has let go of, and when they may go

    async def resolve(self, caller: Caller, uri: str) -> tuple[ImageCode, str]:
        """The image that a reference means now, and its digest in hexadecimal; AwsError as Lambda words it."""
        try:
            found = await self._registry.resolve(caller, uri)
        except AwsError as error:
            raise _refusal(uri, error) from error
        if not found.digest.startswith("sha256:"):
            raise errors.invalid(f"Source image {uri} is not valid. Provide a valid source image.")
        known = found.media_type in _MANIFESTS or (found.media_type in _INDEXES and not found.ours)
        if found.media_type and not known:
            raise errors.invalid(
                f"The image manifest, config or layer media type for the source image {uri} is not supported."
            )
        code = ImageCode(
            uri=uri,
            resolved_uri=found.uri,
            reference=found.reference,
            architecture=found.architecture,
        )
        return code, found.digest.removeprefix("sha256:")

    async def host(self, version: Version) -> RuntimeHost:
        """How a function's image is run, pulled and unpacked by then.  ImageUnusable."""
        code = version.image
        assert code is not None, "a function from an image has one"
        wanted = Platform(code.architecture or _OCI.get(version.architecture, version.architecture))
        image = await self._known(code.reference)
        if why := self.why_not():  # the engine is open by now
            raise ImageUnusable("InternalError", why)
        if image is None:
            caller = Caller(account=version.account, region=version.region)
            found = await self._again(caller, code.resolved_uri)
            image = await self._pull(code.reference, wanted, found.source)
        config = version.image_config or ImageConfig()
        return RuntimeHost(
            runtime="",
            argv=(
                *(config.entry_point or image.config.entrypoint),
                *(config.command or image.config.command),
            ),
            env={},
            binds=(),
            version="",
            version_arn="",
            warning=self._warning(image),
            image=ImageRoot(
                id=image.id,
                cwd=config.working_directory or image.config.cwd or "/",
                unfit=_unfit(image, version),
            ),
        )

    async def has(self, image: str) -> bool:
        """Whether the engine still has an image, by id."""
        try:
            return await self._images.get(image) is not None
        except EngineError:
            return False  # whoever asks for it again will hear why

    def has_runtime(self, runtime: str) -> bool:
        """Whether an image is configured for this runtime."""
        return runtime in self._runtime_images

    async def runtime_host(self, version: Version) -> RuntimeHost:
        """How a zip is run in the image that is configured for its runtime.  ImageUnusable."""
        uri = self._runtime_images[version.runtime]
        caller = Caller(account=version.account, region=version.region)
        wanted = Platform(self._machine)
        image = None
        try:
            found = await self._registry.resolve(caller, uri)
            image = await self._pull(found.reference, wanted, found.source)
        except (AwsError, ImageUnusable) as error:
            image = await self._known(uri)  # without its registry, what was pulled before still serves
            if image is None:
                said = error.message if isinstance(error, AwsError) else error.reason
                raise ImageUnusable(
                    "InvalidRuntime",
                    f"{version.runtime} is to run in the image {uri}, which cannot be had: {said}",
                ) from error
        if why := self.why_not():
            raise ImageUnusable("InvalidRuntime", f"{version.runtime} is to run in the image {uri}: {why}")
        row = catalog.find(version.runtime)
        return RuntimeHost(
            runtime=version.runtime,
            argv=(*image.config.entrypoint, version.handler),
            env={},
            binds=(),
            version=row.label if row else version.runtime,
            version_arn=row.version_arn if row else "",
            warning=f"{version.runtime} runs in the image {uri}",
            image=ImageRoot(id=image.id, cwd=image.config.cwd or "/var/task", code=True),
        )

    def let_go(self, version: Version, now: float) -> None:
        """A version does not need its image any more; `now` is monotonic."""
        if version.image is not None:
            self._unused[version.image.reference] = now + KEEP_UNUSED_SECONDS

    def has_unused(self) -> bool:
        """Whether `remove_unused` may have something to do."""
        return bool(self._unused)

    async def remove_unused(self, referenced: Collection[str], now: float) -> int:
        """Remove images that nothing has referred to for long enough; how many went."""
        gone = 0
        for reference, due in list(self._unused.items()):
            if reference in referenced:
                del self._unused[reference]
            elif due <= now:
                try:
                    await self._images.remove(reference)
                except EngineError:  # a container still uses it
                    self._unused[reference] = now + KEEP_UNUSED_SECONDS
                else:
                    self._unused.pop(reference, None)
                    gone += 1
        return gone

    async def _again(self, caller: Caller, uri: str) -> ResolvedImage[Source]:
        """Where the image is now, for a function that has it already."""
        try:
            return await self._registry.resolve(caller, uri)
        except AwsError as error:
            if error.code in _MISSING:
                raise ImageUnusable("ImageDeleted", DELETED) from error
            if error.code in _DENIED:
                raise ImageUnusable("ImageAccessDenied", DENIED) from error
            raise ImageUnusable(
                "InternalError", f"The image {uri} could not be found: {error.message}"
            ) from error

    async def _known(self, reference: str) -> Image | None:
        try:
            return await self._images.get(reference)
        except EngineError as error:
            raise ImageUnusable("InternalError", f"The engine cannot be asked for images: {error}") from error

    async def _pull(self, reference: str, platform: Platform, source: Source | None) -> Image:
        try:
            return await self._images.pull(reference, platform=platform, source=source)
        except PullError as error:
            code, reason = _reason(error)
            raise ImageUnusable(code, reason) from error
        except EngineError as error:
            raise ImageUnusable("InternalError", f"The image could not be pulled: {error}") from error

    def _warning(self, image: Image) -> str:
        if image.platform.architecture == self._machine:
            return ""
        return f"the image is for {image.platform.architecture}, and this machine is {self._machine}"


def _unfit(image: Image, version: Version) -> str:
    """AWS takes an image of another architecture; it is the kernel that then refuses to execute it."""
    wanted = _OCI.get(version.architecture, version.architecture)
    return "" if image.platform.architecture == wanted else "exec format error"


def _refusal(uri: str, error: AwsError) -> AwsError:
    """What a client hears of an image that cannot be resolved."""
    if error.code in _MISSING:
        return errors.invalid(f"Source image {uri} does not exist. Provide a valid source image.")
    if error.code in _DENIED:
        return AwsError(
            "AccessDeniedException",
            "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
            status=403,
            fields={"Type": "User"},
        )
    if error.code == "InvalidParameterException":
        return errors.invalid(f"Source image {uri} is not valid. Provide a valid source image.")
    return AwsError(
        "ServiceException",
        f"Source image {uri} could not be looked up: {error.message}",
        status=500,
        fields={"Type": "Server"},
    )


def _reason(error: PullError) -> tuple[str, str]:
    """AWS's code, and a sentence."""
    match error.kind:
        case "not-found":
            return "ImageDeleted", DELETED
        case "unauthorized":
            return "ImageAccessDenied", DENIED
        case "corrupt" | "refused" | "platform":
            return "InvalidImage", str(error)
        case _:
            return "InternalError", f"The image could not be pulled: {error}"
