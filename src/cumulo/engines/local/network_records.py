"""What is remembered of each pod's network: a small file beside its namespace, for the next control plane.

Files live where a reboot empties the folder (/run), as a reboot takes the networks themselves.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cumulo.engines.engine import NAME_PATTERN, NetworkMode, Port

SUFFIX = ".json"
NAMESPACE = ".net"
_SUBNET = "subnet"
_DATA = "data"
_HOSTS = "hosts"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One pod's network, written when all of it was made.

    serial   what its address and its link are made from; -1 without an address
    """

    pod: str
    mode: NetworkMode
    serial: int = -1
    names: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()


class Records:
    """The files of one instance: `<pod>.json` beside `<pod>.net`, the namespace, `subnet`, `hosts`, and whose it is: `data`."""

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.folder = folder
        self._data = data

    def namespace(self, pod: str) -> Path:
        """Where a pod's namespace is mounted."""
        return self.folder / f"{pod}{NAMESPACE}"

    def load(self) -> dict[str, Record]:
        """All of them.  What cannot be read is as if it were not there."""
        found: dict[str, Record] = {}
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                record = msgspec.json.decode(path.read_bytes(), type=Record)
            except (OSError, msgspec.MsgspecError):
                path.unlink(missing_ok=True)
                continue
            if record.pod == path.name.removesuffix(SUFFIX):
                found[record.pod] = record
        return found

    def namespaces(self) -> list[str]:
        """Pods that have a namespace's file."""
        names = (path.name.removesuffix(NAMESPACE) for path in self.folder.glob(f"*{NAMESPACE}"))
        return sorted(name for name in names if re.fullmatch(NAME_PATTERN, name))

    def save(self, record: Record) -> None:
        """Remember, all or nothing.  The folder is made when it is missing."""
        self._write(f"{record.pod}{SUFFIX}", msgspec.json.encode(record))

    def drop(self, pod: str) -> None:
        """Forget."""
        (self.folder / f"{pod}{SUFFIX}").unlink(missing_ok=True)

    def subnet(self) -> int:
        """The second byte of the instance's 10.n.0.0/16; 0 when none is known."""
        try:
            return int((self.folder / _SUBNET).read_text())
        except (OSError, ValueError):
            return 0

    def save_subnet(self, second: int) -> None:
        """Remember the subnet."""
        self._write(_SUBNET, str(second).encode())

    def hosts(self) -> dict[str, int]:
        """The host's own addresses by their names: what each is made from."""
        try:
            return msgspec.json.decode((self.folder / _HOSTS).read_bytes(), type=dict[str, int])
        except (OSError, msgspec.MsgspecError):
            return {}

    def save_hosts(self, hosts: Mapping[str, int]) -> None:
        """Remember them."""
        self._write(_HOSTS, msgspec.json.encode(hosts))

    def data(self) -> Path | None:
        """The data folder that these networks belong to, when that is known."""
        try:
            return Path(os.fsdecode((self.folder / _DATA).read_bytes()))
        except OSError:
            return None

    def forget_all(self) -> None:
        """Remove the folder once nothing of a pod is in it."""
        for name in (_SUBNET, _DATA, _HOSTS):
            (self.folder / name).unlink(missing_ok=True)
        for path in self.folder.glob(".*.new"):
            path.unlink(missing_ok=True)
        try:
            self.folder.rmdir()
        except OSError:
            return  # not ours alone, or it is gone

    def _write(self, name: str, data: bytes) -> None:
        fresh = self.folder / f".{name}.new"
        try:
            fresh.write_bytes(data)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, mode=0o700)
            if self._data is not None:
                (self.folder / _DATA).write_bytes(os.fsencode(self._data))
            fresh.write_bytes(data)
        os.replace(fresh, self.folder / name)  # noqa: PTH105 - quicker than Path's
