"""Any registry as a source: the OCI distribution protocol, over TLS except to this machine."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from cumulo.base.clock import Clock
from cumulo.engines.images import Descriptor, Login, PullError, Reference
from cumulo.engines.oci import challenges, manifests
from cumulo.engines.oci.references import DOCKER

if TYPE_CHECKING:
    import aiohttp

_T = TypeVar("_T")

_PIECE = 256 << 10
_TOKEN_BYTES_MAX = 1 << 20
_REDIRECTS_MAX = 5
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often a registry is asked.  Times in seconds.

    floor       bytes per second that a download must bring, over `silence` seconds of waiting for it
    tries_max   without a new byte between them; each waits twice as long as the one before
    """

    connect: float = 15.0
    silence: float = 60.0
    floor: float = 4096.0
    tries_max: int = 5
    pause: float = 0.2
    pause_max: float = 10.0


FindLogin = Callable[[str], Login | None]
"""The login for a host, from wherever logins are kept."""


class _Trouble(Exception):
    """It may go better next time.  `after`: seconds that the registry asked us to wait."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Registry:
    """A Source; `async with` it.  One login for all hosts that it is asked about.

    find_login   asked in a thread, when there is no login and a host wants one
    """

    def __init__(
        self,
        login: Login | None,
        *,
        clock: Clock,
        patience: Patience | None = None,
        find_login: FindLogin | None = None,
    ) -> None:
        self._login = login
        self._find_login = find_login
        self._clock = clock
        self._patience = patience or Patience()
        self._session: aiohttp.ClientSession | None = None
        self._authorizations: dict[str, str] = {}  # by base URL and repository

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(
            import_module, "aiohttp"
        )  # the first time it takes long: the loop goes on meanwhile
        import aiohttp

        patience = self._patience
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=patience.connect, sock_read=patience.silence
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "cumulo"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def path(self, reference: Reference, blob: Descriptor) -> Path | None:
        """None: nothing of a registry is on this machine."""
        del reference, blob
        return None

    async def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """See Source.manifest."""
        what = reference.digest or reference.tag
        url = f"{base(reference.host)}/v2/{reference.repository}/manifests/{what}"
        kind, stated, raw = await self._patiently(reference, lambda: self._manifest(reference, url))
        digest = manifests.digest_of(raw)
        for expected in (reference.digest, stated):
            if expected.startswith("sha256:") and expected != digest:
                raise PullError(
                    "corrupt", f"the registry gave a manifest of {reference} with the digest {digest}"
                )
        return Descriptor(media_type=kind, digest=digest, size=len(raw)), raw

    async def _manifest(self, reference: Reference, url: str) -> tuple[str, str, bytes]:
        async with self._get(reference, url, {"Accept": ", ".join(manifests.ACCEPT)}) as answer:
            _raise_for(answer, reference)
            raw = await _at_most(answer, manifests.MANIFEST_BYTES_MAX, f"the manifest of {reference}")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            return kind, answer.headers.get("Docker-Content-Digest", ""), raw

    async def _patiently(self, reference: Reference, work: Callable[[], Awaitable[_T]]) -> _T:
        tries = 0
        while True:
            try:
                return await work()
            except _Trouble as trouble:
                tries += 1
                await self._pause(reference, trouble, tries)

    async def _pause(self, reference: Reference, trouble: _Trouble, tries: int) -> None:
        patience = self._patience
        if tries >= patience.tries_max:
            raise PullError("unreachable", f"{reference.host} cannot be used: {trouble}") from trouble
        pause = max(patience.pause * 2 ** (tries - 1), trouble.after)
        await asyncio.sleep(min(pause, patience.pause_max))

    async def blob(self, reference: Reference, blob: Descriptor) -> AsyncIterator[bytes]:
        """See Source.blob.  A download that breaks goes on where it was."""
        url = f"{base(reference.host)}/v2/{reference.repository}/blobs/{blob.digest}"
        done = tries = 0
        while done < blob.size or done == 0:
            before = done
            try:
                async with aclosing(self._rest(reference, url, done, blob.size)) as rest:
                    async for piece in rest:
                        done += len(piece)
                        if done > blob.size:
                            raise PullError(
                                "corrupt", f"the registry gave more than {blob.size} bytes of a blob"
                            )
                        yield piece
                if done == blob.size:
                    return
                raise _Trouble(f"it ended after {done} of {blob.size} bytes")
            except _Trouble as trouble:
                tries = 1 if done > before + _PIECE else tries + 1
                await self._pause(reference, trouble, tries)

    async def _rest(
        self, reference: Reference, url: str, done: int, size: int
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `done` on, whether the registry can do ranges or not."""
        headers = {"Range": f"bytes={done}-{size - 1}"} if done else {}
        async with self._get(reference, url, headers) as answer:
            _raise_for(answer, reference)
            skip = done if answer.status == 200 else 0
            if answer.status == 206 and _first_byte(answer.headers) != done:
                raise PullError(
                    "corrupt", "the registry gave another range than the one that it was asked for"
                )
            async with _troubles():
                async for piece in self._quick_enough(answer.content.iter_chunked(_PIECE)):
                    if skip >= len(piece):
                        skip -= len(piece)
                        continue
                    yield piece[skip:] if skip else piece
                    skip = 0

    async def _quick_enough(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces, while they come in time: who drips would hold a place among those that unpack for ever."""
        waited, got, since = 0.0, 0, self._clock.monotonic()
        async for piece in pieces:
            waited += self._clock.monotonic() - since
            got += len(piece)
            if waited >= self._patience.silence:
                if got < self._patience.floor * waited:
                    raise _Trouble(f"it sent {got} bytes in {waited:.0f} seconds")
                waited, got = 0.0, 0
            yield piece
            since = self._clock.monotonic()  # what we needed ourselves does not count

    @asynccontextmanager
    async def _get(
        self, reference: Reference, url: str, headers: Mapping[str, str]
    ) -> "AsyncIterator[aiohttp.ClientResponse]":
        """An answer that is no longer a demand to log in.  _Trouble, PullError."""
        home = base(reference.host)
        key = f"{home}/{reference.repository}"
        for attempt in (1, 2):
            known = self._authorizations.get(key)
            answer = await self._follow(url, {**headers, **({"Authorization": known} if known else {})})
            try:
                if answer.status == 401 and attempt == 1:
                    self._authorizations[key] = await self._authorize(reference, home, answer)
                    continue
                yield answer
                return
            finally:
                answer.close()

    async def _follow(self, url: str, headers: dict[str, str]) -> "aiohttp.ClientResponse":
        """Follow redirects; what proves who we are stays with the host that it is for."""
        for _ in range(_REDIRECTS_MAX + 1):
            answer = await self._send(url, headers)
            target = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return answer
            answer.close()
            following = urljoin(url, target)
            old, new = urlsplit(url), urlsplit(following)
            if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
                raise PullError(
                    "refused", f"{old.netloc} leads to {new.scheme}://{new.netloc}, which is not safe"
                )
            if (old.scheme, old.netloc) != (new.scheme, new.netloc):
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            url = following
        raise PullError("unreachable", f"{urlsplit(url).netloc} leads around in a circle")

    async def _send(self, url: str, headers: Mapping[str, str]) -> "aiohttp.ClientResponse":
        from yarl import URL

        assert self._session is not None, "async with"
        async with _troubles():
            return await self._session.get(
                URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=_proxy(url)
            )

    async def _authorize(self, reference: Reference, home: str, answer: "aiohttp.ClientResponse") -> str:
        """The value of Authorization that the registry asks for.  PullError unauthorized."""
        header = ", ".join(answer.headers.getall("WWW-Authenticate", []))
        if self._login is None and self._find_login is not None:
            self._login = await asyncio.to_thread(self._find_login, reference.host)
        for challenge in challenges.parse(header):
            if challenge.scheme == "bearer":
                ask = partial(self._token, reference, home, challenge.parameters)
                return f"Bearer {await self._patiently(reference, ask)}"
            if challenge.scheme == "basic" and self._login is not None:
                return _basic(self._login)
        raise _unauthorized(reference)

    async def _token(self, reference: Reference, home: str, said: Mapping[str, str]) -> str:
        realm = said.get("realm", "")
        if not challenges.may_have_password(realm, home):
            raise PullError(
                "refused", f"{reference.host} wants its token fetched from {realm[:200]!r}, which is not safe"
            )
        query = {"scope": f"repository:{reference.repository}:pull"}
        if said.get("service"):
            query["service"] = said["service"]
        from yarl import URL

        assert self._session is not None
        headers = {"Authorization": _basic(self._login)} if self._login else {}
        async with _troubles():
            answer = await self._session.get(
                URL(realm).update_query(query), headers=headers, allow_redirects=False, proxy=_proxy(realm)
            )
            async with answer:
                if answer.status in _BUSY:
                    raise _Trouble(
                        f"its token service answered {answer.status}", _retry_after(answer.headers)
                    )
                if answer.status != 200:
                    raise _unauthorized(reference)
                raw = await _at_most(answer, _TOKEN_BYTES_MAX, "a token")
        return _token_of(raw)


def base(host: str) -> str:
    """https://host, or http:// for this machine."""
    if host == DOCKER:
        host = "registry-1.docker.io"
    return f"{'http' if challenges.is_local(host) else 'https'}://{host}"


@asynccontextmanager
async def _troubles() -> AsyncIterator[None]:
    """What goes wrong on the way is a _Trouble."""
    import aiohttp

    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _Trouble(str(error) or type(error).__name__) from error


def _raise_for(answer: "aiohttp.ClientResponse", reference: Reference) -> None:
    status = answer.status
    if status in (200, 206):
        return
    if status in (401, 403):
        raise _unauthorized(reference)
    if status == 404:
        raise PullError("not-found", f"{reference} was not found")
    if status in _BUSY:
        raise _Trouble(f"it answered {status}", _retry_after(answer.headers))
    raise PullError("unreachable", f"{reference.host} answered {status} for {reference}")


def _unauthorized(reference: Reference) -> PullError:
    return PullError(
        "unauthorized",
        f"access to {reference} was denied: the repository does not exist or needs another login",
    )


async def _at_most(answer: "aiohttp.ClientResponse", bytes_max: int, what: str) -> bytes:
    data = bytearray()
    async with _troubles():
        async for piece in answer.content.iter_chunked(_PIECE):
            data += piece
            if len(data) > bytes_max:
                raise PullError("refused", f"{what} has more than {bytes_max} bytes")
    return bytes(data)


def _first_byte(headers: Mapping[str, str]) -> int:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() and len(text) < 6 else 0.0


def _basic(login: Login) -> str:
    return f"Basic {base64.b64encode(f'{login.user}:{login.password}'.encode()).decode()}"


def _token_of(raw: bytes) -> str:
    try:
        answer = json.loads(raw)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise PullError("unauthorized", "the token service of the registry gave no token")
    return token


def _proxy(url: str) -> str | None:
    """The proxy that the environment names; aiohttp's own look-up would read .netrc as well."""
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if challenges.is_local(host) or proxy_bypass_environment(host):
        return None
    return getproxies_environment().get(parts.scheme)
