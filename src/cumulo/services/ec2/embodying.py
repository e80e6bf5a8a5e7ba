"""What an instance becomes when it gets a body, and what those who give it work with."""

import msgspec
from msgspec.structs import replace

from cumulo.base.carriage import Carriage
from cumulo.base.clock import Clock
from cumulo.base.instances import Groups, Host, Machines, SeenInstance
from cumulo.base.ports import EventBus
from cumulo.services.ec2.asking import Asking, Wanted
from cumulo.services.ec2.bodies import Bodies
from cumulo.services.ec2.metering import InstanceMeter
from cumulo.services.ec2.model import Instance
from cumulo.services.ec2.records import Promises, Records


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch works with."""

    records: Records
    promises: Promises
    carriage: Carriage
    machines: Machines
    groups: Groups
    asking: Asking
    bodies: Bodies
    meter: InstanceMeter
    bus: EventBus
    clock: Clock


def embodied(instance: Instance, seen: SeenInstance, wanted: Wanted) -> Instance:
    """The instance with the body that it is to have."""
    load = wanted.kind.load
    host = Host(
        account=seen.account,
        region=seen.region,
        id=seen.id,
        kind=seen.kind,
        vcpus=wanted.kind.vcpus,
        memory_mib=wanted.kind.memory_mib,
        running=instance.state == "running",
        image=seen.image,
        zone=seen.zone,
        subnet=seen.subnet,
        network=seen.network,
        architecture=wanted.kind.architecture,
        spot=seen.spot,
        group=seen.group,
        tags=seen.tags,
        agent=wanted.agent,
    )
    return replace(
        instance,
        host=host,
        rested=instance.state == "stopped",
        load_vcpus=load.vcpus,
        load_memory_mib=load.memory_mib,
    )
