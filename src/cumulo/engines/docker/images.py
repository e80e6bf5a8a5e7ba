"""Images in the daemon: pulled by it, or given to it."""

import asyncio
import base64
import contextlib
import json
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from cumulo.engines.docker import pause, transfer
from cumulo.engines.docker.api import Api, DockerError, Unreachable
from cumulo.engines.engine import Busy
from cumulo.engines.images import Image, Login, Platform, PullError, Reference, Source
from cumulo.engines.oci import archives, manifests, references

PULL_SECONDS = 3600.0
_FILE_PIECE_BYTES = 1024 * 1024
_KINDS = (
    ("unauthorized", r"unauthorized|authentication required|no basic auth|access forbidden|incorrect username"),
    ("platform", r"no matching manifest|does not match the specified platform|does not provide the specified platform"),
    ("not-found", r"not found|manifest unknown|does not exist|name unknown|invalid reference|repository name must"),
    ("no-space", r"no space left"),
    ("unreachable", r"dial tcp|no such host|connection refused|timeout|timed out|HTTP response to HTTPS|x509|unreachable|EOF$"),
    ("corrupt", r"digest|checksum|invalid tar|unexpected EOF|verification failed|invalid character|unsupported|gzip|archive"),
)  # fmt: skip


def kind_of(message: str, otherwise: str) -> str:
    """PullError's kind for Docker's words."""
    return next((kind for kind, words in _KINDS if re.search(words, message, re.IGNORECASE)), otherwise)


class DockerImages:
    """Images, kept by the daemon."""

    def __init__(self, api: Api, machine: Platform) -> None:
        self._api = api
        self._machine = machine
        self._pulls: dict[tuple[Any, ...], asyncio.Task[Image]] = {}

    async def pull(
        self,
        reference: str,
        *,
        login: Login | None = None,
        platform: Platform | None = None,
        source: Source | None = None,
        only_missing: bool = False,
    ) -> Image:
        """From the registry by the daemon, or from the source by us."""
        parsed = references.parse(reference)
        if only_missing and (known := await self.get(reference)) is not None:
            return known
        key = (str(parsed), login, platform, id(source))
        task = self._pulls.get(key)
        if task is None:
            wanted = platform or self._machine
            work = self._take(parsed, wanted, source) if source else self._ask(parsed, login, platform)
            task = asyncio.create_task(work)
            self._pulls[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: tuple[Any, ...], task: "asyncio.Task[Image]") -> None:
        self._pulls.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, when everybody who waited has gone

    async def _ask(self, reference: Reference, login: Login | None, platform: Platform | None) -> Image:
        name = f"{reference.host}/{reference.repository}"
        headers = {}
        if login is not None:
            said = {"username": login.user, "password": login.password, "serveraddress": reference.host}
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
        query = {
            "fromImage": name,
            "tag": reference.digest or reference.tag,
            "platform": manifests.shown(platform) if platform else None,
        }
        try:
            request = self._api.request(
                "POST", "/images/create", seconds=PULL_SECONDS, headers=headers, **query
            )
            async with request as answer:
                await self._progress(answer, otherwise="unreachable")
        except DockerError as error:
            raise PullError(kind_of(error.said, "unreachable"), error.said) from error
        except Unreachable as error:
            raise PullError("unreachable", str(error)) from error
        separator = "@" if reference.digest else ":"
        return await self._must_get(f"{name}{separator}{reference.digest or reference.tag}")

    async def _progress(self, answer: Any, *, otherwise: str) -> list[str]:
        """Read the daemon's report to its end; what it said, or PullError."""
        said, rest = [], b""
        async for piece in self._api.pieces(answer):
            *lines, rest = (rest + piece).split(b"\n")
            for line in (raw for raw in lines if raw.strip()):
                row = json.loads(line)
                if "error" in row:
                    raise PullError(kind_of(row["error"], otherwise), row["error"])
                said.append(str(row.get("stream") or row.get("status") or ""))
        if rest.strip() and "error" in (row := json.loads(rest)):
            raise PullError(kind_of(row["error"], otherwise), row["error"])
        return said

    async def _must_get(self, name: str) -> Image:
        found = await self.get(name)
        if found is None:
            raise PullError("not-found", f"Docker has no image {name} after all")
        return found

    async def _take(self, reference: Reference, wanted: Platform, source: Source) -> Image:
        with tempfile.TemporaryDirectory(prefix="cumulo-pull-", ignore_cleanup_errors=True) as folder:
            fetched = await transfer.fetch(source, reference, wanted, Path(folder))
            return await self._give(fetched, [_tagged(reference)] if reference.tag else [])

    async def _give(self, fetched: transfer.Fetched, tags: list[str]) -> Image:
        await self._load(transfer.docker_archive(fetched, tags))
        image = await self._must_get(tags[0] if tags else fetched.id)
        return msgspec.structs.replace(image, digest=fetched.digest)

    async def load(self, archive: Path, *, platform: Platform | None = None) -> list[Image]:
        """A `docker save` archive as it is; an OCI archive or layout turned into one, for daemons that know none."""
        kind = await asyncio.to_thread(transfer.kind_of, archive)
        if kind == "docker":
            said = await self._load(_file(archive))
            names = [line.partition(": ")[2].strip() for line in said if line.startswith("Loaded image")]
            images = [await self._must_get(name) for name in names]
            return _one_each([_checked(image, platform) for image in images])
        wanted = platform or self._machine
        with tempfile.TemporaryDirectory(prefix="cumulo-load-", ignore_cleanup_errors=True) as place:
            folder = Path(place)
            async with archives.opened(archive, aside=folder, bytes_max=transfer.BLOB_BYTES_MAX) as found:
                images = []
                for entry in found.fitting(wanted):
                    fetched = await transfer.fetch(found, entry.reference, wanted, folder)
                    tags = [_tagged(references.parse(name)) for name in entry.references]
                    images.append(await self._give(fetched, tags))
        return _one_each(images)

    async def _load(self, tar: AsyncIterator[bytes]) -> list[str]:
        try:
            request = self._api.request("POST", "/images/load", tar, seconds=PULL_SECONDS)
            async with request as answer:
                return await self._progress(answer, otherwise="corrupt")
        except DockerError as error:
            raise PullError(kind_of(error.said, "corrupt"), error.said) from error
        except Unreachable as error:
            raise PullError("unreachable", str(error)) from error

    async def get(self, name: str) -> Image | None:
        """By id, or by reference."""
        if not name.startswith("sha256:"):
            try:
                name = _docker_name(references.parse(name))
            except PullError:
                return None
        try:
            said = await self._api.call("GET", f"/images/{name}/json")
        except DockerError as error:
            if error.status in {400, 404}:
                return None
            raise
        return image_of(said)

    async def list(self) -> "list[Image]":
        """All that the daemon has, but for the one of infra containers."""
        rows = await self._api.call("GET", "/images/json")
        found = await asyncio.gather(*(self.get(row["Id"]) for row in rows))
        return [i for i in found if i is not None and pause.REFERENCE not in i.references]

    async def remove(self, name: str) -> None:
        """Forget a reference, or an id with all of them."""
        image = await self.get(name)
        if image is None:
            return
        target = name if name == image.id else _docker_name(references.parse(name))
        # Untagging the last name would delete the image, so one in use keeps its id and loses the name alone.
        if name == image.id and await self._is_used(image.id):
            raise Busy(f"a container uses the image {image.id}")
        with contextlib.suppress(_Gone):
            await self._delete(target)

    async def _delete(self, target: str) -> None:
        try:
            await self._api.call("DELETE", f"/images/{target}", force=True)
        except DockerError as error:
            if error.status == 404:
                raise _Gone from error
            if error.status == 409:
                raise Busy(f"the image {target} is used: {error.said}") from error
            raise

    async def _is_used(self, image_id: str) -> bool:
        rows = await self._api.call("GET", "/containers/json", all=True, filters={"ancestor": [image_id]})
        return any(row["ImageID"] == image_id for row in rows)


class _Gone(Exception):
    """Somebody else removed it first."""


def image_of(said: dict[str, Any]) -> Image:
    """From Docker's inspection of an image."""
    tags = [references.parse(tag) for tag in said.get("RepoTags") or () if "<none>" not in tag]
    digests = [one.partition("@")[2] for one in said.get("RepoDigests") or ()]
    return Image(
        id=said["Id"],
        digest=digests[0] if digests else said["Id"],  # what was loaded and never pulled has no manifest
        references=tuple(sorted(str(tag) for tag in tags)),
        platform=Platform(
            architecture=said["Architecture"], os=said.get("Os") or "linux", variant=said.get("Variant") or ""
        ),
        config=manifests.config_of(said.get("Config") or {}),
        layers=tuple((said.get("RootFS") or {}).get("Layers") or ()),
        size_bytes=int(said.get("Size") or 0),
        created_at=manifests.moment(said.get("Created")),
    )


def _docker_name(reference: Reference) -> str:
    name = f"{reference.host}/{reference.repository}"
    return f"{name}@{reference.digest}" if reference.digest else f"{name}:{reference.tag}"


def _tagged(reference: Reference) -> str:
    return f"{reference.host}/{reference.repository}:{reference.tag or 'latest'}"


def _checked(image: Image, wanted: Platform | None) -> Image:
    if wanted is not None and not manifests.fits(image.platform, wanted):
        raise PullError("platform", f"the image is for {manifests.shown(image.platform)}")
    return image


def _one_each(images: "list[Image]") -> "list[Image]":
    """An image with several names is one image."""
    return list({image.id: image for image in images}.values())


async def _file(path: Path) -> AsyncIterator[bytes]:
    with contextlib.ExitStack() as held:
        file = held.enter_context(await asyncio.to_thread(path.open, "rb"))
        while data := await asyncio.to_thread(file.read, _FILE_PIECE_BYTES):
            yield data
