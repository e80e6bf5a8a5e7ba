"""Published versions: immutable, numbered from 1, numbers never used again."""

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.ids import Ids
from cumulo.base.pages import page
from cumulo.services.lambda_ import configuration, errors, views
from cumulo.services.lambda_.model import LATEST, Function, State, UpdateStatus, Version
from cumulo.services.lambda_.names import Target, target, unqualified
from cumulo.services.lambda_.policies import Policies
from cumulo.services.lambda_.quotas import LIST_ITEMS_MAX
from cumulo.services.lambda_.registry import Registry
from cumulo.services.lambda_.run import Transitions
from cumulo.wire.service import Operation, Values


class Versions:
    """PublishVersion, ListVersionsByFunction, and publishing for other operations."""

    def __init__(self, registry: Registry, transitions: Transitions, policies: Policies, ids: Ids) -> None:
        self._registry = registry
        self._transitions = transitions
        self._policies = policies
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        return {
            "PublishVersion": Operation(self.publish_version),
            "ListVersionsByFunction": Operation(self.list_versions_by_function),
        }

    async def publish_version(self, caller: Caller, values: Values) -> Values | None:
        """Freeze `$LATEST` under the next number; the last one again when nothing has changed since."""
        wanted = unqualified(caller, values["FunctionName"], operation="PublishVersion")
        configuration.refuse_unbuilt("PublishVersion", values)
        function = self._registry.get(wanted)
        latest = function.latest
        if values.get("RevisionId") not in (None, latest.revision_id):
            raise errors.stale_revision()
        if latest.last_update is UpdateStatus.IN_PROGRESS:
            raise errors.update_in_progress(latest.function_arn)
        if latest.state is not State.ACTIVE:
            raise errors.not_in_state(str(latest.state))
        current = views.code_sha256(latest)
        if values.get("CodeSha256") not in (None, "", current):
            raise errors.invalid(
                f"CodeSHA256 ({values['CodeSha256']}) is different from current CodeSHA256 in $LATEST"
                f" ({current}). Please try again with the CodeSHA256 in $LATEST."
            )
        version = self.publish(function, values.get("Description"))
        await self._registry.commit()
        return views.configuration(version, qualifier=version.version)

    def publish(self, function: Function, description: str | None = None) -> Version:
        """Write the next version (not committed yet): Active at once when `$LATEST` is, else with it."""
        mark = configuration.fingerprint(function.latest)
        published = self._registry.published(function)
        if published and published[-1].fingerprint == mark:
            return published[-1]
        version = self._snapshot(function, mark, description)
        self._registry.put_version(version)
        latest = msgspec.structs.replace(function.latest, revision_id=self._ids.uuid())
        self._registry.put(
            msgspec.structs.replace(function, latest=latest, next_version=function.next_version + 1)
        )  # fmt: skip
        return version

    async def delete(self, wanted: Target) -> Values:
        """Remove one version; nothing happens when it is gone already."""
        if wanted.version == LATEST:
            raise errors.invalid("$LATEST version cannot be deleted without deleting the function.")
        function = self._registry.get(Target(wanted.account, wanted.region, wanted.name))
        if not wanted.version.isdigit():
            raise errors.invalid("Deletion of aliases is not currently supported.")
        version = self._registry.find_version(wanted, wanted.version)
        if version is not None:
            self._registry.delete_version(version)
            self._policies.forget(wanted)
            await self._registry.commit()
            if function.serving is None or function.serving.generation != version.generation:
                self._transitions.drop(version)
        return {"StatusCode": 204}

    async def list_versions_by_function(self, caller: Caller, values: Values) -> Values | None:
        """Show `$LATEST`, then the numbers in order."""
        wanted = target(caller, values["FunctionName"], operation="ListVersionsByFunction")
        function = self._registry.get(Target(wanted.account, wanted.region, wanted.name))
        taken, marker = page(
            [function.latest, *self._registry.published(function)],
            _order,
            marker=values.get("Marker"),
            size=min(values.get("MaxItems", LIST_ITEMS_MAX), LIST_ITEMS_MAX),
        )
        return {"Versions": [views.qualified(version) for version in taken], "NextMarker": marker}

    def _snapshot(self, function: Function, mark: str, description: str | None) -> Version:
        latest = function.latest
        waiting = latest.state is State.PENDING or latest.last_update is UpdateStatus.IN_PROGRESS
        return msgspec.structs.replace(
            latest,
            version=str(function.next_version),
            description=latest.description if description is None else description,
            revision_id=self._ids.uuid(),
            generation=self._ids.hex(32),
            fingerprint=mark,
            state=State.PENDING if waiting else State.ACTIVE,
            state_reason="The function is being created." if waiting else "",
            state_reason_code="Creating" if waiting else "",
            last_update=None if waiting else UpdateStatus.SUCCESSFUL,
            last_update_reason="",
            last_update_reason_code="",
        )


def _order(version: Version) -> str:
    return "" if version.version == LATEST else version.version.zfill(10)
