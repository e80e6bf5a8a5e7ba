"""Images that functions name in other registries: Debian's docker-registry, a real image store."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from cumulo.base.caller import Caller
from cumulo.base.clock import SystemClock
from cumulo.base.errors import AwsError
from cumulo.engines.oci.references import parse
from cumulo.engines.oci.registry import Patience, Registry
from cumulo.engines.oci.store import ImageStore
from cumulo.services.ecr.pulling import ImageResolver
from cumulo.services.lambda_.images import FunctionImages
from cumulo.services.lambda_.model import IMAGE, ImageConfig, Version
from tests.image_kit import ARCHITECTURE, BUSYBOX, function_image, push
from tests.oci_kit import registry_process

CALLER = Caller(account="000000000000", region="us-east-1")
AWS_NAME = {"amd64": "x86_64", "arm64": "arm64"}[ARCHITECTURE]
pytestmark = [
    pytest.mark.skipif(not shutil.which("docker-registry"), reason="docker-registry is not installed"),
    pytest.mark.skipif(BUSYBOX is None, reason="busybox-static is not installed"),
]


class NoCatalog:
    """No repository of ours is asked for here."""


def with_images(folder: Path, story: Any) -> None:
    async def main() -> None:
        clock = SystemClock()
        store = ImageStore(folder / "store", clock=clock, in_use=lambda _: False)
        await store.start()
        nobody: Any = NoCatalog()
        resolver = ImageResolver(
            nobody,
            nobody,
            parse=parse,
            open_source=lambda: Registry(None, clock=clock, patience=Patience(tries_max=1)),
            port=4566,
        )
        try:
            await asyncio.wait_for(story(FunctionImages(resolver, store, machine=AWS_NAME), store), 60)
        finally:
            await store.close()

    asyncio.run(main())


def version_of(code: Any, digest: str, **values: Any) -> Version:
    return Version(
        account=CALLER.account,
        region=CALLER.region,
        name="f",
        role="r",
        code_sha256=digest,
        code_size=0,
        architecture=AWS_NAME,
        package_type=IMAGE,
        image=code,
        last_modified=0.0,
        revision_id="",
        **values,
    )


def test_an_image_of_another_registry_is_pinned_and_pulled_by_its_digest(tmp_path):
    image = function_image("facts", cwd="/app")

    async def story(images: FunctionImages, store: ImageStore) -> None:
        code, digest = await images.resolve(CALLER, f"{host}/team/app:1")
        assert code.resolved_uri == code.reference == f"{host}/team/app@{image.digest}"
        assert code.architecture == ARCHITECTURE
        assert digest == image.digest.removeprefix("sha256:")
        push(f"http://{host}", "team/app", "1", function_image("version"), "")  # the tag moves
        found = await images.host(version_of(code, digest))
        assert found.argv == ("/bootstrap", "facts")
        assert found.image is not None
        assert (found.image.cwd, found.image.unfit) == ("/app", "")
        assert await images.has(found.image.id)
        config = ImageConfig(command=("version",))
        assert (await images.host(version_of(code, digest, image_config=config))).argv[1:] == ("version",)
        with pytest.raises(AwsError, match="does not exist"):
            await images.resolve(CALLER, f"{host}/team/app:2")

    with registry_process(tmp_path / "registry") as host:
        push(f"http://{host}", "team/app", "1", image, "")
        with_images(tmp_path, story)


def test_a_registry_that_wants_a_password_or_is_away_is_told_apart(tmp_path):
    async def story(images: FunctionImages, store: ImageStore) -> None:
        with pytest.raises(AwsError, match="permission to access") as caught:
            await images.resolve(CALLER, f"{host}/team/app:1")
        assert (caught.value.code, caught.value.status) == ("AccessDeniedException", 403)
        with pytest.raises(AwsError, match="could not be looked up") as caught:
            await images.resolve(CALLER, "127.0.0.1:9/team/app:1")
        assert caught.value.code == "ServiceException"
        for nonsense in ("", "team/UPPER:1", "a b", "x" * 300, f"{host}/team/app:"):
            with pytest.raises(AwsError, match="is not valid"):
                await images.resolve(CALLER, nonsense)

    with registry_process(tmp_path / "registry", password=True) as host:
        with_images(tmp_path, story)
