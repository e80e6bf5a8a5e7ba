"""Carries out what the scheduler wants launched and terminated."""

from typing import Final

from msgspec.structs import replace

from cumulo.base.errors import AwsError
from cumulo.base.instances import InstanceOrder, Template, TemplateName
from cumulo.base.log import Log
from cumulo.services.batch.capacity.machines import Machine
from cumulo.services.batch.capacity.orders import (
    BadUserData,
    bid,
    image_parameter,
    max_price,
    named_image,
    orders_of,
    template_name,
    user_data,
)
from cumulo.services.batch.capacity.world import World
from cumulo.services.batch.environment_states import LIFE, Event, Status, moved
from cumulo.services.batch.model import ComputeEnvironment
from cumulo.services.batch.scheduling.facts import Launch, Terminate

NO_CAPACITY: Final = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [{}]"
GONE: Final = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")
_LACKS: Final = frozenset(
    {
        "InstanceLimitExceeded",
        "InsufficientAddressCapacity",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "RequestLimitExceeded",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "VcpuLimitExceeded",
    }
)

_log = Log("batch")


class Launching:
    """Launches may run beside one another, and beside everything else: each looks again after it has waited."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turns: dict[str, int] = {}
        self._going_on: dict[str, int] = {}

    def goes_on(self, environment: str) -> bool:
        """Whether instances of an environment (ARN) are being launched now."""
        return self._going_on.get(environment, 0) > 0

    async def launch(self, action: Launch) -> None:
        """Have EC2 launch instances; the scheduler is told how many there will be, and of how many there will not."""
        arn = action.environment
        self._going_on[arn] = self._going_on.get(arn, 0) + 1
        try:
            count, reason = await self._launch(action)
        finally:
            self._going_on[arn] -= 1
        if count < action.count:
            self._tell(arn, action.kind, action.count - count, failed=reason)

    async def terminate(self, action: Terminate) -> None:
        """Have EC2 terminate an instance; harmless when it is gone."""
        machine = self._world.machines.at(action.instance)
        if machine is not None:
            await self.end(machine)

    async def end(self, machine: Machine) -> bool:
        """Terminate an instance; whether EC2 was told.  If not, it is told later."""
        self._world.machines.end(machine)
        try:
            await self._world.fleet.terminate(machine.account, machine.region, machine.id)
        except AwsError as error:
            if error.code not in GONE:
                _log.warning("an instance could not be terminated yet", instance=machine.id, error=str(error))
                return False
        current = self._world.machines.get(machine.id)
        if current is not None:
            self._world.machines.forget(current)
        return True

    async def _launch(self, action: Launch) -> tuple[int, str]:
        """How many were launched, and why not more."""
        lacking = NO_CAPACITY.format(action.kind)
        environment = await self._populated(action.environment)
        if environment is None or self._is_too_dear(environment, action.kind):
            return 0, lacking
        try:
            orders = await self._orders(environment, action)
        except BadUserData as error:
            await self._fault(environment, str(error))
            return 0, lacking
        except AwsError as error:
            await self._refused(environment, error)
            return 0, lacking
        count = 0
        for order in orders:
            try:
                count += await self._run(environment, order)
            except AwsError as error:
                if await self._refused(environment, error):
                    break
        return count, lacking

    async def _populated(self, arn: str) -> ComputeEnvironment | None:
        """The environment, if anything may be launched for it, and if so with the mark that there may be instances."""
        found = self._world.resources.environments.get(arn)
        if found is None or found.status not in (Status.VALID, Status.UPDATING):
            return None
        if not found.populated:
            found = self._world.resources.environments.put(replace(found, populated=True))
            await self._world.resources.store.commit()
        return found

    def _is_too_dear(self, environment: ComputeEnvironment, kind: str) -> bool:
        if environment.type != "SPOT":
            return False
        prices = self._world.kinds
        full = prices.price(environment.region, kind, spot=False)
        return prices.price(environment.region, kind, spot=True) > full * bid(environment) / 100

    async def _orders(self, environment: ComputeEnvironment, action: Launch) -> list[InstanceOrder]:
        place = (environment.account, environment.region)
        name = template_name(environment, action.kind)
        template = await self._template(place, name)
        image = named_image(environment)
        if not image and not (template is not None and template.image):
            image = await self._newest(environment)
        turn = self._turns.get(environment.arn, 0)
        self._turns[environment.arn] = turn + action.count
        return orders_of(
            environment,
            action.kind,
            action.count,
            turn=turn,
            image=image,
            template=name,
            data=user_data(environment.cluster, template),
            price=max_price(
                environment, self._world.kinds.price(environment.region, action.kind, spot=False)
            ),
        )

    async def _template(self, place: tuple[str, str], name: TemplateName | None) -> Template | None:
        if name is None:
            return None
        return await self._world.fleet.template(*place, id_=name.id, name=name.name, version=name.version)

    async def _newest(self, environment: ComputeEnvironment) -> str:
        """The newest machine image when a generation's first instance is launched; it stays so for all of them."""
        if environment.image:
            return environment.image
        parameter = image_parameter(environment)
        image = await self._world.image(environment.account, environment.region, parameter)
        current = self._world.resources.environments.get(environment.arn)
        if current is not None and _is_same(current, environment) and not current.image:
            self._world.resources.environments.put(replace(current, image=image))
        return image

    async def _run(self, environment: ComputeEnvironment, order: InstanceOrder) -> int:
        ids = await self._world.fleet.launch(order)
        # Until the scheduler is told nothing waits: whoever joins first must not come as a surprise.
        machines = self._world.machines
        for id_ in ids:
            machines.put(
                Machine(
                    id=id_,
                    account=environment.account,
                    region=environment.region,
                    environment=environment.arn,
                    kind=order.kind,
                    generation=environment.generation,
                    vcpus=self._world.kinds.vcpus(order.kind),
                    since=self._world.clock.monotonic(),
                )
            )
        current = self._world.resources.environments.get(environment.arn)
        if current is None or current.status == Status.DELETING or not _is_same(current, environment):
            for id_ in ids:  # it was changed or deleted meanwhile
                machine = machines.get(id_)
                if machine is not None:
                    await self.end(machine)
            return 0
        self._tell(environment.arn, order.kind, len(ids))
        return len(ids)

    def _tell(self, environment: str, kind: str, count: int, *, failed: str = "") -> None:
        now = self._world.clock.monotonic()
        self._world.scheduler.launched(environment, kind, count, failed=failed, now=now)

    async def _refused(self, environment: ComputeEnvironment, error: AwsError) -> bool:
        """Whether EC2 will refuse every further order too: then the environment is INVALID."""
        if error.code in _LACKS or error.status >= 500:
            return False
        await self._fault(environment, error.message)
        return True

    async def _fault(self, environment: ComputeEnvironment, why: str) -> None:
        current = self._world.resources.environments.get(environment.arn)
        if current is None or not LIFE.allows(Status(current.status), Event.FAULTY):
            return
        if _is_same(current, environment) and current.status != Status.DELETING:
            self._world.resources.environments.put(moved(current, Event.FAULTY, f"CLIENT_ERROR - {why}"))
            await self._world.resources.store.commit()


def _is_same(one: ComputeEnvironment, other: ComputeEnvironment) -> bool:
    """Whether instances of one are as good as those of the other."""
    return (one.uuid, one.generation) == (other.uuid, other.generation)
