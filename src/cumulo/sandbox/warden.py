# ruff: noqa: PTH108
# (pathlib would cost the warden and every cell a megabyte)
"""The warden: one small process with one thread that forks cells for the server, and cleans up after both.

    server <--SOCK_SEQPACKET--> warden --fork--> cell, cell, cell

It holds what must outlive a server that was killed: when the server's end of the socket closes, the warden
kills every cell, gives everything back and ends.  When the warden itself is killed, the cells die with it
(PDEATHSIG), their namespaces and mounts with them; `reap` finds the rest at the next start.
"""

import gc
import os
import socket
import time
from typing import TYPE_CHECKING

from cumulo.sandbox import cell as cells
from cumulo.sandbox import cgroups, kernel, messages, rootfs
from cumulo.sandbox.loop import Loop
from cumulo.sandbox.network import Network
from cumulo.sandbox.stock import Stock, Volume

if TYPE_CHECKING:
    from typing import Any

PREPARING_MAX = 8
WAITING_MAX = 4096
REFILL_QUIET_SECONDS = 0.01
REFILL_AGAIN_SECONDS = 1.0
REMOVE_AGAIN_SECONDS = 0.02
REMOVE_ATTEMPTS_MAX = 100
END_SECONDS_MAX = 5.0


class Cell:
    """A forked cell, from preparation to its end."""

    def __init__(self, name: str, pid: int, pidfd: int, control: socket.socket) -> None:
        self.name = name
        self.pid = pid
        self.pidfd = pidfd
        self.control = control
        self.ready: list[int] = []  # its two listening sockets, once prepared and until handed over
        self.start: Start | None = None
        self.answer: list[int] = []  # what the server gets when the assignment has been carried out
        self.running = False
        self.failure = ""


class Start:
    """A start that the server asked for."""

    def __init__(self, message: "dict[str, Any]", volume: Volume) -> None:
        self.id: int = message["id"]
        self.message = message
        self.volume = volume


class Warden:
    """Answers the server."""

    def __init__(self, server: socket.socket, config: "dict[str, Any]", seccomp: bytes) -> None:
        self._server = server
        self._config = config
        self._seccomp = seccomp
        self._loop = Loop()
        self._serial = 0
        self._living: dict[str, Cell] = {}
        self._prepared: list[Cell] = []
        self._preparing = 0
        self._waiting: list[Start] = []
        self._by_id: dict[int, Cell] = {}
        self._refilling = False
        self._ending = False
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self.problems: dict[str, str] = {}
        self._groups = self._open_groups()
        self._roots = rootfs.Roots(config["scratch"])
        self._network = self._open_network()
        self._stock = Stock(
            self._loop,
            images=config["images"],
            mounts=f"{config['scratch']}/tmp",
            mkfs=config["mkfs"],
            uid_base=config["uid_base"],
            uid_count=config["uid_count"],
            changed=self._match,
        )

    def run(self) -> None:
        """Serve until the server goes, then give everything back."""
        version = self._groups.version if self._groups is not None else 0
        self._say({"t": "ready", "problems": self.problems, "groups": version})
        self._loop.watch(self._server.fileno(), self._from_server)
        self._refill_soon(0.0)
        gc.collect()
        gc.freeze()  # what is there now stays; collecting it would only unshare pages
        try:
            self._loop.run()
        finally:
            self._end()

    # What the server says

    def _from_server(self) -> None:
        try:
            raw, _ = messages.receive(self._server)
        except ConnectionError:
            raw = b""
        if not raw:
            self._loop.stop()
            return
        message = messages.decode(raw)
        if message["t"] == "start":
            self._ask(message)
        elif message["t"] == "settle":
            self._settle(message["id"])
        elif message["t"] == "hurry":
            if message["id"] in self._by_id:
                cgroups.hurry(self._groups, self._by_id[message["id"]].name)
        elif message["t"] == "drop":
            volume = self._stock.drop(message["name"])
            if volume is not None:
                self._roots.forget_users(volume.uid)
            self._refill_soon(REFILL_QUIET_SECONDS)

    def _ask(self, message: "dict[str, Any]") -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._refuse(message["id"], "too many starts are waiting")
            return
        try:
            volume = self._stock.take(message["tmp_name"], message["tmp_mib"])
        except OSError as error:
            self._refuse(message["id"], str(error))
            return
        self._waiting.append(Start(message, volume))
        self._match()

    def _settle(self, sandbox: int) -> None:
        cell = self._by_id.get(sandbox)
        if cell is not None and cell.start is not None and self._groups is not None:
            self._groups.cpu(cell.name, cell.start.message["vcpus"])

    # Cells for starts

    def _match(self) -> None:
        """Give prepared cells to the starts whose volumes are ready; prepare more for the rest."""
        for start in self._waiting[:]:
            if start.volume.problem:
                self._waiting.remove(start)
                self._refuse(start.id, f"no /tmp: {start.volume.problem}")
            elif start.volume.ready and self._prepared:
                self._waiting.remove(start)
                self._assign(self._prepared.pop(), start)
        short = len(self._waiting) - len(self._prepared) - self._preparing
        for _ in range(min(short, PREPARING_MAX - self._preparing)):
            self._prepare_or_refuse()
        self._refill_soon(REFILL_QUIET_SECONDS)

    def _prepare_or_refuse(self) -> None:
        """Prepare a cell; when the machine has no room for it, a start that waits hears so."""
        if self._ending:
            return
        try:
            self._prepare()
        except OSError as error:
            if self._waiting:
                self._refuse(self._waiting.pop(0).id, str(error))

    def _prepare(self) -> None:
        self._serial += 1
        name = f"{os.getpid()}-{self._serial}"
        groups = self._groups
        if groups is not None:
            groups.make(name, 1024)
        plan = cells.CellPlan(
            name=name,
            root=self._roots.root,
            groups=groups,
            cloud_port=self._config["cloud_port"],
            seccomp=self._seccomp,
            privileged=self._config["privileged"],
            link=self._network.link(self._serial) if self._network else None,
        )
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kernel.unshare(kernel.CLONE_NEWPID)  # only for children: the next fork is its pid 1
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:
                kernel.setns(self._own_pids, kernel.CLONE_NEWPID)
        if pid == 0:
            gc.disable()
            cells.run(plan, there, cells.become_command)
        there.close()
        cell = Cell(name, pid, os.pidfd_open(pid), here)
        self._living[name] = cell
        self._preparing += 1
        self._loop.watch(here.fileno(), lambda: self._from_cell(cell))
        self._loop.watch(cell.pidfd, lambda: self._ended(cell))

    def _from_cell(self, cell: Cell) -> None:
        """Take what a cell says; called when its control socket is readable."""
        try:
            raw, fds = messages.receive(cell.control)
        except (ConnectionError, BlockingIOError, ValueError):
            raw, fds = b"", []
        kind = raw[:1]
        if kind == cells.READY and len(fds) == 2 and not cell.ready and cell.start is None:
            cell.ready = fds
            self._preparing -= 1
            self._prepared.append(cell)
            self._match()
            return
        messages.close_all(fds)
        if kind == cells.ASSIGNED and cell.start is not None and not cell.running:
            cell.running = True
            start = cell.start
            self._by_id[start.id] = cell
            self._say({"t": "started", "id": start.id}, cell.answer)
            messages.close_all(cell.answer)
            cell.answer = []
        elif kind in (cells.FAILED, cells.EXITED):
            cell.failure = cell.failure or raw.decode("latin-1")
        elif not raw:
            self._loop.forget(cell.control.fileno())
            cell.control.close()

    def _assign(self, cell: Cell, start: Start) -> None:
        """Set limits, send the job and its mounts; on failure, refuse the start and give the cell up."""
        cell.start = start
        message = start.message
        passing: list[int] = []
        try:
            targets = self._roots.open_for(message, start.volume.path, start.volume.uid, passing)
            cell.answer, theirs = self._answer(cell, message)
            passing += theirs
            for fd in theirs[:2]:
                os.fchown(fd, start.volume.uid, start.volume.uid)  # so that /dev/stdout can be opened
            job = {
                "argv": message["argv"],
                "env": message["env"],
                "uid": start.volume.uid,
                "files_max": message["files_max"],
                "memory_bytes": message["memory_bytes"],
                "targets": targets,
            }
            messages.send(cell.control, messages.encode(job), passing)
        except (OSError, ValueError) as error:
            cell.failure = f"F{error}"
            os.kill(cell.pid, 9)
        finally:
            messages.close_all(passing)

    def _answer(self, cell: Cell, message: "dict[str, Any]") -> tuple[list[int], list[int]]:
        """Set the limits; returns the descriptors for the server, and those for the cell."""
        output_read, output_write = os.pipe2(os.O_CLOEXEC)
        telemetry_read, telemetry_write = os.pipe2(os.O_CLOEXEC)
        ours = [*cell.ready, output_read, telemetry_read, os.dup(cell.pidfd)]
        cell.ready = []
        theirs = [output_write, telemetry_write]
        groups = self._groups
        if groups is not None:
            groups.limit(cell.name, message["memory_bytes"], message["pids_max"])
            groups.cpu(cell.name, message["vcpus_first"])
            ours += [groups.open_freezer(cell.name), groups.open_peak(cell.name), groups.open_stat(cell.name)]
        else:
            peak = os.memfd_create("peak", os.MFD_CLOEXEC)
            ours.append(os.dup(peak))
            theirs.append(peak)
        return ours, theirs

    # The end of cells

    def _ended(self, cell: Cell) -> None:
        """Everything in a cell is dead: say how, and give back what it had."""
        self._loop.forget(cell.pidfd)
        os.close(cell.pidfd)
        os.waitpid(cell.pid, 0)
        if cell.control.fileno() >= 0:
            cell.control.setblocking(False)
        while cell.control.fileno() >= 0:
            self._from_cell(cell)
        del self._living[cell.name]
        prepared = cell in self._prepared
        if prepared:
            self._prepared.remove(cell)
        elif cell.start is None:
            self._preparing -= 1
        if cell.start is None:
            self._spare_died(cell, prepared=prepared)
        elif cell.running:
            del self._by_id[cell.start.id]
            self._say(self._exit(cell, cell.start.id))
        else:
            self._refuse(cell.start.id, cell.failure[1:] or "the cell was killed")
        messages.close_all([*cell.ready, *cell.answer])
        self._remove_groups(cell.name, REMOVE_ATTEMPTS_MAX)

    def _exit(self, cell: Cell, sandbox: int) -> "dict[str, Any]":
        code, number, oom, failed = 0, 9, False, 0
        if cell.failure[:1] == "X":
            code, number, oom, failed = cells.parse_exit(cell.failure.encode("latin-1"))
        peak = 0
        if self._groups is not None:
            oom = oom or self._groups.out_of_memory(cell.name)
            peak = cgroups.peak_of(self._groups, cell.name)
        return {
            "t": "exit",
            "id": sandbox,
            "code": code,
            "signal": number,
            "oom": oom,
            "failed": failed,
            "peak": peak,
        }

    def _spare_died(self, cell: Cell, *, prepared: bool) -> None:
        """A cell died before it had a job: the start that waited for it, if any, must hear why."""
        if self._waiting and not prepared:
            self._refuse(self._waiting.pop(0).id, cell.failure[1:] or "a cell died while it was prepared")
        self._loop.later(REFILL_AGAIN_SECONDS, self._match)

    def _remove_groups(self, name: str, attempts: int) -> None:
        if self._groups is None or self._groups.remove(name) or attempts == 0:
            return
        self._loop.later(REMOVE_AGAIN_SECONDS, lambda: self._remove_groups(name, attempts - 1))

    # Keeping cells at hand

    def _refill_soon(self, seconds: float) -> None:
        if not self._refilling:
            self._refilling = True
            self._loop.later(seconds, self._refill)

    def _refill(self) -> None:
        """Prepare one more cell, unless somebody waits; that one's readiness leads to the next."""
        self._refilling = False
        if self._waiting or self._preparing or self._ending:
            return
        count = self._config["spares"]
        self._stock.refill(count, self._config["spare_tmp_mib"])
        if len(self._prepared) < count:
            self._prepare_or_refuse()

    # Beginnings and ends

    def _open_groups(self) -> "cgroups.Groups | None":
        try:
            groups = cgroups.open_groups(self._config["cgroups"], self._config["instance"])
        except OSError as error:
            self.problems["limits"] = str(error)
            return None
        for left in groups.cells():  # of a warden of this instance that was killed; never the one kept frozen
            cgroups.end(groups, left)
            self._loop.later(0.0, lambda left=left: self._remove_groups(left, REMOVE_ATTEMPTS_MAX))  # type: ignore[misc]
        groups.keep_one_frozen()
        return groups

    def _open_network(self) -> Network | None:
        if not self._config["nft"]:
            return None
        try:
            return Network(self._config["instance"], self._config["nft"])
        except OSError as error:
            self.problems["network"] = str(error)
            return None

    def _say(self, message: "dict[str, Any]", fds: "list[int] | None" = None) -> None:
        try:
            messages.send(self._server, messages.encode(message), fds or ())
        except ConnectionError:
            self._loop.stop()

    def _refuse(self, sandbox: int, why: str) -> None:
        self._say({"t": "refused", "id": sandbox, "why": why})

    def _end(self) -> None:
        """Kill every cell and give everything back, within a bounded time."""
        self._ending = True
        names = list(self._living)
        for cell in self._living.values():
            os.kill(cell.pid, 9)
            cgroups.hurry(self._groups, cell.name)
            if self._groups is not None:
                self._groups.thaw(cell.name)
        deadline = time.monotonic() + END_SECONDS_MAX
        while self._living and time.monotonic() < deadline:
            self._loop.turn(0.1)
        if self._groups is not None:
            cgroups.remove_all(self._groups, names, deadline)
        if self._network is not None:
            self._network.close()
        for entry in os.scandir(self._config["images"]):
            os.unlink(entry.path)
