"""The nouns of EC2's bodies, frozen.  EC2 itself keeps the instances; here is what they are of this machine."""

import msgspec

from cumulo.base.carriage import Load
from cumulo.base.instances import Host


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an instance between two looks.

    state         running, stopped or terminated (until its body is gone; then it is forgotten)
    host          its body; None for an instance that joins no cluster
    joins         an ECS-optimised image whose user data names no cluster: it gets a body when `default` comes to be
    load_*        what it is promised while it has a body: also until the last task of one that was ended is gone
    rested        a stopped one has given its part of the machine back
    started_at    when it began to run, this time; metered_at: up to when that is on the bill
    interrupt_at  when a spot instance is taken away; 0: nobody said so
    """

    account: str
    region: str
    id: str
    kind: str
    state: str = "running"
    group: str = ""
    spot: bool = False
    host: Host | None = None
    joins: bool = False
    rested: bool = False
    load_vcpus: float = 0.0
    load_memory_mib: int = 0
    started_at: float = 0.0
    metered_at: float = 0.0
    interrupt_at: float = 0.0

    @property
    def load(self) -> Load:
        """What it is promised now."""
        if self.host is None or self.joins or self.rested:
            return Load()
        return Load(self.load_vcpus, self.load_memory_mib)

    @property
    def is_ending(self) -> bool:
        """Whether it holds room that will be free soon."""
        return self.state != "running" and self.load.memory_mib > 0


class Place(msgspec.Struct, frozen=True):
    """An account's region in which there may be instances."""

    account: str
    region: str
