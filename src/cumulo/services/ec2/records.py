"""What is kept of instances, and who is promised room."""

from collections.abc import Iterable

from cumulo.base.carriage import Load
from cumulo.services.ec2.model import Instance, Place
from cumulo.state.store import Store, join_key


class Records:
    """Instances by id, and the places where to look for them.  Durable after the store's next commit."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._instances = store.table("ec2_instances", Instance)
        self._places = store.table("ec2_places", Place)
        self._promised: Load | None = None

    def get(self, instance_id: str) -> Instance | None:
        """One instance, or None."""
        return self._instances.get(instance_id)

    def put(self, instance: Instance) -> Instance:
        """Keep an instance; the same."""
        self._instances.put(instance.id, instance)
        self._promised = None
        return instance

    def forget(self, instance: Instance) -> None:
        """Keep it no longer."""
        self._instances.delete(instance.id)
        self._promised = None

    def all(self) -> list[Instance]:
        """Every instance."""
        return self._instances.scan()

    def promised(self) -> Load:
        """What all of them are promised; added up once after each change, for every placement asks."""
        if self._promised is None:
            self._promised = total(one.load for one in self.all())
        return self._promised

    def of(self, place: Place) -> dict[str, Instance]:
        """A place's instances by id."""
        return {
            one.id: one
            for one in self._instances.scan()
            if one.account == place.account and one.region == place.region
        }

    def places(self) -> list[Place]:
        """Where there may be instances."""
        return self._places.scan()

    def note(self, place: Place) -> bool:
        """There may be instances in this place; whether that is news."""
        key = join_key(place.account, place.region)
        if self._places.get(key) is not None:
            return False
        self._places.put(key, place)
        return True

    def knows(self, place: Place) -> bool:
        """Whether there may be instances in this place."""
        return self._places.get(join_key(place.account, place.region)) is not None

    def drop(self, place: Place) -> None:
        """There are none in this place."""
        self._places.delete(join_key(place.account, place.region))

    def clear(self) -> None:
        """Forget everything."""
        self._instances.clear()
        self._places.clear()
        self._promised = None


def total(loads: Iterable[Load]) -> Load:
    """All loads as one."""
    some = list(loads)
    return Load(sum(one.vcpus for one in some), sum(one.memory_mib for one in some))


class Ticket:
    """Room that a call in flight asks for."""

    def __init__(self, place: Place, load: Load) -> None:
        self.place = place
        self.load = load
        self.done = False


class Promises:
    """What instances are promised: those that are there, and those that calls in flight will bring."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tickets: list[Ticket] = []

    def promised(self) -> Load:
        """All of it."""
        return total([self._records.promised(), *(one.load for one in self._tickets)])

    def reserve(self, place: Place, load: Load) -> Ticket:
        """A call asks for room; to be given to `finish` when it has ended."""
        ticket = Ticket(place, load)
        self._tickets.append(ticket)
        return ticket

    def finish(self, ticket: Ticket, *, done: bool) -> None:
        """The call has ended: what it brought stays promised until it was seen."""
        if done:
            ticket.done = True
        else:
            self.seen([ticket])

    def ended(self, place: Place) -> list[Ticket]:
        """Calls that have brought something by now; ask before looking at what is there."""
        return [one for one in self._tickets if one.done and one.place == place]

    def seen(self, tickets: Iterable[Ticket]) -> None:
        """What these calls brought is among the instances now."""
        for ticket in tickets:
            if ticket in self._tickets:
                self._tickets.remove(ticket)

    def clear(self) -> None:
        """Forget the calls."""
        self._tickets.clear()
