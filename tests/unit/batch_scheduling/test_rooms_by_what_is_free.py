"""The tightest room is found; so are idle and the emptiest ones."""

from hypothesis import given
from hypothesis import strategies as st

from cumulo.services.batch.scheduling.facts import Need
from cumulo.services.batch.scheduling.rooms import Room, Rooms, holds

KINDS = ("m5", "g5")


def a_room(rooms, number, kind, size, free=None, **fields):
    room = Room(number, f"i-{number}", kind, size)
    room.ready = True
    for name, value in fields.items():
        setattr(room, name, value)
    if room.open:
        rooms.count(room, 1)
    if free is not None and free != size:
        room.free, room.tasks = free, 1
    rooms.place(room)
    return room


def test_the_room_with_the_fewest_gpus_then_vcpus_then_memory_is_taken():
    rooms = Rooms()
    a_room(rooms, 1, "g5", (4000, 16000, 1), (1000, 1000, 1))
    a_room(rooms, 2, "m5", (16000, 64000, 0), (9000, 1000, 0))
    tight = a_room(rooms, 3, "m5", (16000, 64000, 0), (2000, 3000, 0))
    a_room(rooms, 4, "m5", (16000, 64000, 0), (2000, 4000, 0))
    assert rooms.find(Need(vcpus=1000, memory=1000)) is tight
    assert rooms.find(Need(vcpus=1000, memory=1000, gpus=1)).number == 1
    assert rooms.find(Need(vcpus=3000, memory=1000)).number == 2
    assert rooms.find(Need(vcpus=3000, memory=2000)) is None
    assert rooms.find(Need(vcpus=1000, memory=1000, kinds=("g5",))).number == 1


def test_claimed_shy_draining_and_leaving_rooms_are_not_found():
    for field in ("claimed", "shy", "draining", "leaving"):
        rooms = Rooms()
        a_room(rooms, 1, "m5", (4000, 4000, 0), **{field: True})
        assert rooms.find(Need(vcpus=1000, memory=1000)) is None


def test_idle_rooms_are_the_smallest_that_could_hold_it_and_the_emptiest_come_first():
    rooms = Rooms()
    large = a_room(rooms, 1, "m5", (16000, 64000, 0))
    small = a_room(rooms, 2, "m5", (4000, 16000, 0))
    busy = a_room(rooms, 3, "m5", (16000, 64000, 0), (8000, 8000, 0))
    node = Need(vcpus=3000, memory=3000, nodes=3)
    assert rooms.idle(node, 3) == [small, large]
    assert rooms.could_hold(node) == 3
    assert rooms.freest(node, 3) == [large, small, busy]
    assert rooms.idle_anyhow(1) == [large]


ROOMS = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.integers(0, 16), st.integers(0, 16), st.integers(0, 2), st.integers(0, 9)
    ),
    max_size=40,
)


@given(ROOMS, ROOMS, st.integers(1, 16), st.integers(1, 16), st.integers(0, 2))
def test_it_finds_what_looking_at_every_room_finds(before, after, vcpus, memory, gpus):
    rooms, size = Rooms(), (16, 16, 2)
    made = [a_room(rooms, number, kind, size, (v, m, g)) for number, (kind, v, m, g, _) in enumerate(before)]
    for (_, v, m, g, which), room in zip(after, made, strict=False):
        room.free, room.claimed = (v, m, g), which == 0
        rooms.place(room)
    need = Need(vcpus=vcpus, memory=memory, gpus=gpus)
    fits = [room for room in made if not room.claimed and holds(room.free, need)]
    best = min(fits, key=lambda room: (room.free[2], room.free[0], room.free[1], room.number), default=None)
    assert rooms.find(need) is best
