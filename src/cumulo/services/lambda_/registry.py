"""The functions and versions of this cloud, in the store; who keeps something of them is told of every change."""

from collections.abc import Callable

from cumulo.base.caller import Caller
from cumulo.services.lambda_ import errors, states
from cumulo.services.lambda_.model import LATEST, Function, Version
from cumulo.services.lambda_.names import Target
from cumulo.state.store import Store, join_key

_NUMBER_DIGITS = 10  # so that versions sort by number


class Registry:
    """Functions by account, region and name; published versions by number below them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._functions = store.table("lambda.functions", Function)
        self._versions = store.table("lambda.versions", Version)
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call this after every change."""
        self._listeners.append(listener)

    async def commit(self) -> None:
        """Return when every change so far is on disk."""
        await self._store.commit()

    # -- functions -------------------------------------------------------------------------------------------

    def find(self, target: Target) -> Function | None:
        """The function, or None."""
        return self._functions.get(join_key(target.account, target.region, target.name))

    def get(self, target: Target) -> Function:
        """The function; ResourceNotFoundException with the ARN as it was asked for."""
        function = self.find(target)
        if function is None:
            raise errors.function_not_found(target.arn)
        return function

    def put(self, function: Function) -> None:
        """Write a function."""
        latest = function.latest
        self._functions.put(join_key(latest.account, latest.region, latest.name), function)
        self._changed()

    def delete(self, target: Target) -> None:
        """Remove a function and its versions."""
        self._functions.delete(join_key(target.account, target.region, target.name))
        for key, _ in self._versions.items(join_key(target.account, target.region, target.name, "")):
            self._versions.delete(key)
        self._changed()

    def functions(self, caller: Caller) -> list[Function]:
        """Every function of an account in a region, by name."""
        return self._functions.scan(join_key(caller.account, caller.region, ""))

    def everything(self) -> list[Function]:
        """Every function of every account."""
        return self._functions.scan()

    # -- versions --------------------------------------------------------------------------------------------

    def published(self, function: Function) -> list[Version]:
        """The published versions of a function, oldest first."""
        latest = function.latest
        return self._versions.scan(join_key(latest.account, latest.region, latest.name, ""))

    def version(self, target: Target) -> Version:
        """The version that is meant, as clients see it; ResourceNotFoundException."""
        function = self.get(target)
        if target.version == LATEST:
            return function.latest
        found = self.find_version(target, target.version)
        if found is None:
            raise errors.function_not_found(target.arn)
        return found

    def find_version(self, target: Target, number: str) -> Version | None:
        """A published version, or None."""
        return self._versions.get(_version_key(target.account, target.region, target.name, number))

    def put_version(self, version: Version) -> None:
        """Write a published version."""
        self._versions.put(
            _version_key(version.account, version.region, version.name, version.version), version
        )
        self._changed()

    def delete_version(self, version: Version) -> None:
        """Remove a published version."""
        self._versions.delete(
            _version_key(version.account, version.region, version.name, version.version)
        )  # fmt: skip
        self._changed()

    # -- all of them -------------------------------------------------------------------------------------------

    def versions(self, caller: Caller) -> list[Version]:
        """Every version of an account in a region, each `$LATEST` among them, in no order."""
        prefix = join_key(caller.account, caller.region, "")
        return [function.latest for function in self.functions(caller)] + self._versions.scan(prefix)

    def digests(self) -> frozenset[str]:
        """The code that something refers to."""
        found = {version.code_sha256 for version in self._versions.scan()}
        for function in self.everything():
            found.add(function.latest.code_sha256)
            if function.serving is not None:
                found.add(function.serving.code_sha256)
        return frozenset(found)

    def images(self) -> frozenset[str]:
        """The images that something refers to, as engines know them."""
        versions = self._versions.scan()
        for function in self.everything():
            versions.append(function.latest)
            if function.serving is not None:
                versions.append(function.serving)
        return frozenset(version.image.reference for version in versions if version.image is not None)

    def unfinished(self) -> list[Target]:
        """The functions with a preparation to come."""
        latest = [function.latest for function in self.everything()]
        waiting = filter(states.in_progress, [*latest, *self._versions.scan()])
        return list(dict.fromkeys(Target(v.account, v.region, v.name) for v in waiting))

    def clear(self) -> None:
        """Remove everything."""
        self._functions.clear()
        self._versions.clear()
        self._changed()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def _version_key(account: str, region: str, name: str, number: str) -> str:
    return join_key(account, region, name, number.zfill(_NUMBER_DIGITS))
