"""Functions: create, read, list, update, delete.

Every operation here ends the same way: the change and its durable record first, the answer after it; what
takes longer (finding the runtime) goes to `run.Transitions`.
"""

from typing import Any

import msgspec

from cumulo.base.caller import Caller
from cumulo.base.clock import Clock
from cumulo.base.errors import AwsError
from cumulo.base.ids import Ids
from cumulo.base.pages import page
from cumulo.base.ports.networks import Networks
from cumulo.services.lambda_ import configuration, errors, states, views
from cumulo.services.lambda_.account import Account
from cumulo.services.lambda_.intake import Intake, Taken
from cumulo.services.lambda_.links import Links
from cumulo.services.lambda_.model import LATEST, ZIP, Fleet, Function, State, UpdateStatus, Version
from cumulo.services.lambda_.names import Target, target, unqualified
from cumulo.services.lambda_.placing import network_of, placed
from cumulo.services.lambda_.policies import Policies
from cumulo.services.lambda_.quotas import CODE_BYTES_TOTAL_MAX, LIST_ITEMS_MAX
from cumulo.services.lambda_.registry import Registry
from cumulo.services.lambda_.run import Transitions
from cumulo.services.lambda_.tags import checked
from cumulo.services.lambda_.versions import Versions
from cumulo.wire.service import Operation, Values

GENERATION_DIGITS = 32


class Functions:
    """The operations on functions, and what they need."""

    def __init__(
        self,
        *,
        registry: Registry,
        versions: Versions,
        intake: Intake,
        transitions: Transitions,
        policies: Policies,
        links: Links,
        account: Account,
        fleet: Fleet,
        clock: Clock,
        ids: Ids,
        networks: Networks | None = None,
    ) -> None:
        self._networks = networks
        self._registry = registry
        self._versions = versions
        self._intake = intake
        self._transitions = transitions
        self._policies = policies
        self._links = links
        self._account = account
        self._fleet = fleet
        self._clock = clock
        self._ids = ids

    def operations(self) -> dict[str, Operation]:
        """By AWS's names."""
        shown = "VpcConfig, KMSKeyArn, FileSystemConfigs, DeadLetterConfig and SnapStart are kept and shown"
        return {
            "CreateFunction": Operation(self.create_function, note=shown),
            "GetFunction": Operation(self.get_function),
            "GetFunctionConfiguration": Operation(self.get_function_configuration),
            "ListFunctions": Operation(self.list_functions),
            "UpdateFunctionCode": Operation(self.update_function_code),
            "UpdateFunctionConfiguration": Operation(self.update_function_configuration, note=shown),
            "DeleteFunction": Operation(self.delete_function),
        }

    # -- making and changing -----------------------------------------------------------------------------------

    async def create_function(self, caller: Caller, values: Values) -> Values | None:
        """Make a function; it is Pending until its runtime is found."""
        wanted = unqualified(caller, values["FunctionName"], operation="CreateFunction")
        configuration.refuse_unbuilt("CreateFunction", values)
        package_type = values.get("PackageType", ZIP)
        self._intake.check("CreateFunction", package_type)
        fields = configuration.changes(values, None, caller.region)
        tags = checked(values.get("Tags", {}))
        self._refuse_taken(wanted)
        async with self._intake.take(caller, values["Code"], "CreateFunction", package_type) as taken:
            fields = placed(fields, values, await network_of(self._networks, caller, values))
            self._refuse_taken(wanted)  # another request may have come first meanwhile
            self._check_room(caller, taken)
            latest = self._new_latest(wanted, fields | taken.fields, values["Code"])
            function = Function(latest=latest, tags=tags)
            self._registry.put(function)
            published = self._versions.publish(function) if values.get("Publish") else None
            self._transitions.want(wanted)  # first: a refused commit is carried out once there is space
            await self._registry.commit()
        return views.configuration(published or latest)

    async def update_function_code(self, caller: Caller, values: Values) -> Values | None:
        """Give `$LATEST` other code; the old one serves until the new one is ready."""
        wanted = unqualified(caller, values["FunctionName"], operation="UpdateFunctionCode")
        configuration.refuse_unbuilt("UpdateFunctionCode", values)
        package_type = self._updatable(wanted, values).latest.package_type
        async with self._intake.take(caller, values, "UpdateFunctionCode", package_type) as taken:
            function = self._updatable(wanted, values)  # again: the unpacking took its time
            if function.latest.package_type != package_type:  # deleted and made anew meanwhile
                raise errors.update_in_progress(function.latest.function_arn)
            fields: dict[str, Any] = dict(taken.fields)
            if "Architectures" in values:
                fields["architecture"] = values["Architectures"][0]
            fields["extra"] = _with_key(function.latest.extra, values)
            if values.get("DryRun"):
                return views.configuration(msgspec.structs.replace(function.latest, **fields))
            self._check_room(caller, taken)
            updated = self._update(function, fields)
            published = self._versions.publish(updated) if values.get("Publish") else None
            self._transitions.want(wanted)  # first: a refused commit is carried out once there is space
            await self._registry.commit()
        if published is not None:
            return views.configuration(published, qualifier=published.version)
        return views.configuration(updated.latest)

    async def update_function_configuration(self, caller: Caller, values: Values) -> Values | None:
        """Change settings of `$LATEST`; the old ones serve until the new ones are ready."""
        wanted = unqualified(caller, values["FunctionName"], operation="UpdateFunctionConfiguration")
        configuration.refuse_unbuilt("UpdateFunctionConfiguration", values)
        before = self._updatable(wanted, values).latest
        configuration.changes(
            values, before, caller.region
        )  # what is wrong here, EC2 need not be asked about
        network = await network_of(self._networks, caller, values)
        function = self._updatable(wanted, values)  # again: EC2 took its time
        fields = configuration.changes(values, function.latest, caller.region)
        updated = self._update(function, placed(fields, values, network))
        self._transitions.want(wanted)
        await self._registry.commit()
        return views.configuration(updated.latest)

    async def delete_function(self, caller: Caller, values: Values) -> Values | None:
        """Remove a function, or one of its versions."""
        wanted = target(caller, values["FunctionName"], values.get("Qualifier"), operation="DeleteFunction")
        if wanted.qualifier is not None:
            return await self._versions.delete(wanted)
        function = self._registry.get(wanted)
        versions = [function.latest, *self._registry.published(function)]
        if function.serving is not None:
            versions.append(function.serving)
        self._registry.delete(wanted)
        self._policies.forget(wanted)
        await self._registry.commit()
        self._fleet.forget(wanted.account, wanted.region, wanted.name)
        for version in versions:
            self._transitions.drop(version)
        return {"StatusCode": 204}

    # -- reading -------------------------------------------------------------------------------------------------

    async def get_function(self, caller: Caller, values: Values) -> Values | None:
        """Show a function with its tags, its reservation and where its code can be fetched."""
        wanted, version = self._read(caller, values, "GetFunction")
        function = self._registry.get(wanted)
        reserved = function.reserved_concurrency
        return {
            "Configuration": views.configuration(version, qualifier=wanted.qualifier),
            "Code": self._code_of(caller, version),
            "Tags": dict(function.tags) or None,
            "Concurrency": None if reserved is None else {"ReservedConcurrentExecutions": reserved},
        }

    async def get_function_configuration(self, caller: Caller, values: Values) -> Values | None:
        """Show the settings of a version."""
        wanted, version = self._read(caller, values, "GetFunctionConfiguration")
        return views.configuration(version, qualifier=wanted.qualifier)

    async def list_functions(self, caller: Caller, values: Values) -> Values | None:
        """Show the functions of a region, a page at a time."""
        everything = values.get("FunctionVersion") == "ALL"
        master = values.get("MasterRegion")
        if master is not None and not everything:
            raise errors.invalid("MasterRegion can be given only together with FunctionVersion ALL.")
        found: list[Version] = []
        if master in (None, "ALL", caller.region):  # nothing is replicated here from other regions
            found = (
                self._registry.versions(caller)
                if everything
                else [function.latest for function in self._registry.functions(caller)]
            )
        taken, marker = page(
            sorted(found, key=_list_key),
            _list_key,
            marker=values.get("Marker"),
            size=min(values.get("MaxItems", LIST_ITEMS_MAX), LIST_ITEMS_MAX),
        )
        show = views.qualified if everything else views.listed
        return {"Functions": [show(version) for version in taken], "NextMarker": marker}

    # -- steps ---------------------------------------------------------------------------------------------------

    def _read(self, caller: Caller, values: Values, operation: str) -> tuple[Target, Version]:
        wanted = target(caller, values["FunctionName"], values.get("Qualifier"), operation=operation)
        return wanted, self._registry.version(wanted)

    def _code_of(self, caller: Caller, version: Version) -> Values:
        """Where the code can be fetched."""
        if version.image is not None:
            return {
                "RepositoryType": "ECR",
                "ImageUri": version.image.uri,
                "ResolvedImageUri": version.image.resolved_uri,
            }
        return {
            "RepositoryType": "S3",
            "Location": self._links.address(caller.endpoint, version.code_sha256),
            "SourceKMSKeyArn": version.extra.get("SourceKMSKeyArn"),
        }

    def _refuse_taken(self, wanted: Target) -> None:
        if self._registry.find(wanted) is not None:
            raise errors.already_exists(wanted.name)

    def _check_room(self, caller: Caller, taken: Taken) -> None:
        if self._account.code_bytes(caller) + taken.size > CODE_BYTES_TOTAL_MAX:
            raise AwsError(
                "CodeStorageExceededException", "Code storage limit exceeded.", fields={"Type": "User"}
            )

    def _new_latest(self, wanted: Target, fields: dict[str, Any], source: Values) -> Version:
        extra = _with_key(fields.pop("extra", {}), source)
        return Version(
            account=wanted.account,
            region=wanted.region,
            name=wanted.name,
            last_modified=self._clock.now(),
            revision_id=self._ids.uuid(),
            generation=self._ids.hex(GENERATION_DIGITS),
            state=State.PENDING,
            state_reason=states.CREATING,
            state_reason_code=states.CREATING_CODE,
            extra=extra,
            **fields,
        )

    def _updatable(self, wanted: Target, values: Values) -> Function:
        """The function, if it may be updated now."""
        function = self._registry.get(wanted)
        latest = function.latest
        if values.get("RevisionId") not in (None, latest.revision_id):
            raise errors.stale_revision()
        if latest.last_update is UpdateStatus.IN_PROGRESS:
            raise errors.update_in_progress(latest.function_arn)
        if latest.state is State.PENDING:
            raise errors.not_in_state(str(latest.state))
        return function

    def _update(self, function: Function, fields: dict[str, Any]) -> Function:
        before = function.latest
        latest = msgspec.structs.replace(
            states.begin_update(before),
            last_modified=self._clock.now(),
            revision_id=self._ids.uuid(),
            generation=self._ids.hex(GENERATION_DIGITS),
            **fields,
        )
        updated = msgspec.structs.replace(function, latest=latest)
        self._registry.put(updated)
        self._transitions.release_code(before)
        return updated


def _list_key(version: Version) -> str:
    number = "" if version.version == LATEST else version.version.zfill(10)
    return f"{version.name}\x1f{number}"


def _with_key(extra: dict[str, object], source: Values) -> dict[str, object]:
    """The members kept and shown, with the key that the new code came with, if any."""
    kept = {name: value for name, value in extra.items() if name != "SourceKMSKeyArn"}
    key = source.get("SourceKMSKeyArn")
    return kept | ({"SourceKMSKeyArn": key} if key else {})
