"""For those who look.

The jobs at the front of a queue in the order in which they would start: GetJobQueueSnapshot.  What an environment holds.

In a fair queue each job that would start counts for its share before the next one is picked.
"""

import heapq

from cumulo.services.batch.scheduling.environments import EnvironmentState
from cumulo.services.batch.scheduling.facts import EnvironmentUse, RoomUse
from cumulo.services.batch.scheduling.queues import QueueState
from cumulo.services.batch.scheduling.rooms import Room


def front(queue: QueueState, count: int, now: float) -> list[tuple[str, float]]:
    """At most so many jobs, and since when each is there.

    The head: since it became that.  Those behind it: since a job last left the queue, for then all came nearer.
    """
    found: list[tuple[str, float]] = []
    lanes = []
    for lane in queue.lanes.values():
        jobs = ((name, entry) for entry in lane.entries() for name in entry.names())
        if (first := next(jobs, None)) is not None:
            load = queue.load(lane, now) if queue.facts.fair else 0.0
            lanes.append((load, first[1].since, lane.number, first, jobs, lane))
    heapq.heapify(lanes)
    while lanes and len(found) < count:
        load, _, number, (name, entry), jobs, lane = lanes[0]
        since = queue.moved_at if found else queue.head_since
        found.append((name, max(entry.since, since)))
        if queue.facts.fair:
            load += lane.weight * entry.need.vcpus * entry.need.nodes
        following = next(jobs, None)
        if following is None:
            heapq.heappop(lanes)
        else:
            heapq.heapreplace(lanes, (load, following[1].since, number, following, jobs, lane))
    return found


def use(site: EnvironmentState) -> EnvironmentUse:
    """What jobs hold of an environment, and of each of its instances."""
    return EnvironmentUse(site.used, tuple(_room_use(room) for room in site.by_instance.values()))


def _room_use(room: Room) -> RoomUse:
    vcpus, memory, _ = room.size
    free_vcpus, free_memory, _ = room.free
    return RoomUse(
        room.instance, room.kind, _state_of(room), room.tasks, vcpus, memory, free_vcpus, free_memory
    )


def _state_of(room: Room) -> str:
    if room.leaving or room.draining:
        return "DRAINING" if room.tasks else "ENDING"
    return "READY" if room.ready else "STARTING"
