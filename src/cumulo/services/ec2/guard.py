"""Looks at calls of EC2, Auto Scaling and CloudFormation on their way: what does not fit is refused, the rest wakes us.

Only what EC2 says beforehand can be refused here (RunInstances, StartInstances); what comes through groups, fleets and
stacks is seen afterwards, and ended again when this machine cannot carry it.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

from cumulo.base.carriage import Carriage, Load
from cumulo.base.errors import AwsError
from cumulo.base.instances import Machines, Template
from cumulo.companions.guards import Call, Form
from cumulo.services.ec2.asking import Asking
from cumulo.services.ec2.model import Place
from cumulo.services.ec2.plan import fitting
from cumulo.services.ec2.records import Promises, Records, Ticket

_READS: Final = re.compile(r"(Describe|Get|List|Search|Validate|Estimate|Detect)[A-Z].*")
_EC2_MATTERS: Final = re.compile(r"Instance|Fleet|Spot")
_STACK_MATTERS: Final = re.compile(r"AWS::(EC2|AutoScaling|CloudFormation)::|Fn::Transform|Transform")
PATIENCE_SECONDS: Final = 35.0  # tasks have 30 s to end
PAUSE_SECONDS: Final = 0.2
_DEFAULT_KIND: Final = "m1.small"


class Unchanged:
    """The guard of services whose calls can only be followed: autoscaling, cloudformation."""

    def __init__(self, records: Records, wake: Callable[[Place], None]) -> None:
        self._records = records
        self._wake = wake

    async def before(self, call: Call) -> Form | None:
        """Note where instances may come to be: a kill between here and the next look must not hide them."""
        if self._matters(call) and self._records.note(Place(call.account, call.region)):
            await self._records.store.commit()
        return None

    def after(self, call: Call, *, done: bool) -> None:
        """Look, when something may have changed."""
        if done and self._matters(call):
            self._wake(Place(call.account, call.region))

    def _matters(self, call: Call) -> bool:
        return _READS.fullmatch(call.action) is None


class StackGuard(Unchanged):
    """The guard of CloudFormation: stacks that have nothing to do with instances cost nothing."""

    def _matters(self, call: Call) -> bool:
        if not super()._matters(call):
            return False
        template = call.form.get("TemplateBody")
        if template is not None and _STACK_MATTERS.search(template):
            return True
        if template is None and "TemplateURL" in call.form:
            return True
        return self._records.knows(Place(call.account, call.region))


class InstanceGuard(Unchanged):
    """The guard of EC2."""

    def __init__(
        self,
        records: Records,
        wake: Callable[[Place], None],
        *,
        promises: Promises,
        carriage: Carriage,
        machines: Machines,
        asking: Asking,
        wanted: Callable[[str, str, str], bool],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(records, wake)
        self._promises = promises
        self._carriage = carriage
        self._machines = machines
        self._asking = asking
        self._wanted = wanted
        self._patience_seconds = patience_seconds
        self._open: dict[int, Ticket] = {}

    async def before(self, call: Call) -> Form | None:
        """Refuse what does not fit; let RunInstances have as many instances as do."""
        await super().before(call)
        if call.action == "RunInstances" and call.form.get("DryRun", "").lower() != "true":
            return await self._run(call)
        if call.action == "StartInstances":
            await self._start(call)
        return None

    def after(self, call: Call, *, done: bool) -> None:
        """Look, when something may have changed."""
        ticket = self._open.pop(id(call), None)
        if ticket is not None:
            self._promises.finish(ticket, done=done)
        super().after(call, done=done)

    def _matters(self, call: Call) -> bool:
        return super()._matters(call) and _EC2_MATTERS.search(call.action) is not None

    async def _run(self, call: Call) -> Form | None:
        least, most = call.form.get("MinCount", "1"), call.form.get("MaxCount", "1")
        if not (least.isdigit() and most.isdigit()) or not 0 < int(least) <= int(most):
            return None  # EC2 has to refuse it
        template = await self._template(call)
        kind = call.form.get("InstanceType") or template.kind or _DEFAULT_KIND
        wanted = await self._asking.wanted(
            call.account,
            call.region,
            kind=kind,
            image=call.form.get("ImageId") or template.image,
            user_data=call.form.get("UserData") or template.user_data,
        )
        count = int(most)
        if wanted is not None and (wanted.cluster_said or self._wanted(call.account, call.region, "default")):
            load = wanted.kind.load
            await self._patience(load, int(least))
            room = self._carriage.room()
            count = fitting(room, load, count)
            if count < int(least):
                raise AwsError(
                    "InsufficientInstanceCapacity", _insufficient(kind, call.form, room), status=500
                )
            ticket = Load(load.vcpus * count, load.memory_mib * count)
            self._open[id(call)] = self._promises.reserve(Place(call.account, call.region), ticket)
        # AWS gives as many as it can, up to MaxCount; the companion gives MinCount.
        return {**call.form, "MinCount": str(count)} if str(count) != least else None

    async def _patience(self, load: Load, count: int) -> None:
        """Wait, while instances that were ended still hold room for their last tasks, until there is enough."""
        for _ in range(int(self._patience_seconds / PAUSE_SECONDS)):
            if fitting(self._carriage.room(), load, count) == count:
                return
            if not any(one.is_ending for one in self._records.all()):
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _start(self, call: Call) -> None:
        ids = [value for name, value in call.form.items() if name.startswith("InstanceId.")]
        stopped = [one for one in map(self._records.get, ids) if one is not None and one.rested]
        load = Load(
            sum(one.load_vcpus for one in stopped if not one.joins),
            sum(one.load_memory_mib for one in stopped if not one.joins),
        )
        if load.memory_mib == 0:
            return
        await self._patience(load, 1)
        room = self._carriage.room()
        if fitting(room, load, 1) == 0:
            raise AwsError(
                "InsufficientInstanceCapacity", _insufficient(stopped[0].kind, call.form, room), status=500
            )
        self._open[id(call)] = self._promises.reserve(Place(call.account, call.region), load)

    async def _template(self, call: Call) -> Template:
        form = call.form
        id_, name = (
            form.get("LaunchTemplate.LaunchTemplateId", ""),
            form.get("LaunchTemplate.LaunchTemplateName", ""),
        )
        if not (id_ or name):
            return Template()
        version = form.get("LaunchTemplate.Version", "")
        return await self._machines.template(call.account, call.region, id_=id_, name=name, version=version)


def _insufficient(kind: str, form: Mapping[str, str], room: tuple[float, int]) -> str:
    zone = form.get("Placement.AvailabilityZone", "")
    where = f"in the Availability Zone you requested ({zone})" if zone else "in any Availability Zone"
    return (
        f"We currently do not have sufficient {kind} capacity {where}. Our system will be working on provisioning "
        f"additional capacity. This machine has {room[0]:g} vCPUs and {room[1]} MiB of memory left."
    )
