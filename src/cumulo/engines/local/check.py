"""Whether a pod's spec makes sense, before anything is made.  Pure."""

import ipaddress
import re

from cumulo.engines.engine import NAME_PATTERN, ContainerSpec, EngineError, MountKind, NetworkMode, PodSpec
from cumulo.engines.local.preparing import clean
from cumulo.engines.local.volumes import check_name


def check(spec: PodSpec) -> None:
    """EngineError with what is wrong."""
    _name(spec.name)
    if not spec.containers:
        raise EngineError(f"the pod {spec.name} has no containers")
    names = [one.name for one in spec.containers]
    if len(set(names)) != len(names):
        raise EngineError(f"the pod {spec.name} has two containers of one name")
    if spec.ports and spec.network != NetworkMode.BRIDGE:
        raise EngineError("only a pod on the bridge has ports mapped")
    for one in spec.containers:
        _container(one)


def _container(spec: ContainerSpec) -> None:
    _name(spec.name)
    targets = [clean(mount.target) for mount in spec.mounts]
    if len(set(targets)) != len(targets):
        raise EngineError(f"{spec.name} has two mounts at one place")
    for mount in spec.mounts:
        if not mount.target.startswith("/") or clean(mount.target) == "/":
            raise EngineError(f"{mount.target!r} is no place for a mount")
        if mount.kind in {MountKind.VOLUME, MountKind.POD}:
            check_name(mount.source)
        if mount.kind == MountKind.BIND and not mount.source.startswith("/"):
            raise EngineError(f"{mount.source!r} is no absolute path")
    for name, value in spec.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise EngineError(f"{name!r} is no name for a variable, or its value no value")


def check_address(address: str) -> None:
    """EngineError for what is no IPv4 address."""
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise EngineError(f"{address!r} is no IPv4 address") from None


def _name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise EngineError(f"{name!r} is no name: {NAME_PATTERN}")
